//! What a NATS server says.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| andon_nats::protocol::fuzz(bytes));
