//! A JSON tokenizer.

use std::borrow::Cow;

use super::{Fail, Problem};

/// The beginning of a value; `true`, `false` and `null` are already read.
pub(super) enum Token {
    Object,
    Array,
    Text,
    Number,
    True,
    False,
    Null,
}

pub(super) struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Scanner { text, bytes: text.as_bytes(), at: 0 }
    }

    /// Bytes from the start of the document.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// The kind of the value that begins here.
    #[inline]
    pub(super) fn token(&mut self) -> Result<Token, Fail> {
        self.space();
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                Ok(Token::Object)
            }
            Some(b'[') => {
                self.at += 1;
                Ok(Token::Array)
            }
            Some(b'"') => Ok(Token::Text),
            Some(b'-' | b'0'..=b'9') => Ok(Token::Number),
            Some(b't') => self.word("true", Token::True),
            Some(b'f') => self.word("false", Token::False),
            Some(b'n') => self.word("null", Token::Null),
            _ => Err(self.expected("a value")),
        }
    }

    /// Only whitespace may follow.
    pub(super) fn end(&mut self) -> Result<(), Fail> {
        self.space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.expected("the end of the document")),
        }
    }

    /// Whether the object or array just opened is empty, and then closes it.
    #[inline]
    pub(super) fn closes(&mut self, close: u8) -> bool {
        self.space();
        let empty = self.peek() == Some(close);
        self.at += usize::from(empty);
        empty
    }

    /// After a member: whether another follows.
    #[inline]
    pub(super) fn another(&mut self, close: u8, expected: &'static str) -> Result<bool, Fail> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.expected(expected)),
        }
    }

    /// A key and its colon.
    #[inline]
    pub(super) fn key(&mut self) -> Result<Cow<'a, str>, Fail> {
        let key = self.text()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.expected("a colon"));
        }
        self.at += 1;
        Ok(key)
    }

    /// A string, unescaped; an unpaired surrogate becomes U+FFFD.
    #[inline]
    pub(super) fn text(&mut self) -> Result<Cow<'a, str>, Fail> {
        let (raw, escaped) = self.raw_text()?;
        Ok(if escaped { Cow::Owned(unescape(raw)) } else { Cow::Borrowed(raw) })
    }

    /// The digits of a number, and whether it is written as an integer.
    #[inline]
    pub(super) fn number(&mut self) -> Result<(&'a str, bool), Fail> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        let integer = !matches!(self.peek(), Some(b'.' | b'e' | b'E'));
        if !integer {
            self.fraction()?;
        }
        Ok((&self.text[start..self.at], integer))
    }

    /// What follows the integer part of a number.
    fn fraction(&mut self) -> Result<(), Fail> {
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Skips a value, validating it.
    pub(super) fn skip_value(&mut self, depth: usize, limit: usize) -> Result<(), Fail> {
        match self.token()? {
            Token::Object => self.skip_object(depth + 1, limit),
            Token::Array => self.skip_array(depth + 1, limit),
            Token::Text => self.raw_text().map(drop),
            Token::Number => self.number().map(drop),
            Token::True | Token::False | Token::Null => Ok(()),
        }
    }

    /// Skips the rest of an array.
    pub(super) fn skip_array(&mut self, depth: usize, limit: usize) -> Result<(), Fail> {
        if depth > limit {
            return Err(Problem::TooDeep(limit).into());
        }
        if self.closes(b']') {
            return Ok(());
        }
        loop {
            self.at += plain_numbers(&self.bytes[self.at..]);
            self.skip_value(depth, limit)?;
            if !self.another(b']', "a comma or a closing bracket")? {
                return Ok(());
            }
        }
    }

    fn skip_object(&mut self, depth: usize, limit: usize) -> Result<(), Fail> {
        if depth > limit {
            return Err(Problem::TooDeep(limit).into());
        }
        if self.closes(b'}') {
            return Ok(());
        }
        loop {
            self.space();
            self.raw_text()?;
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.expected("a colon"));
            }
            self.at += 1;
            self.skip_value(depth, limit)?;
            if !self.another(b'}', "a comma or a closing brace")? {
                return Ok(());
            }
        }
    }

    /// The raw content of a string, and whether it has escapes.
    #[inline]
    fn raw_text(&mut self) -> Result<(&'a str, bool), Fail> {
        self.space();
        if self.peek() != Some(b'"') {
            return Err(self.expected("a string"));
        }
        let start = self.at + 1;
        self.at = start + plain_text(&self.bytes[start..]);
        let escaped = self.peek() != Some(b'"');
        if escaped {
            self.escaped_text()?;
        }
        let raw = &self.text[start..self.at];
        self.at += 1;
        Ok((raw, escaped))
    }

    /// Skips to the closing quote.
    #[cold]
    fn escaped_text(&mut self) -> Result<(), Fail> {
        loop {
            self.at += plain_text(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => return Ok(()),
                Some(b'\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                            self.at += 1
                        }
                        Some(b'u') => {
                            self.at += 1;
                            for _ in 0..4 {
                                match self.peek() {
                                    Some(byte) if byte.is_ascii_hexdigit() => self.at += 1,
                                    _ => return Err(self.expected("four hexadecimal digits")),
                                }
                            }
                        }
                        _ => return Err(self.expected("an escape")),
                    }
                }
                Some(_) => return Err(self.expected("no control character in a string")),
                None => return Err(truncated()),
            }
        }
    }

    #[inline]
    fn digits(&mut self) -> Result<(), Fail> {
        let start = self.at;
        self.at += digits(&self.bytes[start..]);
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    fn word(&mut self, word: &'static str, token: Token) -> Result<Token, Fail> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(token);
        }
        if word.as_bytes().starts_with(&self.bytes[self.at..]) {
            return Err(truncated());
        }
        Err(self.expected("a value"))
    }

    #[inline]
    fn space(&mut self) {
        if self.peek().is_some_and(|byte| byte <= b' ') {
            let is_space = |byte: &&u8| matches!(**byte, b' ' | b'\n' | b'\r' | b'\t');
            self.at += self.bytes[self.at..].iter().take_while(is_space).count();
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[cold]
    fn expected(&self, expected: &'static str) -> Fail {
        if self.at >= self.bytes.len() {
            return truncated();
        }
        let (key, found) = (String::new(), String::new());
        Problem::Syntax { offset: self.at, expected, key, found }.into()
    }
}

/// The reader adds the position.
fn truncated() -> Fail {
    Problem::Truncated { key: String::new() }.into()
}

/// How many digits there are.
#[inline]
fn digits(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len())
}

