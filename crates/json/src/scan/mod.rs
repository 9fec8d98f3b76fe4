//! Stage 1: blocks of 64 bytes to bitmaps.
//!
//! The algorithm stands here once; a [`Kernel`] says how one instruction set compares 64 bytes at a time.
//! [`scalar`] is the reference that every other kernel is tested against. The best kernel of the machine
//! is chosen at run time; [`KernelName`] can force one.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod utf8;

use std::fmt;

use crate::raw::Positions;

/// Bytes of a block: one for each bit of a mask.
pub(crate) const BLOCK: usize = 64;

/// What a kernel says of every block: bit `i` is about byte `i`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Raw {
    quote: u64,
    /// `{` and `[`.
    open: u64,
    /// `}` and `]`.
    close: u64,
    /// True when the block has something of what [`Rare`] is about.
    rare: bool,
}

/// What most blocks have none of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rare {
    backslash: u64,
    /// Below 0x20.
    control: u64,
    /// 0x80 and above.
    wide: u64,
}

/// How one instruction set looks at a block.
trait Kernel: Copy {
    fn raw(self, block: &[u8; BLOCK]) -> Raw;

    fn rare(self, block: &[u8; BLOCK]) -> Rare;

    /// As [`odd_with`]. Most blocks are not odd, and the loop around it should keep its registers for them: so this should
    /// be a call.
    fn odd(self, block: &[u8; BLOCK], quote: u64, in_string: u64, carry: &mut Carry) -> Odd;

    /// Bit `i` of the result is the parity of the bits `0..=i`.
    fn prefix_xor(self, bits: u64) -> u64;

    /// True when the bytes up to the end of this block may be no UTF-8: a character that is broken shows, at the latest,
    /// in the block of the first ASCII byte behind it. `wide` is the block's [`Rare::wide`].
    ///
    /// A kernel that cannot tell doubts every block with bytes beyond ASCII; whoever reads on looks closer.
    #[inline(always)]
    fn doubt(self, _block: &[u8; BLOCK], wide: u64, _tail: &mut Tail) -> bool {
        wide != 0
    }

    /// Asks for the bytes some way behind `block`, which come next.
    #[inline(always)]
    fn fetch(self, _block: &[u8; BLOCK]) {}

    /// Appends `first + i` for each bit `i` of `bits`.
    #[inline(always)]
    fn positions(self, to: &mut Positions<'_>, bits: u64, first: u32) {
        to.push(bits, first);
    }
}

/// Where in a block the bytes are that stage 2 asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// Opening brackets outside strings.
    pub(crate) open: u64,
    /// Closing brackets outside strings.
    pub(crate) close: u64,
    /// Control characters within strings, where JSON forbids them.
    pub(crate) control: u64,
}

/// A block in four bytes, for passing many of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum(u32);

impl Sum {
    /// There is a control character within a string.
    const CONTROL: u32 = 1 << 16;
    /// The bytes up to here may be no UTF-8.
    const DOUBT: u32 = 1 << 17;

    #[inline(always)]
    fn new(open: u64, close: u64) -> Self {
        Self(open.count_ones() | (close.count_ones() << 8))
    }

    /// Adds what is wrong with the block, or may be.
    #[inline(always)]
    fn note(&mut self, control: bool, doubt: bool) {
        self.0 |= (u32::from(control) * Self::CONTROL) | (u32::from(doubt) * Self::DOUBT);
    }

    /// How many brackets open.
    #[inline(always)]
    pub(crate) fn opens(self) -> u64 {
        u64::from(self.0 & 0xff)
    }

    /// How many close.
    #[inline(always)]
    pub(crate) fn closes(self) -> u64 {
        u64::from(self.0 >> 8 & 0xff)
    }

    /// True when there may be anything wrong with one of the blocks `sums`.
    #[inline]
    pub(crate) fn trouble(sums: &[Self]) -> bool {
        sums.iter().fold(0, |all, sum| all | sum.0) & (Self::CONTROL | Self::DOUBT) != 0
    }
}

/// Marks the entry of a quote that ends a string with a backslash in it.
const ESCAPED: u32 = 1 << 31;

