//! A checksum in the manifest, of the manifest.
//!
//! Most of what a manifest says is said elsewhere as well, by the files; its options and its summary are not. A sealed
//! manifest ends with one more member, `sha256`, of all its bytes as they were without it. Who does not know it reads the manifest
//! as before.

use crate::manifest::{hex, sha256};

const END: &[u8] = b"\n}\n";
const BEGIN: &[u8] = b",\n  \"sha256\": \"";
const DIGITS: usize = 64;

/// Whether a manifest is what it was when it was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// It is, to the byte.
    Whole,
    /// It is not.
    Broken,
    /// It was never sealed, or what is left of the seal cannot be told from the rest.
    Missing,
}

/// Adds the checksum to an indented JSON object that ends with a line break; anything else is returned as it is.
#[must_use]
pub fn seal(manifest: Vec<u8>) -> Vec<u8> {
    let Some(body) = manifest.strip_suffix(END) else { return manifest };
    let digest = hex(&sha256(&manifest));
    [body, BEGIN, digest.as_bytes(), b"\"", END].concat()
}

/// The manifest as it was before it was sealed; `None` when it was not.
#[must_use]
pub fn unsealed(manifest: &[u8]) -> Option<Vec<u8>> {
    split(manifest).map(|(body, _)| [body, END].concat())
}

/// Compares a manifest with its checksum.
#[must_use]
pub fn check(manifest: &[u8]) -> Seal {
    match split(manifest) {
        None => Seal::Missing,
        Some((body, digest)) if hex(&sha256(&[body, END].concat())).as_bytes() == digest => Seal::Whole,
        Some(_) => Seal::Broken,
    }
}

/// The body, without its end, and the checksum.
fn split(manifest: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = manifest.strip_suffix(END)?.strip_suffix(b"\"")?;
    let (rest, digest) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
    Some((rest.strip_suffix(BEGIN)?, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_of_a_sealed_manifest_can_change_unseen() {
        let plain = b"{\n  \"version\": 1,\n  \"run\": \"m\"\n}\n".to_vec();
        let sealed = seal(plain.clone());
        assert_eq!((check(&plain), check(&sealed)), (Seal::Missing, Seal::Whole));
        assert_eq!(unsealed(&sealed), Some(plain));
        let value: serde_json::Value = serde_json::from_slice(&sealed).expect("JSON");
        assert_eq!(value["run"], "m");
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                assert_ne!(check(&changed), Seal::Whole, "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn what_is_no_manifest_is_left_alone() {
        for text in ["", "{}", "}\n", "\n}\n"] {
            assert_eq!(check(text.as_bytes()), Seal::Missing);
        }
        assert_eq!(seal(b"{}".to_vec()), b"{}");
    }
}
