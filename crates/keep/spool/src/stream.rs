//! One stream's queue: files of records, a mark for each lane up to where they have arrived,
//! and a bound.

use crate::codec::Codec;
use crate::file::{self, Place, Writer};
use crate::lane::{Gap, Lane};
use crate::options::{Policy, StreamOptions};
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes of one file, about: what is dropped at once by `drop_oldest`, and the least that a
/// queue takes while it is not empty.
const FILE_BYTES: u64 = 8 << 20;

/// What waits for longer is late.
pub const LATE: Duration = Duration::from_secs(10);
/// How exactly it is known since when something waits.
const STAMP_EVERY: Duration = Duration::from_secs(1);
/// Stamps at most; an hour of them.
const STAMPS_MAX: usize = 3_600;

/// What a stream counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    pub pushed: u64,
    /// By lane.
    pub arrived: [u64; 2],
    pub dropped_oldest: u64,
    pub dropped_newest: u64,
    pub damaged: u64,
    /// Kept by one keeper and never brought to the other.
    pub kept_once: u64,
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
    /// By lane: all records up to this one have arrived.
    marks: [u64; 2],
    /// Whether records stay until the second keeper has them too.
    has_copy: bool,
    pub bytes: u64,
    /// By lane: events that wait for it.
    pub waiting: [u64; 2],
    pub counters: Counters,
    /// By lane: what its keeper will never get, until that is told.
    pub gaps: [Option<Gap>; 2],
    /// When records were pushed: moments, and the first number from then on.
    stamps: VecDeque<(Instant, u64)>,
}

