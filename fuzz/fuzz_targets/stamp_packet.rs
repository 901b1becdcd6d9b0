//! A STAMP packet, as both ends read it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| andon_probe::fuzz_stamp(bytes));
