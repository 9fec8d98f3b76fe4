//! Tests of the whole; see `tests/`.
//!
//! | module | what it holds |
//! |---|---|
//! | [`crash`] | runs that die, whose disk fails, or whose power is cut, at each call on the disk |

pub mod crash;
