//! Cursors: opaque to the client, and signed, so that one that was altered or belongs to another listing is refused.
//!
//! A cursor is base64url of 33 bytes: a version, the index where the page starts (big endian), eight bytes of a hash
//! of what is listed, and sixteen bytes of HMAC-SHA-256 (RFC 2104) over all that. 33 bytes make 44 characters without
//! a bit to spare, so each cursor has one spelling.

use sha2::{Digest, Sha256};

const VERSION: u8 = 1;
const LENGTH: usize = 33;
const SIGNED: usize = 17;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Makes and reads the cursors of one simulated data set.
pub(crate) struct Cursors {
    key: [u8; 32],
}

impl Cursors {
    /// Cursors stay good as long as seed and number of members do, over restarts too.
    pub(crate) fn new(seed: u64, members: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"pagemill-simulator cursor");
        hash.update(seed.to_be_bytes());
        hash.update(members.to_be_bytes());
        Self { key: hash.finalize().into() }
    }

    /// The cursor of the page of `listing` that starts at index `start`.
    pub(crate) fn make(&self, listing: &str, start: u64) -> String {
        let mut bytes = [0; LENGTH];
        bytes[0] = VERSION;
        bytes[1..9].copy_from_slice(&start.to_be_bytes());
        bytes[9..SIGNED].copy_from_slice(&fingerprint(listing));
        let tag = self.tag(&bytes[..SIGNED]);
        bytes[SIGNED..].copy_from_slice(&tag);
        encode(&bytes)
    }

    /// The start index out of a cursor; None where it is not ours, or not of this listing.
    pub(crate) fn read(&self, listing: &str, cursor: &str) -> Option<u64> {
        let bytes = decode(cursor)?;
        let good = bytes[0] == VERSION
            && bytes[9..SIGNED] == fingerprint(listing)
            && bytes[SIGNED..] == self.tag(&bytes[..SIGNED]);
        good.then(|| bytes[1..9].iter().fold(0, |start, &byte| start << 8 | u64::from(byte)))
    }

    fn tag(&self, message: &[u8]) -> [u8; 16] {
        let mut pad = [0x36; 64];
        pad.iter_mut().zip(self.key).for_each(|(byte, key)| *byte ^= key);
        let inner = Sha256::new().chain_update(pad).chain_update(message).finalize();
        pad.iter_mut().for_each(|byte| *byte ^= 0x36 ^ 0x5c);
        let outer: [u8; 32] = Sha256::new().chain_update(pad).chain_update(inner).finalize().into();
        std::array::from_fn(|n| outer[n])
    }
}

fn fingerprint(listing: &str) -> [u8; 8] {
    let hash: [u8; 32] = Sha256::digest(listing.as_bytes()).into();
    std::array::from_fn(|n| hash[n])
}

fn encode(bytes: &[u8; LENGTH]) -> String {
    let mut text = String::with_capacity(LENGTH / 3 * 4);
    for group in bytes.chunks_exact(3) {
        let bits = group.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte));
        text.extend([18, 12, 6, 0].map(|shift| char::from(ALPHABET[(bits >> shift & 63) as usize])));
    }
    text
}

fn decode(text: &str) -> Option<[u8; LENGTH]> {
    if text.len() != LENGTH / 3 * 4 {
        return None;
    }
    let mut bytes = [0; LENGTH];
    for (group, out) in text.as_bytes().chunks_exact(4).zip(bytes.chunks_exact_mut(3)) {
        let mut bits = 0u32;
        for character in group {
            bits = bits << 6 | ALPHABET.iter().position(|known| known == character)? as u32;
        }
        out.copy_from_slice(bits.to_be_bytes().get(1..)?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_start() {
        let cursors = Cursors::new(7, 100);
        for start in [0, 1, 255, 256, 1 << 40, u64::MAX] {
            assert_eq!(cursors.read("a", &cursors.make("a", start)), Some(start));
        }
    }

    #[test]
    fn another_listing_seed_or_size_is_refused() {
        let cursor = Cursors::new(7, 100).make("a", 5);
        assert_eq!(Cursors::new(7, 100).read("b", &cursor), None);
        assert_eq!(Cursors::new(8, 100).read("a", &cursor), None);
        assert_eq!(Cursors::new(7, 101).read("a", &cursor), None);
    }

    #[test]
    fn every_change_of_a_character_is_refused() {
        let cursors = Cursors::new(7, 100);
        let cursor = cursors.make("a", 5);
        for at in 0..cursor.len() {
            for with in ALPHABET.iter().chain(b"=+/ %") {
                let mut changed = cursor.clone().into_bytes();
                changed[at] = *with;
                let changed = String::from_utf8(changed).expect("ASCII");
                assert_eq!(cursors.read("a", &changed), (changed == cursor).then_some(5), "{changed}");
            }
        }
        for changed in ["", "x", &cursor[1..], &format!("{cursor}A"), "ééééééééééééééééééééé"] {
            assert_eq!(cursors.read("a", changed), None);
        }
    }
}
