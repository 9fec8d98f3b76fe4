//! Pagemill's benches.
