//! The kernel for x86-64 with AVX-512: a comparison of 64 bytes is one instruction and its result is a mask.

use std::{
    arch::x86_64::{
        __m128i, __m512i, _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_set1_epi8, _mm512_add_epi32,
        _mm512_castsi512_si128, _mm512_cmpeq_epi8_mask, _mm512_cmplt_epi8_mask, _mm512_cmplt_epu8_mask,
        _mm512_cvtepu8_epi32, _mm512_extracti32x4_epi32, _mm512_loadu_si512, _mm512_maskz_compress_epi8,
        _mm512_movepi8_mask, _mm512_or_si512, _mm512_set1_epi8, _mm512_set1_epi32, _mm512_storeu_si512,
    },
    mem::MaybeUninit,
};

use super::{BLOCK, Carry, Found, Kernel, Odd, Positions, Rare, Raw, ScanFn, Tail, avx2, odd_with, scan_with};

/// Proof that the machine has AVX-512 F, BW and VBMI2, AVX2 and PCLMULQDQ: made only by [`scan_here`], whose caller has
/// looked.
#[derive(Clone, Copy)]
struct Avx512(());

impl Kernel for Avx512 {
    #[inline(always)]
    fn raw(self, block: &[u8; BLOCK]) -> Raw {
        // SAFETY: `self` proves AVX-512 F and BW; the load is an unaligned one, of the 64 bytes of `block`.
        unsafe {
            let v = _mm512_loadu_si512(block.as_ptr().cast());
            // `[` and `]` differ from `{` and `}` in bit 0x20 alone, and no other byte becomes one of these with it set.
            let folded = _mm512_or_si512(v, _mm512_set1_epi8(0x20));
            // As signed numbers, bytes beyond ASCII are below 0x20 as well.
            let low = _mm512_cmplt_epi8_mask(v, _mm512_set1_epi8(0x20));
            Raw {
                quote: equals(v, b'"'),
                open: equals(folded, b'{'),
                close: equals(folded, b'}'),
                rare: low | equals(v, b'\\') != 0,
            }
        }
    }

    #[inline(always)]
    fn rare(self, block: &[u8; BLOCK]) -> Rare {
        // SAFETY: as in `raw`.
        unsafe {
            let v = _mm512_loadu_si512(block.as_ptr().cast());
            Rare {
                backslash: equals(v, b'\\'),
                control: _mm512_cmplt_epu8_mask(v, _mm512_set1_epi8(0x20)),
                wide: _mm512_movepi8_mask(v),
            }
        }
    }

    #[inline(always)]
    fn odd(self, block: &[u8; BLOCK], quote: u64, in_string: u64, carry: &mut Carry) -> Odd {
        // SAFETY: `self` proves all that it needs.
        unsafe { odd_here(block, quote, in_string, carry) }
    }

    #[inline(always)]
    fn prefix_xor(self, bits: u64) -> u64 {
        // SAFETY: `self` proves PCLMULQDQ.
        unsafe {
            let product = _mm_clmulepi64_si128::<0>(_mm_set_epi64x(0, bits as i64), _mm_set1_epi8(-1));
            _mm_cvtsi128_si64(product) as u64
        }
    }

    #[inline(always)]
    fn fetch(self, block: &[u8; BLOCK]) {
        avx2::fetch_ahead(block);
    }

    #[inline(always)]
    fn doubt(self, block: &[u8; BLOCK], wide: u64, tail: &mut Tail) -> bool {
        // SAFETY: `self` proves AVX2.
        unsafe { avx2::is_broken(block, wide, tail) }
    }

    #[inline(always)]
    fn positions(self, to: &mut Positions<'_>, bits: u64, first: u32) {
        const ALL: [u8; BLOCK] = {
            let mut all = [0; BLOCK];
            let mut i = 0;
            while i < BLOCK {
                all[i] = i as u8;
                i += 1;
            }
            all
        };
        let count = bits.count_ones() as usize;
        // SAFETY: `self` proves AVX-512 F and VBMI2. There is room for 64 numbers, of which each store writes 16: the
        // first always, the others one after the other as long as there are numbers left, of which there are 64 at most.
        unsafe {
            let target = to.room().as_mut_ptr();
            let v = _mm512_maskz_compress_epi8(bits, _mm512_loadu_si512(ALL.as_ptr().cast()));
            let base = _mm512_set1_epi32(first as i32);
            put(target, base, _mm512_castsi512_si128(v));
            if count > 16 {
                put(target.add(16), base, _mm512_extracti32x4_epi32::<1>(v));
                if count > 32 {
                    put(target.add(32), base, _mm512_extracti32x4_epi32::<2>(v));
                    put(target.add(48), base, _mm512_extracti32x4_epi32::<3>(v));
                }
            }
            to.wrote(count);
        }
    }
}

/// Writes the sixteen numbers of `bytes`, each with `base` added.
///
/// # Safety
/// There is room for them, and AVX-512 F.
#[inline(always)]
unsafe fn put(target: *mut MaybeUninit<u32>, base: __m512i, bytes: __m128i) {
    // SAFETY: the caller says so; the store is an unaligned one.
    unsafe { _mm512_storeu_si512(target.cast(), _mm512_add_epi32(_mm512_cvtepu8_epi32(bytes), base)) };
}

/// The bytes that are `byte`.
#[inline(always)]
fn equals(v: __m512i, byte: u8) -> u64 {
    // SAFETY: a `__m512i` of data is only made where AVX-512 F and BW were proved.
    unsafe { _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(byte as i8)) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,pclmulqdq,bmi1,bmi2,popcnt,lzcnt")]
#[inline(never)]
fn odd_here(block: &[u8; BLOCK], quote: u64, in_string: u64, carry: &mut Carry) -> Odd {
    odd_with(Avx512(()), block, quote, in_string, carry)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,pclmulqdq,bmi1,bmi2,popcnt,lzcnt")]
fn scan_here(bytes: &[u8], to: &mut [u8], first: u32, carry: &mut Carry, found: &mut Found) {
    scan_with(Avx512(()), bytes, to, first, carry, found);
}

/// The kernel, where the machine can run it.
pub(super) fn scan() -> Option<ScanFn> {
    let able = avx2::scan().is_some()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vbmi2");
    // SAFETY: all features of `scan_here` were found just now, those it shares with the other kernel by that one; and a
    // machine does not lose them.
    able.then_some(|bytes, to, first, carry, found| unsafe { scan_here(bytes, to, first, carry, found) })
}
