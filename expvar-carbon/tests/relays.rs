//! Ten thousand names go where a real carbon-c-relay and a real carbon-relay send them.

use std::io::Write;
use std::process::{Command, Stdio};

use expvar_carbon::{Cluster, Dialect, Route};

const SERVERS: usize = 16;

fn names() -> Vec<String> {
    let kinds = ["cpu.user", "requests.GET.200.p99", "df.root-free", "Queue:depth", "x"];
    (0..10_000)
        .map(|n| format!("servers.web-{:03}.{}.{}", n % 173, kinds[n % kinds.len()], n))
        .collect()
}

fn host(n: usize) -> String {
    format!("10.1.{}.{}", n / 4, n % 4 + 1)
}

/// For each name the hosts that get it.
fn ours(cluster: &Cluster, names: &[String]) -> Vec<Vec<String>> {
    let mut router = cluster.router().unwrap();
    let hosts = |name: &String| {
        let chosen = router.route(name.as_bytes());
        chosen.iter().map(|at| host(usize::from(*at))).collect()
    };
    names.iter().map(hosts).collect()
}

/// What a program prints that reads the names.
fn printed(mut command: Command, names: &[String]) -> String {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}: run .ci/peers.sh"));
    let mut stdin = child.stdin.take().unwrap();
    let text = names.join("\n") + "\n";
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{program}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs carbon-c-relay (Debian; .ci/peers.sh installs it)"]
fn a_real_carbon_c_relay_sends_them_there_too() {
    let names = names();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("relay.conf");
    for route in [Route::CarbonCh, Route::Fnv1aCh, Route::JumpFnv1aCh] {
        for copies in [1, 2] {
            let servers: Vec<_> = (0..SERVERS).map(|n| format!("{}:2003=i{n}", host(n))).collect();
            let text = format!(
                "cluster all {route} replication {copies} {} ;\nmatch * send to all stop ;\n",
                servers.join(" ")
            );
            std::fs::write(&config, text).unwrap();
            let mut relay = Command::new("carbon-c-relay");
            relay.arg("-t").arg("-f").arg(&config);
            // After its configuration: `match`, `* -> name`, the cluster, a line a server, `stop`.
            let printed = printed(relay, &names);
            let mut theirs: Vec<Vec<String>> = Vec::new();
            for line in printed.lines().map(str::trim) {
                match line.split_once(":2003") {
                    _ if line.starts_with("* -> ") => theirs.push(Vec::new()),
                    Some((host, "")) if !theirs.is_empty() => {
                        theirs.last_mut().unwrap().push(host.to_owned());
                    }
                    _ => {}
                }
            }
            let first = Cluster::to(&servers[0]);
            let cluster = servers[1..].iter().fold(first, |all, server| all.and(server));
            let cluster = cluster.route(route).replication(copies);
            assert!(ours(&cluster, &names) == theirs, "{route}, {copies} copies");
        }
    }
}

/// carbon-relay's own router, without the network around it.
const ROUTER: &str = "
import sys
from carbon.conf import settings
from carbon.routers import ConsistentHashingRouter
settings['ROUTER_HASH_TYPE'] = sys.argv[1]
settings['REPLICATION_FACTOR'] = int(sys.argv[2])
settings['DIVERSE_REPLICAS'] = False
router = ConsistentHashingRouter(settings)
for host in sys.argv[3:]:
    router.addDestination((host, 2004, 'i' + host))
for name in sys.stdin:
    print(*[host for host, _, _ in router.getDestinations(name.rstrip())])
";

#[test]
#[ignore = "slow: Python routes ten thousand names four times"]
fn a_real_carbon_relay_sends_them_there_too() {
    let names = names();
    let python = expvar_peers::carbon_python();
    for route in [Route::CarbonCh, Route::Fnv1aCh] {
        for copies in [1, 2] {
            let hosts: Vec<_> = (0..SERVERS).map(host).collect();
            let mut relay = Command::new(&python);
            relay.args(["-c", ROUTER, route.name(), &copies.to_string()]).args(&hosts);
            let theirs: Vec<Vec<String>> = printed(relay, &names)
                .lines()
                .map(|line| line.split(' ').map(str::to_owned).collect())
                .collect();
            let server = |host: &String| format!("{host}:2004=i{host}");
            let first = Cluster::to(server(&hosts[0]));
            let cluster = hosts[1..].iter().fold(first, |all, host| all.and(server(host)));
            let cluster = cluster.route(route).replication(copies).dialect(Dialect::Carbon);
            assert!(ours(&cluster, &names) == theirs, "{route}, {copies} copies");
        }
    }
}
