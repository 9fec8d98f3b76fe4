//! Pagemill's examples.
