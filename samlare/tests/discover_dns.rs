//! Targets from DNS, asked of a nameserver that the test plays.

#[path = "support/discovery.rs"]
mod discovery;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use discovery::{changed, until};
use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use samlare::discover::Settings;
use tokio::net::UdpSocket;

type Answer = Result<Vec<RData>, ResponseCode>;
type Zone = Arc<Mutex<Box<dyn Fn(&Name, RecordType) -> Answer + Send>>>;

/// A nameserver that answers what the zone says at the moment.
async fn nameserver(zone: Zone) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let asked = Message::from_vec(&buffer[..length]).unwrap();
            let query = asked.queries[0].clone();
            let mut message = Message::response(asked.metadata.id, OpCode::Query);
            message.metadata.recursion_available = true;
            message.add_query(query.clone());
            match zone.lock().unwrap()(query.name(), query.query_type()) {
                Ok(found) => {
                    for data in found {
                        message.add_answer(Record::from_rdata(query.name().clone(), 60, data));
                    }
                }
                Err(code) => message.metadata.response_code = code,
            }
            let bytes = message.to_vec().unwrap();
            socket.send_to(&bytes, from).await.unwrap();
        }
    });
    address
}

fn settings(name: &str, nameserver: SocketAddr) -> Settings {
    Settings {
        dns: vec![name.into()],
        nameserver: Some(nameserver.to_string()),
        prefix: Some("apps.{service}.{host}_{port}".into()),
        refresh_ms: Some(20),
        ..Settings::default()
    }
}

fn srv(port: u16, host: &str) -> RData {
    RData::SRV(SRV::new(1, 1, port, Name::from_utf8(host).unwrap()))
}

fn set(zone: &Zone, new: impl Fn(&Name, RecordType) -> Answer + Send + 'static) {
    *zone.lock().unwrap() = Box::new(new);
}

#[tokio::test]
async fn srv_records_come_and_go_and_a_failing_server_changes_nothing() {
    let zone: Zone = Arc::new(Mutex::new(Box::new(|name, kind| {
        assert_eq!(kind, RecordType::SRV);
        assert_eq!(name.to_utf8(), "_vars._tcp.example.com.");
        Ok(vec![srv(8080, "b.example.com."), srv(8081, "a.example.com.")])
    })));
    let address = nameserver(zone.clone()).await;
    let mut discovery = settings("_vars._tcp.example.com", address).check().unwrap().spawn();
    assert_eq!(
        changed(&mut discovery).await,
        [
            "http://a.example.com:8081/debug/vars apps._vars__tcp_example_com.a_example_com_8081",
            "http://b.example.com:8080/debug/vars apps._vars__tcp_example_com.b_example_com_8080",
        ]
    );

    set(&zone, |_, _| Err(ResponseCode::ServFail));
    until(&discovery, |r| r.failing && r.failures >= 2).await;
    let report = discovery.status.report();
    assert!(report.last_error.contains("_vars._tcp"), "{report:?}");
    assert_eq!(report.targets, 2);
    assert!(!discovery.targets.has_changed().unwrap());

    // One is gone; `.` says that there is nothing at all.
    set(&zone, |_, _| Ok(vec![srv(8081, "a.example.com."), srv(0, ".")]));
    assert_eq!(changed(&mut discovery).await.len(), 1);
    assert!(!discovery.status.report().failing);
    // No such name: no targets.
    set(&zone, |_, _| Err(ResponseCode::NXDomain));
    assert_eq!(changed(&mut discovery).await.len(), 0);
    assert!(!discovery.status.report().failing);
}

#[tokio::test]
async fn addresses_get_the_port_from_the_settings() {
    let zone: Zone = Arc::new(Mutex::new(Box::new(|_, kind| match kind {
        RecordType::A => Ok(vec![RData::A(A::new(10, 0, 0, 2)), RData::A(A::new(10, 0, 0, 1))]),
        RecordType::AAAA => Ok(vec![RData::AAAA(AAAA::new(0xfd00, 0, 0, 0, 0, 0, 0, 1))]),
        _ => Err(ResponseCode::Refused),
    })));
    let address = nameserver(zone).await;
    let mut four = settings("vars.example.com.", address);
    four.port = Some(6060);
    let mut discovery = four.check().unwrap().spawn();
    assert_eq!(
        changed(&mut discovery).await,
        [
            "http://10.0.0.1:6060/debug/vars apps.vars_example_com.10_0_0_1_6060",
            "http://10.0.0.2:6060/debug/vars apps.vars_example_com.10_0_0_2_6060",
        ]
    );
    let mut six = settings("vars.example.com", address);
    six.port = Some(6060);
    six.record = Some("aaaa".into());
    let mut discovery = six.check().unwrap().spawn();
    assert_eq!(
        changed(&mut discovery).await,
        ["http://[fd00::1]:6060/debug/vars apps.vars_example_com.fd00__1_6060"]
    );
}

#[tokio::test]
async fn a_silent_server_is_a_failure() {
    // Bound and never read: there is no answer.
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    tokio::time::pause();
    let discovery = settings("_x._tcp.example.com", address).check().unwrap().spawn();
    until(&discovery, |r| r.failing).await;
    assert!(!discovery.status.answered());
}

#[test]
fn what_is_missing_is_named() {
    let base = Settings {
        dns: vec!["vars.example.com".into()],
        prefix: Some("a.{host}".into()),
        ..Settings::default()
    };
    for (change, key, said) in [
        (Settings { ..base.clone() }, "Port", "write Port = 8080"),
        (
            Settings { record: Some("TXT".into()), ..base.clone() },
            "Record",
            "\"SRV\", \"A\" or \"AAAA\"",
        ),
        (
            Settings { port: Some(1), nameserver: Some("dns.example".into()), ..base.clone() },
            "Nameserver",
            "10.0.0.2:53",
        ),
        (
            Settings { port: Some(1), prefix: Some("a.{node}".into()), ..base },
            "Prefix",
            "there are {host}, {port}, {service}, {address}",
        ),
    ] {
        let problems = change.check().unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].key, key);
        assert!(problems[0].message.contains(said), "{problems:?}");
    }
}