/// Where the byte of the index entry `entry` is.
#[inline(always)]
pub(crate) fn place(entry: u32) -> usize {
    (entry & !ESCAPED) as usize
}

/// True when the index entry `entry` is of a quote that ends a string with a backslash in it.
#[inline(always)]
pub(crate) fn ends_escaped(entry: u32) -> bool {
    entry & ESCAPED != 0
}

/// What stage 1 found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where the quotes are that end a string, and the brackets outside strings: see [`place`].
    pub(crate) index: Vec<u32>,
    /// One for each block.
    pub(crate) blocks: Vec<Block>,
    /// One for each block.
    pub(crate) sums: Vec<Sum>,
    /// True when there may have been anything wrong with some block.
    pub(crate) trouble: bool,
}

impl Found {
    /// Drops the first `blocks` blocks and moves what is left to the front; returns how many index entries went with them.
    pub(crate) fn discard(&mut self, blocks: usize) -> usize {
        let shift = blocks * BLOCK;
        self.blocks.drain(..blocks);
        self.sums.drain(..blocks);
        let entries = self.index.partition_point(|entry| place(*entry) < shift);
        self.index.drain(..entries);
        for entry in &mut self.index {
            *entry -= shift as u32;
        }
        entries
    }

    /// Forgets everything but some room.
    pub(crate) fn clear(&mut self, room: usize) {
        self.index.clear();
        self.index.shrink_to(room);
        self.blocks.clear();
        self.blocks.shrink_to(room / BLOCK);
        self.sums.clear();
        self.sums.shrink_to(room / BLOCK);
        self.trouble = false;
    }
}

/// What one block leaves to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carry {
    /// 1 when the first byte of the next block is escaped.
    escaped: u64,
    /// All ones when the next block begins within a string.
    in_string: u64,
    /// 1 when there was a backslash in that string.
    backslash: u64,
    tail: Tail,
    /// True when any of these but `in_string` says something.
    reaches: bool,
}

/// The end of a block, for the check of UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    /// True when one of the last three bytes is beyond ASCII, so that a character may go on in the next block.
    open: bool,
    /// The last bytes; only where `open`.
    bytes: [u8; 32],
}

/// Appends to `found` what there is in `bytes`, whose first byte is at position `first`, and copies them to `to`.
///
/// The copy costs next to nothing here, where the bytes are in registers anyway.
#[inline(always)]
fn scan_with<K: Kernel>(kernel: K, bytes: &[u8], to: &mut [u8], first: u32, carry: &mut Carry, found: &mut Found) {
    let mut position = first;
    let bytes = bytes.as_chunks::<BLOCK>().0;
    let Found { index, blocks, sums, trouble } = found;
    let mut index = Positions::new(index, bytes.len());
    let begun = blocks.len();
    blocks.resize(begun + bytes.len(), Block::default());
    sums.resize(begun + bytes.len(), Sum::default());
    let said = blocks[begun..].iter_mut().zip(&mut sums[begun..]);
    let mut in_string = carry.in_string;
    for ((block, to), (masks, sum)) in bytes.iter().zip(to.as_chunks_mut::<BLOCK>().0).zip(said) {
        kernel.fetch(block);
        *to = *block;
        let raw = kernel.raw(block);
        // Most blocks have nothing but ASCII without escapes, and nothing reaches into them.
        let odd = match raw.rare | carry.reaches {
            true => Some(kernel.odd(block, raw.quote, in_string, carry)),
            false => None,
        };
        let (quote, inside) = match &odd {
            Some(odd) => (odd.quote, odd.inside),
            None => (raw.quote, kernel.prefix_xor(raw.quote) ^ in_string),
        };
        in_string = 0u64.wrapping_sub(inside >> 63);
        let (open, close) = (raw.open & !inside, raw.close & !inside);
        (masks.open, masks.close) = (open, close);
        *sum = Sum::new(open, close);
        // Where a string begins is where a value or a name does; only its end has to be found.
        let entries = (quote | raw.open | raw.close) & !inside;
        let before = index.len();
        kernel.positions(&mut index, entries, position);
        position += BLOCK as u32;

        if let Some(odd) = odd {
            masks.control = odd.control;
            sum.note(odd.control != 0, odd.doubt);
            *trouble |= odd.doubt | (odd.control != 0);
            if odd.escaped_ends != 0 {
                mark(index.since(before), entries, odd.escaped_ends);
            }
        }
    }
    carry.in_string = in_string;
}

