//! Reading a page with the decoder, and comparing what came of it.

use arrow::array::RecordBatch;
use bytes::Bytes;
use pagemill_core::Error;
use pagemill_json::{Decoder, Page};

/// What a page gave: full batches, and then the page or an error.
#[derive(Debug)]
pub struct Outcome {
    /// Batches that came before the end.
    pub batches: Vec<RecordBatch>,
    /// The end.
    pub page: Result<Page, Error>,
}

/// Decodes `chunks` as one page.
pub fn decode<'a>(decoder: &mut Decoder, chunks: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut batches = Vec::new();
    let run = || {
        for chunk in chunks {
            let mut chunk = Bytes::copy_from_slice(chunk);
            while let Some(batch) = decoder.decode(&mut chunk)? {
                batches.push(batch);
            }
            assert!(chunk.is_empty(), "bytes that were not taken");
        }
        decoder.finish_page()
    };
    let page = run();
    if page.is_err() {
        assert!(decoder.decode(&mut Bytes::new()).is_err(), "usable after an error");
        decoder.reset();
    }
    Outcome { batches, page }
}

impl Outcome {
    /// All batches, the last one with them; of a page that failed, those that came before.
    pub fn all_batches(&self) -> impl Iterator<Item = &RecordBatch> {
        self.batches.iter().chain(self.page.as_ref().ok().map(|page| &page.rest))
    }

    /// Panics where `other` is not the same in all that a caller can see.
    pub fn assert_same(&self, other: &Self, what: &str) {
        assert_eq!(self.batches, other.batches, "batches, {what}");
        let (ours, theirs) = match (&self.page, &other.page) {
            (Ok(ours), Ok(theirs)) => (ours, theirs),
            (Err(ours), Err(theirs)) => {
                assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "{what}");
                return;
            }
            (ours, theirs) => panic!("{what}: {ours:?} and {theirs:?}"),
        };
        assert_eq!(ours.rest, theirs.rest, "the last batch, {what}");
        assert_eq!(ours.bad, theirs.bad, "{what}");
        assert_eq!(ours.misfits, theirs.misfits, "{what}");
        assert_eq!(ours.members, theirs.members, "{what}");
        let rest = |p: &Page| (p.framing, p.next.clone(), p.result_count, p.partial, p.records, p.rows, p.bytes);
        assert_eq!(rest(ours), rest(theirs), "{what}");
    }
}
