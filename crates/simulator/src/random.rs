//! Numbers that look random and are computed from (seed, index, purpose) alone.
//!
//! Each purpose has a sequence of its own, so that turning one knob of a profile moves nothing else.

/// Mixes 64 bits so that neighbours share nothing (the finalizer of SplitMix64, a bijection).
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A sequence of numbers (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The sequence of `(seed, index)` for one purpose.
    pub(crate) fn of(seed: u64, index: u64, purpose: u64) -> Self {
        Self(mix(
            seed ^ mix(index.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ mix(purpose.wrapping_mul(0xd6e8_feb8_6659_fd93)))
        ))
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from 0 to `n - 1`; 0 where `n` is 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// True `per_10_000` times of 10,000.
    pub(crate) fn chance(&mut self, per_10_000: u16) -> bool {
        self.below(10_000) < u64::from(per_10_000)
    }

    /// One of the words; the empty word where there are none.
    pub(crate) fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words.get(self.below(words.len() as u64) as usize).copied().unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_place_gives_the_same_numbers_and_every_other_place_others() {
        let first = |seed, index, purpose| Random::of(seed, index, purpose).next();
        assert_eq!(first(1, 2, 3), first(1, 2, 3));
        assert_ne!(first(1, 2, 3), first(2, 2, 3));
        assert_ne!(first(1, 2, 3), first(1, 3, 3));
        assert_ne!(first(1, 2, 3), first(1, 2, 4));
    }

    #[test]
    fn below_stays_below_and_reaches_every_number() {
        let mut random = Random::of(0, 0, 0);
        let mut seen = [false; 7];
        for _ in 0..1000 {
            seen[random.below(7) as usize] = true;
        }
        assert_eq!(seen, [true; 7]);
        assert_eq!(random.below(0), 0);
    }
}
