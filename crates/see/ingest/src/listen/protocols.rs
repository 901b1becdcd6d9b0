//! What connections carry: lines, syslog's two framings, Fluent's messages.

use super::connection::Protocol;
use crate::decode::line::{LineDecoder, LineStream};
use crate::decode::{StreamDecoder, fluent, graphite, statsd, syslog};
use crate::limits::{BODY_BYTES_MAX, LINE_BYTES_MAX};
use crate::lines::LineSplitter;
use crate::record::Record;
use crate::reject::{Decoded, Mend, Reason};
use crate::when;
use andon_model::event::Value;
use andon_model::time::Timestamp;

/// Syslog over TCP and TLS: records with their length before them (RFC 6587 octet counting,
/// RFC 5425), or lines. Which of them is seen at each record's first byte.
#[derive(Debug)]
pub struct SyslogStream {
    held: Vec<u8>,
    /// Bytes of a record that is too long, still to be passed over.
    skip: usize,
    splitter: LineSplitter,
    inner: LineDecoder,
}

impl Default for SyslogStream {
    fn default() -> Self {
        Self {
            held: Vec::new(),
            skip: 0,
            inner: LineDecoder::default(),
            splitter: LineSplitter::new(LINE_BYTES_MAX),
        }
    }
}

/// Reads one syslog record, and what its message says in turn.
pub fn syslog_record(
    inner: &mut LineDecoder,
    bytes: &[u8],
    cut_bytes: u64,
    received: Timestamp,
    out: &mut Decoded,
) {
    if bytes.is_empty() {
        return;
    }
    let mut record = Record::new(received);
    syslog::parse(bytes, &mut record, when::local_offset(received));
    if cut_bytes > 0 {
        record.mend(Mend::Cut);
        record.put("andon.cut_bytes", Value::Integer(cut_bytes as i64));
    }
    out.push(inner.refine(record));
}

impl SyslogStream {
    /// Takes one record off the front of `bytes`; false while it is not complete.
    fn take(&mut self, bytes: &mut &[u8], received: Timestamp, out: &mut Decoded) -> bool {
        let is_counted = self.splitter.begun_bytes() == 0
            && bytes
                .first()
                .is_some_and(|byte| matches!(byte, b'1'..=b'9'));
        if is_counted {
            let head = &bytes[..bytes.len().min(10)];
            let Some(space) = head.iter().position(|byte| *byte == b' ') else {
                if head.len() < 10 && head.iter().all(u8::is_ascii_digit) {
                    return false;
                }
                return self.take_line(bytes, received, out);
            };
            let length = std::str::from_utf8(&head[..space]).ok();
            if let Some(length) = length.and_then(|text| text.parse::<usize>().ok()) {
                let start = space + 1;
                let kept = length.min(LINE_BYTES_MAX);
                if bytes.len() < start + kept {
                    return false;
                }
                let cut = length - kept;
                syslog_record(
                    &mut self.inner,
                    &bytes[start..start + kept],
                    cut as u64,
                    received,
                    out,
                );
                *bytes = &bytes[start + kept..];
                self.skip = cut;
                return true;
            }
        }
        self.take_line(bytes, received, out)
    }

    fn take_line(&mut self, bytes: &mut &[u8], received: Timestamp, out: &mut Decoded) -> bool {
        // NUL ends records of some senders.
        let end = bytes.iter().position(|byte| matches!(byte, b'\n' | 0));
        let taken = end.map_or(bytes.len(), |end| end + 1);
        let line = &bytes[..end.unwrap_or(bytes.len())];
        *bytes = &bytes[taken..];
        self.splitter.push(line, |_| {});
        if end.is_some() {
            let inner = &mut self.inner;
            self.splitter.finish(|line| {
                syslog_record(inner, line.bytes, line.cut_bytes, received, out);
            });
        }
        end.is_some()
    }
}

impl Protocol for SyslogStream {
    fn push(
        &mut self,
        bytes: &[u8],
        received: Timestamp,
        out: &mut Decoded,
    ) -> Result<Vec<u8>, String> {
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let mut rest = held.as_slice();
        loop {
            let skipped = self.skip.min(rest.len());
            self.skip -= skipped;
            rest = &rest[skipped..];
            if rest.is_empty() || !self.take(&mut rest, received, out) {
                break;
            }
        }
        let left = held.len() - rest.len();
        held.drain(..left);
        self.held = held;
        Ok(Vec::new())
    }

    fn finish(&mut self, received: Timestamp, out: &mut Decoded) {
        let inner = &mut self.inner;
        self.splitter.finish(|line| {
            syslog_record(inner, line.bytes, line.cut_bytes, received, out);
        });
        if !self.held.is_empty() {
            out.reject(0, Reason::Malformed, "the connection ended within a record");
        }
    }

    fn held_bytes(&self) -> usize {
        self.held.len() + self.splitter.begun_bytes().min(LINE_BYTES_MAX as u64) as usize
    }
}

/// What lines are.
#[derive(Debug)]
pub enum Lines {
    /// StatsD.
    Statsd,
    /// Graphite's plain text.
    Graphite,
}

/// Lines of metrics over TCP.
#[derive(Debug)]
pub struct MetricLines {
    kind: Lines,
    splitter: LineSplitter,
    line: u64,
}

impl MetricLines {
    /// Of one kind. A metric's line is short: 64 kB are more than any.
    pub fn new(kind: Lines) -> Self {
        Self {
            kind,
            splitter: LineSplitter::new(64 * 1024),
            line: 0,
        }
    }
}

