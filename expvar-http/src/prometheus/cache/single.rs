//! The cached text of a variable that is one family.

use std::ops::Range;

use expvar::json::write_unsigned;
use expvar::{Number, Snapshot, Unit};

use super::super::Format;
use super::super::distribution::{has_sum, sum};
use super::super::ladder::Ladder;
use super::super::samples::{Type, counts, scaled, write};
use super::super::taken::{Hashed, Taken};

/// The cached text of a variable that is one family: everything but its numbers.
#[derive(Debug)]
pub(super) struct Single {
    /// Its range in the cache's text.
    pub(super) text: Range<usize>,
    family: Family,
    numbers: Numbers,
}

/// A family that was written.
#[derive(Debug)]
pub(in super::super) struct Family {
    pub(in super::super) hashed: Hashed,
    pub(in super::super) kind: Type,
    pub(in super::super) decimals: u32,
    /// Its own names among those in use.
    pub(in super::super) took: Range<usize>,
}

/// The positions of the numbers in the text.
#[derive(Debug)]
pub(in super::super) enum Numbers {
    /// One, after this many bytes. The line feed that follows it in text is not stored.
    One(usize),
    /// Those of a histogram with classic buckets: of each bucket, the sum, and the count.
    Buckets(Box<Buckets>),
}

/// The numbers of a histogram with classic buckets.
#[derive(Debug)]
pub(in super::super) struct Buckets {
    unit: Unit,
    /// The bounds of a mapping.
    bounds: Option<Box<[f64]>>,
    /// Bytes of the text before each number.
    pieces: Box<[u32]>,
}

impl Buckets {
    /// Removes the numbers from a histogram's lines; returns the remaining text, header included. The
    /// last line is kept whole if it is the `_created` one.
    pub(in super::super) fn cut(
        header: &[u8],
        lines: &[u8],
        has_created: bool,
        unit: Unit,
        bounds: Option<&[f64]>,
    ) -> (Self, Vec<u8>) {
        let (mut text, mut pieces, mut start) = (header.to_vec(), Vec::new(), 0);
        let mut lines = lines.split_inclusive(|byte| *byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            if has_created && lines.peek().is_none() {
                text.extend_from_slice(line);
                break;
            }
            // The number is what follows the last space.
            let value = line.iter().rposition(|byte| *byte == b' ').map_or(0, |at| at + 1);
            text.extend_from_slice(&line[..value]);
            pieces.push((text.len() - start) as u32);
            start = text.len();
            text.push(b'\n');
        }
        (Self { unit, bounds: bounds.map(Box::from), pieces: pieces.into() }, text)
    }
}

impl Single {
    pub(super) fn new(text: Range<usize>, family: Family, numbers: Numbers) -> Self {
        Self { text, family, numbers }
    }

    /// Reserves the family's names; returns whether they are as free as last time.
    #[inline]
    fn take(family: &mut Family, taken: &mut Taken) -> bool {
        if !taken.repeat(&family.took) {
            let before = taken.len();
            if !taken.take(family.hashed, family.kind) {
                return false;
            }
            family.took = before..taken.len();
        }
        true
    }

    /// Writes the family of a number between its cached text; false if that no longer fits.
    #[inline]
    pub(super) fn write_number(
        &mut self,
        number: Number,
        text: &[u8],
        taken: &mut Taken,
        (format, out): (Format, &mut Vec<u8>),
    ) -> bool {
        let (Numbers::One(head), family) = (&self.numbers, &mut self.family) else { return false };
        let counter = matches!(family.kind, Type::Counter | Type::Alone { .. });
        if (counter && !counts(number)) || !Self::take(family, taken) {
            return false;
        }
        let (head, tail) = text.split_at(*head);
        out.extend_from_slice(head);
        if format == Format::Protobuf {
            let value = scaled(number, family.decimals);
            out.extend_from_slice(&value.to_le_bytes());
            return true;
        }
        write(out, number, family.decimals);
        out.push(b'\n');
        out.extend_from_slice(tail);
        true
    }

    /// Like [`write_number`](Self::write_number), for a histogram in text.
    pub(super) fn write_histogram(
        &mut self,
        total: &Snapshot,
        text: &[u8],
        taken: &mut Taken,
        (format, out): (Format, &mut Vec<u8>),
    ) -> bool {
        let (Numbers::Buckets(buckets), family) = (&self.numbers, &mut self.family) else {
            return false;
        };
        let Buckets { unit, bounds, pieces } = &**buckets;
        let ladder = Ladder::new(total, *unit, family.decimals, bounds.as_deref());
        // After the bounds: the last bucket, the sum, the count.
        let is_same = pieces.len() == ladder.len() + 3 && has_sum(total, format);
        if !is_same || !Self::take(family, taken) {
            return false;
        }
        out.reserve(text.len() + 12 * pieces.len());
        let (mut pieces, mut rest) = (pieces.iter(), text);
        let mut piece = |out: &mut Vec<u8>| {
            let len = pieces.next().map_or(rest.len(), |&len| len as usize);
            let (piece, behind) = rest.split_at(len);
            out.extend_from_slice(piece);
            rest = behind;
        };
        let count = total.count();
        ladder.cumulate(|_, below| {
            piece(out);
            write_unsigned(out, below);
        });
        piece(out);
        write_unsigned(out, count);
        piece(out);
        write(out, sum(total), family.decimals);
        piece(out);
        write_unsigned(out, count);
        piece(out);
        true
    }
}
