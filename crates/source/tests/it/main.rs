//! Sources over real sockets and real files.
#![allow(unreachable_pub, reason = "helpers of one test binary")]

mod cuts;
mod faults;
mod file;
mod http;
mod proxy;
mod semantics;
mod slow;
mod support;
mod tls;
mod wire;
