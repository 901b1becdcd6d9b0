//! Snappy, gzip, deflate, zstd.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| andon_ingest::fuzz::packed(bytes));
