//! Lines of all formats, NDJSON, CSV, the journal, in pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| andon_ingest::fuzz::lines(bytes));
