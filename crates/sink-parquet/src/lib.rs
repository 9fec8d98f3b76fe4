//! The Parquet format of Pagemill's file sink.
