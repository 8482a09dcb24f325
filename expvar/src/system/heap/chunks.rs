//! A list that grows without moving its entries.

/// Entries per allocation, and per step of a read.
const CHUNK: usize = 256;

/// A list that grows by fixed chunks: a push copies nothing and allocates at most once.
pub(super) struct Chunks<T>(Vec<Vec<T>>);

impl<T> Chunks<T> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn len(&self) -> u32 {
        match self.0.split_last() {
            Some((last, full)) => (full.len() * CHUNK + last.len()) as u32,
            None => 0,
        }
    }

    pub(super) fn get(&self, at: u32) -> Option<&T> {
        self.0.get(at as usize / CHUNK)?.get(at as usize % CHUNK)
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.0.get_mut(at as usize / CHUNK)?.get_mut(at as usize % CHUNK)
    }

    /// The entries from index `chunk` x 256 on.
    pub(super) fn chunk(&self, chunk: usize) -> Option<&[T]> {
        self.0.get(chunk).map(Vec::as_slice)
    }

    /// Appends an entry and returns its index; `None` if the system has no memory.
    pub(super) fn push(&mut self, entry: T) -> Option<u32> {
        let at = self.len();
        if (at as usize).is_multiple_of(CHUNK) {
            let mut chunk = Vec::new();
            chunk.try_reserve_exact(CHUNK).ok()?;
            self.0.try_reserve(1).ok()?;
            self.0.push(chunk);
        }
        self.0.last_mut()?.push(entry);
        Some(at)
    }
}
