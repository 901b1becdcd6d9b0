//! Events from another node.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| andon_spool::codec::fuzz(bytes));
