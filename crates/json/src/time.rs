//! Dates and times of RFC 3339 to microseconds since the epoch.

#[cfg(target_arch = "x86_64")]
mod avx2;

use pagemill_core::Reason;

use crate::{raw, scan::KernelName};

/// 0000-01-01T00:00:00Z.
const EARLIEST: i64 = -62_167_219_200_000_000;
/// 9999-12-31T23:59:59.999999Z.
const LATEST: i64 = 253_402_300_799_999_999;

/// Microseconds since 1970-01-01T00:00:00Z of an RFC 3339 date and time, years 0000 to 9999.
///
/// All forms of the standard are read: `T`, `t` or a space between date and time, `Z`, `z` or an offset, any number of
/// fractional digits as long as those past the sixth are zeros.
///
/// # Errors
/// [`Reason::NotATime`]; [`Reason::TimeTooFine`] for a finer fraction or a leap second; [`Reason::OutOfRange`] where the
/// offset leads out of the years 0000 to 9999.
pub(crate) fn micros(text: &[u8]) -> Result<i64, Reason> {
    let mut start = [0; LONGEST];
    let usual = start.get_mut(..text.len()).map(|start| start.copy_from_slice(text));
    match usual.and_then(|()| usual_micros(&start, text.len())) {
        Some(micros) => Ok(micros),
        None => any(text),
    }
}

/// Bytes that [`usual_micros`] is given; the times that it knows are no longer.
pub(crate) const LONGEST: usize = 32;

/// Reads a time in the forms that are most often written: see [`usual_micros`].
pub(crate) type UsualFn = fn(&[u8; LONGEST], usize) -> Option<i64>;

/// What reads usual times where stage 1 is done by `kernel`.
pub(crate) fn usual(kernel: KernelName) -> UsualFn {
    match kernel {
        #[cfg(target_arch = "x86_64")]
        KernelName::Avx2 | KernelName::Avx512 => avx2::usual().unwrap_or(usual_micros),
        _ => usual_micros,
    }
}

/// As [`micros`], of the first `len` bytes of `text`, in the forms that are most often written: with `T`, seconds, milliseconds or
/// microseconds, and `Z` or an offset. `None` for every other form, and for times that are none.
fn usual_micros(text: &[u8; LONGEST], len: usize) -> Option<i64> {
    let eight = |at: usize| raw::chunk(text, at).map(|eight| u64::from_le_bytes(*eight));
    let digit = |at: usize| i64::from(text[at] - b'0');
    // Seconds, microseconds, and those that the offset is ahead.
    let (second, fraction, offset) = match len {
        20 => (byte(digits(eight(12)?, *b"0:00:00Z")?, 5), 0, 0),
        24 => {
            let rest = digits(eight(16)?, *b":00.000Z")?;
            (byte(rest, 1), (byte(rest, 4) * 10 + digit(22)) * 1_000, 0)
        }
        25 => {
            let behind = text[19] == b'-';
            let rest = digits(eight(17)?, if behind { *b"00-00:00" } else { *b"00+00:00" })?;
            if text[16] != b':' {
                return None;
            }
            (byte(rest, 0), 0, offset(byte(rest, 3), byte(rest, 6), behind)?)
        }
        27 => {
            let (rest, second) = (digits(eight(19)?, *b".000000Z")?, digits(eight(11)?, *b"00:00:00")?);
            (byte(second, 6), byte(rest, 1) * 10_000 + byte(rest, 3) * 100 + byte(rest, 5), 0)
        }
        29 => {
            let behind = text[23] == b'-';
            let rest = digits(eight(16)?, if behind { *b":00.000-" } else { *b":00.000+" })?;
            let zone = digits(eight(21)?, if behind { *b"00-00:00" } else { *b"00+00:00" })?;
            let micros = (byte(rest, 4) * 10 + digit(22)) * 1_000;
            (byte(rest, 1), micros, offset(byte(zone, 3), byte(zone, 6), behind)?)
        }
        32 => {
            let behind = text[26] == b'-';
            let rest = digits(eight(19)?, if behind { *b".000000-" } else { *b".000000+" })?;
            let zone = digits(eight(24)?, if behind { *b"00-00:00" } else { *b"00+00:00" })?;
            let second = digits(eight(11)?, *b"00:00:00")?;
            let micros = byte(rest, 1) * 10_000 + byte(rest, 3) * 100 + byte(rest, 5);
            (byte(second, 6), micros, offset(byte(zone, 3), byte(zone, 6), behind)?)
        }
        _ => return None,
    };
    from_parts(eight(0)?, eight(8)?, second, fraction, offset)
}

