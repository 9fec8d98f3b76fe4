//! Parquet through the file sink: the pages decide what is in which file, and nothing else leaves a trace.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use arrow::{
    array::{Int64Array, RecordBatch},
    compute::take_record_batch,
};
use bytes::Bytes;
use pagemill_core::{Checkpoint, Cursor, Hold, Position, Run, Sink, Table, TableName, TableSchema};
use pagemill_sink::{FileSink, conformance::format::edge_values};
use pagemill_sink_parquet::Parquet;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

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
    let run = Run { dataset: name("m"), slot: None, config: BTreeMap::new() };
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
        sink.checkpoint(Checkpoint { pages: done, rows: done * 2_500, bad: 0, next }).await.expect("checkpoint");
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
