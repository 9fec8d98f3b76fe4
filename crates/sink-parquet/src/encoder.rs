//! A file in the making: row groups, column by column.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::{FieldRef, Schema, SchemaRef},
};
use bytes::Bytes;
use pagemill_core::{Error, Result, resource::is_json};
use pagemill_sink::{Encoder, Workers, recut::batch_bytes};
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_writer::{
            ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves,
        },
    },
    basic::Encoding,
    errors::{ParquetError, Result as ParquetResult},
    file::{properties::WriterPropertiesBuilder, writer::SerializedFileWriter},
    schema::types::ColumnPath,
};

use crate::{Parquet, layout::Layout, pages::PagesFactory, pieces::Pieces, unfit};

/// A batch of fewer bytes is encoded by one thread: to have others help would take longer.
const WORTH_HELP: u64 = 256 << 10;

/// A file in the making.
pub(crate) struct ParquetEncoder {
    options: Parquet,
    /// Until the first rows have shown how the columns are to be written.
    properties: WriterPropertiesBuilder,
    schema: SchemaRef,
    file: Option<File>,
    group: Option<Group>,
    taken: usize,
    workers: Workers,
}

/// A file that was begun.
struct File {
    writer: SerializedFileWriter<Pieces>,
    columns: ArrowRowGroupWriterFactory,
}

/// A row group in the making.
struct Group {
    columns: Vec<Column>,
    rows: usize,
}

/// A column of a row group: one writer for each of its leaves.
struct Column {
    field: FieldRef,
    leaves: Vec<ArrowColumnWriter>,
}

impl ParquetEncoder {
    pub(crate) fn new(options: Parquet, properties: WriterPropertiesBuilder, schema: SchemaRef) -> Self {
        Self { options, properties, schema, file: None, group: None, taken: 0, workers: Workers::none() }
    }

    /// The file, begun if it is not: `first` are its first rows, if it has any.
    fn file(&mut self, first: Option<&RecordBatch>) -> Result<&mut File> {
        if self.file.is_none() {
            let mut properties = self.properties.clone();
            for (field, column) in self.schema.fields().iter().zip(first.map_or(&[][..], RecordBatch::columns)) {
                let path = || ColumnPath::from(field.name().as_str());
                // JSON text has no dictionary whatever it begins with.
                properties = match if is_json(field) { Layout::Dictionary } else { Layout::of(column) } {
                    Layout::Dictionary => properties,
                    Layout::Plain => properties.set_column_dictionary_enabled(path(), false),
                    Layout::Deltas => properties
                        .set_column_dictionary_enabled(path(), false)
                        .set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED),
                };
            }
            // The footer says it once, in its own place, and not again inside the Arrow schema.
            let plain = Arc::new(Schema::new(self.schema.fields().clone()));
            let options = ArrowWriterOptions::new()
                .with_properties(properties.build())
                .with_page_store_factory(Arc::new(PagesFactory));
            let begun = ArrowWriter::try_new_with_options(Pieces::default(), plain, options);
            let (writer, columns) = begun.and_then(ArrowWriter::into_serialized_writer).map_err(unfit)?;
            self.file = Some(File { writer, columns });
        }
        self.file.as_mut().ok_or_else(|| Error::internal("the file was just begun"))
    }

    fn write_some(&mut self, rows: &RecordBatch) -> Result<()> {
        let mut group = match self.group.take() {
            Some(group) => group,
            None => {
                let fields = self.schema.fields().clone();
                let file = self.file(Some(rows))?;
                let number = file.writer.flushed_row_groups().len();
                let mut writers = file.columns.create_column_writers(number).map_err(unfit)?.into_iter();
                let column = |field: &FieldRef| {
                    let leaves = writers.by_ref().take(leaves(field)).collect();
                    Column { field: field.clone(), leaves }
                };
                Group { columns: fields.iter().map(column).collect(), rows: 0 }
            }
        };
        group.rows += rows.num_rows();
        let small = batch_bytes(rows, 0, rows.num_rows()) < WORTH_HELP;
        let alone = Workers::none();
        let workers = if small { &alone } else { &self.workers };
        let work = group.columns.into_iter().zip(rows.columns().to_vec()).collect();
        let columns = workers.each(work, |(column, values): (Column, ArrayRef)| column.write(&values))?;
        group.columns = columns.into_iter().collect::<ParquetResult<_>>().map_err(refused)?;
        let full = group.rows >= self.options.row_group_rows || group.bytes() >= self.options.row_group_bytes;
        self.group = Some(group);
        if full { self.end_group() } else { Ok(()) }
    }

    /// Writes the row group out. Its pages are let go one by one.
    fn end_group(&mut self) -> Result<()> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let chunks = self.workers.each(group.columns, Column::close)?;
        let file = self.file(None)?;
        let end = || {
            let mut group = file.writer.next_row_group()?;
            for column in chunks {
                column?.into_iter().try_for_each(|chunk| chunk.append_to_row_group(&mut group))?;
            }
            group.close().map(drop)
        };
        end().map_err(refused)
    }
}

impl Encoder for ParquetEncoder {
    fn help(&mut self, workers: &Workers) {
        self.workers = workers.clone();
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        if rows.schema_ref().fields() != self.schema.fields() {
            return Err(Error::internal("a batch is not of the announced columns"));
        }
        let mut from = 0;
        while from < rows.num_rows() {
            let room = self.options.row_group_rows - self.group.as_ref().map_or(0, |group| group.rows);
            let some = rows.slice(from, room.min(rows.num_rows() - from));
            from += some.num_rows();
            self.write_some(&some)?;
        }
        Ok(())
    }

    /// What complete row groups left; empty most of the time.
    fn take(&mut self) -> Vec<Bytes> {
        let Some(file) = &mut self.file else { return Vec::new() };
        // Below is a small buffer over memory: emptying it cannot fail.
        let _ = file.writer.flush();
        let ready = file.writer.inner_mut().take();
        self.taken += ready.iter().map(Bytes::len).sum::<usize>();
        ready
    }

    fn buffered(&self) -> usize {
        let written = self.file.as_ref().map_or(0, |file| file.writer.bytes_written());
        written.saturating_sub(self.taken) + self.group.as_ref().map_or(0, Group::bytes)
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<Bytes>> {
        self.end_group()?;
        self.file(None)?.writer.finish().map_err(refused)?;
        Ok(self.take())
    }
}

impl Group {
    /// About how many bytes it will have.
    fn bytes(&self) -> usize {
        self.columns.iter().flat_map(|c| &c.leaves).map(ArrowColumnWriter::get_estimated_total_bytes).sum()
    }
}

impl Column {
    /// The column, with more values.
    fn write(mut self, values: &ArrayRef) -> ParquetResult<Self> {
        let mut writers = self.leaves.iter_mut();
        for leaf in compute_leaves(&self.field, values)? {
            writers.next().ok_or_else(|| ParquetError::General("a leaf too many".into()))?.write(&leaf)?;
        }
        Ok(self)
    }

    fn close(self) -> ParquetResult<Vec<ArrowColumnChunk>> {
        self.leaves.into_iter().map(ArrowColumnWriter::close).collect()
    }
}

/// How many columns of a Parquet file a column is.
fn leaves(field: &FieldRef) -> usize {
    let mut leaves = Vec::new();
    crate::json_leaves(field, &mut leaves);
    leaves.len()
}

fn refused(error: ParquetError) -> Error {
    Error::internal("Parquet did not take the rows").because(error)
}
