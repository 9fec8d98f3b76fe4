//! Stage 1 alone: bytes to bitmaps and index, UTF-8 checked, by each kernel of the machine, against memcpy.

use std::hint::black_box;

use benches::Corpus;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pagemill::json::{KernelName, count_structurals};

fn benches(c: &mut Criterion) {
    // Enough pages that no cache holds them, so that memory is what limits a copy.
    for corpus in [Corpus::lean(100), Corpus::fat(100)] {
        let mut group = c.benchmark_group(format!("scan {}", corpus.name));
        group.throughput(Throughput::Bytes(corpus.bytes())).sample_size(20);
        let count = |kernel| corpus.pages.iter().map(|page| count_structurals(page, kernel)).sum::<Option<usize>>();
        let expected = count(KernelName::Scalar);
        for kernel in [KernelName::Scalar, KernelName::Avx2, KernelName::Avx512, KernelName::Neon] {
            if count(kernel).is_none() {
                continue;
            }
            group.bench_function(kernel.to_string(), |b| b.iter(|| assert_eq!(black_box(count(kernel)), expected)));
        }
        let mut copies: Vec<Vec<u8>> = corpus.pages.iter().map(|page| page.to_vec()).collect();
        group.bench_function("memcpy", |b| {
            b.iter(|| {
                for (copy, page) in black_box(&mut copies).iter_mut().zip(&corpus.pages) {
                    copy.copy_from_slice(page);
                }
            });
        });
        group.finish();
    }
}

criterion_group!(all, benches);
criterion_main!(all);
