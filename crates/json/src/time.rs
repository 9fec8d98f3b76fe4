//! Dates and times of RFC 3339 to microseconds since the epoch.

use pagemill_core::Reason;

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
    let offset = offset(zone)?;
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
fn offset(zone: &[u8]) -> Result<i64, Reason> {
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

/// Days since 1970-01-01 in the proleptic Gregorian calendar; years are counted from March so that leap days come last.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

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
