//! HTTP(S) GET. Redirects are an answer, not followed; bodies are read up to a bound and
//! never decompressed; headers beyond a bound end the question.

use super::name::Resolver;
use super::progress::{Phase, Progress};
use super::tls::{self, Findings, Trust};
use super::{Answered, Failure, tcp};
use crate::answer::{Certificate, Outcome};
use crate::question::{EXPIRY_DAYS_DEFAULT, HttpQuestion};
use andon_model::{LinkReason, Timestamp};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;

/// Bytes of a body that are read. Doubled, 64 questions at once could hold 32 MB.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Bytes of headers that are read.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// Headers that are read.
const HEADERS_MAX: usize = 100;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Asks, and judges certificate, status and body, the worst first.
pub async fn ask(
    resolver: &Resolver,
    trust: &Trust,
    question: &HttpQuestion,
    progress: &Progress,
    utc: Timestamp,
) -> Result<Answered, Failure> {
    let (stream, _) = tcp::connect(resolver, &question.at, progress).await?;
    let (stream, findings): (Box<dyn Stream>, Option<Findings>) = if question.tls {
        progress.enter(Phase::Tls);
        let (stream, findings) = tls::handshake(trust, stream, &question.at).await?;
        (Box::new(stream), Some(findings))
    } else {
        (Box::new(stream), None)
    };
    progress.enter(Phase::FirstByte);
    let judged = match &findings {
        // No client would go on; neither do we.
        Some(findings) => findings
            .judge(EXPIRY_DAYS_DEFAULT, utc)
            .map_err(|failure| *failure)?,
        None => (Outcome::Good, String::new()),
    };
    let certificate = findings.map(|findings| findings.certificate);
    let result = exchange(stream, question, progress).await;
    let detail = match result {
        Ok(detail) => detail,
        Err(failure) => {
            return Err(Failure {
                certificate: certificate.map(Box::new),
                ..failure
            });
        }
    };
    Ok(answered(judged, detail, certificate, progress))
}

fn answered(
    (outcome, remark): (Outcome, String),
    detail: String,
    certificate: Option<Certificate>,
    progress: &Progress,
) -> Answered {
    let detail = if outcome == Outcome::Poor {
        remark
    } else {
        detail
    };
    Answered {
        outcome,
        rtt: progress.elapsed(),
        detail,
        certificate,
    }
}

/// One request, one answer, checked. Returns what it was, in words.
async fn exchange(
    stream: Box<dyn Stream>,
    question: &HttpQuestion,
    progress: &Progress,
) -> Result<String, Failure> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::get(question.path.as_str())
        .header(header::HOST, question.authority.as_str())
        .header(
            header::USER_AGENT,
            concat!("andon/", env!("CARGO_PKG_VERSION")),
        )
        .header(header::ACCEPT, "*/*")
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| Failure::not_asked("the request cannot be written"))?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| broken(&error))?;
    progress.enter(Phase::Body);
    let status = response.status().as_u16();
    if !question.status.contains(status) {
        return Err(Failure::new(LinkReason::Answer, format!("HTTP {status}")));
    }
    check_body(response, question.body.as_deref()).await?;
    Ok(format!("HTTP {status}"))
}

async fn check_body(response: Response<Incoming>, wanted: Option<&str>) -> Result<(), Failure> {
    let status = response.status().as_u16();
    let encoded = response
        .headers()
        .get(header::CONTENT_ENCODING)
        .is_some_and(|value| value != "identity");
    let (body, cut) = read_body(response.into_body()).await?;
    let Some(wanted) = wanted else { return Ok(()) };
    let found = wanted.is_empty()
        || body
            .windows(wanted.len())
            .any(|window| window == wanted.as_bytes());
    let why = match (found, encoded, cut) {
        (true, ..) => return Ok(()),
        (false, true, _) => "comes compressed although we asked for plain text",
        (false, false, true) => "lacks the expected text in its first 256 KiB",
        (false, false, false) => "lacks the expected text",
    };
    Err(Failure::new(
        LinkReason::Answer,
        format!("HTTP {status}, but the body {why}"),
    ))
}

/// The body up to [`BODY_BYTES_MAX`], and whether it was cut there.
async fn read_body(mut body: Incoming) -> Result<(Bytes, bool), Failure> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        let room = BODY_BYTES_MAX - read.len();
        read.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return Ok((read.freeze(), true));
        }
    }
    Ok((read.freeze(), false))
}

fn broken(error: &hyper::Error) -> Failure {
    let why = if error.is_parse_too_large() {
        "headers larger than 32 KiB".to_owned()
    } else if error.is_parse() {
        "the answer is not HTTP".to_owned()
    } else if error.is_incomplete_message() {
        "connection closed before the answer was complete".to_owned()
    } else {
        let source = std::error::Error::source(error).map(ToString::to_string);
        source.unwrap_or_else(|| error.to_string())
    };
    Failure::new(LinkReason::Answer, format!("HTTP: {why}"))
}
