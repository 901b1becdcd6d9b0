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

/// Reads all of `reader`, which may say `WouldBlock` while nothing is there, and gives what it says in pieces of about [`BATCH_EVENTS_MAX`]
/// events, until `each` breaks off. `clock` says when bytes came in.
///
/// Errors are the reader's own; what was read before them has been given.
pub fn import(
    mut reader: impl Read,
    decoder: &mut dyn StreamDecoder,
    pieces: Pieces,
    clock: impl Fn() -> Timestamp,
    mut each: impl FnMut(Decoded, Progress) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    let mut out = Decoded::default();
    let mut progress = Progress::default();
    let failed = loop {
        let (filled, end) = fill(&mut reader, &mut buffer, pieces);
        progress.bytes += filled as u64;
        decoder.push(&buffer[..filled], clock(), &mut out);
        let is_paused = matches!(end, End::Pause);
        let (is_last, failed) = match end {
            End::Full | End::Pause => (false, None),
            End::Last => (true, None),
            End::Failed(error) => (true, Some(error)),
        };
        // A record cut in two by a broken reader is no record.
        if is_last && failed.is_none() {
            decoder.finish(clock(), &mut out);
        }
        let is_pause = is_paused && !out.events.is_empty();
        if out.events.len() >= BATCH_EVENTS_MAX || is_last || is_pause {
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

/// Why filling ended.
enum End {
    Full,
    Pause,
    Last,
    Failed(io::Error),
}

fn fill(reader: &mut impl Read, buffer: &mut [u8], pieces: Pieces) -> (usize, End) {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => return (filled, End::Last),
            Ok(bytes) => filled += bytes,
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock if pieces == Pieces::AsTheyCome => {
                    return (filled, End::Pause);
                }
                io::ErrorKind::WouldBlock => {}
                _ => return (filled, End::Failed(error)),
            },
        }
    }
    (filled, End::Full)
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
                Pieces::Full,
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