fn metric_line(
    kind: &Lines,
    line: crate::lines::Line<'_>,
    number: &mut u64,
    received: Timestamp,
    out: &mut Decoded,
) {
    *number += 1;
    match kind {
        _ if line.cut_bytes > 0 => {
            out.reject(
                *number,
                Reason::TooLong,
                "a line of more than 64 kB is no metric",
            );
        }
        Lines::Statsd => statsd::decode(line.bytes, received, out),
        Lines::Graphite => graphite::decode(line.bytes, *number, received, out),
    }
}

impl Protocol for MetricLines {
    fn push(
        &mut self,
        bytes: &[u8],
        received: Timestamp,
        out: &mut Decoded,
    ) -> Result<Vec<u8>, String> {
        let (kind, number) = (&self.kind, &mut self.line);
        self.splitter
            .push(bytes, |line| metric_line(kind, line, number, received, out));
        Ok(Vec::new())
    }

    fn finish(&mut self, received: Timestamp, out: &mut Decoded) {
        let (kind, number) = (&self.kind, &mut self.line);
        self.splitter
            .finish(|line| metric_line(kind, line, number, received, out));
    }

    fn held_bytes(&self) -> usize {
        self.splitter.begun_bytes() as usize
    }
}

/// Lines of logs over TCP, in any format.
#[derive(Debug, Default)]
pub struct LogLines(pub LineStream);

impl Protocol for LogLines {
    fn push(
        &mut self,
        bytes: &[u8],
        received: Timestamp,
        out: &mut Decoded,
    ) -> Result<Vec<u8>, String> {
        self.0.push(bytes, received, out);
        // What is held waits for its next line only within one piece: nobody else asks.
        self.0.flush(received, out);
        Ok(Vec::new())
    }

    fn finish(&mut self, received: Timestamp, out: &mut Decoded) {
        self.0.finish(received, out);
    }

    fn held_bytes(&self) -> usize {
        LINE_BYTES_MAX.min(self.0.held_bytes())
    }
}

/// Fluent's forward protocol.
#[derive(Debug, Default)]
pub struct FluentStream {
    held: Vec<u8>,
    /// Trying again is worth it from this many bytes on: a large message is walked through
    /// anew each time.
    try_at: usize,
}

impl Protocol for FluentStream {
    fn push(
        &mut self,
        bytes: &[u8],
        received: Timestamp,
        out: &mut Decoded,
    ) -> Result<Vec<u8>, String> {
        self.held.extend_from_slice(bytes);
        let mut answers = Vec::new();
        // A sender that has said all it wants now leaves a piece that is not full.
        let is_pause = bytes.len() < 16 * 1024;
        if self.held.len() < self.try_at && !is_pause {
            return Ok(answers);
        }
        let mut rest = self.held.as_slice();
        let mut broken = None;
        while !rest.is_empty() {
            match fluent::message(&mut rest, received) {
                Ok(Some(message)) => {
                    out.merge(message.decoded);
                    answers.extend(message.answer.unwrap_or_default());
                }
                Ok(None) => break,
                Err(error) => {
                    broken = Some(error.to_string());
                    break;
                }
            }
        }
        let left = self.held.len() - rest.len();
        self.held.drain(..left);
        self.try_at = self.held.len() * 2;
        match broken {
            Some(error) => Err(error),
            None if self.held.len() > BODY_BYTES_MAX => {
                Err(format!("a message of more than {BODY_BYTES_MAX} bytes"))
            }
            None => Ok(answers),
        }
    }

    fn finish(&mut self, _received: Timestamp, out: &mut Decoded) {
        if !self.held.is_empty() {
            out.reject(
                0,
                Reason::Malformed,
                "the connection ended within a message",
            );
        }
    }

    fn held_bytes(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bodies(text: &[u8], piece: usize) -> Vec<String> {
        let mut stream = SyslogStream::default();
        let mut out = Decoded::default();
        for piece in text.chunks(piece) {
            stream.push(piece, Timestamp(1), &mut out).unwrap();
        }
        stream.finish(Timestamp(1), &mut out);
        let events = out.events.iter();
        events
            .map(|event| event.get("body").unwrap().to_string())
            .collect()
    }

    #[test]
    fn syslog_comes_counted_or_in_lines_or_mixed() {
        let text = b"<13>one\n11 <13>two\nand<13>three\n8 <13>four<13>five\0<13>six";
        for piece in [1, 3, 1000] {
            let expected = ["one", "two\nand", "three", "four", "five", "six"];
            assert_eq!(bodies(text, piece), expected, "pieces of {piece}");
        }
    }

    #[test]
    fn a_record_of_a_hundred_megabytes_is_cut() {
        let mut stream = SyslogStream::default();
        let mut out = Decoded::default();
        stream
            .push(b"99999999 <13>", Timestamp(1), &mut out)
            .unwrap();
        let mut left = 99_999_999 - 4;
        while left > 0 {
            let piece = left.min(1 << 20);
            stream
                .push(&vec![b'x'; piece], Timestamp(1), &mut out)
                .unwrap();
            assert!(stream.held_bytes() <= 2 << 20);
            left -= piece;
        }
        stream.push(b"7 <13>end", Timestamp(1), &mut out).unwrap();
        assert_eq!(out.events.len(), 2);
        let cut = Value::Integer(99_999_999 - LINE_BYTES_MAX as i64);
        assert_eq!(out.events[0].get("andon.cut_bytes"), Some(&cut));
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(bytes: Vec<u8>, text in "[<13> 09a\n\\x00]{0,60}", piece in 1usize..9) {
            bodies(text.as_bytes(), piece);
            bodies(&bytes, piece);
            let mut out = Decoded::default();
            let _ = FluentStream::default().push(&bytes, Timestamp(1), &mut out);
            let _ = MetricLines::new(Lines::Statsd).push(&bytes, Timestamp(1), &mut out);
        }
    }
}
