//! Points that go to the servers that a relay would send them to, each with its own queue.

use std::collections::BTreeSet;
use std::io::Read;
use std::iter;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use expvar_carbon::{Cluster, Dialect, Lines, Route, Sender, SenderBuilder, Unsent};
use expvar_peers::free_port;

const NOW: u64 = 1_700_000_000;
const SOON: Duration = Duration::from_secs(60);

/// A server that passes on what each connection brought.
struct Server {
    address: String,
    texts: mpsc::Receiver<String>,
}

impl Server {
    fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn on(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap().to_string();
        let (send, texts) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut text = String::new();
                let _ = stream.unwrap().read_to_string(&mut text);
                if send.send(text).is_err() {
                    return;
                }
            }
        });
        Self { address, texts }
    }

    /// The names that all connections so far have brought; their senders have closed.
    ///
    /// Connections are read in turn: when an empty one has been read, so have all before it.
    fn names(&self) -> BTreeSet<String> {
        drop(TcpStream::connect(&self.address).unwrap());
        let next = || self.texts.recv_timeout(SOON).expect("senders have closed");
        let texts: Vec<String> = iter::repeat_with(next).take_while(|t| !t.is_empty()).collect();
        let texts = texts.concat();
        texts.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    }
}

/// The address of no server.
fn dead() -> String {
    format!("127.0.0.1:{}", free_port())
}

fn name(n: u64) -> String {
    format!("servers.web-{:02}.cpu.{}.user", n % 37, n / 37)
}

fn lines(names: u64) -> Lines {
    let mut lines = Lines::new();
    for n in 0..names {
        lines.point(&name(n), n, NOW);
    }
    lines
}

fn cluster(servers: &[&Server]) -> Cluster {
    let address = |(at, server): (usize, &&Server)| format!("{}={at}", server.address);
    let mut addresses = servers.iter().enumerate().map(address);
    let first = Cluster::to(addresses.next().unwrap());
    addresses.fold(first, Cluster::and)
}

fn sender(servers: &[&Server]) -> SenderBuilder {
    let address = |(at, server): (usize, &&Server)| format!("{}={at}", server.address);
    let addresses = servers.iter().enumerate().map(address);
    addresses.fold(Sender::builder(), SenderBuilder::to).timeout(SOON)
}

#[test]
fn each_point_goes_where_its_hash_says_and_to_as_many_as_asked() {
    for (route, dialect, copies) in [
        (Route::CarbonCh, Dialect::CRelay, 1),
        (Route::CarbonCh, Dialect::Carbon, 2),
        (Route::Fnv1aCh, Dialect::CRelay, 2),
        (Route::JumpFnv1aCh, Dialect::CRelay, 3),
        (Route::Mmh3Ch, Dialect::Carbon, 1),
    ] {
        let servers = [Server::start(), Server::start(), Server::start()];
        let all = servers.each_ref();
        let builder = sender(&all).route(route).dialect(dialect).replication(copies);
        let sender = builder.spawn().unwrap();
        sender.send(&mut lines(1_000));
        assert_eq!(sender.close(SOON), Unsent::default());
        let cluster = cluster(&all).route(route).dialect(dialect).replication(copies);
        let mut router = cluster.router().unwrap();
        let mut expected = [const { BTreeSet::new() }; 3];
        for n in 0..1_000 {
            let chosen = router.route(name(n).as_bytes());
            assert_eq!(chosen.len(), copies);
            for at in chosen {
                expected[usize::from(*at)].insert(name(n));
            }
        }
        assert_eq!(servers.map(|server| server.names()), expected, "{route}");
        assert_eq!(sender.stats().points_sent, 1_000 * copies as u64);
    }
}

