//! See `pagemill_fuzz::targets::decode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pagemill_fuzz::targets::decode::run(data));
