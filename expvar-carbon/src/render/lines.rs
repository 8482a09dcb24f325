//! Points rendered as lines: `name value timestamp`.

use std::borrow::Cow;

use expvar::Number;
use expvar::json::put_unsigned;

use crate::render::buffer::Buffer;
use crate::render::name::Path;
use crate::render::number::{EXACT_MAX, NUMBER_ROOM, Written};
use crate::render::refusal::{Refusal, Refused};
use crate::render::tags::Tags;

/// A reusable buffer of rendered points.
///
/// Every server accepts every line in it: names are made safe (see [`Path`]), and invalid points
/// are rejected and counted by reason. Appending does not allocate once the buffer has been as full
/// before.
///
/// ```
/// let mut lines = expvar_carbon::Lines::new();
/// lines.point("apps.app1.requests", 17u64, 1_700_000_000);
/// lines.point("apps.app1.ratio", f64::NAN, 1_700_000_000);
/// assert_eq!(lines.as_bytes(), b"apps.app1.requests 17 1700000000\n");
/// assert_eq!(lines.refused().total(), 1);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Lines {
    bytes: Buffer,
    points: u64,
    tags: Tags,
    refused: Refused,
    rounded: u64,
    path: Path,
    /// ` timestamp\n` of the current time.
    ending: Ending,
}

/// Beginnings of lines up to this length are copied in one store.
pub(crate) const SHORT: usize = 64;

/// The beginning of a line, stored without what it shares with the last [short](SHORT) one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    /// Bytes shared with that one. Zero if this one is not short.
    pub(crate) shared: u8,
    /// Stored bytes.
    pub(crate) rest: u16,
}

impl Lines {
    /// Creates an empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty buffer whose lines carry `tags`.
    pub fn tagged(tags: Tags) -> Self {
        Self { tags, ..Self::default() }
    }

    /// Appends a point. `path` may be any text; `timestamp` is in seconds since 1970.
    ///
    /// Returns whether it was accepted; [`refused`](Self::refused) counts the others.
    pub fn point(&mut self, path: &str, value: impl Into<Number>, timestamp: u64) -> bool {
        let mut scratch = std::mem::take(&mut self.path);
        scratch.clear();
        scratch.push(path);
        let taken = self.put(&scratch, value, timestamp);
        self.path = scratch;
        taken
    }

    /// Appends a point whose name is in a [`Path`].
    ///
    /// Returns whether it was accepted, like [`point`](Self::point).
    pub fn put(&mut self, path: &Path, value: impl Into<Number>, timestamp: u64) -> bool {
        if let Some(reason) = path.problem() {
            self.refuse(reason);
            return false;
        }
        let value = value.into();
        if !self.set_time(timestamp) {
            self.refuse(Refusal::Timestamp);
            return false;
        }
        if let Some(reason) = value.problem() {
            self.refuse(reason);
            return false;
        }
        self.bytes.extend(path.as_str().as_bytes());
        if !self.tags.as_str().is_empty() {
            self.bytes.extend(self.tags.as_str().as_bytes());
        }
        self.append(&[b' '; SHORT], 1, value);
        true
    }

    /// Appends the beginning of a line for a valid name to `start`.
    pub(crate) fn begin(&self, path: &Path, start: &mut Vec<u8>) {
        start.extend_from_slice(path.as_str().as_bytes());
        start.extend_from_slice(self.tags.as_str().as_bytes());
        start.push(b' ');
    }