/// What there is to a block that has more than ASCII without escapes, or into which something reaches.
struct Odd {
    /// Quotes that are not escaped.
    quote: u64,
    /// Which bytes are in strings, each opening quote included.
    inside: u64,
    /// As [`Block::control`].
    control: u64,
    /// Quotes that end a string with a backslash in it.
    escaped_ends: u64,
    /// As [`Kernel::doubt`].
    doubt: bool,
}

/// Looks at a block that is not like most. `quote` is its [`Raw::quote`].
#[inline(always)]
fn odd_with<K: Kernel>(kernel: K, block: &[u8; BLOCK], quote: u64, in_string: u64, carry: &mut Carry) -> Odd {
    let rare = kernel.rare(block);
    let quote = quote & !escaped_by(rare.backslash, &mut carry.escaped);
    let inside = kernel.prefix_xor(quote) ^ in_string;
    let doubt = (rare.wide != 0 || carry.tail.open) && kernel.doubt(block, rare.wide, &mut carry.tail);
    let backslashes = (rare.backslash & inside) | carry.backslash;
    let mut escaped_ends = 0;
    if backslashes != 0 {
        // The first backslash of a string carries to the quote that ends it.
        let (carried, beyond) = inside.overflowing_add(backslashes);
        carry.backslash = u64::from(beyond);
        escaped_ends = carried & quote & !inside;
    }
    carry.reaches = carry.escaped | carry.backslash != 0 || carry.tail.open;
    Odd { quote, inside, control: rare.control & inside, escaped_ends, doubt }
}

/// Marks the entries of `ends` among those of `all`, which `index` has.
#[inline(always)]
fn mark(index: &mut [u32], all: u64, mut ends: u64) {
    while ends != 0 {
        let end = ends & ends.wrapping_neg();
        if let Some(entry) = index.get_mut((all & (end - 1)).count_ones() as usize) {
            *entry |= ESCAPED;
        }
        ends ^= end;
    }
}

/// The bytes that a backslash before them escapes.
#[inline(always)]
fn escaped_by(backslash: u64, carry: &mut u64) -> u64 {
    if backslash == 0 {
        return std::mem::take(carry);
    }
    const EVEN: u64 = 0x5555_5555_5555_5555;
    let backslash = backslash & !*carry;
    let follows = (backslash << 1) | *carry;
    let odd_starts = backslash & !EVEN & !follows;
    let (even_runs, overflow) = odd_starts.overflowing_add(backslash);
    *carry = u64::from(overflow);
    (EVEN ^ (even_runs << 1)) & follows
}

/// The name of a kernel, for tests and bug reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelName {
    /// Portable code; the reference.
    Scalar,
    /// x86-64 with AVX2 and carry-less multiplication.
    Avx2,
    /// x86-64 with AVX-512, its byte instructions included.
    Avx512,
    /// aarch64.
    Neon,
}

impl KernelName {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Scalar, Self::Avx2, Self::Avx512, Self::Neon];
}

impl fmt::Display for KernelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
        })
    }
}

impl std::str::FromStr for KernelName {
    type Err = pagemill_core::Error;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|k| k.to_string() == name)
            .ok_or_else(|| pagemill_core::Error::config(format!("there is no kernel {name:?}")))
    }
}

/// [`Kernel::odd`], as a function for the instruction set.
#[cfg(target_arch = "x86_64")]
type OddFn = unsafe fn(&[u8; BLOCK], u64, u64, &mut Carry) -> Odd;

type ScanFn = fn(&[u8], &mut [u8], u32, &mut Carry, &mut Found);

/// A kernel that this machine can run.
#[derive(Clone, Copy)]
pub(crate) struct Scanner {
    name: KernelName,
    scan: ScanFn,
}

impl fmt::Debug for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scanner({})", self.name)
    }
}

