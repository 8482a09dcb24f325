//! A member of a cluster as a program: how it starts, what it shows, and what `check` says.

#[path = "support/program.rs"]
mod program;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;

use expvar_peers::EtcdCluster;
use program::{Program, Service, Sink, free_port, samlare, shown, wait_for};
use samlare::cluster::Owners;
use samlare::config::Config;
use serde_json::{Value, json};

const ENDPOINTS: usize = 12;

/// A configuration of so many endpoints, without a cluster.
fn endpoints(service: &Service, carbon: u16, listen: u16) -> String {
    let mut text = format!(
        "CarbonHost = \"127.0.0.1\"\nCarbonPort = {carbon}\nListen = \"127.0.0.1:{listen}\"\n\
         CheckInterval = 5000\nTimeout = 500\n"
    );
    for n in 0..ENDPOINTS {
        text.push_str(&format!(
            "[[endpoint]]\nURL = \"http://user:secret@{}/{n}\"\nPrefix = \"e{n}\"\n",
            service.address
        ));
    }
    text
}

fn cluster(engine: &str, name: &str, more: &str) -> String {
    format!("[cluster]\nEngine = \"{engine}\"\nName = \"{name}\"\nTtl = 2000\n{more}\n")
}

/// The JSON at a path of samlare's page.
fn get(port: u16, path: &str) -> Value {
    let mut stream = wait_for("the page", || TcpStream::connect(("127.0.0.1", port)).ok());
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(!answer.contains("secret"), "{answer}");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn without_a_cluster_there_is_nothing_of_it() {
    let (service, sink, listen) = (Service::counting(), Sink::start(), free_port());
    let program = Program::start(&endpoints(&service, sink.port, listen));
    sink.wait_for("e0.n", 1);
    assert_eq!(get(listen, "/cluster"), Value::Null);
    assert_eq!(shown(listen, "samlare.cluster"), Value::Null);
    assert!(get(listen, "/owner?url=http://h/")["error"].is_string());
    assert!(!program.terminate().contains("cluster"));
}

#[test]
fn an_engine_that_cannot_be_reached_stops_nobody_unless_it_is_required() {
    let (service, sink, listen) = (Service::counting(), Sink::start(), free_port());
    let engine = format!("etcd://127.0.0.1:{}", free_port());
    let config = endpoints(&service, sink.port, listen);
    let program = Program::start(&(config.clone() + &cluster(&engine, "a", "")));
    for n in 0..ENDPOINTS {
        sink.wait_for(&format!("e{n}.n"), 1);
    }
    let report = get(listen, "/cluster");
    assert_eq!((&report["engine_up"], &report["engine"]), (&json!(0), &json!(engine)));
    assert!(report["engine_error"].as_str().unwrap().contains("refused"), "{report}");
    assert_eq!(shown(listen, "samlare.cluster")["lease"], "unknown");
    let log = program.terminate();
    let line = "the engine cannot be reached, polling as if alone until it can";
    assert_eq!(log.matches(line).count(), 1, "{log}");

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, config + &cluster(&engine, "a", "Required = true")).unwrap();
    let output = samlare(&["-config", path.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cluster.Required: ") && said.contains("refused"), "{said}");
}

#[test]
#[ignore = "needs etcd: .ci/peers.sh installs it"]
fn the_page_and_check_say_who_polls_what() {
    let etcd = EtcdCluster::start(1);
    let (service, sink) = (Service::counting(), Sink::start());
    let (a, b) = (free_port(), free_port());
    let start = |name: &str, listen: u16| {
        let config = endpoints(&service, sink.port, listen);
        Program::start(&(config + &cluster(&etcd.engine(), name, "")))
    };
    let (first, second) = (start("a", a), start("b", b));
    let owners = Owners::new(["a", "b"], 1);
    let url = |n: usize| format!("http://user:secret@{}/{n}", service.address);
    let count = |name: &str| (0..ENDPOINTS).filter(|n| owners.owns(name, &url(*n))).count();
    let report = wait_for("counts", || {
        let report = get(a, "/cluster");
        let members = &report["members"];
        (members["b"]["points"] == count("b") && members["a"]["points"] == count("a"))
            .then_some(report)
    });
    assert_eq!(report["members"]["a"]["endpoints"], count("a"));
    assert_eq!(report["members"]["b"]["endpoints"], count("b"));
    assert_eq!(report["members"].as_object().unwrap().len(), 2);
    assert_eq!((&report["lease"], &report["engine_up"]), (&json!("held"), &json!(1)));
    assert_eq!((&report["troubles"], &report["name"]), (&json!([]), &json!("a")));
    assert!(report["members"]["b"]["since_secs"].as_u64().unwrap() > 1_700_000_000);
    for n in 0..ENDPOINTS {
        // As it is shown, which is without the credentials, by its owner.
        let owner = owners.of(&url(n))[0];
        let port = if owner == "a" { a } else { b };
        let shown = format!("http://{}/{n}", service.address);
        wait_for("its owner", || {
            (get(port, &format!("/owner?url={shown}"))["owners"] == json!([owner])).then_some(())
        });
    }
    assert!(get(a, "/owner?url=nonsense")["error"].is_string());

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    let config = endpoints(&service, sink.port, 0) + &cluster(&etcd.engine(), "c", "");
    fs::write(&path, config).unwrap();
    let output = samlare(&["check", path.to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let three = Owners::new(["a", "b", "c"], 1);
    for (name, this) in [("a", ""), ("b", ""), ("c", " (this one)")] {
        let count = (0..ENDPOINTS).filter(|n| three.owns(name, &url(*n))).count();
        assert!(
            said.contains(&format!("cluster: {name}{this} polls {count} endpoints\n")),
            "{said}"
        );
    }
    // No member has joined.
    assert_eq!(get(a, "/cluster")["members"].as_object().unwrap().len(), 2);

    // Another configuration shows, and is over once it is the same again.
    let config = endpoints(&service, sink.port, b);
    let other = config.replace("CheckInterval = 5000", "CheckInterval = 6000");
    second.reload(&(other + &cluster(&etcd.engine(), "b", "")));
    first.wait_for_log("b has another configuration");
    wait_for("red", || (get(a, "/cluster")["members"]["b"]["other_config"] == 1).then_some(()));
    second.reload(&(config + &cluster(&etcd.engine(), "b", "")));
    first.wait_for_log("cluster problem solved");
    // Out of the cluster, and its endpoints are the other one's.
    second.reload(&endpoints(&service, sink.port, b));
    first.wait_for_log("a member has left");
    wait_for("all", || (get(a, "/endpoints")["total"] == ENDPOINTS).then_some(()));
    second.terminate();
    first.terminate();
}

#[test]
#[ignore = "needs etcd: .ci/peers.sh installs it"]
fn a_stop_asks_the_service_manager_for_the_time_of_a_slot() {
    let etcd = EtcdCluster::start(1);
    let (service, sink) = (Service::counting(), Sink::start());
    let dir = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    let start = |name: &str, notify: bool| {
        let listen = free_port();
        let config = endpoints(&service, sink.port, listen);
        let config = config + &cluster(&etcd.engine(), name, "");
        let program = Program::start_with(&config, |command| {
            if notify {
                command.env("NOTIFY_SOCKET", dir.path().join("notify"));
            }
        });
        wait_for("it", || (get(listen, "/cluster")["lease"] == "held").then_some(()));
        (program, listen)
    };
    let (_a, (b, listen)) = (start("a", false), start("b", true));
    wait_for("both", || {
        (get(listen, "/cluster")["members"].as_object().unwrap().len() == 2).then_some(())
    });
    let log = b.terminate();
    assert!(log.contains("handing over to the other members"), "{log}");
    let mut told = String::new();
    let mut bytes = [0; 1000];
    socket.set_nonblocking(true).unwrap();
    while let Ok(read) = socket.recv(&mut bytes) {
        told.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        told.push('\n');
    }
    let micros = told.lines().find_map(|line| line.strip_prefix("EXTEND_TIMEOUT_USEC=")).unwrap();
    // To leave, a slot and a poll, and to flush.
    assert_eq!(micros.parse::<u64>().unwrap(), 4_000_000 + 5_500_000 + 1_000_000 + 10_000_000);
}

#[test]
fn what_is_wrong_with_a_cluster_is_said_with_line_and_remedy() {
    let endpoint = "CheckInterval = 60000\n[[endpoint]]\nURL = \"http://h/\"\nPrefix = \"h\"\n";
    let problems = |text: &str| match Config::parse(&format!("{endpoint}{text}")) {
        Ok((_, warnings)) => warnings,
        Err(errors) => errors,
    };
    for (text, said) in [
        ("[cluster]\nName = \"a\"\n", "line 5: cluster.Engine: it is missing"),
        ("[cluster]\nEngine = \"a:1\"\n", "line 6: cluster.Engine: it has no scheme: write"),
        (
            "[cluster]\nEngine = \"etcd://a\"\nTtl = 1000\n",
            "line 7: cluster.Ttl: it is out of range",
        ),
        ("[cluster]\nEngine = \"etcd://a\"\nReplicas = 0\n", "line 7: cluster.Replicas: it is out"),
        (
            "[cluster]\nEngine = \"etcd://a\"\nUser = \"u\"\n",
            "line 7: cluster.User: it has no password",
        ),
        ("[cluster]\nEngine = \"etcd://a\"\nPassword = \"x\"\n", "cluster.User: it is missing"),
        (
            "[cluster]\nEngine = \"etcd://a\"\nCertFile = \"x\"\n",
            "line 7: cluster.CertFile: CertFile",
        ),
        (
            "[cluster]\nEngine = \"etcd://a\"\nTls = false\nCaFile = \"x\"\n",
            "line 7: cluster.Tls: it is false",
        ),
        ("[cluster]\nEngine = \"etcd://a\"\nReplica = 2\n", "did you mean Replicas?"),
        ("[[cluster]]\nEngine = \"etcd://a\"\n", "it is a list: write [cluster] above its keys"),
    ] {
        let problems: Vec<String> = problems(text).iter().map(ToString::to_string).collect();
        assert!(problems.iter().any(|problem| problem.contains(said)), "{text}: {problems:?}");
    }
    let cluster = "[cluster]\nEngine = \"etcd://a\"\n";
    let both = Config::parse(&format!("Shard = \"1/2\"\n{endpoint}{cluster}")).unwrap_err();
    assert!(both[0].to_string().contains("line 1: Shard: [cluster] shares"), "{both:?}");
    let tight = endpoint.replace("60000", "6500");
    let (_, warnings) = Config::parse(&format!("{tight}{cluster}")).unwrap();
    assert!(warnings[0].to_string().contains("6500 milliseconds here"), "{warnings:?}");
    let (config, warnings) = Config::parse(&format!("{endpoint}{cluster}")).unwrap();
    assert_eq!((config.cluster.unwrap().engine[0].port, warnings), (2379, Vec::new()));
}
