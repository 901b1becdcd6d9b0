//! Bodies of requests, read within bounds. All bodies of a node that are being read share one
//! amount of memory; a request that finds none waits a little and is then told to come again.

use crate::inflate::{Encoding, InflateError, inflate};
use crate::limits::{ANSWER_PATIENCE, BODY_BYTES_MAX, BODY_UNPACKED_BYTES_MAX};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Megabytes of bodies that are read at the same time.
const MEGABYTES_MAX: usize = 128;
/// A client takes no longer to send a body that is read as a whole.
const BODY_TIME_MAX: Duration = Duration::from_secs(60);

/// Why a body is not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is larger than the input takes.
    #[error("the body is larger than {BODY_BYTES_MAX} bytes")]
    TooLarge,
    /// Too many others are being read.
    #[error("too many requests at the same time")]
    Busy,
    /// Its sender broke off, or was too slow.
    #[error("the body ended too early")]
    Broken,
    /// Its packing.
    #[error(transparent)]
    Packing(#[from] InflateError),
    /// Packed in a way that nobody here knows.
    #[error("the content encoding \"{0}\" is none of gzip, deflate, zstd, snappy")]
    Encoding(String),
}

/// The memory that bodies share.
#[derive(Debug, Clone)]
pub struct BodyMemory(Arc<Semaphore>);

impl Default for BodyMemory {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MEGABYTES_MAX)))
    }
}

/// A whole body, as sent, and its hold on the memory.
#[derive(Debug)]
pub struct Whole {
    /// Its bytes.
    pub bytes: Vec<u8>,
    _memory: Vec<OwnedSemaphorePermit>,
}

impl BodyMemory {
    /// Reads a whole body.
    pub async fn read<B>(&self, body: B) -> Result<Whole, BodyError>
    where
        B: Body<Data = Bytes>,
    {
        let read = tokio::time::timeout(BODY_TIME_MAX, self.read_all(body));
        read.await.unwrap_or(Err(BodyError::Broken))
    }

    async fn read_all<B>(&self, body: B) -> Result<Whole, BodyError>
    where
        B: Body<Data = Bytes>,
    {
        let mut body = std::pin::pin!(body);
        let mut bytes = Vec::new();
        let mut memory = Vec::new();
        while let Some(frame) = body.as_mut().frame().await {
            let frame = frame.map_err(|_| BodyError::Broken)?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if bytes.len() + data.len() > BODY_BYTES_MAX {
                return Err(BodyError::TooLarge);
            }
            bytes.extend_from_slice(&data);
            while memory.len() << 20 < bytes.len() {
                let more = self.0.clone().acquire_owned();
                let more = tokio::time::timeout(ANSWER_PATIENCE, more).await;
                memory.push(
                    more.map_err(|_| BodyError::Busy)?
                        .map_err(|_| BodyError::Busy)?,
                );
            }
        }
        Ok(Whole {
            bytes,
            _memory: memory,
        })
    }
}

/// How a request's header says that its body is packed.
pub fn encoding(name: Option<&str>) -> Result<Encoding, BodyError> {
    let name = name.unwrap_or_default();
    Encoding::by_name(name).ok_or_else(|| BodyError::Encoding(name.to_owned()))
}

/// The body, unpacked.
pub fn unpacked(encoding: Encoding, whole: &Whole) -> Result<Vec<u8>, BodyError> {
    Ok(match encoding {
        Encoding::Plain => whole.bytes.clone(),
        _ => inflate(encoding, &whole.bytes, BODY_UNPACKED_BYTES_MAX)?,
    })
}
