//! Stage 1: blocks of 64 bytes to bitmaps.
//!
//! The algorithm stands here once; a [`Kernel`] says how one instruction set compares 64 bytes at a time.
//! [`scalar`] is the reference that every other kernel is tested against. The best kernel of the machine
//! is chosen at run time; [`KernelName`] can force one.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;

use std::fmt;

use crate::raw::append_positions;

/// Bytes of a block: one for each bit of a mask.
pub(crate) const BLOCK: usize = 64;

/// What a kernel says of a block: bit `i` is about byte `i`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Raw {
    quote: u64,
    backslash: u64,
    /// `{` and `[`.
    open: u64,
    /// `}` and `]`.
    close: u64,
    /// Below 0x20.
    control: u64,
    /// 0x80 and above.
    wide: u64,
}

/// How one instruction set looks at a block.
trait Kernel: Copy {
    fn raw(self, block: &[u8; BLOCK]) -> Raw;
    /// Bit `i` of the result is the parity of the bits `0..=i`.
    fn prefix_xor(self, bits: u64) -> u64;
}

/// What stage 2 needs to know of a block, beside the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// Opening brackets outside strings.
    pub(crate) open: u64,
    /// Closing brackets outside strings.
    pub(crate) close: u64,
    /// Backslashes, wherever they are.
    pub(crate) backslash: u64,
    /// Control characters within strings, where JSON forbids them.
    pub(crate) control: u64,
    /// Bytes of multi-byte characters, wherever they are.
    pub(crate) wide: u64,
}

/// What one block leaves to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carry {
    /// 1 when the first byte of the next block is escaped.
    escaped: u64,
    /// All ones when the next block begins within a string.
    in_string: u64,
}

/// Appends to `blocks` one entry for each block of `bytes`, and to `index` the position of each quote that begins or
/// ends a string and each bracket outside strings. `first` is the position of the first byte.
#[inline(always)]
fn scan_with<K: Kernel>(
    kernel: K,
    bytes: &[u8],
    first: u32,
    carry: &mut Carry,
    index: &mut Vec<u32>,
    blocks: &mut Vec<Block>,
) {
    let mut position = first;
    for block in bytes.as_chunks::<BLOCK>().0 {
        let raw = kernel.raw(block);
        let quote = raw.quote & !escaped(raw.backslash, &mut carry.escaped);
        let in_string = kernel.prefix_xor(quote) ^ carry.in_string;
        carry.in_string = 0u64.wrapping_sub(in_string >> 63);
        let (open, close) = (raw.open & !in_string, raw.close & !in_string);
        blocks.push(Block { open, close, backslash: raw.backslash, control: raw.control & in_string, wide: raw.wide });
        append_positions(index, quote | open | close, position);
        position += BLOCK as u32;
    }
}

/// The bytes that a backslash before them escapes.
#[inline(always)]
fn escaped(backslash: u64, carry: &mut u64) -> u64 {
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
    /// aarch64.
    Neon,
}

impl fmt::Display for KernelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
        })
    }
}

impl std::str::FromStr for KernelName {
    type Err = pagemill_core::Error;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::Scalar, Self::Avx2, Self::Neon]
            .into_iter()
            .find(|k| k.to_string() == name)
            .ok_or_else(|| pagemill_core::Error::config(format!("there is no kernel {name:?}")))
    }
}

type ScanFn = fn(&[u8], u32, &mut Carry, &mut Vec<u32>, &mut Vec<Block>);

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
        [KernelName::Avx2, KernelName::Neon]
            .into_iter()
            .find_map(Self::named)
            .unwrap_or(Self { name: KernelName::Scalar, scan: scalar::scan })
    }

    /// The kernel `name`, if this machine can run it.
    pub(crate) fn named(name: KernelName) -> Option<Self> {
        let scan = match name {
            KernelName::Scalar => Some(scalar::scan as ScanFn),
            #[cfg(target_arch = "x86_64")]
            KernelName::Avx2 => avx2::scan(),
            #[cfg(target_arch = "aarch64")]
            KernelName::Neon => neon::scan(),
            #[allow(unreachable_patterns, reason = "the kernels of other machines")]
            _ => None,
        };
        scan.map(|scan| Self { name, scan })
    }

    /// As [`scan_with`]; the length of `bytes` is a multiple of [`BLOCK`].
    pub(crate) fn scan(
        &self,
        bytes: &[u8],
        first: u32,
        carry: &mut Carry,
        index: &mut Vec<u32>,
        blocks: &mut Vec<Block>,
    ) {
        debug_assert!(bytes.len().is_multiple_of(BLOCK));
        blocks.reserve(bytes.len() / BLOCK);
        (self.scan)(bytes, first, carry, index, blocks);
    }
}

