//! Names that every Carbon server stores unchanged.
//!
//! The rules, in the order of application:
//!
//! 1. Dots separate segments; empty segments are removed, so leading, trailing and doubled dots
//!    make no difference.
//! 2. Letters, marks and digits of every script and `_ - : #` are kept. Every other character
//!    becomes one `_`, and the segment gets a suffix that makes it unique: `_` and the CRC-32 of
//!    its original UTF-8 bytes as eight hexadecimal digits. `a b` becomes `a_b_806c5cd3`, `a/b`
//!    becomes `a_b_07f4401c`.
//! 3. With [`Path::ascii`] only ASCII letters and digits are kept.
//! 4. A name without a segment, with a segment longer than [`SEGMENT_MAX_BYTES`], or longer in all
//!    than [`NAME_MAX_BYTES`] is rejected.
//!
//! carbon-cache and go-carbon store names of rule 2 unchanged; carbon-c-relay forwards only those
//! of rule 3 unchanged, unless its `-c` allows more. The rules exclude whitespace, at which
//! go-carbon splits, slashes, which would leave the storage directory, semicolons, which start
//! tags, and the bytes on which carbon-cache closes the connection. A whisper file is named
//! `<segment>.wsp`, and a file name has at most 255 bytes; a path has 4,096, including the server's
//! own directory.

use std::fmt::Write;

use crate::render::refusal::Refusal;

/// The longest segment that is sent, in bytes: a file name of 255 less `.wsp`.
pub const SEGMENT_MAX_BYTES: usize = 251;

/// The longest name that is sent, in bytes, without tags: a file path of 4,096 less 256 for the
/// server's directory and the file's suffix.
pub const NAME_MAX_BYTES: usize = 3_840;

/// A name under construction, segment by segment, always valid to send.
///
/// A walk keeps one path and [`push`](Path::push)es and [`truncate`](Path::truncate)s it, so that
/// each segment is made safe once for everything below it.
///
/// ```
/// let mut path = expvar_carbon::Path::new();
/// path.push("apps.München");
/// let apps = path.mark();
/// path.push("requests/s");
/// assert_eq!(path.as_str(), "apps.München.requests_s_56d96a65");
/// path.truncate(apps);
/// assert_eq!(path.as_str(), "apps.München");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Path {
    text: String,
    excess: Excess,
    ascii: bool,
}

/// Which limits a name exceeds.
#[derive(Debug, Clone, Copy, Default)]
struct Excess {
    /// A segment is longer than a server accepts.
    is_overlong: bool,
    /// A segment was so long that it was omitted, with all after it.
    is_incomplete: bool,
}

/// A position in a [`Path`] to truncate to.
///
/// ```
/// let mut path = expvar_carbon::Path::new();
/// path.push("apps");
/// let apps = path.mark();
/// path.push("web");
/// path.truncate(apps);
/// path.push("mail");
/// assert_eq!(path.as_str(), "apps.mail");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    len: usize,
    excess: Excess,
}

impl Path {
    /// Creates an empty path.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty path that keeps only ASCII letters and digits, for relays that accept no
    /// others.
    pub fn ascii() -> Self {
        Self { ascii: true, ..Self::default() }
    }

    /// An empty path of either kind.
    pub(crate) fn keeping(ascii: bool) -> Self {
        Self { ascii, ..Self::default() }
    }

    /// Appends `text`, whose dots separate segments.
    ///
    /// Does not allocate once the path has been as long before.
    pub fn push(&mut self, text: &str) {
        if is_plain(text) && !self.excess.is_incomplete && self.text.len() <= NAME_MAX_BYTES {
            if !self.text.is_empty() {
                self.text.push('.');
            }
            self.text.push_str(text);
            return;
        }
        let mut rest = text;
        loop {
            let unsafe_at = rest.bytes().position(|byte| !is_safe(byte)).unwrap_or(rest.len());
            let dot = rest.bytes().skip(unsafe_at).position(|byte| byte == b'.');
            let end = dot.map_or(rest.len(), |at| unsafe_at + at);
            self.push_segment(&rest[..end], unsafe_at == end);
            let Some(next) = rest.get(end + 1..) else { return };
            rest = next;
        }
    }

