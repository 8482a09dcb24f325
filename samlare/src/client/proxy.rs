//! Proxies from `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.
//!
//! Interpreted like Go's default client, so that samlare reaches what the original reached: read
//! once, in upper or lower case. `localhost` and loopback addresses never use a proxy. `NO_PROXY`
//! lists hosts (including subdomains), `.domains` (subdomains only), addresses, networks as in
//! `10.0.0.0/8`, each with an optional `:port`, or `*`.

use std::net::IpAddr;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderValue;
use percent_encoding::percent_decode_str;
use url::Url;

use super::target::Place;

/// The proxies of the environment.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    direct: Vec<Direct>,
}

/// A proxy.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) speaks: Speaks,
    pub(super) host: String,
    pub(super) port: u16,
    /// User and password.
    pub(super) login: Option<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    Http,
    Https,
    Socks5,
}

/// An entry of `NO_PROXY`.
#[derive(Debug, PartialEq)]
enum Direct {
    All,
    Address(IpAddr, Option<u16>),
    Network(IpAddr, u8),
    /// A suffix that begins with a dot; also the name without the dot if so.
    Domain {
        suffix: String,
        itself: bool,
        port: Option<u16>,
    },
}

impl Proxies {
    /// The proxies of this process's environment, read once.
    pub(super) fn of_environment() -> &'static Proxies {
        static READ: OnceLock<Proxies> = OnceLock::new();
        READ.get_or_init(|| {
            let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
            let variable = |capitals: &str| {
                set(capitals).or_else(|| set(&capitals.to_ascii_lowercase())).unwrap_or_default()
            };
            // In a CGI program, HTTP_PROXY is the request's `Proxy` header, which any client can
            // set.
            let is_cgi = set("REQUEST_METHOD").is_some();
            let http = if is_cgi { String::new() } else { variable("HTTP_PROXY") };
            Proxies::new(&http, &variable("HTTPS_PROXY"), &variable("NO_PROXY"))
        })
    }

    fn new(http: &str, https: &str, direct: &str) -> Proxies {
        let mut entries = Vec::new();
        for entry in direct.split(',').map(|entry| entry.trim().to_lowercase()) {
            if entry == "*" {
                entries = vec![Direct::All];
                break;
            }
            entries.extend(Direct::parse(&entry));
        }
        Proxies { http: Proxy::parse(http), https: Proxy::parse(https), direct: entries }
    }

    /// The proxy for a place, if any.
    pub(super) fn leading_to(&self, place: &Place) -> Option<&Proxy> {
        let Place::Tcp { host, port, tls } = place else { return None };
        let proxy = if *tls { self.https.as_ref()? } else { self.http.as_ref()? };
        let host = host.to_lowercase();
        let address = host.parse::<IpAddr>().ok();
        let is_here = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        let is_direct = |direct: &Direct| direct.holds(&host, address, *port);
        (!is_here && !self.direct.iter().any(is_direct)).then_some(proxy)
    }
}

impl Proxy {
    /// Parses a URL, or a host with a port; `None` for anything else.
    fn parse(text: &str) -> Option<Proxy> {
        let has_host = |url: &Url| url.has_host();
        let whole = Url::parse(text).ok().filter(has_host);
        let url = whole.or_else(|| Url::parse(&format!("http://{text}")).ok())?;
        let (speaks, usual) = match url.scheme() {
            "http" => (Speaks::Http, 80),
            "https" => (Speaks::Https, 443),
            "socks5" | "socks5h" => (Speaks::Socks5, 1080),
            _ => return None,
        };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let has_login = !url.username().is_empty() || url.password().is_some();
        let login = (decoded(url.username()), decoded(url.password().unwrap_or_default()));
        Some(Proxy {
            speaks,
            host: url.host_str()?.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(usual),
            login: has_login.then_some(login),
        })
    }

    /// Whether the proxy gets the request itself, rather than a tunnel.
    pub(super) fn is_asked_itself(&self, secured: bool) -> bool {
        self.speaks != Speaks::Socks5 && !secured
    }

