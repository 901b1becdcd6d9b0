//! Entries for fuzzers: what is read from segments and logs behind their checksums. Whatever
//! the bytes are, the answer is a column or that they are damaged; never a panic, nor more room
//! than a block may take.

use crate::coding::bloom::Bloom;
use crate::coding::bytes::Bytes;
use crate::coding::{BLOCK_ROWS_MAX, column};
use crate::segment::footer::Footer;
use crate::wal::Frame;
use std::sync::Arc;

/// A frame of the write-ahead log. What is read can be written, and reads the same.
pub fn frame(bytes: &[u8]) {
    if let Ok(frame) = Frame::decode(bytes) {
        let again = frame.encode();
        let payload = again.get(crate::wal::FRAME_HEAD..).unwrap_or_default();
        let again = Frame::decode(payload).map(|again| again.batch.len());
        assert_eq!(again.ok(), Some(frame.batch.len()));
    }
}

/// The pieces of a segment: its footer, sealed blocks, columns, dictionaries, blooms.
pub fn segment(bytes: &[u8]) {
    let _ = Footer::decode(bytes);
    let unsealed = column::unseal(bytes);
    for bytes in [bytes, unsealed.as_deref().unwrap_or_default()] {
        let dict = column::decode_dict(&mut Bytes::new(bytes))
            .ok()
            .map(Arc::new);
        let _ = Bloom::decode(&mut Bytes::new(bytes));
        for rows in [0, 1, 7, bytes.len().min(BLOCK_ROWS_MAX), BLOCK_ROWS_MAX] {
            let _ = column::decode(&mut Bytes::new(bytes), rows, None);
            let _ = column::decode(&mut Bytes::new(bytes), rows, dict.as_ref());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::wal::{FRAME_HEAD, Origin};
    use andon_model::event::{Event, Value};
    use andon_model::time::Timestamp;
    use proptest::prelude::*;

    fn corpus() -> Vec<Vec<u8>> {
        let event = |number: i64| {
            let mut event = Event::new(Timestamp(number * 1_000))
                .with("host", format!("host-{}", number % 3))
                .with("body", format!("request {number} took {}", number * 7_919))
                .with("took", Value::Float(number as f64 / 3.0))
                .with("status", Value::Integer(200 + number % 2));
            if number % 5 == 0 {
                event.set("rare", Value::Bool(number % 2 == 0));
                event.set("status", "lost");
            }
            event
        };
        let events: Vec<Event> = (0..40).map(event).collect();
        let origin = Origin {
            source: "file/1".into(),
            sequence: 7,
        };
        let frames = [(&events[..], None), (&events[..1], Some(origin))];
        let mut corpus = Vec::new();
        for (events, origin) in frames {
            let frame = Frame {
                dataset: "web".into(),
                origin,
                batch: Batch::of(events),
            };
            corpus.push(frame.encode().split_off(FRAME_HEAD));
            for named in &frame.batch.columns {
                let mut raw = Vec::new();
                column::encode(&mut raw, &named.column, frame.batch.len());
                corpus.push(column::seal(&raw, true));
                corpus.push(raw);
            }
        }
        corpus
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(6_000) })]

        #[test]
        fn no_bytes_behind_a_checksum_harm_a_reader(
            which: prop::sample::Index,
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5),
            cut in prop::option::of(any::<prop::sample::Index>()),
            rubbish in prop::collection::vec(any::<u8>(), 0..30),
        ) {
            let corpus = corpus();
            let mut bytes = which.get(&corpus).clone();
            for (place, byte) in edits {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes.extend(rubbish);
            frame(&bytes);
            segment(&bytes);
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let corpus = corpus();
        assert_eq!(Frame::decode(&corpus[0]).unwrap().batch.len(), 40);
        corpus.iter().for_each(|bytes| {
            frame(bytes);
            segment(bytes);
        });
    }
}
