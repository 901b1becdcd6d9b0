//! History moves from an embedded store to ClickHouse, slice by slice: what is moved is noted
//! in a file, so that a move that was stopped goes on where it was, and nothing comes twice.

use crate::clickhouse::ClickHouse;
use crate::error::ClickHouseError;
use crate::insert::Attempt;
use andon_model::event::Event;
use andon_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What a move that was killed had sent may begin to be written so long after.
const SENT_BEFORE: Duration = Duration::from_secs(1);
/// Attempts at one batch before the move stops; it can be begun again at any time.
const ATTEMPTS_MAX: u32 = 8;
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Slices of one move at most; hours of a century are fewer.
pub const SLICES_MAX: usize = 1_000_000;

/// A stretch of one dataset's time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Slice {
    /// The dataset.
    pub dataset: String,
    /// Its first microsecond since 1970.
    pub from_us: i64,
    /// The first one after it.
    pub to_us: i64,
}

/// Batches of a slice, one after the other; a text says why one cannot be read.
pub type Batches<'s> = Box<dyn Iterator<Item = Result<Vec<Event>, String>> + Send + 's>;

/// What is moved.
pub trait Source {
    /// Batches of a slice: the same events in the same batches each time it is asked, ten
    /// thousand and more in each but the last.
    fn batches<'s>(&'s self, slice: &Slice) -> Result<Batches<'s>, String>;
    /// All slices, in the order in which they are moved. Slices do not overlap, and nothing
    /// is added to one any more.
    fn slices(&self) -> Result<Vec<Slice>, String>;
}

/// How far a move has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Slices that are moved.
    pub slices_done: usize,
    /// Slices in all.
    pub slices: usize,
    /// Events that this run has written.
    pub written: u64,
    /// Events that an earlier run had written after its last note.
    pub known: u64,
}

/// Moves everything of a source, and tells of progress after each batch. `checkpoint` is a
/// file of this move alone. Cancelling leaves all as it is; the next call goes on.
pub async fn migrate(
    source: &(dyn Source + Sync),
    clickhouse: &ClickHouse,
    checkpoint: &Path,
    cancel: &CancellationToken,
    mut tell: impl FnMut(Progress),
) -> Result<Progress, ClickHouseError> {
    let unreadable = |what: &str, reason: String| ClickHouseError::Source {
        what: what.to_owned(),
        reason,
    };
    let mut notes = Checkpoint::open(checkpoint)?;
    let slices = source
        .slices()
        .map_err(|reason| unreadable("the store", reason))?;
    if slices.len() > SLICES_MAX {
        let reason = format!(
            "{} slices; at most {SLICES_MAX} are moved at a time",
            slices.len()
        );
        return Err(unreadable("the store", reason));
    }
    let mut progress = Progress {
        slices: slices.len(),
        ..Progress::default()
    };
    tokio::time::sleep(SENT_BEFORE).await;
    for slice in slices {
        if notes.done.contains(&slice) {
            progress.slices_done += 1;
            continue;
        }
        let what = format!("{} from {}", slice.dataset, Timestamp(slice.from_us));
        let batches = source
            .batches(&slice)
            .map_err(|reason| unreadable(&what, reason))?;
        for (index, events) in batches.enumerate() {
            let events = events.map_err(|reason| unreadable(&what, reason))?;
            let token = format!(
                "move {} {} {} {index}",
                slice.dataset, slice.from_us, slice.to_us
            );
            let inserted = insert(clickhouse, &slice.dataset, &events, &token, cancel).await?;
            progress.written += inserted.written;
            progress.known += inserted.known;
            tell(progress);
        }
        notes.note(slice)?;
        progress.slices_done += 1;
        tell(progress);
    }
    Ok(progress)
}

async fn insert(
    clickhouse: &ClickHouse,
    dataset: &str,
    events: &[Event],
    token: &str,
    cancel: &CancellationToken,
) -> Result<crate::insert::Inserted, ClickHouseError> {
    let mut pause = Duration::from_millis(200);
    let mut attempts = 0;
    loop {
        if cancel.is_cancelled() {
            return Err(ClickHouseError::Cancelled);
        }
        match clickhouse
            .insert(dataset, events, token, Attempt::Again)
            .await
        {
            Err(error) if error.is_passing() && attempts < ATTEMPTS_MAX => {
                attempts += 1;
                tracing::warn!(%error, again_in = ?pause, "ClickHouse does not take events");
                tokio::select! {
                    () = cancel.cancelled() => return Err(ClickHouseError::Cancelled),
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(PAUSE_MAX);
            }
            outcome => return outcome,
        }
    }
}

/// The file: one moved slice a line, added and synced as each is done. A line that a crash
/// cut short is no note.
struct Checkpoint {
    path: PathBuf,
    file: std::fs::File,
    done: BTreeSet<Slice>,
}

impl Checkpoint {
    fn open(path: &Path) -> Result<Self, ClickHouseError> {
        let wrong = |reason: String| ClickHouseError::Checkpoint {
            path: path.display().to_string(),
            reason,
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(wrong(error.to_string())),
        };
        let mut done = BTreeSet::new();
        let mut whole = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let slice = line.strip_suffix('\n').map(serde_json::from_str);
            match slice {
                Some(Ok(slice)) => {
                    done.insert(slice);
                    whole += line.len();
                }
                // Only a last line can have been cut short.
                None => break,
                Some(Err(_)) => {
                    return Err(wrong(format!("line {} is no note of a move", number + 1)));
                }
            }
        }
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path);
        let file = file.map_err(|error| wrong(error.to_string()))?;
        file.set_len(whole as u64)
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            done,
        })
    }

    fn note(&mut self, slice: Slice) -> Result<(), ClickHouseError> {
        let line = serde_json::to_string(&slice).map(|line| line + "\n");
        let written = line.map_err(std::io::Error::from).and_then(|line| {
            self.file.write_all(line.as_bytes())?;
            self.file.sync_data()
        });
        written.map_err(|error| ClickHouseError::Checkpoint {
            path: self.path.display().to_string(),
            reason: error.to_string(),
        })?;
        self.done.insert(slice);
        Ok(())
    }
}
