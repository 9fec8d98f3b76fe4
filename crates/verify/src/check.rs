//! Files against their manifest, and manifests against what is there.

use std::{
    collections::{BTreeSet, HashSet},
    io::Read,
};

use arrow::array::RecordBatch;
use pagemill_core::{Error, FileEntry, Result, Slot, TableName, TableSchema};
use pagemill_sink::{
    Manifest,
    list::{Opened, Published, RunKey},
    manifest::{ColumnEntry, TableEntry},
    seal::{self, Seal},
};
use sha2::{Digest, Sha256};

use crate::{
    identifiers::Identifiers,
    read::{self, Kind, Stream},
    report::{Report, Severity, quoted},
    rows::Ledger,
};

/// Bytes that are hashed at a time.
const CHUNK: usize = 256 << 10;

/// Which runs to look at. The default is all of them.
#[derive(Clone, Debug, Default)]
pub struct Which {
    /// Those of this dataset.
    pub dataset: Option<TableName>,
    /// Those of this slot.
    pub slot: Option<Slot>,
}

impl Which {
    /// Whether `run` is one of them.
    #[must_use]
    pub fn picks(&self, run: &RunKey) -> bool {
        self.dataset.as_ref().is_none_or(|d| *d == run.dataset)
            && self.slot.as_ref().is_none_or(|s| Some(s) == run.slot.as_ref())
    }

    fn all(&self) -> bool {
        self.dataset.is_none() && self.slot.is_none()
    }
}

/// Checks every file of the runs that `which` picks: that it is there, has the size and the SHA-256 of the manifest, opens, and
/// has the columns and rows that the manifest says; that the rows of the tables fit together; and that nothing else is in the
/// published folders.
///
/// # Errors
/// [`Config`](pagemill_core::ErrorKind::Config) when there is no such run; [`Io`](pagemill_core::ErrorKind::Io) when the place cannot be looked at. What is wrong with
/// the data is no error: it is in the report.
pub fn verify(published: &dyn Published, which: &Which) -> Result<Report> {
    let runs: Vec<_> = published.runs()?.into_iter().filter(|run| which.picks(run)).collect();
    if runs.is_empty() {
        return Err(
            Error::config("there is no manifest of what is asked for").advise("name the place that was given as --out")
        );
    }
    let mut report = Report::default();
    let mut known = Known::default();
    for run in runs {
        report.runs += 1;
        match manifest(published, &run, &mut report) {
            None => known.doubtful.push(run),
            Some(manifest) => {
                Check { published, run: &run, manifest: &manifest, report: &mut report }.run();
                known.add(run, &manifest);
            }
        }
    }
    known.strangers(published, which.all(), &mut report)?;
    Ok(report)
}

/// The manifest of a run, if it can be relied on.
fn manifest(published: &dyn Published, run: &RunKey, report: &mut Report) -> Option<Manifest> {
    let place = published.manifest_place(run);
    let bytes = match published.manifest(run) {
        Ok(bytes) => bytes,
        Err(error) => {
            report.damage(&place, said(&error));
            return None;
        }
    };
    if seal::check(&bytes) == Seal::Broken {
        report.damage(
            &place,
            "the manifest is not what it was: its checksum is another; nothing that it says was checked",
        );
        return None;
    }
    let manifest = match published.parse(run, &bytes) {
        Ok(manifest) => manifest,
        Err(error) => {
            report.damage(&place, said(&error));
            return None;
        }
    };
    if seal::check(&bytes) == Seal::Missing {
        // All that this program would not have written itself.
        let bare = |bytes: Vec<u8>| seal::unsealed(&bytes).unwrap_or(bytes);
        if !manifest.to_bytes().is_ok_and(|written| bare(written) == bytes) {
            report.damage(&place, "the manifest is not as it was written, or was written by a later version");
        }
    }
    Some(manifest)
}

/// The runs that were looked at, and what their manifests name.
#[derive(Default)]
struct Known {
    files: HashSet<String>,
    /// The published folders, and the tables.
    folders: BTreeSet<String>,
    tables: BTreeSet<String>,
    /// Runs of whose files nothing is known.
    doubtful: Vec<RunKey>,
    /// The runs, by name.
    seen: HashSet<String>,
}

