//! A configuration error: line, key, problem and remedy.

use std::fmt;

/// One error. Displayed as `line 12: endpoint.URL: it has no scheme: write http://host:port/…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line of the file, from 1.
    pub line: usize,
    /// The key with its table, as in `endpoint.URL`; empty for a syntax error.
    pub key: String,
    /// The problem and a remedy. Never contains a value of the file.
    pub message: String,
    /// A key that this is no problem for if a document has it.
    pub unseen: Option<String>,
}

impl Problem {
    pub(super) fn new(line: usize, key: String, message: String) -> Self {
        Self { line, key, message, unseen: None }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            return write!(f, "line {}: {}", self.line, self.message);
        }
        write!(f, "line {}: {}: {}", self.line, self.key, self.message)
    }
}

/// Finds the line of a byte.
pub(super) struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    pub(super) fn of(text: &str) -> Lines {
        let breaks = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1);
        Lines { starts: std::iter::once(0).chain(breaks).collect() }
    }

    pub(super) fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|&start| start <= offset)
    }
}
