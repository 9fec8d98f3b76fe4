//! In the steady state, a record costs no allocation: a batch of many takes as many as a batch of few.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use pagemill_core::Resource;
use pagemill_json::{Decoder, Options};

/// The system's allocator, counting.
struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

// SAFETY: all of it is the system allocator's, but for the counter.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
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

// The only test of this program: the counter is everyone's.
#[test]
fn a_record_allocates_nothing() {
    let members = Resource::builtin("instant-messaging/members").expect("it is built in");
    let mut decoder = Decoder::new(&members, Options::default());
    let few = allocations(&mut decoder, &page(100));
    let many = allocations(&mut decoder, &page(3_000));
    // A buffer may have to grow once more, or once less; 2,900 more records may not show.
    assert!(many <= few + 16, "{few} allocations for 100 records, {many} for 3,000");
}
