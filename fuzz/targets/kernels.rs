//! See `pagemill_fuzz::targets::kernels`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pagemill_fuzz::targets::kernels::run(data));
