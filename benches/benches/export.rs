//! The whole way, from the simulator's socket to published files; the simulator runs in the same process and makes the
//! pages as it goes, so that this says what a user of `pagemill demo` sees and not what an export could do.

use std::sync::Arc;

use benches::members;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pagemill::{FileSink, Flatten, HttpOptions, HttpSource, Parquet, Pipeline, Request};
use pagemill_simulator::{ACCOUNT, Simulator};
use secrecy::SecretString;

const MEMBERS: u64 = 10_000;

async fn export(url: &str) -> u64 {
    let resource = members();
    let options = HttpOptions { base_url: url.to_owned(), ..HttpOptions::default() };
    let request = Request::new(ACCOUNT).limit(1_000);
    let source = HttpSource::new(&resource, &request, SecretString::from("any"), options).expect("a source");
    let dir = tempfile::tempdir().expect("a folder");
    let sink = FileSink::new(dir.path().join("out"), Arc::new(Parquet::default()));
    let report = Pipeline::new(source, Flatten::new(&resource, None), sink).run().await.expect("a run");
    report.totals.records
}

fn benches(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let simulator = runtime.block_on(Simulator::builder().members(MEMBERS).start()).expect("a simulator");
    let mut group = c.benchmark_group("export");
    group.throughput(Throughput::Elements(MEMBERS)).sample_size(10);
    group.bench_function("parquet", |b| b.iter(|| assert_eq!(runtime.block_on(export(&simulator.url())), MEMBERS)));
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
