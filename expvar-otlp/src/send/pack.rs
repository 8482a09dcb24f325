//! Encodes and compresses requests.

use std::io::Write;

use bytes::Bytes;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, header};

use crate::encode::json;

/// The encoding of requests: `OTEL_EXPORTER_OTLP_PROTOCOL`.
///
/// ```
/// use expvar_otlp::{Otlp, Protocol};
///
/// let otlp = Otlp::new("http://collector:4318").protocol(Protocol::Json);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// `http/protobuf`.
    #[default]
    Protobuf,
    /// `http/json`: about five times as large.
    Json,
}

/// The compression of requests: `OTEL_EXPORTER_OTLP_COMPRESSION`.
///
/// ```
/// use expvar_otlp::{Compression, Otlp};
///
/// let otlp = Otlp::new("http://collector:4318").compression(Compression::Gzip);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// None.
    #[default]
    None,
    /// `gzip`, at its fastest level: about a tenth of the size, for a few milliseconds a megabyte.
    Gzip,
}

/// Encoding and compression.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pack {
    pub(crate) protocol: Protocol,
    pub(crate) compression: Compression,
}

impl Pack {
    /// Encodes and compresses a request.
    pub(crate) fn pack(self, request: Bytes) -> Bytes {
        let encoded = match self.protocol {
            Protocol::Protobuf => request,
            Protocol::Json => {
                let mut json = Vec::with_capacity(3 * request.len());
                json::write_request(&mut json, &request);
                json.into()
            }
        };
        match self.compression {
            Compression::None => encoded,
            Compression::Gzip => gzip(&encoded).into(),
        }
    }

    /// Sets the corresponding headers.
    pub(crate) fn set_headers(self, headers: &mut HeaderMap) {
        let kind = match self.protocol {
            Protocol::Protobuf => "application/x-protobuf",
            Protocol::Json => "application/json",
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if self.compression == Compression::Gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder =
        GzEncoder::new(Vec::with_capacity(bytes.len() / 4), flate2::Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}
