//! The format keeps its promises, and the footer says what it should.

use bytes::Bytes;
use pagemill_core::ErrorKind;
use pagemill_sink::{
    Format,
    conformance::{self, Rows, format::edge_values},
    format::{TABLE_KEY, VERSION_KEY},
};
use pagemill_sink_parquet::{Compression, Parquet};
use parquet::{
    arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
    file::{
        reader::{FileReader, SerializedFileReader},
        serialized_reader::ReadOptionsBuilder,
    },
};

fn read(file: &[u8]) -> Rows {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(file)).expect("opens");
    Rows::Batches(reader.build().expect("builds").map(|b| b.expect("reads")).collect())
}

#[test]
fn it_is_a_format_with_every_compression() {
    for compression in [Compression::None, Compression::Snappy, Compression::Lz4, Compression::Zstd(3)] {
        conformance::format(&Parquet::new().compression(compression), &read);
    }
}

#[test]
fn it_is_a_format_with_row_groups_of_any_size() {
    conformance::format(&Parquet::new().row_group_rows(100), &read);
    conformance::format(&Parquet::new().row_group_bytes(4_096), &read);
}

#[test]
fn row_groups_are_given_out_when_they_are_complete() {
    let rows = edge_values();
    let mut encoder = Parquet::new().row_group_rows(16).encoder(rows.schema()).expect("an encoder");
    encoder.write(&rows).expect("writes");
    encoder.write(&rows).expect("writes");
    assert!(encoder.take().concat().len() > 1_000);
    encoder.write(&rows.slice(0, 3)).expect("writes");
    assert!(encoder.buffered() > 0);
}

#[test]
fn the_footer_says_what_wrote_it_and_which_columns_have_statistics() {
    let rows = edge_values();
    let mut schema = rows.schema().as_ref().clone();
    schema.metadata.insert(TABLE_KEY.into(), "members".into());
    schema.metadata.insert(VERSION_KEY.into(), "0.1.0".into());
    let mut encoder = Parquet::new().encoder(schema.into()).expect("an encoder");
    encoder.write(&rows).expect("writes");
    let file = Bytes::from(encoder.finish().expect("finishes").concat());
    let options = ReadOptionsBuilder::new().with_page_index().build();
    let reader = SerializedFileReader::new_with_options(file, options).expect("opens");
    let metadata = reader.metadata();
    assert!(metadata.file_metadata().created_by().expect("named").starts_with("pagemill version "));
    let pairs = metadata.file_metadata().key_value_metadata().expect("pairs");
    let keys: Vec<_> = pairs.iter().map(|p| p.key.as_str()).collect();
    assert_eq!(keys, [TABLE_KEY, VERSION_KEY, "ARROW:schema"]);
    assert!(metadata.offset_index().is_some());
    for column in metadata.row_group(0).columns() {
        let path = column.column_path().string();
        let json = path == "json" || path.ends_with(".j");
        assert_eq!(column.statistics().is_some(), !json, "{path}");
        assert_eq!(column.dictionary_page_offset().is_some(), !json && path != "flag", "{path}");
    }
}

#[test]
fn levels_that_zstandard_does_not_have_are_refused() {
    let error = Parquet::new().compression(Compression::Zstd(23)).encoder(edge_values().schema()).map(drop);
    assert_eq!(error.expect_err("refused").kind(), ErrorKind::Config);
}
