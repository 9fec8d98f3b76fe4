//! The formats keep their promises under arrow-rs's own reader.

use std::io::Cursor;

use arrow::ipc::reader::{FileReader, StreamReader};
use pagemill_sink::{
    Format,
    conformance::{self, Rows, format::edge_values},
};
use pagemill_sink_arrow::{Arrow, Compression};

const ALL: [Compression; 3] = [Compression::None, Compression::Lz4, Compression::Zstd];

#[test]
fn the_file_is_a_format() {
    for compression in ALL {
        conformance::format(&Arrow::file().compression(compression), &|file| {
            let reader = FileReader::try_new(Cursor::new(file.to_vec()), None).expect("opens");
            Rows::Batches(reader.map(|b| b.expect("reads")).collect())
        });
    }
}

#[test]
fn the_stream_is_a_format() {
    for compression in ALL {
        conformance::format(&Arrow::stream().compression(compression), &|file| {
            let reader = StreamReader::try_new(Cursor::new(file.to_vec()), None).expect("opens");
            Rows::Batches(reader.map(|b| b.expect("reads")).collect())
        });
    }
}

#[test]
fn bytes_come_with_each_batch() {
    let rows = edge_values();
    let mut encoder = Arrow::stream().encoder(rows.schema()).expect("an encoder");
    for _ in 0..3 {
        encoder.write(&rows).expect("writes");
        assert!(encoder.buffered() > 0);
        assert!(!encoder.take().is_empty());
        assert_eq!(encoder.buffered(), 0);
    }
}
