//! The kernel for aarch64, where NEON is part of every machine.

use std::arch::aarch64::{
    uint8x16_t, vaddv_u8, vandq_u8, vceqq_u8, vcgeq_u8, vcltq_u8, vdupq_n_u8, vget_high_u8, vget_low_u8, vld1q_u8,
    vmaxvq_u8, vorrq_u8,
};

use super::{BLOCK, Carry, Found, Kernel, Odd, Rare, Raw, ScanFn, odd_with, scan_with};

#[derive(Clone, Copy)]
struct Neon;

impl Kernel for Neon {
    #[inline(always)]
    fn raw(self, block: &[u8; BLOCK]) -> Raw {
        let mut raw = Raw::default();
        for part in 0..4 {
            // SAFETY: every aarch64 machine has NEON; the load is of 16 bytes at 16 * part of the 64 of `block`.
            unsafe {
                let v = vld1q_u8(block.as_ptr().add(16 * part));
                let folded = vorrq_u8(v, vdupq_n_u8(0x20));
                let put = |to: &mut u64, v: uint8x16_t| *to |= mask(v) << (16 * part);
                put(&mut raw.quote, vceqq_u8(v, vdupq_n_u8(b'"')));
                put(&mut raw.open, vceqq_u8(folded, vdupq_n_u8(b'{')));
                put(&mut raw.close, vceqq_u8(folded, vdupq_n_u8(b'}')));
                let beyond = vorrq_u8(vcltq_u8(v, vdupq_n_u8(0x20)), vcgeq_u8(v, vdupq_n_u8(0x80)));
                let rare = vorrq_u8(beyond, vceqq_u8(v, vdupq_n_u8(b'\\')));
                raw.rare |= vmaxvq_u8(rare) != 0;
            }
        }
        raw
    }

    #[inline(always)]
    fn rare(self, block: &[u8; BLOCK]) -> Rare {
        let mut rare = Rare::default();
        for part in 0..4 {
            // SAFETY: as in `raw`.
            unsafe {
                let v = vld1q_u8(block.as_ptr().add(16 * part));
                let put = |to: &mut u64, v: uint8x16_t| *to |= mask(v) << (16 * part);
                put(&mut rare.backslash, vceqq_u8(v, vdupq_n_u8(b'\\')));
                put(&mut rare.control, vcltq_u8(v, vdupq_n_u8(0x20)));
                put(&mut rare.wide, vcgeq_u8(v, vdupq_n_u8(0x80)));
            }
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

/// One bit for each byte that is all ones; the others are all zeros.
#[inline(always)]
fn mask(v: uint8x16_t) -> u64 {
    const BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
    // SAFETY: every aarch64 machine has NEON; `BITS` has the 16 bytes that are loaded.
    unsafe {
        let bits = vandq_u8(v, vld1q_u8(BITS.as_ptr()));
        u64::from(vaddv_u8(vget_low_u8(bits))) | (u64::from(vaddv_u8(vget_high_u8(bits))) << 8)
    }
}

/// The kernel.
pub(super) fn scan() -> Option<ScanFn> {
    Some(|bytes: &[u8], to: &mut [u8], first: u32, carry: &mut Carry, found: &mut Found| {
        scan_with(Neon, bytes, to, first, carry, found)
    })
}
