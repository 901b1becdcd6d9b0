//! Opening a store: the folders themselves are the catalogue, and whatever a crash left half
//! done is finished or taken back.
//!
//! - A file without its final name was never part of the store.
//! - A segment whose log still exists does not count: the log does, and is sealed again.
//! - A segment that another one replaces does not count.
//! - A file that cannot be read is left where it is, named in every answer that misses it.

use crate::error::StoreError;
use crate::head::Head;
use crate::segment::write::UNFINISHED;
use crate::segment::{Segment, file_name, id_of, rollup_of};
use crate::store::{SOURCES_MAX, State, Unreadable, now};
use crate::wal::{self, Wal};
use andon_model::event::is_dataset_name;
use andon_model::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

pub(crate) const WAL_DIR: &str = "wal";
pub(crate) const DATA_DIR: &str = "data";
/// Where `repair` puts what it took out of the store.
pub(crate) const DAMAGED_DIR: &str = "damaged";
const LOCK_FILE: &str = "lock";
const SOURCES_FILE: &str = "sources";
const IDENTITY_FILE: &str = "identity";

/// Which store this is: one in a new folder is another, whatever its node is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Made with the folder, at random.
    pub id: String,
    /// When that was.
    pub made_at: Timestamp,
}

/// What opening found.
pub(crate) struct Opened {
    pub(crate) state: State,
    pub(crate) wal: Wal,
    pub(crate) next_id: u64,
    pub(crate) torn_bytes: u64,
    pub(crate) identity: Identity,
    pub(crate) lock: File,
}

pub(crate) fn open(dir: &Path) -> Result<Opened, StoreError> {
    let disk = |what| {
        move |source| StoreError::Disk {
            what,
            dir: dir.to_owned(),
            source,
        }
    };
    for dir in [dir, &dir.join(WAL_DIR), &dir.join(DATA_DIR)] {
        make_dir(dir).map_err(disk("make a folder"))?;
    }
    let lock = lock(dir)?;
    let identity = identity(dir).map_err(disk("note which store this is"))?;
    let mut state = State {
        sources: read_sources(dir).map_err(disk("read the sources"))?,
        ..State::default()
    };
    let mut found = load(dir, &mut state).map_err(disk("list the segments"))?;
    let wal_dir = dir.join(WAL_DIR);
    let logs = wal::list(&wal_dir).map_err(disk("list the logs"))?;
    let highest_id = found.iter().map(|(_, segment)| segment.id).max();
    let highest_log = found
        .iter()
        .map(|(_, segment)| segment.wal)
        .chain(logs.iter().copied());
    let next_log = highest_log.max().unwrap_or(0) + 1;
    drop_uncounted(&mut found, &logs);
    for (dataset, segment) in found {
        let segments: &mut Vec<_> = state.segments.entry(dataset).or_default();
        segments.push(Arc::new(segment));
    }
    let mut torn_bytes = 0;
    for log in logs {
        torn_bytes += replay(&wal_dir, log, &mut state).map_err(disk("read a log"))?;
    }
    let wal = Wal::create(&wal_dir, next_log).map_err(disk("begin a log"))?;
    state.active = Head::new(wal.sequence);
    let unreadable = state.unreadable.iter();
    let unreadable = unreadable.filter_map(|file| id_of(&file.path.file_name()?.to_string_lossy()));
    let next_id = unreadable.chain(highest_id).max().unwrap_or(0) + 1;
    Ok(Opened {
        state,
        wal,
        next_id,
        torn_bytes,
        identity,
        lock,
    })
}

fn lock(dir: &Path) -> Result<File, StoreError> {
    let disk = |source| StoreError::Disk {
        what: "lock the store",
        dir: dir.to_owned(),
        source,
    };
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(false).write(true);
    let file = options.open(dir.join(LOCK_FILE)).map_err(disk)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            dir: dir.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(disk(source)),
    }
}

/// Reads which store this is; one that does not say gets a name of its own.
fn identity(dir: &Path) -> io::Result<Identity> {
    let path = dir.join(IDENTITY_FILE);
    let read = |text: String| {
        let (id, made_at) = text.trim().split_once(' ')?;
        let made_at = Timestamp(made_at.parse().ok()?);
        let is_id = id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then(|| Identity {
            id: id.to_owned(),
            made_at,
        })
    };
    if let Some(identity) = std::fs::read_to_string(&path).ok().and_then(read) {
        return Ok(identity);
    }
    let identity = Identity {
        // Seeded by the system, anew in each process.
        id: format!("{:016x}", RandomState::new().hash_one(now().0)),
        made_at: now(),
    };
    let text = format!("{} {}\n", identity.id, identity.made_at.0);
    replace(&path, text.as_bytes())?;
    Ok(identity)
}

