//! A file in the making: row groups, column by column.

use std::{cmp::Reverse, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, RecordBatch},
    datatypes::{FieldRef, Schema, SchemaRef},
};
use bytes::Bytes;
use pagemill_core::{Error, Result, resource::is_json};
use pagemill_sink::{Encoder, More, Workers, recut::batch_bytes};
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves},
    },
    basic::{Compression as Codec, Encoding},
    errors::{ParquetError, Result as ParquetResult},
    file::{properties::WriterPropertiesBuilder, writer::SerializedFileWriter},
    schema::types::ColumnPath,
};

use crate::{
    Parquet,
    layout::Layout,
    pages::{Chunk, Fresh, Pages, PagesFactory},
    pieces::Pieces,
    unfit,
};

/// A batch of fewer bytes is encoded by one thread: to have others help would take longer.
const WORTH_HELP: u64 = 256 << 10;

/// A file in the making.
pub(crate) struct ParquetEncoder {
    options: Parquet,
    codec: Codec,
    /// Until the first rows have shown how the columns are to be written.
    properties: WriterPropertiesBuilder,
    schema: SchemaRef,
    file: Option<File>,
    group: Option<Group>,
    /// From the beginning of a step to its good end: what is left of a row group after a bad one is never written.
    failed: bool,
    taken: usize,
    workers: Workers,
}

/// A file that was begun.
struct File {
    writer: SerializedFileWriter<Pieces>,
    columns: ArrowRowGroupWriterFactory,
    pages: Arc<PagesFactory>,
}

/// A row group in the making.
struct Group {
    columns: Vec<Column>,
    rows: usize,
}

/// A column of a row group: one writer for each of its leaves.
pub(crate) struct Column {
    field: FieldRef,
    leaves: Vec<Leaf>,
}

struct Leaf {
    writer: ArrowColumnWriter,
    pages: Pages,
}

impl ParquetEncoder {
    /// `codec` is that of the options.
    pub(crate) fn new(options: Parquet, codec: Codec, properties: WriterPropertiesBuilder, schema: SchemaRef) -> Self {
        Self {
            options,
            codec,
            properties,
            schema,
            file: None,
            group: None,
            failed: false,
            taken: 0,
            workers: Workers::none(),
        }
    }

    /// Begins a step, unless the one before failed.
    fn begin(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.failed, true) {
            return Err(Error::internal("a Parquet file failed before"));
        }
        Ok(())
    }

    /// The properties for a file that begins with `first`.
    fn laid_out(&self, first: Option<&RecordBatch>) -> WriterPropertiesBuilder {
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
        properties
    }

    /// The file, begun if it is not: `first` are its first rows, if it has any.
    fn file(&mut self, first: Option<&RecordBatch>) -> Result<&mut File> {
        if self.file.is_none() {
            let properties = self.laid_out(first);
            // The footer says it once, in its own place, and not again inside the Arrow schema.
            let plain = Arc::new(Schema::new(self.schema.fields().clone()));
            let pages = Arc::new(PagesFactory::new(self.options.compression.zstd()));
            let options =
                ArrowWriterOptions::new().with_properties(properties.build()).with_page_store_factory(pages.clone());
            let begun = ArrowWriter::try_new_with_options(Pieces::default(), plain, options);
            let (writer, columns) = begun.and_then(ArrowWriter::into_serialized_writer).map_err(unfit)?;
            self.file = Some(File { writer, columns, pages });
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
                let writers = file.columns.create_column_writers(number).map_err(unfit)?;
                let mut all = writers.into_iter().zip(file.pages.take()).map(|(writer, pages)| Leaf { writer, pages });
                let column = |field: &FieldRef| {
                    let leaves = all.by_ref().take(leaves(field)).collect();
                    Column { field: field.clone(), leaves }
                };
                Group { columns: fields.iter().map(column).collect(), rows: 0 }
            }
        };
        group.rows += rows.num_rows();
        let small = batch_bytes(rows, 0, rows.num_rows()) < WORTH_HELP;
        let alone = Workers::none();
        let workers = if small { &alone } else { &self.workers };
        let mut steps: Vec<_> = group.columns.into_iter().zip(rows.columns().iter().cloned()).enumerate().collect();
        // The largest first: whoever is done with the small ones compresses pages of it.
        steps.sort_by_key(|(_, (_, values))| Reverse(values.get_buffer_memory_size()));
        let steps = steps.into_iter().map(|(at, (column, values))| Step::Write(at, column, values)).collect();
        let mut columns = Vec::new();
        for done in self.carry_out(steps, workers)? {
            if let Done::Written(at, column) = done {
                columns.push((at, column));
            }
        }
        columns.sort_by_key(|(at, _)| *at);
        group.columns = columns.into_iter().map(|(_, column)| column).collect();
        let full = group.rows >= self.options.row_group_rows || group.bytes() >= self.options.row_group_bytes;
        self.group = Some(group);
        if full { self.end_group() } else { Ok(()) }
    }

    /// Writes the row group out. Its pages are let go one by one.
    fn end_group(&mut self) -> Result<()> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let steps = group.columns.into_iter().map(Step::End).collect();
        let mut chunks = Vec::new();
        for done in self.carry_out(steps, &self.workers)? {
            if let Done::Ended(column) = done {
                chunks.extend(column);
            }
        }
        let codec = self.codec;
        let file = self.file(None)?;
        let end = || {
            file.writer.flush()?;
            file.writer.inner_mut().announce(chunks.iter().flat_map(Chunk::pieces));
            let mut group = file.writer.next_row_group()?;
            chunks.into_iter().try_for_each(|chunk| chunk.append(codec, &mut group))?;
            group.close().map(drop)
        };
        end().map_err(refused)
    }

    /// Carries out the steps, and those that come of them.
    fn carry_out(&self, steps: Vec<Step>, workers: &Workers) -> Result<Vec<Done>> {
        let done = workers.each(steps, Step::carry_out)?;
        done.into_iter().collect::<ParquetResult<_>>().map_err(refused)
    }
}

