//! `POST /api/v1/events`: a stream of events of any length, taken as it comes. What has come is
//! decoded while the sink keeps what was decoded before; while nothing comes no thread is held,
//! so that a thousand slow senders keep nobody else waiting.

use super::Outlet;
use super::wall_clock;
use crate::import::{ImportFormat, Importing, Pieces, Progress, Step};
use crate::inflate::{Encoding, Inflate};
use crate::limits::{ANSWER_PATIENCE, REJECTS_TOLD_MAX};
use crate::reject::{Decoded, Reason, Reject};
use crate::sink::{BatchId, Patience, SinkError};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use serde::Serialize;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Bytes of a body, packed, that are worth decoding at once.
const FEED_BYTES: usize = 512 * 1024;
/// Bodies that are decoded and kept at the same time, each with two batches in memory; the
/// others wait their turn. More than this keep no more cores and disks busy.
const AT_ONCE_MAX: usize = 8;
static AT_ONCE: Semaphore = Semaphore::const_new(AT_ONCE_MAX);
/// A client that sends nothing for so long in the middle of a body is gone.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// What was decoded waits no longer for more of the body than this.
const PAUSE: Duration = Duration::from_millis(200);

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsRequest {
    /// Where the events go.
    pub dataset: String,
    /// How they are written.
    pub format: ImportFormat,
    /// How the body is packed.
    pub encoding: Encoding,
    /// The client's own name for this request (`Idempotency-Key`): sent again with the same
    /// body, nothing is kept twice.
    pub key: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct EventsAnswer {
    /// Events that are kept.
    pub accepted: u64,
    /// The first [`REJECTS_TOLD_MAX`] lines that are not.
    pub rejected: Vec<Reject>,
    /// All lines that are not.
    pub rejected_total: u64,
    /// Why the rest of the body was not read, if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Why the rest of a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// The sink; what was accepted before is kept.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The body: broken off, broken packing, a bomb.
    #[error("the body cannot be read: {0}")]
    Body(io::Error),
}

/// Takes a body. The answer tells what is kept in each case.
pub async fn take<B>(
    outlet: &Outlet,
    request: EventsRequest,
    body: B,
) -> (EventsAnswer, Result<(), EventsError>)
where
    B: Body<Data = Bytes>,
{
    let mut answer = EventsAnswer::default();
    let result = take_all(outlet, &request, body, &mut answer).await;
    if let Err(EventsError::Body(_)) = &result {
        outlet.counters.reject(Reason::BadPacking, 1);
    }
    answer.error = result.as_ref().err().map(ToString::to_string);
    (answer, result)
}

async fn take_all<B>(
    outlet: &Outlet,
    request: &EventsRequest,
    body: B,
    answer: &mut EventsAnswer,
) -> Result<(), EventsError>
where
    B: Body<Data = Bytes>,
{
    let arrived = Arrived::default();
    let pieces = match request.key {
        Some(_) => Pieces::Full,
        None => Pieces::AsTheyCome,
    };
    let reader = Inflate::new(request.encoding, arrived.clone()).map_err(EventsError::Body)?;
    let mut importing = Box::new(Importing::new(reader, request.format.decoder(), pieces));
    let mut body = std::pin::pin!(body);
    loop {
        let is_pause = feed(outlet, body.as_mut(), &arrived).await;
        let _turn = AT_ONCE.acquire().await;
        let mut decoded = None;
        // The next batch is decoded while the one before it is kept.
        loop {
            let decoding = tokio::task::spawn_blocking(move || {
                let step = importing.step(wall_clock(), is_pause);
                (importing, step)
            });
            let keeping = keep(outlet, request, decoded.take(), answer);
            let (stepped, kept) = tokio::join!(decoding, keeping);
            kept?;
            let Ok((held, step)) = stepped else {
                return Err(EventsError::Body(io::Error::other("decoding failed")));
            };
            importing = held;
            match step {
                Step::Batch(batch, progress) => decoded = Some((batch, progress)),
                Step::Waiting => break,
                Step::Last(batch, progress, failed) => {
                    keep(outlet, request, Some((batch, progress)), answer).await?;
                    return failed.map_or(Ok(()), |error| Err(EventsError::Body(error)));
                }
            }
        }
    }
}

/// Hands one batch on, and notes what came of it.
async fn keep(
    outlet: &Outlet,
    request: &EventsRequest,
    batch: Option<(Decoded, Progress)>,
    answer: &mut EventsAnswer,
) -> Result<(), SinkError> {
    let Some((decoded, progress)) = batch else {
        return Ok(());
    };
    answer.rejected_total += decoded.rejected_total();
    let room = REJECTS_TOLD_MAX.saturating_sub(answer.rejected.len());
    let rejected = decoded.rejected.iter().take(room);
    answer.rejected.extend(rejected.cloned());
    let events = decoded.events.len() as u64;
    let id = request.key.as_ref().map(|key| BatchId {
        source: format!("request/{}/{key}", request.dataset),
        until: progress.batches,
    });
    let patience = Patience::AtMost(ANSWER_PATIENCE);
    outlet
        .deliver_to(&request.dataset, decoded, id, patience)
        .await?;
    answer.accepted += events;
    Ok(())
}

/// Waits for enough of a body, for its end, or for a pause in it; says whether it was a pause.
async fn feed<B>(outlet: &Outlet, mut body: Pin<&mut B>, arrived: &Arrived) -> bool
where
    B: Body<Data = Bytes>,
{
    loop {
        let wait = match arrived.bytes() {
            0 => SILENCE_MAX,
            FEED_BYTES.. => return false,
            _ => PAUSE,
        };
        match tokio::time::timeout(wait, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    outlet.counters.read(data.len());
                    arrived.push(data);
                }
            }
            Ok(None) => {
                arrived.end(End::Whole);
                return false;
            }
            Err(_) if wait == PAUSE => return true,
            Ok(Some(Err(_))) | Err(_) => {
                arrived.end(End::Broken);
                return false;
            }
        }
    }
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    Broken,
}

/// What has come of a body and is not read yet; a reader that never waits.
#[derive(Clone, Default)]
struct Arrived(Arc<Mutex<Pieced>>);

#[derive(Default)]
struct Pieced {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    end: Option<End>,
}

impl Arrived {
    fn held(&self) -> MutexGuard<'_, Pieced> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes(&self) -> usize {
        self.held().bytes
    }

    fn push(&self, piece: Bytes) {
        let mut held = self.held();
        held.bytes += piece.len();
        held.pieces.push_back(piece);
    }

    fn end(&self, end: End) {
        self.held().end = Some(end);
    }
}

impl Read for Arrived {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut held = self.held();
        while let Some(piece) = held.pieces.front_mut() {
            let bytes = piece.len().min(buffer.len());
            buffer[..bytes].copy_from_slice(&piece.split_to(bytes));
            if piece.is_empty() {
                held.pieces.pop_front();
            }
            if bytes > 0 || buffer.is_empty() {
                held.bytes -= bytes;
                return Ok(bytes);
            }
        }
        match held.end {
            None => Err(io::ErrorKind::WouldBlock.into()),
            Some(End::Whole) => Ok(0),
            Some(End::Broken) => {
                let error = "it ended before its end";
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, error))
            }
        }
    }
}
