//! The kernel for x86-64 with AVX2 and carry-less multiplication.

use std::{
    arch::x86_64::{
        __m128i, __m256i, _MM_HINT_T0, _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_loadu_si128, _mm_prefetch,
        _mm_set_epi64x, _mm_set1_epi8, _mm256_alignr_epi8, _mm256_and_si256, _mm256_broadcastsi128_si256,
        _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_loadu_si256, _mm256_min_epi8, _mm256_min_epu8,
        _mm256_movemask_epi8, _mm256_or_si256, _mm256_permute2x128_si256, _mm256_set1_epi8, _mm256_setzero_si256,
        _mm256_shuffle_epi8, _mm256_srli_epi16, _mm256_storeu_si256, _mm256_subs_epu8, _mm256_testz_si256,
        _mm256_xor_si256,
    },
    hint::black_box,
};

use super::{BLOCK, Carry, Found, Kernel, Odd, OddFn, Rare, Raw, ScanFn, Tail, odd_with, scan_with, utf8};

/// Proof that the machine has AVX2 and PCLMULQDQ: made only by [`scan_here`], whose caller has looked.
#[derive(Clone, Copy)]
struct Avx2(());

impl Kernel for Avx2 {
    #[inline(always)]
    fn raw(self, block: &[u8; BLOCK]) -> Raw {
        let (low, high) = load(block);
        // SAFETY: `self` proves AVX2.
        unsafe {
            // `[` and `]` differ from `{` and `}` in bit 0x20 alone, and no other byte becomes one of these with it set.
            let case = _mm256_set1_epi8(0x20);
            let (low_folded, high_folded) = (_mm256_or_si256(low, case), _mm256_or_si256(high, case));
            let backslash = _mm256_set1_epi8(b'\\' as i8);
            let is_backslash = _mm256_or_si256(_mm256_cmpeq_epi8(low, backslash), _mm256_cmpeq_epi8(high, backslash));
            // As signed numbers, bytes beyond ASCII are below 0x20 as well.
            let is_low = _mm256_cmpgt_epi8(case, _mm256_min_epi8(low, high));
            Raw {
                quote: equals(low, high, b'"'),
                open: equals(low_folded, high_folded, b'{'),
                close: equals(low_folded, high_folded, b'}'),
                rare: _mm256_movemask_epi8(_mm256_or_si256(is_backslash, is_low)) != 0,
            }
        }
    }

    #[inline(always)]
    fn rare(self, block: &[u8; BLOCK]) -> Rare {
        let (low, high) = load(block);
        // SAFETY: `self` proves AVX2.
        unsafe {
            let top = _mm256_set1_epi8(0x1f);
            Rare {
                backslash: equals(low, high, b'\\'),
                control: mask(
                    _mm256_cmpeq_epi8(_mm256_min_epu8(low, top), low),
                    _mm256_cmpeq_epi8(_mm256_min_epu8(high, top), high),
                ),
                wide: mask(low, high),
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
        fetch_ahead(block);
    }

    #[inline(always)]
    fn doubt(self, block: &[u8; BLOCK], wide: u64, tail: &mut Tail) -> bool {
        // SAFETY: `self` proves AVX2.
        unsafe { is_broken(block, wide, tail) }
    }
}

/// Asks for the bytes behind `block`. Where there are none, nothing happens.
#[inline(always)]
pub(super) fn fetch_ahead(block: &[u8; BLOCK]) {
    const AHEAD: usize = 1 << 10;
    // SAFETY: a prefetch reads nothing, and is harmless wherever it points.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(block.as_ptr().wrapping_add(AHEAD).cast()) };
}

/// True when the characters up to the end of `block` are not UTF-8, as far as that shows by now.
///
/// See [`utf8`].
#[inline]
#[target_feature(enable = "avx2")]
fn is_broken(block: &[u8; BLOCK], wide: u64, tail: &mut Tail) -> bool {
    // SAFETY: both loads are unaligned ones, of 32 bytes each, within the 64 of `block`; the others have their 32 bytes.
    let (before, low, high) = unsafe {
        let before = match tail.open {
            true => _mm256_loadu_si256(tail.bytes.as_ptr().cast()),
            false => _mm256_setzero_si256(),
        };
        (before, _mm256_loadu_si256(block.as_ptr().cast()), _mm256_loadu_si256(block.as_ptr().add(32).cast()))
    };
    let broken = _mm256_or_si256(broken_bytes(before, low), broken_bytes(low, high));
    tail.open = wide >> 61 != 0;
    // SAFETY: the tail has room for 32 bytes.
    unsafe { _mm256_storeu_si256(tail.bytes.as_mut_ptr().cast(), high) };
    _mm256_testz_si256(broken, broken) == 0
}

/// Bytes that are not zero where `now`, which comes after `before`, breaks a rule.
#[inline]
#[target_feature(enable = "avx2")]
fn broken_bytes(before: __m256i, now: __m256i) -> __m256i {
    let across = _mm256_permute2x128_si256::<0x21>(before, now);
    let one_before = _mm256_alignr_epi8::<15>(now, across);
    let two_before = _mm256_alignr_epi8::<14>(now, across);
    let three_before = _mm256_alignr_epi8::<13>(now, across);
    let upper = |v| _mm256_and_si256(_mm256_srli_epi16::<4>(v), _mm256_set1_epi8(0x0f));
    let lower = |v| _mm256_and_si256(v, _mm256_set1_epi8(0x0f));
    let look_up = |table: &[u8; 16], at| {
        // SAFETY: the load is of the table's 16 bytes.
        let table: __m128i = unsafe { _mm_loadu_si128(table.as_ptr().cast()) };
        _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), at)
    };
    let agreed = _mm256_and_si256(
        _mm256_and_si256(look_up(&utf8::BEFORE_HIGH, upper(one_before)), look_up(&utf8::BEFORE_LOW, lower(one_before))),
        look_up(&utf8::NOW_HIGH, upper(now)),
    );
    // The third byte of three and the third and fourth of four must be second continuations, and nothing else may be.
    let third = _mm256_subs_epu8(two_before, _mm256_set1_epi8((0xe0u8 - 0x80) as i8));
    let fourth = _mm256_subs_epu8(three_before, _mm256_set1_epi8((0xf0u8 - 0x80) as i8));
    let due = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8(utf8::TWO as i8));
    _mm256_xor_si256(due, agreed)
}

/// The two halves of a block.
#[inline(always)]
fn load(block: &[u8; BLOCK]) -> (__m256i, __m256i) {
    // SAFETY: this is only called where AVX2 was proved; both loads are unaligned ones, of 32 bytes each, within the 64.
    unsafe { (_mm256_loadu_si256(block.as_ptr().cast()), _mm256_loadu_si256(block.as_ptr().add(32).cast())) }
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
fn odd_here(block: &[u8; BLOCK], quote: u64, in_string: u64, carry: &mut Carry) -> Odd {
    odd_with(Avx2(()), block, quote, in_string, carry)
}

#[target_feature(enable = "avx2,pclmulqdq,bmi1,bmi2,popcnt,lzcnt")]
fn scan_here(bytes: &[u8], to: &mut [u8], first: u32, carry: &mut Carry, found: &mut Found) {
    scan_with(Avx2(()), bytes, to, first, carry, found);
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
    able.then_some(|bytes, to, first, carry, found| unsafe { scan_here(bytes, to, first, carry, found) })
}
