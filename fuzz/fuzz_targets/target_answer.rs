//! Answers of targets: DNS, STAMP, ICMP, certificates.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| andon_target::ask::fuzz::readers(bytes));
