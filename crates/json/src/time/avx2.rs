//! Times with AVX2: whatever the form, the same few instructions, so that no branch depends on which one it is.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_cvtsi128_si64, _mm_extract_epi64, _mm256_castsi256_si128, _mm256_cmpgt_epi16,
    _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_or_si256,
    _mm256_setr_epi8, _mm256_setr_epi16, _mm256_shuffle_epi8, _mm256_subs_epu8, _mm256_testz_si256, _mm256_xor_si256,
};

use super::{LONGEST, UsualFn, from_epoch, is_day};

/// How the characters of one form are put in order, and what they must be there. In order, each half has six pairs of digits and
/// then what is between them: year, year, month, day, hour, minute; second, three pairs of the fraction, and hours and minutes of
/// the offset.
#[derive(Clone, Copy)]
struct Form {
    /// Where in its half of the text each character is; beyond the half where the form has none, which then is zero.
    from: [u8; LONGEST],
    /// What each is when its digit is zero.
    zero: [u8; LONGEST],
    /// By how much each may be more: nine where there is a digit.
    more: [u8; LONGEST],
}

/// The form of nothing: what is not there would have to be something.
const NOTHING: Form = Form { from: [0x80; LONGEST], zero: [1; LONGEST], more: [0; LONGEST] };

const SHORTEST: usize = 20;

/// By the length, and whether the offset is negative.
static FORMS: [[Form; 2]; LONGEST - SHORTEST + 1] = {
    let mut forms = [[NOTHING; 2]; LONGEST - SHORTEST + 1];
    let fractions = [0, 3, 6];
    let mut n = 0;
    while n < fractions.len() {
        let point = if fractions[n] > 0 { 1 } else { 0 };
        let zone = 19 + point + fractions[n];
        forms[zone + 1 - SHORTEST] = [form(fractions[n], b'Z'); 2];
        forms[zone + 6 - SHORTEST] = [form(fractions[n], b'+'), form(fractions[n], b'-')];
        n += 1;
    }
    forms
};

/// The form with so many digits of a fraction, and `Z` or an offset with this sign.
const fn form(fraction: usize, sign: u8) -> Form {
    let mut form = Form { from: [0x80; LONGEST], zero: [0; LONGEST], more: [0; LONGEST] };
    form = digits(form, 0, 0, 4);
    form = digits(form, 4, 5, 2);
    form = digits(form, 6, 8, 2);
    form = digits(form, 8, 11, 2);
    form = digits(form, 10, 14, 2);
    form = sign_at(form, 12, 4, b'-');
    form = sign_at(form, 13, 7, b'-');
    form = sign_at(form, 14, 10, b'T');
    form = sign_at(form, 15, 13, b':');
    form = sign_at(form, 28, 16, b':');
    form = digits(form, 16, 17, 2);
    let mut zone = 19;
    if fraction > 0 {
        form = sign_at(form, 29, 19, b'.');
        form = digits(form, 18, 20, fraction);
        zone = 20 + fraction;
    }
    form = sign_at(form, 30, zone, sign);
    if sign != b'Z' {
        form = digits(form, 24, zone + 1, 2);
        form = sign_at(form, 31, zone + 3, b':');
        form = digits(form, 26, zone + 4, 2);
    }
    form
}

/// Takes `count` digits that begin at `from` in the text to `to`.
const fn digits(mut form: Form, to: usize, from: usize, count: usize) -> Form {
    let mut n = 0;
    while n < count {
        form.from[to + n] = ((from + n) % 16) as u8;
        form.zero[to + n] = b'0';
        form.more[to + n] = 9;
        n += 1;
    }
    form
}

/// Takes what is at `from` in the text, which must be `sign`, to `to`.
const fn sign_at(mut form: Form, to: usize, from: usize, sign: u8) -> Form {
    form.from[to] = (from % 16) as u8;
    form.zero[to] = sign;
    form
}

/// As [`super::usual_micros`].
#[target_feature(enable = "avx2")]
fn usual_micros_here(text: &[u8; LONGEST], len: usize) -> Option<i64> {
    let behind = text.get(len.wrapping_sub(6)) == Some(&b'-');
    let form = &FORMS.get(len.wrapping_sub(SHORTEST))?[usize::from(behind)];
    let ordered = _mm256_shuffle_epi8(load(text), load(&form.from));
    // A digit xor `0` is its value; another character of the form xor itself is nothing.
    let values = _mm256_xor_si256(ordered, load(&form.zero));
    let no_form = _mm256_subs_epu8(values, load(&form.more));
    #[rustfmt::skip]
    let pairs = _mm256_maddubs_epi16(values, _mm256_setr_epi8(
        10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 0, 0, 0, 0,
        10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 0, 0, 0, 0,
    ));
    let most = _mm256_setr_epi16(99, 99, 12, 31, 23, 59, 0, 0, 59, 99, 99, 99, 23, 59, 0, 0);
    let bad = _mm256_or_si256(no_form, _mm256_cmpgt_epi16(pairs, most));
    // Year; month and day; seconds of the day. Second and hundredths; the rest of the fraction; seconds of the offset.
    let weights = _mm256_setr_epi16(100, 1, 1, 256, 3_600, 60, 0, 0, 1, 256, 100, 1, 3_600, 60, 0, 0);
    let sums = _mm256_madd_epi16(pairs, weights);
    if _mm256_testz_si256(bad, bad) == 0 {
        return None;
    }
    let ([year, date], [of_day, _]) = halves(_mm256_castsi256_si128(sums));
    let ([second, rest], [offset, _]) = halves(_mm256_extracti128_si256::<1>(sums));
    let (month, day) = (date & 0xff, date >> 8);
    if month == 0 || !is_day(year, month, day) {
        return None;
    }
    let (second, hundredths) = (second & 0xff, second >> 8);
    let offset = if behind { -offset } else { offset };
    from_epoch(year, month, day, of_day + second - offset, hundredths * 10_000 + rest)
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; LONGEST]) -> __m256i {
    // SAFETY: an unaligned load of the 32 bytes that there are.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// The four numbers, none of which is negative.
#[inline]
#[target_feature(enable = "avx2")]
fn halves(four: __m128i) -> ([i64; 2], [i64; 2]) {
    let two = |both: i64| [both & 0xffff_ffff, both >> 32];
    (two(_mm_cvtsi128_si64(four)), two(_mm_extract_epi64::<1>(four)))
}

/// The function, where the machine can run it.
pub(super) fn usual() -> Option<UsualFn> {
    // SAFETY: AVX2 was found just now, and a machine does not lose it.
    is_x86_feature_detected!("avx2").then_some(|text, len| unsafe { usual_micros_here(text, len) })
}
