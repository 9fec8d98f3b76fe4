//! A whole listing as one answer, made piece by piece while it is read.

use std::convert::Infallible;
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::Stream;

use crate::listing::Records;
use crate::record::Look;
use crate::served::Counters;

/// Records made at a time.
const PIECE: usize = 100;

/// The rest of a listing.
pub(crate) struct Rest {
    pub(crate) records: Arc<dyn Records>,
    /// The index to go on from.
    pub(crate) start: u64,
    /// One JSON array rather than a record a line.
    pub(crate) array: bool,
    pub(crate) look: Look,
    /// Records made so far.
    pub(crate) made: u64,
}

impl Rest {
    /// All of it at once.
    pub(crate) fn whole(mut self, served: &Counters) -> Vec<u8> {
        let (mut body, mut stage) = (Vec::new(), Stage::Begin);
        while let Some(next) = self.piece(stage, served, &mut body) {
            stage = next;
        }
        body
    }

    /// The pieces, in order; the last one is followed by the end of the stream.
    pub(crate) fn pieces(
        self,
        gzip: bool,
        served: Arc<Counters>,
    ) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
        let encoder = gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
        let state = (self, encoder, served, Stage::Begin);
        futures::stream::unfold(state, |(mut rest, mut encoder, served, stage)| async move {
            let mut piece = Vec::new();
            let next = rest.piece(stage, &served, &mut piece)?;
            let bytes = match (&mut encoder, next) {
                (None, _) => piece,
                // Compressing into memory cannot fail.
                (Some(gzip), Stage::Done) => {
                    let _ = gzip.write_all(&piece).and_then(|()| gzip.try_finish());
                    std::mem::take(gzip.get_mut())
                }
                (Some(gzip), _) => {
                    let _ = gzip.write_all(&piece).and_then(|()| gzip.flush());
                    std::mem::take(gzip.get_mut())
                }
            };
            Some((Ok(Bytes::from(bytes)), (rest, encoder, served, next)))
        })
    }

    fn piece(&mut self, stage: Stage, served: &Counters, out: &mut Vec<u8>) -> Option<Stage> {
        if stage == Stage::Done {
            return None;
        }
        if stage == Stage::Begin && self.array {
            out.push(b'[');
        }
        let mut made = 0;
        for index in self.start..self.records.count() {
            if made == PIECE as u64 {
                break;
            }
            self.start = index + 1;
            if !self.records.selects(index) {
                continue;
            }
            if self.array && (stage == Stage::Middle || made > 0) {
                out.push(b',');
            }
            self.records.write(index, &self.look.at(self.made + made), out);
            if !self.array {
                out.push(b'\n');
            }
            made += 1;
        }
        served.records(made);
        self.made += made;
        if made == PIECE as u64 {
            return Some(Stage::Middle);
        }
        if self.array {
            out.push(b']');
        }
        Some(Stage::Done)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was made yet.
    Begin,
    /// At least one record was.
    Middle,
    Done,
}
