//! The sink over an object store is a sink as any other.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::AsArray,
    datatypes::{Int64Type, SchemaRef},
    record_batch::RecordBatch,
};
use bytes::Bytes;
use futures::{StreamExt, executor::block_on};
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory};
use pagemill_core::{FileEntry, Result};
use pagemill_sink::{Encoder, FileSink, Format, conformance};
use pagemill_sink_object::ObjectSink;

/// One number a line.
struct Lines;

impl Format for Lines {
    fn name(&self) -> &str {
        "lines"
    }
    fn extension(&self) -> &str {
        "txt"
    }
    fn describe(&self) -> String {
        String::new()
    }
    fn encoder(&self, _: SchemaRef) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(LinesEncoder(Vec::new())))
    }
}

struct LinesEncoder(Vec<u8>);

impl Encoder for LinesEncoder {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        for n in rows.column(0).as_primitive::<Int64Type>().values() {
            self.0.extend_from_slice(format!("{n}\n").as_bytes());
        }
        Ok(())
    }
    fn take(&mut self) -> Vec<Bytes> {
        vec![std::mem::take(&mut self.0).into()]
    }
    fn buffered(&self) -> usize {
        self.0.len()
    }
    fn finish(mut self: Box<Self>) -> Result<Vec<Bytes>> {
        Ok(self.take())
    }
}

/// What the manifests show, slot after slot.
fn seen(store: &InMemory) -> conformance::sink::Seen {
    let manifests = block_on(store.list(Some(&"lake.pagemill".into())).collect::<Vec<_>>());
    let mut paths: Vec<_> = manifests.into_iter().map(|found| found.expect("an object").location).collect();
    paths.retain(|path| path.filename() == Some("manifest.json"));
    paths.sort();
    let mut seen = BTreeMap::new();
    let read = |path: &object_store::path::Path| {
        block_on(async { store.get(path).await.expect("an object").bytes().await }).expect("bytes")
    };
    for path in paths {
        let manifest: serde_json::Value = serde_json::from_slice(&read(&path)).expect("JSON");
        for file in manifest["files"].as_array().expect("files") {
            let file: FileEntry = serde_json::from_value(file.clone()).expect("a file");
            let text = String::from_utf8(read(&format!("lake/{}", file.path).into()).to_vec()).expect("text");
            let rows: &mut Vec<i64> = seen.entry(file.table).or_default();
            rows.extend(text.lines().map(|line| line.parse::<i64>().expect("a number")));
        }
    }
    seen
}

#[test]
fn the_object_sink_is_a_sink() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for rows in [1, 10, 1_000_000] {
        let store = Arc::new(InMemory::new());
        let mut make = || {
            let object = ObjectSink::shared(store.clone(), "mem://bucket", "lake");
            Box::new(FileSink::to(object, Arc::new(Lines)).rows_per_part(rows)) as Box<dyn pagemill_core::Sink>
        };
        runtime.block_on(conformance::sink(&mut make, &|| seen(&store)));
    }
}
