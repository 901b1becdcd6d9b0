//! Asks targets for their metrics as Prometheus does: every so often, with a limit in time and
//! size, and says of each target whether it answered.

use super::{Outlet, wall_clock};
use crate::decode::prometheus::{TextFormat, text};
use crate::inflate::{Encoding, inflate};
use crate::limits::BODY_UNPACKED_BYTES_MAX;
use crate::record::Record;
use crate::reject::{Decoded, Reason};
use crate::sink::Patience;
use andon_model::event::{Value, key};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Bytes of one answer, as sent.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Something that exposes metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScrapeTarget {
    /// Such as `http://10.0.0.5:9100/metrics`.
    pub url: String,
    /// What it is: the label `job`, and the service's name.
    #[serde(default)]
    pub job: Option<String>,
    /// Seconds between two questions; 15 where nothing is said, at least 1.
    #[serde(default = "fifteen")]
    pub every_s: u64,
    /// Seconds that an answer may take; 10 where nothing is said.
    #[serde(default = "ten")]
    pub timeout_s: u64,
    /// Labels for all samples.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The `Authorization` header, such as `Bearer ...`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<String>,
    /// Where its samples go; `metrics` where nothing is said.
    #[serde(default = "metrics")]
    pub dataset: String,
}

fn fifteen() -> u64 {
    15
}

fn ten() -> u64 {
    10
}

fn metrics() -> String {
    "metrics".into()
}

/// A URL, as far as asking needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapeUrl {
    is_tls: bool,
    host: String,
    port: u16,
    path: String,
}

impl ScrapeUrl {
    /// Reads `http[s]://host[:port][/path]`; the path is `/metrics` where none is said.
    pub fn parse(url: &str) -> Option<Self> {
        let (is_tls, rest) = match url.split_once("://")? {
            ("http", rest) => (false, rest),
            ("https", rest) => (true, rest),
            _ => return None,
        };
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/metrics"),
        };
        let default = if is_tls { 443 } else { 80 };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (authority, default),
        };
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let is_host = !host.is_empty() && !host.contains(['@', ' ', '?', '#']);
        is_host.then(|| Self {
            is_tls,
            host,
            port,
            path: path.to_owned(),
        })
    }

    fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// Asks a target until it is cancelled.
