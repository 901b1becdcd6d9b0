//! What was when: the picture of a moment, what changed in a time, a link's minutes. Every
//! call may block on the disk; the last segment read stays at hand, so that playing forward
//! costs only what changed.

use crate::bytes::Rubbish;
use crate::index::{Form, HistoryStats, SILENCE_MAX, Segment, Shared};
use crate::log::set_aside;
use crate::news::{Change, NewsReader};
use crate::record::{Record, records};
use crate::replay::Replay;
use crate::segment::{self, SegmentError};
use crate::series::{LinkSeries, Range, SeriesReader};
use andon_model::{PictureView, Timestamp};
use serde::Serialize;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Changes of one answer at most; more is more than anybody reads.
pub(crate) const CHANGES_MAX: usize = 5_000;

/// Why a moment cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Nothing was recorded yet.
    #[error("nothing is recorded yet")]
    Empty,
    /// The history begins later.
    #[error("the history begins at {first}")]
    Before {
        /// The first moment there is.
        first: Timestamp,
    },
    /// The history ends earlier: that moment has not come, or recording is paused.
    #[error("the history ends at {last}")]
    After {
        /// The last moment there is.
        last: Timestamp,
    },
    /// Nobody recorded then: the node did not run, or its disk was full.
    #[error("nothing was recorded from {before} to {after}")]
    Gap {
        /// The last moment before.
        before: Timestamp,
        /// The first moment after.
        after: Timestamp,
    },
    /// What was recorded then cannot be read.
    #[error("what was recorded then is damaged and was set aside")]
    Damaged,
    /// The disk cannot be read.
    #[error("the history cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// From when until when there is history, and what it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Span {
    /// The first moment; `null` while nothing is recorded.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub from: Option<Timestamp>,
    /// The last moment.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub until: Option<Timestamp>,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes that it may take.
    pub bytes_max: u64,
    /// `false` while the disk is full or cannot be written.
    pub recording: bool,
}

/// Reads a history. Clones share one cache.
#[derive(Debug, Clone)]
pub struct Reader {
    shared: Arc<Shared>,
    cache: Arc<Mutex<Option<OpenSegment>>>,
    used: Arc<AtomicBool>,
}