/// The length of a run of plain integers, each followed by a comma and possibly a space: Go's
/// memory statistics have hundreds in a row.
fn plain_numbers(bytes: &[u8]) -> usize {
    let mut end = 0;
    loop {
        let rest = &bytes[end..];
        let length = digits(rest);
        let is_number = length == 1 || (length > 1 && rest[0] != b'0');
        if !is_number || rest.get(length) != Some(&b',') {
            return end;
        }
        end += length + 1;
        end += usize::from(bytes.get(end) == Some(&b' '));
    }
}

/// The length up to a quote, a backslash or a control character.
#[inline]
fn plain_text(bytes: &[u8]) -> usize {
    /// The byte in each of the eight.
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    /// Marks at least the first of eight bytes that is less than `limit`, at most 128.
    fn less(word: u64, limit: u8) -> u64 {
        word.wrapping_sub(each(limit)) & !word & each(0x80)
    }
    let (words, rest) = bytes.as_chunks();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let special = less(word, 0x20) | less(word ^ each(b'"'), 1) | less(word ^ each(b'\\'), 1);
        if special != 0 {
            return at * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    words.len() * 8 + rest.iter().position(special).unwrap_or(rest.len())
}

/// Unescapes a string whose escapes are valid.
fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        let escape = rest.as_bytes()[at + 1];
        rest = &rest[at + 2..];
        match escape {
            b'b' => text.push('\u{8}'),
            b'f' => text.push('\u{c}'),
            b'n' => text.push('\n'),
            b'r' => text.push('\r'),
            b't' => text.push('\t'),
            b'u' => {
                let high = unit(rest);
                rest = &rest[4..];
                let mut character = char::from_u32(high);
                if (0xd800..0xdc00).contains(&high) && rest.starts_with("\\u") {
                    let low = unit(&rest[2..]);
                    if (0xdc00..0xe000).contains(&low) {
                        character =
                            char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
                        rest = &rest[6..];
                    }
                }
                text.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            other => text.push(char::from(other)),
        }
    }
    text.push_str(rest);
    text
}

/// The UTF-16 unit of the first four hexadecimal digits.
fn unit(digits: &str) -> u32 {
    u32::from_str_radix(&digits[..4], 16).unwrap_or(0xfffd)
}
