//! The head of an answer: its status, and how its body ends.

use super::failure::Failure;

/// The largest head that is read.
pub(super) const MAX_HEAD_BYTES: usize = 64 << 10;
const MAX_HEADERS: usize = 128;

/// What a client needs of an answer's head.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its own length.
    pub(super) bytes: usize,
    pub(super) status: u16,
    pub(super) framing: Framing,
    pub(super) gzip: bool,
    pub(super) location: Option<String>,
    /// Whether the connection can take another request after the body.
    pub(super) keeps: bool,
}

/// Where the body ends (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    Close,
}

impl Head {
    /// Parses the head that `buffer` begins with; `None` when it is not whole yet.
    pub(super) fn parse(buffer: &[u8]) -> Result<Option<Head>, Failure> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = httparse::ParserConfig::default()
            .allow_spaces_after_header_name_in_responses(false)
            .parse_response(&mut response, buffer)
            .map_err(|error| Failure::Broken(format!("the answer is not HTTP: {error}")))?;
        let httparse::Status::Complete(bytes) = parsed else { return Ok(None) };
        let status = response.code.unwrap_or(0);
        let mut head = Head {
            bytes,
            status,
            framing: Framing::Close,
            gzip: false,
            location: None,
            keeps: response.version == Some(1),
        };
        let (mut length, mut chunked) = (None, false);
        for header in response.headers.iter() {
            let value = header.value.trim_ascii();
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("content-length") {
                let given = std::str::from_utf8(value).ok().and_then(parse_length);
                let given = given.ok_or_else(|| broken("its Content-Length is no number"))?;
                if length.replace(given).is_some_and(|before| before != given) {
                    return Err(broken("it has two Content-Lengths"));
                }
            } else if is("transfer-encoding") {
                if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(broken("its Transfer-Encoding is not chunked"));
                }
                chunked = true;
            } else if is("content-encoding") {
                head.gzip = match value.to_ascii_lowercase().as_slice() {
                    b"gzip" | b"x-gzip" => true,
                    b"identity" | b"" => head.gzip,
                    _ => return Err(Failure::Encoding("it is not gzip".to_owned())),
                };
            } else if is("connection") {
                let mut words = value.split(|byte| *byte == b',');
                head.keeps &= !words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"));
            } else if is("location") {
                head.location = std::str::from_utf8(value).ok().map(str::to_owned);
            }
        }
        head.framing = match (status, chunked, length) {
            (100..200 | 204 | 304, ..) => Framing::Length(0),
            (_, true, None) => Framing::Chunked,
            // Both: somebody between disagrees about where it ends.
            (_, true, Some(_)) => return Err(broken("it has two lengths")),
            (_, false, Some(length)) => Framing::Length(length),
            (_, false, None) => Framing::Close,
        };
        head.keeps &= head.framing != Framing::Close;
        Ok(Some(head))
    }
}

/// The value of the header of this name in a head that was parsed before, if it is text.
pub(super) fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(head).ok()?;
    let named = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    named.and_then(|header| std::str::from_utf8(header.value).ok())
}

fn parse_length(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn broken(what: &str) -> Failure {
    Failure::Broken(format!("the answer is ambiguous: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        Head::parse(text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn where_a_body_ends() {
        let length = head("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n");
        assert_eq!((length.framing, length.keeps, length.bytes), (Framing::Length(12), true, 39));
        assert_eq!(head("HTTP/1.1 200 \r\n\r\n").framing, Framing::Close);
        assert!(!head("HTTP/1.1 200 OK\r\n\r\n").keeps);
        let chunked = head("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n");
        assert_eq!((chunked.framing, chunked.keeps), (Framing::Chunked, true));
        assert_eq!(head("HTTP/1.1 204 No Content\r\n\r\n").framing, Framing::Length(0));
        assert!(!head("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n").keeps);
        let closing = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: x, CLOSE\r\n\r\n";
        assert!(!head(closing).keeps);
    }

    #[test]
    fn ambiguous_heads_are_refused() {
        for bad in [
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Content-Length: +1",
            "Content-Length: 1, 1",
            "Content-Length: 99999999999999999999",
            "Transfer-Encoding: gzip, chunked",
            "Content-Encoding: br",
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{bad}\r\n\r\n");
            assert!(Head::parse(text.as_bytes()).is_err(), "{bad}");
        }
        assert!(Head::parse(b"SSH-2.0-OpenSSH\r\n").is_err());
        assert_eq!(Head::parse(b"HTTP/1.1 200 OK\r\nContent-").unwrap(), None);
    }
}
