//! Events sent to nodes, and questions about them.

use super::http;
use serde_json::{Value, json};
use std::net::SocketAddr;

pub fn ask(node: SocketAddr, question: &Value) -> Result<Value, String> {
    let headers = [("content-type", "application/json")];
    let answer = http::request(
        node,
        "POST",
        "/api/v1/query",
        &headers,
        &question.to_string(),
    )?;
    match answer.status {
        200 => serde_json::from_str(&answer.body).map_err(|error| error.to_string()),
        status => Err(format!("{status}: {}", answer.body)),
    }
}

pub fn text(node: SocketAddr, question: &str) -> Result<Value, String> {
    ask(node, &json!({"text": question}))
}

pub fn send(
    node: SocketAddr,
    dataset: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Value, String> {
    let path = format!("/api/v1/events?dataset={dataset}");
    let answer = http::request(node, "POST", &path, headers, body)?;
    match answer.status {
        200 => serde_json::from_str(&answer.body).map_err(|error| error.to_string()),
        status => Err(format!("{status}: {}", answer.body)),
    }
}

/// The single number that a question is answered with.
pub fn count(node: SocketAddr, dataset: &str) -> Result<u64, String> {
    let question = json!({"dataset": dataset, "from": "-1d", "to": "2100-01-01T00:00:00Z", "calc": [{"op": "count"}]});
    let answer = ask(node, &question)?;
    answer["rows"][0][0]
        .as_u64()
        .ok_or_else(|| answer.to_string())
}

/// A node's queue of one stream; null where nothing was ever queued.
pub fn queue(node: SocketAddr, stream: &str) -> Result<Value, String> {
    let answer = http::get(node, "/api/v1/spool")?;
    let spool: Value = serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
    let mut streams = spool.as_array().into_iter().flatten();
    let found = streams.find(|one| one["stream"] == stream);
    Ok(found.cloned().unwrap_or(Value::Null))
}

/// Events of a stream that wait on a node.
pub fn waiting(node: SocketAddr, stream: &str) -> Result<u64, String> {
    Ok(queue(node, stream)?["events"].as_u64().unwrap_or(0))
}
