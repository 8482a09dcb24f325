//! What `contrib/` says of samlare is true: names of metrics, keys of configurations.

#[path = "support/program.rs"]
mod program;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use expvar_peers::contrib::{Names, contrib, graphite_match, graphite_paths, texts};
use program::{Program, Sink, free_port, wait_for};
use samlare::config::Config;

const PREFIX: &str = "apps.samlare.here.";

/// A samlare that polls itself and a service that is not there.
fn start(sink: &Sink, page: u16) -> Program {
    let gone = free_port();
    Program::start(&format!(
        "CarbonHost = \"127.0.0.1\"\nCarbonPort = {}\nListen = \"127.0.0.1:{page}\"\n\
         CheckInterval = 1000\nTimeout = 20000\n\
         [[endpoint]]\nURL = \"http://localhost:{page}/debug/vars\"\nPrefix = \"{PREFIX}\"\n\
         [[endpoint]]\nURL = \"http://127.0.0.1:{gone}/debug/vars\"\nPrefix = \"gone\"\n",
        sink.port
    ))
}

fn metrics(page: u16) -> String {
    let mut stream = wait_for("the page", || TcpStream::connect(("127.0.0.1", page)).ok());
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn dashboards_and_rules_use_names_that_samlare_exposes() {
    let (sink, page) = (Sink::start(), free_port());
    let _samlare = start(&sink, page);
    let mut queries = texts(&contrib("grafana/samlare-prometheus.json"), "expr");
    queries.extend(texts(&contrib("prometheus/samlare.rules.yml"), "expr"));
    assert!(queries.len() > 20, "{queries:#?}");
    let mut missing = Vec::new();
    let shown = |missing: &mut Vec<String>| {
        // Prometheus itself makes `up`.
        let text = metrics(page) + "\nup 1\n";
        *missing = queries.iter().flat_map(|query| Names::of(query).missing(&text)).collect();
        missing.is_empty().then_some(())
    };
    wait_for_or("Prometheus' names", &mut missing, shown);
    let targets = texts(&contrib("grafana/samlare-graphite.json"), "target");
    assert!(targets.len() > 10, "{targets:#?}");
    let paths: BTreeSet<String> =
        targets.iter().flat_map(|target| graphite_paths(target, "$root.$app.$host")).collect();
    let shown = |missing: &mut Vec<String>| {
        let points = sink.points();
        let names = points.iter().filter_map(|point| point.0.strip_prefix(PREFIX));
        let names: BTreeSet<&str> = names.collect();
        let known = |path: &&String| !names.iter().any(|name| graphite_match(path, name));
        *missing = paths.iter().filter(known).cloned().collect();
        missing.is_empty().then_some(())
    };
    wait_for_or("Graphite's names", &mut missing, shown);
}

/// Waits, and names what is missing when that was in vain.
fn wait_for_or(
    what: &str,
    missing: &mut Vec<String>,
    mut shown: impl FnMut(&mut Vec<String>) -> Option<()>,
) {
    let limit = std::time::Instant::now() + program::PATIENCE;
    while shown(missing).is_none() {
        assert!(std::time::Instant::now() < limit, "{what} that contrib uses: {missing:#?}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// The configurations in manifests and beside the units.
fn configurations() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(contrib("kubernetes")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "yaml") {
            for part in fs::read_to_string(&path).unwrap().split("\n---\n") {
                let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
                fs::write(file.path(), part).unwrap();
                let texts = texts(file.path(), "config.toml");
                found.extend(texts.into_iter().map(|text| (path.display().to_string(), text)));
            }
        }
    }
    let beside = contrib("systemd/cluster.toml");
    found.push((beside.display().to_string(), fs::read_to_string(&beside).unwrap()));
    found
}

#[test]
fn the_configurations_are_good() {
    let configurations = configurations();
    assert_eq!(configurations.len(), 3);
    for (path, text) in configurations {
        let (config, warnings) =
            Config::parse(&text).unwrap_or_else(|err| panic!("{path}: {err:?}"));
        assert_eq!(warnings, [], "{path}");
        assert!(config.carbon.is_some(), "{path}");
    }
}

#[test]
#[ignore = "needs promtool (package prometheus)"]
fn the_rules_hold_what_their_tests_say() {
    let folder = contrib("prometheus");
    let run = |arguments: &[&str]| {
        let output = Command::new("promtool").args(arguments).current_dir(&folder).output();
        let output = output.expect("promtool: apt-get install prometheus");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    };
    for name in ["service", "samlare"] {
        run(&["check", "rules", &format!("{name}.rules.yml")]);
        run(&["test", "rules", &format!("{name}.test.yml")]);
    }
    // Every alert has a test.
    for name in ["service", "samlare"] {
        let tested = texts(&folder.join(format!("{name}.test.yml")), "alertname");
        for alert in texts(&folder.join(format!("{name}.rules.yml")), "alert") {
            assert!(tested.contains(&alert), "{alert} has no test");
        }
    }
}

#[test]
#[ignore = "needs systemd-analyze (package systemd)"]
fn systemd_takes_the_units() {
    let dir = tempfile::tempdir().unwrap();
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("samlare.service");
    let text = fs::read_to_string(unit).unwrap();
    // Verifying looks for the program.
    let text = text.replace("/usr/bin/samlare", env!("CARGO_BIN_EXE_samlare"));
    let unit = dir.path().join("samlare.service");
    fs::write(&unit, text).unwrap();
    let dropin = dir.path().join("samlare.service.d");
    fs::create_dir(&dropin).unwrap();
    let cluster = contrib("systemd/samlare.service.d/cluster.conf");
    fs::copy(cluster, dropin.join("cluster.conf")).unwrap();
    let output = Command::new("systemd-analyze").arg("verify").arg("--man=no").arg(&unit).output();
    let output = output.expect("systemd-analyze: apt-get install systemd");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // It also verifies the units that this one needs; those of the machine are not ours.
    let ours = said.lines().filter(|line| line.contains("samlare"));
    assert_eq!(ours.collect::<Vec<_>>(), [""; 0]);
}
