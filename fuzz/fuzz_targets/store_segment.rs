//! Pieces of a segment behind their checksums.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| andon_store::fuzz::segment(bytes));
