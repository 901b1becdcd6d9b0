//! Brings what is queued to ClickHouse, in the large blocks that it wants, each once. What is
//! about to be sent is noted before, so that a node that was killed in between sends exactly
//! the same again under the same name, and ClickHouse is asked whether it has it.

use andon_clickhouse::{Attempt, ClickHouse};
use andon_model::event::{Event, Value};
use andon_spool::{Codec, Lane, Queued, Spool};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Events of a stream from which on it does not wait for more.
const EVENTS_ENOUGH: u64 = 20_000;
/// How long a stream waits for more events. Twice as long halves the parts that ClickHouse has
/// to merge, and adds to how late an event is seen.
const GATHER_MAX: Duration = Duration::from_secs(1);
/// Events of one message at most.
const EVENTS_MAX: usize = 100_000;
/// Bytes of one message unpacked, about: what it takes in memory.
const BYTES_MAX: usize = 24 << 20;
/// Bytes of queued records that are looked at for one message.
const PACKED_BYTES_MAX: usize = 4 << 20;
/// Pauses after failures double from here.
const PAUSE_LEAST: Duration = Duration::from_millis(250);
/// To here: how long after its return ClickHouse waits for its events at most.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A server that cannot be reached for so long is not waited for, also in doubt.
const LOST_MAX: Duration = Duration::from_secs(600);
/// Sources whose last number is remembered; the ones that were silent longest are forgotten.
const SOURCES_MAX: usize = 10_000;
/// What it remembers, in the spool's folder.
const NOTES: &str = "clickhouse.json";

/// What the task works with.
pub struct ClickHouseLane {
    pub spool: Arc<Spool>,
    /// Told when something is queued.
    pub news: Arc<Notify>,
    pub clickhouse: Arc<ClickHouse>,
    /// The spool's folder.
    pub dir: PathBuf,
    pub me: String,
}

/// What is remembered over a kill, in one file that is replaced as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Notes {
    /// Of this spool's life: its records are numbered from one, as those of any other.
    life: u64,
    /// What was on its way last, and perhaps arrived.
    sending: Option<Sending>,
    /// Up to where records have arrived, by stream.
    arrived: BTreeMap<String, u64>,
    /// The last number of each source that is there, and when it was heard of.
    sources: BTreeMap<String, (u64, u64)>,
    /// Counts messages, for `sources`.
    count: u64,
}

/// Records of a stream that are sent together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sending {
    stream: String,
    first: u64,
    last: u64,
}

/// What is in one message.
#[derive(Debug, Default)]
struct Message {
    /// The last record in it.
    last: u64,
    datasets: BTreeMap<String, Vec<Event>>,
    sources: BTreeMap<String, u64>,
    /// Records that no version of this program could read.
    unreadable: Vec<(u64, String)>,
}

