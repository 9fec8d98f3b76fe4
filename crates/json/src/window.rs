//! The bytes that are being looked at: what has arrived and is not yet done with, scanned block by block.

use bytes::{Buf, Bytes};

use crate::{
    options::Limits,
    scan::{BLOCK, Block, Carry, Scanner},
    tokens::Tokens,
};

/// How much input is taken at a time: little enough that what stage 1 wrote is still in the cache when stage 2 reads it.
const PIECE: usize = 64 << 10;

/// Readable bytes after the last one of the page, so that a load of this length may begin at any of them.
pub(crate) const PAD: usize = 64;

/// A window on a page. Positions count from its first byte, which is byte [`Window::base`] of the page.
#[derive(Debug)]
pub(crate) struct Window {
    scanner: Scanner,
    /// The bytes, and [`PAD`] spaces.
    bytes: Vec<u8>,
    /// How many bytes there are, without the spaces.
    len: usize,
    base: u64,
    /// Bytes that were scanned: whole blocks, or all once the page has ended.
    scanned: usize,
    index: Vec<u32>,
    blocks: Vec<Block>,
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
            index: Vec::new(),
            blocks: Vec::new(),
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
        &self.index
    }

    /// A walk over the bytes from `at` up to `end`; `next` is the first index entry at or after `at`.
    pub(crate) fn tokens<'a>(&'a self, at: usize, next: usize, end: usize, limits: &'a Limits) -> Tokens<'a> {
        Tokens { bytes: &self.bytes, end, index: &self.index, blocks: &self.blocks, limits, escapes: true, at, next }
    }

    /// Takes the next piece of `input`, of at most `most` bytes.
    pub(crate) fn fill(&mut self, input: &mut Bytes, most: usize) {
        let n = input.len().min(PIECE).min(most);
        self.bytes.truncate(self.len);
        self.bytes.reserve(n + PAD);
        self.bytes.extend_from_slice(&input[..n]);
        self.bytes.extend_from_slice(&[b' '; PAD]);
        self.len += n;
        input.advance(n);
        self.scan(self.len / BLOCK * BLOCK);
    }

    /// Says that no more bytes will come, so that an incomplete block is one.
    pub(crate) fn end(&mut self) {
        let blocks = self.len.next_multiple_of(BLOCK);
        self.bytes.resize(blocks + PAD, b' ');
        self.scan(blocks);
        self.scanned = self.len;
        self.ended = true;
    }

    fn scan(&mut self, to: usize) {
        let new = &self.bytes[self.scanned..to];
        self.scanner.scan(new, self.scanned as u32, &mut self.carry, &mut self.index, &mut self.blocks);
        self.scanned = to;
    }

    /// Drops whole blocks before position `upto`; returns by how much positions, and numbers of index entries, have shrunk.
    pub(crate) fn discard(&mut self, upto: usize) -> (usize, usize) {
        let blocks = upto / BLOCK;
        if blocks == 0 || self.ended {
            return (0, 0);
        }
        let shift = blocks * BLOCK;
        self.bytes.drain(..shift);
        self.len -= shift;
        self.blocks.drain(..blocks);
        let entries = self.index.partition_point(|at| (*at as usize) < shift);
        self.index.drain(..entries);
        for at in &mut self.index {
            *at -= shift as u32;
        }
        self.scanned -= shift;
        self.base += shift as u64;
        (shift, entries)
    }

    /// Forgets everything but the room it takes.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(4 * PIECE);
        self.bytes.resize(PAD, b' ');
        self.len = 0;
        self.index.clear();
        self.index.shrink_to(PIECE);
        self.blocks.clear();
        (self.base, self.scanned, self.ended, self.carry) = (0, 0, false, Carry::default());
    }
}
