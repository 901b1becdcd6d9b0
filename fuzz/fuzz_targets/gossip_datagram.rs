//! A gossip datagram as it comes from the socket or out of a frame.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| andon_grid::fuzz::fuzz_datagram(bytes));