#[test]
fn a_server_that_is_away_keeps_its_own_points_waiting_and_no_others() {
    let there = [Server::start(), Server::start()];
    let address = dead();
    let builder = Sender::builder().to(format!("{}=0", there[0].address));
    let builder = builder.to(format!("{}=1", there[1].address)).to(format!("{address}=2"));
    let sender = builder.route(Route::JumpFnv1aCh).timeout(SOON).spawn().unwrap();
    sender.send(&mut lines(1_000));
    let left = loop {
        let left = sender.flush_blocking(Duration::from_millis(200));
        if left.unconfirmed == 0 && left.points < 500 {
            break left.points;
        }
    };
    let got = there.iter().map(|server| server.names().len()).sum::<usize>();
    assert_eq!(got + left as usize, 1_000);
    assert!(left > 200, "{left} of 1,000 wait for a third of the servers");
    let back = Server::on(TcpListener::bind(&address).unwrap());
    assert_eq!(sender.close(SOON), Unsent::default());
    assert_eq!(back.names().len(), left as usize);
}

#[test]
fn any_takes_turns_and_leaves_out_who_is_away() {
    let there = [Server::start(), Server::start()];
    let builder = sender(&there.each_ref()).to(dead()).route(Route::Any);
    let sender = builder.spawn().unwrap();
    for n in 0..300 {
        let mut lines = Lines::new();
        lines.point(&name(n), n, NOW);
        sender.send(&mut lines);
    }
    assert_eq!(sender.close(SOON), Unsent::default());
    let got = there.map(|server| server.names());
    assert_eq!(got[0].union(&got[1]).count(), 300);
    assert!(got.iter().all(|names| names.len() >= 50), "{} {}", got[0].len(), got[1].len());
}

#[test]
fn patterns_choose_servers_and_the_first_one_counts() {
    let [tests, databases, rest] = [Server::start(), Server::start(), Server::start()];
    let sender = sender(&[&rest])
        .matching("test.**", Cluster::to(&tests.address))
        .matching("{db,test}.**", Cluster::to(&databases.address).route(Route::CarbonCh))
        .spawn()
        .unwrap();
    let mut lines = Lines::new();
    for name in ["test.a", "db.b", "db", "apps.c", "test.db.d"] {
        lines.point(name, 1u64, NOW);
    }
    sender.send(&mut lines);
    assert_eq!(sender.close(SOON), Unsent::default());
    let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(tests.names(), set(&["test.a", "test.db.d"]));
    assert_eq!(databases.names(), set(&["db.b"]));
    assert_eq!(rest.names(), set(&["apps.c", "db"]));
}

#[test]
fn what_waits_goes_by_the_new_route_when_it_is_changed() {
    let (dead, dir) = (dead(), tempfile::tempdir().unwrap());
    for spooled in [false, true] {
        let spool = |builder: SenderBuilder| {
            if spooled { builder.spool_dir(dir.path()) } else { builder }
        };
        let sender_of_one = spool(Sender::builder().to(&dead)).spawn().unwrap();
        sender_of_one.send(&mut lines(500));
        let servers = [Server::start(), Server::start()];
        let routed = sender(&servers.each_ref()).route(Route::JumpFnv1aCh);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(sender_of_one.reconfigure(spool(routed), Duration::ZERO)).unwrap();
        assert_eq!(sender_of_one.close(SOON), Unsent::default());
        let got = servers.map(|server| server.names());
        assert_eq!(got[0].intersection(&got[1]).count(), 0, "each to one");
        assert_eq!(got[0].union(&got[1]).count(), 500);
    }
}

#[test]
fn a_route_that_cannot_be_is_named() {
    let two = || Sender::builder().to("a:1").to("b:1");
    for (field, builder) in [
        ("replication", two().replication(2)),
        ("replication", two().route(Route::CarbonCh).replication(3)),
        (
            "to",
            Sender::builder().to("a:1").to("a:2").route(Route::CarbonCh).dialect(Dialect::Carbon),
        ),
        ("matching", two().matching("a[", Cluster::to("c:1"))),
        ("to", two().matching("a.*", Cluster::default())),
    ] {
        let error = builder.build().err().unwrap_or_else(|| panic!("{field} was taken"));
        assert_eq!(error.field(), field, "{error}");
    }
}
