//! Files that grow: found by patterns, read from where reading stopped, through rotation,
//! truncation and copies. What was read is remembered on disk by inode and offset.
//!
//! No loss and no duplicates over a kill at any moment: before a batch is delivered the
//! checkpoint says where it ends ([`checkpoint::Mark::pending`]), so that the very same batch is
//! delivered again under the same [`crate::BatchId`], which the sink knows.

pub mod checkpoint;
pub mod file;
pub mod glob;
pub mod journal;
pub mod records;
pub mod tailer;

use crate::counters::InputCounters;
use crate::decode::line::{LineError, LineFormat, LineStream, Multiline};
use crate::listen::wall_clock;
use crate::sink::{Batch, Gate, Patience};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tailer::Tailer;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How long to wait when no file has grown: half of what a person notices.
const PAUSE: Duration = Duration::from_millis(250);

/// Files to read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileInput {
    /// Absolute paths, with `*`, `?` and `**` where wanted: `/var/log/nginx/*.log`.
    pub paths: Vec<String>,
    /// Patterns of files to leave out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Where events go; `logs` where nothing is said.
    #[serde(default = "logs")]
    pub dataset: String,
    /// How lines are written; found by looking where nothing is said.
    #[serde(default)]
    pub format: LineFormat,
    /// Which lines belong together; stack traces where nothing is said.
    #[serde(default)]
    pub multiline: Multiline,
    /// Where to begin with files that were never seen.
    #[serde(default)]
    pub from: Beginning,
    /// Attributes for all events, such as `service.name`; a line's own word counts more.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Files that have not changed for so many hours when they are first seen are left out.
    #[serde(default = "a_week")]
    pub ignore_older_h: u64,
}

/// Where to begin with a file that was never seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beginning {
    /// All of it is read.
    #[default]
    Beginning,
    /// Only what is written from now on; files that appear later are read as a whole.
    End,
}

fn logs() -> String {
    "logs".into()
}

fn a_week() -> u64 {
    7 * 24
}

impl FileInput {
    /// Of some paths, everything else as usual.
    pub fn new(paths: &[&str], dataset: &str) -> Self {
        Self {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            exclude: Vec::new(),
            dataset: dataset.to_owned(),
            format: LineFormat::default(),
            multiline: Multiline::default(),
            from: Beginning::default(),
            attributes: BTreeMap::new(),
            ignore_older_h: a_week(),
        }
    }

    /// Says what is wrong with its format or rules.
    pub fn check(&self) -> Result<(), LineError> {
        LineStream::new(&self.format, &self.multiline).map(drop)
    }
}

/// Reads files until `cancel`; `state` is the checkpoint's file, whose folder exists.
///
/// Errors when the checkpoint is there but cannot be read: starting anew would send
/// everything twice, so somebody must decide.
pub async fn tail(
    inputs: Vec<FileInput>,
    state: PathBuf,
    gate: Arc<Gate>,
    cancel: CancellationToken,
) -> io::Result<()> {
    let counters = gate.counters("files");
    let mut tailer = Box::new(Tailer::open(inputs, state, counters.clone(), wall_clock())?);
    loop {
        let reading = tokio::task::spawn_blocking(move || {
            let batches = tailer.round(wall_clock());
            (tailer, batches)
        });
        let batches;
        (tailer, batches) = reading.await.map_err(io::Error::other)?;
        let batches = match batches {
            Ok(batches) => batches,
            Err(error) => {
                warn!(%error, "the checkpoint of files cannot be written; nothing is read");
                if paused(&cancel, Duration::from_secs(5)).await {
                    return Ok(());
                }
                continue;
            }
        };
        if batches.is_empty() {
            if paused(&cancel, PAUSE).await {
                return Ok(());
            }
            continue;
        }
        for read in batches {
            if !deliver(&gate, &counters, read.batch, &cancel).await {
                return Ok(());
            }
            tailer.delivered(read.file);
        }
    }
}

/// Delivers however long it takes; false when the node is stopping.
async fn deliver(
    gate: &Gate,
    counters: &InputCounters,
    mut batch: Batch,
    cancel: &CancellationToken,
) -> bool {
    if batch.events.is_empty() {
        return true;
    }
    gate.prepare(counters, &mut batch);
    loop {
        let delivered = tokio::select! {
            delivered = gate.offer(counters, &batch, Patience::Forever) => delivered,
            () = cancel.cancelled() => return false,
        };
        match delivered {
            Ok(()) => return true,
            Err(crate::SinkError::Closed) => return false,
            Err(error) => {
                warn!(%error, "events of a file are not kept; they are tried again");
                if paused(cancel, Duration::from_secs(1)).await {
                    return false;
                }
            }
        }
    }
}

async fn paused(cancel: &CancellationToken, pause: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(pause) => false,
        () = cancel.cancelled() => true,
    }
}
