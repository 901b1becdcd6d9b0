//! A document as bytes, made once per change of its source and handed out to everyone: plain
//! or compressed, each with its strong entity tag.

use crate::base32::{hex, sha256};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Serialising may take this share of a core's time at most (one part in so many): a document
/// that took 10 ms to make is handed out for 50 ms, whatever has changed since.
const RENDER_SHARE: u32 = 5;

/// A document that nobody asked for in this time is let go: a picture of 1,000 nodes is
/// megabytes.
const FORGET_AFTER: Duration = Duration::from_secs(30);

/// Bytes below which compressing saves nothing worth its time.
const GZIP_BYTES_MIN: usize = 1_024;

/// One representation, ready to send.
#[derive(Debug)]
struct Encoded {
    body: Bytes,
    etag: HeaderValue,
}

/// A document made from a source.
#[derive(Debug)]
pub(crate) struct Document<S> {
    source: Arc<S>,
    plain: Encoded,
    gzip: Encoded,
    good_until: Instant,
}

impl<S> Document<S> {
    /// Serialises and compresses.
    pub(crate) fn make(source: Arc<S>, serialise: impl FnOnce(&S) -> Vec<u8>) -> Self {
        let started = Instant::now();
        let json = serialise(&source);
        let hash = hex(&sha256(&json)[..16]);
        let gzip = compress(&json);
        let tag = |suffix: &str| {
            HeaderValue::from_str(&format!("\"{hash}{suffix}\""))
                .unwrap_or(HeaderValue::from_static("\"\""))
        };
        Self {
            source,
            plain: Encoded {
                body: json.into(),
                etag: tag(""),
            },
            gzip: Encoded {
                body: gzip.into(),
                etag: tag("-gz"),
            },
            good_until: Instant::now() + started.elapsed() * RENDER_SHARE,
        }
    }

    /// The answer to a request with these headers: 200 or 304, plain or compressed.
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let wants_gzip = accepts_gzip(headers) && self.plain.body.len() >= GZIP_BYTES_MIN;
        let encoded = if wants_gzip { &self.gzip } else { &self.plain };
        let known = none_match(headers, &encoded.etag);
        let mut response = Response::new(if known {
            Full::default()
        } else {
            Full::new(encoded.body.clone())
        });
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let answer = response.headers_mut();
        answer.insert(header::ETAG, encoded.etag.clone());
        answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        answer.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if !known {
            answer.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
            answer.insert(
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            );
            if wants_gzip {
                answer.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
        }
        response
    }
}

/// Where one kind of document lies ready.
#[derive(Debug)]
pub(crate) struct Shelf<S> {
    document: RwLock<Option<Arc<Document<S>>>>,
    /// One at a time makes the next document; the others wait for it.
    pub(crate) making: Mutex<()>,
    asked: AtomicBool,
    idle_since: std::sync::Mutex<Option<Instant>>,
}

impl<S> Default for Shelf<S> {
    fn default() -> Self {
        Self {
            document: RwLock::default(),
            making: Mutex::default(),
            asked: AtomicBool::default(),
            idle_since: std::sync::Mutex::default(),
        }
    }
}

impl<S> Shelf<S> {
    /// The document of this source, or one so costly that it is still good enough.
    pub(crate) fn ready(&self, source: &Arc<S>) -> Option<Arc<Document<S>>> {
        if !self.asked.load(Ordering::Relaxed) {
            self.asked.store(true, Ordering::Relaxed);
        }
        let document = self
            .document
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()?;
        let fresh = Arc::ptr_eq(&document.source, source) || Instant::now() < document.good_until;
        fresh.then_some(document)
    }

    /// Puts a document in the place of the last.
    pub(crate) fn put(&self, document: Arc<Document<S>>) {
        *self
            .document
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(document);
    }

    /// Lets go of a document that nobody asks for.
    pub(crate) fn tidy(&self) {
        let mut idle_since = self
            .idle_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.asked.swap(false, Ordering::Relaxed) {
            *idle_since = None;
        } else if idle_since.get_or_insert_with(Instant::now).elapsed() > FORGET_AFTER {
            *self
                .document
                .write()
                .unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

pub(crate) fn compress(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 8), Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(plain);
    encoder.finish().unwrap_or_default()
}

/// Whether the client takes gzip (RFC 9110 §12.5.3, as far as clients use it).
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| {
            value.split(',').any(|coding| {
                let mut parts = coding.split(';').map(str::trim);
                let name = parts.next().unwrap_or_default();
                let refused =
                    parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
                (name.eq_ignore_ascii_case("gzip") || name == "*") && !refused
            })
        })
}

/// Whether `If-None-Match` names this entity tag.
pub(crate) fn none_match(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .any(|candidate| {
                candidate == b"*"
                    || candidate.strip_prefix(b"W/").unwrap_or(candidate) == etag.as_bytes()
            })
    })
}