    /// Appends an array's index as a segment.
    pub fn push_index(&mut self, index: usize) {
        self.push_segment(itoa::Buffer::new().format(index), true);
    }

    fn push_segment(&mut self, segment: &str, is_clean: bool) {
        if segment.is_empty() {
            return;
        }
        // Bounds the buffer; the name exceeds its limit from here on.
        if self.excess.is_incomplete
            || segment.len() > 4 * SEGMENT_MAX_BYTES
            || self.text.len() > NAME_MAX_BYTES
        {
            self.excess.is_incomplete = true;
            return;
        }
        let before = self.text.len();
        if before > 0 {
            self.text.push('.');
        }
        let start = self.text.len();
        let ascii = self.ascii;
        let keeps = |c: char| match u8::try_from(c) {
            Ok(byte) if byte.is_ascii() => is_safe(byte),
            _ => !ascii && is_word(c),
        };
        if is_clean || segment.chars().all(keeps) {
            self.text.push_str(segment);
        } else {
            self.text.extend(segment.chars().map(|c| if keeps(c) { c } else { '_' }));
            // Writing to a string never fails.
            let _ = write!(self.text, "_{:08x}", crc32fast::hash(segment.as_bytes()));
        }
        if self.text.len() - start > SEGMENT_MAX_BYTES {
            self.excess.is_overlong = true;
        }
    }

    /// The current end of the path.
    pub fn mark(&self) -> Mark {
        Mark { len: self.text.len(), excess: self.excess }
    }

    /// Removes everything pushed since `mark`.
    pub fn truncate(&mut self, mark: Mark) {
        self.text.truncate(mark.len);
        self.excess = mark.excess;
    }

    /// Empties the path and keeps its memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.excess = Excess::default();
    }

    /// The name so far; of one that is much too long, the beginning.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the path has no segment.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether a segment was omitted, so that the text is the name of something else.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.excess.is_incomplete
    }

    /// Why no server would store this name, if so.
    pub fn problem(&self) -> Option<Refusal> {
        let Excess { is_overlong, is_incomplete } = self.excess;
        if is_overlong || is_incomplete || self.text.len() > NAME_MAX_BYTES {
            Some(Refusal::LongName)
        } else if self.text.is_empty() {
            Some(Refusal::EmptyName)
        } else {
            None
        }
    }
}

/// A letter, a mark that letters are written with, or a digit, of any script.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || unicode_ident::is_xid_continue(c)
}

/// Whether a text is sent unchanged: safe, non-empty segments of valid length.
///
/// Branch-free per byte, because most texts are sent unchanged.
#[inline]
fn is_plain(text: &str) -> bool {
    const DOT: u8 = 1;
    const OTHER: u8 = 2;
    const KINDS: [u8; 256] = {
        let mut kinds = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            kinds[byte] = match byte as u8 {
                b'.' => DOT,
                byte if is_safe(byte) => 0,
                _ => OTHER,
            };
            byte += 1;
        }
        kinds
    };
    let (mut others, mut before) = (0, DOT);
    for byte in text.bytes() {
        let kind = KINDS[byte as usize];
        // Adjacent dots, or a leading one, are unsafe too.
        others |= kind & (OTHER | before);
        before = kind;
    }
    others | (before & DOT) == 0 && text.len() <= SEGMENT_MAX_BYTES
}

