//! Server addresses with their protocol: `tcp://host:2003` and others.

use std::fmt;
use std::str::FromStr;

use expvar_push::ConfigError;

/// The protocol of a server.
///
/// ```
/// use expvar_carbon::{Address, Scheme};
///
/// let address: Address = "pickle://graphite:2004".parse().unwrap();
/// assert_eq!((address.scheme(), address.port()), (Scheme::Pickle, 2004));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// Lines over TCP; the default without a scheme.
    Tcp,
    /// Lines in datagrams of at most 1,400 bytes.
    Udp,
    /// Python pickles in frames, over TCP.
    Pickle,
    /// Lines over TLS.
    Tls,
    /// Lines over a Unix stream socket.
    Unix,
}

impl Scheme {
    const ALL: [Scheme; 5] = [Scheme::Tcp, Scheme::Udp, Scheme::Pickle, Scheme::Tls, Scheme::Unix];

    /// The part before `://`.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Tcp => "tcp",
            Scheme::Udp => "udp",
            Scheme::Pickle => "pickle",
            Scheme::Tls => "tls",
            Scheme::Unix => "unix",
        }
    }
}

/// The address and protocol of a server.
///
/// ```
/// use expvar_carbon::{Address, Scheme};
/// let address: Address = "graphite:2003".parse()?;
/// assert_eq!(address.scheme(), Scheme::Tcp);
/// assert_eq!(address.to_string(), "tcp://graphite:2003");
/// assert!("graphite".parse::<Address>().is_err());
/// # Ok::<(), expvar_carbon::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    scheme: Scheme,
    /// A host name or an IP address without brackets; a file path for Unix sockets.
    host: String,
    port: u16,
    instance: Option<String>,
}

impl Address {
    /// The protocol.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host's name or IP address; the file's path for Unix sockets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 for Unix sockets.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The instance, which distinguishes servers of one host in a relay's hashes.
    pub fn instance(&self) -> Option<&str> {
        self.instance.as_deref()
    }
}

impl FromStr for Address {
    type Err = ConfigError;

    /// Parses `scheme://host:port`, `host:port`, `scheme://[v6]:port` or `unix:///path`. All but
    /// the last may be followed by an instance: `host:port=a`.
    ///
    /// # Errors
    /// The scheme is unknown, or the host or the port is missing.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let bad = |problem: &str, remedy: String| {
            Err(ConfigError::new("address", format!("{text:?} {problem}"), remedy))
        };
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        let Some(scheme) = Scheme::ALL.into_iter().find(|s| s.name() == scheme) else {
            return bad(
                "has an unknown scheme",
                "use one of tcp://, udp://, pickle://, tls://, unix://".into(),
            );
        };
        if scheme == Scheme::Unix {
            if !rest.starts_with('/') || rest.contains('\0') {
                return bad("names no file", "write unix:///absolute/path/of/the/socket".into());
            }
            return Ok(Self { scheme, host: rest.into(), port: 0, instance: None });
        }
        let usual = if scheme == Scheme::Pickle { 2004 } else { 2003 };
        let (rest, instance) = match rest.split_once('=') {
            None => (rest, None),
            Some((rest, instance)) => (rest, Some(instance)),
        };
        let is_odd = |c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c);
        if instance.is_some_and(|i| i.is_empty() || i.contains(is_odd)) {
            let remedy = format!("write letters, digits, - _ or . after it: {rest}=a");
            return bad("has no instance after =", remedy);
        }
        let instance = instance.map(str::to_owned);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let no_port =
            |host: &str| bad("has no port", format!("write {}://{host}:{usual}", scheme.name()));
        let (host, port) = match rest.strip_prefix('[').map(|v6| v6.split_once(']')) {
            Some(Some((host, after))) => match after.strip_prefix(':') {
                Some(port) => (host, port),
                None => return no_port(rest),
            },
            Some(None) => return bad("has an unclosed bracket", "write [::1]:2003".into()),
            None => match rest.rsplit_once(':') {
                Some((host, _)) if host.contains(':') => {
                    return bad("is ambiguous", format!("write [{rest}]:{usual}"));
                }
                Some(parts) => parts,
                None => return no_port(if rest.is_empty() { "host" } else { rest }),
            },
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "/@?#".contains(c)) {
            return bad("has no host", format!("write {}://host:{usual}", scheme.name()));
        }
        match port.parse::<u16>() {
            Ok(port) if port != 0 => Ok(Self { scheme, host: host.into(), port, instance }),
            _ => bad("has no port", format!("write a number from 1 to 65535, usually {usual}")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = (self.scheme.name(), &self.host, self.port);
        match self.scheme {
            Scheme::Unix => write!(f, "{scheme}://{host}"),
            _ if host.contains(':') => write!(f, "{scheme}://[{host}]:{port}"),
            _ => write!(f, "{scheme}://{host}:{port}"),
        }?;
        match &self.instance {
            Some(instance) => write!(f, "={instance}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_they_are_written() {
        for (text, shown) in [
            ("graphite:2003", "tcp://graphite:2003"),
            ("tcp://10.0.0.1:2003/", "tcp://10.0.0.1:2003"),
            ("udp://[::1]:2003", "udp://[::1]:2003"),
            ("[fe80::1%eth0]:2003", "tcp://[fe80::1%eth0]:2003"),
            ("pickle://h:2004", "pickle://h:2004"),
            ("tls://h:2003", "tls://h:2003"),
            ("h:2003=a", "tcp://h:2003=a"),
            ("pickle://[::1]:2004=cache-1", "pickle://[::1]:2004=cache-1"),
            ("unix:///run/carbon.sock", "unix:///run/carbon.sock"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(shown.parse::<Address>().unwrap(), address);
        }
    }

    #[test]
    fn a_bad_address_names_the_field_and_a_remedy_that_works() {
        for (text, remedy) in [
            ("graphite", "write tcp://graphite:2003"),
            ("pickle://g", "write pickle://g:2004"),
            ("", "write tcp://host:2003"),
            ("::1", "write [::1]:2003"),
            ("[::1]", "write tcp://[::1]:2003"),
            ("[::1", "write [::1]:2003"),
            (":2003", "write tcp://host:2003"),
            ("h:0", "write a number from 1 to 65535, usually 2003"),
            ("h:70000", "write a number from 1 to 65535, usually 2003"),
            ("http://h:1", "use one of tcp://, udp://, pickle://, tls://, unix://"),
            ("unix://relative", "write unix:///absolute/path/of/the/socket"),
            ("tcp://user@h:1", "write tcp://host:2003"),
            ("h:1=", "write letters, digits, - _ or . after it: h:1=a"),
            ("h:1='a'", "write letters, digits, - _ or . after it: h:1=a"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(error.field(), "address", "{text:?}");
            assert_eq!(error.remedy(), remedy, "{text:?}");
        }
    }
}
