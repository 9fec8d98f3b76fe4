//! The newline-delimited JSON format of Pagemill's file sink.
//!
//! | module | what it holds |
//! |---|---|
//! | `lib` | [`Ndjson`], the format, and its encoder |
//! | `column` | one row of one column, by type |
//! | `scalar` | strings, integers, floats, moments as JSON |
//! | `json_text` | JSON inside JSON: checked, its white space dropped |
//!
//! A file holds one JSON object a row, in UTF-8, each closed by `\n`. All columns are in all rows, in the order of the schema,
//! nulls included, so that a reader which looks at the first rows alone sees every column. A row never holds anything that
//! any reader takes for a line break: control characters (C0, DEL, C1), U+2028 and U+2029 are written as escapes.
//!
//! | column | JSON |
//! |---|---|
//! | text | a string |
//! | boolean, integers | as they are; 64 bits exactly |
//! | `Float64` | the shortest number that reads back as the same double |
//! | `Timestamp(µs, UTC)` | `"2026-11-23T10:00:00Z"`, with 3 or 6 digits of a second when it has any |
//! | JSON text (`arrow.json`) | the JSON itself |
//! | `Struct`, `List` | an object, an array |
//! | `Binary` | a string of hexadecimal digits |

mod column;
mod json_text;
mod scalar;

use std::sync::Arc;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use bytes::Bytes;
use pagemill_core::Result;
use pagemill_sink::{Encoder, Format};

use column::Column;

/// The newline-delimited JSON format; it has no options.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ndjson;

impl Ndjson {
    /// The format, ready for a [`FileSink`](pagemill_sink::FileSink).
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self)
    }
}

impl Format for Ndjson {
    fn name(&self) -> &str {
        "ndjson"
    }

    fn extension(&self) -> &str {
        "ndjson"
    }

    fn encoder(&self, schema: SchemaRef) -> Result<Box<dyn Encoder>> {
        let mut keys = Vec::with_capacity(schema.fields().len());
        for (at, field) in schema.fields().iter().enumerate() {
            column::check(field, field.name())?;
            keys.push(column::key(if at == 0 { "{" } else { "," }, field.name()));
        }
        Ok(Box::new(RowEncoder { schema, keys, out: Vec::new() }))
    }

    fn describe(&self) -> String {
        "v1".to_owned()
    }
}

struct RowEncoder {
    schema: SchemaRef,
    /// What precedes each value: `{"id":`, then `,"name":` and so on.
    keys: Vec<Vec<u8>>,
    out: Vec<u8>,
}

impl Encoder for RowEncoder {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let fields = self.schema.fields().iter().zip(rows.columns());
        let columns: Vec<_> = fields.map(|(f, c)| Column::new(f, c)).collect::<Result<_>>()?;
        for row in 0..rows.num_rows() {
            if columns.is_empty() {
                self.out.push(b'{');
            }
            for (key, column) in self.keys.iter().zip(&columns) {
                self.out.extend_from_slice(key);
                column.write(row, &mut self.out)?;
            }
            self.out.extend_from_slice(b"}\n");
        }
        Ok(())
    }

    fn take(&mut self) -> Vec<Bytes> {
        if self.out.is_empty() {
            return Vec::new();
        }
        // The next batch is about as large.
        let next = Vec::with_capacity(self.out.len());
        vec![std::mem::replace(&mut self.out, next).into()]
    }

    fn buffered(&self) -> usize {
        self.out.len()
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<Bytes>> {
        Ok(self.take())
    }
}
