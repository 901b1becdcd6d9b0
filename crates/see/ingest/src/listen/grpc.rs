//! OTLP over gRPC: three unary methods over HTTP/2, framed by hand. No service definitions,
//! no generated code.
//! Source: grpc/grpc, "gRPC over HTTP2".

use super::{Outlet, wall_clock};
use crate::decode::otlp::{self, Signal};
use crate::inflate::{Encoding, inflate};
use crate::limits::{
    ANSWER_PATIENCE, BODY_BYTES_MAX, BODY_UNPACKED_BYTES_MAX, CONNECTIONS_MAX, HANDSHAKE_MAX,
};
use crate::reject::Reason;
use crate::sink::{Gate, Patience, SinkError};
use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::server::{self, SendResponse};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Calls of one connection at the same time.
const CALLS_MAX: u32 = 16;
/// Calls of all connections that hold a body: each up to [`BODY_BYTES_MAX`].
const BODIES_MAX: usize = 16;
/// A call takes no longer to arrive.
const CALL_TIME_MAX: Duration = Duration::from_secs(60);

/// gRPC's codes that are used here.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Code {
    InvalidArgument = 3,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

struct Failure(Code, String);

/// What all calls of a listener share.
#[derive(Clone)]
struct Shared {
    bodies: Arc<Semaphore>,
    token: Option<Arc<str>>,
}

/// Serves OTLP's three services until `cancel`.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    gate: Arc<Gate>,
    token: Option<Arc<str>>,
    cancel: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let bodies = Arc::new(Semaphore::new(BODIES_MAX));
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = cancel.cancelled() => break,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            continue;
        };
        let outlet = Outlet {
            counters: gate.counters("otlp_grpc"),
            gate: gate.clone(),
            dataset: String::new(),
            cancel: cancel.clone(),
        };
        outlet.counters.connect();
        let shared = Shared {
            bodies: bodies.clone(),
            token: token.clone(),
        };
        let tls = tls.clone();
        tasks.spawn(async move {
            match tls {
                None => converse(stream, outlet, shared).await,
                Some(tls) => {
                    let handshake = tokio::time::timeout(HANDSHAKE_MAX, tls.accept(stream));
                    if let Ok(Ok(stream)) = handshake.await {
                        converse(stream, outlet, shared).await;
                    }
                }
            }
            drop(permit);
        });
    }
    tasks.close();
    tasks.wait().await;
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, outlet: Outlet, shared: Shared) {
    let mut builder = server::Builder::new();
    builder
        .max_concurrent_streams(CALLS_MAX)
        .initial_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .max_header_list_size(16 * 1024);
    let handshake = tokio::time::timeout(HANDSHAKE_MAX, builder.handshake::<_, Bytes>(stream));
    let Ok(Ok(mut connection)) = handshake.await else {
        return;
    };
    let calls = TaskTracker::new();
    let mut is_ending = false;
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            () = outlet.cancel.cancelled(), if !is_ending => {
                connection.graceful_shutdown();
                is_ending = true;
                continue;
            }
        };
        let Some(Ok((request, respond))) = accepted else {
            break;
        };
        let (outlet, shared) = (outlet.clone(), shared.clone());
        calls.spawn(async move { answer(request, respond, outlet, shared).await });
    }
    calls.close();
    calls.wait().await;
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    outlet: Outlet,
    shared: Shared,
) {
    let called = tokio::time::timeout(CALL_TIME_MAX, call(request, &outlet, &shared)).await;
    let called = called.unwrap_or(Err(Failure(
        Code::Unavailable,
        "the call took too long".into(),
    )));
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    match called {
        Ok(message) => {
            let Ok(mut stream) = respond.send_response(response, false) else {
                return;
            };
            let mut frame = BytesMut::with_capacity(5 + message.len());
            frame.extend_from_slice(&[0]);
            frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
            frame.extend_from_slice(&message);
            let mut trailers = HeaderMap::new();
            trailers.insert(
                HeaderName::from_static("grpc-status"),
                HeaderValue::from_static("0"),
            );
            if stream.send_data(frame.freeze(), false).is_ok() {
                let _ = stream.send_trailers(trailers);
            }
        }
        Err(Failure(code, error)) => {
            let code = HeaderValue::from(code as u16);
            headers.insert(HeaderName::from_static("grpc-status"), code);
            let printable = error
                .bytes()
                .filter(|byte| matches!(byte, b' '..=b'~') && *byte != b'%');
            if let Ok(value) = HeaderValue::from_bytes(&printable.collect::<Vec<_>>()) {
                headers.insert(HeaderName::from_static("grpc-message"), value);
            }
            let _ = respond.send_response(response, true);
        }
    }
}

