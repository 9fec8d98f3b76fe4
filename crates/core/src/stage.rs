//! The three stages of a pipeline. Few methods, narrow, dyn-safe.

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::{Batch, Checkpoint, Receipt, Result, Resume, Rewind, Run, Table, TableSchema};

/// Where records come from.
pub trait Source: Send {
    /// The columns of every batch; known before the first request.
    fn schema(&self) -> SchemaRef;

    /// The records after `from`, or all of them, in order. May be called again: each call is a walk of its own.
    ///
    /// A batch is handed out only when its page counts, or when the page is too large to be kept until then. The stream
    /// ends after the page whose checkpoint says [`End`](crate::Position::End), or after its first error; one whose
    /// [`remedy`](crate::Error::remedy) is given may not come again when the walk goes on from there. Dropping the
    /// stream stops the walk.
    fn read(&mut self, from: Option<Resume>) -> BoxStream<'_, Result<Batch>>;
}

/// What happens to records on the way. Pure: no state is carried from batch to batch.
pub trait Transform: Send + Sync {
    /// The tables that records of these columns turn into. Called once, before the first record.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) when names collide or a type cannot be held.
    fn tables(&self, input: &Schema) -> Result<Vec<TableSchema>>;

    /// The rows of one batch; a table without rows may be left out, and a large one come in several pieces, in order.
    ///
    /// # Errors
    /// When the batch is not of the announced schema.
    fn apply(&self, batch: &Batch) -> Result<Vec<Table>>;
}

/// Where tables go. All of them appear, or none.
#[async_trait]
pub trait Sink: Send {
    /// Begins or resumes a run. Returns where to resume: `None` from the start, a checkpoint that
    /// says [`End`](crate::Position::End) when there is nothing left to read. A run is resumed only by one that would
    /// write the same: another configuration begins at the start.
    async fn open(&mut self, run: &Run, tables: &[TableSchema]) -> Result<Option<Resume>>;

    /// Whether the run that was opened had been published before: then there is nothing to write, and [`commit`](Self::commit) says what
    /// is there.
    fn is_published(&self) -> bool {
        false
    }

    /// Takes rows; they are staged, visible to nobody.
    async fn write(&mut self, table: Table) -> Result<()>;

    /// Says that everything written so far belongs to whole pages, up to `upto`. `summary` says, as JSON, what they were.
    /// A sink may make rows and checkpoint durable, together, here; it need not do so at each.
    async fn checkpoint(&mut self, upto: Checkpoint, summary: &serde_json::Value) -> Result<()>;

    /// Drops rows that were written, and gives the point before them, as [`open`](Self::open) does.
    async fn rewind(&mut self, to: Rewind) -> Result<Option<Resume>>;

    /// Publishes: all tables appear, or none. `summary` says, as JSON, what the run was; it is kept with the tables.
    async fn commit(&mut self, summary: &serde_json::Value) -> Result<Receipt>;

    /// Ends this attempt, leaving nothing that readers see, but what a later run needs to go on from the last durable
    /// point. Dropping the sink does the same, less tidily.
    async fn suspend(&mut self) -> Result<()>;

    /// Gives the run up, leaving nothing that readers see, nor anything to resume.
    async fn abort(&mut self) -> Result<()>;
}

impl<T: Source + ?Sized> Source for Box<T> {
    fn schema(&self) -> SchemaRef {
        (**self).schema()
    }

    fn read(&mut self, from: Option<Resume>) -> BoxStream<'_, Result<Batch>> {
        (**self).read(from)
    }
}

impl<T: Transform + ?Sized> Transform for Box<T> {
    fn tables(&self, input: &Schema) -> Result<Vec<TableSchema>> {
        (**self).tables(input)
    }

    fn apply(&self, batch: &Batch) -> Result<Vec<Table>> {
        (**self).apply(batch)
    }
}

#[async_trait]
impl<T: Sink + ?Sized> Sink for Box<T> {
    async fn open(&mut self, run: &Run, tables: &[TableSchema]) -> Result<Option<Resume>> {
        (**self).open(run, tables).await
    }

    fn is_published(&self) -> bool {
        (**self).is_published()
    }

    async fn write(&mut self, table: Table) -> Result<()> {
        (**self).write(table).await
    }

    async fn checkpoint(&mut self, upto: Checkpoint, summary: &serde_json::Value) -> Result<()> {
        (**self).checkpoint(upto, summary).await
    }

    async fn rewind(&mut self, to: Rewind) -> Result<Option<Resume>> {
        (**self).rewind(to).await
    }

    async fn commit(&mut self, summary: &serde_json::Value) -> Result<Receipt> {
        (**self).commit(summary).await
    }

    async fn suspend(&mut self) -> Result<()> {
        (**self).suspend().await
    }

    async fn abort(&mut self) -> Result<()> {
        (**self).abort().await
    }
}
