//! What is promised of a page, held against what came of it.

use pagemill_core::{ErrorKind, Resource};
use pagemill_json::Page;
use pagemill_transform::records_json;
use serde_json::value::RawValue;

use crate::{
    Outcome,
    document::{self, Verdict},
    json::{self, Node},
    record::{self, Counts, Ledger},
};

/// Panics where `outcome`, of `page` read with the defaults, is not what serde_json and the promises say.
pub fn check(page: &[u8], resource: &Resource, outcome: &Outcome) {
    match &outcome.page {
        Ok(end) => accepted(page, resource, outcome, end),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Data, "{error:?}");
            let verdict = document::read(page, resource);
            assert!(!matches!(verdict, Verdict::Page(_)), "a page was refused: {error:?}");
        }
    }
}

fn accepted(page: &[u8], resource: &Resource, outcome: &Outcome, end: &Page) {
    // Each bad record is bad, and without them the page is as good as if they had been empty.
    let mut mended = Vec::new();
    let mut from = 0;
    for bad in &end.bad {
        let range = bad.offset as usize..bad.offset as usize + bad.bytes.len();
        assert_eq!(&bad.bytes[..], &page[range.clone()], "the bytes of a bad record");
        let verdict = std::str::from_utf8(&bad.bytes).map_err(|e| e.to_string()).and_then(|text| {
            let record: &RawValue = json::read(text)?;
            record::good(resource.fields(), record).map(drop)
        });
        assert!(verdict.is_err(), "a good record was set aside: {bad:?}");
        mended.extend_from_slice(&page[from..range.start]);
        mended.extend_from_slice(b"{}");
        from = range.end;
    }
    mended.extend_from_slice(&page[from..]);
    let document = match document::read(&mended, resource) {
        Verdict::Page(document) => document,
        Verdict::Refused(why) => panic!("a page was accepted that is none: {why}"),
        Verdict::Open => return,
    };
    assert_eq!(end.framing, document.framing);
    assert_eq!(end.next, document.next);
    assert_eq!(end.result_count, document.result_count);
    assert_eq!(end.partial, document.partial);
    assert_eq!(end.records, document.records.len() as u64, "records");

    let bad: Vec<u64> = end.bad.iter().map(|b| b.record).collect();
    let mut back =
        outcome.all_batches().flat_map(|batch| records_json(batch, resource).expect("the records of a batch"));
    let mut ledger = Ledger::default();
    for (i, record) in document.records.iter().enumerate().filter(|(i, _)| !bad.contains(&(*i as u64))) {
        let read = record::good(resource.fields(), record)
            .unwrap_or_else(|why| panic!("record {i} was accepted, and is bad: {why}"));
        let back = back.next().unwrap_or_else(|| panic!("record {i} was lost"));
        let back: &RawValue = json::read(&back).unwrap_or_else(|e| panic!("record {i} came back as no JSON: {e}"));
        let back = Node::read(back, 0).unwrap_or_else(|e| panic!("record {i} came back as no record: {e}"));
        ledger.record(resource.fields(), &read, &back);
    }
    assert_eq!(back.next(), None, "a record out of nothing");
    assert_eq!(Counts::from(&end.misfits), ledger.misfits, "values outside their columns");
}
