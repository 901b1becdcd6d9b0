//! Packed bytes, unpacked within bounds: a body of a kilobyte that unpacks to a gigabyte is
//! refused long before.

use crate::limits::{INFLATE_FREE_BYTES, INFLATE_RATIO_MAX};
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Plain,
    /// RFC 1952, one member or several.
    Gzip,
    /// zlib, as HTTP's `deflate`.
    Deflate,
    /// RFC 8878.
    Zstd,
}

impl Encoding {
    /// By the name in HTTP's `Content-Encoding`.
    pub fn by_name(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Plain),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// By a file's name: `.gz`, `.zst`, else plain.
    pub fn by_file_name(name: &str) -> Self {
        match name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("gz") => Self::Gzip,
            Some("zst" | "zstd") => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

/// Why bytes cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum InflateError {
    /// They unpack to far more than they are.
    #[error("{packed} bytes unpack to more than {unpacked}: more than {INFLATE_RATIO_MAX} times")]
    Bomb {
        /// Bytes read.
        packed: u64,
        /// Bytes they have become so far.
        unpacked: u64,
    },
    /// They unpack to more than the input takes.
    #[error("unpacked larger than {0} bytes")]
    TooLarge(usize),
    /// They are not what they claim to be.
    #[error("packing is broken: {0}")]
    Broken(io::Error),
}

/// Reads unpacked bytes out of packed ones. A bomb is an error that holds [`InflateError::Bomb`].
pub struct Inflate<R: Read> {
    unpacked: u64,
    packed: Arc<AtomicU64>,
    inner: Inner<Counted<R>>,
}

enum Inner<R: Read> {
    Plain(R),
    Gzip(Box<flate2::read::MultiGzDecoder<R>>),
    Deflate(Box<flate2::read::ZlibDecoder<R>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<R>>>),
}

struct Counted<R> {
    reader: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.reader.read(buffer)?;
        self.bytes.fetch_add(bytes as u64, Relaxed);
        Ok(bytes)
    }
}

impl<R: Read> Inflate<R> {
    /// Bytes of `reader`, unpacked.
    pub fn new(encoding: Encoding, reader: R) -> io::Result<Self> {
        let packed = Arc::new(AtomicU64::new(0));
        let reader = Counted {
            reader,
            bytes: packed.clone(),
        };
        let inner = match encoding {
            Encoding::Plain => Inner::Plain(reader),
            Encoding::Gzip => Inner::Gzip(Box::new(flate2::read::MultiGzDecoder::new(reader))),
            Encoding::Deflate => Inner::Deflate(Box::new(flate2::read::ZlibDecoder::new(reader))),
            Encoding::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(reader)?;
                // A window of 8 MB is what zstd makes by default at its highest usual level.
                decoder.window_log_max(23)?;
                Inner::Zstd(Box::new(decoder))
            }
        };
        Ok(Self {
            unpacked: 0,
            packed,
            inner,
        })
    }

    /// Bytes read so far, packed.
    pub fn packed_bytes(&self) -> u64 {
        self.packed.load(Relaxed)
    }
}

impl<R: Read> Read for Inflate<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = match &mut self.inner {
            Inner::Plain(reader) => return reader.read(buffer),
            Inner::Gzip(reader) => reader.read(buffer)?,
            Inner::Deflate(reader) => reader.read(buffer)?,
            Inner::Zstd(reader) => reader.read(buffer)?,
        };
        self.unpacked += bytes as u64;
        let packed = self.packed.load(Relaxed);
        if self.unpacked > INFLATE_FREE_BYTES + packed.saturating_mul(INFLATE_RATIO_MAX) {
            let unpacked = self.unpacked;
            return Err(io::Error::other(InflateError::Bomb { packed, unpacked }));
        }
        Ok(bytes)
    }
}

/// A whole body, unpacked, of at most `bytes_max`.
pub fn inflate(encoding: Encoding, body: &[u8], bytes_max: usize) -> Result<Vec<u8>, InflateError> {
    let mut unpacked = Vec::new();
    let reader = Inflate::new(encoding, body).map_err(InflateError::Broken)?;
    let read = reader.take(bytes_max as u64 + 1).read_to_end(&mut unpacked);
    read.map_err(|error| match error.downcast::<InflateError>() {
        Ok(bomb) => bomb,
        Err(error) => InflateError::Broken(error),
    })?;
    if unpacked.len() > bytes_max {
        return Err(InflateError::TooLarge(bytes_max));
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(bytes, 3).unwrap()
    }

    #[test]
    fn what_was_packed_comes_out_and_bombs_do_not_go_off() {
        let text = b"a line of a log\n".repeat(1000);
        assert_eq!(
            inflate(Encoding::Gzip, &gzip(&text), 1 << 20).unwrap(),
            text
        );
        assert_eq!(
            inflate(Encoding::Zstd, &zstd(&text), 1 << 20).unwrap(),
            text
        );
        let two = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(inflate(Encoding::Gzip, &two, 100).unwrap(), b"one two");

        let zeros = vec![0; 64 << 20];
        for (encoding, bomb) in [
            (Encoding::Gzip, gzip(&zeros)),
            (Encoding::Zstd, zstd(&zeros)),
        ] {
            assert!(bomb.len() < 300_000);
            let answer = inflate(encoding, &bomb, 1 << 30);
            assert!(
                matches!(answer, Err(InflateError::Bomb { .. })),
                "{encoding:?}"
            );
            let answer = inflate(encoding, &bomb, 1000);
            assert!(
                matches!(answer, Err(InflateError::TooLarge(1000))),
                "{encoding:?}"
            );
        }
    }

    #[test]
    fn a_packed_body_that_ends_too_early_is_an_error() {
        let packed = gzip(&b"text ".repeat(100));
        let half = &packed[..packed.len() / 2];
        assert!(matches!(
            inflate(Encoding::Gzip, half, 1000),
            Err(InflateError::Broken(_))
        ));
    }

    proptest! {
        #[test]
        fn rubbish_is_an_error_and_no_panic(bytes: Vec<u8>, kind in 0..3usize) {
            let encoding = [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd][kind];
            let _ = inflate(encoding, &bytes, 1 << 20);
        }
    }
}