    /// The `Proxy-Authorization` header.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let (user, password) = self.login.as_ref()?;
        let pair = STANDARD.encode(format!("{user}:{password}"));
        let mut value = HeaderValue::try_from(format!("Basic {pair}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl Direct {
    fn parse(entry: &str) -> Option<Direct> {
        if let Some((address, bits)) = entry.split_once('/') {
            let (address, bits) = (address.parse::<IpAddr>().ok()?, bits.parse().ok()?);
            let most = if address.is_ipv4() { 32 } else { 128 };
            return (bits <= most).then_some(Direct::Network(address, bits));
        }
        let bare = entry.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse() {
            return Some(Direct::Address(address, None));
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (entry, None),
        };
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Some(Direct::Address(address, port));
        }
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        if host.is_empty() {
            return None;
        }
        let itself = !host.starts_with('.');
        let suffix = if itself { format!(".{host}") } else { host.to_owned() };
        Some(Direct::Domain { suffix, itself, port })
    }

    fn holds(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        match self {
            Direct::All => true,
            Direct::Address(direct, wanted) => {
                address == Some(*direct) && wanted.is_none_or(|wanted| wanted == port)
            }
            Direct::Network(network, bits) => match (network, address) {
                (IpAddr::V4(network), Some(IpAddr::V4(address))) => {
                    let different = u32::from(*network) ^ u32::from(address);
                    different.leading_zeros() >= u32::from(*bits)
                }
                (IpAddr::V6(network), Some(IpAddr::V6(address))) => {
                    let different = u128::from(*network) ^ u128::from(address);
                    different.leading_zeros() >= u32::from(*bits)
                }
                _ => false,
            },
            Direct::Domain { suffix, itself, port: wanted } => {
                let named = host.ends_with(suffix.as_str()) || (*itself && host == &suffix[1..]);
                named && wanted.is_none_or(|wanted| wanted == port)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Target;

    fn leads(proxies: &Proxies, url: &str) -> Option<String> {
        let target = Target::parse(url).unwrap();
        let proxy = proxies.leading_to(&target.place)?;
        Some(format!("{:?} {}:{}", proxy.speaks, proxy.host, proxy.port))
    }

    #[test]
    fn each_scheme_has_its_proxy() {
        let proxies = Proxies::new("proxy.example:3128", "https://user:p%40ss@secure/", "");
        assert_eq!(leads(&proxies, "http://a.example/").unwrap(), "Http proxy.example:3128");
        assert_eq!(leads(&proxies, "https://a.example/").unwrap(), "Https secure:443");
        let target = Target::parse("https://a.example/").unwrap();
        let proxy = proxies.leading_to(&target.place).unwrap();
        assert_eq!(proxy.authorization().unwrap(), "Basic dXNlcjpwQHNz");
        assert!(!proxy.is_asked_itself(true));
        let socks = Proxies::new("socks5://[::1]", "ftp://h", "");
        assert_eq!(leads(&socks, "http://a.example/").unwrap(), "Socks5 ::1:1080");
        assert_eq!(leads(&socks, "https://a.example/"), None, "no proxy that can be used");
        assert_eq!(leads(&Proxies::default(), "http://a.example/"), None);
    }

    #[test]
    fn what_is_asked_directly() {
        let direct = "a.example, .b.example,*.c.example,10.0.0.0/8,192.168.1.1,h:8080,\
                      [2001:db8::1]:80,2001:db8:1::/48,:80,,x/y";
        let proxies = Proxies::new("proxy:3128", "", direct);
        for (url, expected) in [
            ("http://a.example/", true),
            ("http://www.a.example:81/", true),
            ("http://A.EXAMPLE/", true),
            ("http://nota.example/", false),
            ("http://b.example/", false),
            ("http://x.b.example/", true),
            ("http://c.example/", false),
            ("http://x.c.example/", true),
            ("http://10.1.2.3/", true),
            ("http://11.1.2.3/", false),
            ("http://192.168.1.1:9/", true),
            ("http://192.168.1.2/", false),
            ("http://h:8080/", true),
            ("http://h:8081/", false),
            ("http://[2001:db8::1]/", true),
            ("http://[2001:db8::1]:81/", false),
            ("http://[2001:db8:1:2::3]/", true),
            ("http://localhost/", true),
            ("http://127.9.9.9/", true),
            ("http://[::1]/", true),
        ] {
            assert_eq!(leads(&proxies, url).is_none(), expected, "{url}");
        }
        let all = Proxies::new("proxy:3128", "", "a.example, *");
        assert_eq!(leads(&all, "http://z.example/"), None);
    }
}
