//! How fast to ask. Pure: the caller says what time it is and does the waiting.

use std::{collections::VecDeque, time::Duration};

/// At most so many requests in any span of so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests.
    pub requests: u32,
    /// The span.
    pub per: Duration,
}

impl Rate {
    /// What the vendor grants a connected account.
    pub const ACCOUNT: Self = Self { requests: 50, per: Duration::from_secs(10) };
    /// What the vendor grants a token.
    pub const TOKEN: Self = Self { requests: 500, per: Duration::from_secs(10) };
}

/// How a source is paced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// The vendor's own host by the vendor's limits, any other by its headers alone.
    #[default]
    Auto,
    /// By the answers' headers alone.
    Headers,
    /// By this rate, and the headers.
    AtMost(Rate),
}

/// Says when the next request may leave.
///
/// Time is a duration since an origin of the caller's choice.
#[derive(Clone, Debug, Default)]
pub struct Pacer {
    windows: Vec<Window>,
    closed_until: Duration,
}

/// The moments of the last requests within one rate.
#[derive(Clone, Debug)]
struct Window {
    rate: Rate,
    sent: VecDeque<Duration>,
}

impl Pacer {
    /// A pacer that keeps all of `rates`.
    #[must_use]
    pub fn new(rates: &[Rate]) -> Self {
        let windows = rates.iter().filter(|r| r.requests > 0).map(|rate| Window { rate: *rate, sent: VecDeque::new() });
        Self { windows: windows.collect(), closed_until: Duration::ZERO }
    }

    /// Takes the next place and says how long it is until then. The place is taken whether or not it is used.
    pub fn reserve(&mut self, now: Duration) -> Duration {
        let free = |w: &Window| match w.sent.front() {
            Some(oldest) if w.sent.len() >= w.rate.requests as usize => *oldest + w.rate.per,
            _ => Duration::ZERO,
        };
        let at = self.windows.iter().map(free).fold(now.max(self.closed_until), Duration::max);
        for window in &mut self.windows {
            if window.sent.len() >= window.rate.requests as usize {
                window.sent.pop_front();
            }
            window.sent.push_back(at);
        }
        at.saturating_sub(now)
    }

    /// Lets nothing leave before `at`: the server said that its window is used up.
    pub fn close_until(&mut self, at: Duration) {
        self.closed_until = self.closed_until.max(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_then_a_wait() {
        let mut pacer = Pacer::new(&[Rate::ACCOUNT, Rate::TOKEN]);
        for _ in 0..50 {
            assert_eq!(pacer.reserve(SECOND), Duration::ZERO);
        }
        assert_eq!(pacer.reserve(SECOND), 10 * SECOND);
        assert_eq!(pacer.reserve(4 * SECOND), 7 * SECOND);
        assert_eq!(pacer.reserve(60 * SECOND), Duration::ZERO);
    }

    #[test]
    fn without_rates_nothing_waits_unless_told() {
        let mut pacer = Pacer::new(&[]);
        for _ in 0..1000 {
            assert_eq!(pacer.reserve(SECOND), Duration::ZERO);
        }
        pacer.close_until(3 * SECOND);
        pacer.close_until(2 * SECOND);
        assert_eq!(pacer.reserve(SECOND), 2 * SECOND);
        assert_eq!(pacer.reserve(5 * SECOND), Duration::ZERO);
    }

    proptest! {
        /// In any span, however the calls come, no more leave than the rate allows.
        #[test]
        fn no_span_holds_more_than_the_rate(gaps in prop::collection::vec(0u64..2_000, 1..200), n in 1u32..7) {
            let rate = Rate { requests: n, per: 3 * SECOND };
            let mut pacer = Pacer::new(&[rate]);
            let mut now = Duration::ZERO;
            let mut sent = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                now += pacer.reserve(now);
                sent.push(now);
            }
            for pair in sent.windows(n as usize + 1) {
                prop_assert!(pair[n as usize] - pair[0] >= rate.per);
            }
        }
    }
}
