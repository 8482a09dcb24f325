//! The bytes of an answer, bounded one by one and all together.

use std::cell::Cell;
use std::io::Read;
use std::sync::{Arc, OnceLock};

use flate2::read::MultiGzDecoder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::Connection;
use super::failure::Failure;
use super::head::{self, Framing, Head, MAX_HEAD_BYTES};

/// What is read at a time, and the first size of a buffer.
const READ_BYTES: usize = 16 << 10;

/// Bodies up to this size are read without asking.
const SMALL_BYTES: usize = 64 << 10;

/// What all larger bodies that are being read may take together.
const LARGE_TOTAL_BYTES: usize = 512 << 20;

/// The longest line before a chunk.
const MAX_CHUNK_LINE_BYTES: usize = 1 << 10;

/// A whole body, decompressed.
pub struct Body {
    head: Box<[u8]>,
    buffer: Vec<u8>,
    start: usize,
    /// Bytes of the body as they came over the wire.
    pub wire_bytes: usize,
    _shares: Vec<OwnedSemaphorePermit>,
}

impl Body {
    /// The document.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// The value of the answer's header of this name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        head::header(&self.head, name)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if self.buffer.capacity() <= SMALL_BYTES {
            SPARE.set(std::mem::take(&mut self.buffer));
        }
    }
}

