//! Pagemill's tests.
