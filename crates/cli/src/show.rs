//! Progress while a run goes on, and its report. Whatever is shown is escaped here, wherever it came from.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{IsTerminal, Write},
    path::Path,
    sync::LazyLock,
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use pagemill::{
    Progress, Report,
    escape::{escape, is_harmful},
};
use pagemill_sink::AttemptId;
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

/// The most characters of a line on standard error.
const LONGEST: usize = 8_000;

/// A line on standard error, unless standard output is for machines.
pub(crate) fn line(json: bool, text: &str) {
    if !json {
        say(text);
    }
}

/// Several lines on standard error.
pub(crate) fn lines(text: &str) {
    text.lines().for_each(say);
}

/// Writes a line to standard error, escaped; nobody need be listening.
fn say(text: &str) {
    static SECRETS: LazyLock<Vec<String>> = LazyLock::new(|| secrets(std::env::vars_os()));
    let _ = writeln!(std::io::stderr(), "{}", escape(&hidden(text, &SECRETS), LONGEST));
}

/// Secrets for object stores that the environment holds. What a store answers is shown when something went wrong, and a log has
/// what its client writes there: neither is ours to vouch for.
fn secrets(environment: impl Iterator<Item = (OsString, OsString)>) -> Vec<String> {
    let secret = |name: &str| {
        ["AWS_", "AZURE_", "GOOGLE_"].iter().any(|whose| name.starts_with(whose))
            && ["KEY", "SECRET", "TOKEN", "SAS", "PASSWORD", "CREDENTIAL"].iter().any(|what| name.contains(what))
    };
    let text = environment.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    // A short value is a word like any other, as those of emulators are, and a line without it could not be read.
    let mut found: Vec<_> =
        text.filter(|(name, value)| value.len() >= 8 && secret(name)).map(|(_, value)| value).collect();
    // Of a shared access signature, what signs is secret by itself, however it is written.
    let signs =
        |value: &String| value.split_once("sig=").map(|(_, sig)| sig.split('&').next().unwrap_or(sig).to_owned());
    let signatures: Vec<_> = found.iter().filter_map(signs).filter(|sig| sig.len() >= 8).collect();
    let plain = |sig: &String| sig.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    found.extend(signatures.iter().map(plain));
    found.extend(signatures);
    found.sort_by_key(|value| std::cmp::Reverse(value.len()));
    found
}

fn hidden(text: &str, secrets: &[String]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
}

/// Standard error, for a log: each write is a line.
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        say(String::from_utf8_lossy(line).trim_end_matches('\n'));
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What was written, on standard output: a table for people, or JSON for machines.
pub(crate) fn report(report: &Report, out: &Path, json: bool, elapsed: Duration) -> anyhow::Result<()> {
    match json {
        true => print(&format!("{}\n", plain_json(&as_json(report)))),
        false => print(&as_text(report, out, elapsed)),
    }
}

/// JSON without what a terminal acts on. Outside its strings there are line breaks at most, and within them an escape means
/// the same.
pub(crate) fn plain_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmful(c) && c != '\n' {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

/// A word of a report, all of it, escaped.
fn word(text: impl std::fmt::Display) -> String {
    escape(&text.to_string(), usize::MAX)
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
        // In an object store each attempt has its own, and a table may have files of several.
        let folder = match folder.rsplit_once('/') {
            Some((table, attempt)) if AttemptId::parse(attempt).is_some() => table,
            _ => folder,
        };
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
            word(out.join(folder).display())
        ));
    }
    if report.receipt.already_published {
        text.push_str(&format!(
            "already published, nothing was changed; see {}\nanother --slot or --out makes another run\n",
            word(&report.receipt.manifest)
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
        text.push_str(&format!("  {count:>8}  {reason:<14}  {}\n", escape(path, 200)));
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
    text.push_str(&format!("published; see {}\n", word(&report.receipt.manifest)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_stores_are_shown_nowhere() {
        let environment = [
            ("AWS_SECRET_ACCESS_KEY", "SECRET+1/2="),
            ("AWS_SESSION_TOKEN", "SECRET+1/2=longer"),
            ("AZURE_STORAGE_SAS_KEY", "sv=1&sig=SECRET%2B1&se=2"),
            ("AWS_ACCESS_KEY_ID", "short"),
            ("AWS_ENDPOINT", "http://127.0.0.1:1"),
            ("SOME_KEY", "not of a store"),
        ];
        let secrets = secrets(environment.into_iter().map(|(name, value)| (name.into(), value.into())));
        let said = "SECRET+1/2=longer SECRET+1/2= ?sv=1&sig=SECRET%2B1&se=2 SECRET%2B1 SECRET+1 short http://127.0.0.1:1 not of a store";
        assert_eq!(hidden(said, &secrets), "*** *** ?*** *** *** short http://127.0.0.1:1 not of a store");
    }
}
