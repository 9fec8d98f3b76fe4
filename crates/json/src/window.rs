//! The bytes that are being looked at: what has arrived and is not yet done with, scanned block by block.

use bytes::{Buf, Bytes};

use crate::{
    options::Limits,
    scan::{BLOCK, Carry, Found, Scanner},
    tokens::Tokens,
};

/// How much input is taken at a time: little enough that what stage 1 wrote is still in the cache when stage 2 reads it.
const PIECE: usize = 32 << 10;

/// Readable bytes after the last one of the page, so that a load of this length may begin at any of them.
pub(crate) const PAD: usize = 64;

/// A window on a page. Positions count from its first byte, which is byte [`Window::base`] of the page.
#[derive(Debug)]
pub(crate) struct Window {
    scanner: Scanner,
    /// The bytes, [`PAD`] spaces, and room.
    bytes: Vec<u8>,
    /// How many bytes there are, without the spaces and the room.
    len: usize,
    base: u64,
    /// Bytes that were scanned: whole blocks, or all once the page has ended.
    scanned: usize,
    found: Found,
    carry: Carry,
    ended: bool,
}

impl Window {
    pub(crate) fn new(scanner: Scanner) -> Self {
        Self {
            scanner,
            bytes: vec![b' '; PAD],
            len: 0,
            base: 0,
            scanned: 0,
            found: Found::default(),
            carry: Carry::default(),
            ended: false,
        }
    }

    /// Offset in the page of position 0.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// Bytes that can be looked at.
    pub(crate) fn scanned(&self) -> usize {
        self.scanned
    }

    /// True when no more bytes will come.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.scanned]
    }

    pub(crate) fn index(&self) -> &[u32] {
        &self.found.index
    }

    /// A walk over the bytes from `at` up to `end`; `next` is the first index entry at or after `at`.
    pub(crate) fn tokens<'a>(&'a self, at: usize, next: usize, end: usize, limits: &'a Limits) -> Tokens<'a> {
        Tokens {
            bytes: &self.bytes[..self.len + PAD],
            end,
            index: &self.found.index,
            found: &self.found,
            limits,
            at,
            next,
        }
    }

    /// Takes the next piece of `input`, of at most `most` bytes.
    pub(crate) fn fill(&mut self, input: &mut Bytes, most: usize) {
        let n = input.len().min(PIECE).min(most);
        self.make_room(n);
        // First what completes the block that was begun, then whole blocks straight from the input, then the rest.
        let begun = self.len - self.scanned;
        let (head, rest) = input[..n].split_at(if begun > 0 { n.min(BLOCK - begun) } else { 0 });
        self.append(head);
        if self.len - self.scanned == BLOCK {
            self.scan_begun();
        }
        let (whole, tail) = rest.split_at(rest.len() / BLOCK * BLOCK);
        let to = &mut self.bytes[self.scanned..self.scanned + whole.len()];
        self.scanner.scan(whole, to, self.scanned as u32, &mut self.carry, &mut self.found);
        self.scanned += whole.len();
        self.len += whole.len();
        self.append(tail);
        self.bytes[self.len..self.len + PAD].fill(b' ');
        input.advance(n);
    }

    /// Says that no more bytes will come, so that an incomplete block is one.
    pub(crate) fn end(&mut self) {
        if self.len > self.scanned {
            let len = self.len;
            self.make_room(BLOCK);
            self.append(&[b' '; BLOCK]);
            self.scan_begun();
            self.bytes[self.scanned..self.scanned + PAD].fill(b' ');
            self.len = len;
        }
        self.scanned = self.len;
        self.ended = true;
    }

    /// Makes sure that `n` more bytes can be there, with a block that is begun by them, and spaces behind.
    fn make_room(&mut self, n: usize) {
        let needed = self.len + n + BLOCK + PAD;
        if self.bytes.len() < needed {
            self.bytes.resize(needed, b' ');
        }
    }

    /// Puts bytes behind those that there are.
    fn append(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Scans the block that was begun, now that all of it is there.
    fn scan_begun(&mut self) {
        let to = &mut self.bytes[self.scanned..self.scanned + BLOCK];
        let mut block = [b' '; BLOCK];
        block.copy_from_slice(to);
        self.scanner.scan(&block, to, self.scanned as u32, &mut self.carry, &mut self.found);
        self.scanned += BLOCK;
    }

    /// Drops whole blocks before position `upto`; returns by how much positions, and numbers of index entries, have shrunk.
    pub(crate) fn discard(&mut self, upto: usize) -> (usize, usize) {
        let blocks = upto / BLOCK;
        if blocks == 0 || self.ended {
            return (0, 0);
        }
        let shift = blocks * BLOCK;
        self.bytes.copy_within(shift..self.len + PAD, 0);
        self.len -= shift;
        let entries = self.found.discard(blocks);
        self.scanned -= shift;
        self.base += shift as u64;
        (shift, entries)
    }

    /// Forgets everything but the room it takes.
    pub(crate) fn clear(&mut self) {
        if self.bytes.len() > 4 * PIECE {
            self.bytes.truncate(4 * PIECE);
            self.bytes.shrink_to_fit();
        }
        self.bytes[..PAD].fill(b' ');
        self.len = 0;
        self.found.clear(4 * PIECE);
        (self.base, self.scanned, self.ended, self.carry) = (0, 0, false, Carry::default());
    }
}