pub async fn scrape(
    target: ScrapeTarget,
    url: ScrapeUrl,
    tls: Option<Arc<ClientConfig>>,
    outlet: Outlet,
) {
    let mut ticks = interval(Duration::from_secs(target.every_s.max(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let labels = labels(&target, &url);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = outlet.cancel.cancelled() => return,
        }
        let started = Instant::now();
        outlet.counters.connect();
        let limit = Duration::from_secs(target.timeout_s.max(1));
        let asked = tokio::select! {
            asked = timeout(limit, ask(&target, &url, tls.clone())) => asked,
            () = outlet.cancel.cancelled() => return,
        };
        let asked = asked.unwrap_or_else(|_| Err(format!("no answer in {limit:?}")));
        let took = started.elapsed();
        let (mut out, error) = match asked {
            Ok((body, format)) => {
                outlet.counters.read(body.len());
                (text(&body, format, &labels, wall_clock()), None)
            }
            Err(error) => {
                outlet.counters.reject(Reason::Malformed, 1);
                (Decoded::default(), Some(error))
            }
        };
        verdict(&mut out, &labels, took, error);
        let _ = outlet.deliver(out, None, Patience::Forever).await;
    }
}

fn labels(target: &ScrapeTarget, url: &ScrapeUrl) -> Vec<(String, String)> {
    let job = target.job.clone().unwrap_or_else(|| url.host.clone());
    let mut labels = vec![("job".into(), job), ("instance".into(), url.authority())];
    labels.extend(target.labels.clone());
    labels
}

/// Prometheus' own samples about a target: `up`, and how long and large it was.
fn verdict(out: &mut Decoded, labels: &[(String, String)], took: Duration, error: Option<String>) {
    let samples = out.events.len() as i64;
    let values = [
        ("up", Value::Integer(error.is_none().into())),
        ("scrape_duration_seconds", Value::Float(took.as_secs_f64())),
        ("scrape_samples_scraped", Value::Integer(samples)),
    ];
    for (name, value) in values {
        let mut record = Record::new(wall_clock());
        record.put(key::KIND, "metric");
        record.put(key::NAME, name);
        record.put(key::VALUE, value);
        for (name, value) in labels {
            record.put(name, value.as_str());
        }
        if let (Some(error), "up") = (&error, name) {
            record.put_text("error", error);
        }
        out.push(record);
    }
}

async fn ask(
    target: &ScrapeTarget,
    url: &ScrapeUrl,
    tls: Option<Arc<ClientConfig>>,
) -> Result<(Vec<u8>, TextFormat), String> {
    let stream = TcpStream::connect((url.host.as_str(), url.port)).await;
    let stream = stream.map_err(|error| format!("cannot connect: {error}"))?;
    if !url.is_tls {
        return exchange(target, url, TokioIo::new(stream)).await;
    }
    let tls = tls.ok_or("no roots are known to check its certificate")?;
    let name = ServerName::try_from(url.host.clone()).map_err(|error| error.to_string())?;
    let connector = tokio_rustls::TlsConnector::from(tls);
    let stream = connector.connect(name, stream).await;
    let stream = stream.map_err(|error| format!("TLS fails: {error}"))?;
    exchange(target, url, TokioIo::new(stream)).await
}

async fn exchange(
    target: &ScrapeTarget,
    url: &ScrapeUrl,
    stream: impl hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
) -> Result<(Vec<u8>, TextFormat), String> {
    let words = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
        .await
        .map_err(words)?;
    let mut request = Request::get(url.path.as_str())
        .header(HOST, url.authority())
        .header(
            ACCEPT,
            "application/openmetrics-text;version=1.0.0;q=0.9,text/plain;version=0.0.4;q=0.5",
        )
        .header(ACCEPT_ENCODING, "gzip");
    if let Some(authorization) = &target.authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    let request = request.body(Empty::<Bytes>::new());
    let request = request.map_err(|error| error.to_string())?;
    let asking = async {
        let response = sender.send_request(request).await.map_err(words)?;
        if response.status() != StatusCode::OK {
            return Err(format!("it answers {}", response.status()));
        }
        let header = |name: &hyper::header::HeaderName| {
            let value = response.headers().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let format = match header(&CONTENT_TYPE).starts_with("application/openmetrics-text") {
            true => TextFormat::OpenMetrics,
            false => TextFormat::Prometheus,
        };
        let encoding = header(&CONTENT_ENCODING);
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        let encoding = Encoding::by_name(&encoding).ok_or("packed in an unknown way")?;
        let body = inflate(encoding, &body, BODY_UNPACKED_BYTES_MAX);
        Ok((body.map_err(|error| error.to_string())?, format))
    };
    // The connection is driven here and ends with the question.
    let mut connection = std::pin::pin!(connection);
    let mut asking = std::pin::pin!(asking);
    tokio::select! {
        answer = &mut asking => answer,
        ended = &mut connection => match ended {
            Ok(()) => asking.await,
            Err(error) => Err(error.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_or_refused() {
        let check = |text: &str, expected: Option<(&str, bool, &str)>| {
            let url = ScrapeUrl::parse(text);
            let said = url
                .as_ref()
                .map(|url| (url.authority(), url.is_tls, url.path.as_str()));
            let expected = expected.map(|(authority, tls, path)| (authority.to_owned(), tls, path));
            assert_eq!(said, expected, "{text}");
        };
        check("http://h:9100/metrics", Some(("h:9100", false, "/metrics")));
        check("https://h", Some(("h:443", true, "/metrics")));
        check("http://[::1]:9/x?y=1", Some(("[::1]:9", false, "/x?y=1")));
        check("http://[::1]", Some(("[::1]:80", false, "/metrics")));
        for rubbish in [
            "",
            "h:9100",
            "ftp://h",
            "http://",
            "http://u@h",
            "http://h:x/",
        ] {
            check(rubbish, None);
        }
    }
}
