//! All queues of a node: one a dataset, sent by priority, each in its order.

use crate::codec::{Codec, CodecError, Parcel};
use crate::options::{Options, Policy, Priority, STREAMS_MAX};
use crate::stream::{Outcome, Stream};
use andon_model::event::Event;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The stream of datasets beyond [`STREAMS_MAX`].
const REST: &str = "andon.rest";
/// Files beside the streams' folders.
const KEEPER: &str = "keeper";

/// What became of what was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It is on disk.
    Kept,
    /// There is no room, and its stream's policy is to drop it; it is counted.
    Dropped,
}

/// Why something is not queued.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// There is no room, and its stream's policy is to wait.
    #[error("the queue of {stream} is full")]
    Full {
        /// Which.
        stream: String,
    },
    /// The disk refuses.
    #[error("cannot {what} in {dir}: {source}")]
    Disk {
        /// What was tried.
        what: &'static str,
        /// The spool's folder.
        dir: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It cannot be packed.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// A record at the head of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Its stream.
    pub stream: String,
    /// Its number there.
    pub sequence: u64,
    /// Its events.
    pub events: u32,
    /// The packed parcel.
    pub parcel: Vec<u8>,
}

/// What one stream holds and did since the spool was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamReport {
    /// Its name: a dataset's.
    pub stream: String,
    /// Events that wait.
    pub events: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes on disk at most.
    pub bytes_max: u64,
    /// What happens when it is full.
    pub policy: Policy,
    /// Before or after others.
    pub priority: Priority,
    /// Events that were queued.
    pub pushed: u64,
    /// Events that arrived.
    pub arrived: u64,
    /// Events that were asked to wait: they are not lost here.
    pub refused: u64,
    /// Events that are lost, by reason: `oldest`, `newest`, `damaged`.
    pub dropped: BTreeMap<&'static str, u64>,
}

/// Queues of a node. Calls block; share it by `Arc`.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    options: Options,
    streams: Mutex<BTreeMap<String, Arc<Mutex<Stream>>>>,
}

impl Spool {
    /// Opens a spool in a folder, which is made if it is not there.
    pub fn open(dir: &Path, options: Options) -> Result<Self, SpoolError> {
        let spool = Self {
            dir: dir.to_owned(),
            options,
            streams: Mutex::default(),
        };
        let disk = |source| spool.disk("open the queues", source);
        fs::create_dir_all(dir).map_err(disk)?;
        for entry in fs::read_dir(dir).map_err(disk)? {
            let path = entry.map_err(disk)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let (Some(name), true) = (name, path.is_dir()) {
                let stream = Stream::open(&path, spool.options.of(name)).map_err(disk)?;
                let stream = Arc::new(Mutex::new(stream));
                lock(&spool.streams).insert(name.to_owned(), stream);
            }
        }
        Ok(spool)
    }

    /// Queues events; they are on disk when it returns [`Pushed::Kept`]. `id` is the name by
    /// which their source may send them again; without one they get the queue's own.
    pub fn push(
        &self,
        dataset: &str,
        events: Vec<Event>,
        id: Option<(String, u64)>,
    ) -> Result<Pushed, SpoolError> {
        if events.is_empty() {
            return Ok(Pushed::Kept);
        }
        let (name, stream) = self.stream(dataset)?;
        let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
        let mut stream = lock(&stream);
        let (source, sequence) = id.unwrap_or_else(|| (format!("spool/{name}"), stream.next()));
        let parcel = Codec::pack(&Parcel {
            dataset: dataset.to_owned(),
            source,
            sequence,
            events,
        })?;
        let pushed = stream.push(count, &parcel);
        match pushed.map_err(|source| self.disk("queue events", source))? {
            Outcome::Kept => Ok(Pushed::Kept),
            Outcome::Dropped => Ok(Pushed::Dropped),
            Outcome::Full => Err(SpoolError::Full { stream: name }),
        }
    }

    fn stream(&self, dataset: &str) -> Result<(String, Arc<Mutex<Stream>>), SpoolError> {
        let mut streams = lock(&self.streams);
        let is_known = streams.contains_key(dataset);
        let name = match is_known || streams.len() < STREAMS_MAX {
            true => dataset,
            false => REST,
        };
        if let Some(stream) = streams.get(name) {
            return Ok((name.to_owned(), Arc::clone(stream)));
        }
        let stream = Stream::open(&self.dir.join(name), self.options.of(name));
        let stream = stream.map_err(|source| self.disk("begin a queue", source))?;
        let stream = Arc::new(Mutex::new(stream));
        streams.insert(name.to_owned(), Arc::clone(&stream));
        Ok((name.to_owned(), stream))
    }