    /// The name in the beginning of a line.
    pub(crate) fn name<'s>(&self, start: &'s [u8]) -> Cow<'s, str> {
        let end = start.len().saturating_sub(self.tags.as_str().len() + 1);
        String::from_utf8_lossy(&start[..end])
    }

    /// Appends a point whose line [begins](Self::begin) with `len` bytes of `starts`; returns
    /// whether it was accepted.
    pub(crate) fn finish(
        &mut self,
        starts: &[u8],
        len: usize,
        value: Number,
        timestamp: u64,
    ) -> bool {
        if !self.set_time(timestamp) {
            self.refuse(Refusal::Timestamp);
            return false;
        }
        if let Some(reason) = value.problem() {
            self.refuse(reason);
            return false;
        }
        self.append(starts, len, value);
        true
    }

    /// Sets the time of the points [appended](Self::append) next; returns whether Graphite can
    /// represent it.
    pub(crate) fn set_time(&mut self, timestamp: u64) -> bool {
        if self.ending.timestamp != timestamp {
            match Ending::new(timestamp) {
                Some(ending) => self.ending = ending,
                None => return false,
            }
        }
        true
    }

    /// Appends a point without a [problem](Number::problem), whose line begins with `len` bytes of
    /// `starts`, at the current time.
    #[inline(always)]
    pub(crate) fn append(&mut self, starts: &[u8], len: usize, value: Number) {
        self.rounded += u64::from(value.is_rounded());
        let (start, len) = match starts.first_chunk() {
            Some(start) if len <= SHORT => (start, len),
            _ => {
                self.bytes.extend(&starts[..len]);
                (&[0; SHORT], 0)
            }
        };
        let room: &mut [u8; LINE_ROOM] = self.bytes.room();
        room[..SHORT].copy_from_slice(start);
        let end = len + value.put(room[len..].first_chunk_mut().expect("room for a number"));
        room[end..][..ENDING_ROOM].copy_from_slice(&self.ending.text);
        self.bytes.keep(end + ENDING_ROOM - usize::from(self.ending.spare));
        self.points += 1;
    }

    /// Appends points at the current time, whose lines begin with `starts` of the `stored` bytes,
    /// after the beginning `last`. Stops at a float, a negative number or a long beginning. Returns
    /// the number of points and of the stored bytes used, and leaves the last beginning in `last`.
    ///
    /// Faster than one by one: the positions stay in registers.
    pub(crate) fn append_all(
        &mut self,
        last: &mut [u8; SHORT],
        stored: &[u8],
        starts: impl Iterator<Item = Start>,
        numbers: &[Number],
    ) -> (usize, usize) {
        let (ending, line) = (self.ending.text, ENDING_ROOM - usize::from(self.ending.spare));
        let room = self.bytes.room_for((numbers.len() + 1) * LINE_ROOM);
        let (mut points, mut from, mut to, mut largest) = (0, 0, 0, 0);
        // Where the last beginning is in `room`.
        let mut before = 0;
        room[..SHORT].copy_from_slice(last);
        for (Start { shared, rest }, &number) in starts.zip(numbers) {
            let (shared, rest) = (usize::from(shared), usize::from(rest));
            let len = shared + rest;
            let (Some(tail), Some(&head)) =
                (stored[from..].first_chunk::<SHORT>(), room[before..].first_chunk::<SHORT>())
            else {
                break;
            };
            let Some(out) = room[to..].first_chunk_mut::<LINE_ROOM>() else { break };
            let n = match number {
                Number::Unsigned(n) => n,
                Number::Signed(n) if n >= 0 => n as u64,
                _ => break,
            };
            if len > SHORT {
                break;
            }
            out[..SHORT].copy_from_slice(&head);
            *out[shared..].first_chunk_mut().expect("room for a beginning") = *tail;
            let digits = out[len..].first_chunk_mut().expect("room for a number");
            let end = len + put_unsigned(digits, n);
            *out[end..].first_chunk_mut().expect("room for the time") = ending;
            largest |= n;
            points += 1;
            from += rest;
            before = to;
            to += end + line;
        }
        last.copy_from_slice(&room[before..][..SHORT]);
        self.bytes.keep(to);
        self.points += points as u64;
        if largest > EXACT_MAX {
            let rounded = numbers[..points].iter().filter(|number| number.is_rounded());
            self.rounded += rounded.count() as u64;
        }
        (points, from)
    }

    /// Counts a rejected point.
    pub fn refuse(&mut self, reason: Refusal) {
        self.refused.add(reason);
    }

    /// The lines, each with a line feed.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// The length of the lines in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are no lines.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == 0
    }

    /// The number of points.
    pub fn points(&self) -> u64 {
        self.points
    }

    /// The number of points rejected since the last [`clear`](Self::clear), by reason.
    pub fn refused(&self) -> &Refused {
        &self.refused
    }

    /// The number of integers beyond ±2⁵³: written exactly, but rounded by the server.
    pub fn rounded(&self) -> u64 {
        self.rounded
    }

    /// Empties the buffer, whose lines were taken, and keeps its counts.
    pub(crate) fn taken(&mut self) {
        self.bytes.clear();
    }

    /// Empties the buffer and its counts, and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.points = 0;
        self.rounded = 0;
        self.refused = Refused::default();
    }
}

