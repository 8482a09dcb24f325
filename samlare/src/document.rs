//! Documents of variables, read in one streaming pass straight to points.
//!
//! [`read`] takes the bytes of a `/debug/vars` answer and hands each number to a
//! [`Points`], under its dotted path, as it meets it: no tree is built. What it accepts is
//! exactly JSON (RFC 8259) with an object on top; bytes that are not UTF-8 become U+FFFD,
//! one a byte, as in Go's reader. Of a key that an object holds twice the last one counts.
//!
//! ```
//! use samlare::document::{Number, Points, Rules, read};
//!
//! struct Print(Vec<String>);
//! impl Points for Print {
//!     fn number(&mut self, path: &str, number: Number<'_>) {
//!         self.0.push(format!("{path} {}", number.text()));
//!     }
//!     fn restart(&mut self) {
//!         self.0.clear();
//!     }
//! }
//! let mut points = Print(Vec::new());
//! let read = read(br#"{"hits": 3, "name": "x"}"#, "apps.one", &Rules::default(), &mut points);
//! assert_eq!(read.unwrap(), 1);
//! assert_eq!(points.0, ["apps.one.hits 3"]);
//! ```

mod keys;
mod rules;
mod scanner;

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

pub use rules::{Limits, Rules};

use keys::Keys;
use scanner::{Scanner, Token};

/// Receives what [`read`] finds, in document order.
///
/// A path is the prefix and the keys of the value, separated by dots, after renames. It may contain
/// any text, including spaces, dots and control characters.
pub trait Points {
    /// Whether values need paths; documents are read faster without.
    const PATHS: bool = true;

    /// A number, or a boolean as 0 or 1 where [`Rules::booleans`] asks for it.
    fn number(&mut self, path: &str, number: Number<'_>);

    /// Begins a key or index, up to [`leave`](Self::leave); for receivers that build their own
    /// names.
    fn enter(&mut self, _key: &str) {}

    /// Ends the last [`enter`](Self::enter).
    fn leave(&mut self) {}

    /// A string.
    fn text(&mut self, _path: &str, _text: &str) {}

    /// A boolean that is not sent as a number.
    fn boolean(&mut self, _value: bool) {}

    /// A null.
    fn null(&mut self) {}

    /// Begins an array with elements: each is entered by its index.
    fn begin_array(&mut self) {}

    /// Ends the last [`begin_array`](Self::begin_array).
    fn end_array(&mut self) {}

    /// Discards everything received from this document: it has a duplicate key and is read again
    /// without the earlier one.
    fn restart(&mut self);
}

/// A number as spelled in the document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number<'a> {
    text: &'a str,
    integer: bool,
}

impl<'a> Number<'a> {
    /// The text of the number in the document: a valid JSON number.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The value, if it is written as an integer and fits.
    pub fn as_u64(&self) -> Option<u64> {
        if self.integer { self.text.parse().ok() } else { None }
    }

    /// The value, if it is written as an integer (other than `-0`) and fits.
    pub fn as_i64(&self) -> Option<i64> {
        if self.integer && self.text != "-0" { self.text.parse().ok() } else { None }
    }

    /// The nearest double; infinite if the number is out of range.
    pub fn as_f64(&self) -> f64 {
        self.text.parse().unwrap_or(f64::INFINITY)
    }
}

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is not JSON.
    Syntax {
        /// The position, in bytes from the start.
        offset: usize,
        /// What was expected there.
        expected: &'static str,
        /// The enclosing variable or map; empty at the top.
        key: String,
        /// The beginning of what was found instead.
        found: String,
    },
    /// It ends within a value.
    Truncated {
        /// The enclosing variable or map; empty at the top.
        key: String,
    },
    /// It is JSON, but not an object; this is its kind.
    NotAnObject(&'static str),
    /// It is nested deeper than [`Limits::depth`].
    TooDeep(usize),
    /// It has more numbers than [`Limits::numbers`].
    TooManyNumbers(usize),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Syntax { offset, expected, key, found } => {
                write!(f, "not JSON: expected {expected} at byte {offset}, not {found:?}")?;
                within(f, key)
            }
            Problem::Truncated { key } => {
                write!(f, "not JSON: the document ends too early")?;
                within(f, key)
            }
            Problem::NotAnObject(kind) => write!(f, "not an object but {kind}"),
            Problem::TooDeep(limit) => write!(f, "nested deeper than {limit}"),
            Problem::TooManyNumbers(limit) => write!(f, "more than {limit} numbers"),
        }
    }
}

