//! See `pagemill_fuzz::targets::page`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pagemill_fuzz::targets::page::run(data));
