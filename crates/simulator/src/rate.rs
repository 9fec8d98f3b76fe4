//! Rate limits: so many requests in a window that starts with the first of them.

use std::time::Duration;

/// So many requests in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests that are answered within one window.
    pub requests: u32,
    /// How long a window lasts.
    pub window: Duration,
}

/// One counted window. Time is given, never read.
#[derive(Debug, Default)]
pub(crate) struct Window {
    began: Option<Duration>,
    used: u32,
}

/// What a rate says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) rate: Rate,
    pub(crate) allowed: bool,
    pub(crate) remaining: u32,
    /// Whole seconds until the window ends, rounded up.
    pub(crate) reset: u64,
}

impl Window {
    /// Counts a request made at `now`.
    pub(crate) fn take(&mut self, rate: Rate, now: Duration) -> Verdict {
        let began = match self.began {
            Some(began) if now.saturating_sub(began) < rate.window => began,
            _ => {
                self.used = 0;
                *self.began.insert(now)
            }
        };
        let allowed = self.used < rate.requests;
        self.used += u32::from(allowed);
        let left = (began + rate.window).saturating_sub(now);
        let reset = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        Verdict { rate, allowed, remaining: rate.requests - self.used, reset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_allows_its_number_and_then_begins_anew() {
        let rate = Rate { requests: 2, window: Duration::from_secs(10) };
        let mut window = Window::default();
        let mut take = |millis| {
            let verdict = window.take(rate, Duration::from_millis(millis));
            (verdict.allowed, verdict.remaining, verdict.reset)
        };
        assert_eq!(take(5_000), (true, 1, 10));
        assert_eq!(take(6_500), (true, 0, 9));
        assert_eq!(take(14_999), (false, 0, 1));
        assert_eq!(take(15_000), (true, 1, 10));
    }

    #[test]
    fn a_rate_of_none_allows_none() {
        let rate = Rate { requests: 0, window: Duration::from_secs(1) };
        assert!(!Window::default().take(rate, Duration::ZERO).allowed);
    }
}