/// Makes a folder whose name is on disk when this returns.
pub(crate) fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(dir)?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// All segments that can be read; those that cannot are noted.
fn load(dir: &Path, state: &mut State) -> io::Result<Vec<(String, Segment)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir.join(DATA_DIR))? {
        let entry = entry?;
        let dataset = entry.file_name().to_string_lossy().into_owned();
        if !is_dataset_name(&dataset) || !entry.file_type()?.is_dir() {
            continue;
        }
        let mut rollups = Vec::new();
        for file in std::fs::read_dir(entry.path())? {
            let path = file?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == UNFINISHED)
            {
                std::fs::remove_file(&path)?;
                continue;
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            rollups.extend(rollup_of(&name).map(|id| (id, path.clone())));
            if id_of(&name).is_none() {
                continue;
            }
            match Segment::open(&path) {
                Ok(segment) => found.push((dataset.clone(), segment)),
                Err(error) => {
                    tracing::error!(%error, "segment left out");
                    state.unreadable.push(Unreadable {
                        dataset: Some(dataset.clone()),
                        path,
                        reason: error.to_string(),
                    });
                }
            }
        }
        for (id, path) in rollups {
            if !entry.path().join(file_name(id)).exists() {
                std::fs::remove_file(path)?;
            }
        }
    }
    found.sort_by_key(|(_, segment)| segment.id);
    // A thousand segments' footers are memory that most questions do not need.
    found.iter().for_each(|(_, segment)| segment.forget());
    Ok(found)
}

/// Removes segments whose rows count elsewhere.
fn drop_uncounted(found: &mut Vec<(String, Segment)>, logs: &[u64]) {
    let logs: BTreeSet<u64> = logs.iter().copied().collect();
    let unsealed = |segment: &Segment| segment.wal != 0 && logs.contains(&segment.wal);
    let mut replaced: BTreeSet<(String, u64)> = BTreeSet::new();
    for (dataset, segment) in found.iter().filter(|(_, segment)| !unsealed(segment)) {
        replaced.extend(segment.replaces.iter().map(|&id| (dataset.clone(), id)));
    }
    found.retain(|(dataset, segment)| {
        let keep = !unsealed(segment) && !replaced.contains(&(dataset.clone(), segment.id));
        if !keep {
            segment.doom();
        }
        keep
    });
}

/// Reads one log into a head that waits to be sealed; how many bytes of it were torn.
fn replay(wal_dir: &Path, log: u64, state: &mut State) -> io::Result<u64> {
    let path = wal::path(wal_dir, log);
    let mut head = Head::new(log);
    let replayed = wal::replay(&path, |frame| {
        if let Some(origin) = &frame.origin {
            let last = state.sources.entry(origin.source.clone()).or_default();
            *last = origin.sequence.max(*last);
        }
        head.add(&frame.dataset, Arc::new(frame.batch), frame.origin);
        Ok(())
    })?;
    for (offset, bytes) in &replayed.damaged {
        let reason = format!("log {log} is damaged: {bytes} bytes at {offset}");
        tracing::error!(reason, "records left out");
        // Kept aside under a name that no log has, since sealing removes the log.
        let aside = wal_dir.with_file_name(DAMAGED_DIR);
        make_dir(&aside)?;
        let aside = aside.join(format!("{log:012}.wal.damaged"));
        std::fs::copy(&path, &aside)?;
        state.unreadable.push(Unreadable {
            dataset: None,
            path: aside,
            reason,
        });
    }
    if replayed.torn_bytes > 0 {
        tracing::warn!(
            log,
            bytes = replayed.torn_bytes,
            "unfinished end of a log cut off"
        );
    }
    state.frozen.push(Arc::new(head));
    Ok(replayed.torn_bytes)
}

/// The last number of each source, as far as logs that are gone told it.
fn read_sources(dir: &Path) -> io::Result<BTreeMap<String, u64>> {
    let text = match std::fs::read(dir.join(SOURCES_FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let (body, crc) = text.split_at(text.len().saturating_sub(4));
    if crc != crc32fast::hash(body).to_le_bytes() {
        tracing::error!("the list of sources is damaged; batches sent again may count twice");
        return Ok(BTreeMap::new());
    }
    Ok(serde_json::from_slice(body).unwrap_or_default())
}

/// Writes the last number of each source, all or nothing.
pub(crate) fn write_sources(dir: &Path, sources: &BTreeMap<String, u64>) -> io::Result<()> {
    if sources.is_empty() {
        return Ok(());
    }
    let mut kept = sources.clone();
    while kept.len() > SOURCES_MAX {
        kept.pop_first();
    }
    let mut body = serde_json::to_vec(&kept)?;
    let crc = crc32fast::hash(&body);
    body.extend_from_slice(&crc.to_le_bytes());
    replace(&dir.join(SOURCES_FILE), &body)
}

/// Writes a small file of the store's folder, all or nothing.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension(UNFINISHED);
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
