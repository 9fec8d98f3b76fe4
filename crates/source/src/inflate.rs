//! gzip (RFC 1952), sans-IO: compressed bytes in, pieces of plain bytes out.
//!
//! Common decoders drop a second member, and what follows the last one, without a word; on the wire that is lost data.
//! Here every byte is accounted for: header, members, checksum, length, and nothing after them.

use bytes::{Buf, Bytes};
use flate2::{Crc, Decompress, FlushDecompress, Status};
use pagemill_core::{Error, Result};

/// The size of a piece of output.
const PIECE: usize = 64 << 10;
/// The most bytes of a member's header.
const HEADER: usize = 64 << 10;

/// The first two bytes of gzip.
pub(crate) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// How many members the input may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Members {
    /// Exactly one: an HTTP body.
    One,
    /// One or more: a file, which may have been made by concatenation.
    Many,
}

/// How much compressed data may be, and turn into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GzipLimits {
    /// The most bytes that one compressed byte may turn into, on the average so far. gzip's own limit is 1,030 or so; pages
    /// of records stay below 30.
    pub ratio: u64,
    /// Output up to so many bytes is never judged by its ratio.
    pub ratio_from: u64,
    /// Compressed bytes.
    pub compressed: u64,
}

impl Default for GzipLimits {
    /// 200 times after 10 MiB, and 1 GiB of compressed bytes: a page of a gigabyte of records is nothing unusual.
    fn default() -> Self {
        Self { ratio: 200, ratio_from: 10 << 20, compressed: 1 << 30 }
    }
}

impl GzipLimits {
    /// No limit on the length, the same on the ratio: for files, which end somewhere.
    #[must_use]
    pub fn of_files() -> Self {
        Self { compressed: u64::MAX, ..Self::default() }
    }
}

/// Decompresses one input.
pub(crate) struct Inflate {
    members: Members,
    limits: GzipLimits,
    state: State,
    flate: Decompress,
    crc: Crc,
    taken: u64,
    given: u64,
}

enum State {
    Header(Vec<u8>),
    Body,
    Trailer(Vec<u8>),
    Done,
}

impl Inflate {
    /// A decompressor at the beginning of its input.
    pub(crate) fn new(members: Members, limits: GzipLimits) -> Self {
        Self {
            members,
            limits,
            state: State::Header(Vec::new()),
            flate: Decompress::new(false),
            crc: Crc::new(),
            taken: 0,
            given: 0,
        }
    }

    /// Takes from `input` and gives the next piece, of at most 64 KiB; `None` when all input was taken.
    ///
    /// # Errors
    /// When the input is not gzip, is damaged, or grows beyond reason.
    pub(crate) fn next(&mut self, input: &mut Bytes) -> Result<Option<Bytes>> {
        while input.has_remaining() || matches!(self.state, State::Body) {
            match &mut self.state {
                State::Header(header) => {
                    header.push(input.get_u8());
                    self.taken += 1;
                    match header_length(header)? {
                        Some(length) if length == header.len() => self.state = State::Body,
                        _ if header.len() >= HEADER => return Err(bad("the gzip header does not end")),
                        _ => {}
                    }
                }
                State::Body => {
                    let mut piece = vec![0; PIECE];
                    let (before_in, before_out) = (self.flate.total_in(), self.flate.total_out());
                    let status = self
                        .flate
                        .decompress(input, &mut piece, FlushDecompress::None)
                        .map_err(|e| bad("the gzip data is damaged").because(e))?;
                    let took = usize::try_from(self.flate.total_in() - before_in).unwrap_or(usize::MAX);
                    let gave = usize::try_from(self.flate.total_out() - before_out).unwrap_or(usize::MAX);
                    input.advance(took.min(input.len()));
                    piece.truncate(gave);
                    self.crc.update(&piece);
                    self.taken += took as u64;
                    self.given += gave as u64;
                    let GzipLimits { ratio, ratio_from, compressed } = self.limits;
                    if self.taken > compressed {
                        return Err(bad(&format!("the gzip data has more than {compressed} bytes"))
                            .advise("ask for smaller pages, or allow more"));
                    }
                    if self.given > ratio_from && self.given > self.taken.saturating_mul(ratio) {
                        return Err(bad(&format!("the gzip data grows more than {ratio} times"))
                            .advise("send the data uncompressed if it is genuine"));
                    }
                    if status == Status::StreamEnd {
                        self.state = State::Trailer(Vec::with_capacity(8));
                    }
                    if gave > 0 {
                        return Ok(Some(piece.into()));
                    }
                    if status != Status::StreamEnd && (took == 0 || input.is_empty()) {
                        if input.is_empty() {
                            return Ok(None);
                        }
                        return Err(bad("the gzip data is damaged"));
                    }
                }
                State::Trailer(trailer) => {
                    trailer.push(input.get_u8());
                    self.taken += 1;
                    if let [a, b, c, d, e, f, g, h] = trailer[..] {
                        if u32::from_le_bytes([a, b, c, d]) != self.crc.sum() {
                            return Err(bad("the gzip checksum does not match"));
                        }
                        if u32::from_le_bytes([e, f, g, h]) != self.crc.amount() {
                            return Err(bad("the gzip length does not match"));
                        }
                        self.state = State::Done;
                    }
                }
                State::Done if self.members == Members::Many => {
                    self.flate.reset(false);
                    self.crc.reset();
                    self.state = State::Header(Vec::new());
                }
                State::Done => return Err(bad("there are bytes after the end of the gzip data")),
            }
        }
        Ok(None)
    }