/// Bytes for a line with a short beginning, of which two parts are copied as if each were the longest.
const LINE_ROOM: usize = 2 * SHORT;
const _: () = assert!(LINE_ROOM >= SHORT + NUMBER_ROOM + ENDING_ROOM);

/// Bytes for the end of a line.
const ENDING_ROOM: usize = 16;

/// ` timestamp\n`, with spare bytes after it.
#[derive(Debug, Clone, Copy)]
struct Ending {
    text: [u8; ENDING_ROOM],
    spare: u8,
    timestamp: u64,
}

impl Ending {
    /// `None` if Graphite cannot represent the time.
    #[cold]
    fn new(timestamp: u64) -> Option<Self> {
        let known = 1..u64::from(u32::MAX);
        if !known.contains(&timestamp) {
            return None;
        }
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(timestamp).as_bytes();
        let mut text = [b'\n'; ENDING_ROOM];
        text[0] = b' ';
        text[1..=digits.len()].copy_from_slice(digits);
        let spare = (text.len() - digits.len() - 2) as u8;
        Some(Self { text, spare, timestamp })
    }
}

impl Default for Ending {
    fn default() -> Self {
        Self { text: *b" 1\n\n\n\n\n\n\n\n\n\n\n\n\n\n", spare: 13, timestamp: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_name_tags_value_and_timestamp() {
        let tags = Tags::new().with("dc", "ams").unwrap();
        let mut lines = Lines::tagged(tags);
        assert!(lines.point("a.b c", -1i64, 1_700_000_000));
        assert!(lines.point("d", 0.25, 1_700_000_010));
        assert_eq!(
            lines.as_bytes(),
            b"a.b_c_f52dd21c;dc=ams -1 1700000000\nd;dc=ams 0.25 1700000010\n"
        );
        assert_eq!(lines.points(), 2);
    }

    #[test]
    fn what_cannot_be_stored_is_counted_by_reason() {
        let mut lines = Lines::new();
        let now = 1_700_000_000;
        for (path, value, timestamp, reason) in [
            ("a", f64::NAN, now, Refusal::NotANumber),
            ("a", f64::INFINITY, now, Refusal::Infinite),
            ("a", f64::NEG_INFINITY, now, Refusal::Infinite),
            ("", 1.0, now, Refusal::EmptyName),
            ("a", 1.0, 0, Refusal::Timestamp),
            ("a", 1.0, now * 1_000, Refusal::Timestamp),
            ("a", 1.0, u64::MAX, Refusal::Timestamp),
        ] {
            let before = lines.refused().get(reason);
            assert!(!lines.point(path, value, timestamp));
            assert_eq!(lines.refused().get(reason), before + 1, "{path} {value}");
        }
        assert!(lines.is_empty());
        assert_eq!(lines.refused().total(), 7);
        lines.clear();
        assert_eq!(lines.refused().total(), 0);
    }

    #[test]
    fn a_clone_goes_on_where_the_lines_were() {
        let mut lines = Lines::new();
        lines.point("a", 1u64, 5);
        let mut clone = lines.clone();
        clone.point("b", 2u64, 5);
        assert_eq!(clone.as_bytes(), b"a 1 5\nb 2 5\n");
        assert_eq!((lines.as_bytes(), lines.points()), (&b"a 1 5\n"[..], 1));
        assert_eq!(clone.points(), 2);
    }

    #[test]
    fn integers_past_carbons_floats_are_sent_and_counted() {
        let mut lines = Lines::new();
        lines.point("big", u64::MAX, 1);
        lines.point("fits", 1u64 << 53, 1);
        assert_eq!(lines.as_bytes(), b"big 18446744073709551615 1\nfits 9007199254740992 1\n");
        assert_eq!(lines.rounded(), 1);
    }
}
