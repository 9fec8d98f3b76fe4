//! Numbers: the grammar of RFC 8259, section 6, and exact values.

use pagemill_core::Reason;

/// The extent of a number: where it ends, and whether it is digits alone (with or without a sign).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) end: usize,
    pub(crate) whole: bool,
}

/// Reads the number that begins at `start`; what follows it is the caller's to check.
///
/// # Errors
/// The position at which the grammar is broken.
pub(crate) fn extent(bytes: &[u8], start: usize) -> Result<Extent, usize> {
    let byte = |i: usize| bytes.get(i).copied().unwrap_or(b' ');
    let digits = |mut i: usize| {
        while byte(i).is_ascii_digit() {
            i += 1;
        }
        i
    };
    let first = start + usize::from(byte(start) == b'-');
    let mut end = digits(first);
    if end == first {
        return Err(end);
    }
    if byte(first) == b'0' && end > first + 1 {
        return Err(first + 1);
    }
    let mut whole = true;
    if byte(end) == b'.' {
        let fraction = end + 1;
        end = digits(fraction);
        if end == fraction {
            return Err(end);
        }
        whole = false;
    }
    if matches!(byte(end), b'e' | b'E') {
        let power = end + 1 + usize::from(matches!(byte(end + 1), b'+' | b'-'));
        end = digits(power);
        if end == power {
            return Err(end);
        }
        whole = false;
    }
    Ok(Extent { end, whole })
}

/// The value of a number in an integer column: its exact decimal value, if that is an integer of 64 bits.
///
/// # Errors
/// [`Reason::OutOfRange`] for other integers, [`Reason::Inexact`] for fractions.
pub(crate) fn int(text: &[u8], whole: bool) -> Result<i64, Reason> {
    if whole && text.len() <= 18 {
        let (negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let n = digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0'));
        return Ok(if negative { -n } else { n });
    }
    let decimal = Decimal::of(text);
    let (digits, power) = (decimal.digits, decimal.power);
    if digits.is_empty() {
        return Ok(0);
    }
    if power < 0 {
        return Err(Reason::Inexact);
    }
    let Ok(power) = u32::try_from(power) else { return Err(Reason::OutOfRange) };
    if digits.len() as u64 + u64::from(power) > 19 {
        return Err(Reason::OutOfRange);
    }
    let n = digits.iter().fold(0, |n, d| n * 10 + i128::from(d - b'0')) * 10i128.pow(power);
    i64::try_from(if decimal.negative { -n } else { n }).map_err(|_| Reason::OutOfRange)
}

/// The value of a number in a double column: the nearest double, if the shortest text of that double is the same number.
///
/// So 0.1 is held, and 2^53 + 1 is not: a double can only give it back as another number.
///
/// # Errors
/// [`Reason::OutOfRange`] beyond the finite doubles, [`Reason::Inexact`] for more digits than a double keeps.
pub(crate) fn float(text: &[u8]) -> Result<f64, Reason> {
    let value: f64 = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).ok_or(Reason::WrongType)?;
    if value.is_infinite() {
        return Err(Reason::OutOfRange);
    }
    // Every decimal of up to 15 digits comes back from a normal double (DBL_DIG of IEEE 754).
    let short = text.len() <= 15 && !text.iter().any(|b| matches!(b, b'e' | b'E'));
    if short || Decimal::of(text) == Decimal::of(format!("{value:e}").as_bytes()) {
        return Ok(value);
    }
    Err(Reason::Inexact)
}

/// A number's exact value: `digits * 10^power`, without zeros at either end of the digits.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    power: i64,
}

