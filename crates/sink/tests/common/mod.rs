//! A small format, a run to write with it, and a reader.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{AsArray, Int64Array, RecordBatch},
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef},
};
use bytes::Bytes;
use pagemill_core::{Checkpoint, Cursor, Hold, Position, Result, Run, Sink, Slot, Table, TableName, TableSchema};
use pagemill_sink::{AttemptId, Disk, Encoder, FileSink, Format, LocalStore, conformance::sink::Seen};

/// One number a line; a first and a last line, so that an empty file is not empty.
pub(crate) struct Lines;

struct LinesEncoder(Vec<u8>);

impl Format for Lines {
    fn name(&self) -> &str {
        "lines"
    }
    fn extension(&self) -> &str {
        "txt"
    }
    fn encoder(&self, schema: SchemaRef) -> Result<Box<dyn Encoder>> {
        let table = &schema.metadata()[pagemill_sink::format::TABLE_KEY];
        Ok(Box::new(LinesEncoder(format!("# {table}\n").into_bytes())))
    }
    fn describe(&self) -> String {
        String::new()
    }
}

impl Encoder for LinesEncoder {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        for n in rows.column(0).as_primitive::<Int64Type>().values() {
            self.0.extend_from_slice(format!("{n}\n").as_bytes());
        }
        Ok(())
    }
    fn take(&mut self) -> Vec<Bytes> {
        if self.0.is_empty() { Vec::new() } else { vec![std::mem::take(&mut self.0).into()] }
    }
    fn buffered(&self) -> usize {
        self.0.len()
    }
    fn finish(mut self: Box<Self>) -> Result<Vec<Bytes>> {
        self.0.extend_from_slice(b"# end\n");
        Ok(self.take())
    }
}

pub(crate) fn sink(out: &Path) -> FileSink {
    FileSink::new(out, Arc::new(Lines))
}

pub(crate) fn sink_on(out: &Path, disk: impl Disk + 'static) -> FileSink {
    FileSink::to(LocalStore::new(out).disk(disk), Arc::new(Lines))
}

pub(crate) fn sink_called(out: &Path, id: AttemptId) -> FileSink {
    FileSink::to(LocalStore::new(out).attempt_id(id), Arc::new(Lines))
}

pub(crate) fn name(name: &str) -> TableName {
    TableName::new(name).expect("a name")
}

pub(crate) fn run(slot: Option<&str>) -> Run {
    Run {
        dataset: name("m"),
        slot: slot.map(|s| Slot::new(s).expect("a slot")),
        config: BTreeMap::new(),
        pages: pagemill_core::Pages::default(),
    }
}

pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

/// `m`, its child `m_c` that has no row on the first page, and `m_e` that has none at all.
pub(crate) fn tables() -> Vec<TableSchema> {
    ["m", "m_c", "m_e"].map(|t| TableSchema { name: name(t), schema: schema() }).to_vec()
}

pub(crate) fn rows(table: &str, rows: impl IntoIterator<Item = i64>) -> Table {
    let rows = Int64Array::from_iter_values(rows);
    let rows = RecordBatch::try_new(schema(), vec![Arc::new(rows)]).expect("fits");
    Table { name: name(table), rows, hold: Hold::default() }
}

/// Writes 4 pages of 3 rows.
pub(crate) async fn write_all(sink: &mut dyn Sink) -> Result<()> {
    write_from(sink, 0).await
}

/// Writes the pages from `first` on, of those.
pub(crate) async fn write_from(sink: &mut dyn Sink, first: u64) -> Result<()> {
    for page in first as i64..4 {
        let first = page * 3;
        sink.write(rows("m", first..first + 3)).await?;
        if page > 0 {
            sink.write(rows("m_c", first..first + 1)).await?;
        }
        let next = if page == 3 { Position::End } else { Position::Next(Cursor::new(format!("secret-cursor-{page}"))) };
        sink.checkpoint(
            Checkpoint { pages: page as u64 + 1, rows: first as u64 + 3, bad: 0, next },
            &serde_json::Value::Null,
        )
        .await?;
    }
    Ok(())
}

/// What [`write_all`] wrote, once for each slot.
pub(crate) fn written() -> Seen {
    BTreeMap::from([
        ("m".to_owned(), (0..12).collect()),
        ("m_c".to_owned(), vec![3, 6, 9]),
        ("m_e".to_owned(), Vec::new()),
    ])
}

/// All files below a folder, by path from it, in order.
pub(crate) fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let name = path.strip_prefix(root).expect("below").to_owned();
                found.insert(name, fs::read(&path).expect("file"));
            }
        }
    }
    found
}

/// What a reader of the output folder sees; every file must be whole.
pub(crate) fn seen(out: &Path) -> Seen {
    let mut seen = Seen::new();
    for (path, bytes) in files(out) {
        let table = path.iter().next().expect("a table").to_str().expect("utf-8").to_owned();
        let text = String::from_utf8(bytes).expect("text");
        let body = text.strip_prefix(&format!("# {table}\n")).and_then(|t| t.strip_suffix("# end\n"));
        let body = body.unwrap_or_else(|| panic!("{} is not whole", path.display()));
        seen.entry(table).or_default().extend(body.lines().map(|l| l.parse::<i64>().expect("a number")));
    }
    seen
}
