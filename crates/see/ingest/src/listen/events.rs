//! `POST /api/v1/events`: a stream of events of any length, taken as it comes. Decoding runs
//! on a thread of its own while the sink keeps what was decoded before.

use super::Outlet;
use super::wall_clock;
use crate::import::{ImportFormat, Pieces, Progress, import};
use crate::inflate::{Encoding, Inflate};
use crate::limits::{ANSWER_PATIENCE, REJECTS_TOLD_MAX};
use crate::reject::{Decoded, Reason, Reject};
use crate::sink::{BatchId, Patience, SinkError};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use serde::Serialize;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Pieces of a body that wait for the decoder.
const PIECES_MAX: usize = 8;
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
    let (body_tx, body_rx) = mpsc::channel(PIECES_MAX);
    let (decoded_tx, mut decoded_rx) = mpsc::channel::<(Decoded, Progress)>(2);
    let (format, encoding) = (request.format.clone(), request.encoding);
    let pieces = match request.key {
        Some(_) => Pieces::Full,
        None => Pieces::AsTheyCome,
    };
    let decoding = tokio::task::spawn_blocking(move || {
        let reader = Pipe::new(body_rx);
        let reader = Inflate::new(encoding, reader)?;
        let mut decoder = format.decoder();
        import(
            reader,
            decoder.as_mut(),
            pieces,
            wall_clock,
            |decoded, progress| match decoded_tx.blocking_send((decoded, progress)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            },
        )
    });
    let feeding = feed(outlet, body, body_tx);
    let keeping = async move {
        let mut answer = EventsAnswer::default();
        while let Some((decoded, progress)) = decoded_rx.recv().await {
            answer.rejected_total += decoded.rejected_total();
            let room = REJECTS_TOLD_MAX.saturating_sub(answer.rejected.len());
            answer
                .rejected
                .extend(decoded.rejected.iter().take(room).cloned());
            let events = decoded.events.len() as u64;
            let id = request.key.as_ref().map(|key| BatchId {
                source: format!("request/{}/{key}", request.dataset),
                until: progress.batches,
            });
            let patience = Patience::AtMost(ANSWER_PATIENCE);
            let kept = outlet.deliver_to(&request.dataset, decoded, id, patience);
            if let Err(error) = kept.await {
                return (answer, Err(EventsError::Sink(error)));
            }
            answer.accepted += events;
        }
        (answer, Ok(()))
    };
    // Keeping ends when decoding does, and decoding when feeding does, or when keeping fails.
    let mut feeding = std::pin::pin!(feeding);
    let mut keeping = std::pin::pin!(keeping);
    let (mut answer, mut result) = tokio::select! {
        kept = &mut keeping => kept,
        () = &mut feeding => keeping.await,
    };
    if result.is_ok() {
        match decoding.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                outlet.counters.reject(Reason::BadPacking, 1);
                result = Err(EventsError::Body(error));
            }
            Err(_) => result = Err(EventsError::Body(io::Error::other("decoding failed"))),
        }
    }
    answer.error = result.as_ref().err().map(ToString::to_string);
    (answer, result)
}

type Piece = Result<Bytes, ()>;

async fn feed<B>(outlet: &Outlet, body: B, pieces: mpsc::Sender<Piece>)
where
    B: Body<Data = Bytes>,
{
    let mut body = std::pin::pin!(body);
    loop {
        let piece = match tokio::time::timeout(SILENCE_MAX, body.frame()).await {
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => Ok(data),
                Err(_) => continue,
            },
            Ok(None) => return,
            Ok(Some(Err(_))) | Err(_) => Err(()),
        };
        if let Ok(data) = &piece {
            outlet.counters.read(data.len());
        }
        let is_broken = piece.is_err();
        if pieces.send(piece).await.is_err() || is_broken {
            return;
        }
    }
}

/// Pieces of a body as a reader, for the thread that decodes.
struct Pipe {
    pieces: mpsc::Receiver<Piece>,
    piece: Bytes,
    handle: Handle,
}

impl Pipe {
    fn new(pieces: mpsc::Receiver<Piece>) -> Self {
        Self {
            pieces,
            piece: Bytes::new(),
            handle: Handle::current(),
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let next = match self.pieces.try_recv() {
                Ok(piece) => Some(piece),
                Err(_) => {
                    let pieces = &mut self.pieces;
                    let waiting = async { tokio::time::timeout(PAUSE, pieces.recv()).await };
                    match self.handle.block_on(waiting) {
                        Ok(piece) => piece,
                        Err(_) => return Err(io::ErrorKind::WouldBlock.into()),
                    }
                }
            };
            match next {
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(())) => {
                    let error = "it ended before its end";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, error));
                }
                None => return Ok(0),
            }
        }
        let bytes = self.piece.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&self.piece.split_to(bytes));
        Ok(bytes)
    }
}