/// Seconds of an offset.
#[inline(always)]
fn offset(hours: i64, minutes: i64, behind: bool) -> Option<i64> {
    let seconds = hours * 3_600 + minutes * 60;
    (hours <= 23 && minutes <= 59).then_some(if behind { -seconds } else { seconds })
}

/// The time of `0000-00-` and `00T00:00`, with its seconds, microseconds, and the seconds that its offset is ahead; `None` where that is
/// no time.
#[inline(always)]
fn from_parts(date: u64, time: u64, second: i64, fraction: i64, offset: i64) -> Option<i64> {
    let date = digits(date, *b"0000-00-")?;
    let time = digits(time, *b"00T00:00")?;
    let (year, month) = (byte(date, 0) * 100 + byte(date, 2), byte(date, 5));
    let (day, hour, minute) = (byte(time, 0), byte(time, 3), byte(time, 6));
    // Each is below 128, so that none that is too large fails to reach the highest bit, or reaches beyond it.
    const ABOVE: u64 = (127 - 31) | ((127 - 23) << 24) | ((127 - 59) << 48);
    let over = ((time & 0x00ff_0000_ff00_00ff) + ABOVE) & 0x0080_0000_8000_0080;
    if over != 0 || second > 59 || !(1..=12).contains(&month) {
        return None;
    }
    if !is_day(year, month, day) {
        return None;
    }
    from_epoch(year, month, day, hour * 3_600 + minute * 60 + second - offset, fraction)
}

/// True for the days of the month.
#[inline(always)]
fn is_day(year: i64, month: i64, day: i64) -> bool {
    // Few days are so late in any month that it matters which one it is.
    let surely = if month == 2 { 28 } else { 30 };
    day >= 1 && (day <= surely || day <= days_in(year, month))
}

/// Microseconds since the epoch, of a day and of seconds and microseconds from its beginning; `None` out of the years 0000 to 9999.
#[inline(always)]
fn from_epoch(year: i64, month: i64, day: i64, seconds: i64, fraction: i64) -> Option<i64> {
    let seconds = days_from_epoch(year, month, day) * 86_400 + seconds;
    let micros = seconds * 1_000_000 + fraction;
    (EARLIEST..=LATEST).contains(&micros).then_some(micros)
}

/// The pairs of digits of eight characters, each pair's value at the place of its first; `None` unless there are digits
/// where `form` has zeros, and the same characters elsewhere.
#[inline(always)]
fn digits(text: u64, form: [u8; 8]) -> Option<u64> {
    // A digit xor `0` is its value; another character of the form xor itself is nothing.
    let values = text ^ u64::from_le_bytes(form);
    let most = u64::from_le_bytes(form.map(|c| if c == b'0' { 9 } else { 0 }));
    // None is above the most it may be when adding what is left up to 127 carries into no highest bit.
    let over = (values.wrapping_add(u64::from_le_bytes([127; 8]) - most) | values) & u64::from_le_bytes([128; 8]);
    (over == 0).then(|| values.wrapping_mul(10).wrapping_add(values >> 8))
}

/// The byte `n` of `pairs`, counted from the lowest.
#[inline]
fn byte(pairs: u64, n: u32) -> i64 {
    i64::from((pairs >> (8 * n)) as u8)
}

/// As [`micros`], of all forms.
fn any(text: &[u8]) -> Result<i64, Reason> {
    const BAD: Reason = Reason::NotATime;
    let (date_time, rest) = text.split_at_checked(19).ok_or(BAD)?;
    let shape = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if !shape.iter().all(|(i, c)| date_time[*i] == *c) || !matches!(date_time[10], b'T' | b't' | b' ') {
        return Err(BAD);
    }
    let two = |i: usize| number(&date_time[i..i + 2]);
    let (year, month, day) = (number(&date_time[..4])?, two(5)?, two(8)?);
    let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) || hour > 23 || minute > 59 || second > 60 {
        return Err(BAD);
    }
    let (fraction, zone, fine) = fraction(rest)?;
    let offset = zone_offset(zone)?;
    if fine || second == 60 {
        return Err(Reason::TimeTooFine);
    }
    let seconds = days_from_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset;
    let micros = seconds * 1_000_000 + fraction;
    // An offset may lead out of the years that have four digits, and then no text of the standard leads back.
    match (EARLIEST..=LATEST).contains(&micros) {
        true => Ok(micros),
        false => Err(Reason::OutOfRange),
    }
}