/// A segment in memory, replayed up to some record.
#[derive(Debug)]
struct OpenSegment {
    number: u32,
    raw: Vec<u8>,
    /// When each record became true, and where it begins.
    marks: Vec<(Timestamp, usize)>,
    replay: Replay,
    /// How many records are applied.
    applied: usize,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            cache: Arc::default(),
            used: Arc::default(),
        }
    }

    /// The picture as the node showed it at a moment: states and verdicts to the tenth of a
    /// second, figures to the minute. `generated_at` is the moment asked for.
    pub fn picture_at(&self, at: Timestamp) -> Result<PictureView, ReadError> {
        self.used.store(true, Ordering::Relaxed);
        let candidates: Vec<(u32, Segment)> = self
            .shared
            .segments()
            .iter()
            .rev()
            .filter(|(_, segment)| segment.covers(at))
            .map(|(number, segment)| (*number, *segment))
            .collect();
        let mut damaged = false;
        // Where a clock went back, the later record of a moment counts.
        for (number, segment) in candidates {
            match self.picture_in(number, &segment, at) {
                Ok(Some(picture)) => return Ok(picture),
                Ok(None) => {}
                Err(SegmentError::Io(error)) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                Err(_) => damaged = true,
            }
        }
        Err(if damaged {
            ReadError::Damaged
        } else {
            self.why_not(at)
        })
    }

    fn picture_in(
        &self,
        number: u32,
        segment: &Segment,
        at: Timestamp,
    ) -> Result<Option<PictureView>, SegmentError> {
        let mut cache = self.cache();
        let known = cache
            .as_ref()
            .is_some_and(|open| open.number == number && open.raw.len() >= raw_length(segment));
        if !known {
            *cache = None;
            let raw = self.load(number, segment)?;
            *cache = Some(OpenSegment::new(number, raw));
        }
        let Some(open) = cache.as_mut() else {
            return Ok(None);
        };
        match open.picture_at(at) {
            Ok(picture) => Ok(picture),
            Err(Rubbish) => {
                *cache = None;
                self.give_up(number, segment.form, &SegmentError::Damaged);
                Err(SegmentError::Damaged)
            }
        }
    }

    /// What changed from `since` until `until`, oldest first. If there is more than `limit`
    /// (at most 5,000), the newest are told.
    pub fn changes(
        &self,
        since: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Change>, ReadError> {
        let limit = limit.clamp(1, CHANGES_MAX);
        let mut changes: Vec<Change> = Vec::new();
        for (number, segment) in self.segments_in(since, until).into_iter().rev() {
            let news = match segment.form {
                Form::Sealed => self.news(number, &segment),
                _ => self.load(number, &segment).map(|raw| news_of(&raw)),
            };
            let news = match news {
                Ok(news) => news,
                Err(SegmentError::Io(error)) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                // Set aside, or gone in the meantime: the others are told.
                Err(_) => continue,
            };
            let within = news
                .into_iter()
                .filter(|change| (since..=until).contains(&change.at));
            changes.splice(0..0, within);
            if changes.len() >= limit {
                break;
            }
        }
        changes.sort_by_key(|change| change.at);
        Ok(changes.split_off(changes.len().saturating_sub(limit)))
    }

    /// The minutes of a link from `since` until `until`, or as much of it as there is; in
    /// wider steps if there are more than [`POINTS_MAX`](crate::POINTS_MAX). No points if the
    /// link was not there.
    pub fn link(
        &self,
        from: &str,
        to: &str,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<LinkSeries, ReadError> {
        let span = self.span();
        let since = span.from.map_or(since, |first| since.max(first));
        let until = span.until.map_or(until, |last| until.min(last));
        let mut series = SeriesReader::new(from, to, Range::new(since, until));
        if since > until {
            return Ok(series.finish());
        }
        for (number, segment) in self.segments_in(since, until) {
            let raw = match self.load(number, &segment) {
                Ok(raw) => raw,
                Err(SegmentError::Io(error)) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                Err(_) => continue,
            };
            for (record, _) in records(&raw) {
                if series.apply(&record).is_err() {
                    break;
                }
            }
            series.end_segment();
        }
        Ok(series.finish())
    }

    /// From when until when there is history.
    pub fn span(&self) -> Span {
        let (from, until) = {
            let segments = self.shared.segments();
            let readable = || segments.values().filter(|s| s.form != Form::Aside);
            (
                readable().map(|segment| segment.from).min(),
                readable().map(|segment| segment.until).max(),
            )
        };
        Span {
            from,
            until,
            bytes: self.shared.bytes(),
            bytes_max: self.shared.bytes_max,
            recording: !self.shared.counters.paused.load(Ordering::Relaxed),
        }
    }

    /// Figures for `/metrics`.
    pub fn stats(&self) -> HistoryStats {
        self.shared.stats()
    }

    /// Lets go of a segment at hand that nobody asked for since the last call.
    pub(crate) fn tidy(&self) {
        if !self.used.swap(false, Ordering::Relaxed) {
            // Whoever reads at this moment goes on; the next minute comes.
            if let Ok(mut cache) = self.cache.try_lock() {
                *cache = None;
            }
        }
    }

    fn cache(&self) -> MutexGuard<'_, Option<OpenSegment>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn segments_in(&self, since: Timestamp, until: Timestamp) -> Vec<(u32, Segment)> {
        self.shared
            .segments()
            .iter()
            .filter(|(_, segment)| segment.form != Form::Aside)
            .filter(|(_, segment)| segment.from <= until && since <= segment.until)
            .map(|(number, segment)| (*number, *segment))
            .collect()
    }

    fn load(&self, number: u32, segment: &Segment) -> Result<Vec<u8>, SegmentError> {
        let dir = &self.shared.dir;
        let loaded = match segment.form {
            Form::Sealed => segment::read_sealed(dir, number),
            _ => match segment::read_open(dir, number, segment.raw_bytes) {
                // Sealed in the meantime.
                Err(SegmentError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                    segment::read_sealed(dir, number)
                }
                read => read,
            },
        };
        loaded.inspect_err(|error| self.give_up(number, segment.form, error))
    }

    fn news(&self, number: u32, segment: &Segment) -> Result<Vec<Change>, SegmentError> {
        segment::read_news(&self.shared.dir, number)
            .inspect_err(|error| self.give_up(number, segment.form, error))
    }

    /// A sealed segment that turns out to be damaged is set aside; an open one is in the
    /// writer's care.
    fn give_up(&self, number: u32, form: Form, error: &SegmentError) {
        if form == Form::Sealed && !matches!(error, SegmentError::Io(_)) {
            set_aside(&self.shared, number, "seal", error);
        }
    }

    /// Why no record holds at a moment.
    fn why_not(&self, at: Timestamp) -> ReadError {
        let span = self.span();
        let (Some(first), Some(last)) = (span.from, span.until) else {
            return ReadError::Empty;
        };
        if at < first {
            return ReadError::Before { first };
        }
        if at > last {
            return ReadError::After { last };
        }
        let segments = self.shared.segments();
        let readable = || segments.values().filter(|s| s.form != Form::Aside);
        let before = readable().map(|s| s.until).filter(|t| *t <= at).max();
        let after = readable().map(|s| s.from).filter(|t| *t > at).min();
        ReadError::Gap {
            before: before.unwrap_or(first),
            after: after.unwrap_or(last),
        }
    }
}

/// Bytes of frames that a segment holds.
fn raw_length(segment: &Segment) -> usize {
    let head = match segment.form {
        Form::Sealed => 0,
        _ => segment::OPEN_HEAD,
    };
    usize::try_from(segment.raw_bytes.saturating_sub(head)).unwrap_or(usize::MAX)
}

fn news_of(raw: &[u8]) -> Vec<Change> {
    let mut news = NewsReader::default();
    for (record, _) in records(raw) {
        // What cannot be understood is left out; the rest is told.
        let _ = news.apply(&record);
    }
    news.take()
}

impl OpenSegment {
    fn new(number: u32, raw: Vec<u8>) -> Self {
        let mut start = 0;
        let mut marks = Vec::new();
        for (record, end) in records(&raw) {
            marks.push((record.at, start));
            start = end;
        }
        Self {
            number,
            raw,
            marks,
            replay: Replay::default(),
            applied: 0,
        }
    }

    /// The picture at a moment; `None` if no record holds then.
    fn picture_at(&mut self, at: Timestamp) -> Result<Option<PictureView>, Rubbish> {
        let count = self.marks.partition_point(|(mark, _)| *mark <= at);
        let Some((last, _)) = count.checked_sub(1).and_then(|last| self.marks.get(last)) else {
            return Ok(None);
        };
        if at.since(*last) > SILENCE_MAX {
            return Ok(None);
        }
        if self.applied > count {
            self.applied = 0;
            self.replay = Replay::default();
        }
        for (_, start) in self.marks.get(self.applied..count).unwrap_or_default() {
            let (record, _) = Record::first(self.raw.get(*start..).unwrap_or_default())?;
            self.replay.apply(&record)?;
            self.applied += 1;
        }
        Ok(Some(self.replay.view(at)))
    }
}
