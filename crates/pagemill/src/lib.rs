//! Streaming ETL from paginated JSON APIs into columnar tables.
//!
//! ```text
//! pages --> source --nested batches--> transform --flat tables--> sink --> files that appear all at once
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`pipeline`] | [`Pipeline`]: source, transform, sink, in that order |
//! | `budget` | how much may be between the source and the files |
//! | [`report`] | [`Report`]: what a run did |
//!
//! Everything else is re-exported from the crate that owns it:
//!
//! | crate | what it is |
//! |---|---|
//! | `pagemill-core` | [`Resource`], [`Batch`], [`Table`], the traits [`Source`], [`Transform`], [`Sink`], [`Error`] |
//! | `pagemill-json`, here [`json`] | [`Decoder`]: bytes of pages to nested batches |
//! | `pagemill-source`, here [`source`] | [`HttpSource`], [`FileSource`] |
//! | `pagemill-transform`, here [`transform`] | [`Flatten`], [`Nested`], [`Unflatten`] |
//! | `pagemill-sink`, here [`sink`] | [`FileSink`], the trait [`Format`] |
//! | `pagemill-sink-parquet`, `-arrow`, `-ndjson` | [`Parquet`], [`Arrow`], [`Ndjson`] |

mod budget;
pub mod pipeline;
pub mod report;

pub use arrow::array::RecordBatch;
pub use pagemill_core::*;
pub use pagemill_json as json;
pub use pagemill_json::{Decoder, Unknown};
pub use pagemill_sink as sink;
pub use pagemill_sink::{Encoder, FileSink, Format};
pub use pagemill_sink_arrow::{Arrow, Compression as ArrowCompression};
pub use pagemill_sink_ndjson::Ndjson;
pub use pagemill_sink_parquet::{Compression as ParquetCompression, Parquet};
pub use pagemill_source as source;
pub use pagemill_source::{
    FileOptions, FileSource, HttpOptions, HttpSource, Pace, Progress, Rate, Request, ResponseFormat,
};
pub use pagemill_transform as transform;
pub use pagemill_transform::{Flatten, Nested, Unflatten};

pub use pipeline::Pipeline;
pub use report::{Report, Totals};

/// The README's program is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
