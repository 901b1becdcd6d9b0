//! A row's payload, as each kind that there is.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| andon_grid::fuzz::fuzz_payload(bytes));