    /// What is to be sent next: the oldest records of the most urgent stream that has any,
    /// about so many bytes, in their order.
    pub fn heads(&self, bytes_max: usize) -> Result<Vec<Queued>, SpoolError> {
        for (name, stream) in self.by_priority() {
            let heads = lock(&stream).heads(bytes_max);
            let heads = heads.map_err(|source| self.disk("read a queue", source))?;
            if !heads.is_empty() {
                let queued = |(place, parcel): (crate::file::Place, _)| Queued {
                    stream: name.clone(),
                    sequence: place.sequence,
                    events: place.events,
                    parcel,
                };
                return Ok(heads.into_iter().map(queued).collect());
            }
        }
        Ok(Vec::new())
    }

    fn by_priority(&self) -> Vec<(String, Arc<Mutex<Stream>>)> {
        let streams = lock(&self.streams);
        let mut all: Vec<_> = streams
            .iter()
            .map(|(name, stream)| {
                (
                    self.options.of(name).priority,
                    name.clone(),
                    Arc::clone(stream),
                )
            })
            .collect();
        all.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        all.into_iter()
            .map(|(_, name, stream)| (name, stream))
            .collect()
    }

    /// All records of a stream up to this one have arrived.
    pub fn arrived(&self, stream: &str, sequence: u64) -> Result<(), SpoolError> {
        let found = lock(&self.streams).get(stream).map(Arc::clone);
        let Some(found) = found else { return Ok(()) };
        let arrived = lock(&found).arrived(sequence);
        arrived.map_err(|source| self.disk("note what has arrived", source))
    }

    /// The next record of a stream will never be taken by a keeper: it goes, and is counted as
    /// damaged.
    pub fn discard(&self, stream: &str, sequence: u64) -> Result<(), SpoolError> {
        let found = lock(&self.streams).get(stream).map(Arc::clone);
        let Some(found) = found else { return Ok(()) };
        let discarded = lock(&found).discard(sequence);
        discarded.map_err(|source| self.disk("let go of what is refused", source))
    }

    /// Whether anything waits.
    pub fn is_empty(&self) -> bool {
        let streams = lock(&self.streams);
        streams.values().all(|stream| lock(stream).events == 0)
    }

    /// All streams, by name.
    pub fn report(&self) -> Vec<StreamReport> {
        let streams = lock(&self.streams);
        let told = |(name, stream): (&String, &Arc<Mutex<Stream>>)| {
            let stream = lock(stream);
            let counters = stream.counters;
            StreamReport {
                stream: name.clone(),
                events: stream.events,
                bytes: stream.bytes,
                bytes_max: stream.options.bytes_max,
                policy: stream.options.policy,
                priority: stream.options.priority,
                pushed: counters.pushed,
                arrived: counters.arrived,
                refused: counters.refused,
                dropped: BTreeMap::from([
                    ("oldest", counters.dropped_oldest),
                    ("newest", counters.dropped_newest),
                    ("damaged", counters.damaged),
                ]),
            }
        };
        streams.iter().map(told).collect()
    }

    /// The keeper that records were last sent to: what it may have taken without saying so
    /// must not go to another.
    pub fn keeper(&self) -> Option<String> {
        let text = fs::read_to_string(self.dir.join(KEEPER)).ok()?;
        Some(text.trim().to_owned()).filter(|name| !name.is_empty())
    }

    /// Notes the keeper, durably, before anything is sent to it.
    pub fn set_keeper(&self, name: &str) -> Result<(), SpoolError> {
        let disk = |source| self.disk("note the keeper", source);
        let new = self.dir.join("keeper.new");
        fs::write(&new, format!("{name}\n")).map_err(disk)?;
        fs::File::open(&new)
            .and_then(|file| file.sync_all())
            .map_err(disk)?;
        fs::rename(&new, self.dir.join(KEEPER)).map_err(disk)?;
        fs::File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(disk)
    }

    fn disk(&self, what: &'static str, source: io::Error) -> SpoolError {
        SpoolError::Disk {
            what,
            dir: self.dir.clone(),
            source,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
