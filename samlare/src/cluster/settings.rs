//! The settings in `[cluster]`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The default port of an engine.
const ETCD_PORT: u16 = 2379;

/// How samlare finds the other members, and what they share.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// etcd's nodes, tried in turn.
    pub engine: Vec<Address>,
    /// This member's name. Default: the host's.
    pub name: String,
    /// Members of other groups share other endpoints. Default: `default`.
    pub group: String,
    /// How long after its last renewal a member counts. Default: 3 s.
    pub ttl: Duration,
    /// How many members poll each endpoint. Default: 1.
    pub replicas: usize,
    /// Whether changes of members poll twice rather than not at all. Default: true.
    pub overlap: bool,
    /// Whether samlare only starts after joining. Default: false.
    pub required: bool,
    /// Whether to use TLS to the engine.
    pub tls: bool,
    /// PEM certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// A client certificate and its key, PEM.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// The name in the engine's certificate. Default: the host's.
    pub server_name: Option<String>,
    /// The login for the engine.
    pub login: Option<Login>,
}

/// The address of one server of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A host name or an IP address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The password; empty if it is in a file.
    pub password: String,
    /// The file that holds the password, read at each login.
    pub password_file: Option<PathBuf>,
}

impl Settings {
    /// Default settings for these nodes and this name.
    pub fn new(engine: Vec<Address>, name: &str) -> Settings {
        Settings {
            engine,
            name: name.to_owned(),
            group: "default".to_owned(),
            ttl: Duration::from_secs(3),
            replicas: 1,
            overlap: true,
            required: false,
            tls: false,
            ca_file: None,
            client_certificate: None,
            server_name: None,
            login: None,
        }
    }

    /// The engine as it is written, without credentials.
    pub fn engine_name(&self) -> String {
        let nodes: Vec<String> = self.engine.iter().map(Address::to_string).collect();
        format!("etcd://{}", nodes.join(","))
    }

    /// Whether a process with these settings can adopt `other` without joining again.
    pub(crate) fn is_same_member(&self, other: &Settings) -> bool {
        let of = |settings: &Settings| Settings {
            replicas: 1,
            overlap: true,
            required: false,
            ..settings.clone()
        };
        of(self) == of(other)
    }
}

impl Address {
    /// Parses `etcd://a:2379,b:2379`. Default port: 2379.
    ///
    /// # Errors
    /// The problem, without repeating the text.
    pub fn parse_all(text: &str) -> Result<Vec<Address>, String> {
        const WANTED: &str = "write it as in \"etcd://etcd1:2379,etcd2:2379,etcd3:2379\"";
        let Some(nodes) = text.trim().strip_prefix("etcd://") else {
            return Err(match text.split_once("://") {
                Some(("http" | "https", _)) => {
                    format!("it is a URL: {WANTED}, and Tls = true for https")
                }
                Some(_) => format!("this engine is unknown: {WANTED}"),
                None => format!("it has no scheme: {WANTED}"),
            });
        };
        if nodes.contains('@') {
            return Err("it holds credentials: write User and PasswordFile instead".to_owned());
        }
        let nodes: Vec<_> = nodes.trim_end_matches('/').split(',').map(str::trim).collect();
        nodes
            .into_iter()
            .map(|node| Address::parse(node).ok_or_else(|| WANTED.to_owned()))
            .collect()
    }

    fn parse(node: &str) -> Option<Address> {
        let (host, port) = match node.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                (host, port.strip_prefix(':'))
            }
            None => node.split_once(':').map_or((node, None), |(host, port)| (host, Some(port))),
        };
        let odd = |c: char| c.is_whitespace() || "/?#\"'[]".contains(c);
        if host.is_empty() || host.contains(odd) {
            return None;
        }
        let port = port.map_or(Some(ETCD_PORT), |port| port.parse().ok().filter(|&port| port > 0));
        Some(Address { host: host.to_owned(), port: port? })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never shows the password.
        write!(f, "{} {}/{}", self.engine_name(), self.group, self.name)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({})", self.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_written_as_a_list_of_nodes() {
        let nodes = |text| {
            Address::parse_all(text)
                .map(|nodes| nodes.iter().map(Address::to_string).collect::<Vec<_>>())
        };
        assert_eq!(nodes("etcd://a:2379,b:1,c").unwrap(), ["a:2379", "b:1", "c:2379"]);
        assert_eq!(nodes("etcd://[::1]:5, 10.0.0.1/").unwrap(), ["[::1]:5", "10.0.0.1:2379"]);
        for (text, said) in [
            ("a:2379", "it has no scheme"),
            ("http://a:2379", "Tls = true"),
            ("consul://a", "this engine is unknown"),
            ("etcd://", "write it as"),
            ("etcd://a,,b", "write it as"),
            ("etcd://a:0", "write it as"),
            ("etcd://a:x", "write it as"),
            ("etcd://[::1", "write it as"),
            ("etcd://root:secret@a", "write User and PasswordFile"),
        ] {
            let error = nodes(text).unwrap_err();
            assert!(error.contains(said) && !error.contains("secret"), "{text}: {error}");
        }
    }
}
