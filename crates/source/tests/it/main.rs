//! Sources over real sockets and real files.
#![allow(unreachable_pub, reason = "helpers of one test binary")]

mod faults;
mod file;
mod http;
mod support;
