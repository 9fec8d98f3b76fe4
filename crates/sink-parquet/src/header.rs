//! The header of a page, in as far as compression changes it.
//!
//! It is Parquet's `PageHeader` in Thrift's compact protocol, and begins with three numbers: the kind of page, its size, and its
//! size as compressed (fields 1, 2 and 3). Each is a byte that says "the next field, a 32-bit number" and a zigzag varint.

use parquet::errors::{ParquetError, Result};

/// The next field, a 32-bit number.
const NEXT_I32: u8 = 0x15;
/// The kind of page of a dictionary.
const DICTIONARY: u64 = 2;
/// Bits of a varint's byte that are part of the number.
const LOW: u8 = 0x7f;

/// Whether it is a dictionary's.
pub(crate) fn is_dictionary(header: &[u8]) -> Result<bool> {
    Ok(number(header)?.0 == DICTIONARY)
}

/// The header with another compressed size.
pub(crate) fn resized(header: &[u8], compressed: usize) -> Result<Vec<u8>> {
    let compressed = i32::try_from(compressed).map_err(|_| strange("the page is too large"))?;
    let (_, sizes) = number(header)?;
    let (_, old) = number(sizes)?;
    let (_, rest) = number(old)?;
    let kept = header.len() - old.len();
    let mut resized = Vec::with_capacity(header.len() + 4);
    resized.extend(header.iter().take(kept));
    resized.push(NEXT_I32);
    let mut zigzag = u64::from(compressed.unsigned_abs()) << 1;
    while zigzag > u64::from(LOW) {
        resized.push(zigzag as u8 | !LOW);
        zigzag >>= 7;
    }
    resized.push(zigzag as u8);
    resized.extend_from_slice(rest);
    Ok(resized)
}

/// The number of the field that `bytes` begin with, and what is behind it. No number here is negative.
fn number(bytes: &[u8]) -> Result<(u64, &[u8])> {
    let Some((&NEXT_I32, digits)) = bytes.split_first() else {
        return Err(strange("a page's header has other fields"));
    };
    let end = digits.iter().take(5).position(|byte| byte & !LOW == 0);
    let Some((number, rest)) = end.and_then(|end| digits.split_at_checked(end + 1)) else {
        return Err(strange("a number of a page's header does not end"));
    };
    let zigzag = number.iter().rev().fold(0, |all, byte| all << 7 | u64::from(byte & LOW));
    Ok((zigzag >> 1, rest))
}

fn strange(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_another_size_and_all_else_as_it_was() {
        // A data page of 300 bytes.
        let header = [0x15, 0x00, 0x15, 0xd8, 0x04, 0x15, 0xd8, 0x04, 0x2c, 0x15, 0x0a, 0x00];
        let small = resized(&header, 63).expect("a header");
        assert_eq!(small, [0x15, 0x00, 0x15, 0xd8, 0x04, 0x15, 0x7e, 0x2c, 0x15, 0x0a, 0x00]);
        assert_eq!(resized(&small, 300).expect("a header"), header);
        assert_eq!(number(&resized(&header, i32::MAX as usize).expect("fits")[5..]).expect("a number").0, 0x7fff_ffff);
        assert!(resized(&header, i32::MAX as usize + 1).is_err());
        assert!(!is_dictionary(&header).expect("a header"));
        assert!(is_dictionary(&[0x15, 0x04]).expect("a header"));
    }

    #[test]
    fn what_is_no_header_is_an_error() {
        for end in 0..8 {
            let header = [0x15, 0x00, 0x15, 0xd8, 0x04, 0x15, 0xd8, 0x04];
            assert!(resized(&header[..end], 1).is_err(), "{end}");
        }
        assert!(is_dictionary(&[0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).is_err());
        assert!(is_dictionary(&[0x25, 0x04]).is_err());
    }
}
