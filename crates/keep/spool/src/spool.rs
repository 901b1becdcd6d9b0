//! All queues of a node: one a dataset, sent by priority, each in its order.

use crate::codec::{Codec, CodecError, Parcel};
use crate::lane::{Gap, Lane};
use crate::options::{Options, Policy, Priority, STREAMS_MAX};
use crate::stream::{Outcome, Stream};
use andon_model::Timestamp;
use andon_model::event::Event;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The stream of datasets beyond [`STREAMS_MAX`].
const REST: &str = "andon.rest";
const NAME: &str = "spool";
const NAME_FILE: &str = "name";

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
    /// Events that wait for the keeper of the copies.
    pub copies: u64,
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
    /// Events that one keeper has and the other will never get: there was no room to wait for it.
    pub kept_once: u64,
}

/// Queues of a node. Calls block; share it by `Arc`.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    options: Mutex<Options>,
    streams: Mutex<BTreeMap<String, Arc<Mutex<Stream>>>>,
    /// By lane.
    keepers: Mutex<[Option<String>; 2]>,
    /// By lane.
    stores_lost: [AtomicU64; 2],
    /// What its own names begin with; other after the folder was lost, so that what is queued
    /// then is not taken for what was sent before.
    named: String,
}

impl Spool {
    /// Opens a spool in a folder, which is made if it is not there.
    pub fn open(dir: &Path, options: Options) -> Result<Self, SpoolError> {
        let keepers = Lane::ALL.map(|lane| {
            let text = fs::read_to_string(dir.join(lane.keeper_file())).ok()?;
            Some(text.trim().to_owned()).filter(|name| !name.is_empty())
        });
        let has_copy = keepers[Lane::Copy as usize].is_some();
        let spool = Self {
            dir: dir.to_owned(),
            options: Mutex::new(options.clone()),
            streams: Mutex::default(),
            keepers: Mutex::new(keepers),
            stores_lost: Default::default(),
            named: named(dir).map_err(|source| SpoolError::Disk {
                what: "open the queues",
                dir: dir.to_owned(),
                source,
            })?,
        };
        let disk = |source| spool.disk("open the queues", source);
        for entry in fs::read_dir(dir).map_err(disk)? {
            let path = entry.map_err(disk)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let (Some(name), true) = (name, path.is_dir()) {
                let stream = Stream::open(&path, options.of(name), has_copy).map_err(disk)?;
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
        let (source, sequence) =
            id.unwrap_or_else(|| (format!("{}/{name}", self.named), stream.next()));
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
        let options = lock(&self.options).of(name);
        let has_copy = self.keeper(Lane::Copy).is_some();
        let stream = Stream::open(&self.dir.join(name), options, has_copy);
        let stream = stream.map_err(|source| self.disk("begin a queue", source))?;
        let stream = Arc::new(Mutex::new(stream));
        streams.insert(name.to_owned(), Arc::clone(&stream));
        Ok((name.to_owned(), stream))
    }

    /// What is to be sent next on a lane: the oldest records of the most urgent stream that has
    /// any, about so many bytes, in their order.
    pub fn heads(&self, lane: Lane, bytes_max: usize) -> Result<Vec<Queued>, SpoolError> {
        for (name, stream) in self.by_priority() {
            let heads = lock(&stream).heads(lane, bytes_max);
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

    /// The oldest records of one stream that wait on a lane, about so many bytes, in their order;
    /// none after `last`, where it is given.
    pub fn heads_of(
        &self,
        lane: Lane,
        stream: &str,
        bytes_max: usize,
        last: Option<u64>,
    ) -> Result<Vec<Queued>, SpoolError> {
        let found = lock(&self.streams).get(stream).map(Arc::clone);
        let Some(found) = found else {
            return Ok(Vec::new());
        };
        let heads = lock(&found).heads(lane, bytes_max);
        let heads = heads.map_err(|source| self.disk("read a queue", source))?;
        let wanted = heads
            .into_iter()
            .filter(|(place, _)| last.is_none_or(|last| place.sequence <= last));
        let queued = wanted.map(|(place, parcel)| Queued {
            stream: stream.to_owned(),
            sequence: place.sequence,
            events: place.events,
            parcel,
        });
        Ok(queued.collect())
    }

    /// Streams that have anything for a lane, the most urgent first, and how many events.
    pub fn waiting_streams(&self, lane: Lane) -> Vec<(String, u64)> {
        let all = self.by_priority().into_iter();
        let waiting = all.map(|(name, stream)| (name, lock(&stream).waiting[lane as usize]));
        waiting.filter(|(_, waiting)| *waiting > 0).collect()
    }

    fn by_priority(&self) -> Vec<(String, Arc<Mutex<Stream>>)> {
        let options = lock(&self.options).clone();
        let streams = lock(&self.streams);
        let mut all: Vec<_> = streams
            .iter()
            .map(|(name, stream)| (options.of(name).priority, name.clone(), Arc::clone(stream)))
            .collect();
        all.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        all.into_iter()
            .map(|(_, name, stream)| (name, stream))
            .collect()
    }

    /// All records of a stream up to this one have arrived at a lane's keeper.
    pub fn arrived(&self, lane: Lane, stream: &str, sequence: u64) -> Result<(), SpoolError> {
        let found = lock(&self.streams).get(stream).map(Arc::clone);
        let Some(found) = found else { return Ok(()) };
        let arrived = lock(&found).arrived(lane, sequence);
        arrived.map_err(|source| self.disk("note what has arrived", source))
    }

    /// The next record of a stream will never be taken by a keeper: it goes, and is counted as
    /// damaged.
    pub fn discard(&self, lane: Lane, stream: &str, sequence: u64) -> Result<(), SpoolError> {
        let found = lock(&self.streams).get(stream).map(Arc::clone);
        let Some(found) = found else { return Ok(()) };
        let discarded = lock(&found).discard(lane, sequence);
        discarded.map_err(|source| self.disk("let go of what is refused", source))
    }

    /// Whether anything waits.
    pub fn is_empty(&self) -> bool {
        let streams = lock(&self.streams);
        streams
            .values()
            .all(|stream| lock(stream).waiting == [0; 2])
    }

    /// Events of a stream that nobody has yet, where they wait for more than some seconds.
    pub fn late(&self, stream: &str) -> u64 {
        let streams = lock(&self.streams);
        streams.get(stream).map_or(0, |stream| lock(stream).late())
    }

    /// Events that wait on a lane.
    pub fn waiting(&self, lane: Lane) -> u64 {
        let streams = lock(&self.streams);
        let waiting = |stream: &Arc<Mutex<Stream>>| lock(stream).waiting[lane as usize];
        streams.values().map(waiting).sum()
    }

    /// Other limits and policies from now on. What is held stays, also where it is too much.
    pub fn set_options(&self, options: Options) {
        let streams = lock(&self.streams);
        for (name, stream) in streams.iter() {
            lock(stream).options = options.of(name);
        }
        drop(streams);
        *lock(&self.options) = options;
    }

    /// What a lane's keeper lacks and will never get, and has not been told yet.
    pub fn gaps(&self, lane: Lane) -> Vec<(String, Gap)> {
        let streams = lock(&self.streams);
        let gaps = streams.iter().filter_map(|(name, stream)| {
            let gap = lock(stream).gaps[lane as usize].clone();
            gap.map(|gap| (name.clone(), gap))
        });
        gaps.collect()
    }

    /// The lane's keeper knows of these.
    pub fn gaps_told(&self, lane: Lane, told: &[(String, Gap)]) -> Result<(), SpoolError> {
        for (name, gap) in told {
            let found = lock(&self.streams).get(name).map(Arc::clone);
            let Some(found) = found else { continue };
            let forgotten = lock(&found).forget_gap(lane, gap);
            forgotten.map_err(|source| self.disk("note what is told", source))?;
        }
        Ok(())
    }

    /// All streams, by name.
    pub fn report(&self) -> Vec<StreamReport> {
        let streams = lock(&self.streams);
        let told = |(name, stream): (&String, &Arc<Mutex<Stream>>)| {
            let stream = lock(stream);
            let counters = stream.counters;
            StreamReport {
                stream: name.clone(),
                events: stream.waiting[0],
                copies: stream.waiting[1],
                bytes: stream.bytes,
                bytes_max: stream.options.bytes_max,
                policy: stream.options.policy,
                priority: stream.options.priority,
                pushed: counters.pushed,
                arrived: counters.arrived[0],
                refused: counters.refused,
                dropped: BTreeMap::from([
                    ("oldest", counters.dropped_oldest),
                    ("newest", counters.dropped_newest),
                    ("damaged", counters.damaged),
                ]),
                kept_once: counters.kept_once,
            }
        };
        streams.iter().map(told).collect()
    }

    /// The keeper that a lane's records were last sent to: what it may have taken without saying
    /// so must not go to another.
    pub fn keeper(&self, lane: Lane) -> Option<String> {
        lock(&self.keepers)[lane as usize].clone()
    }

    /// Notes the first keeper, durably, before anything is sent to it. What the second one has
    /// of an earlier first one's records does not go to this one.
    pub fn set_keeper(&self, name: &str) -> Result<(), SpoolError> {
        if self.keeper(Lane::Main).is_some_and(|known| known != name) {
            for (_, stream) in self.by_priority() {
                let leveled = lock(&stream).level();
                leveled.map_err(|source| self.disk("note what has arrived", source))?;
            }
        }
        self.note_keeper(Lane::Main, Some(name))
    }

    /// A lane's keeper says which of its stores takes the records, and when that was made. If it
    /// is not the one that took earlier ones, these are lost there, though the keeper is called as
    /// before: they are gaps from here on. Whether that is so.
    pub fn met_store(
        &self,
        lane: Lane,
        store: &str,
        made_at: Timestamp,
    ) -> Result<bool, SpoolError> {
        let Some(keeper) = self.keeper(lane) else {
            return Ok(false);
        };
        let path = self.dir.join(lane.store_file());
        let met = format!("{keeper} {store}\n");
        let known = fs::read_to_string(&path).unwrap_or_default();
        if known == met {
            return Ok(false);
        }
        let is_lost = known.split_once(' ').is_some_and(|(of, _)| of == keeper);
        let noted = (|| {
            if is_lost {
                for (name, stream) in self.by_priority() {
                    let mut stream = lock(&stream);
                    if stream.next() > 1 {
                        stream.add_gap(lane, Gap::lost(&name, made_at))?;
                    }
                }
            }
            let new = self.dir.join(format!("{}.new", lane.store_file()));
            fs::write(&new, &met)?;
            fs::File::open(&new)?.sync_all()?;
            fs::rename(&new, &path)?;
            fs::File::open(&self.dir)?.sync_all()
        })();
        noted.map_err(|source| self.disk("note the keeper's store", source))?;
        if is_lost {
            self.stores_lost[lane as usize].fetch_add(1, Ordering::Relaxed);
        }
        Ok(is_lost)
    }

    /// How often a lane's keeper had lost its store, since the spool was opened.
    pub fn stores_lost(&self, lane: Lane) -> u64 {
        self.stores_lost[lane as usize].load(Ordering::Relaxed)
    }

    /// Notes the second keeper, durably; from now on records stay until it has them too. `None`:
    /// there is none any more. What the first one has already is a gap up to `now_us`, as is
    /// what it has of the datasets `held` without this spool.
    pub fn set_copy(
        &self,
        name: Option<&str>,
        held: &[String],
        now_us: i64,
    ) -> Result<(), SpoolError> {
        let before = self.keeper(Lane::Copy);
        if before.as_deref() == name {
            return Ok(());
        }
        let disk = |source| self.disk("note the keeper of the copies", source);
        // Named first: what is queued meanwhile waits for it.
        self.note_keeper(Lane::Copy, name)?;
        for dataset in held {
            self.stream(dataset)?;
        }
        for (stream_name, stream) in self.by_priority() {
            let mut stream = lock(&stream);
            let had_none = stream.set_copy(name.is_some()).map_err(disk)?;
            let is_another = before.is_some() && stream.next() > 1;
            let is_held = held.contains(&stream_name);
            if name.is_some() && (had_none || is_another || is_held) {
                let gap = Gap {
                    dataset: stream_name,
                    from_us: i64::MIN,
                    to_us: now_us,
                    events: 0,
                    is_lost: false,
                };
                stream.add_gap(Lane::Copy, gap).map_err(disk)?;
            }
        }
        Ok(())
    }

    fn note_keeper(&self, lane: Lane, name: Option<&str>) -> Result<(), SpoolError> {
        let path = self.dir.join(lane.keeper_file());
        let noted = (|| {
            match name {
                None => match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                },
                Some(name) => {
                    let new = self.dir.join("keeper.new");
                    fs::write(&new, format!("{name}\n"))?;
                    fs::File::open(&new)?.sync_all()?;
                    fs::rename(&new, &path)?;
                }
            }
            fs::File::open(&self.dir)?.sync_all()
        })();
        noted.map_err(|source| self.disk("note the keeper", source))?;
        lock(&self.keepers)[lane as usize] = name.map(str::to_owned);
        Ok(())
    }

    fn disk(&self, what: &'static str, source: io::Error) -> SpoolError {
        SpoolError::Disk {
            what,
            dir: self.dir.clone(),
            source,
        }
    }
}

/// What the names of a spool's records begin with; made with its folder.
fn named(dir: &Path) -> io::Result<String> {
    let path = dir.join(NAME_FILE);
    if let Ok(name) = fs::read_to_string(&path)
        && name.starts_with(NAME)
    {
        return Ok(name.trim().to_owned());
    }
    let is_new = !dir.is_dir();
    fs::create_dir_all(dir)?;
    let name = match is_new {
        // Seeded by the system, anew in each process.
        true => format!("{NAME}-{:016x}", RandomState::new().hash_one(NAME)),
        // Of an earlier version: its records go on as they began.
        false => NAME.to_owned(),
    };
    let new = dir.join(format!("{NAME_FILE}.new"));
    fs::write(&new, format!("{name}\n"))?;
    fs::File::open(&new)?.sync_all()?;
    fs::rename(&new, &path)?;
    fs::File::open(dir)?.sync_all()?;
    Ok(name)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
