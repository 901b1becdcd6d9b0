//! The text of a grid key.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| andon_grid::fuzz::fuzz_key(bytes));
