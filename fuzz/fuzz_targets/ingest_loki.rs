//! Loki's push, JSON and protobuf.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| andon_ingest::fuzz::loki(bytes));
