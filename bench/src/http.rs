//! Just enough HTTP to read a node's picture on loopback.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_millis(500);

/// GET a JSON document; `None` if there is no good answer in time.
pub fn get(address: SocketAddr, path: &str) -> Option<Value> {
    serde_json::from_str(&get_text(address, path)?).ok()
}

/// GET a text; `None` if there is no good answer in time.
pub fn get_text(address: SocketAddr, path: &str) -> Option<String> {
    ask(
        address,
        &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"),
    )
}

/// POST a JSON document.
pub fn post(address: SocketAddr, path: &str, body: &Value) -> Option<Value> {
    let body = body.to_string();
    let answer = ask(
        address,
        &format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\norigin: http://{address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        ),
    );
    serde_json::from_str(&answer?).ok()
}

fn ask(address: SocketAddr, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    if !head.starts_with("HTTP/1.1 2") {
        return None;
    }
    Some(body.to_owned())
}