/// What one thread does at a time.
pub(crate) enum Step {
    /// Gives a column more values. The number is the column's.
    Write(usize, Column, ArrayRef),
    /// Ends a column.
    End(Column),
    /// Compresses a page that came of the others.
    Compress(Fresh),
}

/// What came of it.
pub(crate) enum Done {
    Written(usize, Column),
    /// The column's leaves.
    Ended(Vec<Chunk>),
    Compressed,
}

impl Step {
    /// Carries it out. `others` may be there to compress the pages that come of it.
    pub(crate) fn carry_out(self, others: &More<Self>) -> ParquetResult<Done> {
        match self {
            Self::Write(at, column, values) => Ok(Done::Written(at, column.share(others).write(&values)?)),
            Self::End(column) => Ok(Done::Ended(column.share(others).end()?)),
            Self::Compress(page) => page.compress().map(|()| Done::Compressed),
        }
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
        self.begin()?;
        let mut from = 0;
        while from < rows.num_rows() {
            let room = self.options.row_group_rows - self.group.as_ref().map_or(0, |group| group.rows);
            let some = rows.slice(from, room.min(rows.num_rows() - from));
            from += some.num_rows();
            self.write_some(&some)?;
        }
        self.failed = false;
        Ok(())
    }

    /// What complete row groups left; empty most of the time.
    fn take(&mut self) -> Vec<Bytes> {
        let Some(file) = &mut self.file else { return Vec::new() };
        // What cannot be written now is kept there, and refused again at the file's end.
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
        self.begin()?;
        self.end_group()?;
        self.file(None)?.writer.finish().map_err(refused)?;
        Ok(self.take())
    }
}

impl Group {
    /// About how many bytes it will have.
    fn bytes(&self) -> usize {
        self.columns.iter().flat_map(|c| &c.leaves).map(|leaf| leaf.pages.estimate(&leaf.writer)).sum()
    }
}

impl Column {
    /// Has `others` compress pages of it.
    fn share(self, others: &More<Step>) -> Self {
        self.leaves.iter().for_each(|leaf| leaf.pages.share(others));
        self
    }

    /// The column, with more values.
    fn write(mut self, values: &ArrayRef) -> ParquetResult<Self> {
        let mut writers = self.leaves.iter_mut();
        for leaf in compute_leaves(&self.field, values)? {
            writers.next().ok_or_else(|| ParquetError::General("a leaf too many".into()))?.writer.write(&leaf)?;
        }
        Ok(self)
    }

    fn end(self) -> ParquetResult<Vec<Chunk>> {
        self.leaves.into_iter().map(|leaf| Chunk::end(leaf.writer, leaf.pages)).collect()
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

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatch, StringArray};
    use pagemill_sink::conformance::{format::edge_values, with_workers};

    use super::*;
    use crate::Compression;

    fn encoder(options: Parquet, batches: &[RecordBatch]) -> ParquetEncoder {
        let schema = batches[0].schema();
        let (codec, properties) = (options.compression.codec(), options.properties(&schema));
        ParquetEncoder::new(options, codec.expect("a level"), properties.expect("properties"), schema)
    }

