//! An HTTP endpoint that records requests and answers as it is told, byte for byte.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// What arrived.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// How it answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// These bytes, then it closes.
    Bytes(Vec<u8>),
    /// Nothing, for as long as one waits.
    Hang,
    /// It closes without a word.
    Close,
    /// These bytes over and over.
    Endless(Vec<u8>),
}

pub fn status(status: &str, body: &str) -> Reply {
    let length = body.len();
    Reply::Bytes(
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes(),
    )
}

/// A running endpoint.
pub struct Endpoint {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    reply: Arc<Mutex<Reply>>,
}

impl Endpoint {
    pub async fn start(reply: Reply) -> Self {
        Self::start_with(reply, None).await
    }

    pub async fn start_with(reply: Reply, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let endpoint = Self {
            url: format!("{scheme}://127.0.0.1:{port}"),
            requests: Arc::default(),
            reply: Arc::new(Mutex::new(reply)),
        };
        let (requests, reply) = (Arc::clone(&endpoint.requests), Arc::clone(&endpoint.reply));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (requests, reply) = (Arc::clone(&requests), Arc::clone(&reply));
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        Some(config) => {
                            let acceptor = tokio_rustls::TlsAcceptor::from(config);
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, &requests, &reply).await;
                            }
                        }
                        None => serve(stream, &requests, &reply).await,
                    }
                });
            }
        });
        endpoint
    }

    pub fn reply(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The one request that arrived.
    #[track_caller]
    pub fn only(&self) -> Request {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }

    /// Waits until so many requests have arrived.
    pub async fn until(&self, count: usize) -> Vec<Request> {
        for _ in 0..1_000 {
            let requests = self.requests();
            if requests.len() >= count {
                return requests;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{count} requests did not arrive: {:?}", self.requests());
    }
}

async fn serve<S>(mut stream: S, requests: &Mutex<Vec<Request>>, reply: &Mutex<Reply>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(request) = read(&mut stream).await else {
        return;
    };
    requests.lock().unwrap().push(request);
    let reply = reply.lock().unwrap().clone();
    match reply {
        Reply::Bytes(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Reply::Hang => tokio::time::sleep(Duration::from_secs(600)).await,
        Reply::Close => {}
        Reply::Endless(bytes) => while stream.write_all(&bytes).await.is_ok() {},
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Request> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        let mut buffer = [0; 4_096];
        match stream.read(&mut buffer).await {
            Ok(read @ 1..) => bytes.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).ok()?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.map_or(Some(0), |(_, value)| value.parse().ok())?;
    let mut body = bytes[head_end + 4..].to_vec();
    while body.len() < length {
        let mut buffer = [0; 4_096];
        match stream.read(&mut buffer).await {
            Ok(read @ 1..) => body.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
    Some(Request {
        method,
        path,
        headers,
        body,
    })
}
