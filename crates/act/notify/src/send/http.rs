//! One HTTP request: bounded in time and size, redirects refused, and the answer sorted into
//! taken, again, refused.

use super::Ways;
use super::dial::{self, DialError};
use crate::letter::{Answer, RETRY_AFTER_MAX};
use andon_model::id::to_plain_text;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode, Uri, body::Incoming, header};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;

/// Bytes of an answer that are read; what it says is cut far shorter.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Characters of an answer that people are shown.
const SAID_CHARS_MAX: usize = 200;
/// Bytes of headers that are read.
const HEADER_BYTES_MAX: usize = 32 * 1024;

/// A request with a JSON body.
pub struct Ask<'a> {
    /// The address; a secret in many services.
    pub url: &'a str,
    /// `POST`, or what the service wants.
    pub method: Method,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The document.
    pub body: Vec<u8>,
}

impl<'a> Ask<'a> {
    /// A POST of a document.
    pub fn post(url: &'a str, document: &serde_json::Value) -> Self {
        Self {
            url,
            method: Method::POST,
            headers: Vec::new(),
            body: document.to_string().into_bytes(),
        }
    }
}

/// Asks once. Reasons name the host and never the rest of the address.
pub async fn ask(ways: &Ways<'_>, ask: Ask<'_>) -> Answer {
    let waited = ways.limits.http;
    match tokio::time::timeout(waited, unbounded(ways, ask)).await {
        Ok(answer) => answer,
        Err(_) => again(format!("no answer within {waited:?}")),
    }
}

fn again(why: String) -> Answer {
    Answer::Again { why, after: None }
}

async fn unbounded(ways: &Ways<'_>, ask: Ask<'_>) -> Answer {
    let Ok(uri) = ask.url.parse::<Uri>() else {
        let why = "the address is no URL".into();
        return Answer::Refused { why };
    };
    let secure = uri.scheme_str() == Some("https");
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let answer = async {
        let stream = dial::tcp(host, port, ways.limits).await?;
        Ok::<_, DialError>(if secure {
            let stream = dial::tls(stream, host, ways).await?;
            exchange(stream, &uri, ask).await
        } else {
            exchange(stream, &uri, ask).await
        })
    };
    answer
        .await
        .unwrap_or_else(|error| again(error.to_string()))
}

async fn exchange<S>(stream: S, uri: &Uri, ask: Ask<'_>) -> Answer
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let host = uri.host().unwrap_or_default();
    let handshake = http1::Builder::new()
        .max_buf_size(HEADER_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await;
    let (mut sender, connection) = match handshake {
        Ok(both) => both,
        Err(error) => return again(broken(host, &error)),
    };
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or(host, |authority| authority.as_str());
    // A name and password in the address are not part of the host.
    let authority = authority.rsplit('@').next().unwrap_or(authority);
    let mut request = Request::builder()
        .method(ask.method)
        .uri(path)
        .header(header::HOST, authority)
        .header(
            header::USER_AGENT,
            concat!("andon/", env!("CARGO_PKG_VERSION")),
        )
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "*/*")
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::CONNECTION, "close");
    for (name, value) in &ask.headers {
        request = request.header(name, value);
    }
    let request = match request.body(Full::new(Bytes::from(ask.body))) {
        Ok(request) => request,
        Err(error) => {
            let why = format!("the request cannot be written: {error}");
            return Answer::Refused { why };
        }
    };
    match sender.send_request(request).await {
        Ok(response) => sort(response).await,
        Err(error) => again(broken(host, &error)),
    }
}

fn broken(host: &str, error: &hyper::Error) -> String {
    if error.is_parse() {
        format!("{host} does not answer in HTTP")
    } else if error.is_incomplete_message() {
        format!("{host} closed the connection before it answered")
    } else {
        format!("{host}: {error}")
    }
}

async fn sort(response: Response<Incoming>) -> Answer {
    let status = response.status();
    let headers = response.headers();
    let after = headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let date = headers
        .get(header::DATE)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let location = headers
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<Uri>().ok())
        .and_then(|uri| uri.host().map(str::to_owned));
    let said = said(response).await;
    let told = if said.is_empty() {
        format!("HTTP {}", status.as_u16())
    } else {
        format!("HTTP {}: {said}", status.as_u16())
    };
    match status {
        status if status.is_success() => Answer::Taken { said: told },
        status if status.is_redirection() => {
            let host = location.unwrap_or_else(|| "elsewhere".into());
            let host = to_plain_text(&host, 100);
            let status = status.as_u16();
            Answer::Refused {
                why: format!("HTTP {status}: it redirects to {host}; redirects are not followed"),
            }
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            let after = after.and_then(|text| retry_after(&text, date.as_deref()));
            Answer::Again { why: told, after }
        }
        status if status.is_server_error() => {
            let after = after.and_then(|text| retry_after(&text, date.as_deref()));
            Answer::Again { why: told, after }
        }
        _ => Answer::Refused { why: told },
    }
}

/// The beginning of an answer, as plain text in one line.
async fn said(response: Response<Incoming>) -> String {
    let mut body = response.into_body();
    let mut bytes = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(data) = frame.data_ref() {
            let room = ANSWER_BYTES_MAX.saturating_sub(bytes.len());
            bytes.extend_from_slice(&data[..data.len().min(room)]);
        }
        if bytes.len() >= ANSWER_BYTES_MAX {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let text: Vec<&str> = text.split_whitespace().collect();
    let text: String = text.join(" ").chars().take(SAID_CHARS_MAX).collect();
    to_plain_text(&text, SAID_CHARS_MAX * 4)
}

/// `Retry-After`: seconds, or a date, which is meant by the other side's clock.
fn retry_after(text: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    }
    let read = |text: &str| {
        jiff::fmt::rfc2822::DateTimeParser::new()
            .parse_timestamp(text)
            .ok()
    };
    let span = read(text)?.duration_since(read(date?)?);
    let span = Duration::try_from(span).ok()?;
    Some(span.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_that_is_asked_for_is_read_and_bounded() {
        let check = |text, expected| {
            let date = Some("Fri, 20 Nov 2026 03:20:00 GMT");
            assert_eq!(retry_after(text, date), expected, "{text}");
        };
        check("7", Some(Duration::from_secs(7)));
        check("999999999", Some(RETRY_AFTER_MAX));
        check(
            "Fri, 20 Nov 2026 03:20:30 GMT",
            Some(Duration::from_secs(30)),
        );
        check("Fri, 20 Nov 2026 03:19:00 GMT", None);
        check("soon", None);
        check("-1", None);
    }
}
