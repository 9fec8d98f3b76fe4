//! Nested batches to flat tables; the throughput is in bytes of the JSON that the batches came from.

use std::hint::black_box;

use benches::{Corpus, batches, members};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pagemill::{Batch, Flatten, Transform};

fn benches(c: &mut Criterion) {
    for corpus in [Corpus::lean(10), Corpus::fat(10)] {
        let batches: Vec<Batch> =
            batches(&corpus).into_iter().map(|records| Batch { records, first_row: 0, end: None }).collect();
        let flatten = Flatten::new(&members(), Some("62f44730-dd91-461e-bd6a-aedd9e0ad79d".to_owned()));
        let mut group = c.benchmark_group(format!("flatten {}", corpus.name));
        group.throughput(Throughput::Bytes(corpus.bytes()));
        group.bench_function("pagemill", |b| {
            b.iter(|| {
                let mut rows = 0;
                for batch in &batches {
                    let tables = black_box(flatten.apply(batch).expect("tables"));
                    rows += tables
                        .iter()
                        .filter(|t| t.name.as_str() == "members")
                        .map(|t| t.rows.num_rows())
                        .sum::<usize>();
                }
                assert_eq!(rows as u64, corpus.members());
            });
        });
        group.finish();
    }
}

criterion_group!(all, benches);
criterion_main!(all);
