//! Whether and when to ask again. Pure: numbers in, a verdict out.
//!
//! Waiting follows "full jitter": a random part of a ceiling that doubles with each attempt, so that many clients that
//! were thrown out together do not come back together. A wait that the server names is never cut short.

use std::time::{Duration, SystemTime};

/// How often and how long to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Attempts for one page, the first counted.
    pub attempts: u32,
    /// Attempts for one page that arrived but was no whole, valid document: in case it was the transport.
    pub malformed_attempts: u32,
    /// The ceiling of the first wait; it doubles with each attempt.
    pub base: Duration,
    /// The highest ceiling.
    pub cap: Duration,
    /// All attempts and waits for one page together.
    pub page_budget: Duration,
    /// The longest wait that a server may ask for.
    pub longest_hint: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 8,
            malformed_attempts: 3,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(60),
            page_budget: Duration::from_secs(15 * 60),
            longest_hint: Duration::from_secs(15 * 60),
        }
    }
}

/// What kind of failure an attempt met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection, a reset, an early end, a timeout.
    Network,
    /// An answer with a status other than 200.
    Status(u16),
    /// A page that is not whole or not valid.
    Malformed,
    /// Asking again cannot help.
    Final,
}

impl Failure {
    /// True when asking again may help.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Network | Self::Malformed => true,
            Self::Status(code) => matches!(code, 408 | 425 | 429 | 500 | 502 | 503 | 504),
            Self::Final => false,
        }
    }
}

/// Attempts made for one page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// All of them.
    pub all: u32,
    /// Those that ended with a malformed page.
    pub malformed: u32,
}

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Wait, then ask again.
    Retry(Duration),
    /// Give up.
    Fail(Why),
}

/// Why to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Asking again cannot help.
    Final,
    /// All attempts were made, or there is no time left for another one.
    Exhausted,
    /// The server asks for a longer wait than allowed.
    WaitTooLong(Duration),
}

/// The verdict after `attempts` attempts, the last of which met `failure`.
///
/// `hint` is the wait that the server asked for; `elapsed` the time since the first attempt; `rand` is in `[0, 1)`.
#[must_use]
pub fn decide(
    attempts: Attempts,
    failure: Failure,
    hint: Option<Duration>,
    elapsed: Duration,
    policy: &Policy,
    rand: f64,
) -> Verdict {
    if !failure.is_retryable() {
        return Verdict::Fail(Why::Final);
    }
    // A hint of zero says "at once", which is what a client in a loop must not do.
    let hint = hint.filter(|hint| !hint.is_zero());
    if let Some(hint) = hint.filter(|hint| *hint > policy.longest_hint) {
        return Verdict::Fail(Why::WaitTooLong(hint));
    }
    let malformed = failure == Failure::Malformed && attempts.malformed >= policy.malformed_attempts;
    if malformed || attempts.all >= policy.attempts {
        return Verdict::Fail(Why::Exhausted);
    }
    let rand = if rand.is_finite() { rand.clamp(0.0, 1.0) } else { 0.0 };
    let wait = match hint {
        // Never earlier than asked; later by up to a tenth and half a second.
        Some(hint) => hint + (hint / 10 + Duration::from_millis(500)).mul_f64(rand),
        None => {
            let doublings = attempts.all.saturating_sub(1).min(31);
            policy.base.saturating_mul(1 << doublings).min(policy.cap).mul_f64(rand)
        }
    };
    // Where a wait that was asked for just fits, jitter must not be what makes it too long.
    let wait = wait.min(policy.page_budget.saturating_sub(elapsed).max(hint.unwrap_or(wait)));
    if elapsed.saturating_add(wait) > policy.page_budget {
        return Verdict::Fail(hint.map_or(Why::Exhausted, Why::WaitTooLong));
    }
    Verdict::Retry(wait)
}

/// Waits beyond this are "too long" whatever the policy; it keeps sums far from overflow.
const FAR: Duration = Duration::from_secs(10 * 365 * 86_400);

/// The wait that `Retry-After` asks for (RFC 9110, 10.2.3): seconds, or a date, of which `now` is subtracted.
///
/// A date in the past is no wait; anything else than the two forms says nothing.
#[must_use]
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if is_digits(value) {
        return Some(seconds(value));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO).min(FAR))
}