    /// Ends the input.
    ///
    /// # Errors
    /// When it ended early.
    pub(crate) fn finish(&self) -> Result<()> {
        match self.state {
            State::Done => Ok(()),
            _ => Err(bad("the gzip data ends early")),
        }
    }
}

fn bad(what: &str) -> Error {
    Error::data(what)
}

/// The whole length of a header that begins with `bytes`, once that is known.
fn header_length(bytes: &[u8]) -> Result<Option<usize>> {
    let magic = bytes.iter().zip(MAGIC).all(|(a, b)| *a == b);
    if !magic || bytes.get(2).is_some_and(|method| *method != 8) {
        return Err(bad("this is not gzip"));
    }
    let Some(flags) = bytes.get(3) else { return Ok(None) };
    if flags & 0b1110_0000 != 0 {
        return Err(bad("the gzip header has reserved flags"));
    }
    let mut at = 10;
    if flags & 0b100 != 0 {
        let (Some(low), Some(high)) = (bytes.get(at), bytes.get(at + 1)) else { return Ok(None) };
        at += 2 + usize::from(u16::from_le_bytes([*low, *high]));
    }
    // A name and a comment, each ended by a zero byte.
    for flag in [0b1000, 0b1_0000] {
        if flags & flag != 0 {
            match bytes.get(at..).and_then(|rest| rest.iter().position(|b| *b == 0)) {
                Some(end) => at += end + 1,
                None => return Ok(None),
            }
        }
    }
    if flags & 0b10 != 0 {
        at += 2;
    }
    Ok(Some(at))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use flate2::{Compression, GzBuilder, write::GzEncoder};
    use std::io::Write;

    pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).expect("memory");
        encoder.finish().expect("memory")
    }

    fn inflate(members: Members, input: &[u8], chunk: usize) -> Result<Vec<u8>> {
        let mut inflate = Inflate::new(members, GzipLimits::default());
        let mut out = Vec::new();
        for chunk in input.chunks(chunk) {
            let mut chunk = Bytes::copy_from_slice(chunk);
            while let Some(piece) = inflate.next(&mut chunk)? {
                assert!(piece.len() <= PIECE);
                out.extend_from_slice(&piece);
            }
            assert!(chunk.is_empty());
        }
        inflate.finish()?;
        Ok(out)
    }

    fn sample() -> Vec<u8> {
        (0..20_000u32).flat_map(|n| format!("{{\"id\":\"{}\"}}", n.wrapping_mul(2_654_435_761)).into_bytes()).collect()
    }

    #[test]
    fn what_went_in_comes_out_however_it_is_cut() {
        let plain = sample();
        let packed = gzip(&plain);
        for chunk in [1, 2, 7, 4096, packed.len()] {
            assert_eq!(inflate(Members::One, &packed, chunk).expect("gzip"), plain, "{chunk}");
        }
        assert_eq!(inflate(Members::One, &gzip(b""), 3).expect("gzip"), b"");
    }

    #[test]
    fn optional_header_fields_are_skipped() {
        let mut encoder = GzBuilder::new()
            .filename("page.json")
            .comment("saved")
            .extra(vec![1; 300])
            .write(Vec::new(), Compression::fast());
        encoder.write_all(b"hello").expect("memory");
        let packed = encoder.finish().expect("memory");
        for chunk in [1, packed.len()] {
            assert_eq!(inflate(Members::One, &packed, chunk).expect("gzip"), b"hello");
        }
    }

    #[test]
    fn every_cut_is_an_error() {
        let packed = gzip(b"{\"result\":[],\"next_cursor\":null}");
        for end in 0..packed.len() {
            let error = inflate(Members::One, &packed[..end], 5).expect_err("cut");
            assert_eq!(error.message(), "the gzip data ends early", "{end}");
        }
    }

    #[test]
    fn every_flipped_bit_of_body_or_trailer_is_an_error() {
        let plain = b"{\"result\":[{\"id\":\"1\"}],\"next_cursor\":null}";
        let packed = gzip(plain);
        for bit in 80..packed.len() * 8 {
            let mut bad = packed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            // A flip in the padding bits after the last block changes nothing; any other is seen.
            if let Ok(out) = inflate(Members::One, &bad, 64) {
                assert_eq!(out, plain, "bit {bit}");
            }
        }
    }

    #[test]
    fn a_second_member_or_garbage_is_an_error_in_a_body_and_members_join_in_a_file() {
        let two = [gzip(b"one"), gzip(b"two")].concat();
        assert!(inflate(Members::One, &two, 9).is_err());
        assert_eq!(inflate(Members::Many, &two, 9).expect("members"), b"onetwo");
        for garbage in [&b"\0"[..], b"x", b"\x1f", b"\x1f\x8b\x08"] {
            let bad = [&gzip(b"one")[..], garbage].concat();
            assert!(inflate(Members::One, &bad, 9).is_err());
            assert!(inflate(Members::Many, &bad, 9).is_err(), "{garbage:?}");
        }
        assert!(inflate(Members::One, b"{\"result\":[]}", 4).is_err());
    }

    #[test]
    fn limits_hold_to_the_byte() {
        let plain = sample();
        let packed = gzip(&plain);
        // Eight bytes of the input are its trailer, which is not compressed data.
        let (length, data) = (plain.len() as u64, packed.len() as u64 - 8);
        let run = |limits: GzipLimits| {
            let mut inflate = Inflate::new(Members::One, limits);
            let mut input = Bytes::from(packed.clone());
            while inflate.next(&mut input)?.is_some() {}
            inflate.finish()
        };
        let compressed = |compressed| run(GzipLimits { compressed, ..GzipLimits::default() });
        assert!(compressed(data - 1).is_err());
        assert!(compressed(data).is_ok() && compressed(data + 1).is_ok());
        // It is judged from the byte on that goes beyond; the ratio of the whole is what decides here.
        let from = |ratio_from| run(GzipLimits { ratio: 1, ratio_from, ..GzipLimits::default() });
        assert!(from(length - 1).is_err());
        assert!(from(length).is_ok() && from(length + 1).is_ok());
        let times = length.div_ceil(data);
        let ratio = |ratio| run(GzipLimits { ratio, ratio_from: length - 1, ..GzipLimits::default() });
        assert!(ratio(times - 1).is_err());
        assert!(ratio(times).is_ok() && ratio(times + 1).is_ok());
    }

    #[test]
    fn a_bomb_is_stopped_early() {
        let bomb = gzip(&vec![b'0'; 64 << 20]);
        let mut inflate = Inflate::new(Members::One, GzipLimits::default());
        let mut input = Bytes::from(bomb);
        let mut given = 0;
        let error = loop {
            match inflate.next(&mut input) {
                Ok(Some(piece)) => given += piece.len(),
                Ok(None) => panic!("the bomb went off"),
                Err(error) => break error,
            }
        };
        assert!(error.message().contains("200 times"), "{error}");
        assert!(given < 16 << 20, "{given}");
    }
}
