//! Timestamps, in the forms of RFC 3339 that providers send.

use std::io::Write as _;

/// How a timestamp is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `2026-11-23T21:06:07Z`.
    Seconds,
    /// `2026-11-23T21:06:07.089Z`.
    Millis,
    /// `2026-11-23T21:06:07.089123Z`.
    Micros,
    /// `2026-11-23T22:06:07+01:00`: minutes east of UTC.
    Offset(i16),
    /// `2026-11-23T22:06:07.089+01:00`: minutes east of UTC.
    MillisOffset(i16),
    /// `2026-11-23T21:06:07.0891230Z`, with a last digit that is not zero.
    TenthMicros,
}

/// A point in time and how it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub(crate) seconds: i64,
    /// Tenths of a microsecond, below 10,000,000.
    pub(crate) tenths: u32,
    pub(crate) form: Form,
}

impl Moment {
    /// Appends the text, without quotes. Writing into memory cannot fail.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let east = match self.form {
            Form::Offset(east) | Form::MillisOffset(east) => east,
            _ => 0,
        };
        let local = self.seconds + i64::from(east) * 60;
        let (days, second) = (local.div_euclid(86_400), local.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        digits(out, year as u32, 4);
        out.push(b'-');
        digits(out, month, 2);
        out.push(b'-');
        digits(out, day, 2);
        out.push(b'T');
        let second = second as u32;
        digits(out, second / 3600, 2);
        out.push(b':');
        digits(out, second / 60 % 60, 2);
        out.push(b':');
        digits(out, second % 60, 2);
        match self.form {
            Form::Seconds | Form::Offset(_) => {}
            Form::Millis | Form::MillisOffset(_) => fraction(out, self.tenths / 10_000, 3),
            Form::Micros => fraction(out, self.tenths / 10, 6),
            Form::TenthMicros => fraction(out, self.tenths / 10 * 10 + 7, 7),
        }
        match self.form {
            Form::Offset(_) | Form::MillisOffset(_) => {
                let minutes = east.unsigned_abs();
                let sign = if east < 0 { '-' } else { '+' };
                let _ = write!(out, "{sign}{:02}:{:02}", minutes / 60, minutes % 60);
            }
            _ => out.push(b'Z'),
        }
    }
}

fn fraction(out: &mut Vec<u8>, value: u32, width: u32) {
    out.push(b'.');
    digits(out, value, width);
}

fn digits(out: &mut Vec<u8>, value: u32, width: u32) {
    for place in (0..width).rev() {
        out.push(b'0' + (value / 10u32.pow(place) % 10) as u8);
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar; years from 0 on.
///
/// Years are taken to begin in March, so that the leap day comes last, and in eras of 400 years, which all have
/// 146,097 days.
fn civil(days: i64) -> (i64, u32, u32) {
    let from_march = days + 719_468;
    let era = from_march.div_euclid(146_097);
    let day_of_era = from_march.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u32;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seconds: i64, tenths: u32, form: Form) -> String {
        let mut out = Vec::new();
        Moment { seconds, tenths, form }.write(&mut out);
        String::from_utf8(out).expect("a timestamp is ASCII")
    }

    #[test]
    fn every_form_names_the_same_instant() {
        let at = 1_764_018_367; // 2025-11-24T21:06:07Z
        assert_eq!(text(at, 891_234, Form::Seconds), "2025-11-24T21:06:07Z");
        assert_eq!(text(at, 891_234, Form::Millis), "2025-11-24T21:06:07.089Z");
        assert_eq!(text(at, 891_234, Form::Micros), "2025-11-24T21:06:07.089123Z");
        assert_eq!(text(at, 891_234, Form::Offset(330)), "2025-11-25T02:36:07+05:30");
        assert_eq!(text(at, 891_234, Form::MillisOffset(-480)), "2025-11-24T13:06:07.089-08:00");
        assert_eq!(text(at, 891_234, Form::TenthMicros), "2025-11-24T21:06:07.0891237Z");
    }

    #[test]
    fn days_follow_the_calendar() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(-1), (1969, 12, 31));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_513), (2026, 3, 1));
        let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut day = 20_454; // 2026-01-01
        for (month, length) in (1..).zip(lengths) {
            for date in 1..=length {
                assert_eq!(civil(day), (2026, month, date));
                day += 1;
            }
        }
    }
}
