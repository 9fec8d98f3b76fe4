//! What a file format has to be able to do.

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use bytes::Bytes;
use pagemill_core::Result;

use crate::Workers;

/// The key of the schema's metadata under which [`FileSink`](crate::FileSink) tells an encoder its table's name.
pub const TABLE_KEY: &str = "pagemill.table";

/// The key of the schema's metadata under which [`FileSink`](crate::FileSink) says which version of Pagemill writes.
pub const VERSION_KEY: &str = "pagemill.version";

/// A kind of file. It makes an [`Encoder`] for each file.
///
/// The bytes of a file must depend on the schema, the options and the sequence of batches alone: no clock,
/// no random number, no order of a hash map. [`conformance::format`](mod@crate::conformance::format) checks it.
pub trait Format: Send + Sync {
    /// Its name, such as `parquet`.
    fn name(&self) -> &str;

    /// The extension of its files, without the dot.
    fn extension(&self) -> &str;

    /// Begins a file with these columns.
    ///
    /// # Errors
    /// [`Config`](pagemill_core::ErrorKind::Config) when the format cannot hold a column or the options contradict each other.
    fn encoder(&self, schema: SchemaRef) -> Result<Box<dyn Encoder>>;

    /// The options that change bytes, in one fixed spelling, such as `compression=zstd:3`. Part of the manifest.
    fn describe(&self) -> String;
}

/// One file in the making: synchronous, over memory.
pub trait Encoder: Send {
    /// Gives the encoder threads that may do parts of its work. The bytes do not depend on them.
    fn help(&mut self, workers: &Workers) {
        let _ = workers;
    }

    /// Takes rows. They are of the schema given to [`Format::encoder`].
    ///
    /// # Errors
    /// When a value has no form in this format.
    fn write(&mut self, rows: &RecordBatch) -> Result<()>;

    /// Bytes that are ready, in pieces that are not empty, to be appended to the file in this order; often none.
    fn take(&mut self) -> Vec<Bytes>;

    /// About how many bytes of the file are held back, not yet given out by [`Encoder::take`].
    ///
    /// Files roll by it, so it must depend on the rows alone.
    fn buffered(&self) -> usize;

    /// Ends the file: its last bytes, in pieces as those of [`Encoder::take`].
    ///
    /// # Errors
    /// As [`Encoder::write`].
    fn finish(self: Box<Self>) -> Result<Vec<Bytes>>;
}
