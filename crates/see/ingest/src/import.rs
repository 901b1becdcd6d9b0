//! Files and request bodies read from front to back into batches: what `andon import` and
//! `POST /api/v1/events` share. Blocking, so it runs on a thread that may block.

use crate::decode::StreamDecoder;
use crate::decode::csv::Csv;
use crate::decode::line::LineStream;
use crate::decode::ndjson::Ndjson;
use crate::limits::{BATCH_EVENTS_MAX, READ_BYTES};
use crate::reject::Decoded;
use andon_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::io::{self, Read};
use std::ops::ControlFlow;

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

/// How far reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes read, unpacked.
    pub bytes: u64,
    /// Batches given, this one included. Equal input makes equal batches.
    pub batches: u64,
}

/// Reads all of `reader`, and gives what it says in pieces of about [`BATCH_EVENTS_MAX`]
/// events, until `each` breaks off. `clock` says when bytes came in.
///
/// Errors are the reader's own; what was read before them has been given.
pub fn import(
    mut reader: impl Read,
    decoder: &mut dyn StreamDecoder,
    clock: impl Fn() -> Timestamp,
    mut each: impl FnMut(Decoded, Progress) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    let mut out = Decoded::default();
    let mut progress = Progress::default();
    let failed = loop {
        // Full pieces, whatever the reader gives, so that equal input makes equal batches.
        let (filled, failed) = fill(&mut reader, &mut buffer);
        progress.bytes += filled as u64;
        decoder.push(&buffer[..filled], clock(), &mut out);
        let is_last = failed.is_some() || filled < buffer.len();
        if is_last {
            decoder.finish(clock(), &mut out);
        }
        if out.events.len() >= BATCH_EVENTS_MAX || is_last {
            progress.batches += 1;
            if each(std::mem::take(&mut out), progress).is_break() {
                return Ok(());
            }
        }
        if is_last {
            break failed;
        }
    };
    failed.map_or(Ok(()), Err)
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte, then two, then three, ...
    struct Uneven<'a>(&'a [u8], usize);

    impl Read for Uneven<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = self.1 % 1000 + 1;
            let bytes = self.1.min(buffer.len());
            (&mut self.0).take(bytes as u64).read(buffer)
        }
    }

    #[test]
    fn equal_input_makes_equal_batches_however_it_arrives() {
        let text = (0..50_000)
            .map(|n| format!("{{\"n\":{n}}}\n"))
            .collect::<String>();
        let batches = |reader: &mut dyn Read| {
            let mut sizes = Vec::new();
            let mut decoder = ImportFormat::Ndjson.decoder();
            import(
                reader,
                decoder.as_mut(),
                Timestamp::default,
                |decoded, progress| {
                    sizes.push((decoded.events.len(), progress));
                    ControlFlow::Continue(())
                },
            )
            .unwrap();
            sizes
        };
        let whole = batches(&mut text.as_bytes());
        assert_eq!(
            whole.iter().map(|(events, _)| events).sum::<usize>(),
            50_000
        );
        assert!(whole.len() > 1);
        assert_eq!(whole, batches(&mut Uneven(text.as_bytes(), 0)));
    }
}
