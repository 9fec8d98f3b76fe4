//! Records that could not be read.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use bytes::Bytes;

use crate::{Hold, Result, Table, TableName, TableSchema};

/// A record that is not JSON, has duplicate names or breaks a limit: where, why, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// Ordinal of the page in the run, from 0.
    pub page: u64,
    /// Ordinal of the record in its page, from 0, good and bad ones counted.
    pub record: u64,
    /// Byte offset of the record in the (decompressed) page.
    pub offset: u64,
    /// Byte offset in the page at which the rule was broken.
    pub error_offset: u64,
    /// JSON path from the record, such as `$.emails[1]`.
    pub path: String,
    /// The rule that was broken.
    pub reason: String,
    /// The record, byte for byte.
    pub bytes: Bytes,
}

/// The table `<root>__quarantine`: `page`, `record`, `offset`, `error_offset`, `path`, `reason`, `bytes`.
#[must_use]
pub fn schema(root: &TableName) -> TableSchema {
    let int = |name| Field::new(name, DataType::Int64, false);
    let text = |name| Field::new(name, DataType::Utf8, false);
    let fields = vec![
        int("page"),
        int("record"),
        int("offset"),
        int("error_offset"),
        text("path"),
        text("reason"),
        Field::new("bytes", DataType::Binary, false),
    ];
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    TableSchema { name: TableName::quarantine(root), schema }
}

/// The rows of [`schema`] for `bad`, in order.
///
/// # Errors
/// When the columns do not fit together, which would be a bug.
pub fn table(root: &TableName, bad: &[BadRecord]) -> Result<Table> {
    let TableSchema { name, schema } = schema(root);
    let int = |f: fn(&BadRecord) -> u64| -> ArrayRef {
        Arc::new(bad.iter().map(|b| i64::try_from(f(b)).ok()).collect::<Int64Array>())
    };
    let columns: Vec<ArrayRef> = vec![
        int(|b| b.page),
        int(|b| b.record),
        int(|b| b.offset),
        int(|b| b.error_offset),
        Arc::new(StringArray::from_iter_values(bad.iter().map(|b| &b.path))),
        Arc::new(StringArray::from_iter_values(bad.iter().map(|b| &b.reason))),
        Arc::new(BinaryArray::from_iter_values(bad.iter().map(|b| &b.bytes))),
    ];
    Ok(Table { name, rows: RecordBatch::try_new(schema, columns)?, hold: Hold::default() })
}
