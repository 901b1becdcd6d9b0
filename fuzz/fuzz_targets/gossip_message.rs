//! What was inside a gossip datagram's seal.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| andon_grid::fuzz::fuzz_message(bytes));