/// The wait until a window of requests begins anew, as `ratelimit-reset` says: seconds from now.
///
/// Ten digits are a moment since 1970 rather than a wait of thirty years; `now` is subtracted then.
#[must_use]
pub fn ratelimit_reset(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !is_digits(value) {
        return None;
    }
    let wait = seconds(value);
    let epoch = value.parse::<u64>().ok().filter(|n| (1_000_000_000..100_000_000_000).contains(n));
    Some(match epoch {
        None => wait,
        Some(moment) => {
            let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
            Duration::from_secs(moment).saturating_sub(now).min(FAR)
        }
    })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Digits as seconds; more of them than 64 bits hold are [`FAR`].
fn seconds(digits: &str) -> Duration {
    digits.parse().map_or(FAR, Duration::from_secs).min(FAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn after(all: u32, failure: Failure, hint: Option<Duration>, rand: f64) -> Verdict {
        decide(Attempts { all, malformed: all }, failure, hint, Duration::ZERO, &Policy::default(), rand)
    }

    #[test]
    fn the_statuses_that_are_asked_again() {
        for code in 100..600 {
            let again = matches!(after(1, Failure::Status(code), None, 0.5), Verdict::Retry(_));
            assert_eq!(again, [408, 425, 429, 500, 502, 503, 504].contains(&code), "{code}");
        }
        assert_eq!(after(1, Failure::Final, None, 0.5), Verdict::Fail(Why::Final));
    }

    #[test]
    fn waits_double_up_to_the_cap_and_jitter_is_full() {
        let most: Vec<_> = (1..8).map(|n| after(n, Failure::Network, None, 1.0)).collect();
        let want = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0].map(|s| Verdict::Retry(Duration::from_secs_f64(s)));
        assert_eq!(most, want);
        assert_eq!(after(4, Failure::Network, None, 0.0), Verdict::Retry(Duration::ZERO));
        let patient = Policy { attempts: 100, ..Policy::default() };
        let attempts = Attempts { all: 90, malformed: 0 };
        assert_eq!(
            decide(attempts, Failure::Network, None, Duration::ZERO, &patient, 1.0),
            Verdict::Retry(Duration::from_secs(60))
        );
    }

    #[test]
    fn eight_attempts_and_no_more() {
        assert!(matches!(after(7, Failure::Status(500), None, 0.5), Verdict::Retry(_)));
        assert_eq!(after(8, Failure::Status(500), None, 0.5), Verdict::Fail(Why::Exhausted));
    }

    #[test]
    fn a_malformed_page_gets_three() {
        assert!(matches!(after(2, Failure::Malformed, None, 0.5), Verdict::Retry(_)));
        assert_eq!(after(3, Failure::Malformed, None, 0.5), Verdict::Fail(Why::Exhausted));
        let after_resets = Attempts { all: 5, malformed: 1 };
        let verdict = decide(after_resets, Failure::Malformed, None, Duration::ZERO, &Policy::default(), 0.5);
        assert!(matches!(verdict, Verdict::Retry(_)));
    }

    #[test]
    fn a_hint_is_never_cut_short() {
        for hint in [1, 10, 60, 800] {
            for rand in [0.0, 0.3, 0.999] {
                let hint = hint * SECOND;
                let Verdict::Retry(wait) = after(1, Failure::Status(429), Some(hint), rand) else {
                    panic!("{hint:?} is allowed")
                };
                assert!(wait >= hint && wait <= hint.mul_f64(1.2) + SECOND, "{hint:?}: {wait:?}");
            }
        }
        let hour = 3600 * SECOND;
        assert_eq!(after(1, Failure::Status(429), Some(hour), 0.0), Verdict::Fail(Why::WaitTooLong(hour)));
        assert_eq!(after(1, Failure::Status(429), Some(Duration::ZERO), 1.0), Verdict::Retry(SECOND / 2));
    }

    #[test]
    fn the_longest_wait_is_granted_whatever_the_jitter() {
        let policy = Policy::default();
        for rand in [0.0, 0.5, 1.0] {
            assert_eq!(
                after(1, Failure::Status(429), Some(policy.longest_hint), rand),
                Verdict::Retry(policy.longest_hint)
            );
        }
    }

    #[test]
    fn the_time_for_a_page_ends() {
        let late = 899 * SECOND;
        let attempts = Attempts { all: 5, malformed: 0 };
        let policy = Policy::default();
        assert_eq!(
            decide(attempts, Failure::Network, None, late, &policy, 1.0),
            Verdict::Fail(Why::Exhausted),
            "a wait of 8 s does not fit"
        );
        let hint = Some(10 * SECOND);
        assert_eq!(
            decide(attempts, Failure::Status(429), hint, late, &policy, 0.0),
            Verdict::Fail(Why::WaitTooLong(10 * SECOND))
        );
    }

    #[test]
    fn retry_after_in_both_forms() {
        let now = httpdate::parse_http_date("Mon, 23 Nov 2026 10:00:00 GMT").expect("a date");
        let cases = [
            ("10", Some(10)),
            (" 0 ", Some(0)),
            ("Mon, 23 Nov 2026 10:01:30 GMT", Some(90)),
            ("Mon, 23 Nov 2026 09:00:00 GMT", Some(0)),
            ("Monday, 23-Nov-26 10:00:05 GMT", Some(5)),
            ("-5", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
            ("1000000000", Some(315_360_000)),
            ("99999999999999999999999999", Some(315_360_000)),
        ];
        for (value, want) in cases {
            assert_eq!(retry_after(value, now), want.map(Duration::from_secs), "{value:?}");
        }
    }

    #[test]
    fn a_reset_is_seconds_from_now_unless_it_can_only_be_a_moment() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let cases = [("7", Some(7)), ("1800000030", Some(30)), ("1700000000", Some(0)), ("-1", None), ("x", None)];
        for (value, want) in cases {
            assert_eq!(ratelimit_reset(value, now), want.map(Duration::from_secs), "{value:?}");
        }
    }
}