impl ClickHouseLane {
    /// Until it is cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let mut notes = match self.notes() {
            Ok(notes) => notes,
            Err(error) => {
                tracing::error!(%error, folder = %self.dir.display(), "events wait on this node: what was sent to ClickHouse cannot be remembered");
                return;
            }
        };
        let mut pause = PAUSE_LEAST;
        let mut is_told = false;
        let mut since: BTreeMap<String, Instant> = BTreeMap::new();
        // What an earlier life of this node sent may have arrived. What this one sends is
        // remembered by the client, server by server.
        let mut attempt = Attempt::Again;
        let mut failing_since: Option<Instant> = None;
        loop {
            if failing_since.is_some_and(|since| since.elapsed() >= LOST_MAX)
                && attempt != Attempt::AgainWithout
            {
                tracing::warn!(
                    "a server of ClickHouse is gone for good; what it may have taken without a word goes to another, and may be there twice"
                );
                attempt = Attempt::AgainWithout;
            }
            let step = self.step(&mut notes, &mut since, attempt);
            let outcome = tokio::select! {
                () = cancel.cancelled() => return,
                outcome = step => outcome,
            };
            let wait = match outcome {
                Ok(Next::AtOnce) => {
                    if is_told {
                        tracing::info!("ClickHouse takes events again");
                    }
                    (pause, is_told) = (PAUSE_LEAST, false);
                    (attempt, failing_since) = (Attempt::First, None);
                    continue;
                }
                Ok(Next::At(moment)) => {
                    pause = PAUSE_LEAST;
                    moment.saturating_duration_since(Instant::now())
                }
                Ok(Next::WithNews) => {
                    tokio::select! {
                        () = cancel.cancelled() => return,
                        () = self.news.notified() => continue,
                    }
                }
                Err(reason) => {
                    // Once for each time that it is away.
                    if !is_told {
                        tracing::warn!(%reason, "events wait on this node: ClickHouse does not take them");
                    }
                    is_told = true;
                    failing_since.get_or_insert_with(Instant::now);
                    let wait = pause;
                    pause = (pause * 2).min(PAUSE_MAX);
                    wait
                }
            };
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Sends one message, or says when there is one.
    async fn step(
        &self,
        notes: &mut Notes,
        since: &mut BTreeMap<String, Instant>,
        attempt: Attempt,
    ) -> Result<Next, String> {
        if let Some(sending) = notes.sending.clone() {
            self.send(notes, &sending, attempt).await?;
            return Ok(Next::AtOnce);
        }
        let now = Instant::now();
        let waiting = self.spool.waiting_streams(Lane::Main);
        since.retain(|stream, _| waiting.iter().any(|(name, _)| name == stream));
        for (stream, _) in &waiting {
            since.entry(stream.clone()).or_insert(now);
        }
        let is_due = |(stream, events): &&(String, u64)| {
            let waits = since.get(stream).map_or(Duration::ZERO, |at| now - *at);
            *events >= EVENTS_ENOUGH || waits >= GATHER_MAX
        };
        let Some((stream, _)) = waiting.iter().find(is_due) else {
            let first = since.values().min();
            // What is pushed meanwhile may be enough at once; it is looked at soon.
            let soon = now + GATHER_MAX / 5;
            return Ok(match first {
                None => Next::WithNews,
                Some(first) => Next::At((*first + GATHER_MAX).min(soon)),
            });
        };
        let message = self.message(stream, None, notes).await?;
        since.remove(stream);
        let Some((first, message)) = message else {
            return Ok(Next::AtOnce);
        };
        let sending = Sending {
            stream: stream.clone(),
            first,
            last: message.last,
        };
        notes.sending = Some(sending.clone());
        self.note(notes).await?;
        self.bring(notes, &sending, message, Attempt::First).await?;
        Ok(Next::AtOnce)
    }

    /// Sends again what was noted.
    async fn send(
        &self,
        notes: &mut Notes,
        sending: &Sending,
        attempt: Attempt,
    ) -> Result<(), String> {
        let message = self
            .message(&sending.stream, Some(sending.last), notes)
            .await?;
        let message = message.map(|(_, message)| message).unwrap_or_default();
        self.bring(notes, sending, message, attempt).await
    }

    async fn bring(
        &self,
        notes: &mut Notes,
        sending: &Sending,
        message: Message,
        attempt: Attempt,
    ) -> Result<(), String> {
        let Sending {
            stream,
            first,
            last,
        } = sending;
        for (number, reason) in &message.unreadable {
            tracing::error!(%stream, number, %reason, "a queued record is lost: it cannot be read");
        }
        let token = format!("{}\u{0}{:x}\u{0}{stream}\u{0}{first}", self.me, notes.life);
        for (dataset, events) in &message.datasets {
            let inserted = self.clickhouse.insert(dataset, events, &token, attempt);
            inserted.await.map_err(|error| error.to_string())?;
        }
        notes.sending = None;
        notes.arrived.insert(stream.clone(), *last);
        notes.count += 1;
        for (source, sequence) in message.sources {
            notes.sources.insert(source, (sequence, notes.count));
        }
        notes.forget_silent();
        self.note(notes).await?;
        let (spool, stream, last) = (Arc::clone(&self.spool), stream.clone(), *last);
        blocking(move || spool.arrived(Lane::Main, &stream, last)).await
    }

    /// What is to be sent of a stream next, and its first number; or exactly what was up to
    /// `last`.
    async fn message(
        &self,
        stream: &str,
        last: Option<u64>,
        notes: &Notes,
    ) -> Result<Option<(u64, Message)>, String> {
        let spool = Arc::clone(&self.spool);
        let (name, sources) = (stream.to_owned(), notes.sources.clone());
        let bytes_max = match last {
            // It was bounded when it was noted.
            Some(_) => usize::MAX,
            None => PACKED_BYTES_MAX,
        };
        blocking(move || {
            let heads = spool.heads_of(Lane::Main, &name, bytes_max, last)?;
            let first = heads.first().map(|head| head.sequence);
            Ok::<_, andon_spool::SpoolError>(
                first.map(|first| (first, gather(&heads, &sources, last.is_some()))),
            )
        })
        .await
    }

    /// What is remembered, and what it says about the spool brought there.
    fn notes(&self) -> Result<Notes, String> {
        let path = self.dir.join(NOTES);
        let notes = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| format!("{}: {error}", path.display()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Notes {
                life: std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0),
                sending: None,
                arrived: BTreeMap::new(),
                sources: BTreeMap::new(),
                count: 0,
            },
            Err(error) => return Err(error.to_string()),
        };
        for (stream, last) in &notes.arrived {
            let arrived = self.spool.arrived(Lane::Main, stream, *last);
            arrived.map_err(|error| error.to_string())?;
        }
        Ok(notes)
    }

    async fn note(&self, notes: &Notes) -> Result<(), String> {
        let text = serde_json::to_vec(notes).map_err(|error| error.to_string())?;
        let dir = self.dir.clone();
        blocking(move || {
            let new = dir.join("clickhouse.new");
            fs::write(&new, text)?;
            fs::File::open(&new)?.sync_all()?;
            fs::rename(&new, dir.join(NOTES))?;
            fs::File::open(&dir)?.sync_all()
        })
        .await
    }
}

