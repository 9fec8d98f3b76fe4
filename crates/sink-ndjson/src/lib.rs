//! The newline-delimited JSON format of Pagemill's file sink.
