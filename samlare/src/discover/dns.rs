//! Discovery in DNS.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::status::Publisher;
use super::{Labels, Problem, Settings, Source};

/// The default interval.
pub(super) const REFRESH: Duration = Duration::from_secs(30);

/// The labels of a target.
pub(super) const LABELS: &[&str] = &["host", "port", "service", "address"];

/// The timeout of a query, and the number of tries.
const TIMEOUT: Duration = Duration::from_secs(5);
const TRIES: usize = 2;

/// What to query from DNS.
#[derive(Clone, Debug)]
pub struct Dns {
    /// The names: `_vars._tcp.example.com` or `vars.example.com`.
    pub names: Vec<String>,
    /// The record type.
    pub record: Record,
    /// The name server. Default: the system's resolver.
    pub nameserver: Option<SocketAddr>,
}

/// The record type, with the port for those without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// Hosts and ports.
    Srv,
    /// IPv4 addresses, each with this port.
    A(u16),
    /// IPv6 addresses, each with this port.
    Aaaa(u16),
}

/// The source of a table with `Dns`.
pub(super) fn source(settings: &Settings, problems: &mut Vec<Problem>) -> Option<Source> {
    let before = problems.len();
    let services = settings.dns.iter().all(|name| name.starts_with('_'));
    let kind = match settings.record.as_deref() {
        Some(kind) => kind.to_uppercase(),
        None if services => "SRV".to_owned(),
        None => "A".to_owned(),
    };
    let record = match (kind.as_str(), settings.port) {
        ("SRV", _) => Record::Srv,
        ("A", Some(port)) => Record::A(port),
        ("AAAA", Some(port)) => Record::Aaaa(port),
        ("A" | "AAAA", None) => {
            problems.push(Problem::new(
                "Port",
                format!("is missing; {kind} records hold none: write Port = 8080"),
            ));
            Record::Srv
        }
        _ => {
            problems.push(Problem::new(
                "Record",
                format!("is {kind:?}; write \"SRV\", \"A\" or \"AAAA\""),
            ));
            Record::Srv
        }
    };
    let nameserver = settings.nameserver.as_deref().and_then(|text| {
        let address = text
            .parse::<SocketAddr>()
            .or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)));
        if address.is_err() {
            problems.push(Problem::new(
                "Nameserver",
                format!("is {text:?}; write an address like \"10.0.0.2\" or \"10.0.0.2:53\""),
            ));
        }
        address.ok()
    });
    (problems.len() == before)
        .then(|| Source::Dns(Dns { names: settings.dns.clone(), record, nameserver }))
}

/// Queries every `refresh` until the receiver is dropped.
pub(super) async fn watch(dns: Dns, refresh: Duration, publisher: Publisher) {
    let mut resolver = None;
    loop {
        let answer = tokio::select! {
            () = publisher.closed() => return,
            answer = ask_all(&dns, &mut resolver) => answer,
        };
        match answer {
            Ok(found) => publisher.found(found),
            Err(error) => publisher.failed(&error),
        }
        publisher.complete();
        tokio::select! {
            () = publisher.closed() => return,
            () = tokio::time::sleep(refresh) => {}
        }
    }
}

/// The targets of all names; if one query fails, all do, so that no target disappears without an
/// answer.
async fn ask_all(dns: &Dns, resolver: &mut Option<TokioResolver>) -> Result<Vec<Labels>, String> {
    // Made again after a failure: the system's configuration may have changed.
    let asked = match resolver.take() {
        Some(asked) => asked,
        None => connect(dns.nameserver).map_err(|e| e.to_string())?,
    };
    let mut found = Vec::new();
    for name in &dns.names {
        ask(&asked, name, dns.record, &mut found)
            .await
            .map_err(|error| format!("{name}: {error}"))?;
    }
    *resolver = Some(asked);
    Ok(found)
}

fn connect(nameserver: Option<SocketAddr>) -> Result<TokioResolver, NetError> {
    let mut builder = match nameserver {
        Some(address) => {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            for connection in &mut connections {
                connection.port = address.port();
            }
            let server = NameServerConfig::new(address.ip(), true, connections);
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
        None => TokioResolver::builder_tokio()?,
    };
    let options = builder.options_mut();
    options.cache_size = 0; // every look is at the server
    options.timeout = TIMEOUT;
    options.attempts = TRIES;
    builder.build()
}

async fn ask(
    resolver: &TokioResolver,
    name: &str,
    record: Record,
    found: &mut Vec<Labels>,
) -> Result<(), NetError> {
    let kind = match record {
        Record::Srv => RecordType::SRV,
        Record::A(_) => RecordType::A,
        Record::Aaaa(_) => RecordType::AAAA,
    };
    let answer = match resolver.lookup(name, kind).await {
        Ok(answer) => answer,
        // A missing name has no targets: a headless service without ready pods.
        Err(NetError::Dns(DnsError::NoRecordsFound(none)))
            if matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain) =>
        {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for record_found in answer.answers() {
        let (host, port) = match (&record_found.data, record) {
            // A target of `.` means that there is no such service (RFC 2782).
            (RData::SRV(srv), Record::Srv) if !srv.target.is_root() => {
                (srv.target.to_utf8(), srv.port)
            }
            (RData::A(address), Record::A(port)) => (address.to_string(), port),
            (RData::AAAA(address), Record::Aaaa(port)) => (address.to_string(), port),
            _ => continue,
        };
        let host = host.trim_end_matches('.').to_owned();
        found.push(Labels::from([
            ("address".to_owned(), format!("{host}:{port}")),
            ("host".to_owned(), host),
            ("port".to_owned(), port.to_string()),
            ("service".to_owned(), name.trim_end_matches('.').to_owned()),
        ]));
    }
    Ok(())
}
