//! The kernel for x86-64 with AVX2 and carry-less multiplication.

use std::arch::x86_64::{
    __m256i, _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_set1_epi8, _mm256_cmpeq_epi8,
    _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8,
};

use super::{BLOCK, Block, Carry, Kernel, Raw, ScanFn, scan_with};

/// Proof that the machine has AVX2 and PCLMULQDQ: made only by [`scan_here`], whose caller has looked.
#[derive(Clone, Copy)]
struct Avx2(());

impl Kernel for Avx2 {
    #[inline(always)]
    fn raw(self, block: &[u8; BLOCK]) -> Raw {
        // SAFETY: `self` proves AVX2; both loads are unaligned ones, of 32 bytes each, within the 64 of `block`.
        unsafe {
            let low = _mm256_loadu_si256(block.as_ptr().cast());
            let high = _mm256_loadu_si256(block.as_ptr().add(32).cast());
            // `[` and `]` differ from `{` and `}` in bit 0x20 alone, and no other byte becomes one of these with it set.
            let case = _mm256_set1_epi8(0x20);
            let (low_folded, high_folded) = (_mm256_or_si256(low, case), _mm256_or_si256(high, case));
            let top = _mm256_set1_epi8(0x1f);
            Raw {
                quote: equals(low, high, b'"'),
                backslash: equals(low, high, b'\\'),
                open: equals(low_folded, high_folded, b'{'),
                close: equals(low_folded, high_folded, b'}'),
                control: mask(
                    _mm256_cmpeq_epi8(_mm256_min_epu8(low, top), low),
                    _mm256_cmpeq_epi8(_mm256_min_epu8(high, top), high),
                ),
                wide: mask(low, high),
            }
        }
    }

    #[inline(always)]
    fn prefix_xor(self, bits: u64) -> u64 {
        // SAFETY: `self` proves PCLMULQDQ.
        unsafe {
            let product = _mm_clmulepi64_si128::<0>(_mm_set_epi64x(0, bits as i64), _mm_set1_epi8(-1));
            _mm_cvtsi128_si64(product) as u64
        }
    }
}

/// The highest bit of each byte.
#[inline(always)]
fn mask(low: __m256i, high: __m256i) -> u64 {
    // SAFETY: a `__m256i` of data is only made where AVX2 was proved.
    let (low, high) = unsafe { (_mm256_movemask_epi8(low), _mm256_movemask_epi8(high)) };
    u64::from(low as u32) | (u64::from(high as u32) << 32)
}

/// The bytes that are `byte`.
#[inline(always)]
fn equals(low: __m256i, high: __m256i, byte: u8) -> u64 {
    // SAFETY: as in `mask`.
    unsafe {
        let byte = _mm256_set1_epi8(byte as i8);
        mask(_mm256_cmpeq_epi8(low, byte), _mm256_cmpeq_epi8(high, byte))
    }
}

#[target_feature(enable = "avx2,pclmulqdq,bmi1,bmi2,popcnt,lzcnt")]
fn scan_here(bytes: &[u8], first: u32, carry: &mut Carry, index: &mut Vec<u32>, blocks: &mut Vec<Block>) {
    scan_with(Avx2(()), bytes, first, carry, index, blocks);
}

/// The kernel, where the machine can run it.
pub(super) fn scan() -> Option<ScanFn> {
    let able = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("pclmulqdq")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("lzcnt");
    // SAFETY: all features of `scan_here` were found just now, and a machine does not lose them.
    able.then_some(|bytes, first, carry, index, blocks| unsafe { scan_here(bytes, first, carry, index, blocks) })
}