/// When to look again.
enum Next {
    AtOnce,
    At(Instant),
    WithNews,
}

impl Notes {
    fn forget_silent(&mut self) {
        while self.sources.len() > SOURCES_MAX {
            let silent = self.sources.iter().min_by_key(|(_, (_, heard))| *heard);
            let Some(name) = silent.map(|(name, _)| name.clone()) else {
                return;
            };
            self.sources.remove(&name);
        }
    }
}

/// Records as one message: those whose source is further already are left out.
fn gather(heads: &[Queued], known: &BTreeMap<String, (u64, u64)>, all: bool) -> Message {
    let mut message = Message::default();
    let (mut events, mut bytes) = (0, 0);
    for head in heads {
        if !all && events > 0 && (events >= EVENTS_MAX || bytes >= BYTES_MAX) {
            break;
        }
        message.last = head.sequence;
        let parcel = match Codec::unpack(&head.parcel) {
            Ok(parcel) => parcel,
            Err(error) => {
                message.unreadable.push((head.sequence, error.to_string()));
                continue;
            }
        };
        let before = message.sources.get(&parcel.source).copied();
        let before = before.or(known.get(&parcel.source).map(|(sequence, _)| *sequence));
        if before.is_some_and(|before| parcel.sequence <= before) {
            continue;
        }
        message.sources.insert(parcel.source, parcel.sequence);
        events += parcel.events.len();
        bytes += parcel.events.iter().map(size).sum::<usize>();
        let dataset = message.datasets.entry(parcel.dataset).or_default();
        dataset.extend(parcel.events);
    }
    message
}

/// Bytes that an event takes in memory, about.
fn size(event: &Event) -> usize {
    let attributes = event.attributes.iter().map(|(key, value)| match value {
        Value::Text(text) => 64 + key.len() + text.len(),
        _ => 64 + key.len(),
    });
    32 + attributes.sum::<usize>()
}

async fn blocking<T: Send + 'static, E: std::fmt::Display + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::Timestamp;
    use andon_spool::Parcel;

    fn queued(sequence: u64, source: &str, number: u64) -> Queued {
        let events =
            vec![Event::new(Timestamp(sequence as i64)).with("n", Value::Integer(number as i64))];
        let parcel = Parcel {
            dataset: "logs".to_owned(),
            source: source.to_owned(),
            sequence: number,
            events,
        };
        Queued {
            stream: "logs".to_owned(),
            sequence,
            events: 1,
            parcel: Codec::pack(&parcel).unwrap(),
        }
    }

    #[test]
    fn what_a_source_sent_before_is_left_out_within_a_message_and_over_messages() {
        let heads = [
            queued(1, "file", 10),
            queued(2, "file", 20),
            queued(3, "file", 20),
            queued(4, "other", 1),
            queued(5, "file", 15),
        ];
        let known = BTreeMap::from([("file".to_owned(), (10, 1))]);
        let message = gather(&heads, &known, false);
        let numbers: Vec<i64> = message.datasets["logs"]
            .iter()
            .map(|event| event.at.0)
            .collect();
        assert_eq!(numbers, [2, 4]);
        assert_eq!(message.last, 5);
        assert_eq!(message.sources["file"], 20);
    }
}
