//! See `pagemill_fuzz::targets::wire`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pagemill_fuzz::targets::wire::run(data));
