//! In the steady state, a record costs no allocation: a batch of many takes as many as a batch of few. And what a batch is
//! said to take of the memory is what it takes.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use pagemill_core::{Resource, memory_of};
use pagemill_json::{Decoder, Options};

/// The system's allocator, counting.
struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);
/// Bytes in use.
static IN_USE: AtomicU64 = AtomicU64::new(0);
/// What an allocator keeps beside each piece, about.
const BESIDE: u64 = 16;

// SAFETY: all of it is the system allocator's, but for the counter.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        IN_USE.fetch_add(layout.size() as u64 + BESIDE, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size() as u64 + BESIDE, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        IN_USE.fetch_add(size as u64, Ordering::Relaxed);
        IN_USE.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A page of `records` records with lists, structs, escapes, nulls, unknown members and values outside their columns.
fn page(records: usize) -> Bytes {
    let record = |i: usize| {
        format!(
            r#"{{"id":"U{i:06}","activated_at":"2026-11-23T10:00:00.{:03}Z","bio":"says \"é\" \u00e9 {i}","created_at":null,
            "emails":[{{"email":"m{i}@example.com","is_primary":true,"type":"work"}},{{"email":"x","note":1}}],
            "groups":[{{"id":"G1","organization":{{"id":"O1","name":"One"}}}}],"languages":["de","fr"],
            "phones":[],"status":{},"title":"T","unheard_of":{{"a":[1,2,{{"b":"c"}}]}},"remote_data":{{"x":"y","z":[1.5,true,null]}}}}"#,
            i % 1000,
            if i.is_multiple_of(3) { "5" } else { "\"active\"" },
        )
    };
    Bytes::from(format!(
        "{{\"result\":[{}],\"next_cursor\":null}}",
        (0..records).map(record).collect::<Vec<_>>().join(",")
    ))
}

/// Allocations of decoding `page`, once the decoder has seen pages like it.
fn allocations(decoder: &mut Decoder, page: &Bytes) -> u64 {
    let mut count = 0;
    for _ in 0..4 {
        let before = COUNT.load(Ordering::Relaxed);
        let mut input = page.clone();
        assert!(decoder.decode(&mut input).expect("a good page").is_none(), "one batch");
        let end = decoder.finish_page().expect("a good page");
        assert!(end.bad.is_empty());
        count = COUNT.load(Ordering::Relaxed) - before;
    }
    count
}

/// What the batches of 50 pages of so many records take, and what they are said to take, for each batch.
fn held(decoder: &mut Decoder, records: usize) -> (u64, u64) {
    const PAGES: u64 = 50;
    let page = page(records);
    let mut decode = || {
        assert!(decoder.decode(&mut page.clone()).expect("a good page").is_none(), "one batch");
        decoder.finish_page().expect("a good page").rest
    };
    for _ in 0..3 {
        decode();
    }
    let mut batches = Vec::with_capacity(PAGES as usize);
    let before = IN_USE.load(Ordering::Relaxed);
    batches.extend((0..PAGES).map(|_| decode()));
    let taken = IN_USE.load(Ordering::Relaxed) - before;
    (taken / PAGES, batches.iter().map(|batch| memory_of(batch) as u64).sum::<u64>() / PAGES)
}

// The only test of this program: the counters are everyone's.
#[test]
fn a_record_allocates_nothing_and_a_batch_takes_what_it_is_said_to() {
    let members = Resource::builtin("instant-messaging/members").expect("it is built in");
    let mut decoder = Decoder::new(&members, Options::default());
    let few = allocations(&mut decoder, &page(100));
    let many = allocations(&mut decoder, &page(3_000));
    // A buffer may have to grow once more, or once less; 2,900 more records may not show.
    assert!(many <= few + 16, "{few} allocations for 100 records, {many} for 3,000");
    for records in [1, 2, 10, 100, 1_000] {
        let mut decoder = Decoder::new(&members, Options::default());
        let (taken, said) = held(&mut decoder, records);
        assert!(taken <= said + said / 10, "{records} records take {taken} bytes, and are said to take {said}");
        assert!(said <= taken * 2, "{records} records take {taken} bytes, and are said to take {said}");
    }
}
