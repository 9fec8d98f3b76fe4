//! Strings, integers, floats and moments as JSON.

use std::io::Write;

/// What a byte of a string asks for: nothing, an escape, or a look at the bytes after it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Escape,
    /// 0xC2: begins U+0080 to U+00BF, of which the first half are control characters.
    Latin,
    /// 0xE2: begins U+2000 to U+2FFF, among them the two line breaks.
    Punctuation,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Plain; 256];
    let mut byte = 0;
    while byte < 0x20 {
        classes[byte] = Class::Escape;
        byte += 1;
    }
    classes[b'"' as usize] = Class::Escape;
    classes[b'\\' as usize] = Class::Escape;
    classes[0x7f] = Class::Escape;
    classes[0xc2] = Class::Latin;
    classes[0xe2] = Class::Punctuation;
    classes
};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A string in its quotes.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escaped(text, out, false);
    out.push(b'"');
}

/// The inside of a string. With `verbatim`, `"` and `\` are left as they are, because they are JSON already.
pub(crate) fn escaped(text: &str, out: &mut Vec<u8>, verbatim: bool) {
    let bytes = text.as_bytes();
    let (mut done, mut at) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        let class = CLASSES[usize::from(byte)];
        if class == Class::Plain {
            at += 1;
            continue;
        }
        let (length, code) = match class {
            Class::Escape if verbatim && matches!(byte, b'"' | b'\\') => (1, None),
            Class::Plain | Class::Escape => (1, Some(u16::from(byte))),
            Class::Latin => match bytes.get(at + 1) {
                Some(&low @ 0x80..=0x9f) => (2, Some(u16::from(low))),
                _ => (2, None),
            },
            Class::Punctuation => match bytes.get(at + 1..at + 3) {
                Some([0x80, low @ (0xa8 | 0xa9)]) => (3, Some(0x2000 | u16::from(low & 0x3f))),
                _ => (3, None),
            },
        };
        if let Some(code) = code {
            out.extend_from_slice(bytes.get(done..at).unwrap_or_default());
            escape(code, out);
            done = at + length;
        }
        at += length;
    }
    out.extend_from_slice(bytes.get(done..).unwrap_or_default());
}

fn escape(code: u16, out: &mut Vec<u8>) {
    let short = match code {
        0x22 => b'"',
        0x5c => b'\\',
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        _ => {
            let digit = |shift: u16| HEX[usize::from((code >> shift) & 0xf)];
            out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// An integer, all digits.
pub(crate) fn int(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    uint(value.unsigned_abs(), out);
}

/// An integer, all digits.
pub(crate) fn uint(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        at -= 1;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// A double as the shortest number that reads back as the same; false when JSON has none for it.
pub(crate) fn float(value: f64, out: &mut Vec<u8>) -> bool {
    // `Debug` keeps the sign of zero, a `.0` on whole numbers, and turns to exponents where digits would be many.
    value.is_finite() && write!(out, "{value:?}").is_ok()
}

/// Bytes as a string of hexadecimal digits.
pub(crate) fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in bytes {
        out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]]);
    }
    out.push(b'"');
}

const DAY: i64 = 86_400_000_000;

/// Microseconds since 1970-01-01T00:00:00Z as RFC 3339 in quotes; false when its year is not one of 0000 to 9999.
pub(crate) fn moment(micros: i64, out: &mut Vec<u8>) -> bool {
    let Some((year, month, day)) = date(micros.div_euclid(DAY)) else { return false };
    let time = micros.rem_euclid(DAY) as u64;
    let (seconds, fraction) = (time / 1_000_000, time % 1_000_000);
    out.push(b'"');
    digits(year, 4, out);
    for (mark, value) in
        [(b'-', month), (b'-', day), (b'T', seconds / 3_600), (b':', seconds / 60 % 60), (b':', seconds % 60)]
    {
        out.push(mark);
        digits(value, 2, out);
    }
    if fraction != 0 {
        out.push(b'.');
        match fraction % 1_000 {
            0 => digits(fraction / 1_000, 3, out),
            _ => digits(fraction, 6, out),
        }
    }
    out.extend_from_slice(b"Z\"");
    true
}

fn digits(value: u64, width: u32, out: &mut Vec<u8>) {
    for place in (0..width).rev() {
        out.push(b'0' + (value / 10u64.pow(place) % 10) as u8);
    }
}

/// Year, month and day in the Gregorian calendar of a day counted from 1970-01-01.
fn date(day: i64) -> Option<(u64, u64, u64)> {
    // Days from 0000-03-01, so that a leap day is the last of its year; then eras of 400 years, all of one length.
    const ERA: i64 = 146_097;
    let shifted = day + 719_468;
    let (era, of_era) = (shifted.div_euclid(ERA), shifted.rem_euclid(ERA));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (0..=9_999).contains(&year).then_some((year as u64, month as u64, day as u64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("utf-8")
    }

    #[test]
    fn every_character_comes_back_and_none_breaks_a_line() {
        for character in (0..=0x10_FFFFu32).filter_map(char::from_u32) {
            let value = format!("a{character}b{character}");
            let json = text(|out| string(&value, out));
            assert!(!json.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')), "{json:?}");
            assert_eq!(serde_json::from_str::<String>(&json).expect("reads"), value);
        }
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (micros, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00Z"),
            (1_709_164_800_120_000, "2024-02-29T00:00:00.120Z"),
            (-62_135_596_800_000_000, "0001-01-01T00:00:00Z"),
            (-62_167_219_200_000_000, "0000-01-01T00:00:00Z"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(text(|out| assert!(moment(micros, out))), format!("\"{expected}\""));
        }
        for out_of_range in [253_402_300_800_000_000, -62_167_219_200_000_001, i64::MAX, i64::MIN] {
            assert!(!moment(out_of_range, &mut Vec::new()));
        }
    }

    #[test]
    fn days_follow_each_other() {
        let (mut year, mut month, mut day) = date(-719_528).expect("0000-01-01");
        assert_eq!((year, month, day), (0, 1, 1));
        for at in -719_527..=2_932_896 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            (year, month, day) = match (month, day == last) {
                (_, false) => (year, month, day + 1),
                (12, true) => (year + 1, 1, 1),
                (_, true) => (year, month + 1, 1),
            };
            assert_eq!(date(at), Some((year, month, day)));
        }
        assert_eq!((year, month, day), (9_999, 12, 31));
    }

    #[test]
    fn floats_have_a_form_or_are_refused() {
        for (value, expected) in
            [(-0.0, "-0.0"), (1.0, "1.0"), (5e-324, "5e-324"), (f64::MAX, "1.7976931348623157e308")]
        {
            assert_eq!(text(|out| assert!(float(value, out))), expected);
        }
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(!float(value, &mut Vec::new()));
        }
    }

    proptest! {
        #[test]
        fn strings_come_back(value in any::<String>()) {
            prop_assert_eq!(serde_json::from_str::<String>(&text(|out| string(&value, out))).expect("reads"), value);
        }

        #[test]
        fn integers_are_exact(value in any::<i64>(), unsigned in any::<u64>()) {
            prop_assert_eq!(text(|out| int(value, out)), value.to_string());
            prop_assert_eq!(text(|out| uint(unsigned, out)), unsigned.to_string());
        }

        #[test]
        fn floats_come_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let mut out = Vec::new();
            if float(value, &mut out) {
                let back: f64 = serde_json::from_slice(&out).expect("reads");
                prop_assert_eq!(back.to_bits(), bits);
            }
        }
    }
}
