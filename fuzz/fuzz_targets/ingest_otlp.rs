//! OTLP, protobuf and JSON, of all signals.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| andon_ingest::fuzz::otlp(bytes));