#[inline]
const fn is_safe(byte: u8) -> bool {
    const SAFE: [bool; 256] = {
        let mut safe = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            let b = byte as u8;
            safe[byte] = b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b':' | b'#');
            byte += 1;
        }
        safe
    };
    SAFE[byte as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Result<String, Refusal> {
        let mut path = Path::new();
        path.push(text);
        path.problem().map_or_else(|| Ok(path.text.clone()), Err)
    }

    #[test]
    fn letters_of_every_script_pass() {
        for name in
            ["a.B-9_:#", "x.smörgås", "東京.大阪", "हिन्दी", "Ελλάδα", "١٢٣", "e\u{301}", "m²"]
        {
            assert_eq!(named(name).unwrap(), name);
        }
        assert_eq!(named("..x...y.").unwrap(), "x.y");
    }

    #[test]
    fn what_must_change_stays_told_apart() {
        assert_eq!(named("a b").unwrap(), "a_b_806c5cd3");
        assert_eq!(named("a/b").unwrap(), "a_b_07f4401c");
        assert_eq!(named("../../etc/passwd").unwrap(), "__79d3d2d4._etc_passwd_291fb90a");
        assert_eq!(named("a b\tc\n;k=v\0").unwrap(), "a_b_c__k_v__ac9f6df5");
        assert_eq!(named("a.b c.d").unwrap(), "a.b_c_f52dd21c.d", "only the segment that changed");
        let odd =
            ["a b", "a_b", "a/b", "a\u{a0}b", "a\u{2028}b", "a\u{fffd}b", "a\u{200d}b", "a😀b"];
        let names: std::collections::BTreeSet<_> =
            odd.iter().map(|name| named(name).unwrap()).collect();
        assert_eq!(names.len(), odd.len(), "{names:?}");
        assert!(names.iter().all(|name| named(name).as_ref() == Ok(name)), "a safe name stays");
    }

    #[test]
    fn ascii_alone_where_it_is_asked_for() {
        let mut path = Path::ascii();
        path.push("Zürich.a_b");
        assert_eq!(path.as_str(), "Z_rich_d30ba93e.a_b");
        let mut other = Path::ascii();
        other.push("Zörich.a_b");
        assert_ne!(path.as_str(), other.as_str());
    }

    #[test]
    fn limits_are_exact() {
        assert!(named(&"s".repeat(251)).is_ok());
        assert_eq!(named(&"s".repeat(252)), Err(Refusal::LongName));
        assert!(named(&"ö".repeat(125)).is_ok());
        assert_eq!(named(&"ö".repeat(126)), Err(Refusal::LongName), "in bytes, not in characters");
        assert!(named(&"😀".repeat(242)).is_ok(), "counted as sent, not as given");
        assert_eq!(named(""), Err(Refusal::EmptyName));
        assert_eq!(named("..."), Err(Refusal::EmptyName));
        let long = format!("{}ab", "abcdefg.".repeat(NAME_MAX_BYTES / 8 - 1) + "abcdef");
        assert_eq!(long.len(), NAME_MAX_BYTES);
        assert!(named(&long).is_ok());
        assert_eq!(named(&(long + "c")), Err(Refusal::LongName));
        assert_eq!(named(&"x.".repeat(1 << 20)), Err(Refusal::LongName));
    }

    #[test]
    fn a_long_segment_is_forgotten_when_it_is_taken_back() {
        let mut path = Path::new();
        path.push("a");
        let a = path.mark();
        path.push(&"s".repeat(2_000));
        path.push("b");
        assert_eq!(path.problem(), Some(Refusal::LongName));
        path.truncate(a);
        assert_eq!(path.problem(), None);
        assert_eq!(path.as_str(), "a");
    }

    #[test]
    fn what_lies_below_a_long_segment_is_refused_however_often_it_is_taken_back() {
        let mut path = Path::new();
        // Too long to be kept at all.
        path.push(&"s".repeat(2_000));
        let below = path.mark();
        for key in ["a", "b"] {
            path.push(key);
            assert_eq!(path.problem(), Some(Refusal::LongName));
            path.truncate(below);
            assert_eq!(path.problem(), Some(Refusal::LongName));
        }
        path.clear();
        assert_eq!(path.problem(), Some(Refusal::EmptyName));
    }
}
