//! Request bodies read from front to back into batches, however they arrive.

use crate::decode::StreamDecoder;
use crate::decode::csv::Csv;
use crate::decode::line::LineStream;
use crate::decode::ndjson::Ndjson;
use crate::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX, READ_BYTES};
use crate::reject::Decoded;
use andon_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::io::{self, Read};

/// What a file to import holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportFormat {
    /// One JSON object a line.
    #[default]
    Ndjson,
    /// A header, then rows.
    Csv,
    /// Lines of a log, their format found for each.
    Lines,
}

impl ImportFormat {
    /// A reader of this format, at its beginning.
    pub fn decoder(&self) -> Box<dyn StreamDecoder> {
        match self {
            Self::Ndjson => Box::new(Ndjson::default()),
            Self::Csv => Box::new(Csv::default()),
            Self::Lines => Box::new(LineStream::default()),
        }
    }

    /// By a file's name, packed or not: `.csv` and `.tsv` are CSV, `.log` and names without an
    /// ending are lines, the rest is NDJSON.
    pub fn by_file_name(name: &str) -> Self {
        let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
        if name.ends_with(".csv") || name.ends_with(".tsv") {
            Self::Csv
        } else if name.ends_with(".log") || !name.contains('.') {
            Self::Lines
        } else {
            Self::Ndjson
        }
    }
}

/// How what is read is cut into batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pieces {
    /// Full ones, however slowly bytes arrive: equal input makes equal batches, so that a
    /// batch sent twice is known.
    Full,
    /// What is there when a reader says [`io::ErrorKind::WouldBlock`]: nothing waits for more.
    AsTheyCome,
}

/// How far reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes read, unpacked.
    pub bytes: u64,
    /// Batches given, this one included. Equal input makes equal batches.
    pub batches: u64,
}

/// What one step brought.
#[derive(Debug)]
pub enum Step {
    /// A batch; there may be more at once.
    Batch(Decoded, Progress),
    /// The reader has nothing more at the moment.
    Waiting,
    /// The last batch, perhaps an empty one; and why there is no more, if that is the reader's
    /// fault.
    Last(Decoded, Progress, Option<io::Error>),
}

/// Reads all of a reader, which may say `WouldBlock` while nothing is there, in batches of about
/// [`BATCH_EVENTS_MAX`] events or [`BATCH_BYTES_MAX`] bytes. Waits for nothing itself, so that
/// a slow sender holds no thread.
pub struct Importing<R> {
    reader: R,
    decoder: Box<dyn StreamDecoder>,
    pieces: Pieces,
    buffer: Vec<u8>,
    filled: usize,
    out: Decoded,
    progress: Progress,
}

impl<R: Read> Importing<R> {
    /// From its beginning.
    pub fn new(reader: R, decoder: Box<dyn StreamDecoder>, pieces: Pieces) -> Self {
        Self {
            reader,
            decoder,
            pieces,
            buffer: vec![0; READ_BYTES],
            filled: 0,
            out: Decoded::default(),
            progress: Progress::default(),
        }
    }

    /// Decodes until there is a batch, or nothing to read. `is_pause`: nothing has come for a
    /// while, so what is there makes a batch, unless pieces are to be full ones.
    pub fn step(&mut self, received: Timestamp, is_pause: bool) -> Step {
        let failed = loop {
            if self.filled == self.buffer.len() {
                self.decode(received);
                let is_full = self.out.events.len() >= BATCH_EVENTS_MAX
                    || self.out.bytes() >= BATCH_BYTES_MAX;
                if is_full {
                    let (decoded, progress) = self.batch();
                    return Step::Batch(decoded, progress);
                }
            }
            match self.reader.read(&mut self.buffer[self.filled..]) {
                Ok(0) => break None,
                Ok(bytes) => self.filled += bytes,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => return self.pause(received, is_pause),
                    _ => break Some(error),
                },
            }
        };
        self.decode(received);
        // A record cut in two by a broken reader is no record.
        if failed.is_none() {
            self.decoder.finish(received, &mut self.out);
        }
        let (decoded, progress) = self.batch();
        Step::Last(decoded, progress, failed)
    }

    fn pause(&mut self, received: Timestamp, is_pause: bool) -> Step {
        if !is_pause || self.pieces == Pieces::Full {
            return Step::Waiting;
        }
        self.decode(received);
        if self.out.events.is_empty() {
            return Step::Waiting;
        }
        let (decoded, progress) = self.batch();
        Step::Batch(decoded, progress)
    }

    fn decode(&mut self, received: Timestamp) {
        self.progress.bytes += self.filled as u64;
        let bytes = &self.buffer[..std::mem::take(&mut self.filled)];
        self.decoder.push(bytes, received, &mut self.out);
    }

    fn batch(&mut self) -> (Decoded, Progress) {
        self.progress.batches += 1;
        (std::mem::take(&mut self.out), self.progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte, then two, then three, with a pause before each.
    struct Uneven<'a>(&'a [u8], usize, bool);

    impl Read for Uneven<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.2 = !self.2;
            if self.2 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.1 = self.1 % 1000 + 1;
            let bytes = self.1.min(buffer.len());
            (&mut self.0).take(bytes as u64).read(buffer)
        }
    }

    /// All batches; a reader that pauses is asked again.
    fn batches(reader: impl Read, pieces: Pieces) -> Vec<(Decoded, Progress)> {
        let mut importing = Importing::new(reader, ImportFormat::Ndjson.decoder(), pieces);
        let mut batches = Vec::new();
        loop {
            match importing.step(Timestamp::default(), true) {
                Step::Batch(decoded, progress) => batches.push((decoded, progress)),
                Step::Waiting => {}
                Step::Last(decoded, progress, failed) => {
                    assert!(failed.is_none(), "{failed:?}");
                    batches.push((decoded, progress));
                    return batches;
                }
            }
        }
    }

    #[test]
    fn wide_events_make_smaller_batches_and_none_is_refused() {
        let keys: String = (0..500).map(|n| format!("\"k{n}\":{n},")).collect();
        let text = format!("{{{keys}\"n\":1}}\n").repeat(4_000);
        let mut events = 0;
        for (decoded, _) in batches(text.as_bytes(), Pieces::Full) {
            assert_eq!(decoded.rejected_total(), 0);
            assert!(decoded.bytes() < 2 * BATCH_BYTES_MAX, "{}", decoded.bytes());
            events += decoded.events.len();
        }
        assert_eq!(events, 4_000);
    }

    #[test]
    fn equal_input_makes_equal_batches_however_it_arrives() {
        let text = (0..50_000)
            .map(|n| format!("{{\"n\":{n}}}\n"))
            .collect::<String>();
        let sizes = |reader: &mut dyn Read, pieces| {
            let batches = batches(reader, pieces).into_iter();
            let sizes = batches.map(|(decoded, progress)| (decoded.events.len(), progress));
            sizes.collect::<Vec<_>>()
        };
        let whole = sizes(&mut text.as_bytes(), Pieces::Full);
        assert_eq!(
            whole.iter().map(|(events, _)| events).sum::<usize>(),
            50_000
        );
        assert!(whole.len() > 1);
        let uneven = || Uneven(text.as_bytes(), 0, false);
        assert_eq!(whole, sizes(&mut uneven(), Pieces::Full));
        let as_they_come = sizes(&mut uneven(), Pieces::AsTheyCome);
        assert!(as_they_come.len() > whole.len());
        assert_eq!(
            as_they_come.iter().map(|(events, _)| events).sum::<usize>(),
            50_000
        );
    }
}
