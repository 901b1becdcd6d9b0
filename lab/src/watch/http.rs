//! As much HTTP as asking a node on loopback takes: one connection, kept open, GET with an
//! entity tag, a body of known length.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Largest document that is read.
const BODY_BYTES_MAX: u64 = 64 << 20;
/// Longest header line, and most of them.
const LINE_BYTES_MAX: u64 = 16 << 10;
const LINES_MAX: usize = 64;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Entity tag.
    pub etag: Option<String>,
    /// Body.
    pub body: Vec<u8>,
}

/// A connection to the node in the calling thread's namespace.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Opens one; every read and write on it is bounded by `timeout`.
    pub fn open(port: u16, timeout: Duration) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Asks for a path.
    pub fn get(&mut self, path: &str, etag: Option<&str>) -> io::Result<Answer> {
        let condition = etag.map_or(String::new(), |etag| format!("If-None-Match: {etag}\r\n"));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: andon-lab\r\n{condition}\r\n"
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let status_line = self.line()?;
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| odd("no status line"))?;
        let mut length = None;
        let mut found_etag = None;
        let mut chunked = false;
        for _ in 0..LINES_MAX {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse::<u64>().ok(),
                "etag" => found_etag = Some(value.to_owned()),
                "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
                _ => {}
            }
        }
        let body = match (status, length) {
            (304, _) => Vec::new(),
            (_, Some(length)) => self.bytes(length)?,
            _ if chunked => self.chunks()?,
            _ => return Err(odd("a body of unknown length")),
        };
        Ok(Answer {
            status,
            etag: found_etag,
            body,
        })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        let read = (&mut self.stream)
            .take(LINE_BYTES_MAX)
            .read_line(&mut line)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn bytes(&mut self, length: u64) -> io::Result<Vec<u8>> {
        if length > BODY_BYTES_MAX {
            return Err(odd("a body that is too long"));
        }
        let mut body = Vec::new();
        (&mut self.stream).take(length).read_to_end(&mut body)?;
        match body.len() as u64 == length {
            true => Ok(body),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let length = line.split(';').next().unwrap_or("").trim();
            let length = u64::from_str_radix(length, 16).map_err(|_| odd("a chunk's length"))?;
            if length + body.len() as u64 > BODY_BYTES_MAX {
                return Err(odd("a body that is too long"));
            }
            body.extend(self.bytes(length)?);
            self.line()?;
            if length == 0 {
                return Ok(body);
            }
        }
    }
}

fn odd(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("it answers with {what}"),
    )
}
