//! A stage that panics: an error comes of it, nothing is published, the slot is free, and the next run is whole.

mod support;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use bytes::Bytes;
use pagemill::{
    Batch, Encoder, ErrorKind, FileSink, Flatten, Format, Ndjson, Pipeline, Result, Table, TableSchema, Transform,
};
use pagemill_simulator::{ACCOUNT, Simulator};
use support::{members, source, tree};

/// Panics when it is asked for the n-th time.
#[derive(Clone)]
struct Fuse(Arc<AtomicU64>);

impl Fuse {
    fn new(n: u64) -> Self {
        Self(Arc::new(AtomicU64::new(n)))
    }

    fn burn(&self) {
        assert!(self.0.fetch_sub(1, Ordering::SeqCst) != 1, "on purpose");
    }
}

struct Fragile<T>(T, Fuse);

impl Transform for Fragile<Flatten> {
    fn tables(&self, input: &Schema) -> Result<Vec<TableSchema>> {
        self.0.tables(input)
    }

    fn apply(&self, batch: &Batch) -> Result<Vec<Table>> {
        self.1.burn();
        self.0.apply(batch)
    }
}

impl Format for Fragile<Ndjson> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn extension(&self) -> &str {
        self.0.extension()
    }

    fn describe(&self) -> String {
        self.0.describe()
    }

    fn encoder(&self, schema: SchemaRef) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(Fragile(self.0.encoder(schema)?, self.1.clone())))
    }
}

impl Encoder for Fragile<Box<dyn Encoder>> {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.1.burn();
        self.0.write(rows)
    }

    fn take(&mut self) -> Vec<Bytes> {
        self.0.take()
    }

    fn buffered(&self) -> usize {
        self.0.buffered()
    }

    fn finish(self: Box<Self>) -> Result<Vec<Bytes>> {
        self.1.burn();
        self.0.finish()
    }
}

async fn run(simulator: &Simulator, out: &Path, transform: Fuse, encoder: Fuse) -> Result<()> {
    let flatten = Fragile(Flatten::new(&members(), Some(ACCOUNT.to_owned())), transform);
    let sink = FileSink::new(out, Arc::new(Fragile(Ndjson, encoder))).rows_per_part(100);
    Pipeline::new(source(simulator, 50), flatten, sink).run().await.map(drop)
}

#[tokio::test]
async fn a_panic_in_a_transform_or_an_encoder_is_an_error() {
    let simulator = Simulator::builder().members(300).start().await.expect("a simulator");
    let dir = tempfile::tempdir().expect("a folder");
    let never = || Fuse::new(0);
    run(&simulator, &dir.path().join("whole"), never(), never()).await.expect("a run");
    let whole = tree(&dir.path().join("whole"));
    let mut cases = 0;
    for n in [1, 2, 3, 5] {
        for (transform, encoder) in [(Fuse::new(n), never()), (never(), Fuse::new(n)), (never(), Fuse::new(n * 6))] {
            let out = dir.path().join(cases.to_string());
            let error = run(&simulator, &out, transform, encoder).await.expect_err("a panic");
            assert_eq!(error.kind(), ErrorKind::Internal, "{error:?}");
            assert!(!out.exists());
            run(&simulator, &out, never(), never()).await.expect("the slot is free");
            assert!(tree(&out) == whole);
            cases += 1;
        }
    }
    assert_eq!(cases, 12);
}
