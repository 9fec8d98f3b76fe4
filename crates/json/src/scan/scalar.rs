//! The portable kernel: plain Rust, no instruction set assumed.

use super::{BLOCK, Carry, Found, Kernel, Odd, Rare, Raw, odd_with, scan_with};

#[derive(Clone, Copy)]
struct Scalar;

impl Kernel for Scalar {
    #[inline(always)]
    fn raw(self, block: &[u8; BLOCK]) -> Raw {
        let mut raw = Raw::default();
        let mut all = 0;
        for (i, &byte) in block.iter().enumerate() {
            let class = CLASS[usize::from(byte)];
            raw.quote |= u64::from(class & 1) << i;
            raw.open |= u64::from(class >> 1 & 1) << i;
            raw.close |= u64::from(class >> 2 & 1) << i;
            all |= class;
        }
        raw.rare = all >> 3 != 0;
        raw
    }

    #[inline(always)]
    fn rare(self, block: &[u8; BLOCK]) -> Rare {
        let mut rare = Rare::default();
        for (i, &byte) in block.iter().enumerate() {
            let class = CLASS[usize::from(byte)];
            rare.backslash |= u64::from(class >> 3 & 1) << i;
            rare.control |= u64::from(class >> 4 & 1) << i;
            rare.wide |= u64::from(class >> 5 & 1) << i;
        }
        rare
    }

    #[inline(never)]
    fn odd(self, block: &[u8; BLOCK], quote: u64, in_string: u64, carry: &mut Carry) -> Odd {
        odd_with(self, block, quote, in_string, carry)
    }

    #[inline(always)]
    fn prefix_xor(self, mut bits: u64) -> u64 {
        for shift in [1, 2, 4, 8, 16, 32] {
            bits ^= bits << shift;
        }
        bits
    }
}

/// One bit a mask of [`Raw`] and of [`Rare`], in the order of their fields.
const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'"' => 1,
            b'{' | b'[' => 2,
            b'}' | b']' => 4,
            b'\\' => 8,
            0..0x20 => 16,
            0x80.. => 32,
            _ => 0,
        };
        byte += 1;
    }
    table
};

pub(super) fn scan(bytes: &[u8], to: &mut [u8], first: u32, carry: &mut Carry, found: &mut Found) {
    scan_with(Scalar, bytes, to, first, carry, found);
}