/// Boxed, so that the successful path stays cheap.
type Fail = Box<Problem>;

fn within(f: &mut fmt::Formatter<'_>, key: &str) -> fmt::Result {
    if key.is_empty() { Ok(()) } else { write!(f, ", in {key:?}") }
}

impl std::error::Error for Problem {}

/// The most bytes of a key in an error.
const KEY_MAX_BYTES: usize = 100;
/// The most characters of an unexpected token in an error.
const FOUND_MAX_CHARS: usize = 16;

impl Problem {
    /// The same with key and token.
    fn at(mut self, path: &str, text: &str) -> Problem {
        if let Problem::Syntax { key, .. } | Problem::Truncated { key } = &mut self {
            // The end of a path says more than its beginning.
            let from = path.len().saturating_sub(KEY_MAX_BYTES);
            let from = (from..=path.len()).find(|&at| path.is_char_boundary(at));
            *key = path[from.unwrap_or_default()..].to_owned();
        }
        if let Problem::Syntax { offset, found, .. } = &mut self {
            *found = token(&text[boundary_before(text, *offset)..]);
        }
        self
    }
}

/// The last character boundary at or before `at`.
pub(crate) fn boundary_before(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default()
}

/// The token that a text begins with: a word, or one character.
fn token(text: &str) -> String {
    let word = |c: &char| c.is_alphanumeric() || "+-._".contains(*c);
    let mut token: String = text.chars().take_while(word).take(FOUND_MAX_CHARS).collect();
    if token.is_empty() {
        token.extend(text.chars().next());
    }
    token
}

/// Reads `document` and passes its numbers to `points`; returns their count.
///
/// `prefix` begins each path, without a dot if it is empty. Memory: the path, and 24 bytes for each
/// key that is not ignored. Documents that are not UTF-8 or that repeat a key are copied or read
/// twice.
///
/// # Errors
/// A [`Problem`]; discard what `points` has received.
pub fn read<P: Points>(
    document: &[u8],
    prefix: &str,
    rules: &Rules,
    points: &mut P,
) -> Result<usize, Problem> {
    let text = match std::str::from_utf8(document) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(replace_bad_bytes(document)),
    };
    let Scratch { mut path, mut keys } = SCRATCH.take();
    path.clear();
    path.push_str(prefix);
    keys.begin();
    let mut reader = Reader { scanner: Scanner::new(&text), rules, points, path, keys, count: 0 };
    let mut ended = reader.document();
    if ended.is_ok() && reader.keys.superseded() {
        reader.points.restart();
        reader.scanner = Scanner::new(&text);
        reader.keys.second_pass();
        reader.count = 0;
        ended = reader.document();
    }
    let at = reader.path.get(prefix.len()..).unwrap_or_default().trim_start_matches('.');
    let ended = match ended {
        Err(problem) if P::PATHS => Err(problem.at(at, &text)),
        Err(problem) => Err(locate(*problem, &text, rules)),
        Ok(()) => Ok(reader.count),
    };
    let Reader { path, keys, .. } = reader;
    if path.capacity() <= KEPT_BYTES && keys.capacity() <= KEPT_KEYS {
        SCRATCH.set(Scratch { path, keys });
    }
    ended
}

