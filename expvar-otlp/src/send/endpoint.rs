//! The URL of a collector.

use expvar_push::ConfigError;
use http::Uri;

/// The path of metrics, below an endpoint for all signals.
const METRICS_PATH: &str = "/v1/metrics";
/// The collectors' port for gRPC, which is not supported.
const GRPC_PORT: u16 = 4317;

/// The target of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) uri: Uri,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
}

/// What an endpoint's URL is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// All signals: the path of metrics is appended.
    All,
    /// Metrics: the path is used unchanged.
    Metrics,
}

impl Endpoint {
    /// Parses a URL from `setting`.
    ///
    /// # Errors
    /// Requests cannot be sent there. The error says what to write instead.
    pub(crate) fn parse(setting: &str, url: &str, of: For) -> Result<Self, ConfigError> {
        let refuse =
            |problem: String, remedy: &str| Err(ConfigError::new(setting, problem, remedy));
        let with_scheme = "write it as http://collector:4318, or https://";
        let Ok(uri) = url.parse::<Uri>() else {
            return refuse(format!("{:?} is no URL", hide_user(url)), with_scheme);
        };
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some("grpc") => {
                return refuse(
                    format!("{:?} is for gRPC, which is not supported", hide_user(url)),
                    "use the collector's port for HTTP: http://collector:4318",
                );
            }
            _ => {
                let problem =
                    format!("{:?} begins with neither http:// nor https://", hide_user(url));
                return refuse(problem, with_scheme);
            }
        };
        let Some(authority) = uri.authority().filter(|authority| !authority.host().is_empty())
        else {
            return refuse(format!("{url:?} names no host"), with_scheme);
        };
        if authority.as_str().contains('@') {
            return refuse(
                "a URL with a user and password is not supported".to_owned(),
                "send them as a header: headers, or OTEL_EXPORTER_OTLP_HEADERS, \
                 authorization=Basic%20…",
            );
        }
        let port = match (authority.port(), authority.as_str().ends_with(':')) {
            (None, false) => {
                if is_tls {
                    443
                } else {
                    80
                }
            }
            (None, true) => return refuse(format!("{url:?} has an empty port"), with_scheme),
            (Some(port), _) if port.as_u16() == 0 => {
                return refuse(format!("{url:?} has the port 0"), with_scheme);
            }
            (Some(port), _) => port.as_u16(),
        };
        if port == GRPC_PORT && (of == For::All || uri.path() == "/") {
            return refuse(
                format!("{GRPC_PORT} is the port for gRPC, which is not supported"),
                "use the collector's port for HTTP, 4318; if HTTP is served on 4317 all the same, \
                 set OTEL_EXPORTER_OTLP_METRICS_ENDPOINT with its path",
            );
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let uri = if of == For::All { below(&uri) } else { Some(uri.clone()) };
        match uri {
            Some(uri) => Ok(Self { uri, host, port, is_tls }),
            None => refuse(format!("{url:?} is no URL"), with_scheme),
        }
    }

    /// The path and query of requests.
    pub(crate) fn target(&self) -> Uri {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        path.parse().unwrap_or_else(|_| Uri::from_static("/"))
    }

    /// The `Host` header: without the port if it is the scheme's default.
    pub(crate) fn authority(&self) -> &str {
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let own = if self.is_tls { ":443" } else { ":80" };
        authority.strip_suffix(own).unwrap_or(authority)
    }
}

/// The path of metrics below an endpoint for all signals.
fn below(uri: &Uri) -> Option<Uri> {
    let path = uri.path().trim_end_matches('/');
    let path = path.strip_suffix(METRICS_PATH).unwrap_or(path);
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{path}{METRICS_PATH}{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// A URL without its password.
fn hide_user(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}…{}", &url[..scheme + 3], &url[at..]),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_go_below_an_endpoint_for_all_and_to_their_own_as_it_stands() {
        for (url, of, uri, port) in [
            ("http://c:4318", For::All, "http://c:4318/v1/metrics", 4318),
            ("http://c:4318/", For::All, "http://c:4318/v1/metrics", 4318),
            ("https://c/otlp/", For::All, "https://c/otlp/v1/metrics", 443),
            ("http://c/otlp?key=1", For::All, "http://c/otlp/v1/metrics?key=1", 80),
            ("http://c:4318/v1/metrics", For::All, "http://c:4318/v1/metrics", 4318),
            ("http://c:9090/in", For::Metrics, "http://c:9090/in", 9090),
            ("http://c:4318", For::Metrics, "http://c:4318/", 4318),
            ("http://c:4317/v1/metrics", For::Metrics, "http://c:4317/v1/metrics", 4317),
        ] {
            let endpoint = Endpoint::parse("endpoint", url, of).unwrap();
            assert_eq!(endpoint.uri.to_string(), uri, "{url}");
            assert_eq!((endpoint.port, endpoint.is_tls), (port, url.starts_with("https")));
        }
        let endpoint = Endpoint::parse("endpoint", "http://[::1]:4318", For::All).unwrap();
        assert_eq!((&*endpoint.host, endpoint.authority()), ("::1", "[::1]:4318"));
    }

    #[test]
    fn what_cannot_be_one_says_what_to_write() {
        for (url, problem, remedy) in [
            ("collector:4318", "neither http:// nor https://", "http://collector:4318"),
            ("grpc://c:4317", "gRPC", "4318"),
            ("http://c:4317", "4317 is the port for gRPC", "4318"),
            ("http://c:4317/", "4317 is the port for gRPC", "4318"),
            ("ftp://c", "neither", "http://collector:4318"),
            ("", "is no URL", "http://collector:4318"),
            ("http://", "is no URL", "http://collector:4318"),
            ("http://c:", "empty port", "http://collector:4318"),
            ("http://c:0", "port 0", "http://collector:4318"),
            ("http://u:secret@c:4318", "user and password", "OTEL_EXPORTER_OTLP_HEADERS"),
            ("tcp://u:secret@c:4318", "neither", "http://collector:4318"),
        ] {
            let error = Endpoint::parse("endpoint", url, For::All).unwrap_err().to_string();
            assert!(error.starts_with("endpoint: "), "{error}");
            assert!(error.contains(problem) && error.contains(remedy), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
