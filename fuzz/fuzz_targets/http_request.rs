//! What of an HTTP request is judged by our own code.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| andon_api::fuzz::request(bytes));
