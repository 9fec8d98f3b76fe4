//! See `pagemill_fuzz::targets::flatten`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pagemill_fuzz::targets::flatten::run(data));
