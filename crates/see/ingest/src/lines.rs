//! Lines out of bytes that come in pieces, each at most so long. What is over is left out and
//! counted, so that a line of 100 MB costs one line's memory.

use memchr::memchr;

/// One line, without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its bytes, without `\n` or `\r\n`.
    pub bytes: &'a [u8],
    /// Bytes that were left out at its end.
    pub cut_bytes: u64,
}

/// Cuts bytes into lines.
#[derive(Debug)]
pub struct LineSplitter {
    begun: Vec<u8>,
    cut_bytes: u64,
    line_bytes_max: usize,
}

impl LineSplitter {
    /// Lines of at most `line_bytes_max` bytes.
    pub fn new(line_bytes_max: usize) -> Self {
        Self {
            begun: Vec::new(),
            cut_bytes: 0,
            line_bytes_max,
        }
    }

    /// Bytes of the line that has no end yet, with those that were left out.
    pub fn begun_bytes(&self) -> u64 {
        self.begun.len() as u64 + self.cut_bytes
    }

    /// More bytes; `each` gets every line that ends in them.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if self.begun.is_empty() && line.len() <= self.line_bytes_max {
                each(trimmed(line, 0));
            } else {
                self.hold(line);
                self.emit(&mut each);
            }
        }
        self.hold(bytes);
    }

    /// The last line, if it has no end.
    pub fn finish(&mut self, mut each: impl FnMut(Line<'_>)) {
        if !self.begun.is_empty() {
            self.emit(&mut each);
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        let room = self.line_bytes_max.saturating_sub(self.begun.len());
        let kept = bytes.len().min(room);
        self.begun.extend_from_slice(&bytes[..kept]);
        self.cut_bytes += (bytes.len() - kept) as u64;
    }

    fn emit(&mut self, each: &mut impl FnMut(Line<'_>)) {
        each(trimmed(&self.begun, self.cut_bytes));
        self.begun.clear();
        self.begun.shrink_to(64 * 1024);
        self.cut_bytes = 0;
    }
}

fn trimmed(line: &[u8], cut_bytes: u64) -> Line<'_> {
    Line {
        bytes: line.strip_suffix(b"\r").unwrap_or(line),
        cut_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(text: &[u8], piece: usize, max: usize) -> Vec<(Vec<u8>, u64)> {
        let mut splitter = LineSplitter::new(max);
        let mut lines = Vec::new();
        let mut take = |line: Line<'_>| lines.push((line.bytes.to_vec(), line.cut_bytes));
        for piece in text.chunks(piece) {
            splitter.push(piece, &mut take);
        }
        splitter.finish(&mut take);
        lines
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let text = [b"ab\r\n".to_vec(), vec![b'x'; 1000], b"\nlast".to_vec()].concat();
        let expected = [
            (b"ab".to_vec(), 0),
            (vec![b'x'; 10], 990),
            (b"last".to_vec(), 0),
        ];
        for piece in [1, 3, 7, 2000] {
            assert_eq!(lines(&text, piece, 10), expected, "pieces of {piece}");
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text: Vec<u8>, piece in 1usize..50) {
            prop_assert_eq!(lines(&text, piece, 20), lines(&text, usize::MAX, 20));
        }
    }
}
