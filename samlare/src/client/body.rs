//! The bytes of an answer, bounded one by one and all together.

use std::io::Read;
use std::sync::{Arc, OnceLock};

use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::CONTENT_ENCODING;
use hyper::{HeaderMap, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::Connection;
use super::failure::Failure;

/// Bodies up to this size are read without asking.
const SMALL_BYTES: usize = 64 << 10;

/// What all larger bodies that are being read may take together.
const LARGE_TOTAL_BYTES: usize = 512 << 20;

/// A whole body, decompressed.
pub struct Body {
    bytes: Vec<u8>,
    /// Bytes as they came over the wire.
    pub wire_bytes: usize,
    /// The answer's headers.
    pub headers: HeaderMap,
    _shares: Vec<OwnedSemaphorePermit>,
}

impl Body {
    /// The document.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) async fn read(
        response: Response<Incoming>,
        connection: &mut Connection,
        limit: usize,
    ) -> Result<Body, Failure> {
        let gzip = encoding(&response)?;
        let announced = response.body().size_hint().exact().unwrap_or(0);
        if announced > limit as u64 {
            return Err(Failure::TooLarge(limit));
        }
        let mut shares = Shares { held: Vec::new(), bytes: SMALL_BYTES };
        // A length is believed only so far: memory follows what really comes.
        let mut bytes = Vec::with_capacity((announced as usize).min(SMALL_BYTES));
        let (parts, mut incoming) = response.into_parts();
        while let Some(frame) = connection.while_driven(incoming.frame()).await {
            let frame = frame.map_err(|error| Failure::Broken(cause(&error)))?;
            let Some(data) = frame.data_ref() else { continue };
            if bytes.len() + data.len() > limit {
                return Err(Failure::TooLarge(limit));
            }
            shares.cover(bytes.len() + data.len())?;
            bytes.extend_from_slice(data);
        }
        let wire_bytes = bytes.len();
        if gzip {
            bytes = decompress(&bytes, limit, &mut shares)?;
        }
        Ok(Body { bytes, wire_bytes, headers: parts.headers, _shares: shares.held })
    }
}

fn encoding(response: &Response<Incoming>) -> Result<bool, Failure> {
    let Some(value) = response.headers().get(CONTENT_ENCODING) else { return Ok(false) };
    match value.as_bytes().to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => Ok(true),
        b"identity" | b"" => Ok(false),
        _ => Err(Failure::Encoding("its content encoding is not gzip".to_owned())),
    }
}

fn decompress(packed: &[u8], limit: usize, shares: &mut Shares) -> Result<Vec<u8>, Failure> {
    let mut decoder = MultiGzDecoder::new(packed);
    let mut bytes = Vec::with_capacity((packed.len() * 4).min(SMALL_BYTES));
    let mut chunk = [0; 16 << 10];
    loop {
        let length =
            decoder.read(&mut chunk).map_err(|error| Failure::Encoding(error.to_string()))?;
        if length == 0 {
            return Ok(bytes);
        }
        if bytes.len() + length > limit {
            return Err(Failure::TooLarge(limit));
        }
        shares.cover(bytes.len() + length)?;
        bytes.extend_from_slice(&chunk[..length]);
    }
}

/// What this body holds of the memory for all large ones.
struct Shares {
    held: Vec<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Shares {
    /// Takes shares until `bytes` are covered, twice as much each time, as the buffer grows.
    fn cover(&mut self, bytes: usize) -> Result<(), Failure> {
        static MEMORY: OnceLock<Arc<Semaphore>> = OnceLock::new();
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

/// The innermost reason; hyper's own words only say that there was one.
pub(super) fn cause(error: &hyper::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
