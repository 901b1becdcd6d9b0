//! A question as JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| andon_query::fuzz::json(bytes));
