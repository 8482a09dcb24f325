//! Formats and content negotiation.

use super::escaping::Escaping;

/// The format of metrics.
///
/// ```
/// use expvar_http::Format;
///
/// assert_eq!(Format::accepted("application/openmetrics-text;version=1.0.0"), Format::OpenMetrics);
/// assert_eq!(Format::accepted("*/*"), Format::Text);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Prometheus text, version 0.0.4. Version 1.0.0 is the same with quoted names.
    Text,
    /// OpenMetrics, version 1.0.0.
    OpenMetrics,
    /// Prometheus' protobuf, `io.prometheus.client.MetricFamily`, length-delimited. Histograms are
    /// native, with classic buckets for other readers.
    Protobuf,
}

impl Format {
    /// The value of the `Content-Type` header for a client that requests no escaping.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited"
            }
        }
    }

    /// The format of [`MediaType::accepted`].
    pub fn accepted(accept: &str) -> Self {
        MediaType::accepted(accept).format
    }
}

/// A format and an escaping of names, as a client requests in its `Accept` header.
///
/// ```
/// use expvar_http::{Format, MediaType, Prometheus};
///
/// let media_type = MediaType::accepted("text/plain");
/// assert_eq!(media_type.format(), Format::Text);
/// let mut body = Vec::new();
/// Prometheus::new().render(&expvar::Registry::new(), media_type, &mut body);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MediaType {
    format: Format,
    escaping: Escaping,
    /// Text of version 1.0.0.
    is_text_1: bool,
    /// The client requested the escaping.
    is_named: bool,
}

impl MediaType {
    /// Creates a media type.
    pub const fn new(format: Format, escaping: Escaping) -> Self {
        let is_named = !matches!(escaping, Escaping::Underscores);
        Self { format, escaping, is_text_1: is_named && matches!(format, Format::Text), is_named }
    }

    /// The format.
    pub const fn format(self) -> Format {
        self.format
    }

    /// The escaping.
    pub const fn escaping(self) -> Escaping {
        self.escaping
    }

    /// Negotiates by a client's `Accept` header: the highest `q` wins, among equals protobuf before
    /// OpenMetrics before text. Ignores versions of OpenMetrics other than 1.0.0 and other protobuf
    /// messages. Wildcards and headers without a known type mean text.
    ///
    /// ```
    /// use expvar_http::{Escaping, Format, MediaType};
    ///
    /// let accept = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5, */*;q=0.1";
    /// let media_type = MediaType::accepted(accept);
    /// assert_eq!((media_type.format(), media_type.escaping()), (Format::OpenMetrics, Escaping::Utf8));
    /// ```
    pub fn accepted(accept: &str) -> Self {
        let mut best = (0.0, Self::from(Format::Text));
        let ranges: Vec<Range> = split(accept, ',').filter_map(range).collect();
        // Explicit ranges precede wildcards.
        let names_text = ranges.iter().any(Range::is_text);
        for Range { q, media_type, is_wildcard } in ranges {
            if is_wildcard && names_text {
                continue;
            }
            let is_better = q > best.0 || (q == best.0 && media_type.rank() > best.1.rank());
            if q > 0.0 && is_better {
                best = (q, media_type);
            }
        }
        best.1
    }

    /// The value of the `Content-Type` header.
    pub fn content_type(self) -> String {
        let format = match self {
            Self { is_text_1: true, .. } => "text/plain; version=1.0.0; charset=utf-8",
            Self { format, .. } => format.content_type(),
        };
        match self.is_named {
            true => format!("{format}; escaping={}", self.escaping.name()),
            false => format.to_owned(),
        }
    }

    /// The same with another escaping of names. One other than the default is always stated.
    pub(super) fn escaped(self, escaping: Escaping) -> Self {
        let is_default = escaping == Escaping::Underscores;
        Self { escaping, is_named: self.is_named || !is_default, ..self }
    }

    fn rank(self) -> u8 {
        match self.format {
            Format::Text if !self.is_named => 0,
            Format::Text => 1,
            Format::OpenMetrics => 2,
            Format::Protobuf => 3,
        }
    }
}

/// With names that every reader accepts.
impl From<Format> for MediaType {
    fn from(format: Format) -> Self {
        Self::new(format, Escaping::Underscores)
    }
}

/// One range of an `Accept` header, with its quality and our type.
struct Range {
    q: f64,
    media_type: MediaType,
    is_wildcard: bool,
}

impl Range {
    fn is_text(&self) -> bool {
        !self.is_wildcard && self.media_type.format == Format::Text
    }
}

