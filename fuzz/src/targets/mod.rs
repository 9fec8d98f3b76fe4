//! The targets: what they do with one input. Each panics where something does not hold.

pub mod chunks;
pub mod decode;
pub mod flatten;
pub mod journal;
pub mod kernels;
pub mod page;
pub mod wire;

/// A target, by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: [Target; 7] = [
    ("decode", decode::run),
    ("chunks", chunks::run),
    ("kernels", kernels::run),
    ("flatten", flatten::run),
    ("page", page::run),
    ("wire", wire::run),
    ("journal", journal::run),
];
