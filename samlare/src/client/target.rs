//! Endpoint addresses: http, https, or a unix socket.

use std::fmt;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderValue;
use url::{Host, Url};

/// The default path for a unix socket.
pub const DEFAULT_PATH: &str = "/debug/vars";

/// The address of a document.
///
/// Supported are `http://host:port/path`, `https://user:password@host/path`, and
/// `unix:///run/app.sock` with an optional `:/path` after the socket's path. Credentials are kept
/// separately: [`Display`](fmt::Display) and `Debug` show neither them nor the query.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Target {
    pub(super) place: Place,
    pub(super) path: String,
    pub(super) authority: String,
    pub(super) basic: Option<HeaderValue>,
    shown: String,
    url: String,
}

/// What to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Tcp { host: String, port: u16, tls: bool },
    Unix(PathBuf),
}

impl Target {
    /// Parses a URL.
    ///
    /// # Errors
    /// The reason, without repeating the URL.
    pub fn parse(url: &str) -> Result<Target, String> {
        if let Some(rest) = url.strip_prefix("unix:") {
            return Target::unix(url, rest);
        }
        let parsed = Url::parse(url).map_err(|error| match error {
            url::ParseError::RelativeUrlWithoutBase => {
                "it has no scheme: write http://host:port/debug/vars".to_owned()
            }
            other => format!("{other}: write http://host:port/debug/vars"),
        })?;
        Target::from_url(&parsed)
    }

    pub(super) fn from_url(url: &Url) -> Result<Target, String> {
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err("its scheme is none of http, https and unix".to_owned()),
        };
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err("it names no host: write http://host:port/debug/vars".to_owned());
        };
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        let host = match host {
            Host::Ipv6(address) => address.to_string(),
            other => other.to_string(),
        };
        let path = url.path();
        let mut shown = format!("{}://{authority}{path}", url.scheme());
        let mut full = path.to_owned();
        if let Some(query) = url.query() {
            shown.push_str("?…");
            full.push('?');
            full.push_str(query);
        }
        Ok(Target {
            place: Place::Tcp { host, port, tls },
            path: full,
            authority,
            basic: basic(url)?,
            shown,
            url: url.as_str().to_owned(),
        })
    }

    fn unix(url: &str, rest: &str) -> Result<Target, String> {
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        if !rest.starts_with('/') {
            return Err("a unix socket needs its whole path: write unix:///run/app.sock".to_owned());
        }
        let (socket, path) = rest.split_once(":/").unwrap_or((rest, &DEFAULT_PATH[1..]));
        let path = format!("/{path}");
        if path.parse::<http::Uri>().is_err() {
            return Err("what follows the socket's path is no path of a URL".to_owned());
        }
        let shown_path = path.split('?').next().unwrap_or_default();
        let query = if path.contains('?') { "?…" } else { "" };
        Ok(Target {
            place: Place::Unix(PathBuf::from(socket)),
            authority: "localhost".to_owned(),
            basic: None,
            shown: format!("unix://{socket}:{shown_path}{query}"),
            path,
            url: url.to_owned(),
        })
    }

    /// The URL with credentials, for hashing and comparing; never log it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The host's name or address; the socket's path for a unix socket.
    pub fn host(&self) -> &str {
        match &self.place {
            Place::Tcp { host, .. } => host,
            Place::Unix(path) => path.to_str().unwrap_or_default(),
        }
    }

    /// Whether it uses TLS.
    pub(super) fn is_secured(&self) -> bool {
        matches!(self.place, Place::Tcp { tls: true, .. })
    }

    /// The target of a redirect.
    ///
    /// # Errors
    /// Why it is not followed.
    pub(super) fn redirected(&self, location: &str) -> Result<Target, &'static str> {
        let Place::Tcp { tls, .. } = &self.place else {
            if location.starts_with('/') && !location.starts_with("//") {
                let path = location.split('#').next().unwrap_or_default();
                if path.parse::<http::Uri>().is_err() {
                    return Err("its location is no URL");
                }
                return Ok(Target { path: path.to_owned(), ..self.clone() });
            }
            return Err("it leads from a unix socket to a host");
        };
        let base = Url::parse(&self.url).map_err(|_| "its base is no URL")?;
        let mut url = base.join(location).map_err(|_| "its location is no URL")?;
        if *tls && url.scheme() != "https" {
            return Err("it leads from https to http");
        }
        url.set_fragment(None);
        let mut target =
            Target::from_url(&url).map_err(|_| "its location is neither http nor https")?;
        target.basic = if target.place == self.place { self.basic.clone() } else { None };
        Ok(target)
    }
}

/// The `Authorization` header for a URL's credentials.
fn basic(url: &Url) -> Result<Option<HeaderValue>, String> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let mut pair = percent_decode(url.username());
    pair.push(b':');
    pair.extend(percent_decode(url.password().unwrap_or_default()));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
        .map_err(|_| "its credentials do not fit a header".to_owned())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    decoded
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let target = Target::parse("https://user:p%40ss@vars.example/x?token=t").unwrap();
        assert_eq!(target.place, Place::Tcp { host: "vars.example".into(), port: 443, tls: true });
        assert_eq!(target.path, "/x?token=t");
        assert_eq!(target.basic.as_ref().unwrap(), "Basic dXNlcjpwQHNz");
        assert_eq!(format!("{target} {target:?}").matches("token").count(), 0);
        assert_eq!(target.to_string(), "https://vars.example/x?…");

        let target = Target::parse("http://[::1]:8080").unwrap();
        assert_eq!(target.place, Place::Tcp { host: "::1".into(), port: 8080, tls: false });
        assert_eq!((target.authority.as_str(), target.path.as_str()), ("[::1]:8080", "/"));

        let target = Target::parse("unix:///run/app.sock").unwrap();
        assert_eq!(target.place, Place::Unix("/run/app.sock".into()));
        assert_eq!(target.path, "/debug/vars");
        assert_eq!(Target::parse("unix:///run/app.sock:/v?a=1").unwrap().path, "/v?a=1");

        for bad in
            ["", "host:80/x", "ftp://h/", "localhost", "http://", "unix:x.sock", "http://h:99999/"]
        {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_redirect_keeps_credentials_at_home() {
        let target = Target::parse("https://user:secret@a.example/x").unwrap();
        assert!(target.redirected("/y").unwrap().basic.is_some());
        assert!(target.redirected("https://a.example:443/y").unwrap().basic.is_some());
        assert!(target.redirected("https://a.example:444/y").unwrap().basic.is_none());
        assert!(target.redirected("https://b.example/y").unwrap().basic.is_none());
        assert!(target.redirected("https://other:one@a.example/y").unwrap().basic == target.basic);
        assert_eq!(target.redirected("http://a.example/y"), Err("it leads from https to http"));
        assert!(target.redirected("file:///etc/passwd").is_err());
        let socket = Target::parse("unix:///run/app.sock").unwrap();
        assert_eq!(socket.redirected("/v").unwrap().path, "/v");
        assert!(socket.redirected("//evil.example/").is_err());
    }
}
