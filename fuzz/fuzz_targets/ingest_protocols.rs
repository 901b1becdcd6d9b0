//! Syslog, StatsD, Graphite, Fluent's forward protocol, in pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| andon_ingest::fuzz::protocols(bytes));
