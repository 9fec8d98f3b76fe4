//! Bytes of JSON pages in, nested Arrow record batches out: sans-IO, strict, incremental.

mod api;
pub use api::*;
