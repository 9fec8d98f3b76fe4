//! A plain format, for speed: a line for each row, and a first and a last line, so that a cut shows.

use std::fmt::Write;

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{Int64Type, SchemaRef},
};
use bytes::Bytes;
use pagemill::{Encoder, Format, Result};

/// The format.
pub struct Lines;

struct LinesEncoder(String);

impl Format for Lines {
    fn name(&self) -> &str {
        "lines"
    }

    fn extension(&self) -> &str {
        "txt"
    }

    fn encoder(&self, _: SchemaRef) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(LinesEncoder("begin\n".to_owned())))
    }

    fn describe(&self) -> String {
        String::new()
    }
}

impl Encoder for LinesEncoder {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let numbers = |column| rows.column(column).as_primitive::<Int64Type>();
        let text = rows.column(3).as_string::<i32>();
        for row in 0..rows.num_rows() {
            let (page, idx, serve) = (numbers(0).value(row), numbers(1).value(row), numbers(2).value(row));
            let _ = writeln!(self.0, "{page}\t{idx}\t{serve}\t{}", text.value(row));
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
        self.0.push_str("end\n");
        Ok(self.take())
    }
}
