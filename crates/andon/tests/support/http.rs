//! The smallest HTTP client: HTTP/1.0, so that a body ends with its connection and a stream
//! comes in as it is written.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

/// Longest wait for a node's next word.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// One request; `headers` beside `Host`.
pub fn request(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer, String> {
    let mut reader = send(to, method, path, headers, body).map_err(|e| format!("{to}: {e}"))?;
    let status = head(&mut reader).map_err(|e| format!("{to}: {e}"))?;
    let mut body = String::new();
    reader
        .read_to_string(&mut body)
        .map_err(|e| format!("{to}: {e}"))?;
    Ok(Answer { status, body })
}

pub fn get(to: SocketAddr, path: &str) -> Result<Answer, String> {
    request(to, "GET", path, &[], "")
}

fn send(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect_timeout(&to, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut text = format!("{method} {path} HTTP/1.0\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        text += &format!("host: {to}\r\n");
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if method != "GET" {
        text += &format!(
            "content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes())?;
    Ok(BufReader::new(stream))
}

/// Reads the head; the status.
fn head(reader: &mut impl BufRead) -> std::io::Result<u16> {
    let mut status = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::Error::other(
                "the connection ended within the head",
            ));
        }
        match line.trim_end() {
            "" => break,
            line if status.is_none() => {
                status = line.split(' ').nth(1).and_then(|s| s.parse().ok())
            }
            _ => {}
        }
    }
    status.ok_or_else(|| std::io::Error::other("no status"))
}

/// A server-sent event: its name and its data.
pub type Event = (String, serde_json::Value);

/// Subscribes to events; they come until the receiver is dropped or the node ends.
pub fn subscribe(to: SocketAddr, path: &str) -> mpsc::Receiver<Event> {
    let mut reader = send(to, "GET", path, &[("accept", "text/event-stream")], "").unwrap();
    assert_eq!(head(&mut reader).unwrap(), 200);
    reader
        .get_ref()
        .set_read_timeout(Some(4 * TIMEOUT))
        .unwrap();
    let (tx, rx) = mpsc::channel();
    std::thread::spawn(move || {
        let mut name = String::new();
        for line in reader.lines().map_while(Result::ok) {
            if let Some(rest) = line.strip_prefix("event: ") {
                rest.clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                let data = serde_json::from_str(data).expect("events carry JSON");
                if tx.send((name.clone(), data)).is_err() {
                    return;
                }
            }
        }
    });
    rx
}
