//! A member that is cut off from the engine, the endpoints and Carbon: no slot is missing, and
//! nobody is said to have failed.
#![cfg(target_os = "linux")]

#[path = "support/fleet.rs"]
mod fleet;

use std::process::{Child, Command};
use std::time::Duration;

use fleet::{Fleet, Slots};

const INTERVAL: Duration = Duration::from_secs(6);
/// Says that this process runs on a host of its own.
const HOST: &str = "SAMLARE_PARTITION_HOST";
const NEAR: &str = "192.0.2.1";

/// Runs this test again in a network of its own, whose loopback it brings up.
fn on_a_host_of_its_own(name: &str, test: fn()) {
    if std::env::var_os(HOST).is_some() {
        run("ip link set lo up");
        return test();
    }
    // There is no index of packages where the test runs.
    expvar_peers::carbon_python();
    // Debian has tc where only root looks for it.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new("unshare")
        .args(["--map-root-user", "--net"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(HOST, "1")
        .env("PATH", path)
        .output()
        .expect("unshare: install util-linux");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn run(command: &str) {
    let mut words = command.split_ascii_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output();
    let output =
        output.unwrap_or_else(|e| panic!("{command}: {e}: .ci/peers.sh installs iproute2"));
    assert!(
        output.status.success(),
        "{command}: {}(wants root, iproute2 of .ci/peers.sh, and a kernel with CONFIG_VETH and \
         CONFIG_NET_SCHED)",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Another host, connected to this one by a wire; it ends when dropped.
struct Host(Child);

impl Host {
    fn new() -> Host {
        let process = Command::new("unshare").args(["--net", "sleep", "600"]).spawn().unwrap();
        let host = Host(process);
        let pid = host.0.id();
        // Its network is there once the program has been exchanged.
        let comm = format!("/proc/{pid}/comm");
        while std::fs::read_to_string(&comm).unwrap().trim() != "sleep" {
            std::thread::sleep(Duration::from_millis(5));
        }
        run(&format!("ip link add near type veth peer name far netns {pid}"));
        run(&format!("ip address add {NEAR}/30 dev near"));
        run("ip link set near up");
        for command in
            ["ip address add 192.0.2.2/30 dev far", "ip link set far up", "ip link set lo up"]
        {
            run(&format!("nsenter --target {pid} --net {command}"));
        }
        host
    }

    /// Lets vanish all that either host sends to the other.
    fn cut(&self) {
        run("tc qdisc add dev near root blackhole");
        run(&format!("nsenter --target {} --net tc qdisc add dev far root blackhole", self.0.id()));
    }

    fn heal(&self) {
        run("tc qdisc del dev near root");
        run(&format!("nsenter --target {} --net tc qdisc del dev far root", self.0.id()));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs etcd, iproute2 and the right to make networks: .ci/peers.sh"]
fn a_member_that_is_cut_off_leaves_no_gap_and_accuses_nobody() {
    on_a_host_of_its_own("a_member_that_is_cut_off_leaves_no_gap_and_accuses_nobody", || {
        let host = Host::new();
        let mut fleet = Fleet::new_at(NEAR, INTERVAL, 2_000, 1_000, "");
        let pid = host.0.id().to_string();
        fleet.start("a");
        fleet.start("b");
        fleet.start_by("c", &["nsenter", "--target", &pid, "--net"]);
        fleet.wait_for("members", |fleet| {
            let members = fleet.shown("a", "members");
            members.as_object().is_some_and(|members| members.len() == 3)
        });
        let from = fleet.begin();
        fleet.pass(INTERVAL / 2);
        host.cut();
        fleet.note("c is cut off");
        fleet.pass(INTERVAL * 5 / 2);
        host.heal();
        fleet.note("c is back");
        fleet.wait_for("c", |fleet| fleet.log("c").contains("the engine is back"));
        fleet.pass(INTERVAL * 2);
        let Slots { missing, all, .. } = fleet.end(from);
        assert_eq!(missing, [] as [String; 0], "of {all} slots\n{}", fleet.notes());
        assert_eq!(fleet.failures(), [] as [String; 0], "{}", fleet.notes());
        let log = fleet.log("c");
        assert!(log.contains("the lease is gone, this member joins again"), "{log}");
        assert!(log.contains("fetch failed"), "it was cut off: {log}");
    });
}
