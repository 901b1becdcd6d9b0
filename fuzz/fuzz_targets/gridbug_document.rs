//! A GridBug node's document; what was read is written and read again.
#![no_main]

use andon_gridbug::document::Document;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(reading) = Document::read(bytes) {
        let written = reading.document.write_bounded(bytes.len() as u64);
        assert!(Document::read(&written).is_ok(), "what we write, we read");
    }
});
