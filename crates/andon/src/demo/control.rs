//! The demo's control: a small HTTP server on loopback. The nodes hand `/api/v1/demo…` on to
//! it, so that the page on each of them has the buttons.

use super::faults::FAULTS;
use super::narration::Line;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};

/// Largest order; a fault's name and a switch.
const ORDER_BYTES_MAX: usize = 4_096;
/// Connections at once.
const CONNECTIONS_MAX: usize = 64;
/// For the head of a request, and for its body.
const READ_MAX: Duration = Duration::from_secs(5);

/// The state that the page shows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DemoState {
    /// Name of the step being played.
    pub step: Option<&'static str>,
    /// Its headline.
    pub title: Option<&'static str>,
    /// `running`, `paused`, `off` or `done`.
    pub script: &'static str,
    /// What was told, oldest first.
    pub log: Vec<Line>,
    /// All faults.
    pub faults: Vec<FaultState>,
}

/// One button.
#[derive(Debug, Clone, Serialize)]
pub struct FaultState {
    id: &'static str,
    label: &'static str,
    kind: &'static str,
    /// Where one direction is cut: the node that sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'static str>,
    /// Where one direction is cut: the node that receives nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'static str>,
    active: bool,
}

impl FaultState {
    /// All faults, and which of them are in force.
    pub fn all(is_active: impl Fn(&'static str) -> bool) -> Vec<Self> {
        let state = |fault: &super::faults::Fault| FaultState {
            from: fault.harm.way().map(|(from, _)| from),
            to: fault.harm.way().map(|(_, to)| to),
            id: fault.id,
            label: fault.label,
            kind: fault.kind,
            active: is_active(fault.id),
        };
        FAULTS.iter().map(state).collect()
    }
}

/// What the page orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Pull or mend a plug.
    Fault(&'static str, bool),
    /// Steer the script.
    Script(ScriptOrder),
}

/// How the script is steered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScriptOrder {
    /// Halt before the next step.
    Pause,
    /// Go on.
    Resume,
    /// Mend everything and begin again.
    Restart,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultOrder {
    id: String,
    active: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptAction {
    action: ScriptOrder,
}

/// Answers until the runtime ends.
pub async fn serve(
    listener: TcpListener,
    state: watch::Receiver<DemoState>,
    orders: mpsc::Sender<Order>,
) {
    let Ok(me) = listener.local_addr() else {
        return;
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        let (state, orders) = (state.clone(), orders.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let (state, orders) = (state.clone(), orders.clone());
                async move { Ok::<_, Infallible>(answer(me, request, &state, &orders).await) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server
                .timer(TokioTimer::new())
                .header_read_timeout(READ_MAX);
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
    }
}

async fn answer(
    me: SocketAddr,
    request: Request<Incoming>,
    state: &watch::Receiver<DemoState>,
    orders: &mpsc::Sender<Order>,
) -> Response<Full<Bytes>> {
    // A page of another origin must not pull plugs: it cannot name this host, nor send JSON
    // without a preflight, which nobody answers here.
    let header = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    if header(HOST).as_deref() != Some(&me.to_string()) {
        return refuse(
            StatusCode::FORBIDDEN,
            "this is the demo's control; ask through a node",
        );
    }
    let path = request.uri().path().to_owned();
    if request.method() == Method::GET && path == "/api/v1/demo" {
        let body = serde_json::to_vec(&*state.borrow()).unwrap_or_default();
        return respond(StatusCode::OK, body);
    }
    if request.method() != Method::POST {
        return refuse(
            StatusCode::NOT_FOUND,
            "there are GET /api/v1/demo, POST /api/v1/demo/fault and /api/v1/demo/script",
        );
    }
    if !header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json")) {
        return refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send JSON with content-type application/json",
        );
    }
    let body = tokio::time::timeout(
        READ_MAX,
        Limited::new(request.into_body(), ORDER_BYTES_MAX).collect(),
    )
    .await;
    let Ok(Ok(body)) = body else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "the order is too long, or did not come",
        );
    };
    let order = match read_order(&path, &body.to_bytes()) {
        Ok(order) => order,
        Err((status, why)) => return refuse(status, &why),
    };
    match orders.try_send(order) {
        Ok(()) => respond(StatusCode::OK, br#"{"status":"ok"}"#.to_vec()),
        Err(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "too many orders at once"),
    }
}

fn read_order(path: &str, body: &[u8]) -> Result<Order, (StatusCode, String)> {
    let wrong = |error: serde_json::Error| (StatusCode::BAD_REQUEST, error.to_string());
    match path {
        "/api/v1/demo/fault" => {
            let order: FaultOrder = serde_json::from_slice(body).map_err(wrong)?;
            let fault = super::faults::by_id(&order.id);
            let fault = fault.ok_or_else(|| {
                (
                    StatusCode::NOT_FOUND,
                    "no fault has this id; GET /api/v1/demo lists them".to_owned(),
                )
            })?;
            Ok(Order::Fault(fault.id, order.active))
        }
        "/api/v1/demo/script" => {
            let order: ScriptAction = serde_json::from_slice(body).map_err(wrong)?;
            Ok(Order::Script(order.action))
        }
        _ => Err((
            StatusCode::NOT_FOUND,
            "there are /api/v1/demo/fault and /api/v1/demo/script".into(),
        )),
    }
}

fn refuse(status: StatusCode, why: &str) -> Response<Full<Bytes>> {
    respond(
        status,
        serde_json::json!({ "error": why }).to_string().into_bytes(),
    )
}

fn respond(status: StatusCode, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("application/json"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_and_rubbish_is_refused() {
        let check = |path: &str, body: &str, expected: Result<Order, u16>| {
            let read = read_order(path, body.as_bytes()).map_err(|(status, _)| status.as_u16());
            assert_eq!(read, expected, "{path} {body}");
        };
        let (fault, script) = ("/api/v1/demo/fault", "/api/v1/demo/script");
        check(
            fault,
            r#"{"id":"kill","active":true}"#,
            Ok(Order::Fault("kill", true)),
        );
        check(fault, r#"{"id":"<b>","active":true}"#, Err(404));
        check(fault, r#"{"id":"kill"}"#, Err(400));
        check(fault, "", Err(400));
        check(
            script,
            r#"{"action":"pause"}"#,
            Ok(Order::Script(ScriptOrder::Pause)),
        );
        check(script, r#"{"action":"explode"}"#, Err(400));
        check("/api/v1/demo/x", "{}", Err(404));
    }
}