impl Known {
    fn add(&mut self, run: RunKey, manifest: &Manifest) {
        self.seen.insert(run.to_string());
        self.files.extend(manifest.files.iter().map(|file| file.path.clone()));
        for table in &manifest.tables {
            self.tables.insert(table.name.clone());
            self.folders.insert(relative(&table.name, &run));
        }
    }

    /// Reports files in published folders that no manifest names. With `all`, also those in the folders around the slots.
    fn strangers(mut self, published: &dyn Published, all: bool, report: &mut Report) -> Result<()> {
        let folders = if all { &self.tables } else { &self.folders };
        let mut strangers = Vec::new();
        for folder in folders {
            let found = published.contents(folder)?;
            strangers.extend(found.into_iter().filter(|path| !self.files.contains(path)));
        }
        strangers.retain(|path| !self.doubtful.iter().any(|run| may_be_of(path, run)));
        if !strangers.is_empty() {
            // A run may have been published while the others were looked at.
            for run in published.runs()?.into_iter().filter(|run| !self.seen.contains(&run.to_string())) {
                let manifest = published.manifest(&run).and_then(|bytes| published.parse(&run, &bytes));
                self.files.extend(manifest.into_iter().flat_map(|m| m.files).map(|file| file.path));
            }
            strangers.retain(|path| !self.files.contains(path));
        }
        for path in strangers {
            report.damage(published.place(&path), "no manifest names it, and readers of the folder would read it");
        }
        Ok(())
    }
}

/// The published folder of a table.
fn relative(table: &str, run: &RunKey) -> String {
    match &run.slot {
        None => table.to_owned(),
        Some(slot) => format!("{table}/{slot}"),
    }
}

/// Whether `path` lies where `run` would have put a table of any name.
fn may_be_of(path: &str, run: &RunKey) -> bool {
    let Some((table, _)) = path.split_once('/') else { return false };
    path.strip_prefix(&relative(table, run)).is_some_and(|rest| rest.starts_with('/'))
}

/// The error with its causes, as one line.
pub(crate) fn said(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {}", quoted(&error.to_string())));
        cause = error.source();
    }
    text
}

/// The files of a table, in the order of their rows.
pub(crate) fn parts<'a>(manifest: &'a Manifest, table: &str) -> Vec<&'a FileEntry> {
    let mut parts: Vec<_> = manifest.files.iter().filter(|file| file.table == table).collect();
    // By name alone: in an object store the folders before it are those of attempts, one of which may have gone on from another.
    let name = |file: &'a FileEntry| file.path.rsplit_once('/').map_or(file.path.as_str(), |(_, name)| name);
    // Numbers of more digits come later.
    parts.sort_by_key(|file| (name(file).len(), name(file)));
    parts
}

/// What looks at the rows of a file, and may find fault with them.
type Look<'a> = dyn FnMut(&RecordBatch) -> std::result::Result<(), String> + 'a;

/// One run being checked.
struct Check<'a> {
    published: &'a dyn Published,
    run: &'a RunKey,
    manifest: &'a Manifest,
    report: &'a mut Report,
}

