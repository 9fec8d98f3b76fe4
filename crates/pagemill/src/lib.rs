//! Streaming ETL from paginated JSON APIs into columnar tables.
//!
//! ```text
//! pages --> source --nested batches--> transform --flat tables--> sink --> files that appear all at once
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`pipeline`] | [`Pipeline`]: source, transform, sink, in that order |
//! | [`report`] | [`Report`]: what a run did |
//!
//! Everything else is re-exported from the crate that owns it.

pub mod pipeline;
pub mod report;

pub use pagemill_core::*;
pub use pagemill_json as json;
pub use pagemill_json::{Decoder, Unknown};
pub use pipeline::Pipeline;
pub use report::{Report, Totals};