/// How many quotes of strings, and brackets outside strings, `bytes` has, by the kernel `kernel`; `None` where this
/// machine cannot run it. This is stage 1 alone, at the size of piece that the decoder works in: for benches, and for
/// finding out which kernel a bug is in.
#[must_use]
pub fn count_structurals(bytes: &[u8], kernel: KernelName) -> Option<usize> {
    const PIECE: usize = 64 << 10;
    let scanner = Scanner::named(kernel)?;
    let (mut carry, mut index, mut blocks) = (Carry::default(), Vec::new(), Vec::new());
    let mut count = 0;
    let whole = bytes.len() / BLOCK * BLOCK;
    let mut tail = [b' '; BLOCK];
    tail[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
    for piece in bytes[..whole].chunks(PIECE).chain([&tail[..]]) {
        index.clear();
        blocks.clear();
        scanner.scan(piece, 0, &mut carry, &mut index, &mut blocks);
        count += index.len();
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(scanner: Scanner, bytes: &[u8]) -> (Carry, Vec<u32>, Vec<Block>) {
        let (mut carry, mut index, mut blocks) = Default::default();
        scanner.scan(bytes, 0, &mut carry, &mut index, &mut blocks);
        (carry, index, blocks)
    }

    /// The same answers one byte at a time, by the definition.
    fn by_definition(bytes: &[u8]) -> (Vec<u32>, Vec<Block>) {
        let (mut index, mut blocks) = (Vec::new(), vec![Block::default(); bytes.len() / BLOCK]);
        let (mut in_string, mut escaped) = (false, false);
        for (i, &byte) in bytes.iter().enumerate() {
            let (block, bit) = (&mut blocks[i / BLOCK], 1u64 << (i % BLOCK));
            let was_escaped = escaped;
            escaped = byte == b'\\' && !was_escaped;
            match byte {
                b'"' if !was_escaped => {
                    in_string = !in_string;
                    index.push(i as u32);
                }
                b'{' | b'[' if !in_string => {
                    index.push(i as u32);
                    block.open |= bit;
                }
                b'}' | b']' if !in_string => {
                    index.push(i as u32);
                    block.close |= bit;
                }
                b'\\' => block.backslash |= bit,
                0..0x20 if in_string => block.control |= bit,
                0x80.. => block.wide |= bit,
                _ => {}
            }
        }
        (index, blocks)
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            4 => prop::sample::select(b"\"\\{}[]:, \n\x00\x1f\xc3\xa9\x7f".to_vec()),
            1 => any::<u8>(),
        ];
        let padded = |mut v: Vec<u8>| {
            v.resize(v.len().next_multiple_of(BLOCK), b' ');
            v
        };
        prop::collection::vec(byte, 0..400).prop_map(padded)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn every_kernel_says_what_the_definition_says(bytes in bytes()) {
            let expected = by_definition(&bytes);
            for scanner in [KernelName::Scalar, KernelName::Avx2, KernelName::Neon].into_iter().filter_map(Scanner::named) {
                let (_, index, blocks) = run(scanner, &bytes);
                prop_assert_eq!((&index, &blocks), (&expected.0, &expected.1), "{:?}", scanner);
            }
        }

        #[test]
        fn scanning_in_two_parts_is_scanning_at_once(bytes in bytes(), at in any::<prop::sample::Index>()) {
            let at = at.index(bytes.len() / BLOCK + 1) * BLOCK;
            for scanner in [KernelName::Scalar, KernelName::Avx2].into_iter().filter_map(Scanner::named) {
                let whole = run(scanner, &bytes);
                let (mut carry, mut index, mut blocks) = Default::default();
                scanner.scan(&bytes[..at], 0, &mut carry, &mut index, &mut blocks);
                scanner.scan(&bytes[at..], at as u32, &mut carry, &mut index, &mut blocks);
                prop_assert_eq!(whole, (carry, index, blocks));
            }
        }
    }
}
