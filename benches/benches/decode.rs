//! Bytes of pages to record batches, against its peers, on one thread.
//!
//! - `pagemill`: strict, UTF-8 checked, all columns; `remote_data` kept as text, or left out. `16KiB`: fed in chunks as a
//!   socket would.
//! - `arrow-json`: its decoder with the same columns but `remote_data` and `_extra`, which it cannot make.
//! - `simd-json tape`, with new buffers and with reused ones: parses in place, so a copy of the page is made first, and
//!   counted alone as `memcpy`.
//! - `sonic-rs`, `serde_json`: values.
//!
//! And `pagemill` alone with what may be hard for it: escapes everywhere, white space, members in any order, many unknown ones.

use std::{hint::black_box, sync::Arc};

use arrow::datatypes::Schema;
use arrow_json::ReaderBuilder;
use benches::{Corpus, decode, decoder, members};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pagemill::{Decoder, EXTRA, json::Options};
use pagemill_simulator::{PageOptions, Profile};

/// The columns that arrow-json can make.
fn peer_schema() -> Arc<Schema> {
    use arrow::datatypes::{DataType, Field, Fields};
    fn without_extra(field: &Arc<Field>) -> Arc<Field> {
        let data_type = match field.data_type() {
            DataType::Struct(fields) => DataType::Struct(keep(fields)),
            DataType::List(item) => DataType::List(without_extra(item)),
            // It knows no time zone by its name.
            DataType::Timestamp(unit, _) => DataType::Timestamp(*unit, Some("+00:00".into())),
            other => other.clone(),
        };
        Arc::new(field.as_ref().clone().with_data_type(data_type))
    }
    fn keep(fields: &Fields) -> Fields {
        fields.iter().filter(|f| f.name() != EXTRA && f.name() != "remote_data").map(without_extra).collect()
    }
    Arc::new(Schema::new(keep(members().schema().fields())))
}

fn with_arrow_json(lines: &[bytes::Bytes]) -> usize {
    let mut rows = 0;
    let mut peer = ReaderBuilder::new(peer_schema()).with_batch_size(8_192).build_decoder().expect("a decoder");
    for page in lines {
        let mut from = 0;
        while from < page.len() {
            from += peer.decode(&page[from..]).expect("a good page");
            if let Some(batch) = peer.flush().expect("a batch") {
                rows += black_box(batch).num_rows();
            }
        }
    }
    rows
}

fn benches(c: &mut Criterion) {
    for corpus in [Corpus::lean(10), Corpus::fat(10)] {
        let expected = usize::try_from(corpus.members()).expect("few");
        let mut group = c.benchmark_group(format!("decode {}", corpus.name));
        group.throughput(Throughput::Bytes(corpus.bytes())).sample_size(10);
        let mut decoder = decoder();
        for (name, chunk) in [("pagemill", usize::MAX), ("pagemill 16KiB", 16 << 10)] {
            group.bench_function(name, |b| {
                b.iter(|| {
                    let mut rows = 0;
                    decode(&mut decoder, &corpus.pages, chunk, |batch| rows += black_box(batch).num_rows());
                    assert_eq!(rows, expected);
                });
            });
        }
        if corpus.name == "fat" {
            let mut decoder = Decoder::new(&members().without("remote_data").expect("a field"), Options::default());
            group.bench_function("pagemill, remote_data left out", |b| {
                b.iter(|| {
                    let mut rows = 0;
                    decode(&mut decoder, &corpus.pages, usize::MAX, |batch| rows += black_box(batch).num_rows());
                    assert_eq!(rows, expected);
                });
            });
        }
        group.throughput(Throughput::Bytes(corpus.lines.iter().map(|page| page.len() as u64).sum()));
        group.bench_function("arrow-json", |b| b.iter(|| assert_eq!(with_arrow_json(&corpus.lines), expected)));
        group.throughput(Throughput::Bytes(corpus.bytes()));

        let mut copies: Vec<Vec<u8>> = corpus.pages.iter().map(|page| page.to_vec()).collect();
        let copy = |copies: &mut Vec<Vec<u8>>| {
            for (copy, page) in copies.iter_mut().zip(&corpus.pages) {
                copy.copy_from_slice(page);
            }
        };
        group.bench_function("memcpy", |b| b.iter(|| copy(black_box(&mut copies))));
        group.bench_function("simd-json tape", |b| {
            b.iter(|| {
                copy(&mut copies);
                for page in &mut copies {
                    let tape = simd_json::to_tape(page).expect("JSON");
                    assert!(black_box(&tape).0.len() > 1_000);
                }
            });
        });
        group.bench_function(BenchmarkId::new("simd-json tape", "reused"), |b| {
            let mut buffers = simd_json::Buffers::default();
            b.iter(|| {
                copy(&mut copies);
                // A tape borrows the page it was made of, so that one cannot outlive the other; its room is passed on.
                let mut room = simd_json::Tape::null();
                for page in &mut copies {
                    let mut tape = room.reset();
                    simd_json::fill_tape(page, &mut buffers, &mut tape).expect("JSON");
                    assert!(black_box(&tape).0.len() > 1_000);
                    room = tape.reset();
                }
            });
        });
        group.bench_function("sonic-rs", |b| {
            b.iter(|| {
                for page in &corpus.pages {
                    black_box(sonic_rs::from_slice::<sonic_rs::Value>(page).expect("JSON"));
                }
            });
        });
        group.bench_function("serde_json", |b| {
            b.iter(|| {
                for page in &corpus.pages {
                    black_box(serde_json::from_slice::<serde_json::Value>(page).expect("JSON"));
                }
            });
        });
        group.finish();
    }
}

fn odd(c: &mut Criterion) {
    let lean = PageOptions { remote_data: false, ..PageOptions::default() };
    let escaped = Profile { escaped: 10_000, ..Profile::clean() };
    let corpora = [
        Corpus::new("lean", 10, &lean),
        Corpus::with_profile("ASCII-escaped", 10, &PageOptions { ascii: true, ..lean.clone() }, &escaped),
        Corpus::new("pretty-printed", 10, &PageOptions { pretty: true, ..lean.clone() }),
        Corpus::new("in random order", 10, &PageOptions { shuffled: true, ..lean.clone() }),
        Corpus::new("200 unknown members", 10, &PageOptions { extra_members: 200, ..lean }),
    ];
    let mut group = c.benchmark_group("decode odd");
    for corpus in corpora {
        group.throughput(Throughput::Bytes(corpus.bytes())).sample_size(10);
        let mut decoder = decoder();
        group.bench_function(corpus.name, |b| {
            b.iter(|| {
                let mut rows = 0;
                decode(&mut decoder, &corpus.pages, usize::MAX, |batch| rows += black_box(batch).num_rows() as u64);
                assert_eq!(rows, corpus.members());
            });
        });
    }
    group.finish();
}

criterion_group!(all, benches, odd);
criterion_main!(all);
