//! Where pages come from: a paginated HTTP API, or saved pages on disk.
//!
//! [`HttpSource`] and [`FileSource`] are the two [`Source`](pagemill_core::Source)s. Decisions are pure and have
//! modules of their own; what does I/O only carries them out.
//!
//! | module | what it holds |
//! |---|---|
//! | [`query`] | [`Request`]: what is asked for, and how a query string says it |
//! | `target` | where requests go: one origin, to which a cursor is only ever data |
//! | `paging` | where a walk goes next: on, to its end, or no further because its cursors repeat |
//! | [`retry`] | whether and when to ask again; `Retry-After` and its kin |
//! | [`pace`] | how fast to ask |
//! | `answer` | what the head of an answer says |
//! | `problem` | what an error body says |
//! | `inflate` | gzip, with every byte accounted for |
//! | `escape` | remote text made fit for a terminal |
//! | [`clock`] | what time it is, and waiting; [`VirtualClock`] for tests |
//! | [`progress`] | counters to look at |
//! | `worker` | decoding, on a thread of its own |
//! | `hold` | a page as a transaction, within one budget of memory |
//! | [`fetch`] | one request and its timeouts: the shell around reqwest |
//! | [`http`] | [`HttpSource`]: the one loop |
//! | [`file`](mod@file) | [`FileSource`] |

pub mod clock;
pub mod fetch;
pub mod file;
pub mod http;
pub mod pace;
pub mod progress;
pub mod query;
pub mod retry;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

mod answer;
mod escape;
mod hold;
mod inflate;
mod paging;
mod problem;
mod target;
mod worker;

pub use clock::{Clock, SystemClock, VirtualClock};
pub use fetch::Timeouts;
pub use file::{FileOptions, FileSource};
pub use http::{HttpOptions, HttpSource};
pub use inflate::GzipLimits;
pub use pace::{Pace, Rate};
pub use progress::{Progress, Snapshot};
pub use query::{Request, ResponseFormat};
pub use retry::Policy;
