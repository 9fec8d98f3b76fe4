//! What time it is, and waiting. Injected, so that tests wait for nothing.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use futures::future::{BoxFuture, FutureExt, ready};

/// A clock that can be waited on. Backoff and pacing go by it; timeouts of the network go by real time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Time since an origin of the clock's own; never goes back.
    fn now(&self) -> Duration;

    /// The time of day, for comparison with dates that a server names.
    fn time_of_day(&self) -> SystemTime;

    /// Waits.
    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's clock, waited on with tokio.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn time_of_day(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        if wait.is_zero() { ready(()).boxed() } else { tokio::time::sleep(wait).boxed() }
    }
}

/// A clock for tests: a wait is over at once, and the time is then that much later.
#[derive(Debug)]
pub struct VirtualClock {
    start: SystemTime,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    now: Duration,
    waits: Vec<Duration>,
}

impl VirtualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn new(start: SystemTime) -> Self {
        Self { start, state: Mutex::default() }
    }

    /// Every wait so far that was not zero, in order.
    #[must_use]
    pub fn waits(&self) -> Vec<Duration> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).waits.clone()
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Duration {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).now
    }

    fn time_of_day(&self) -> SystemTime {
        self.start + self.now()
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'static, ()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !wait.is_zero() {
            state.now += wait;
            state.waits.push(wait);
        }
        ready(()).boxed()
    }
}
