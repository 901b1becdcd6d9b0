//! Everything that comes as an HTTP request: Andon's own events, OTLP, Loki's push,
//! Prometheus' remote-write. [`HttpIntake`] answers requests and knows no socket, so that the
//! node's one port can serve it too; [`serve`] is a listener of its own.

use super::body::{BodyError, BodyMemory, encoding, unpacked};
use super::events::{EventsAnswer, EventsError, EventsRequest, take};
use super::{Outlet, wall_clock};
use crate::counters::InputCounters;
use crate::decode::{loki, otlp, otlp::Signal, prometheus, snappy};
use crate::import::ImportFormat;
use crate::limits::{ANSWER_PATIENCE, BODY_UNPACKED_BYTES_MAX, CONNECTIONS_MAX, HANDSHAKE_MAX};
use crate::record::floor;
use crate::reject::{Decoded, Reason};
use crate::sink::{BatchId, Gate, Patience, SinkError};
use andon_model::event::is_dataset_name;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Bodies that are decoded and kept at the same time: each may become
/// [`crate::limits::EXPANDED_BYTES_MAX`] of events.
const DECODING_MAX: usize = 4;

/// A body that is sent back.
pub type Answer = Response<Full<Bytes>>;

/// Answers requests that bring events. Cheap to clone.
#[derive(Clone)]
pub struct HttpIntake {
    gate: Arc<Gate>,
    memory: BodyMemory,
    decoding: Arc<Semaphore>,
    cancel: CancellationToken,
}

/// What a path takes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Events,
    Otlp(Signal),
    Loki,
    RemoteWrite,
}

impl Route {
    fn by_path(path: &str) -> Option<Self> {
        Some(match path.trim_end_matches('/') {
            "/api/v1/events" => Self::Events,
            "/v1/logs" => Self::Otlp(Signal::Logs),
            "/v1/metrics" => Self::Otlp(Signal::Metrics),
            "/v1/traces" => Self::Otlp(Signal::Traces),
            "/loki/api/v1/push" | "/api/prom/push" => Self::Loki,
            "/api/v1/write" | "/api/v1/push" => Self::RemoteWrite,
            _ => return None,
        })
    }

    /// The input's name in counters.
    fn input(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Otlp(_) => "otlp_http",
            Self::Loki => "loki",
            Self::RemoteWrite => "remote_write",
        }
    }

    fn dataset(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Otlp(signal) => signal.name(),
            Self::Loki => "logs",
            Self::RemoteWrite => "metrics",
        }
    }
}

/// Why a request failed: a status, and words.
struct Failure(StatusCode, String);

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        let status = match &error {
            BodyError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            BodyError::Broken => StatusCode::BAD_REQUEST,
            BodyError::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            BodyError::Packing(crate::inflate::InflateError::Broken(_)) => StatusCode::BAD_REQUEST,
            BodyError::Packing(_) => StatusCode::PAYLOAD_TOO_LARGE,
        };
        Self(status, error.to_string())
    }
}

