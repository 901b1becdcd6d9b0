//! A question as text; printed, it reads the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| andon_query::fuzz::text(bytes));
