//! Flat tables to the bytes of files, in each format; the throughput is in bytes of the JSON that the tables came from.

use std::hint::black_box;

use benches::{Corpus, batches, members};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pagemill::{Arrow, Batch, Flatten, Format, Ndjson, Parquet, Transform};

fn benches(c: &mut Criterion) {
    for corpus in [Corpus::lean(10), Corpus::fat(10)] {
        let flatten = Flatten::new(&members(), Some("62f44730-dd91-461e-bd6a-aedd9e0ad79d".to_owned()));
        let schemas = flatten.tables(&members().schema()).expect("tables");
        let mut tables = Vec::new();
        for records in batches(&corpus) {
            tables.extend(flatten.apply(&Batch { records, first_row: 0, end: None }).expect("tables"));
        }
        let formats: [(&str, Box<dyn Format>); 3] = [
            ("parquet", Box::new(Parquet::default())),
            ("arrow", Box::new(Arrow::file())),
            ("ndjson", Box::new(Ndjson)),
        ];
        let mut group = c.benchmark_group(format!("encode {}", corpus.name));
        group.throughput(Throughput::Bytes(corpus.bytes())).sample_size(10);
        for (name, format) in formats {
            group.bench_function(name, |b| {
                b.iter(|| {
                    for schema in &schemas {
                        let mut encoder = format.encoder(schema.schema.clone()).expect("an encoder");
                        let mut bytes = 0;
                        for table in tables.iter().filter(|t| t.name == schema.name) {
                            encoder.write(&table.rows).expect("rows");
                            bytes += encoder.take().concat().len();
                        }
                        bytes += encoder.finish().expect("an end").concat().len();
                        assert!(black_box(bytes) > 0);
                    }
                });
            });
        }
        group.finish();
    }
}

criterion_group!(all, benches);
criterion_main!(all);
