//! Whether what was published is still what was written.

use pagemill::{Error, ErrorKind};
use pagemill_sink::{LocalPublished, Published};
use pagemill_verify::{Rebuild, Report, Severity, Which, verify};

use crate::{args::Verify, place::Place, plan, show, store};

/// Checks, reports a finding a line, and fails when something is wrong.
pub(crate) fn run(args: &Verify) -> anyhow::Result<()> {
    let published: Box<dyn Published> = match Place::of(&args.out)? {
        Place::Folder(folder) => Box::new(LocalPublished::new(folder)),
        Place::Store(address) => Box::new(store::published(&address)?),
    };
    let which = Which { dataset: args.which.dataset.clone(), slot: args.which.slot.clone() };
    let rebuild = match args.resource.as_deref().filter(|_| !args.rebuild.is_empty()) {
        None => None,
        Some(name) => Some(Rebuild::new(&plan::resource(name)?, &args.rebuild)?),
    };
    let mut report = verify(&*published, &which)?;
    // Tables that are damaged differ from their pages; that says nothing new.
    if let Some(rebuild) = rebuild.filter(|_| report.worst() != Some(Severity::Damage)) {
        rebuild.compare(&*published, &which, &mut report)?;
    }
    show::print(&if args.json { json(&report) } else { text(&report, !args.rebuild.is_empty()) })?;
    let wrong = report.findings.iter().filter(|f| f.severity == Severity::Damage).count() as u64 + report.more;
    match report.worst() {
        Some(Severity::Damage) => {
            Err(Error::data(format!("what is published is not what was written: {wrong} findings")).into())
        }
        Some(Severity::Unfinished) => {
            let error = Error::new(ErrorKind::Busy, "a run is committed and not all in place");
            Err(error.advise("run the same export again, which finishes it").into())
        }
        _ => Ok(()),
    }
}

fn text(report: &Report, compared: bool) -> String {
    let mut text: String = report.findings.iter().map(|finding| format!("{finding}\n")).collect();
    if report.more > 0 {
        text.push_str(&format!("and {} more\n", report.more));
    }
    let Report { runs, files, bytes, rows, records, .. } = report;
    text.push_str(&format!("{runs} manifests, {files} files, {bytes} bytes, {rows} rows checked"));
    if compared {
        text.push_str(&format!("; {records} records are those of the pages"));
    }
    text + "\n"
}

fn json(report: &Report) -> String {
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|f| serde_json::json!({"severity": f.severity.as_str(), "place": f.place, "what": f.what}))
        .collect();
    let Report { runs, files, bytes, rows, records, repeated, unidentified, more, .. } = report;
    let report = serde_json::json!({
        "worst": report.worst().map(Severity::as_str), "manifests": runs, "files": files, "bytes": bytes, "rows": rows,
        "records": records, "duplicate_ids": repeated, "missing_ids": unidentified, "findings": findings, "more": more,
    });
    format!("{report}\n")
}
