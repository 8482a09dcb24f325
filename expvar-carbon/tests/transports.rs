//! Every transport, into a real carbon-cache where it speaks it, read back point by point.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use expvar::{Counter, FloatGauge, Gauge, Map, Registry};
use expvar_carbon::{Carbon, Unsent};
use expvar_peers::CarbonCache;

/// How long anything may take on a busy machine before a test fails.
const SOON: Duration = Duration::from_secs(60);

/// Numbers of every kind, with what a float of 64 bits makes of them.
fn sample() -> (Registry, BTreeMap<String, f64>) {
    let (registry, mut expected) = (Registry::new(), BTreeMap::new());
    let mut expect = |name: &str, value: f64| {
        expected.insert(name.to_owned(), value);
    };
    for (n, value) in [0, 1, u64::from(u32::MAX), (1 << 53) - 1, u64::MAX].into_iter().enumerate() {
        let name = format!("counter{n}");
        registry.publish(&name, Counter::new()).unwrap().add(value);
        expect(&name, value as f64);
    }
    for (n, value) in [i64::MIN, -1, 0, i64::MAX].into_iter().enumerate() {
        let name = format!("gauge{n}");
        registry.publish(&name, Gauge::new()).unwrap().set(value);
        expect(&name, value as f64);
    }
    let floats = [0.1, -0.0, 1.5e-3, 5e-324, f64::MAX, f64::MIN, 1e20, 1.0 / 3.0, f64::EPSILON];
    for (n, value) in floats.into_iter().enumerate() {
        let name = format!("float{n}");
        registry.publish(&name, FloatGauge::new()).unwrap().set(value);
        expect(&name, value);
    }
    let map = registry.publish("map", Map::new()).unwrap();
    for n in 0..500 {
        let key = format!("smörgås {n}/of.a certain length, to fill datagrams");
        map.add(&key, n);
        let [place, rest] = ["smörgås_{n}_of", "a_certain_length__to_fill_datagrams"];
        let crc = |original: &str| format!("{:08x}", crc32fast::hash(original.as_bytes()));
        let (first, second) = key.split_once('.').unwrap();
        let place = place.replace("{n}", &n.to_string());
        expect(&format!("map.{place}_{}.{rest}_{}", crc(first), crc(second)), n as f64);
    }
    (registry, expected)
}

/// What this push collects is sent at its end, as the next boundary is in 2038; without its own
/// variables.
fn at_the_end(push: Carbon) -> Carbon {
    let push = push.exclude("expvar.**").interval(Duration::from_secs(1 << 30));
    push.timeout(SOON).shutdown_timeout(SOON)
}

/// Pushes the sample once and compares everything stored with what was there.
fn round_trip(url: impl FnOnce(&CarbonCache) -> String) {
    let (registry, expected) = sample();
    let carbon = CarbonCache::keeping("60s:1d");
    let push = Carbon::new(url(&carbon)).registry(&registry).prefix("a");
    let push = at_the_end(push).interval(Duration::from_secs(3_600)).spawn().unwrap();
    assert_eq!(push.close(), Unsent::default());
    let boundary = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 3_600 * 3_600;
    for (name, value) in &expected {
        let stored = carbon.await_points(&format!("a.{name}"), 1);
        let (timestamp, stored) = stored.into_iter().next().unwrap_or_else(|| panic!("{name}"));
        assert_eq!(stored.to_bits(), value.to_bits(), "{name}: {stored} for {value}");
        assert!(timestamp.abs_diff(boundary) <= 3_600 && timestamp % 3_600 == 0);
    }
    let names: Vec<_> = expected.keys().map(|name| format!("a.{name}")).collect();
    assert_eq!(carbon.names(), names, "and nothing else");
}

/// The README's entry is a stranger's whole configuration: every minute must have its slot.
#[test]
fn the_readmes_storage_schema_keeps_every_push_of_the_default_interval() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, entry) = readme.split_once("```ini\n").expect("an entry");
    let (entry, _) = entry.split_once("```").expect("its end");
    let carbon = CarbonCache::with_schemas(entry);

    let registry = Registry::new();
    let minutes = registry.publish("minutes", Counter::new()).unwrap();
    let push = Carbon::new("unused:2003").registry(&registry).prefix("apps.app1");
    let mut renderer = push.renderer().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 60 * 60;
    let mut server = TcpStream::connect(("127.0.0.1", carbon.line_port)).unwrap();
    let mut expected = BTreeMap::new();
    for (n, timestamp) in (now - 29 * 60..=now).step_by(60).enumerate() {
        minutes.inc();
        renderer.render_to(timestamp, &mut server).unwrap();
        expected.insert(timestamp, (n + 1) as f64);
    }
    assert_eq!(carbon.await_points("apps.app1.minutes", expected.len()), expected);
    assert_eq!(carbon.archives("apps.app1.minutes"), [(60, 30 * 1_440), (600, 2 * 365 * 144)]);
}

#[test]
fn lines_over_tcp() {
    round_trip(|carbon| format!("tcp://localhost:{}", carbon.line_port));
}

#[test]
fn datagrams() {
    round_trip(|carbon| format!("udp://127.0.0.1:{}", carbon.udp_port));
}

#[test]
fn pickles() {
    round_trip(|carbon| format!("pickle://127.0.0.1:{}", carbon.pickle_port));
}

#[cfg(unix)]
#[test]
fn lines_over_a_unix_socket() {
    use std::io::Read;
    let (registry, expected) = sample();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("carbon.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    let push = Carbon::new(format!("unix://{}", path.display())).registry(&registry);
    let push = at_the_end(push).spawn().unwrap();
    assert_eq!(push.close(), Unsent::default());
    let text = reader.join().unwrap();
    let got: BTreeMap<_, f64> = text
        .lines()
        .map(|line| {
            let mut fields = line.split(' ');
            let name = fields.next().unwrap().to_owned();
            (name, fields.next().unwrap().parse().unwrap())
        })
        .collect();
    assert_eq!(got, expected);
}

#[test]
fn a_datagram_takes_no_line_that_does_not_fit() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let registry = Registry::new();
    registry.publish(&"long.".repeat(300), Gauge::new()).unwrap();
    registry.publish("short", Gauge::new()).unwrap();
    let address = socket.local_addr().unwrap();
    let push = at_the_end(Carbon::new(format!("udp://{address}")).registry(&registry));
    let push = push.spawn().unwrap();
    assert_eq!(push.flush_blocking(SOON), Unsent::default());
    let shown = registry.get("expvar.carbon").unwrap();
    push.close();
    let mut datagram = [0; 2_000];
    let length = socket.recv(&mut datagram).unwrap();
    assert!(datagram[..length].starts_with(b"short 0 ") && length < 30);
    let shown: serde_json::Value = serde_json::from_str(&shown.to_string()).unwrap();
    assert_eq!(
        (&shown["points_rejected"]["long_datagram"], &shown["points_sent"]),
        (&1.into(), &1.into())
    );
}
