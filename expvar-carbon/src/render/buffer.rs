//! A byte buffer appended to in stores of fixed length.

use std::fmt;

/// Appends in stores of fixed length, which are faster than copies of variable length.
///
/// All of the memory is initialized, so that a store may write beyond the length.
#[derive(Default)]
pub(crate) struct Buffer {
    memory: Vec<u8>,
    len: usize,
}

impl Buffer {
    /// `N` bytes behind the end, to be written before some of them are [kept](Self::keep).
    #[inline]
    pub(crate) fn room<const N: usize>(&mut self) -> &mut [u8; N] {
        self.room_for(N).first_chunk_mut().expect("made room for as many")
    }

    /// At least `len` bytes behind the end, likewise.
    #[inline]
    pub(crate) fn room_for(&mut self, len: usize) -> &mut [u8] {
        self.reserve(len);
        &mut self.memory[self.len..]
    }

    /// Extends the length by `len` of the bytes that there was [room](Self::room) for.
    #[inline]
    pub(crate) fn keep(&mut self, len: usize) {
        debug_assert!(self.len + len <= self.memory.len());
        self.len += len;
    }

    /// Appends a copy of `bytes`.
    #[inline]
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.memory[self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    #[inline]
    fn reserve(&mut self, more: usize) {
        if self.len + more > self.memory.len() {
            self.grow(more);
        }
    }

    /// Grows by at least a quarter: new memory is not only reserved but initialized.
    #[cold]
    fn grow(&mut self, more: usize) {
        let at_least = (self.len + more).max(self.memory.len() / 4 * 5);
        self.memory.resize(at_least, 0);
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.memory[..self.len]
    }

    /// Empties it, and keeps its memory.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        Self { memory: self.as_slice().to_vec(), len: self.len }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}