/// Microseconds of the fraction at the beginning of `rest`, what follows it, and whether it has finer digits.
fn fraction(rest: &[u8]) -> Result<(i64, &[u8], bool), Reason> {
    let [b'.', digits @ ..] = rest else { return Ok((0, rest, false)) };
    let n = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, zone) = digits.split_at(n);
    if n == 0 {
        return Err(Reason::NotATime);
    }
    let (kept, finer) = digits.split_at(n.min(6));
    let micros = number(kept)? * 10i64.pow(6 - kept.len() as u32);
    Ok((micros, zone, finer.iter().any(|d| *d != b'0')))
}

/// Seconds that the zone is ahead of UTC.
fn zone_offset(zone: &[u8]) -> Result<i64, Reason> {
    match zone {
        b"Z" | b"z" => Ok(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return Err(Reason::NotATime);
            }
            let seconds = hours * 3_600 + minutes * 60;
            Ok(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => Err(Reason::NotATime),
    }
}

fn number(digits: &[u8]) -> Result<i64, Reason> {
    digits.iter().try_fold(0, |n, d| match d {
        b'0'..=b'9' => Ok(n * 10 + i64::from(d - b'0')),
        _ => Err(Reason::NotATime),
    })
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, from year 0 on; years are counted from March so that leap
/// days come last.
#[inline(always)]
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    // A whole era more, so that January and February of year 0 are of no negative year.
    let (year, month) = (year as u32 + 400, month as u32);
    let (year, month) = if month > 2 { (year, month) } else { (year - 1, month + 12) };
    let century = year / 100;
    // The days of March to the month before are 30.6 each, rounded: 979 / 32 does it without a division.
    let days = 1_461 * year / 4 - century + century / 4 + (979 * month - 2_919) / 32;
    i64::from(days) + day - 1 - 719_468 - 146_097
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{any, *};

    #[test]
    fn every_day_of_the_years_0_to_9999_follows_the_one_before() {
        let mut expected = days_from_epoch(0, 1, 1);
        for year in 0..=9999 {
            for month in 1..=12 {
                for day in 1..=days_in(year, month) {
                    assert_eq!(days_from_epoch(year, month, day), expected, "{year}-{month}-{day}");
                    expected += 1;
                }
            }
        }
        assert_eq!(days_from_epoch(1970, 1, 1), 0);
        assert_eq!(days_from_epoch(2026, 11, 23), 20_780);
    }

    #[test]
    fn the_usual_forms_are_read_as_any_others() {
        let good = [
            "2024-02-29T23:59:59.987Z",
            "0000-01-01T00:00:00Z",
            "1969-12-31T12:34:56-09:45",
            "1969-12-31T12:34:56.012345Z",
            "9999-12-31T12:34:56.012345+23:59",
            "2023-03-01T00:09:10.500+00:00",
        ];
        let usual = |text: &[u8]| {
            let mut start = [b'0'; LONGEST];
            start[..text.len()].copy_from_slice(text);
            let reference = usual_micros(&start, text.len());
            for kernel in KernelName::ALL {
                assert_eq!(super::usual(kernel)(&start, text.len()), reference, "{kernel}: {text:x?}");
            }
            reference
        };
        for good in good {
            assert_eq!(usual(good.as_bytes()).ok_or(Reason::NotATime), any(good.as_bytes()), "{good}");
            assert!(usual(good.as_bytes()).is_some());
            for at in 0..good.len() {
                for byte in 0..=255 {
                    let mut text = good.as_bytes().to_vec();
                    text[at] = byte;
                    assert_eq!(usual(&text).or(any(&text).ok()), any(&text).ok(), "{text:x?}");
                }
            }
        }
    }

    #[test]
    fn a_length_that_no_usual_form_has_is_none() {
        for kernel in KernelName::ALL {
            let usual = usual(kernel);
            let text = b"2026-11-23T12:00:00.000000+00:00";
            let read: Vec<usize> = (0..100).chain([usize::MAX]).filter(|len| usual(text, *len).is_some()).collect();
            assert_eq!(read, [32], "{kernel}");
        }
    }

    /// Texts like times, with numbers that may be too large, and what comes between them sometimes wrong.
    fn nearly() -> impl Strategy<Value = String> {
        let number = |most: u32| 0..=most;
        let fraction = prop_oneof![
            Just(String::new()),
            (0u32..1_000).prop_map(|n| format!(".{n:03}")),
            (0u32..1_000_000).prop_map(|n| format!(".{n:06}")),
            (0u32..100).prop_map(|n| format!(".{n:02}")),
        ];
        let zone = prop_oneof![
            Just("Z".to_owned()),
            ("[-+ ]", number(25), number(61), "[:.]")
                .prop_map(|(sign, h, m, colon)| format!("{sign}{h:02}{colon}{m:02}")),
        ];
        let date = (number(9_999), number(13), number(32)).prop_map(|(y, m, d)| format!("{y:04}-{m:02}-{d:02}"));
        let time = (number(24), number(60), number(60)).prop_map(|(h, m, s)| format!("{h:02}:{m:02}:{s:02}"));
        (date, "[T ]|T|T", time, fraction, zone)
            .prop_map(|(date, t, time, fraction, zone)| date + &t + &time + &fraction + &zone)
    }

    proptest! {
        #[test]
        fn every_kernel_reads_the_usual_forms_alike(text in nearly(), behind in prop::array::uniform32(0u8..)) {
            let mut start = behind;
            start[..text.len()].copy_from_slice(text.as_bytes());
            let reference = usual_micros(&start, text.len());
            for kernel in KernelName::ALL {
                prop_assert_eq!(usual(kernel)(&start, text.len()), reference, "{}", kernel);
            }
            if reference.is_some() {
                prop_assert_eq!(reference, any(text.as_bytes()).ok());
            }
            prop_assert_eq!(micros(text.as_bytes()), any(text.as_bytes()));
        }
    }

    #[test]
    fn all_forms_of_the_standard_are_read() {
        let noon = 20_780 * 86_400_000_000 + 43_200_000_000;
        for text in [
            "2026-11-23T12:00:00Z",
            "2026-11-23t12:00:00z",
            "2026-11-23 12:00:00Z",
            "2026-11-23T14:00:00+02:00",
            "2026-11-22T12:01:00-23:59",
            "2026-11-23T12:00:00.0Z",
            "2026-11-23T12:00:00-00:00",
            "2026-11-23T12:00:00.000000000Z",
        ] {
            assert_eq!(micros(text.as_bytes()), Ok(noon), "{text}");
        }
        assert_eq!(micros(b"2026-11-23T12:00:00.5Z"), Ok(noon + 500_000));
        assert_eq!(micros(b"2026-11-23T12:00:00.000001Z"), Ok(noon + 1));
        assert_eq!(micros(b"1969-12-31T23:59:59.999999Z"), Ok(-1));
        assert_eq!(micros(b"0000-01-01T00:00:00Z"), Ok(-62_167_219_200_000_000));
        assert_eq!(micros(b"9999-12-31T23:59:59.999999Z"), Ok(253_402_300_799_999_999));
    }

    #[test]
    fn what_is_no_time_or_too_fine_is_refused() {
        for text in [
            "",
            "2026-11-23",
            "2026-11-23T12:00:00",
            "2026-13-23T12:00:00Z",
            "2026-02-29T12:00:00Z",
            "2026-11-00T12:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T12:60:00Z",
            "2026-11-23T12:00:61Z",
            "2026-11-23T12:00:00.Z",
            "2026-11-23T12:00:00+2:00",
            "2026-11-23T12:00:00+24:00",
            "2026-11-23T12:00:00ZZ",
            "+026-11-23T12:00:00Z",
            "2026-11-23T12:00:00 Z",
            "2026-11-23_12:00:00Z",
        ] {
            assert_eq!(micros(text.as_bytes()), Err(Reason::NotATime), "{text}");
        }
        assert_eq!(micros(b"2026-11-23T12:00:00.0000001Z"), Err(Reason::TimeTooFine));
        assert_eq!(micros(b"2016-12-31T23:59:60Z"), Err(Reason::TimeTooFine));
        assert!(micros(b"2024-02-29T00:00:00Z").is_ok());
        assert_eq!(micros(b"9999-12-31T23:59:59-05:00"), Err(Reason::OutOfRange));
        assert_eq!(micros(b"0000-01-01T00:00:00+01:00"), Err(Reason::OutOfRange));
    }
}
