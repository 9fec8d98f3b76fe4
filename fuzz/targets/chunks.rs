//! See `pagemill_fuzz::targets::chunks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pagemill_fuzz::targets::chunks::run(data));
