//! Progress while a run goes on, and its report.

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
    path::Path,
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use pagemill::{Progress, Report};
use tokio::task::JoinHandle;

/// A line on a terminal that is written anew, or a line in a log now and then.
pub(crate) struct Live {
    started: Instant,
    bar: ProgressBar,
    task: JoinHandle<()>,
}

impl Live {
    /// Starts showing `progress` on standard error.
    pub(crate) fn start(progress: Progress) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
            bar.set_style(style);
        }
        let started = Instant::now();
        let shown = bar.clone();
        let task = tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(if terminal { 100 } else { 10_000 }));
            tick.tick().await;
            loop {
                tick.tick().await;
                let text = describe(&progress);
                if terminal {
                    shown.set_message(text);
                    shown.tick();
                } else {
                    say(&format!("{}s {text}", started.elapsed().as_secs()));
                }
            }
        });
        Self { started, bar, task }
    }

    /// Stops; returns how long it took.
    pub(crate) fn stop(self) -> Duration {
        self.task.abort();
        self.bar.finish_and_clear();
        self.started.elapsed()
    }
}

fn describe(progress: &Progress) -> String {
    let now = progress.snapshot();
    let mut text = format!("{} pages, {} records, {}", now.pages, HumanCount(now.records), HumanBytes(now.bytes));
    if now.retries > 0 {
        text.push_str(&format!(", {} retries", now.retries));
    }
    if now.waiting_until.is_some() {
        text.push_str(", waiting");
    }
    text
}

/// A line on standard error, unless standard output is for machines.
pub(crate) fn line(json: bool, text: &str) {
    if !json {
        say(text);
    }
}

/// Writes to standard error; nobody need be listening.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// What was written, on standard output: a table for people, or JSON for machines.
pub(crate) fn report(report: &Report, out: &Path, json: bool, elapsed: Duration) -> anyhow::Result<()> {
    let text = if json { as_json(report) } else { as_text(report, out, elapsed) };
    print(&format!("{}\n", text.trim_end()))
}

/// Writes to standard output. A reader that has seen enough is no error; a disk without room is.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(pagemill::Error::io("standard output cannot be written").because(e).into())
        }
        _ => Ok(()),
    }
}

fn as_json(report: &Report) -> String {
    let rows: BTreeMap<_, _> = report.rows.iter().map(|(table, rows)| (table.as_str(), rows)).collect();
    serde_json::json!({
        "already_published": report.receipt.already_published,
        "manifest": report.receipt.manifest,
        "files": report.receipt.files,
        "rows": rows,
        "resumed_pages": report.resumed,
        "restarted": report.restarted,
        "totals": report.totals.to_json(),
    })
    .to_string()
}

fn as_text(report: &Report, out: &Path, elapsed: Duration) -> String {
    // By table, in the manifest's order: rows, files, bytes, folder.
    let mut tables: Vec<(&str, u64, u64, u64, &str)> = Vec::new();
    for file in &report.receipt.files {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        match tables.iter_mut().find(|t| t.0 == file.table) {
            Some(table) => (table.1, table.2, table.3) = (table.1 + file.rows, table.2 + 1, table.3 + file.bytes),
            None => tables.push((&file.table, file.rows, 1, file.bytes, folder)),
        }
    }
    let width = tables.iter().map(|t| t.0.len()).max().unwrap_or(0).max("table".len());
    let mut text = format!("{:width$}  {:>12}  {:>5}  {:>11}  folder\n", "table", "rows", "files", "size");
    for (table, rows, files, bytes, folder) in &tables {
        let (rows, bytes) = (HumanCount(*rows).to_string(), HumanBytes(*bytes).to_string());
        text.push_str(&format!(
            "{table:width$}  {rows:>12}  {files:>5}  {bytes:>11}  {}\n",
            out.join(folder).display()
        ));
    }
    if report.receipt.already_published {
        text.push_str(&format!(
            "already published, nothing was changed; see {}\nanother --slot or --out makes another run\n",
            report.receipt.manifest
        ));
        return text;
    }
    let totals = &report.totals;
    let misfits: u64 = totals.misfits.iter().map(|(_, _, count)| count).sum();
    text.push_str(&format!(
        "{} records of {} pages, {} in {:.1} s; {} values kept outside or coerced, {} records in quarantine\n",
        HumanCount(totals.records),
        totals.pages,
        HumanBytes(totals.bytes),
        elapsed.as_secs_f64(),
        misfits,
        totals.bad,
    ));
    for (path, reason, count) in totals.misfits.iter() {
        text.push_str(&format!("  {count:>8}  {reason:<14}  {path}\n"));
    }
    if report.resumed > 0 {
        text.push_str(&format!("{} pages were there from an unfinished run\n", report.resumed));
    }
    if report.restarted {
        text.push_str("the API did not accept a cursor any more: the walk was begun anew\n");
    }
    if totals.partial_pages > 0 {
        text.push_str(&format!("{} pages were partial, says the API\n", totals.partial_pages));
    }
    text.push_str(&format!("published; see {}\n", report.receipt.manifest));
    text
}