impl Check<'_> {
    fn run(mut self) {
        let place = self.published.manifest_place(self.run);
        self.look_for_unfinished();
        let mut paths = HashSet::new();
        for file in self.manifest.files.iter().filter(|file| !paths.insert(&file.path)) {
            self.report.damage(&place, format!("the manifest names {} twice", quoted(&file.path)));
        }
        let kind = self.kind(&place);
        let root = self.run.dataset.as_str();
        let mut ledger = Ledger::new(root, self.manifest);
        let mut identifiers = Identifiers::new(root, self.manifest);
        let mut whole = kind.is_some();
        for table in &self.manifest.tables {
            if fingerprint(&table.columns).as_deref() != Some(&table.fingerprint) {
                self.report.damage(&place, format!("the fingerprint of {} is not that of its columns", table.name));
            }
            let parts = parts(self.manifest, &table.name);
            if parts.is_empty() {
                self.report.damage(&place, format!("the manifest names no file of {}", table.name));
                whole = false;
            }
            for file in parts {
                let mut look = |rows: &RecordBatch| {
                    ledger.take(&table.name, rows)?;
                    identifiers.as_mut().filter(|_| table.name == root).map_or(Ok(()), |ids| ids.take(rows))
                };
                whole &= self.file(file, table, kind, &mut look).is_some();
            }
        }
        if whole {
            ledger.sums(self.manifest).into_iter().for_each(|what| self.report.damage(&place, what));
            if let (Some(ids), Some(kind)) = (identifiers, kind) {
                self.count(ids, root, kind, &place);
            }
        }
    }

    /// Counts identifiers; the rows have been taken once, and are read again as often as it needs.
    fn count(&mut self, mut ids: Identifiers, root: &str, kind: Kind, place: &str) {
        let Some(table) = self.manifest.tables.iter().find(|table| table.name == root) else { return };
        while ids.next_pass() {
            for file in parts(self.manifest, root) {
                let read = self.published.open(self.run, self.manifest, file).and_then(|opened| {
                    let opened = opened.ok_or_else(|| Error::io(format!("{} has gone", quoted(&file.path))))?;
                    read::open(kind, &opened.bytes, table)?
                        .try_for_each(|rows| rows.and_then(|rows| ids.take(&rows).map_err(Error::data)))
                });
                if let Err(error) = read {
                    return self.report.damage(place, said(&error));
                }
            }
        }
        self.report.repeated += ids.again;
        self.report.unidentified += ids.missing;
        if ids.again > 0 || ids.missing > 0 {
            let what = format!(
                "of {} records {} have the identifier of an earlier one and {} have none; they are kept as they were sent",
                self.manifest.rows, ids.again, ids.missing
            );
            self.report.add(Severity::Note, place, what);
        }
    }

    fn look_for_unfinished(&mut self) {
        let place = self.published.manifest_place(self.run);
        match self.published.unfinished(self.run, self.manifest) {
            Ok(None) => {}
            Ok(Some(left)) if left.tables.is_empty() => {
                let what = "left over from publishing, and empty of data; the next run of the slot, or gc, removes it";
                self.report.add(Severity::Note, left.place, what);
            }
            Ok(Some(left)) => {
                let names: Vec<_> = left.tables.iter().map(TableName::as_str).collect();
                let what = format!(
                    "committed, and {} not yet moved into place; run the same export again: it moves them and writes nothing anew",
                    names.join(", ")
                );
                self.report.add(Severity::Unfinished, left.place, what);
            }
            Err(error) => self.report.damage(place, said(&error)),
        }
    }

    /// The kind of the run's files; `None` when this program cannot read them.
    fn kind(&mut self, place: &str) -> Option<Kind> {
        let name = &self.manifest.format;
        let option = self.manifest.config.get("sink.format").map(|text| text.split(' ').next().unwrap_or_default());
        if option.is_some_and(|option| option != name) {
            self.report
                .damage(place, format!("the manifest's format is {}, and its options say another", quoted(name)));
            return None;
        }
        let kind = Kind::named(name);
        if kind.is_none() {
            let what =
                format!("the format {} is none of ours: files are checked by size and checksum alone", quoted(name));
            self.report.add(Severity::Note, place, what);
        }
        kind
    }

    /// Checks a file; `None` when its rows are not known.
    fn file(&mut self, file: &FileEntry, table: &TableEntry, kind: Option<Kind>, look: &mut Look<'_>) -> Option<()> {
        let expected = self.published.place(&file.path);
        let opened = match self.published.open(self.run, self.manifest, file) {
            Ok(Some(opened)) => opened,
            Ok(None) => {
                self.report.damage(expected, "it is missing");
                return None;
            }
            Err(error) => {
                self.report.damage(expected, said(&error));
                return None;
            }
        };
        if kind.is_some_and(|kind| file.path.rsplit_once('.').is_none_or(|(_, ext)| ext != kind.extension())) {
            self.report.damage(&opened.place, "its name does not end as those of its format do");
        }
        if let Err(what) = same_bytes(&opened, file, self.report) {
            self.report.damage(&opened.place, what);
            return None;
        }
        match self.rows(&opened, file, table, kind?, look) {
            Ok(()) => Some(()),
            Err(what) => {
                self.report.damage(&opened.place, what);
                None
            }
        }
    }

    fn rows(
        &mut self,
        opened: &Opened,
        file: &FileEntry,
        table: &TableEntry,
        kind: Kind,
        look: &mut Look<'_>,
    ) -> std::result::Result<(), String> {
        let mut rows = read::open(kind, &opened.bytes, table).map_err(|e| said(&e))?;
        let found = TableSchema {
            name: TableName::new(&table.name).map_err(|e| said(&e))?,
            schema: std::sync::Arc::clone(&rows.schema),
        };
        let found = TableEntry::new(&found).map_err(|e| said(&e))?;
        if found.columns != table.columns {
            return Err(format!(
                "its columns are not those of the manifest: {}",
                difference(&found.columns, &table.columns)
            ));
        }
        let mut count = 0_u64;
        let mut fault = None;
        for batch in &mut rows {
            let batch = batch.map_err(|e| said(&e))?;
            count += batch.num_rows() as u64;
            self.report.rows += batch.num_rows() as u64;
            if let Err(what) = look(&batch) {
                fault.get_or_insert(what);
            }
        }
        if count != file.rows {
            return Err(format!("it has {count} rows where the manifest says {}", file.rows));
        }
        fault.map_or(Ok(()), Err)
    }
}