    /// What Parquet's writer makes of the batches when it compresses the pages itself, and how large it takes the row group for
    /// after each of them.
    fn twin(options: Parquet, batches: &[RecordBatch]) -> (Vec<u8>, Vec<usize>) {
        let encoder = encoder(options, batches);
        let properties = encoder.laid_out(Some(&batches[0])).set_compression(encoder.codec);
        let properties = properties.set_max_row_group_row_count(Some(options.row_group_rows)).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batches[0].schema(), Some(properties)).expect("a writer");
        let mut sizes = Vec::new();
        for batch in batches {
            writer.write(batch).expect("writes");
            sizes.push(writer.in_progress_size());
        }
        (writer.into_inner().expect("finishes"), sizes)
    }

    fn ours(options: Parquet, batches: &[RecordBatch], workers: &Workers) -> (Vec<u8>, Vec<usize>) {
        let mut encoder = Box::new(encoder(options, batches));
        encoder.help(workers);
        let (mut file, mut sizes) = (Vec::new(), Vec::new());
        for batch in batches {
            encoder.write(batch).expect("writes");
            file.extend(Encoder::take(&mut *encoder).concat());
            sizes.push(encoder.group.as_ref().map_or(0, Group::bytes));
        }
        file.extend(encoder.finish().expect("finishes").concat());
        (file, sizes)
    }

    /// Columns of many pages: with a dictionary, with one that is given up, without; a value larger than a page, nulls alone.
    fn large(rows: usize) -> RecordBatch {
        let text = |n: usize| format!("{n:0width$}", width = 40 + n % 20);
        let long = "long ".repeat(100_000);
        let columns: [(&str, ArrayRef); 6] = [
            ("few", Arc::new(StringArray::from_iter_values((0..rows).map(|n| text(n % 7))))),
            (
                "many",
                Arc::new(StringArray::from_iter_values((0..rows).map(|n| text(if n < 2_000 { n % 99 } else { n })))),
            ),
            ("all", Arc::new(StringArray::from_iter_values((0..rows).map(text)))),
            ("one", Arc::new(StringArray::from_iter((0..rows).map(|n| (n == 5).then_some(&long))))),
            ("none", Arc::new(StringArray::new_null(rows))),
            ("row", Arc::new(Int64Array::from_iter_values(0..rows as i64))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("columns")
    }

    #[test]
    fn files_are_those_that_parquets_writer_makes_with_a_compressor() {
        let (edge, large) = (edge_values(), large(30_000));
        let levels = [1, 3, 9, 19].map(Compression::Zstd);
        let alone = Workers::none();
        for compression in levels.into_iter().chain([Compression::None, Compression::Snappy, Compression::Lz4]) {
            let options = Parquet::new().compression(compression);
            for batches in
                [vec![edge.clone()], vec![edge.slice(0, 0)], vec![edge.clone(), edge.slice(3, 5), edge.clone()]]
            {
                assert!(ours(options, &batches, &alone) == twin(options, &batches), "{compression:?}, edge values");
                let options = options.row_group_rows(7);
                assert!(ours(options, &batches, &alone) == twin(options, &batches), "{compression:?}, in groups");
            }
            let batches: Vec<_> = (0..30).map(|n| large.slice(n * 1_000, 1_000)).collect();
            for rows in [131_072, 12_345] {
                let options = options.row_group_rows(rows);
                assert!(
                    ours(options, &batches, &alone) == twin(options, &batches),
                    "{compression:?}, groups of {rows}"
                );
            }
        }
    }

    #[test]
    fn files_are_the_same_by_however_many_threads() {
        let large = large(40_000);
        // Some are worth the help of others, some are not.
        let cuts = [0, 9_000, 9_100, 20_000, 20_001, 40_000];
        let batches: Vec<_> = cuts.windows(2).map(|cut| large.slice(cut[0], cut[1] - cut[0])).collect();
        for compression in [Compression::Zstd(1), Compression::Zstd(3), Compression::None] {
            let options = Parquet::new().compression(compression).row_group_rows(24_000);
            let twin = twin(options, &batches);
            for threads in [1, 2, 3, 8] {
                with_workers(threads, |workers| {
                    assert!(batches.iter().any(|b| batch_bytes(b, 0, b.num_rows()) > 4 * WORTH_HELP));
                    for turn in 0..2 {
                        assert!(ours(options, &batches, workers) == twin, "{compression:?}, {threads}, {turn}");
                    }
                });
            }
        }
    }

    #[test]
    fn a_file_that_failed_is_never_finished() {
        let batch = large(10);
        for again in [false, true] {
            let mut encoder = Box::new(encoder(Parquet::new(), std::slice::from_ref(&batch)));
            encoder.write(&batch).expect("writes");
            encoder.group.as_mut().expect("a group").columns[0].leaves.clear();
            encoder.write(&batch).expect_err("a column has no writer");
            if again {
                encoder.write(&batch).expect_err("it failed before");
            }
            encoder.finish().expect_err("it failed before");
        }
    }
}