impl Scanner {
    /// The fastest kernel of this machine.
    pub(crate) fn best() -> Self {
        [KernelName::Avx512, KernelName::Avx2, KernelName::Neon]
            .into_iter()
            .find_map(Self::named)
            .unwrap_or(Self { name: KernelName::Scalar, scan: scalar::scan })
    }

    /// The kernel's name.
    pub(crate) fn name(&self) -> KernelName {
        self.name
    }

    /// The kernel `name`, if this machine can run it.
    pub(crate) fn named(name: KernelName) -> Option<Self> {
        let scan = match name {
            KernelName::Scalar => Some(scalar::scan as ScanFn),
            #[cfg(target_arch = "x86_64")]
            KernelName::Avx2 => avx2::scan(),
            #[cfg(target_arch = "x86_64")]
            KernelName::Avx512 => avx512::scan(),
            #[cfg(target_arch = "aarch64")]
            KernelName::Neon => neon::scan(),
            #[allow(unreachable_patterns, reason = "the kernels of other machines")]
            _ => None,
        };
        scan.map(|scan| Self { name, scan })
    }

    /// As [`scan_with`]; the length of both `bytes` and `to` is the same multiple of [`BLOCK`].
    pub(crate) fn scan(&self, bytes: &[u8], to: &mut [u8], first: u32, carry: &mut Carry, found: &mut Found) {
        debug_assert!(bytes.len().is_multiple_of(BLOCK) && bytes.len() == to.len());
        (self.scan)(bytes, to, first, carry, found);
    }
}