impl Decimal {
    /// The value of a well-formed number.
    fn of(text: &[u8]) -> Self {
        let (mantissa, exponent) = match text.iter().position(|b| matches!(b, b'e' | b'E')) {
            Some(e) => (&text[..e], &text[e + 1..]),
            None => (text, &[][..]),
        };
        let mut digits: Vec<u8> = mantissa.iter().copied().filter(u8::is_ascii_digit).collect();
        let fraction = mantissa.iter().position(|b| *b == b'.').map_or(0, |dot| mantissa.len() - dot - 1);
        let mut power = Self::exponent(exponent) - fraction as i64;
        while digits.last() == Some(&b'0') {
            digits.pop();
            power += 1;
        }
        let zeros = digits.iter().take_while(|d| **d == b'0').count();
        digits.drain(..zeros);
        if digits.is_empty() {
            power = 0;
        }
        Self { negative: text.first() == Some(&b'-'), digits, power }
    }

    /// The exponent, far out of any range where it has too many digits.
    fn exponent(text: &[u8]) -> i64 {
        let n =
            text.iter().filter(|b| b.is_ascii_digit()).fold(0i64, |n, d| (n * 10 + i64::from(d - b'0')).min(1 << 40));
        if text.first() == Some(&b'-') { -n } else { n }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(text: &str) -> bool {
        extent(text.as_bytes(), 0).expect("a number").whole
    }

    #[test]
    fn the_grammar_is_that_of_the_standard() {
        for good in ["0", "-0", "10", "0.5", "-1.25e+10", "1E5", "1e-05", "123456789012345678901234567890"] {
            assert_eq!(extent(good.as_bytes(), 0).map(|e| e.end), Ok(good.len()), "{good}");
        }
        for (bad, at) in
            [("01", 1), ("-", 1), ("+1", 0), (".5", 0), ("1.", 2), ("1e", 2), ("1e+", 3), ("-x", 1), ("-01", 2)]
        {
            assert_eq!(extent(bad.as_bytes(), 0).map(|e| e.end), Err(at), "{bad}");
        }
    }

    #[test]
    fn integers_are_exact_or_refused() {
        let read = |t: &str| int(t.as_bytes(), whole(t));
        assert_eq!(read("9223372036854775807"), Ok(i64::MAX));
        assert_eq!(read("-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(read("9223372036854775808"), Err(Reason::OutOfRange));
        assert_eq!(read("-9223372036854775809"), Err(Reason::OutOfRange));
        assert_eq!(read("1.0"), Ok(1));
        assert_eq!(read("1e3"), Ok(1000));
        assert_eq!(read("12.5e1"), Ok(125));
        assert_eq!(read("0e999999999999999999999"), Ok(0));
        assert_eq!(read("-0"), Ok(0));
        assert_eq!(read("1.5"), Err(Reason::Inexact));
        assert_eq!(read("1e-1"), Err(Reason::Inexact));
        assert_eq!(read("1e99999999999999999999"), Err(Reason::OutOfRange));
    }

    #[test]
    fn doubles_give_back_the_number_or_refuse_it() {
        for good in [
            "0.1",
            "1e300",
            "5e-324",
            "1.7976931348623157e308",
            "0.30000000000000004",
            "100000000000000000000",
            "-0.0",
            "0e999",
        ] {
            assert!(float(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in ["1152921504606846976", "9007199254740993", "0.1000000000000000055", "1e-999", "4e-324"] {
            assert_eq!(float(bad.as_bytes()), Err(Reason::Inexact), "{bad}");
        }
        assert_eq!(float(b"1e999"), Err(Reason::OutOfRange));
        assert_eq!(float(b"-1e999"), Err(Reason::OutOfRange));
        assert!(float(b"-0.0").is_ok_and(f64::is_sign_negative));
    }

    proptest! {
        #[test]
        fn every_double_comes_back(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            prop_assert_eq!(float(format!("{value:e}").as_bytes()).map(f64::to_bits), Ok(value.to_bits()));
        }

        #[test]
        fn every_integer_comes_back(value in any::<i64>()) {
            prop_assert_eq!(int(value.to_string().as_bytes(), true), Ok(value));
        }
    }
}
