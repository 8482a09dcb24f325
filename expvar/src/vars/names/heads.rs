//! What precedes each value of a document, in one buffer.

use crate::json::write_string;

/// Names as JSON, in order, each between the separator and its colon. Made once for each list of
/// names: they are most of a document of ten thousand numbers.
pub(crate) struct Heads {
    text: Box<[u8]>,
    ends: Box<[usize]>,
}

/// Bytes of the separator of two values.
pub(crate) const SEPARATOR: usize = 2;
/// The longest head that is copied by stores of fixed length.
const SHORT: usize = 48;
/// The same with the digits of a number behind it.
const WITH_DIGITS: usize = SHORT + 8;

impl Heads {
    pub(super) fn new<'n>(
        separator: &[u8; SEPARATOR],
        names: impl ExactSizeIterator<Item = &'n str>,
    ) -> Self {
        let (mut text, mut ends) = (Vec::new(), Vec::with_capacity(names.len()));
        for name in names {
            text.extend_from_slice(separator);
            write_string(&mut text, name);
            text.extend_from_slice(b": ");
            ends.push(text.len());
        }
        text.resize(text.len() + WITH_DIGITS, b' ');
        Self { text: text.into(), ends: ends.into() }
    }

    /// The total length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Appends what precedes the value at this index, and a number of up to eight digits; without
    /// the separator for the first.
    #[inline]
    pub(crate) fn write_digits(
        &self,
        at: usize,
        is_first: bool,
        (digits, count): ([u8; 8], usize),
        buffer: &mut Vec<u8>,
    ) {
        let (start, len) = self.place(at, is_first);
        let before = buffer.len();
        // One capacity check and one length update for both.
        if let Some(head) = self.text[start..].first_chunk::<WITH_DIGITS>()
            && len <= SHORT
        {
            buffer.extend_from_slice(head);
        } else {
            buffer.extend_from_slice(&self.text[start..start + len]);
            buffer.extend_from_slice(&digits);
        }
        let behind = &mut buffer[before + len..];
        if let Some(room) = behind.first_chunk_mut() {
            *room = digits;
        }
        buffer.truncate(before + len + count);
    }

    /// Appends what precedes the value at this index; without the separator for the first.
    #[inline]
    pub(crate) fn write(&self, at: usize, is_first: bool, buffer: &mut Vec<u8>) {
        let (start, len) = self.place(at, is_first);
        buffer.extend_from_slice(&self.text[start..start + len]);
    }

    /// Where a head begins, and its length.
    #[inline]
    fn place(&self, at: usize, is_first: bool) -> (usize, usize) {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        let start = start + if is_first { SEPARATOR } else { 0 };
        (start, self.ends[at] - start)
    }
}
