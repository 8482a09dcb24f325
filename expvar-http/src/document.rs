//! Documents rendered on request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use expvar::Registry;
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;
use regex::{Regex, RegexBuilder};

use crate::held::{Held, Ledger};
use crate::limits::{MAX_FILTER_BYTES, MAX_FILTER_PROGRAM_BYTES, MIN_GZIP_BYTES};
use crate::{MediaType, Prometheus, pretty};

/// A requested document. Equal requests can share one render.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) kind: Kind,
    /// Whether the client accepts gzip.
    pub(crate) gzip: bool,
}

/// The kind of document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Go's JSON of the variables whose names match `filter`.
    Vars { filter: Option<String>, pretty: bool },
    /// The same variables as Prometheus metrics.
    Metrics { filter: Option<String>, media_type: MediaType },
}

/// A document's bytes, shared by the requests for it.
#[derive(Clone, Debug)]
pub(crate) struct Rendered {
    pub(crate) body: Arc<Held>,
    pub(crate) coding: Coding,
}

/// The content coding of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// Identity: too short to be compressed for any client.
    TooShort,
    /// Identity: other clients get it compressed.
    Plain,
    Gzip,
}

/// Why a filter is invalid, and where.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BadFilter(pub(crate) Arc<str>);

/// The inputs of a render.
pub(crate) struct Source<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) prometheus: &'a Prometheus,
    pub(crate) ledger: &'a Ledger,
    /// Counts the variables reached, including the one being read.
    pub(crate) reached: &'a AtomicUsize,
}

impl Document {
    fn filter(&self) -> Option<&str> {
        let (Kind::Vars { filter, .. } | Kind::Metrics { filter, .. }) = &self.kind;
        filter.as_deref()
    }

    /// Whether the document contains the variable of that name.
    pub(crate) fn holds(&self, name: &str) -> bool {
        let is_match = |filter: Regex| filter.is_match(name);
        self.filter().is_none_or(|filter| compile(filter).is_ok_and(is_match))
    }

    /// Renders the document in `buffer`, whose memory is reused and whose content is lost.
    pub(crate) fn render(
        &self,
        source: &Source<'_>,
        buffer: &mut Vec<u8>,
    ) -> Result<Rendered, BadFilter> {
        buffer.clear();
        let filter = self.filter().map(compile).transpose()?;
        let looked_at = |at: usize| source.reached.store(at + 1, Relaxed);
        let mut reached = 0;
        let wanted = |name: &str| {
            looked_at(reached);
            reached += 1;
            filter.as_ref().is_none_or(|filter| filter.is_match(name))
        };
        match &self.kind {
            Kind::Vars { pretty, .. } => {
                match filter {
                    Some(_) => source.registry.render_json_where(wanted, buffer),
                    None => source.registry.render_json_telling(looked_at, buffer),
                }
                if *pretty {
                    let mut indented = Vec::with_capacity(2 * buffer.len());
                    pretty::indent(buffer, &mut indented);
                    *buffer = indented;
                }
            }
            Kind::Metrics { filter: None, media_type } => {
                source.prometheus.render_all(source.registry, looked_at, *media_type, buffer);
            }
            Kind::Metrics { media_type, .. } => {
                source.prometheus.render_where(source.registry, wanted, *media_type, buffer);
            }
        }
        let coding = match buffer.len() {
            0..=MIN_GZIP_BYTES => Coding::TooShort,
            _ if self.gzip => Coding::Gzip,
            _ => Coding::Plain,
        };
        let body = match coding {
            Coding::Gzip => compress(buffer),
            _ => Bytes::copy_from_slice(buffer),
        };
        Ok(Rendered { body: source.ledger.hold(body), coding })
    }
}

fn compile(filter: &str) -> Result<Regex, BadFilter> {
    if filter.len() > MAX_FILTER_BYTES {
        let (len, most) = (filter.len(), MAX_FILTER_BYTES);
        let why = format!("the expression has {len} bytes, and at most {most} are taken");
        return Err(BadFilter(why.into()));
    }
    RegexBuilder::new(filter)
        .size_limit(MAX_FILTER_PROGRAM_BYTES)
        .dfa_size_limit(MAX_FILTER_PROGRAM_BYTES)
        .nest_limit(64)
        .build()
        .map_err(|err| BadFilter(err.to_string().into()))
}

fn compress(document: &[u8]) -> Bytes {
    use std::io::Write;
    let out = Vec::with_capacity(document.len() / 4);
    let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
    // Writing to a Vec cannot fail.
    let _ = encoder.write_all(document);
    encoder.finish().unwrap_or_default().into()
}

/// Whether the client accepts gzip explicitly; without the header, or with `*`, it gets identity.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts
            .filter_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .any(|quality| quality.parse::<f32>().is_ok_and(|quality| quality <= 0.0));
        is_gzip && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, value.parse().unwrap());
        accepts_gzip(&headers)
    }

    #[test]
    fn gzip_is_asked_for_by_name() {
        for value in ["gzip", "deflate, GZIP", "gzip;q=0.5", "br;q=1, gzip; q=0.1"] {
            assert!(accepts(value), "{value}");
        }
        for value in ["", "identity", "deflate", "gzip;q=0", "gzip; q=0.000", "*", "gzipped"] {
            assert!(!accepts(value), "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_bad_filter_says_where() {
        let error = compile("http[").unwrap_err().0;
        assert!(error.contains("http[\n        ^"), "{error}");
        assert!(error.contains("unclosed character class"), "{error}");
    }

    #[test]
    fn filters_are_bounded() {
        assert!(compile(&"a".repeat(1024)).is_ok());
        let error = compile(&"a".repeat(1025)).unwrap_err().0;
        assert_eq!(&*error, "the expression has 1025 bytes, and at most 1024 are taken");
        let error = compile(r"(\w{90}){90}").unwrap_err().0;
        assert!(error.contains("size limit"), "{error}");
        assert!(compile(&("(".repeat(500) + &")".repeat(500))).is_err());
    }
}
