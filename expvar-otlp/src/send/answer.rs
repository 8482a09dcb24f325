//! Interprets a server's response: accepted, partly accepted, to be retried, or rejected.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};

use crate::encode::fields::{Fields, Value};

/// The longest accepted `Retry-After`.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
/// The longest part of a message that is shown.
const MESSAGE_CHARS: usize = 200;

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    location: Option<String>,
    content_type: String,
    pub(crate) body: Vec<u8>,
}

/// The meaning of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Accepted, except for `rejected` points, which would be rejected again.
    Taken { rejected: u64, message: String },
    /// To be retried, after a time if the server says so.
    Later { after: Option<Duration>, problem: String },
    /// Would be rejected again.
    Rejected { problem: String, remedy: &'static str },
}

impl Answer {
    pub(crate) fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            status,
            retry_after: text(header::RETRY_AFTER).and_then(retry_after),
            location: text(header::LOCATION).map(str::to_owned),
            content_type: text(header::CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase(),
            body: Vec::new(),
        }
    }

    /// Interprets the response.
    ///
    /// OTLP lists the status codes to retry: 429, 502, 503 and 504; "all other 4xx or 5xx response
    /// status codes MUST NOT be retried".
    pub(crate) fn judge(&self) -> Verdict {
        if self.status.is_success() {
            return self.judge_success();
        }
        let problem = self.problem();
        match self.status.as_u16() {
            429 | 502..=504 => Verdict::Later { after: self.retry_after, problem },
            status => Verdict::Rejected { problem, remedy: remedy(status) },
        }
    }

    fn judge_success(&self) -> Verdict {
        let is_protobuf = self.content_type.starts_with("application/x-protobuf");
        let is_json = self.content_type.starts_with("application/json");
        if !is_protobuf && !is_json && !self.body.is_empty() {
            return Verdict::Rejected {
                problem: format!("the answer is {}, not OTLP", self.described()),
                remedy: "set the endpoint to a collector's, with its path: \
                         http://collector:4318/v1/metrics",
            };
        }
        let (rejected, message) =
            if is_json { partial_json(&self.body) } else { partial_protobuf(&self.body) };
        Verdict::Taken { rejected, message: shorten(&message) }
    }

    /// The status and what the server says about it.
    fn problem(&self) -> String {
        let message = match &self.location {
            Some(location) => format!("it has moved to {location}"),
            None if self.content_type.starts_with("application/x-protobuf") => {
                // `google.rpc.Status`.
                text(Fields::of(&self.body), 2)
            }
            None if self.content_type.starts_with("application/json") => {
                json_text(&self.body, "message")
            }
            None if self.is_html() => "a page of HTML".to_owned(),
            None => String::from_utf8_lossy(&self.body).into_owned(),
        };
        match shorten(&message) {
            message if message.is_empty() => format!("the answer is {}", self.status),
            message => format!("the answer is {}: {message}", self.status),
        }
    }

    fn described(&self) -> String {
        if self.is_html() {
            return "a page of HTML".to_owned();
        }
        match self.content_type.as_str() {
            "" => "of no type".to_owned(),
            kind => shorten(kind),
        }
    }

    fn is_html(&self) -> bool {
        self.content_type.starts_with("text/html") || self.body.starts_with(b"<")
    }
}

fn remedy(status: u16) -> &'static str {
    match status {
        401 | 403 => {
            "set the header that it requires: headers, or OTEL_EXPORTER_OTLP_HEADERS, \
             authorization=Bearer%20…"
        }
        300..=399 => "set the endpoint to where it is",
        404 | 405 => {
            "set the endpoint to the collector's for HTTP, whose path for metrics is /v1/metrics"
        }
        413 => "raise the server's limit for a request's body",
        415 => "set the other encoding: protocol, or OTEL_EXPORTER_OTLP_PROTOCOL",
        400 => "see the server's message and log",
        _ => "see the server's log",
    }
}

/// The time to wait: seconds, or a date.
fn retry_after(value: &str) -> Option<Duration> {
    let wait = match value.trim().parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = httpdate::parse_http_date(value.trim()).ok()?;
            at.duration_since(SystemTime::now()).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

/// The number of rejected points and the message in an `ExportMetricsServiceResponse`.
fn partial_protobuf(body: &[u8]) -> (u64, String) {
    let partial = Fields::of(body).find_map(|field| match field {
        (1, Value::Bytes(partial)) => Some(Fields::of(partial)),
        _ => None,
    });
    let Some(partial) = partial else { return (0, String::new()) };
    let rejected = partial.clone().find_map(|field| match field {
        (1, Value::Number(n)) => Some(n),
        _ => None,
    });
    // A negative number is ignored.
    let rejected = rejected.filter(|n| *n <= i64::MAX as u64).unwrap_or(0);
    (rejected, text(partial, 2))
}

/// The same in JSON, where 64-bit integers are strings, but some servers write numbers.
fn partial_json(body: &[u8]) -> (u64, String) {
    let text = String::from_utf8_lossy(body);
    let number = after_key(&text, "rejectedDataPoints").map(|rest| {
        let digits = rest.trim_start_matches('"');
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().unwrap_or(0)
    });
    (number.unwrap_or(0), json_text(body, "errorMessage"))
}

fn text(mut fields: Fields<'_>, number: u32) -> String {
    let bytes = fields.find_map(|field| match field {
        (found, Value::Bytes(bytes)) if found == number => Some(bytes),
        _ => None,
    });
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}

/// The first string of that key in JSON, for display.
fn json_text(body: &[u8], key: &str) -> String {
    let text = String::from_utf8_lossy(body);
    let Some(rest) = after_key(&text, key).and_then(|rest| rest.strip_prefix('"')) else {
        return String::new();
    };
    let mut out = String::new();
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('n' | 't' | 'r') => out.push(' '),
                Some(c) => out.push(c),
                None => break,
            },
            c => out.push(c),
        }
    }
    out
}

