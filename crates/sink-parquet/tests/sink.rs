//! Parquet through the file sink: the pages decide what is in which file, and nothing else leaves a trace.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray},
    compute::{concat_batches, take_record_batch},
};
use bytes::Bytes;
use pagemill_core::{Checkpoint, Cursor, Hold, Position, Run, Sink, Table, TableName, TableSchema};
use pagemill_sink::{
    FileSink, Format, Recut,
    conformance::format::edge_values,
    format::{TABLE_KEY, VERSION_KEY},
};
use pagemill_sink_parquet::Parquet;
use parquet::{arrow::arrow_reader::ParquetRecordBatchReaderBuilder, basic::Encoding};

fn name(name: &str) -> TableName {
    TableName::new(name).expect("a name")
}

fn all() -> RecordBatch {
    let rows = edge_values();
    let picks = (0..20_000).map(|i: i64| i * 11 % rows.num_rows() as i64).collect::<Int64Array>();
    take_record_batch(&rows, &picks).expect("takes")
}

/// Writes 8 pages, each in batches of `length` rows; returns the files.
async fn export(out: &Path, length: usize) -> BTreeMap<PathBuf, Bytes> {
    let rows = all();
    let mut sink = FileSink::new(out, Parquet::new().row_group_rows(3_000).shared()).rows_per_part(6_000);
    let tables = ["m", "m_child"].map(|t| TableSchema { name: name(t), schema: rows.schema() });
    let run = Run { dataset: name("m"), slot: None, config: BTreeMap::new(), pages: pagemill_core::Pages::default() };
    sink.open(&run, &tables).await.expect("opens");
    for page in 0..8 {
        let page_rows = rows.slice(page * 2_500, 2_500);
        for from in (0..2_500).step_by(length) {
            let piece = page_rows.slice(from, length.min(2_500 - from));
            for table in &tables {
                let rows = piece.clone();
                sink.write(Table { name: table.name.clone(), rows, hold: Hold::default() }).await.expect("writes");
            }
        }
        let next = if page == 7 { Position::End } else { Position::Next(Cursor::new("c")) };
        let done = page as u64 + 1;
        sink.checkpoint(Checkpoint { pages: done, rows: done * 2_500, bad: 0, next }, &serde_json::Value::Null)
            .await
            .expect("checkpoint");
    }
    let receipt = sink.commit(&serde_json::Value::Null).await.expect("commits");
    let read = |path: &str| fs::read(out.join(path)).expect("file").into();
    receipt.files.iter().map(|f| (PathBuf::from(&f.path), read(&f.path))).collect()
}

#[tokio::test]
async fn the_same_rows_give_the_same_files_and_come_back() {
    let dir = tempfile::tempdir().expect("dir");
    let files = export(&dir.path().join("a"), 2_500).await;
    // 7,500 rows are the first page end at or after 6,000; so 3 parts a table.
    assert_eq!(files.len(), 6);
    for (at, length) in [1_000, 333].into_iter().enumerate() {
        assert!(export(&dir.path().join(at.to_string()), length).await == files, "batches of {length}");
    }
    let mut from = 0;
    for (path, file) in files.iter().filter(|(path, _)| path.starts_with("m/")) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).expect("opens");
        assert!(reader.metadata().row_groups().iter().all(|g| g.num_rows() <= 3_000));
        for batch in reader.build().expect("builds") {
            let batch = batch.expect("reads");
            assert_eq!(batch.columns(), all().slice(from, batch.num_rows()).columns(), "{}", path.display());
            from += batch.num_rows();
        }
    }
    assert_eq!(from, 20_000);
}

/// Rows of more than a megabyte: an identifier, a word that repeats, an ordinal, a long text.
fn wide() -> RecordBatch {
    let text = |n: i64| format!("{n:04} {}", "abcdefghij".repeat((n % 90) as usize));
    let columns: [(&str, ArrayRef); 4] = [
        ("id", Arc::new((0..5_000).map(|n| Some(format!("U{}", n * 7_919 % 5_003))).collect::<StringArray>())),
        ("kind", Arc::new((0..5_000).map(|n| ["user", "bot"].get(n % 3).copied()).collect::<StringArray>())),
        ("_row", Arc::new(Int64Array::from_iter_values(0..5_000))),
        ("text", Arc::new((0..5_000).map(|n| Some(text(n))).collect::<StringArray>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("fits")
}

#[tokio::test]
async fn threads_leave_no_trace_and_columns_are_written_as_their_first_rows_suggest() {
    let (rows, dir) = (wide(), tempfile::tempdir().expect("dir"));
    let mut sink = FileSink::new(dir.path().join("out"), Parquet::new().shared()).batches(2_000, 1 << 20);
    let run = Run { dataset: name("m"), slot: None, config: BTreeMap::new(), pages: pagemill_core::Pages::default() };
    sink.open(&run, &[TableSchema { name: name("m"), schema: rows.schema() }]).await.expect("opens");
    sink.write(Table { name: name("m"), rows: rows.clone(), hold: Hold::default() }).await.expect("writes");
    sink.checkpoint(Checkpoint { pages: 1, rows: 5_000, bad: 0, next: Position::End }, &serde_json::Value::Null)
        .await
        .expect("checkpoint");
    let receipt = sink.commit(&serde_json::Value::Null).await.expect("commits");
    let file = fs::read(dir.path().join("out").join(&receipt.files[0].path)).expect("file");

    let metadata = [(TABLE_KEY, "m"), (VERSION_KEY, env!("CARGO_PKG_VERSION"))];
    let schema = rows.schema().as_ref().clone();
    let schema = schema.with_metadata(metadata.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    let mut encoder = Parquet::new().encoder(Arc::new(schema)).expect("an encoder");
    let mut recut = Recut::new(rows.schema(), 2_000, 1 << 20);
    let mut write = |batch: RecordBatch| encoder.write(&batch);
    recut.push(&rows, &mut write).expect("encodes");
    recut.flush(&mut write).expect("encodes");
    let alone = encoder.finish().expect("finishes").concat();
    assert!(file == alone, "with threads: {} bytes, without: {}", file.len(), alone.len());

    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).expect("opens");
    let group = reader.metadata().row_group(0).clone();
    let encodings = |column: usize| group.column(column).encodings().collect::<Vec<_>>();
    let dictionaries: Vec<_> = group.columns().iter().map(|c| c.dictionary_page_offset().is_some()).collect();
    assert_eq!(dictionaries, [false, true, false, false]);
    assert!(encodings(0).contains(&Encoding::PLAIN) && encodings(2).contains(&Encoding::DELTA_BINARY_PACKED));
    let read: Vec<_> = reader.build().expect("builds").map(|b| b.expect("reads")).collect();
    assert_eq!(concat_batches(&rows.schema(), &read).expect("batches").columns(), rows.columns());
}
