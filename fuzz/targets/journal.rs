//! See `pagemill_fuzz::targets::journal`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pagemill_fuzz::targets::journal::run(data));
