//! The few things that safe Rust cannot say fast: each a small function with a safe face.

use arrow::{
    array::StringArray,
    buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
};

/// Bytes that are copied at a time.
pub(crate) const STEP: usize = 32;

/// The `N` bytes from `at` on, if there are so many.
#[inline(always)]
pub(crate) fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    // One comparison, where slicing twice would take two.
    if N <= bytes.len() && at <= bytes.len() - N {
        // SAFETY: `at + N <= bytes.len()`, as was seen just now.
        Some(unsafe { &*bytes.as_ptr().add(at).cast::<[u8; N]>() })
    } else {
        None
    }
}

/// Bit `i` of the result is set where byte `i` of both is the same.
#[inline(always)]
pub(crate) fn same_bytes(a: &[u8; 32], b: &[u8; 32]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8};
        // SAFETY: every x86-64 machine has SSE2; the loads are unaligned ones, of 16 bytes each, within the 32.
        let same = |at: usize| unsafe {
            let (a, b) = (a.as_ptr().add(at).cast(), b.as_ptr().add(at).cast());
            _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(a), _mm_loadu_si128(b))) as u32
        };
        same(0) | same(16) << 16
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        a.iter().zip(b).enumerate().fold(0, |same, (i, (a, b))| same | u32::from(a == b) << i)
    }
}

/// Appends `from[at..at + len]`, copying whole steps: what is copied beyond `len` is not part of `to`.
///
/// # Panics
/// When a step would read beyond `from`.
#[inline(always)]
pub(crate) fn append(to: &mut Vec<u8>, from: &[u8], at: usize, len: usize) {
    if len <= STEP
        && to.capacity() - to.len() >= STEP
        && let Some(step) = chunk::<STEP>(from, at)
    {
        let old = to.len();
        // SAFETY: there are `STEP` bytes of room after `old`, as was seen just now, of which `len` are kept.
        unsafe {
            to.as_mut_ptr().add(old).cast::<[u8; STEP]>().write(*step);
            to.set_len(old + len);
        }
    } else {
        append_steps(to, from, at, len);
    }
}

#[inline(never)]
fn append_steps(to: &mut Vec<u8>, from: &[u8], at: usize, len: usize) {
    assert!(len <= from.len(), "more than there is");
    let steps = len.div_ceil(STEP);
    let source = &from[at..at + steps * STEP];
    to.reserve(steps * STEP);
    let old = to.len();
    let target = to.spare_capacity_mut().as_mut_ptr().cast::<u8>();
    for step in 0..steps {
        // SAFETY: `step` is below `steps`, and both `source` and the spare room of `to` are `steps * STEP` bytes long at
        // least. They do not overlap: one is borrowed, the other is exclusively so.
        unsafe { target.add(step * STEP).copy_from_nonoverlapping(source.as_ptr().add(step * STEP), STEP) };
    }
    // SAFETY: `len <= steps * STEP` bytes after `old` were reserved and written above.
    unsafe { to.set_len(old + len) };
}

/// Appends `first + i` for each bit `i` that is set in `bits`.
#[inline(always)]
pub(crate) fn append_positions(to: &mut Vec<u32>, mut bits: u64, first: u32) {
    let count = bits.count_ones() as usize;
    to.reserve(64);
    let old = to.len();
    let target = to.spare_capacity_mut().as_mut_ptr().cast::<u32>();
    // Eight at a time, whether or not there are so many: loops of known length can be predicted.
    let mut at = 0;
    while at < count {
        for i in at..at + 8 {
            // SAFETY: `at < count <= 64` is a multiple of eight, so `i < 64`, and 64 were reserved.
            unsafe { target.add(i).write(first.wrapping_add(bits.trailing_zeros())) };
            bits &= bits.wrapping_sub(1);
        }
        at += 8;
    }
    // SAFETY: the first `count` after `old` were reserved and written above.
    unsafe { to.set_len(old + count) };
}

/// Texts of which it was checked before that each is UTF-8.
///
/// `offsets` ascend from 0 to the length of `data`, and each is where one text ends and the next begins.
pub(crate) fn texts(offsets: Vec<i32>, data: Vec<u8>, nulls: Option<NullBuffer>) -> StringArray {
    debug_assert!(offsets.is_sorted() && offsets.last().map(|end| *end as usize) == Some(data.len()));
    debug_assert!(offsets.windows(2).all(|w| std::str::from_utf8(&data[w[0] as usize..w[1] as usize]).is_ok()));
    // SAFETY: a column of texts appends whole texts only, each checked when its record was, and an offset after each;
    // so the offsets ascend and cut the data at the ends of texts.
    unsafe {
        let offsets = OffsetBuffer::new_unchecked(ScalarBuffer::from(offsets));
        StringArray::new_unchecked(offsets, Buffer::from_vec(data), nulls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appending_appends_just_what_was_asked_for() {
        let from: Vec<u8> = (0..=255).collect();
        for len in 0..200 {
            for at in [0, 1, 31] {
                let mut to = vec![7; at];
                append(&mut to, &from, at, len);
                assert_eq!(to[..at], vec![7; at]);
                assert_eq!(to[at..], from[at..at + len]);
            }
        }
    }

    #[test]
    fn bytes_are_the_same_where_they_are() {
        let a: [u8; 32] = std::array::from_fn(|i| i as u8);
        assert_eq!(same_bytes(&a, &a), u32::MAX);
        for at in 0..32 {
            for also in 0..32 {
                let mut b = a;
                (b[at], b[also]) = (200, 200);
                assert_eq!(same_bytes(&a, &b), !(1 << at | 1 << also));
            }
        }
    }

    #[test]
    fn positions_are_those_of_the_bits() {
        for bits in [0, 1, u64::MAX, 1 << 63, 0x8421_0000_ffff_0001] {
            let mut to = vec![9];
            append_positions(&mut to, bits, 100);
            let expected: Vec<u32> = (0..64).filter(|i| bits >> i & 1 == 1).map(|i| 100 + i).collect();
            assert_eq!((to[0], &to[1..]), (9, &expected[..]));
        }
    }
}
