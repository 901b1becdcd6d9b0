//! One stream's queue: files of records, a mark up to where they have arrived, and a bound.

use crate::file::{self, Place, Writer};
use crate::options::{Policy, StreamOptions};
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of one file, about: what is dropped at once by `drop_oldest`, and the least that a
/// queue takes while it is not empty.
const FILE_BYTES: u64 = 8 << 20;
/// The file that says up to where records have arrived.
const MARK: &str = "arrived";

/// What a stream counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    pub pushed: u64,
    pub arrived: u64,
    pub dropped_oldest: u64,
    pub dropped_newest: u64,
    pub damaged: u64,
    pub refused: u64,
    pub torn_bytes: u64,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Kept,
    Dropped,
    Full,
}

#[derive(Debug)]
struct Part {
    path: PathBuf,
    places: VecDeque<Place>,
    bytes: u64,
}

/// One queue.
#[derive(Debug)]
pub struct Stream {
    dir: PathBuf,
    pub options: StreamOptions,
    parts: VecDeque<Part>,
    writer: Option<Writer>,
    next: u64,
    pub bytes: u64,
    pub events: u64,
    pub counters: Counters,
}

impl Stream {
    /// Opens a queue. What a crash left half-written was never acknowledged and is cut off.
    pub fn open(dir: &Path, options: StreamOptions) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let mark = fs::read_to_string(dir.join(MARK)).unwrap_or_default();
        let mark: u64 = mark.trim().parse().unwrap_or(0);
        let mut stream = Self {
            dir: dir.to_owned(),
            options,
            parts: VecDeque::new(),
            writer: None,
            next: mark + 1,
            bytes: 0,
            events: 0,
            counters: Counters::default(),
        };
        for (_, path) in file::list(dir)? {
            let (places, whole) = file::scan(&path)?;
            let size = fs::metadata(&path)?.len();
            if whole < size {
                stream.counters.torn_bytes += size - whole;
                file::cut(&path, whole)?;
            }
            let mut places: VecDeque<Place> = places.into();
            if let Some(last) = places.back() {
                stream.next = stream.next.max(last.sequence + 1);
            }
            places.retain(|place| place.sequence > mark);
            if places.is_empty() {
                fs::remove_file(&path)?;
                continue;
            }
            stream.events += places
                .iter()
                .map(|place| u64::from(place.events))
                .sum::<u64>();
            stream.bytes += whole;
            stream.parts.push_back(Part {
                path,
                places,
                bytes: whole,
            });
        }
        Ok(stream)
    }

    /// The number of the next record.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Adds a record; it is on disk when this returns `Kept`.
    pub fn push(&mut self, events: u32, parcel: &[u8]) -> io::Result<Outcome> {
        let bytes = (file::HEAD_BYTES + parcel.len()) as u64;
        while self.bytes + bytes > self.options.bytes_max {
            match self.options.policy {
                Policy::Block => {
                    self.counters.refused += u64::from(events);
                    return Ok(Outcome::Full);
                }
                Policy::DropNewest => {
                    self.counters.dropped_newest += u64::from(events);
                    return Ok(Outcome::Dropped);
                }
                Policy::DropOldest => match self.drop_oldest()? {
                    0 => {
                        // It alone is larger than the queue.
                        self.counters.dropped_newest += u64::from(events);
                        return Ok(Outcome::Dropped);
                    }
                    dropped => self.counters.dropped_oldest += dropped,
                },
            }
        }
        if self
            .writer
            .as_ref()
            .is_none_or(|writer| writer.bytes >= FILE_BYTES)
        {
            self.begin()?;
        }
        let (Some(writer), Some(part)) = (&mut self.writer, self.parts.back_mut()) else {
            return Err(io::Error::other("no file was begun"));
        };
        let place = match writer.append(self.next, events, parcel) {
            Ok(place) => place,
            Err(error) => {
                self.writer = None;
                return Err(error);
            }
        };
        part.places.push_back(place);
        part.bytes += bytes;
        self.next += 1;
        self.bytes += bytes;
        self.events += u64::from(events);
        self.counters.pushed += u64::from(events);
        Ok(Outcome::Kept)
    }

    fn begin(&mut self) -> io::Result<()> {
        let path = self.dir.join(file::name(self.next));
        let writer = Writer::create(&path)?;
        // The file's name has to survive as well as what is in it.
        fs::File::open(&self.dir)?.sync_all()?;
        self.writer = Some(writer);
        self.parts.push_back(Part {
            path,
            places: VecDeque::new(),
            bytes: 0,
        });
        Ok(())
    }

    /// Drops the oldest file; says how many events it had.
    fn drop_oldest(&mut self) -> io::Result<u64> {
        let Some(part) = self.parts.pop_front() else {
            return Ok(0);
        };
        if self.parts.is_empty() {
            self.writer = None;
        }
        fs::remove_file(&part.path)?;
        let events: u64 = part
            .places
            .iter()
            .map(|place| u64::from(place.events))
            .sum();
        self.bytes -= part.bytes;
        self.events -= events;
        // Never zero: nobody would know that there is room.
        Ok(events.max(1))
    }

    /// The oldest records that have not arrived, about so many bytes of them. Damaged ones are
    /// left out and counted.
    pub fn heads(&mut self, bytes_max: usize) -> io::Result<Vec<(Place, Vec<u8>)>> {
        let mut found = Vec::new();
        let mut bytes = 0;
        for part in &mut self.parts {
            let mut damaged = Vec::new();
            for place in &part.places {
                if bytes > 0 && bytes + place.length as usize > bytes_max {
                    break;
                }
                match file::read(&part.path, place)? {
                    Some(parcel) => {
                        bytes += parcel.len();
                        found.push((*place, parcel));
                    }
                    None => damaged.push(*place),
                }
            }
            for place in damaged {
                part.places.retain(|other| other.sequence != place.sequence);
                self.events -= u64::from(place.events);
                self.counters.damaged += u64::from(place.events);
            }
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(found)
    }

    /// The oldest record goes without having arrived.
    pub fn discard(&mut self, sequence: u64) -> io::Result<()> {
        let part = self.parts.front();
        let place = part.and_then(|part| part.places.front()).copied();
        if let Some(place) = place.filter(|place| place.sequence == sequence) {
            self.arrived(sequence)?;
            self.counters.arrived -= u64::from(place.events);
            self.counters.damaged += u64::from(place.events);
        }
        Ok(())
    }

    /// All records up to this one have arrived.
    pub fn arrived(&mut self, sequence: u64) -> io::Result<()> {
        let mut moved = false;
        while let Some(part) = self.parts.front_mut() {
            while let Some(place) = part
                .places
                .front()
                .filter(|place| place.sequence <= sequence)
            {
                self.events -= u64::from(place.events);
                self.counters.arrived += u64::from(place.events);
                part.places.pop_front();
                moved = true;
            }
            if !part.places.is_empty() {
                break;
            }
            let is_written = self.parts.len() == 1;
            if is_written {
                self.writer = None;
            }
            let Some(part) = self.parts.pop_front() else {
                break;
            };
            self.bytes -= part.bytes;
            mark(&self.dir, sequence)?;
            fs::remove_file(&part.path)?;
        }
        if moved {
            mark(&self.dir, sequence)?;
        }
        Ok(())
    }
}

/// Not synchronised: after a power cut some records come again, and their keeper knows them.
fn mark(dir: &Path, sequence: u64) -> io::Result<()> {
    let new = dir.join("arrived.new");
    fs::write(&new, format!("{sequence}\n"))?;
    fs::rename(new, dir.join(MARK))
}
