//! Checks the `Host` header against DNS rebinding.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, Uri, Version, header::HOST};
use parking_lot::Mutex;

use crate::stats;

/// The most names that are logged: clients choose them.
const MAX_REPORTED: usize = 16;
static REPORTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The server's names, besides loopback names and IP literals.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    names: Vec<String>,
    any: bool,
}

/// Why a request's host is rejected.
#[derive(Debug, PartialEq)]
pub(crate) enum Refusal {
    /// HTTP/1.1 without a `Host`, with several, or with one that is not a host.
    Malformed,
    /// A name that is not configured.
    Unknown(String),
}

impl Hosts {
    pub(crate) fn allow(&mut self, name: &str) {
        let name = split_port(name).unwrap_or(name);
        self.names.push(canonical(name));
    }

    /// This machine's host name, full and up to its first dot. In a container that is the
    /// container's name, not the service's.
    pub(crate) fn of_this_machine() -> Self {
        let mut hosts = Self::default();
        let name = gethostname::gethostname();
        if let Some(name) = name.to_str().filter(|name| !name.is_empty()) {
            hosts.allow(name);
            hosts.allow(name.split('.').next().unwrap_or(name));
        }
        hosts
    }

    pub(crate) fn allow_any(&mut self) {
        self.any = true;
    }

    /// Logs the first request rejected for each name: a scraper shows no more than the status.
    pub(crate) fn report(&self, refusal: &Refusal) {
        stats::REJECTED_HOSTS.inc();
        let Refusal::Unknown(name) = refusal else { return };
        let mut reported = REPORTED.lock();
        if reported.len() >= MAX_REPORTED || reported.contains(name) {
            return;
        }
        reported.push(name.clone());
        drop(reported);
        // A closed standard error cannot be reported.
        let _ = writeln!(
            io::stderr(),
            "expvar-http: rejected a request (421) for the host {name:?}, which is not one of this \
             server's names; allow it with expvar_http::Server::builder().hosts([{name:?}])"
        );
    }

    /// Checks the host of a request: in an absolute target, else in the headers.
    pub(crate) fn check(
        &self,
        version: Version,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        let mut values = headers.get_all(HOST).iter();
        let header = values.next();
        if values.next().is_some() {
            return Err(Refusal::Malformed);
        }
        let named = match (uri.authority(), header) {
            (Some(authority), _) => authority.as_str(),
            (None, Some(value)) => value.to_str().map_err(|_| Refusal::Malformed)?,
            // Browsers always send a host, so a request without one is not rebinding. Only HTTP/1.1
            // requires it (RFC 9112, 3.2), and some monitors speak HTTP/1.0.
            (None, None) if version < Version::HTTP_11 => return Ok(()),
            (None, None) => return Err(Refusal::Malformed),
        };
        let host = split_port(named).ok_or(Refusal::Malformed)?;
        if self.any || is_literal(host) {
            return Ok(());
        }
        let name = canonical(host);
        if is_loopback(&name) || self.names.contains(&name) {
            return Ok(());
        }
        Err(Refusal::Unknown(name))
    }
}

/// Splits `host`, `host:port` or `[v6]:port`.
fn split_port(value: &str) -> Option<&str> {
    let end = match value.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => value.find(':').unwrap_or(value.len()),
    };
    let (host, port) = value.split_at(end);
    let port_is_number = match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_digit()),
        None => port.is_empty(),
    };
    let plain = host.bytes().all(|b| b.is_ascii_graphic() && b != b'@' && b != b'/');
    (!host.is_empty() && port_is_number && plain).then_some(host)
}

fn is_literal(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(v6) => {
            let address = v6.split_once('%').map_or(v6, |(address, _zone)| address);
            address.parse::<Ipv6Addr>().is_ok()
        }
        None => host.parse::<Ipv4Addr>().is_ok(),
    }
}

fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// RFC 6761, 6.3: `localhost` and all names under it are loopback.
fn is_loopback(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(hosts: &Hosts, host: &str) -> Result<(), Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        hosts.check(Version::HTTP_11, &Uri::from_static("/"), &headers)
    }

    fn unknown(name: &str) -> Result<(), Refusal> {
        Err(Refusal::Unknown(name.to_owned()))
    }

    #[test]
    fn loopback_names_and_literals_pass() {
        for host in [
            "localhost",
            "LOCALHOST.:8123",
            "a.localhost:1",
            "127.0.0.1",
            "127.0.0.1:",
            "192.168.7.9:80",
            "[::1]:8123",
            "[fe80::1%eth0]",
        ] {
            assert_eq!(check(&Hosts::default(), host), Ok(()), "{host}");
        }
    }

    #[test]
    fn names_that_look_like_loopback_do_not() {
        for host in ["notlocalhost", "localhost.evil.example", "127.0.0.1.evil.example", "127.1"] {
            assert_eq!(check(&Hosts::default(), host), unknown(host));
            assert_eq!(check(&Hosts::default(), &format!("{host}:80")), unknown(host));
        }
    }

    #[test]
    fn configured_names_pass_with_any_port_and_case() {
        let mut hosts = Hosts::default();
        hosts.allow("Web-1.example:8123");
        assert_eq!(check(&hosts, "web-1.EXAMPLE:9"), Ok(()));
        assert_eq!(check(&hosts, "web-2.example"), unknown("web-2.example"));
        hosts.allow_any();
        assert_eq!(check(&hosts, "web-2.example"), Ok(()));
    }

    #[test]
    fn what_is_no_host_is_malformed() {
        for host in ["", ":80", "a:b", "a@127.0.0.1", "[::1", "[::1]x", "a b", "a/b"] {
            assert_eq!(check(&Hosts::default(), host), Err(Refusal::Malformed), "{host:?}");
        }
        let none = HeaderMap::new();
        let (hosts, uri) = (Hosts::default(), Uri::from_static("/"));
        assert_eq!(hosts.check(Version::HTTP_11, &uri, &none), Err(Refusal::Malformed));
        assert_eq!(hosts.check(Version::HTTP_10, &uri, &none), Ok(()));
    }

    #[test]
    fn an_absolute_target_decides_over_the_header() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "localhost".parse().unwrap());
        let uri = Uri::from_static("http://evil.example/debug/vars");
        let checked = Hosts::default().check(Version::HTTP_11, &uri, &headers);
        assert_eq!(checked, unknown("evil.example"));
        headers.append(HOST, "localhost".parse().unwrap());
        let twice = Hosts::default().check(Version::HTTP_11, &Uri::from_static("/"), &headers);
        assert_eq!(twice, Err(Refusal::Malformed));
    }
}
