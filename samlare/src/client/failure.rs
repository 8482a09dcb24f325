//! Why a request failed.

use std::fmt;
use std::io;
use std::time::Duration;

/// The error of a request. Contains no URL, header or token.
#[derive(Debug)]
pub enum Failure {
    /// No connection: the name does not resolve, nothing listens, or TLS failed.
    Connect(io::Error),
    /// The response did not end within the timeout.
    Timeout(Duration),
    /// The connection broke, or what came over it is not HTTP.
    Broken(String),
    /// Any status but 2xx, after redirects.
    Status(u16),
    /// A redirect that is not followed, and why.
    Redirect(&'static str),
    /// The body is too large, before or after decompression.
    TooLarge(usize),
    /// An unsupported content encoding, or invalid gzip.
    Encoding(String),
    /// The bearer token's file cannot be read.
    Token(io::Error),
    /// Other bodies being read fill the memory reserved for them.
    Crowded,
}

impl Failure {
    /// The kind of failure in one word, for counting and for logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Failure::Connect(_) => "connect",
            Failure::Timeout(_) => "timeout",
            Failure::Broken(_) => "broken",
            Failure::Status(_) => "status",
            Failure::Redirect(_) => "redirect",
            Failure::TooLarge(_) => "size",
            Failure::Encoding(_) => "encoding",
            Failure::Token(_) => "token",
            Failure::Crowded => "crowded",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Connect(error) => write!(f, "cannot connect: {error}"),
            Failure::Timeout(limit) => write!(f, "no whole answer within {} ms", limit.as_millis()),
            Failure::Broken(error) => write!(f, "the connection broke: {error}"),
            Failure::Status(status) => write!(f, "answered with status {status}"),
            Failure::Redirect(why) => write!(f, "the redirect is not followed: {why}"),
            Failure::TooLarge(limit) => write!(f, "the document has more than {limit} bytes"),
            Failure::Encoding(error) => write!(f, "the body cannot be decoded: {error}"),
            Failure::Token(error) => write!(f, "cannot read BearerTokenFile: {error}"),
            Failure::Crowded => write!(f, "too many large documents are being read at once"),
        }
    }
}

impl std::error::Error for Failure {}