/// Whether a file has the size and the checksum of the manifest.
fn same_bytes(opened: &Opened, file: &FileEntry, report: &mut Report) -> std::result::Result<(), String> {
    let size = opened.bytes.size();
    if size != file.bytes {
        return Err(format!("it has {size} bytes where the manifest says {}", file.bytes));
    }
    let mut hash = Sha256::new();
    let mut stream = Stream::new(&opened.bytes).take(size);
    let mut chunk = vec![0; CHUNK.min(usize::try_from(size).unwrap_or(CHUNK)).max(1)];
    loop {
        let read = stream.read(&mut chunk).map_err(|e| format!("it cannot be read: {e}"))?;
        match chunk.get(..read) {
            Some(bytes) if !bytes.is_empty() => hash.update(bytes),
            _ => break,
        }
    }
    report.files += 1;
    report.bytes += size;
    if hex(&hash.finalize()) != file.sha256 {
        return Err("its bytes are not those that were written: its SHA-256 is another than the manifest's".to_owned());
    }
    Ok(())
}

/// What [`TableEntry::fingerprint`] is made as.
fn fingerprint(columns: &[ColumnEntry]) -> Option<String> {
    Some(hex(&Sha256::digest(serde_json::to_vec(columns).ok()?)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The first column that differs.
fn difference(found: &[ColumnEntry], expected: &[ColumnEntry]) -> String {
    let brief = |c: Option<&ColumnEntry>| {
        c.map_or("nothing".to_owned(), |c| {
            let null = if c.nullable { "" } else { ", not null" };
            let extension = c.extension.as_ref().map_or(String::new(), |e| format!(" as {}", quoted(e)));
            format!("{} of type {}{extension}{null}", quoted(&c.name), quoted(&c.kind))
        })
    };
    let at = (0..found.len().max(expected.len())).find(|i| found.get(*i) != expected.get(*i)).unwrap_or(0);
    match (found.get(at), expected.get(at)) {
        (Some(f), Some(e)) if f.children != e.children => {
            format!("within {}, {}", quoted(&f.name), difference(&f.children, &e.children))
        }
        (f, e) => format!("{} where it should be {}", brief(f), brief(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_in_the_order_of_their_rows_whoever_wrote_them() {
        let paths =
            ["m/d=1/f00/part-00000.x", "m/d=1/a00/part-00001.x", "m/d=1/b00/part-99999.x", "m/d=1/a00/part-100000.x"];
        let file = |path: &str| serde_json::json!({"table": "m", "path": path, "rows": 1, "bytes": 1, "sha256": ""});
        // As a manifest lists them, and the other way round.
        for order in [paths.to_vec(), paths.iter().rev().copied().collect()] {
            let manifest = serde_json::json!({
                "version": 1, "run": "m/d=1", "attempt": "", "writer": "", "format": "x", "config": {}, "tables": [],
                "files": order.into_iter().map(file).collect::<Vec<_>>(), "pages": 0, "rows": 4, "bad": 0, "summary": null,
            });
            let manifest: Manifest = serde_json::from_value(manifest).expect("a manifest");
            let sorted: Vec<_> = parts(&manifest, "m").into_iter().map(|file| file.path.as_str()).collect();
            assert_eq!(sorted, paths);
        }
    }
}
