//! Identifiers: each index has one, no two indexes share one, and the index can be read back out of it.
//!
//! An index goes through a keyed permutation of 48 bits first, so that identifiers show no order.

use crate::profile::Provider;
use crate::random::{Random, mix};

/// One more than the largest index that can have an identifier.
pub const MAX_MEMBERS: u64 = 1 << 48;

const MASK: u64 = MAX_MEMBERS - 1;
const ODD: [u64; 2] = [0x5851_f42d_4c95, 0x1405_7b7e_f767_814f & MASK];
const NUMERIC_BASE: u64 = 7_000_000_000;

/// A member's identifier: text nearly always, a number where a mapping forgot to turn it into text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Id {
    Text(String),
    Number(u64),
}

impl Id {
    /// The identifier as it stands in a URL or as a key.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// Slack's way: `U` and ten digits of base 36, the first of them zero.
pub(crate) fn slack(seed: u64, index: u64) -> String {
    let mut digits = *b"U0000000000";
    let mut rest = permute(seed, index);
    for digit in digits.iter_mut().skip(1).rev() {
        *digit = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(rest % 36) as usize];
        rest /= 36;
    }
    digits.iter().map(|&b| char::from(b)).collect()
}

/// Microsoft's way: a UUID, whose last 48 bits carry the index.
pub(crate) fn uuid(seed: u64, index: u64) -> String {
    let low = permute(seed, index);
    let high = mix(low ^ seed.rotate_left(17));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{low:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        (high >> 4) & 0xfff,
        0x8000 | (high & 0x3fff)
    )
}

/// The identifier of a member.
pub(crate) fn member(seed: u64, index: u64, provider: Provider, numeric: bool) -> Id {
    match (numeric, provider) {
        (true, _) => Id::Number(NUMERIC_BASE + index),
        (false, Provider::Slack) => Id::Text(slack(seed, index)),
        (false, Provider::Teams) => Id::Text(uuid(seed, index)),
    }
}

/// The only index that could have this identifier. Whether it does have it is for the caller to check.
pub(crate) fn index_of(seed: u64, id: &str) -> Option<u64> {
    if let Some(digits) = id.strip_prefix('U').filter(|d| d.len() == 10) {
        return Some(unpermute(seed, u64::from_str_radix(digits, 36).ok().filter(|&p| p <= MASK)?));
    }
    if let Some((_, low)) = id.rsplit_once('-').filter(|(_, low)| low.len() == 12) {
        return Some(unpermute(seed, u64::from_str_radix(low, 16).ok()?));
    }
    id.parse::<u64>().ok()?.checked_sub(NUMERIC_BASE).filter(|&index| index <= MASK)
}

/// Something else that looks like an identifier and need not be unique or read back: `letter` and ten digits.
pub(crate) fn token(random: &mut Random, letter: char) -> String {
    let text = slack(random.next(), random.next() & MASK);
    format!("{letter}{}", text.get(1..).unwrap_or_default())
}

fn permute(seed: u64, index: u64) -> u64 {
    let mut x = (index ^ mix(seed)) & MASK;
    for odd in ODD {
        x = x.wrapping_mul(odd) & MASK;
        x ^= x >> 24;
    }
    x
}

fn unpermute(seed: u64, image: u64) -> u64 {
    let mut x = image & MASK;
    for odd in ODD.iter().rev() {
        x ^= x >> 24;
        x = x.wrapping_mul(inverse(*odd)) & MASK;
    }
    (x ^ mix(seed)) & MASK
}

/// The inverse of an odd number modulo 2^64, by Newton's iteration: every step doubles the bits that are right.
fn inverse(odd: u64) -> u64 {
    (0..6).fold(odd, |x, _| x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_identifier_leads_back_to_its_index() {
        for seed in [0, 7, u64::MAX] {
            for index in (0..1000).chain([1 << 20, MASK - 1, MASK]) {
                for (provider, numeric) in [(Provider::Slack, false), (Provider::Teams, false), (Provider::Slack, true)]
                {
                    let id = member(seed, index, provider, numeric);
                    assert_eq!(index_of(seed, &id.text()), Some(index), "{id:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_identifier_leads_nowhere() {
        for id in ["", "U", "UZZZZZZZZZZ", "1", "-", "nobody", "U0000", "7f-00"] {
            assert_eq!(index_of(3, id), None, "{id:?}");
        }
    }
}
