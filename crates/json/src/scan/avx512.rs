//! The kernel for x86-64 with AVX-512: a comparison of 64 bytes is one instruction and its result is a mask.

use std::{
    arch::x86_64::{
        __m128i, __m512i, _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_loadu_si128, _mm_set_epi64x, _mm_set1_epi8,
        _mm256_loadu_si256, _mm256_setzero_si256, _mm256_storeu_si256, _mm512_add_epi32, _mm512_alignr_epi8,
        _mm512_alignr_epi64, _mm512_and_si512, _mm512_broadcast_i32x4, _mm512_castsi512_si128, _mm512_cmpeq_epi8_mask,
        _mm512_cmplt_epi8_mask, _mm512_cmplt_epu8_mask, _mm512_cmpneq_epi64_mask, _mm512_cvtepu8_epi32,
        _mm512_extracti32x4_epi32, _mm512_extracti64x4_epi64, _mm512_inserti64x4, _mm512_loadu_si512,
        _mm512_maskz_compress_epi8, _mm512_movepi8_mask, _mm512_or_si512, _mm512_set1_epi8, _mm512_set1_epi32,
        _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_srli_epi16, _mm512_storeu_si512, _mm512_subs_epu8,
    },
    hint::black_box,
    mem::MaybeUninit,
};

use super::{
    BLOCK, Carry, Found, Kernel, Odd, OddFn, Positions, Rare, Raw, ScanFn, Tail, avx2, odd_with, scan_with, utf8,
};

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
        let call: OddFn = odd_here;
        // The box hides what is called, which else becomes a part of the loop. SAFETY: `self` proves all that it needs.
        unsafe { black_box(call)(block, quote, in_string, carry) }
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
        // SAFETY: `self` proves AVX-512 F and BW.
        unsafe { is_broken(block, wide, tail) }
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

/// True when the characters up to the end of `block` are not UTF-8, as far as that shows by now. See [`utf8`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn is_broken(block: &[u8; BLOCK], wide: u64, tail: &mut Tail) -> bool {
    let tables = |table: &[u8; 16]| {
        // SAFETY: the load is of the table's 16 bytes.
        _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(table.as_ptr().cast()) })
    };
    let look_up = |table: &[u8; 16], at| _mm512_shuffle_epi8(tables(table), at);
    let upper = |v| _mm512_and_si512(_mm512_srli_epi16::<4>(v), _mm512_set1_epi8(0x0f));
    let lower = |v| _mm512_and_si512(v, _mm512_set1_epi8(0x0f));
    // SAFETY: both loads are unaligned ones, of the 64 bytes of `block` and the 32 of the tail.
    let (before, now) = unsafe {
        let before = match tail.open {
            true => _mm256_loadu_si256(tail.bytes.as_ptr().cast()),
            false => _mm256_setzero_si256(),
        };
        (_mm512_inserti64x4::<1>(_mm512_setzero_si512(), before), _mm512_loadu_si512(block.as_ptr().cast()))
    };
    // Each sixteen bytes, and the sixteen before them.
    let across = _mm512_alignr_epi64::<6>(now, before);
    let one_before = _mm512_alignr_epi8::<15>(now, across);
    let two_before = _mm512_alignr_epi8::<14>(now, across);
    let three_before = _mm512_alignr_epi8::<13>(now, across);
    let agreed = _mm512_and_si512(
        _mm512_and_si512(look_up(&utf8::BEFORE_HIGH, upper(one_before)), look_up(&utf8::BEFORE_LOW, lower(one_before))),
        look_up(&utf8::NOW_HIGH, upper(now)),
    );
    // The third byte of three and the third and fourth of four must be second continuations, and nothing else may be.
    let third = _mm512_subs_epu8(two_before, _mm512_set1_epi8((0xe0u8 - 0x80) as i8));
    let fourth = _mm512_subs_epu8(three_before, _mm512_set1_epi8((0xf0u8 - 0x80) as i8));
    let due = _mm512_and_si512(_mm512_or_si512(third, fourth), _mm512_set1_epi8(utf8::TWO as i8));
    tail.open = wide >> 61 != 0;
    // SAFETY: the tail has room for 32 bytes.
    unsafe { _mm256_storeu_si256(tail.bytes.as_mut_ptr().cast(), _mm512_extracti64x4_epi64::<1>(now)) };
    _mm512_cmpneq_epi64_mask(due, agreed) != 0
}

/// The bytes that are `byte`.
#[inline(always)]
fn equals(v: __m512i, byte: u8) -> u64 {
    // SAFETY: a `__m512i` of data is only made where AVX-512 F and BW were proved.
    unsafe { _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(byte as i8)) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,pclmulqdq,bmi1,bmi2,popcnt,lzcnt")]
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
