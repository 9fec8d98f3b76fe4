//! What the benches share: pages of members, made by the simulator's generator, and how they are decoded.
//!
//! *Lean* pages have no `remote_data`, about 1,130 bytes a member; *fat* ones have it, about 2,570.

use bytes::Bytes;
use pagemill::{Decoder, RecordBatch, Resource, json::Options};
use pagemill_simulator::{Framing, PageOptions, Profile, members_page};

/// Members of a page.
pub const PAGE: u64 = 1_000;

/// Pages of members.
pub struct Corpus {
    /// `lean` or `fat`, or what is odd about it.
    pub name: &'static str,
    /// Envelopes with an array of records.
    pub pages: Vec<Bytes>,
    /// The same records as lines, for peers that want them so.
    pub lines: Vec<Bytes>,
}

impl Corpus {
    /// `pages` pages by `options`, in which no value is odd.
    #[must_use]
    pub fn new(name: &'static str, pages: u64, options: &PageOptions) -> Self {
        Self::with_profile(name, pages, options, &Profile::clean())
    }

    /// `pages` pages by `options` and `profile`.
    #[must_use]
    pub fn with_profile(name: &'static str, pages: u64, options: &PageOptions, profile: &Profile) -> Self {
        let make = |framing: Framing| {
            let options = PageOptions { framing, profile: profile.clone(), ..options.clone() };
            (0..pages).map(|n| Bytes::from(members_page(1, n * PAGE..(n + 1) * PAGE, &options))).collect()
        };
        Self { name, pages: make(Framing::Envelope), lines: make(Framing::Lines) }
    }

    /// Members without `remote_data`.
    #[must_use]
    pub fn lean(pages: u64) -> Self {
        Self::new("lean", pages, &PageOptions { remote_data: false, ..PageOptions::default() })
    }

    /// Members with `remote_data`.
    #[must_use]
    pub fn fat(pages: u64) -> Self {
        Self::new("fat", pages, &PageOptions::default())
    }

    /// Bytes of the pages.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.pages.iter().map(|page| page.len() as u64).sum()
    }

    /// Members in the pages.
    #[must_use]
    pub fn members(&self) -> u64 {
        self.pages.len() as u64 * PAGE
    }
}

/// The members resource.
///
/// # Panics
/// Never: it is built in.
#[must_use]
pub fn members() -> Resource {
    Resource::builtin("instant-messaging/members").expect("it is built in")
}

/// A decoder of members.
#[must_use]
pub fn decoder() -> Decoder {
    Decoder::new(&members(), Options::default())
}

/// Decodes pages, fed in chunks of at most `chunk` bytes, handing each batch to `each`.
///
/// # Panics
/// When a page or a record is bad: the corpus has none.
pub fn decode(decoder: &mut Decoder, pages: &[Bytes], chunk: usize, mut each: impl FnMut(RecordBatch)) {
    for page in pages {
        let mut page = page.clone();
        while !page.is_empty() {
            let mut chunk = page.split_to(chunk.min(page.len()));
            while let Some(batch) = decoder.decode(&mut chunk).expect("a good page") {
                each(batch);
            }
        }
        let end = decoder.finish_page().expect("a good page");
        assert!(end.bad.is_empty(), "a bad record: {:?}", end.bad);
        each(end.rest);
    }
}

/// All batches of a corpus.
#[must_use]
pub fn batches(corpus: &Corpus) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    decode(&mut decoder(), &corpus.pages, usize::MAX, |batch| batches.push(batch));
    batches
}
