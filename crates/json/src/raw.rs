//! The few things that safe Rust cannot say fast: each a small function with a safe face.

use std::mem::MaybeUninit;

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
    if chunk(from, at).is_none_or(|step| !append_step(to, step, len)) {
        append_steps(to, from, at, len);
    }
}

/// Appends the first `len` bytes of `step`; false when they are more than that, or there is no room yet.
#[inline(always)]
pub(crate) fn append_step(to: &mut Vec<u8>, step: &[u8; STEP], len: usize) -> bool {
    let old = to.len();
    let fits = len <= STEP && to.capacity() - old >= STEP;
    if fits {
        // SAFETY: there are `STEP` bytes of room after `old`, as was seen just now, of which `len` are kept.
        unsafe {
            to.as_mut_ptr().add(old).cast::<[u8; STEP]>().write(*step);
            to.set_len(old + len);
        }
    }
    fits
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

/// Numbers that are appended to a list, up to 64 at a time; they are in it once this is dropped.
pub(crate) struct Positions<'a> {
    to: &'a mut Vec<u32>,
    /// How many of the numbers in the list's memory there are.
    len: usize,
    capacity: usize,
}

impl<'a> Positions<'a> {
    /// With room for `times` times 64 more.
    pub(crate) fn new(to: &'a mut Vec<u32>, times: usize) -> Self {
        to.reserve(times * 64);
        Self { len: to.len(), capacity: to.capacity(), to }
    }

    /// Numbers in the list.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Those from number `from` on.
    pub(crate) fn since(&mut self, from: usize) -> &mut [u32] {
        self.keep();
        &mut self.to[from..]
    }

    /// Appends `first + i` for each bit `i` that is set in `bits`.
    // No closure takes part in this: one would not be compiled for the instruction set of the kernel around it.
    #[inline(always)]
    pub(crate) fn push(&mut self, mut bits: u64, first: u32) {
        let count = bits.count_ones() as usize;
        // Eight at a time, whether or not there are so many: loops of known length can be predicted.
        for eight in self.room().as_chunks_mut::<8>().0 {
            for number in eight {
                // SAFETY: the place is one that was borrowed. It is volatile because stores that were gathered into a vector
                // before they are made take longer.
                unsafe { number.as_mut_ptr().write_volatile(first.wrapping_add(bits.trailing_zeros())) };
                bits &= bits.wrapping_sub(1);
            }
            if bits == 0 {
                break;
            }
        }
        // SAFETY: a number was written for each bit, as each is cleared once its number is.
        unsafe { self.wrote(count) };
    }

    /// Room for 64 numbers, behind those that were written.
    #[inline(always)]
    pub(crate) fn room(&mut self) -> &mut [MaybeUninit<u32>; 64] {
        assert!(self.capacity - self.len >= 64, "more numbers than there was to be room for");
        // SAFETY: `len` numbers are there, and behind them is room for 64 more, as was seen just now.
        unsafe { &mut *self.to.as_mut_ptr().add(self.len).cast() }
    }

    /// Says that `count` numbers were written to the beginning of [`Positions::room`].
    ///
    /// # Safety
    /// They were, since the last time.
    #[inline(always)]
    pub(crate) unsafe fn wrote(&mut self, count: usize) {
        self.len += count;
    }

    fn keep(&mut self) {
        // SAFETY: `len` is what it was at the beginning, and one more for each number that was written since, behind one
        // another, into room that the list has.
        unsafe { self.to.set_len(self.len) };
    }
}

impl Drop for Positions<'_> {
    fn drop(&mut self) {
        self.keep();
    }
}

/// Texts of which it was checked before that each is UTF-8.
///
/// `offsets` ascend from 0 to the length of `data`, and each is where one text ends and the next begins.
pub(crate) fn texts(offsets: ScalarBuffer<i32>, data: Buffer, nulls: Option<NullBuffer>) -> StringArray {
    debug_assert!(offsets.is_sorted() && offsets.last().map(|end| *end as usize) == Some(data.len()));
    debug_assert!(offsets.windows(2).all(|w| std::str::from_utf8(&data[w[0] as usize..w[1] as usize]).is_ok()));
    // SAFETY: a column of texts appends whole texts only, each checked when its record was, and an offset after each;
    // so the offsets ascend and cut the data at the ends of texts.
    unsafe { StringArray::new_unchecked(OffsetBuffer::new_unchecked(offsets), data, nulls) }
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
            let mut positions = Positions::new(&mut to, 1);
            positions.push(bits, 100);
            drop(positions);
            let expected: Vec<u32> = (0..64).filter(|i| bits >> i & 1 == 1).map(|i| 100 + i).collect();
            assert_eq!((to[0], &to[1..]), (9, &expected[..]));
        }
    }
}