/// `None` for an unknown type.
fn range(range: &str) -> Option<Range> {
    let mut parts = split(range, ';');
    let media = parts.next()?.to_ascii_lowercase();
    let (mut q, mut version, mut escaping) = (1.0, None, None);
    let (mut proto, mut encoding) = (None, None);
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => q = value.parse::<f64>().ok().filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0),
            "version" => version = Some(value),
            "escaping" => escaping = Escaping::of(&value.to_ascii_lowercase()),
            "proto" => proto = Some(value),
            "encoding" => encoding = Some(value),
            _ => {}
        }
    }
    let format = match media.as_str() {
        "application/vnd.google.protobuf" => {
            let is_ours = proto == Some("io.prometheus.client.MetricFamily");
            (is_ours && encoding == Some("delimited")).then_some(Format::Protobuf)?
        }
        "application/openmetrics-text" => {
            matches!(version, None | Some("1.0.0")).then_some(Format::OpenMetrics)?
        }
        "text/plain" => Format::Text,
        "text/*" | "*/*" => {
            return Some(Range { q, media_type: Format::Text.into(), is_wildcard: true });
        }
        _ => return None,
    };
    let is_text_1 = format == Format::Text && version == Some("1.0.0");
    // Text 1.0.0 must state the escaping.
    let is_named = escaping.is_some() || is_text_1;
    let escaping = escaping.unwrap_or_default();
    let media_type = MediaType { format, escaping, is_text_1, is_named };
    Some(Range { q, media_type, is_wildcard: false })
}

/// Splits a header's value at an unquoted character, and trims the parts.
fn split(value: &str, at: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = value.split(move |c| {
        if escaped {
            escaped = false;
        } else {
            match c {
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                c => return c == at && !quoted,
            }
        }
        false
    });
    parts.map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::Format::{self, OpenMetrics, Protobuf, Text};
    use super::*;

    #[test]
    fn the_client_chooses() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                          application/openmetrics-text;version=0.0.1;q=0.5,\
                          text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                          text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, format) in [
            (prometheus, OpenMetrics),
            ("application/openmetrics-text", OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8", OpenMetrics),
            ("text/plain, application/openmetrics-text", OpenMetrics),
            ("text/plain, application/openmetrics-text; q=0.5", Text),
            ("application/openmetrics-text; q=0", Text),
            ("application/openmetrics-text; version=0.0.1", Text),
            ("application/openmetrics-text; q=x", Text),
            ("application/openmetrics-text; q=NaN", Text),
            ("*/*", Text),
            ("application/openmetrics-text;q=0.5, */*", Text),
            ("text/plain;q=0.1, */*, application/openmetrics-text;q=0.5", OpenMetrics),
            ("text/html, text/*;q=0.9, application/openmetrics-text;q=0.8", Text),
            ("", Text),
            ("application/vnd.google.protobuf", Text),
            ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily", Text),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=text",
                Text,
            ),
            (
                "application/vnd.google.protobuf; proto=\"io.prometheus.client.MetricFamily\"; \
                 encoding=delimited",
                Protobuf,
            ),
            // The request of Prometheus 2.42 with native histograms enabled.
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,\
                 application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;\
                 q=0.5,*/*;q=0.1",
                Protobuf,
            ),
            // The specification's example, including its invalid last range.
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=delimited;q=0.5,application/openmetrics-text;version=1.0.0;\
                 escaping=allow-utf8;q=0.4,application/openmetrics-text;version=0.0.1;q=0.3,\
                 text/plain;version=1.0.0;escaping=allow-utf8;q=0.2,text/plain;version=0.0.4;\
                 q=0.1,/;q=0.0",
                Protobuf,
            ),
            ("text/plain;note=\"a,application/openmetrics-text;q=1\";q=0.1", Text),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }

    #[test]
    fn the_answer_says_what_it_is() {
        for (accept, content_type) in [
            ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
            ("text/plain", "text/plain; version=0.0.4; charset=utf-8"),
            (
                "text/plain;version=0.0.4;escaping=dots",
                "text/plain; version=0.0.4; charset=utf-8; escaping=dots",
            ),
            (
                "text/plain;version=1.0.0",
                "text/plain; version=1.0.0; charset=utf-8; escaping=underscores",
            ),
            (
                "text/plain;version=0.0.4;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5",
                "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            ),
            (
                "application/openmetrics-text",
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=Values",
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=values",
            ),
            (
                "application/openmetrics-text;escaping=\"none\"",
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=delimited;escaping=allow-utf-8",
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited; escaping=allow-utf-8",
            ),
        ] {
            assert_eq!(MediaType::accepted(accept).content_type(), content_type, "{accept}");
        }
        let text = MediaType::new(Text, Escaping::Utf8).content_type();
        assert_eq!(text, "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8");
    }
}
