//! What was inside the seal of a message on NATS.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| andon_nats::envelope::fuzz(bytes));