thread_local! {
    /// The buffer of the last body of this thread.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// An answer being read: first its head, then its body.
pub(super) struct Answer {
    pub(super) head: Head,
    buffer: Vec<u8>,
    shares: Shares,
}

impl Answer {
    /// Reads until the head is whole. Answers that only announce another (1xx) are passed over.
    pub(super) async fn begin(connection: &mut Connection) -> Result<Answer, Failure> {
        let mut buffer = SPARE.take();
        buffer.clear();
        buffer.reserve(READ_BYTES);
        let shares = Shares { held: Vec::new(), bytes: SMALL_BYTES };
        loop {
            if !buffer.is_empty() {
                match Head::parse(&buffer)? {
                    Some(head) if (100..200).contains(&head.status) => {
                        buffer.drain(..head.bytes);
                        continue;
                    }
                    Some(head) => return Ok(Answer { head, buffer, shares }),
                    None if buffer.len() > MAX_HEAD_BYTES => {
                        return Err(Failure::Broken("its head is larger than 64 KiB".to_owned()));
                    }
                    None => {}
                }
            }
            receive(connection, &mut buffer).await?;
        }
    }

    /// Reads the body to its end.
    pub(super) async fn body(
        mut self,
        connection: &mut Connection,
        limit: usize,
    ) -> Result<(Body, Head), Failure> {
        let start = self.head.bytes;
        let raw_head = Box::from(&self.buffer[..start]);
        let mut start = match self.head.framing {
            Framing::Length(length) => {
                let length = usize::try_from(length).ok().filter(|length| *length <= limit);
                let end = start + length.ok_or(Failure::TooLarge(limit))?;
                while self.buffer.len() < end {
                    self.more(connection, end).await?;
                }
                // What came after the end belongs to nothing that was asked.
                self.head.keeps &= self.buffer.len() == end;
                self.buffer.truncate(end);
                start
            }
            Framing::Close => loop {
                if self.buffer.len() - start > limit {
                    return Err(Failure::TooLarge(limit));
                }
                self.reserve(usize::MAX)?;
                if connection.receive(&mut self.buffer).await.map_err(lost)? == 0 {
                    break start;
                }
            },
            Framing::Chunked => {
                self.chunks(connection, limit).await?;
                0
            }
        };
        let wire_bytes = self.buffer.len() - start;
        if self.head.gzip {
            self.buffer = decompress(&self.buffer[start..], limit, &mut self.shares)?;
            start = 0;
        }
        let Answer { head, buffer, shares } = self;
        let body = Body { head: raw_head, buffer, start, wire_bytes, _shares: shares.held };
        Ok((body, head))
    }

    /// Replaces the buffer by the chunks' content.
    async fn chunks(&mut self, connection: &mut Connection, limit: usize) -> Result<(), Failure> {
        let bad = |what: &str| Failure::Broken(format!("its chunks are wrong: {what}"));
        let mut body = Vec::with_capacity(READ_BYTES);
        let mut at = self.head.bytes;
        loop {
            let size = loop {
                match httparse::parse_chunk_size(&self.buffer[at..]) {
                    Ok(httparse::Status::Complete((line, size))) => {
                        at += line;
                        break size;
                    }
                    Err(_) => return Err(bad("no size")),
                    Ok(httparse::Status::Partial) => {}
                }
                if self.buffer.len() - at > MAX_CHUNK_LINE_BYTES {
                    return Err(bad("a line too long"));
                }
                self.drop_front(&mut at);
                receive(connection, &mut self.buffer).await?;
            };
            let size = usize::try_from(size).ok().filter(|size| *size <= limit - body.len());
            let mut left = size.ok_or(Failure::TooLarge(limit))?;
            if left == 0 {
                break;
            }
            while left > 0 {
                if at == self.buffer.len() {
                    self.drop_front(&mut at);
                    receive(connection, &mut self.buffer).await?;
                }
                let part = left.min(self.buffer.len() - at);
                self.shares.cover(body.len() + part)?;
                body.extend_from_slice(&self.buffer[at..at + part]);
                at += part;
                left -= part;
            }
            self.line_end(connection, &mut at).await?.then_some(()).ok_or(bad("no line end"))?;
        }
        // Trailers, up to an empty line.
        let mut trailers = 0;
        while !self.line_end(connection, &mut at).await? {
            while self.buffer[at] != b'\n' {
                at += 1;
                trailers += 1;
                if trailers > MAX_HEAD_BYTES {
                    return Err(bad("trailers too long"));
                }
                if at == self.buffer.len() {
                    self.drop_front(&mut at);
                    receive(connection, &mut self.buffer).await?;
                }
            }
            at += 1;
        }
        self.head.keeps &= at == self.buffer.len();
        self.buffer = body;
        Ok(())
    }

    /// Steps over a line end, if one stands here.
    async fn line_end(
        &mut self,
        connection: &mut Connection,
        at: &mut usize,
    ) -> Result<bool, Failure> {
        while self.buffer.len() - *at < 2 {
            self.drop_front(at);
            receive(connection, &mut self.buffer).await?;
        }
        let ends = self.buffer[*at..].starts_with(b"\r\n");
        *at += if ends { 2 } else { 0 };
        Ok(ends)
    }

    /// Forgets what is read.
    fn drop_front(&mut self, at: &mut usize) {
        self.buffer.drain(..*at);
        *at = 0;
    }

    /// Reads on towards `end`, or fails where the connection ends before it.
    async fn more(&mut self, connection: &mut Connection, end: usize) -> Result<(), Failure> {
        self.reserve(end)?;
        receive(connection, &mut self.buffer).await
    }

    /// Makes room: a length is believed only so far, memory follows what really comes.
    fn reserve(&mut self, end: usize) -> Result<(), Failure> {
        if self.buffer.len() < self.buffer.capacity() {
            return Ok(());
        }
        let room = self.buffer.len().max(READ_BYTES).min(end.saturating_sub(self.buffer.len()));
        self.shares.cover(self.buffer.len() + room)?;
        self.buffer.reserve_exact(room);
        Ok(())
    }
}

/// Reads some, or fails at the end.
async fn receive(connection: &mut Connection, buffer: &mut Vec<u8>) -> Result<(), Failure> {
    if buffer.len() == buffer.capacity() {
        buffer.reserve(READ_BYTES);
    }
    match connection.receive(buffer).await.map_err(lost)? {
        0 => Err(Failure::Broken("it ended before the answer did".to_owned())),
        _ => Ok(()),
    }
}

fn lost(error: std::io::Error) -> Failure {
    Failure::Broken(error.to_string())
}

fn decompress(packed: &[u8], limit: usize, shares: &mut Shares) -> Result<Vec<u8>, Failure> {
    let mut decoder = MultiGzDecoder::new(packed);
    let mut bytes = Vec::with_capacity((packed.len() * 4).min(SMALL_BYTES));
    let mut chunk = [0; 8 << 10];
    loop {
        let read = decoder.read(&mut chunk);
        let length = read.map_err(|error| Failure::Encoding(error.to_string()))?;
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
    /// Takes shares until `bytes` are covered, twice as much each time, as buffers grow.
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
