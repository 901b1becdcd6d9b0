//! A frame of the log behind its checksum.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| andon_store::fuzz::frame(bytes));
