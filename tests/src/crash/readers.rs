//! Files turned into rows by other people's code: the readers of the crates arrow and parquet, and serde_json.
//!
//! The sinks write with those crates, too. So every file that is read can be left, with what was read, for readers that have nothing
//! to do with them.

use std::{
    collections::HashSet,
    fs,
    io::Cursor,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::Int64Type,
    ipc::reader::FileReader,
};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A row of any of the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The page that it was on.
    pub page: i64,
    /// Its place there.
    pub idx: i64,
    /// Which serving of the page it was.
    pub serve: i64,
    /// What it says.
    pub text: String,
}

/// Where files are left for other readers, and which of them are there.
static LEFT: Mutex<Option<(PathBuf, HashSet<String>)>> = Mutex::new(None);

/// From now on, leaves each file that is read in the folder `dir`, once, with the rows that were read.
pub fn leave_in(dir: &Path) {
    *LEFT.lock().unwrap_or_else(PoisonError::into_inner) = Some((dir.to_owned(), HashSet::new()));
}

/// The number of files that were left.
#[must_use]
pub fn left() -> usize {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, |(_, names)| names.len())
}

fn leave(extension: &str, data: &[u8], rows: &[Row]) {
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((dir, names)) = left.as_mut() else { return };
    let digits: String = Sha256::digest(data).iter().map(|b| format!("{b:02x}")).collect();
    if !names.insert(format!("{digits}.{extension}")) {
        return;
    }
    let rows: Vec<_> = rows.iter().map(|row| serde_json::json!([row.page, row.idx, row.serve, row.text])).collect();
    fs::create_dir_all(&*dir).expect("a folder");
    fs::write(dir.join(format!("{digits}.{extension}")), data).expect("a file");
    fs::write(dir.join(format!("{digits}.{extension}.rows")), Value::from(rows).to_string()).expect("a file");
}

/// The rows of a file whose name ends in `.{extension}`.
///
/// # Errors
/// When it is not a whole file of that kind.
pub fn rows(extension: &str, data: &Arc<Vec<u8>>) -> Result<Vec<Row>, String> {
    let rows = read(extension, data)?;
    leave(extension, data, &rows);
    Ok(rows)
}

fn read(extension: &str, data: &Arc<Vec<u8>>) -> Result<Vec<Row>, String> {
    match extension {
        "txt" => lines(data),
        "ndjson" => ndjson(data),
        "parquet" => {
            let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(data.to_vec()))
                .and_then(|builder| builder.build())
                .map_err(|e| e.to_string())?;
            batches(reader)
        }
        "arrow" => batches(FileReader::try_new(Cursor::new(data.to_vec()), None).map_err(|e| e.to_string())?),
        other => Err(format!("no reader for {other}")),
    }
}

fn batches<E: ToString>(reader: impl Iterator<Item = Result<RecordBatch, E>>) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|e| e.to_string())?;
        let numbers = |name| {
            let column = batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int64Type>());
            column.ok_or_else(|| format!("no numbers {name}"))
        };
        let (page, idx, serve) = (numbers("page")?, numbers("idx")?, numbers("serve")?);
        let text = batch.column_by_name("text").and_then(|c| c.as_string_opt::<i32>()).ok_or("no text")?;
        rows.extend((0..batch.num_rows()).map(|row| Row {
            page: page.value(row),
            idx: idx.value(row),
            serve: serve.value(row),
            text: text.value(row).to_owned(),
        }));
    }
    Ok(rows)
}

fn lines(data: &[u8]) -> Result<Vec<Row>, String> {
    let text = std::str::from_utf8(data).map_err(|e| e.to_string())?;
    let body = text.strip_prefix("begin\n").and_then(|t| t.strip_suffix("end\n")).ok_or("not whole")?;
    let row = |line: &str| {
        let mut parts = line.split('\t');
        let mut number = || parts.next().and_then(|n| n.parse().ok());
        let (page, idx, serve) = (number()?, number()?, number()?);
        Some(Row { page, idx, serve, text: parts.next()?.to_owned() })
    };
    body.lines().map(|line| row(line).ok_or_else(|| format!("the line {line:?}"))).collect()
}

fn ndjson(data: &[u8]) -> Result<Vec<Row>, String> {
    if !data.is_empty() && !data.ends_with(b"\n") {
        return Err("the last line does not end".to_owned());
    }
    let row = |line: &[u8]| {
        let value: Value = serde_json::from_slice(line).map_err(|e| e.to_string())?;
        let number = |name| value.get(name).and_then(Value::as_i64).ok_or_else(|| format!("no number {name}"));
        let text = value.get("text").and_then(Value::as_str).ok_or("no text")?.to_owned();
        Ok(Row { page: number("page")?, idx: number("idx")?, serve: number("serve")?, text })
    };
    data.split_inclusive(|b| *b == b'\n').map(row).collect()
}
