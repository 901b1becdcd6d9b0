//! The picture as bytes, made once per change and handed out to everyone: whole or in
//! columns, plain or compressed, each with its strong entity tag.

use crate::base32::{hex, sha256};
use crate::columns::Columns;
use crate::counters::Counters;
use andon_model::PictureView;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use std::io::Write as _;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, watch};

/// Serialising may take this share of a core's time at most (one part in so many): a document
/// that took 10 ms to make is handed out for 50 ms, whatever has changed since.
const RENDER_SHARE: u32 = 5;

/// A document that nobody asked for in this time is let go: a picture of 1,000 nodes is
/// megabytes.
const FORGET_AFTER: Duration = Duration::from_secs(30);

/// Links above which serialising is moved off the tasks that serve others: 2,000 take some
/// milliseconds.
const LINKS_INLINE_MAX: usize = 2_000;

/// Bytes below which compressing saves nothing worth its time.
const GZIP_BYTES_MIN: usize = 1_024;

/// How the picture is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As `PictureView`.
    Whole,
    /// Links in columns, for large grids.
    Columns,
}

impl Form {
    /// From the query; `None` for a form that is not known.
    pub(crate) fn of_query(query: Option<&str>) -> Option<Form> {
        let mut form = Form::Whole;
        for pair in query.unwrap_or_default().split('&') {
            match pair.split_once('=') {
                Some(("form", "columns")) => form = Form::Columns,
                Some(("form", "full" | "")) => form = Form::Whole,
                Some(("form", _)) => return None,
                _ => {}
            }
        }
        Some(form)
    }
}

/// One representation, ready to send.
#[derive(Debug)]
struct Encoded {
    body: Bytes,
    etag: HeaderValue,
}

/// A picture in one form.
#[derive(Debug)]
pub(crate) struct Document {
    view: Arc<PictureView>,
    plain: Encoded,
    gzip: Encoded,
    good_until: Instant,
}

impl Document {
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

#[derive(Debug, Default)]
struct Shelf {
    document: RwLock<Option<Arc<Document>>>,
    /// One at a time makes the next document; the others wait for it.
    making: Mutex<()>,
    asked: std::sync::atomic::AtomicBool,
    idle_since: std::sync::Mutex<Option<Instant>>,
}

/// The picture's documents.
#[derive(Debug)]
pub(crate) struct Documents {
    view: watch::Receiver<Arc<PictureView>>,
    whole: Shelf,
    columns: Shelf,
    counters: Arc<Counters>,
}

impl Documents {
    pub(crate) fn new(view: watch::Receiver<Arc<PictureView>>, counters: Arc<Counters>) -> Self {
        Self {
            view,
            whole: Shelf::default(),
            columns: Shelf::default(),
            counters,
        }
    }

    /// The document, if it need not be made first.
    pub(crate) fn ready(&self, form: Form) -> Option<Arc<Document>> {
        use std::sync::atomic::Ordering;
        let shelf = self.shelf(form);
        if !shelf.asked.load(Ordering::Relaxed) {
            shelf.asked.store(true, Ordering::Relaxed);
        }
        let document = shelf
            .document
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()?;
        let fresh = Arc::ptr_eq(&document.view, &self.view.borrow())
            || Instant::now() < document.good_until;
        fresh.then_some(document)
    }

    /// The document, made if need be.
    pub(crate) async fn get(&self, form: Form) -> Arc<Document> {
        if let Some(document) = self.ready(form) {
            return document;
        }
        let shelf = self.shelf(form);
        let _alone = shelf.making.lock().await;
        if let Some(document) = self.ready(form) {
            return document;
        }
        let view = self.view.borrow().clone();
        let document = self.render(form, view).await;
        *shelf
            .document
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&document));
        document
    }

    async fn render(&self, form: Form, view: Arc<PictureView>) -> Arc<Document> {
        self.counters.picture_renders.count();
        if view.links.len() > LINKS_INLINE_MAX {
            let moved = Arc::clone(&view);
            if let Ok(document) = tokio::task::spawn_blocking(move || make(form, moved)).await {
                return Arc::new(document);
            }
        }
        Arc::new(make(form, view))
    }

    /// Lets go of documents that nobody asks for.
    pub(crate) fn tidy(&self) {
        use std::sync::atomic::Ordering;
        for shelf in [&self.whole, &self.columns] {
            let mut idle_since = shelf
                .idle_since
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if shelf.asked.swap(false, Ordering::Relaxed) {
                *idle_since = None;
            } else if idle_since.get_or_insert_with(Instant::now).elapsed() > FORGET_AFTER {
                *shelf
                    .document
                    .write()
                    .unwrap_or_else(PoisonError::into_inner) = None;
            }
        }
    }

    fn shelf(&self, form: Form) -> &Shelf {
        match form {
            Form::Whole => &self.whole,
            Form::Columns => &self.columns,
        }
    }
}

/// A picture as JSON without line breaks, for a stream.
pub(crate) async fn json(form: Form, view: Arc<PictureView>) -> Vec<u8> {
    if view.links.len() > LINKS_INLINE_MAX {
        let moved = Arc::clone(&view);
        if let Ok(json) = tokio::task::spawn_blocking(move || serialise(form, &moved)).await {
            return json;
        }
    }
    serialise(form, &view)
}

/// The types hold nothing that JSON cannot: text, numbers, maps with text keys.
fn serialise(form: Form, view: &PictureView) -> Vec<u8> {
    match form {
        Form::Whole => serde_json::to_vec(view),
        Form::Columns => serde_json::to_vec(&Columns::of(view)),
    }
    .unwrap_or_default()
}

fn make(form: Form, view: Arc<PictureView>) -> Document {
    let started = Instant::now();
    let json = serialise(form, &view);
    let hash = hex(&sha256(&json)[..16]);
    let gzip = compress(&json);
    let tag = |suffix: &str| {
        HeaderValue::from_str(&format!("\"{hash}{suffix}\""))
            .unwrap_or(HeaderValue::from_static("\"\""))
    };
    Document {
        view,
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

fn compress(plain: &[u8]) -> Vec<u8> {
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