fn after_key<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let at = text.find(&format!("\"{key}\""))? + key.len() + 2;
    Some(text[at..].trim_start().strip_prefix(':')?.trim_start())
}

/// One line of printable characters.
fn shorten(message: &str) -> String {
    let line = message.trim().chars().take(MESSAGE_CHARS);
    line.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use expvar::protobuf::Message;

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &[u8]) -> Answer {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect::<Vec<(http::HeaderName, http::HeaderValue)>>()
            .into_iter()
            .collect();
        let mut answer = Answer::new(StatusCode::from_u16(status).unwrap(), &headers);
        answer.body = body.to_vec();
        answer
    }

    #[test]
    fn only_the_four_codes_of_the_specification_are_worth_another_attempt() {
        for status in 300..600 {
            let is_again = matches!(answer(status, &[], b"").judge(), Verdict::Later { .. });
            assert_eq!(is_again, matches!(status, 429 | 502 | 503 | 504), "{status}");
        }
    }

    #[test]
    fn a_server_says_how_long_to_wait() {
        for (value, seconds) in [("7", Some(7)), ("999999", Some(3_600)), ("soon", None)] {
            let value: &'static str = value;
            let verdict = answer(503, &[("retry-after", value)], b"").judge();
            let Verdict::Later { after, .. } = verdict else { panic!("{verdict:?}") };
            assert_eq!(after.map(|after| after.as_secs()), seconds);
        }
        let past = answer(429, &[("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")], b"");
        assert_eq!(past.retry_after, Some(Duration::ZERO));
    }

    #[test]
    fn what_is_taken_in_part_is_counted_in_either_encoding() {
        let mut response = Message::default();
        response.nested(1, |partial| {
            partial.varint(1, 3);
            partial.text(2, "too old");
        });
        let taken = Verdict::Taken { rejected: 3, message: "too old".into() };
        let protobuf = [("content-type", "application/x-protobuf")];
        assert_eq!(answer(200, &protobuf, response.as_bytes()).judge(), taken);
        let json = [("content-type", "application/json; charset=utf-8")];
        for body in [
            r#"{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"too old"}}"#,
            r#"{"partialSuccess": {"rejectedDataPoints": 3, "errorMessage": "too old"}}"#,
        ] {
            assert_eq!(answer(200, &json, body.as_bytes()).judge(), taken);
        }
        let whole = Verdict::Taken { rejected: 0, message: String::new() };
        for (kind, body) in [(&protobuf, &b""[..]), (&json, b"{}")] {
            assert_eq!(answer(200, kind, body).judge(), whole);
        }
        assert_eq!(answer(202, &[], b"").judge(), whole, "no type and no body");
    }

    #[test]
    fn what_is_wrong_says_what_to_change() {
        let html = [("content-type", "text/html; charset=utf-8")];
        let mut status = Message::default();
        status.text(2, "no such\ntenant");
        let protobuf = [("content-type", "application/x-protobuf")];
        for (answer, problem, remedy) in [
            (answer(200, &html, b"<html>"), "a page of HTML, not OTLP", "/v1/metrics"),
            (answer(404, &html, b"<html>"), "404 Not Found: a page of HTML", "/v1/metrics"),
            (answer(401, &[], b"who?"), "401 Unauthorized: who?", "OTEL_EXPORTER_OTLP_HEADERS"),
            (answer(403, &[], b""), "403 Forbidden", "OTEL_EXPORTER_OTLP_HEADERS"),
            (answer(400, &protobuf, status.as_bytes()), "no such tenant", "the server's message"),
            (answer(415, &[], b""), "415", "OTEL_EXPORTER_OTLP_PROTOCOL"),
            (answer(308, &[("location", "/x")], b""), "it has moved to /x", "set the endpoint"),
            (answer(500, &[], b"oops"), "oops", "log"),
        ] {
            let Verdict::Rejected { problem: found, remedy: given } = answer.judge() else {
                panic!("{answer:?}");
            };
            assert!(found.contains(problem), "{found}");
            assert!(given.contains(remedy), "{given}");
        }
    }
}