impl Stream {
    /// Opens a queue. What a crash left half-written was never acknowledged and is cut off.
    pub fn open(dir: &Path, options: StreamOptions, has_copy: bool) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let marks = Lane::ALL.map(|lane| {
            let mark = fs::read_to_string(dir.join(lane.mark_file())).unwrap_or_default();
            mark.trim().parse().unwrap_or(0)
        });
        let gaps = Lane::ALL.map(|lane| {
            let text = fs::read(dir.join(lane.gap_file())).ok()?;
            serde_json::from_slice(&text).ok()
        });
        let mut stream = Self {
            dir: dir.to_owned(),
            options,
            parts: VecDeque::new(),
            writer: None,
            next: marks[0].max(marks[1]) + 1,
            marks,
            has_copy,
            bytes: 0,
            waiting: [0; 2],
            counters: Counters::default(),
            gaps,
            stamps: VecDeque::new(),
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
            let mark = stream.mark_of_all();
            places.retain(|place| place.sequence > mark);
            if places.is_empty() {
                fs::remove_file(&path)?;
                continue;
            }
            stream.bytes += whole;
            stream.parts.push_back(Part {
                path,
                places,
                bytes: whole,
            });
        }
        stream.count_waiting();
        // Since when they wait is not known; they came before the node was started.
        let now = Instant::now();
        let before = now.checked_sub(LATE).unwrap_or(now);
        if stream.waiting != [0; 2] {
            stream.stamps.push_back((before, 0));
        }
        Ok(stream)
    }

    /// Events that nobody has yet, if the oldest of them waits for longer than [`LATE`].
    pub fn late(&self) -> u64 {
        match self.stamps.front() {
            Some((since, _)) if since.elapsed() >= LATE => self.nowhere(),
            _ => 0,
        }
    }

    /// Events that have not arrived anywhere.
    fn nowhere(&self) -> u64 {
        match self.has_copy {
            true => self.waiting[0].min(self.waiting[1]),
            false => self.waiting[0],
        }
    }

    /// Forgets when records came that have arrived somewhere.
    fn forget_stamps(&mut self) {
        if self.nowhere() == 0 {
            self.stamps.clear();
        }
        let any = self.mark_of_any();
        while self.stamps.get(1).is_some_and(|(_, next)| *next <= any + 1) {
            self.stamps.pop_front();
        }
    }

    /// All records up to this one have arrived wherever they go.
    fn mark_of_all(&self) -> u64 {
        match self.has_copy {
            true => self.marks[0].min(self.marks[1]),
            false => self.marks[0],
        }
    }

    /// All records up to this one have arrived somewhere.
    fn mark_of_any(&self) -> u64 {
        match self.has_copy {
            true => self.marks[0].max(self.marks[1]),
            false => self.marks[0],
        }
    }

    fn count_waiting(&mut self) {
        for lane in Lane::ALL {
            let mark = self.marks[lane as usize];
            let is_used = lane == Lane::Main || self.has_copy;
            let places = self.parts.iter().flat_map(|part| &part.places);
            let waiting = places.filter(|place| is_used && place.sequence > mark);
            self.waiting[lane as usize] = waiting.map(|place| u64::from(place.events)).sum();
        }
        self.forget_stamps();
    }

    /// The number of the next record.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Adds a record; it is on disk when this returns `Kept`.
    pub fn push(&mut self, events: u32, parcel: &[u8]) -> io::Result<Outcome> {
        let bytes = (file::HEAD_BYTES + parcel.len()) as u64;
        while self.bytes + bytes > self.options.bytes_max {
            // What one keeper has goes first, whatever the policy: it is not lost.
            let any = self.mark_of_any();
            let front = self.parts.front().and_then(|part| part.places.back());
            if front.is_some_and(|last| last.sequence <= any) {
                self.drop_oldest()?;
                continue;
            }
            match self.options.policy {
                Policy::Block => {
                    self.counters.refused += u64::from(events);
                    return Ok(Outcome::Full);
                }
                Policy::DropNewest => {
                    self.counters.dropped_newest += u64::from(events);
                    return Ok(Outcome::Dropped);
                }
                Policy::DropOldest if self.parts.is_empty() => {
                    // It alone is larger than the queue.
                    self.counters.dropped_newest += u64::from(events);
                    return Ok(Outcome::Dropped);
                }
                Policy::DropOldest => self.drop_oldest()?,
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
        let last = self.stamps.back();
        if last.is_none_or(|(at, _)| at.elapsed() >= STAMP_EVERY) && self.stamps.len() < STAMPS_MAX
        {
            self.stamps.push_back((Instant::now(), self.next));
        }
        self.next += 1;
        self.bytes += bytes;
        self.waiting[0] += u64::from(events);
        self.waiting[1] += u64::from(events) * u64::from(self.has_copy);
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

    /// Drops the oldest file, and counts its events by whether anybody has them.
    fn drop_oldest(&mut self) -> io::Result<()> {
        let Some(part) = self.parts.pop_front() else {
            return Ok(());
        };
        if self.parts.is_empty() {
            self.writer = None;
        }
        let (any, all) = (self.mark_of_any(), self.mark_of_all());
        for place in &part.places {
            let events = u64::from(place.events);
            match place.sequence {
                sequence if sequence <= all => {}
                sequence if sequence <= any => self.counters.kept_once += events,
                _ => self.counters.dropped_oldest += events,
            }
        }
        if any > all {
            self.note_gap(&part, any)?;
        }
        if let Some(last) = part.places.back() {
            for lane in Lane::ALL {
                let mark = &mut self.marks[lane as usize];
                *mark = (*mark).max(last.sequence);
            }
        }
        fs::remove_file(&part.path)?;
        self.bytes -= part.bytes;
        self.count_waiting();
        Ok(())
    }

    /// Notes durably what the keeper that is behind will not get, up to what the other has.
    fn note_gap(&mut self, part: &Part, any: u64) -> io::Result<()> {
        let lane = match self.marks[0] < self.marks[1] {
            true => Lane::Main,
            false => Lane::Copy,
        };
        let mark = self.marks[lane as usize];
        let missing = |place: &&Place| place.sequence > mark && place.sequence <= any;
        let mut gap: Option<Gap> = None;
        for place in part.places.iter().filter(missing) {
            let parcel = file::read(&part.path, place)?;
            let parcel = parcel.and_then(|parcel| Codec::unpack(&parcel).ok());
            let Some(parcel) = parcel else { continue };
            let this = Gap::of(&parcel.dataset, &parcel.events);
            gap = Some(match gap {
                None => this,
                Some(gap) => gap.with(&this),
            });
        }
        match gap {
            None => Ok(()),
            Some(gap) => self.add_gap(lane, gap),
        }
    }

    /// Adds to what is to be told to a lane's keeper.
    pub fn add_gap(&mut self, lane: Lane, gap: Gap) -> io::Result<()> {
        let gap = match &self.gaps[lane as usize] {
            None => gap,
            Some(known) => known.with(&gap),
        };
        let new = self.dir.join("gap.new");
        fs::write(&new, serde_json::to_vec(&gap)?)?;
        fs::rename(new, self.dir.join(lane.gap_file()))?;
        self.gaps[lane as usize] = Some(gap);
        Ok(())
    }

    /// What is missing is told.
    pub fn forget_gap(&mut self, lane: Lane, told: &Gap) -> io::Result<()> {
        if self.gaps[lane as usize].as_ref() == Some(told) {
            fs::remove_file(self.dir.join(lane.gap_file()))?;
            self.gaps[lane as usize] = None;
        }
        Ok(())
    }

    /// The oldest records that have not arrived, about so many bytes of them, without a gap.
    /// Damaged ones are left out and counted.
    pub fn heads(&mut self, lane: Lane, bytes_max: usize) -> io::Result<Vec<(Place, Vec<u8>)>> {
        if lane == Lane::Copy && !self.has_copy {
            return Ok(Vec::new());
        }
        let mark = self.marks[lane as usize];
        let mut found = Vec::new();
        let mut damaged = Vec::new();
        let mut bytes = 0;
        'parts: for part in &self.parts {
            let from = part.places.partition_point(|place| place.sequence <= mark);
            for place in part.places.range(from..) {
                // What comes after one that is left for the next time is left as well: whoever
                // says that the last one arrived says so of all before it.
                if bytes > 0 && bytes + place.length as usize > bytes_max {
                    break 'parts;
                }
                match file::read(&part.path, place)? {
                    Some(parcel) => {
                        bytes += parcel.len();
                        found.push((*place, parcel));
                    }
                    None => damaged.push(place.sequence),
                }
            }
        }
        for sequence in damaged {
            self.forget(sequence);
        }
        Ok(found)
    }

    /// A damaged record goes.
    fn forget(&mut self, sequence: u64) {
        for part in &mut self.parts {
            if let Some(index) = part
                .places
                .iter()
                .position(|place| place.sequence == sequence)
                && let Some(place) = part.places.remove(index)
            {
                self.counters.damaged += u64::from(place.events);
            }
        }
        self.count_waiting();
    }

    /// The lane's oldest record goes without having arrived.
    pub fn discard(&mut self, lane: Lane, sequence: u64) -> io::Result<()> {
        let mark = self.marks[lane as usize];
        let mut places = self.parts.iter().flat_map(|part| &part.places);
        let first = places.find(|place| place.sequence > mark).copied();
        if let Some(place) = first.filter(|place| place.sequence == sequence) {
            self.arrived(lane, sequence)?;
            self.counters.arrived[lane as usize] -= u64::from(place.events);
            self.counters.damaged += u64::from(place.events);
        }
        Ok(())
    }

    /// All records up to this one have arrived.
    pub fn arrived(&mut self, lane: Lane, sequence: u64) -> io::Result<()> {
        let mark = self.marks[lane as usize];
        if sequence <= mark {
            return Ok(());
        }
        for part in &self.parts {
            let from = part.places.partition_point(|place| place.sequence <= mark);
            let arrived = part.places.range(from..);
            let arrived = arrived.take_while(|place| place.sequence <= sequence);
            let events: u64 = arrived.map(|place| u64::from(place.events)).sum();
            self.counters.arrived[lane as usize] += events;
            self.waiting[lane as usize] = self.waiting[lane as usize].saturating_sub(events);
        }
        self.marks[lane as usize] = sequence;
        self.forget_stamps();
        // Noted before anything goes: a number that was used must not be used again.
        write_mark(&self.dir, lane, sequence)?;
        self.release()
    }

    /// Lets go of what has arrived everywhere.
    fn release(&mut self) -> io::Result<()> {
        let all = self.mark_of_all();
        while let Some(part) = self.parts.front_mut() {
            let until = part.places.partition_point(|place| place.sequence <= all);
            part.places.drain(..until);
            if !part.places.is_empty() {
                break;
            }
            if self.parts.len() == 1 {
                self.writer = None;
                sync_marks(&self.dir)?;
            }
            let Some(part) = self.parts.pop_front() else {
                break;
            };
            self.bytes -= part.bytes;
            fs::remove_file(&part.path)?;
        }
        Ok(())
    }

    /// Whether there is a second keeper from now on. Returns whether the first one has records
    /// of this stream that the second will never get.
    pub fn set_copy(&mut self, has_copy: bool) -> io::Result<bool> {
        let was_sent_alone = !self.has_copy && self.marks[0] > self.marks[1];
        self.has_copy = has_copy;
        self.count_waiting();
        if has_copy && was_sent_alone {
            // What the first one has already is not here any more, or goes now.
            self.marks[1] = self.marks[0];
            write_mark(&self.dir, Lane::Copy, self.marks[1])?;
            self.count_waiting();
        }
        self.release()?;
        Ok(has_copy && was_sent_alone)
    }

    /// What the second keeper has need not go to another first one.
    pub fn level(&mut self) -> io::Result<()> {
        match self.marks[1] > self.marks[0] && self.has_copy {
            true => {
                let before = self.waiting[0];
                self.arrived(Lane::Main, self.marks[1])?;
                let let_go = before - self.waiting[0];
                self.counters.arrived[0] -= let_go;
                self.counters.kept_once += let_go;
                Ok(())
            }
            false => Ok(()),
        }
    }
}

/// Not synchronised: after a power cut some records come again, and their keeper knows them.
fn write_mark(dir: &Path, lane: Lane, sequence: u64) -> io::Result<()> {
    let new = dir.join("arrived.new");
    fs::write(&new, format!("{sequence}\n"))?;
    fs::rename(new, dir.join(lane.mark_file()))
}

/// Before files go whose names tell the last number.
fn sync_marks(dir: &Path) -> io::Result<()> {
    for lane in Lane::ALL {
        match fs::File::open(dir.join(lane.mark_file())) {
            Ok(file) => file.sync_all()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    fs::File::open(dir)?.sync_all()
}
