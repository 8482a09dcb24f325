//! Response bodies, with a limit for each and for all together.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::failure::Failure;
use super::gunzip;
use super::pace::Pace;

/// Smaller bodies do not count toward the total.
const SMALL_BYTES: usize = 64 << 10;

/// The most memory of all larger bodies being read.
const LARGE_TOTAL_BYTES: usize = 512 << 20;

/// A whole body, decompressed.
pub struct Body {
    headers: HeaderMap,
    bytes: Bytes,
    /// Size of the body as transferred.
    pub wire_bytes: usize,
    _shares: Shares,
}

impl Body {
    /// The document.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The value of the answer's header of this name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.headers.get(name)?.as_bytes()).ok()
    }
}

/// A body being read.
pub(super) struct Gathering {
    limit: usize,
    /// The content while it is one piece.
    first: Bytes,
    /// The content after that.
    bytes: Vec<u8>,
    shares: Shares,
    pace: Pace,
}

impl Gathering {
    pub(super) fn new(limit: usize) -> Gathering {
        let (first, bytes) = (Bytes::new(), Vec::new());
        Gathering { limit, first, bytes, shares: Shares::default(), pace: Pace::new() }
    }

    /// Appends a piece. Memory follows the received bytes, whatever the header announced.
    pub(super) async fn add(&mut self, piece: Bytes) -> Result<(), Failure> {
        self.pace.step().await;
        let length = self.first.len() + self.bytes.len() + piece.len();
        if length > self.limit {
            return Err(Failure::TooLarge(self.limit));
        }
        self.shares.cover(length)?;
        if length == piece.len() {
            self.first = piece;
            return Ok(());
        }
        if !self.first.is_empty() {
            self.bytes.reserve(length.max(SMALL_BYTES / 4));
            self.bytes.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.bytes.extend_from_slice(&piece);
        Ok(())
    }

    /// Finishes the body according to its headers.
    pub(super) async fn body(mut self, headers: HeaderMap) -> Result<Body, Failure> {
        let came = if self.bytes.is_empty() { self.first } else { self.bytes.into() };
        let wire_bytes = came.len();
        let bytes = if is_gzip(&headers)? {
            gunzip::decompress(&came, self.limit, &mut self.shares, &mut self.pace).await?.into()
        } else {
            came
        };
        Ok(Body { headers, bytes, wire_bytes, _shares: self.shares })
    }
}

/// Whether the body is compressed. As in Go's client, an encoding that is not a compression
/// (`utf-8`, `identity`, `none`) is ignored.
fn is_gzip(headers: &HeaderMap) -> Result<bool, Failure> {
    let mut gzip = false;
    for label in headers.get_all(CONTENT_ENCODING) {
        for label in label.as_bytes().split(|byte| *byte == b',') {
            match label.trim_ascii().to_ascii_lowercase().as_slice() {
                b"gzip" | b"x-gzip" if !gzip => gzip = true,
                b"gzip" | b"x-gzip" | b"br" | b"deflate" | b"zstd" | b"compress"
                | b"x-compress" => return Err(Failure::Encoding("it is not gzip".to_owned())),
                _ => {}
            }
        }
    }
    Ok(gzip)
}

/// A body's share of the memory for large ones.
#[derive(Default)]
pub(super) struct Shares {
    held: Vec<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Shares {
    /// Reserves memory up to `bytes`, doubling each time as buffers do.
    pub(super) fn cover(&mut self, bytes: usize) -> Result<(), Failure> {
        static MEMORY: OnceLock<Arc<Semaphore>> = OnceLock::new();
        self.bytes = self.bytes.max(SMALL_BYTES);
        while self.bytes < bytes {
            let memory = MEMORY.get_or_init(|| Arc::new(Semaphore::new(LARGE_TOTAL_BYTES >> 10)));
            let share = (self.bytes >> 10) as u32;
            let permit =
                memory.clone().try_acquire_many_owned(share).map_err(|_| Failure::Crowded)?;
            self.held.push(permit);
            self.bytes *= 2;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_go_reads_them() {
        let read = |labels: &[&str]| {
            let mut headers = HeaderMap::new();
            for label in labels {
                headers.append(CONTENT_ENCODING, label.parse().unwrap());
            }
            is_gzip(&headers).map_err(|failure| failure.to_string())
        };
        for plain in [&[][..], &[""], &["utf-8"], &["UTF-8"], &["identity"], &["none", "identity"]]
        {
            assert_eq!(read(plain), Ok(false), "{plain:?}");
        }
        for gzip in [&["gzip"][..], &["GZip"], &["x-gzip"], &["identity, gzip"]] {
            assert_eq!(read(gzip), Ok(true), "{gzip:?}");
        }
        for other in [&["br"][..], &["deflate"], &["gzip, gzip"], &["gzip", "zstd"]] {
            assert!(read(other).is_err(), "{other:?}");
        }
    }
}
