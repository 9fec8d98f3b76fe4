//! The three stages of a pipeline. Few methods, narrow, dyn-safe.

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::{Batch, Checkpoint, Receipt, Result, Run, Table, TableSchema};

/// Where records come from.
pub trait Source: Send {
    /// The columns of every batch; known before the first request.
    fn schema(&self) -> SchemaRef;

    /// The records after `from`, or all of them, in order.
    ///
    /// A batch is handed out only when its page counts. The stream ends after the page whose
    /// checkpoint says [`End`](crate::Position::End), or after its first error. Dropping it stops the walk.
    fn read(&mut self, from: Option<Checkpoint>) -> BoxStream<'_, Result<Batch>>;
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
    /// says [`End`](crate::Position::End) when there is nothing left to read.
    async fn open(&mut self, run: &Run, tables: &[TableSchema]) -> Result<Option<Checkpoint>>;

    /// Takes rows; they are staged, visible to nobody.
    async fn write(&mut self, table: Table) -> Result<()>;

    /// Says that everything written so far belongs to whole pages, up to `upto`.
    async fn checkpoint(&mut self, upto: Checkpoint) -> Result<()>;

    /// Publishes: all tables appear, or none. `summary` says, as JSON, what the run was; it is kept with the tables.
    async fn commit(&mut self, summary: &serde_json::Value) -> Result<Receipt>;

    /// Gives the run up, leaving nothing that readers see.
    async fn abort(&mut self) -> Result<()>;
}

impl<T: Source + ?Sized> Source for Box<T> {
    fn schema(&self) -> SchemaRef {
        (**self).schema()
    }

    fn read(&mut self, from: Option<Checkpoint>) -> BoxStream<'_, Result<Batch>> {
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
    async fn open(&mut self, run: &Run, tables: &[TableSchema]) -> Result<Option<Checkpoint>> {
        (**self).open(run, tables).await
    }

    async fn write(&mut self, table: Table) -> Result<()> {
        (**self).write(table).await
    }

    async fn checkpoint(&mut self, upto: Checkpoint) -> Result<()> {
        (**self).checkpoint(upto).await
    }

    async fn commit(&mut self, summary: &serde_json::Value) -> Result<Receipt> {
        (**self).commit(summary).await
    }

    async fn abort(&mut self) -> Result<()> {
        (**self).abort().await
    }
}
