//! Names that every Carbon server stores under the name they were sent with.
//!
//! The rule, in the order in which it is applied to a text:
//!
//! 1. Dots separate segments; empty segments vanish, so that a leading, a trailing or a doubled
//!    dot makes no difference.
//! 2. Every character but `A-Z a-z 0-9 _ - : #` becomes one `_`.
//! 3. A name without a segment, with a segment of more than [`SEGMENT_MAX_BYTES`], or longer in
//!    all than [`NAME_MAX_BYTES`] is refused.
//!
//! The alphabet is what carbon-c-relay forwards unchanged; it leaves no room for the whitespace
//! that go-carbon splits at, for the slashes that leave the storage directory, for the semicolons
//! that start tags, nor for the bytes that make carbon-cache close the connection. A whisper file
//! is named `<segment>.wsp` and a file name holds 255 bytes; a path holds 4,096, of which the
//! server's own directory takes a part.

use crate::render::refusal::Refusal;

/// The longest segment that is sent, in bytes: a file name of 255 less `.wsp`.
pub const SEGMENT_MAX_BYTES: usize = 251;

/// The longest name that is sent, in bytes, without its tags: a file path of 4,096 less 256 for
/// the server's directory and the file's ending.
pub const NAME_MAX_BYTES: usize = 3_840;

/// A name under construction, segment by segment, always safe to send.
///
/// Walks keep one and [`push`](Path::push) and [`truncate`](Path::truncate) it, so that a
/// segment is made safe once for everything below it.
///
/// ```
/// let mut path = expvar_carbon::Path::new();
/// path.push("apps.my app");
/// let apps = path.mark();
/// path.push("requests/s");
/// assert_eq!(path.as_str(), "apps.my_app.requests_s");
/// path.truncate(apps);
/// assert_eq!(path.as_str(), "apps.my_app");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Path {
    text: String,
    excess: Excess,
}

/// Which limits a name is past, and all that lies below it.
#[derive(Debug, Clone, Copy, Default)]
struct Excess {
    /// A segment is longer than a server takes.
    is_overlong: bool,
    /// A segment was so long that it was left out, with all behind it.
    is_incomplete: bool,
}

/// A place in a [`Path`] to return to.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    len: usize,
    excess: Excess,
}

impl Path {
    /// An empty path.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `text`, whose dots separate segments.
    ///
    /// Costs no allocation once the path has been as long before.
    pub fn push(&mut self, text: &str) {
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
        // Bounds the buffer whatever is pushed; the name is past its limit from here on.
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
        if is_clean {
            self.text.push_str(segment);
        } else {
            self.text.extend(
                segment.chars().map(|c| if c.is_ascii() && is_safe(c as u8) { c } else { '_' }),
            );
        }
        if self.text.len() - start > SEGMENT_MAX_BYTES {
            self.excess.is_overlong = true;
        }
    }

    /// Where the path ends now.
    pub fn mark(&self) -> Mark {
        Mark { len: self.text.len(), excess: self.excess }
    }

    /// Takes back everything pushed since `mark`.
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

    /// Whether there is no segment.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether a segment was left out, so that what is here is the name of something else.
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

fn is_safe(byte: u8) -> bool {
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
    fn safe_names_pass_and_everything_else_becomes_an_underscore() {
        assert_eq!(named("a.B-9_:#").unwrap(), "a.B-9_:#");
        assert_eq!(named("x.smörgås").unwrap(), "x.sm_rg_s");
        assert_eq!(named("..x...y.").unwrap(), "x.y");
        assert_eq!(named("../../etc/passwd").unwrap(), "_._etc_passwd");
        assert_eq!(named("a b\tc\n;k=v\0").unwrap(), "a_b_c__k_v_");
    }

    #[test]
    fn limits_are_exact() {
        assert!(named(&"s".repeat(251)).is_ok());
        assert_eq!(named(&"s".repeat(252)), Err(Refusal::LongName));
        assert!(named(&"ö".repeat(251)).is_ok(), "counted as sent, not as given");
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
