//! Remote-write, and what scraped targets say.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| andon_ingest::fuzz::prometheus(bytes));
