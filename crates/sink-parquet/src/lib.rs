//! The Parquet format of Pagemill's file sink.
//!
//! What the files have: Zstandard pages, statistics and a page index for every column but those of JSON text, whose values
//! are large, hardly ever repeat, and are not compared; dictionaries where values repeat ([`layout`](mod@layout) says how
//! that is told); and in the footer what wrote them.
//! JSON text columns carry Parquet's own `JSON` type beside Arrow's `arrow.json`: DuckDB reads them as JSON, pyarrow and
//! Polars as `arrow.json` over strings, and readers that know neither as strings.
//!
//! What they do not have: a time, a random number, or anything else that would make the same rows give other bytes. The
//! columns of a large batch are encoded on several threads, each column by one at a time and its batches in order, and their
//! pages compressed, each by one thread.
//!
//! | module | what it holds |
//! |---|---|
//! | `encoder` | a file in the making: row groups, column by column |
//! | [`layout`](mod@layout) | how a column is written, by its first rows |
//! | `pages` | the pages of a column until their row group is written, and their compression |
//! | `header` | the header of a page, in as far as compression changes it |
//! | `zstd` | Zstandard, by one compressor a thread |
//! | `pieces` | the bytes of a file until they are taken |

mod encoder;
mod header;
pub mod layout;
mod pages;
mod pieces;
mod zstd;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use pagemill_core::{Error, Result, resource::is_json};
use pagemill_sink::{Encoder, Format};
use parquet::{
    arrow::ArrowSchemaConverter,
    basic::{Compression as Codec, ZstdLevel},
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder},
    },
};

use crate::encoder::ParquetEncoder;

/// What the footer names as the writer of the file.
const CREATED_BY: &str = concat!("pagemill version ", env!("CARGO_PKG_VERSION"));

/// Bytes at which a column's dictionary is given up.
const DICTIONARY_BYTES: usize = 256 << 10;

/// Bytes of a data page before compression. Each column holds one: with tables of dozens of columns that is most of the memory
/// that encoding takes.
const PAGE_BYTES: usize = 256 << 10;

/// How pages are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    None,
    /// Snappy.
    Snappy,
    /// LZ4 (`LZ4_RAW`).
    Lz4,
    /// Zstandard at a level from 1 to 22.
    Zstd(i32),
}

impl Default for Compression {
    fn default() -> Self {
        Self::Zstd(1)
    }
}

impl Compression {
    fn codec(self) -> Result<Codec> {
        Ok(match self {
            Self::None => Codec::UNCOMPRESSED,
            Self::Snappy => Codec::SNAPPY,
            Self::Lz4 => Codec::LZ4_RAW,
            Self::Zstd(level) => Codec::ZSTD(ZstdLevel::try_new(level).map_err(|e| {
                Error::config(format!("Zstandard has no level {level}")).advise("use 1 to 22").because(e)
            })?),
        })
    }

    /// The level, where pages are compressed here and not by Parquet's writer; the others take so little time that it would
    /// not matter.
    fn zstd(self) -> Option<i32> {
        match self {
            Self::Zstd(level) => Some(level),
            _ => None,
        }
    }

    /// What Parquet's writer is told.
    fn writers(self) -> Result<Codec> {
        if self.zstd().is_some() { Ok(Codec::UNCOMPRESSED) } else { self.codec() }
    }
}

/// The Parquet format.
#[derive(Clone, Copy, Debug)]
pub struct Parquet {
    compression: Compression,
    row_group_rows: usize,
    row_group_bytes: usize,
}

impl Default for Parquet {
    fn default() -> Self {
        Self { compression: Compression::default(), row_group_rows: 131_072, row_group_bytes: 128 << 20 }
    }
}

impl Parquet {
    /// Zstandard of level 1, row groups of at most 131,072 rows or about 128 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How pages are compressed.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// The most rows of a row group (at least 1).
    #[must_use]
    pub fn row_group_rows(mut self, rows: usize) -> Self {
        self.row_group_rows = rows.max(1);
        self
    }

    /// About the most encoded bytes of a row group (at least 1). A row group is in memory until it is complete,
    /// so this, times the tables that are written at once, is the memory that the encoders take.
    #[must_use]
    pub fn row_group_bytes(mut self, bytes: usize) -> Self {
        self.row_group_bytes = bytes.max(1);
        self
    }

    /// The format, ready for a [`FileSink`](pagemill_sink::FileSink).
    #[must_use]
    pub fn shared(self) -> Arc<Self> {
        Arc::new(self)
    }

    fn properties(self, schema: &Schema) -> Result<WriterPropertiesBuilder> {
        let mut metadata: Vec<_> = schema.metadata().iter().collect();
        metadata.sort();
        let metadata = metadata.into_iter().map(|(k, v)| KeyValue::new(k.clone(), v.clone())).collect();
        let mut properties = WriterProperties::builder()
            .set_created_by(CREATED_BY.to_owned())
            .set_key_value_metadata(Some(metadata))
            .set_compression(self.compression.writers()?)
            .set_dictionary_enabled(true)
            // A column whose dictionary is larger is one of mostly different values: the sooner it is given up, the better.
            .set_dictionary_page_size_limit(DICTIONARY_BYTES)
            .set_data_page_size_limit(PAGE_BYTES)
            .set_statistics_enabled(EnabledStatistics::Page);
        let columns = ArrowSchemaConverter::new().convert(schema).map_err(unfit)?;
        let mut json = Vec::with_capacity(columns.num_columns());
        schema.fields().iter().for_each(|f| json_leaves(f, &mut json));
        if json.len() != columns.num_columns() {
            return Err(Error::config("the table has a column of a type that Parquet files are not written with"));
        }
        for (column, _) in columns.columns().iter().zip(json).filter(|(_, json)| *json) {
            properties = properties
                .set_column_dictionary_enabled(column.path().clone(), false)
                .set_column_statistics_enabled(column.path().clone(), EnabledStatistics::None);
        }
        Ok(properties)
    }
}

/// For each leaf of a column, in Parquet's order, whether it is JSON text.
fn json_leaves(field: &Field, leaves: &mut Vec<bool>) {
    match field.data_type() {
        DataType::Struct(fields) => fields.iter().for_each(|f| json_leaves(f, leaves)),
        DataType::List(element) | DataType::LargeList(element) => json_leaves(element, leaves),
        _ => leaves.push(is_json(field)),
    }
}

fn unfit(error: parquet::errors::ParquetError) -> Error {
    Error::config("Parquet cannot hold the columns of the table").because(error)
}

impl Format for Parquet {
    fn name(&self) -> &str {
        "parquet"
    }

    fn extension(&self) -> &str {
        "parquet"
    }

    fn encoder(&self, schema: SchemaRef) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(ParquetEncoder::new(*self, self.compression.codec()?, self.properties(&schema)?, schema)))
    }

    fn describe(&self) -> String {
        let codec = match self.compression {
            Compression::None => "none".to_owned(),
            Compression::Snappy => "snappy".to_owned(),
            Compression::Lz4 => "lz4".to_owned(),
            Compression::Zstd(level) => format!("zstd:{level}"),
        };
        format!("compression={codec} row_group_rows={} row_group_bytes={}", self.row_group_rows, self.row_group_bytes)
    }
}