/// Adds the position to the error of a document read without paths.
fn locate(problem: Problem, text: &str, rules: &Rules) -> Problem {
    struct Nothing;
    impl Points for Nothing {
        fn number(&mut self, _: &str, _: Number<'_>) {}
        fn restart(&mut self) {}
    }
    let (scanner, path, keys) = (Scanner::new(text), String::new(), Keys::default());
    let mut reader = Reader { scanner, rules, points: &mut Nothing, path, keys, count: 0 };
    match reader.document() {
        Err(found) => found.at(&reader.path, text),
        Ok(()) => problem,
    }
}

/// Buffers reused between documents of a thread.
#[derive(Default)]
struct Scratch {
    path: String,
    keys: Keys,
}

/// Larger buffers are freed.
const KEPT_BYTES: usize = 16 << 10;
const KEPT_KEYS: usize = 16 << 10;

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

/// One U+FFFD for each byte that is not part of a character.
fn replace_bad_bytes(document: &[u8]) -> String {
    let mut text = String::with_capacity(document.len() + 16);
    for chunk in document.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

struct Reader<'a, P> {
    scanner: Scanner<'a>,
    rules: &'a Rules,
    points: &'a mut P,
    path: String,
    keys: Keys,
    count: usize,
}

impl<P: Points> Reader<'_, P> {
    fn document(&mut self) -> Result<(), Fail> {
        match self.scanner.token()? {
            Token::Object => self.object(1)?,
            Token::Array => return Err(Problem::NotAnObject("an array").into()),
            Token::Text => return Err(Problem::NotAnObject("a string").into()),
            Token::True | Token::False => return Err(Problem::NotAnObject("a boolean").into()),
            Token::Null => return Err(Problem::NotAnObject("null").into()),
            Token::Number => return Err(Problem::NotAnObject("a number").into()),
        }
        self.scanner.end()
    }

    fn value(&mut self, depth: usize) -> Result<(), Fail> {
        match self.scanner.token()? {
            Token::Object => self.object(depth + 1),
            Token::Array if self.rules.arrays => self.array(depth + 1),
            Token::Array => self.scanner.skip_array(depth + 1, self.rules.limits.depth),
            Token::Text => {
                let text = self.scanner.text()?;
                self.points.text(&self.path, &text);
                Ok(())
            }
            Token::Number => {
                let (text, integer) = self.scanner.number()?;
                self.number(Number { text, integer })
            }
            Token::True => self.boolean(true),
            Token::False => self.boolean(false),
            Token::Null => {
                self.points.null();
                Ok(())
            }
        }
    }

    fn number(&mut self, number: Number<'_>) -> Result<(), Fail> {
        self.count += 1;
        if self.count > self.rules.limits.numbers {
            return Err(Problem::TooManyNumbers(self.rules.limits.numbers).into());
        }
        self.points.number(&self.path, number);
        Ok(())
    }

    fn boolean(&mut self, value: bool) -> Result<(), Fail> {
        if !self.rules.booleans {
            self.points.boolean(value);
            return Ok(());
        }
        self.number(Number { text: if value { "1" } else { "0" }, integer: true })
    }

    fn object(&mut self, depth: usize) -> Result<(), Fail> {
        self.check_depth(depth)?;
        if self.scanner.closes(b'}') {
            return Ok(());
        }
        let object = self.keys.open();
        loop {
            let offset = self.scanner.offset();
            let key = self.scanner.key()?;
            let hash = self.keys.hash(&key);
            let ignored = self.rules.ignores(&key) || !self.keys.keep(object, hash, offset);
            if ignored {
                self.scanner.skip_value(depth, self.rules.limits.depth)?;
            } else {
                let key = self.rules.renamed(&key);
                self.member(key, depth)?;
            }
            if !self.scanner.another(b'}', "a comma or a closing brace")? {
                return Ok(());
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Fail> {
        self.check_depth(depth)?;
        if self.scanner.closes(b']') {
            return Ok(());
        }
        self.points.begin_array();
        let mut index = 0usize;
        loop {
            self.member(itoa::Buffer::new().format(index), depth)?;
            index += 1;
            if !self.scanner.another(b']', "a comma or a closing bracket")? {
                self.points.end_array();
                return Ok(());
            }
        }
    }

    /// The value of a key or an index.
    #[inline]
    fn member(&mut self, key: &str, depth: usize) -> Result<(), Fail> {
        let length = self.path.len();
        if P::PATHS {
            if length > 0 {
                self.path.push('.');
            }
            self.path.push_str(key);
        }
        self.points.enter(key);
        self.value(depth)?;
        self.points.leave();
        self.path.truncate(length);
        Ok(())
    }

    fn check_depth(&self, depth: usize) -> Result<(), Fail> {
        if depth > self.rules.limits.depth {
            return Err(Problem::TooDeep(self.rules.limits.depth).into());
        }
        Ok(())
    }
}
