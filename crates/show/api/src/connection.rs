//! One HTTP connection: hyper with limits on all that a client can make long, the gate before
//! every request, and a short way past the router for the picture, which is asked for most.

use crate::body::Touching;
use crate::documents::Form;
use crate::error::ApiError;
use crate::gate::{admit, refuse};
use crate::shared::Shared;
use crate::slots::{Slot, Work};
use andon_ingest::HttpIntake;
use axum::Router;
use axum::body::Body as RoutedBody;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::ServiceExt as _;

/// The picture's path.
pub(crate) const PICTURE: &str = "/api/v1/picture";

/// Time for a request's headers, and for a connection to sit idle between requests. Browsers
/// reconnect by themselves; doubled, slow ones hold their places twice as long.
const IDLE_MAX: Duration = Duration::from_secs(20);

/// Request line and headers together; a browser with cookies sends 2 kB.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Header lines; a browser sends about 20.
const HEADERS_MAX: usize = 64;

/// Time from a request to the head of its answer. The longest honest one is asking another
/// node, which has its own, shorter limits.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// The same for requests that bring events: they may be as long as a day's log. Whoever sends
/// nothing for a minute is cut off long before.
const TAKING_MAX: Duration = Duration::from_secs(3600);

/// The strict content security policy: only our own files, no inline script, no frames.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

/// What is known of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) remote: SocketAddr,
    pub(crate) local_port: u16,
    pub(crate) tls: bool,
    /// SHA-256 of the client's certificate, whose key it has proven to hold.
    pub(crate) certificate: Option<[u8; 32]>,
}

/// Serves requests until either side ends the connection.
pub(crate) async fn serve<S>(
    stream: S,
    link: Link,
    slot: Arc<Slot>,
    shared: Arc<Shared>,
    router: Router,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let remote = link.remote;
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(
            TokioIo::new(stream),
            Requests {
                link,
                slot,
                shared,
                router,
            },
        );
    if let Err(error) = connection.await {
        tracing::trace!(%remote, %error, "connection ended");
    }
}

struct Requests {
    link: Link,
    slot: Arc<Slot>,
    shared: Arc<Shared>,
    router: Router,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, mut request: Request<Incoming>) -> Answering {
        self.slot.touch();
        self.shared.counters.requests.count();
        let admitted = admit(
            &self.shared,
            &self.link,
            request.method(),
            request.uri(),
            request.headers(),
        );
        let caller = match admitted {
            Ok(caller) => caller,
            Err(error) => {
                self.shared.counters.refused.count();
                return Answering::ready(
                    with_policy(refuse(&error, request.uri(), request.headers()))
                        .map(Answer::Ready),
                );
            }
        };
        if request.method() == Method::GET
            && request.uri().path() == PICTURE
            && caller.may_view()
            && let Some(form) = Form::of_query(request.uri().query())
            && let Some(document) = self.shared.documents.ready(form)
        {
            return Answering::ready(document.answer(request.headers()).map(Answer::Ready));
        }
        // Only callers with a role may hold a connection that others have to wait for.
        let work = caller.is_known().then(|| self.slot.work());
        request.extensions_mut().insert(caller);
        let answer_max = if HttpIntake::serves(request.uri().path()) {
            TAKING_MAX
        } else {
            ANSWER_MAX
        };
        let slot = Arc::clone(&self.slot);
        let request = request.map(|body| RoutedBody::new(Touching { body, slot }));
        let routed = self.router.clone().oneshot(request);
        Answering::Routed(Box::pin(async move {
            let response = match tokio::time::timeout(answer_max, routed).await {
                Ok(Ok(response)) => response.map(|body| Answer::Routed(body, work)),
                Ok(Err(never)) => match never {},
                Err(_) => {
                    let error = ApiError::new(
                        StatusCode::GATEWAY_TIMEOUT,
                        "slow",
                        format!("no answer was found within {} s", answer_max.as_secs()),
                        "try again",
                    );
                    error.response().map(Answer::Ready)
                }
            };
            Ok(with_policy(response))
        }))
    }
}

/// Adds what every answer tells a browser.
fn with_policy<B>(mut response: Response<B>) -> Response<B> {
    const ALL: [(HeaderName, &str); 4] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    let headers: &mut HeaderMap = response.headers_mut();
    for (name, value) in ALL {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// An answer on its way: there already, or being made.
enum Answering {
    Ready(Option<Response<Answer>>),
    Routed(Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>),
}

impl Answering {
    fn ready(response: Response<Answer>) -> Self {
        Self::Ready(Some(response))
    }
}

impl Future for Answering {
    type Output = Result<Response<Answer>, Infallible>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Answering::Ready(response) => response
                .take()
                .map_or(Poll::Pending, |response| Poll::Ready(Ok(response))),
            Answering::Routed(routed) => routed.as_mut().poll(cx),
        }
    }
}

/// The body of an answer.
enum Answer {
    Ready(Full<Bytes>),
    /// Keeps the connection's place as long as the client takes its answer.
    Routed(RoutedBody, Option<Work>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut *self {
            Answer::Ready(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Answer::Routed(body, work) => {
                if let Some(work) = work {
                    work.touch();
                }
                Pin::new(body).poll_frame(cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Answer::Ready(body) => body.is_end_stream(),
            Answer::Routed(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Ready(body) => body.size_hint(),
            Answer::Routed(body, _) => body.size_hint(),
        }
    }
}
