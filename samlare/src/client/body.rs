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

/// Long bodies are gathered in pieces of this size: growing one buffer would leave an allocator with
/// as many holes as there are bytes.
const PIECE_BYTES: usize = 64 << 10;

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
    length: usize,
    /// The content while it came in one piece.
    first: Bytes,
    /// The content after that: full pieces, and the last one.
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
    shares: Shares,
    pace: Pace,
}

impl Gathering {
    pub(super) fn new(limit: usize) -> Gathering {
        let (first, full, last) = (Bytes::new(), Vec::new(), Vec::new());
        let (shares, pace) = (Shares::default(), Pace::new());
        Gathering { limit, length: 0, first, full, last, shares, pace }
    }

    /// Appends a piece. Memory follows the received bytes, whatever the header announced.
    pub(super) async fn add(&mut self, piece: Bytes) -> Result<(), Failure> {
        self.pace.step().await;
        self.length += piece.len();
        if self.length > self.limit {
            return Err(Failure::TooLarge(self.limit));
        }
        self.shares.cover(self.length)?;
        if self.length == piece.len() {
            self.first = piece;
            return Ok(());
        }
        let first = std::mem::take(&mut self.first);
        self.append(&first);
        self.append(&piece);
        Ok(())
    }

    fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.last.len() == PIECE_BYTES {
                let next = Vec::with_capacity(PIECE_BYTES);
                self.full.push(std::mem::replace(&mut self.last, next));
            }
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES - self.last.len()));
            if self.last.is_empty() {
                self.last.reserve(now.len().max(PIECE_BYTES / 4));
            }
            self.last.extend_from_slice(now);
            bytes = later;
        }
    }

    /// The content in one piece.
    async fn whole(&mut self) -> Bytes {
        if self.full.is_empty() {
            let last = std::mem::take(&mut self.last);
            return if last.is_empty() { std::mem::take(&mut self.first) } else { last.into() };
        }
        let mut whole = Vec::with_capacity(self.length);
        for piece in self.full.drain(..) {
            whole.extend_from_slice(&piece);
            self.pace.step().await;
        }
        whole.extend_from_slice(&self.last);
        whole.into()
    }

    /// Finishes the body according to its headers.
    pub(super) async fn body(mut self, headers: HeaderMap) -> Result<Body, Failure> {
        let came = self.whole().await;
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

    #[tokio::test]
    async fn a_body_is_whole_whatever_the_sizes_of_its_pieces() {
        for sizes in [
            &[][..],
            &[5],
            &[PIECE_BYTES * 3],
            &[5, 6],
            &[PIECE_BYTES - 1, 1],
            &[PIECE_BYTES, PIECE_BYTES, 1],
            &[1, PIECE_BYTES * 3, 7, PIECE_BYTES - 8, 1],
        ] {
            let length: usize = sizes.iter().sum();
            let sent: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let (mut gathering, mut rest) = (Gathering::new(length), Bytes::from(sent.clone()));
            for size in sizes {
                gathering.add(rest.split_to(*size)).await.unwrap();
            }
            let body = gathering.body(HeaderMap::new()).await.unwrap();
            assert!(body.bytes() == sent && body.wire_bytes == length, "{sizes:?}");
        }
    }

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
