//! Nested record batches to flat tables and back.
//!
//! | module | what it holds |
//! |---|---|
//! | [`flatten`] | [`Flatten`]: one nested batch to a root table and a child table for each list |
//! | [`unflatten`] | [`Unflatten`]: the inverse, which shows that nothing was lost |
//! | [`nested`] | [`Nested`]: one table, with lists and structs as they are |
//! | [`mod@records`] | the JSON records that a batch was made from, `_extra` merged back |
//! | `plan` | the tables, columns and names of a resource, worked out once |
//! | `keys` | the columns that tie a row to its record and its list |
//! | `extra` | reading `_extra` along the declared paths |
//!
//! This crate does no I/O and knows no runtime. A batch is flattened by columns: values are shared
//! with the nested batch, and only keys, positions and lengths are new.

mod extra;
pub mod flatten;
mod keys;
pub mod nested;

mod plan;
pub mod records;
pub mod unflatten;

pub use flatten::Flatten;
pub use nested::Nested;
pub use records::{records, records_json};
pub use unflatten::Unflatten;