impl From<SinkError> for Failure {
    fn from(error: SinkError) -> Self {
        let status = match &error {
            SinkError::Full { .. } | SinkError::Closed => StatusCode::SERVICE_UNAVAILABLE,
            SinkError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

fn bad_request(error: impl ToString) -> Failure {
    Failure(StatusCode::BAD_REQUEST, error.to_string())
}

impl HttpIntake {
    /// In front of a gate; ends with `cancel`.
    pub fn new(gate: Arc<Gate>, cancel: CancellationToken) -> Self {
        Self {
            gate,
            memory: BodyMemory::default(),
            decoding: Arc::new(Semaphore::new(DECODING_MAX)),
            cancel,
        }
    }

    /// Whether requests to a path are for it.
    pub fn serves(path: &str) -> bool {
        Route::by_path(path).is_some()
    }

    /// Answers a request, once what it brings is durable.
    ///
    /// 200 with what was kept; 400 for what cannot be read; 413 for what is too large; 415 for
    /// an unknown packing; 503 with `Retry-After` while there is no room.
    pub async fn answer<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes>,
    {
        let kind = header(request.headers(), CONTENT_TYPE.as_str()).unwrap_or_default();
        if kind.contains("proto=io.prometheus.write.v2") {
            // The status that makes Prometheus fall back to 1.0.
            let error = "remote-write 2.0 is not spoken, 1.0 is";
            return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, error);
        }
        let Some(route) = Route::by_path(request.uri().path()) else {
            return text(StatusCode::NOT_FOUND, "nothing takes events at this path");
        };
        if request.method() != Method::POST && request.method() != Method::PUT {
            return text(StatusCode::METHOD_NOT_ALLOWED, "events are sent with POST");
        }
        let (head, body) = request.into_parts();
        let said = query(head.uri.query(), "dataset").or_else(|| {
            let header = head.headers.get("x-andon-dataset")?;
            header.to_str().ok().map(str::to_owned)
        });
        let dataset = said.unwrap_or_else(|| route.dataset().to_owned());
        if !is_dataset_name(&dataset) {
            let error = format!(
                "\"{}\" is no dataset's name: letters, digits, \"-\", \"_\" and \".\", begun by a letter or digit, at most 64",
                &dataset[..floor(&dataset, 80)]
            );
            return self.failed(route, &head.headers, bad_request(error));
        }
        let outlet = Outlet {
            gate: self.gate.clone(),
            counters: self.gate.counters(route.input()),
            dataset,
            cancel: self.cancel.clone(),
        };
        outlet.counters.connect();
        let answered = match route {
            Route::Events => self.events(&outlet, &head, body).await,
            _ => self.whole(route, &outlet, &head.headers, body).await,
        };
        answered.unwrap_or_else(|failure| self.failed(route, &head.headers, failure))
    }

    async fn events<B>(
        &self,
        outlet: &Outlet,
        head: &hyper::http::request::Parts,
        body: B,
    ) -> Result<Answer, Failure>
    where
        B: Body<Data = Bytes>,
    {
        let content = header(&head.headers, CONTENT_TYPE.as_str()).unwrap_or_default();
        let format = match query(head.uri.query(), "format").as_deref() {
            Some("csv") => ImportFormat::Csv,
            Some("lines") => ImportFormat::Lines,
            Some("ndjson") => ImportFormat::Ndjson,
            Some(other) => {
                let other = &other[..floor(other, 40)];
                let error = format!("the format \"{other}\" is none of ndjson, csv, lines");
                return Err(bad_request(error));
            }
            None if content.starts_with("text/csv") => ImportFormat::Csv,
            None => ImportFormat::Ndjson,
        };
        let request = EventsRequest {
            dataset: outlet.dataset.clone(),
            format,
            encoding: encoding(header(&head.headers, CONTENT_ENCODING.as_str()))?,
            key: header(&head.headers, "idempotency-key").map(str::to_owned),
        };
        let (answer, result) = take(outlet, request, body).await;
        let status = match &result {
            Ok(()) => StatusCode::OK,
            Err(EventsError::Body(_)) => StatusCode::BAD_REQUEST,
            Err(EventsError::Sink(SinkError::Failed(_))) => StatusCode::INTERNAL_SERVER_ERROR,
            Err(EventsError::Sink(_)) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Ok(json(status, &answer))
    }

    async fn whole<B>(
        &self,
        route: Route,
        outlet: &Outlet,
        headers: &HeaderMap,
        body: B,
    ) -> Result<Answer, Failure>
    where
        B: Body<Data = Bytes>,
    {
        let whole = self.memory.read(body).await?;
        outlet.counters.read(whole.bytes.len());
        let packed = header(headers, CONTENT_ENCODING.as_str()).map(str::to_owned);
        let is_json = is_json(headers);
        let turn = self.decoding.acquire().await;
        let _turn = turn.map_err(|_| Failure::from(SinkError::Closed))?;
        let counters = outlet.counters.clone();
        let decode = move || decode(route, &whole, packed.as_deref(), is_json, &counters);
        let decoded = tokio::task::spawn_blocking(decode).await;
        let decoded = decoded
            .map_err(|_| Failure(StatusCode::INTERNAL_SERVER_ERROR, "decoding failed".into()))??;
        let answer = match route {
            Route::Otlp(signal) if is_json => content(
                StatusCode::OK,
                "application/json",
                otlp::answer_json(signal, &decoded),
            ),
            Route::Otlp(_) => content(
                StatusCode::OK,
                "application/x-protobuf",
                otlp::answer(&decoded),
            ),
            Route::Events | Route::Loki | Route::RemoteWrite => {
                content(StatusCode::NO_CONTENT, "", Vec::new())
            }
        };
        let key = header(headers, "idempotency-key");
        let id = key.map(|key| BatchId {
            source: format!("request/{}/{key}", outlet.dataset),
            until: 1,
        });
        outlet
            .deliver(decoded, id, Patience::AtMost(ANSWER_PATIENCE))
            .await?;
        Ok(answer)
    }

    fn failed(&self, route: Route, headers: &HeaderMap, failure: Failure) -> Answer {
        let Failure(status, error) = failure;
        let mut answer = match route {
            Route::Events => {
                let error = Some(error);
                let answer = EventsAnswer {
                    error,
                    ..EventsAnswer::default()
                };
                json(status, &answer)
            }
            // google.rpc.Code: 3 invalid argument, 14 unavailable.
            Route::Otlp(_) if !is_json(headers) => {
                let code = if status == StatusCode::SERVICE_UNAVAILABLE {
                    14
                } else {
                    3
                };
                content(
                    status,
                    "application/x-protobuf",
                    otlp::failure(code, &error),
                )
            }
            Route::Otlp(_) => json(status, &serde_json::json!({"message": error})),
            Route::Loki | Route::RemoteWrite => text(status, &error),
        };
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}

fn decode(
    route: Route,
    whole: &super::body::Whole,
    packed: Option<&str>,
    is_json: bool,
    counters: &InputCounters,
) -> Result<Decoded, Failure> {
    let malformed = |error: String| {
        counters.reject(Reason::Malformed, 1);
        bad_request(error)
    };
    let bad_packing = |failure: Failure| {
        counters.reject(Reason::BadPacking, 1);
        failure
    };
    let is_snappy =
        matches!(route, Route::RemoteWrite) || (matches!(route, Route::Loki) && !is_json);
    let body = if is_snappy {
        snappy::decompress(&whole.bytes, BODY_UNPACKED_BYTES_MAX)
            .map_err(|error| bad_packing(bad_request(error)))?
    } else {
        let encoding = encoding(packed)?;
        unpacked(encoding, whole).map_err(|error| bad_packing(error.into()))?
    };
    let received = wall_clock();
    let decoded = match route {
        Route::Otlp(signal) if is_json => {
            let body = otlp::json::to_protobuf(signal, &body);
            let body = body.map_err(|error| malformed(error.to_string()))?;
            otlp::decode(signal, &body, received).map_err(|error| error.to_string())
        }
        Route::Otlp(signal) => {
            otlp::decode(signal, &body, received).map_err(|error| error.to_string())
        }
        Route::Loki if is_json => loki::json(&body, received).map_err(|error| error.to_string()),
        Route::Loki => loki::protobuf(&body, received).map_err(|error| error.to_string()),
        Route::RemoteWrite | Route::Events => {
            prometheus::remote_write(&body, received).map_err(|error| error.to_string())
        }
    };
    decoded.map_err(malformed)
}

fn is_json(headers: &HeaderMap) -> bool {
    header(headers, CONTENT_TYPE.as_str()).is_some_and(|kind| kind.starts_with("application/json"))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A query's value, percent signs read.
fn query(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(found, _)| *found == name);
    let (_, value) = values.next()?;
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let code = after
            .get(..2)
            .and_then(|code| std::str::from_utf8(code).ok());
        match (
            first,
            code.and_then(|code| u8::from_str_radix(code, 16).ok()),
        ) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether a request holds the token that a listener asks for, if it asks for one. Takes the
/// same time wherever they differ.
pub(super) fn holds_token(headers: &HeaderMap, token: Option<&str>) -> bool {
    let Some(token) = token else {
        return true;
    };
    let said = header(headers, AUTHORIZATION.as_str()).unwrap_or_default();
    let said = said.strip_prefix("Bearer ").unwrap_or_default().as_bytes();
    let differences = said
        .iter()
        .zip(token.as_bytes())
        .fold(0, |all, (a, b)| all | (a ^ b));
    said.len() == token.len() && differences == 0
}

fn content(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    if !kind.is_empty() {
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    answer
}

fn text(status: StatusCode, body: &str) -> Answer {
    content(
        status,
        "text/plain; charset=utf-8",
        format!("{body}\n").into_bytes(),
    )
}

fn json(status: StatusCode, body: &impl serde::Serialize) -> Answer {
    let body = serde_json::to_vec(body).unwrap_or_default();
    content(status, "application/json", body)
}

/// Serves an intake on a listener of its own, until `cancel`.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    intake: HttpIntake,
    token: Option<Arc<str>>,
    cancel: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = cancel.cancelled() => break,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            continue;
        };
        let (intake, tls, cancel) = (intake.clone(), tls.clone(), cancel.clone());
        let token = token.clone();
        tasks.spawn(async move {
            match tls {
                None => converse(TokioIo::new(stream), intake, token, cancel).await,
                Some(tls) => {
                    let handshake = tokio::time::timeout(HANDSHAKE_MAX, tls.accept(stream));
                    if let Ok(Ok(stream)) = handshake.await {
                        converse(TokioIo::new(stream), intake, token, cancel).await;
                    }
                }
            }
            drop(permit);
        });
    }
    tasks.close();
    tasks.wait().await;
}

async fn converse(
    stream: impl hyper::rt::Read + hyper::rt::Write + Unpin,
    intake: HttpIntake,
    token: Option<Arc<str>>,
    cancel: CancellationToken,
) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (intake, token) = (intake.clone(), token.clone());
        async move {
            let answer = if holds_token(request.headers(), token.as_deref()) {
                intake.answer(request).await
            } else {
                intake.gate.counters("http").reject(Reason::Forbidden, 1);
                text(
                    StatusCode::UNAUTHORIZED,
                    "send Authorization: Bearer TOKEN with this input's token",
                )
            };
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE_MAX);
    let mut connection = std::pin::pin!(builder.serve_connection(stream, service));
    tokio::select! {
        _ = connection.as_mut() => {}
        () = cancel.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(ANSWER_PATIENCE, connection).await;
        }
    }
}