async fn call(
    request: Request<RecvStream>,
    outlet: &Outlet,
    shared: &Shared,
) -> Result<Vec<u8>, Failure> {
    if !super::http::holds_token(request.headers(), shared.token.as_deref()) {
        outlet.counters.reject(Reason::Forbidden, 1);
        let error = "send authorization: Bearer TOKEN with this input's token".into();
        return Err(Failure(Code::Unauthenticated, error));
    }
    let path = request.uri().path();
    let Some(signal) = Signal::ALL
        .into_iter()
        .find(|signal| signal.grpc_path() == path)
    else {
        let error = format!("there is no method {path}");
        return Err(Failure(Code::Unimplemented, error));
    };
    let packed = request.headers().get("grpc-encoding");
    let encoding = Encoding::by_name(packed.and_then(|value| value.to_str().ok()).unwrap_or(""));
    let turn = shared.bodies.acquire().await;
    let _turn = turn.map_err(|_| Failure(Code::Unavailable, "stopping".into()))?;
    let body = read(request.into_body()).await?;
    outlet.counters.read(body.len());
    let decode = move || -> Result<_, Failure> {
        let invalid = |error: String| Failure(Code::InvalidArgument, error);
        let (is_packed, message) =
            frame(&body).ok_or(invalid("the message is cut short".into()))?;
        let unpacked;
        let message = if is_packed {
            let encoding =
                encoding.ok_or(Failure(Code::Unimplemented, "unknown grpc-encoding".into()))?;
            unpacked = inflate(encoding, message, BODY_UNPACKED_BYTES_MAX)
                .map_err(|error| Failure(Code::ResourceExhausted, error.to_string()))?;
            &unpacked
        } else {
            message
        };
        otlp::decode(signal, message, wall_clock()).map_err(|error| invalid(error.to_string()))
    };
    let decoded = tokio::task::spawn_blocking(decode).await;
    let decoded = decoded.map_err(|_| Failure(Code::Internal, "decoding failed".into()))?;
    let decoded = decoded.inspect_err(|_| outlet.counters.reject(Reason::Malformed, 1))?;
    let answer = otlp::answer(&decoded);
    let patience = Patience::AtMost(ANSWER_PATIENCE);
    match outlet
        .deliver_to(signal.name(), decoded, None, patience)
        .await
    {
        Ok(()) => Ok(answer),
        Err(error @ SinkError::Failed(_)) => Err(Failure(Code::Internal, error.to_string())),
        Err(error) => Err(Failure(Code::Unavailable, error.to_string())),
    }
}

async fn read(mut body: RecvStream) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|error| Failure(Code::InvalidArgument, error.to_string()))?;
        if bytes.len() + data.len() > BODY_BYTES_MAX {
            let error = format!("the message is larger than {BODY_BYTES_MAX} bytes");
            return Err(Failure(Code::ResourceExhausted, error));
        }
        bytes.extend_from_slice(&data);
        let _ = body.flow_control().release_capacity(data.len());
    }
    Ok(bytes)
}

/// The one message of a call: whether it is packed, and its bytes.
fn frame(body: &[u8]) -> Option<(bool, &[u8])> {
    let (head, message) = body.split_at_checked(5)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    (message.len() == length).then_some((head[0] != 0, message))
}

#[cfg(test)]
mod tests {
    use super::frame;

    #[test]
    fn a_message_is_as_long_as_it_says() {
        assert_eq!(frame(&[0, 0, 0, 0, 2, 7, 8]), Some((false, &[7, 8][..])));
        assert_eq!(frame(&[1, 0, 0, 0, 0]), Some((true, &[][..])));
        for short in [
            &[][..],
            &[0, 0, 0, 0],
            &[0, 0, 0, 0, 2, 7],
            &[0, 0, 0, 0, 1, 7, 8],
        ] {
            assert_eq!(frame(short), None);
        }
    }
}
