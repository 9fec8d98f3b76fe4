//! Files turned into rows by other people's code: the readers of the crates arrow and parquet, and serde_json.

use std::{io::Cursor, sync::Arc};

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::Int64Type,
    ipc::reader::FileReader,
};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

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

/// The rows of a file whose name ends in `.{extension}`.
///
/// # Errors
/// When it is not a whole file of that kind.
pub fn rows(extension: &str, data: &Arc<Vec<u8>>) -> Result<Vec<Row>, String> {
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