/// How many ends of strings, and brackets outside strings, `bytes` has, by the kernel `kernel`; `None` where this
/// machine cannot run it. This is stage 1 alone, UTF-8 and the copy included, at the size of piece that the decoder works in: for benches, and for
/// finding out which kernel a bug is in.
#[must_use]
pub fn count_structurals(bytes: &[u8], kernel: KernelName) -> Option<usize> {
    const PIECE: usize = 32 << 10;
    let scanner = Scanner::named(kernel)?;
    let (mut carry, mut found) = (Carry::default(), Found::default());
    let (mut count, mut copy) = (0, vec![0; PIECE]);
    let whole = bytes.len() / BLOCK * BLOCK;
    let mut tail = [b' '; BLOCK];
    tail[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
    for piece in bytes[..whole].chunks(PIECE).chain([&tail[..]]) {
        found.clear(PIECE);
        scanner.scan(piece, &mut copy[..piece.len()], 0, &mut carry, &mut found);
        count += found.index.len();
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(scanner: Scanner, bytes: &[u8]) -> (Carry, Found) {
        let (mut carry, mut found) = Default::default();
        let mut copy = vec![0; bytes.len()];
        scanner.scan(bytes, &mut copy, 0, &mut carry, &mut found);
        assert_eq!(copy, bytes);
        (carry, found)
    }

    /// The same answers one byte at a time, by the definition; doubts are left out.
    fn by_definition(bytes: &[u8]) -> Found {
        let blocks = bytes.len() / BLOCK;
        let mut found = Found { blocks: vec![Block::default(); blocks], ..Found::default() };
        let (mut in_string, mut escaped, mut backslash) = (false, false, 0);
        for (i, &byte) in bytes.iter().enumerate() {
            let (block, bit) = (&mut found.blocks[i / BLOCK], 1u64 << (i % BLOCK));
            let was_escaped = escaped;
            escaped = byte == b'\\' && !was_escaped;
            match byte {
                b'"' if !was_escaped => {
                    in_string = !in_string;
                    if !in_string {
                        found.index.push(i as u32 | backslash);
                    }
                    backslash = 0;
                }
                b'{' | b'[' if !in_string => {
                    found.index.push(i as u32);
                    block.open |= bit;
                }
                b'}' | b']' if !in_string => {
                    found.index.push(i as u32);
                    block.close |= bit;
                }
                b'\\' if in_string => backslash = ESCAPED,
                0..0x20 if in_string => block.control |= bit,
                _ => {}
            }
        }
        let sum = |block: &Block| {
            let mut sum = Sum::new(block.open, block.close);
            sum.note(block.control != 0, false);
            sum
        };
        found.sums = found.blocks.iter().map(sum).collect();
        found.trouble = Sum::trouble(&found.sums);
        found
    }

    fn without_doubts(mut found: Found) -> Found {
        for sum in &mut found.sums {
            sum.0 &= !Sum::DOUBT;
        }
        found.trouble = Sum::trouble(&found.sums);
        found
    }

    fn doubts(found: &Found) -> bool {
        found.sums.iter().any(|sum| sum.0 & Sum::DOUBT != 0)
    }

    fn kernels() -> impl Iterator<Item = Scanner> {
        KernelName::ALL.into_iter().filter_map(Scanner::named)
    }

    fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.resize(bytes.len().next_multiple_of(BLOCK), b' ');
        bytes
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            4 => prop::sample::select(b"\"\\{}[]:, \n\x00\x1f\xc3\xa9\x7f".to_vec()),
            1 => any::<u8>(),
        ];
        prop::collection::vec(byte, 0..400).prop_map(padded)
    }

    /// Texts, some of them damaged.
    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let byte =
            prop::sample::select(b"a\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc2\xdf\xe0\xed\xef\xf0\xf4\xf5\xff".to_vec());
        let damage = prop::collection::vec((any::<prop::sample::Index>(), byte), 0..3);
        (prop::collection::vec("[ -~]{0,70}|[à-ü]|[ࠀ-\u{fffd}]|[\u{10000}-\u{10ffff}]", 0..30), damage).prop_map(
            |(parts, damage)| {
                let mut bytes = parts.concat().into_bytes();
                bytes.push(b'}');
                for (at, byte) in damage {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
                bytes
            },
        )
    }

    /// What is promised: where nothing is doubted, it is UTF-8; and the kernels that can tell doubt nothing else.
    fn check_doubts(bytes: Vec<u8>) {
        let good = std::str::from_utf8(&bytes).is_ok();
        // A character may be cut short by the end of the text: then the ASCII byte behind it shows that.
        let bytes = padded([bytes, vec![b' ']].concat());
        for scanner in kernels() {
            let doubted = doubts(&run(scanner, &bytes).1);
            assert!(good || doubted, "{scanner:?} takes {bytes:x?} for UTF-8");
            if matches!(scanner.name, KernelName::Avx2 | KernelName::Avx512) {
                assert_eq!(doubted, !good, "{scanner:?} doubts {bytes:x?}");
            }
        }
    }

    #[test]
    fn every_broken_character_is_doubted_wherever_it_stands() {
        let edge = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1];
        let edges = [&edge[..], &[0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff]].concat();
        let mut at = 0;
        for a in &edges {
            for b in &edges {
                for c in &edges {
                    for d in [b'x', 0x80, 0xbf, 0xc3] {
                        // Every place in a block comes, and the end of one block with the beginning of the next.
                        at = (at + 1) % (2 * BLOCK);
                        check_doubts([vec![b'.'; at], vec![*a, *b, *c, d], vec![b'.'; 5]].concat());
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn every_kernel_says_what_the_definition_says(bytes in bytes()) {
            let expected = by_definition(&bytes);
            for scanner in kernels() {
                prop_assert_eq!(&without_doubts(run(scanner, &bytes).1), &expected, "{:?}", scanner);
            }
        }

        #[test]
        fn scanning_in_two_parts_is_scanning_at_once(bytes in bytes(), at in any::<prop::sample::Index>()) {
            let at = at.index(bytes.len() / BLOCK + 1) * BLOCK;
            for scanner in kernels() {
                let whole = run(scanner, &bytes);
                let (mut carry, mut found) = Default::default();
                let mut copy = vec![0; bytes.len()];
                let (first, second) = copy.split_at_mut(at);
                scanner.scan(&bytes[..at], first, 0, &mut carry, &mut found);
                scanner.scan(&bytes[at..], second, at as u32, &mut carry, &mut found);
                prop_assert_eq!(&copy, &bytes);
                prop_assert_eq!(whole, (carry, found));
            }
        }

        #[test]
        fn doubts_are_those_of_the_standard_library(bytes in texts()) {
            check_doubts(bytes);
        }
    }
}
