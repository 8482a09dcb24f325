//! Pushing 100,000 variables to Graphite: `cargo bench --bench carbon`.
//!
//! A server on loopback reads and discards. The floor is writing the same bytes, rendered before.
//! g2g writes once for each variable. All peers send the same values under the same names:
//! integers, because dipstick has no floats. Variables are published in the order of their names,
//! as loops over routes and codes do. Also shown: the cost of floats, and of variables published in
//! random order, so that rendering accesses memory randomly.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dipstick::{Flush, Input, InputScope};
use expvar::{Counter, FloatGauge, Gauge, Registry};
use expvar_benches::{Race, print_machine};
use expvar_carbon::{Carbon, Lines, Renderer, Sender};

const VARIABLES: usize = 100_000;
const NOW: u64 = 1_700_000_000;

fn main() {
    print_machine("carbon");
    let measured = std::env::args().any(|word| word == "--bench");
    race();
    through_the_sender(if measured { 100 } else { 1 });
    an_hour_away(if measured { 360 } else { 1 });
}

fn name(at: usize) -> String {
    format!("http.route{:03}.code{:02}.requests{at}", at / 100, at % 100)
}

fn value(at: usize) -> u64 {
    at as u64 * 1_234
}

/// Half counters, half gauges, of which half are floats if so wanted.
fn registry(variables: usize, floats: bool) -> Registry {
    registry_in_order(0..variables, floats)
}

fn registry_in_order(order: impl Iterator<Item = usize>, floats: bool) -> Registry {
    let registry = Registry::new();
    for at in order {
        let (name, free) = (name(at), "a free name");
        match at % 4 {
            1 if floats => {
                registry.publish(&name, FloatGauge::new()).expect(free).set(at as f64 / 7.0);
            }
            0 | 1 => registry.publish(&name, Gauge::new()).expect(free).set(value(at) as i64),
            _ => registry.publish(&name, Counter::new()).expect(free).add(value(at)),
        }
    }
    registry
}

fn renderer(registry: &Registry) -> Renderer {
    let carbon = Carbon::new("unused:2003").registry(registry).prefix("apps.bench");
    carbon.renderer().expect("good settings")
}

/// Reads and discards every connection.
fn drain() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("a port").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut buffer = vec![0; 1 << 20];
                while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
            });
        }
    });
    address
}

fn race() {
    let of = |registry| Mutex::new(renderer(&registry));
    let (renderer, of_floats) = (of(registry(VARIABLES, false)), of(registry(VARIABLES, true)));
    // No two that follow each other in one order do in the other.
    let no_order = (0..VARIABLES).map(|at| at * 31_337 % VARIABLES);
    let of_no_order = of(registry_in_order(no_order, false));
    let rendered = renderer.lock().expect("whole").render(NOW).as_bytes().to_vec();
    println!("{VARIABLES} variables, {} bytes a push\n", rendered.len());
    let address = drain();
    let connect = || {
        let stream = TcpStream::connect(&address).expect("the drain");
        stream.set_nodelay(true).expect("an option");
        Mutex::new(stream)
    };
    let (floor, copied, whole, single) = (connect(), connect(), connect(), connect());
    let values: Vec<(String, u64)> =
        (0..VARIABLES).map(|at| (format!("apps.bench.{}", name(at)), value(at))).collect();
    let dipstick = Mutex::new(Dipstick::connect(&address, &values));
    let part = Mutex::new(vec![0; 768 << 10]);
    let mut lost = 0;

    let mut race = Race::new("carbon", &[1]);
    race.peer("expvar renders", |_| {
        black_box(renderer.lock().expect("whole").render(NOW).points());
    });
    race.peer("expvar renders, a quarter floats", |_| {
        black_box(of_floats.lock().expect("whole").render(NOW).points());
    });
    race.peer("expvar renders, published in no order", |_| {
        black_box(of_no_order.lock().expect("whole").render(NOW).points());
    });
    race.peer("expvar renders and writes", |_| {
        let (mut renderer, mut stream) =
            (renderer.lock().expect("whole"), whole.lock().expect("whole"));
        black_box(renderer.render_to(NOW, &mut *stream).expect("the drain"));
    });
    race.peer("writing what was rendered before", |_| {
        floor.lock().expect("whole").write_all(&rendered).expect("the drain");
    });
    race.peer("copying it in parts and writing each (the floor)", |_| {
        let (mut part, mut stream) = (part.lock().expect("whole"), copied.lock().expect("whole"));
        for bytes in rendered.chunks(part.len()) {
            part[..bytes.len()].copy_from_slice(bytes);
            stream.write_all(black_box(&part[..bytes.len()])).expect("the drain");
        }
    });
    race.peer("g2g's way, a write for each", |_| {
        let mut stream = single.lock().expect("whole");
        for (name, value) in &values {
            writeln!(OneWrite(&mut stream), "{name} {value} {NOW}").expect("the drain");
        }
    });
    race.peer_with_pause(
        "dipstick's Graphite output",
        |_| dipstick.lock().expect("whole").push(&values),
        || {
            let mut dipstick = dipstick.lock().expect("whole");
            if dipstick.is_lost {
                lost += 1;
                *dipstick = Dipstick::connect(&address, &values);
            }
        },
    );
    let (render, whole) = ("expvar renders", "expvar renders and writes");
    let (copied, written) =
        ("copying it in parts and writing each (the floor)", "writing what was rendered before");
    let times = race.run();
    println!("dipstick lost its connection, and what it had to send, in {lost} turns\n");
    times.print_ratios(&[
        ((render, 1), (written, 1), 2.0),
        (("expvar renders, a quarter floats", 1), (written, 1), 2.0),
        ((whole, 1), (written, 1), 1.6),
        ((copied, 1), (written, 1), 1.6),
        ((whole, 1), ("g2g's way, a write for each", 1), 0.05),
        ((whole, 1), ("dipstick's Graphite output", 1), 0.25),
    ]);
}

/// dipstick's Graphite output. Its socket is non-blocking, so a briefly slow server is a lost
/// connection to it, and unwritten data stays before all that follows.
struct Dipstick {
    scope: dipstick::GraphiteScope,
    gauges: Vec<dipstick::Gauge>,
    is_lost: bool,
}

impl Dipstick {
    fn connect(address: &str, values: &[(String, u64)]) -> Self {
        let scope = dipstick::Graphite::send_to(address).expect("the drain").metrics();
        let gauges = values.iter().map(|(name, _)| scope.gauge(name)).collect();
        // It does not connect within 50 ms of being made.
        std::thread::sleep(Duration::from_millis(60));
        Self { scope, gauges, is_lost: false }
    }

    fn push(&mut self, values: &[(String, u64)]) {
        for (gauge, (_, value)) in self.gauges.iter().zip(values) {
            gauge.value(*value as i64);
        }
        self.is_lost |= self.scope.flush().is_err();
    }
}

/// Formats a line first and writes it at once, like Go's `Fprintf` to a connection.
struct OneWrite<'a>(&'a mut TcpStream);

impl Write for OneWrite<'_> {
    fn write_fmt(&mut self, line: std::fmt::Arguments<'_>) -> std::io::Result<()> {
        self.0.write_all(std::fmt::format(line).as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Seconds of CPU that this process has used.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    // User and system time, in hundredths: proc(5).
    fields.skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The cost of lines between [`Sender::send`] and the socket.
fn through_the_sender(pushes: usize) {
    let sender = Sender::builder().to(drain()).queue_bytes(64 << 20).spawn().expect("a thread");
    let registry = registry(VARIABLES, true);
    let mut renderer = renderer(&registry);
    let rendered = renderer.render(NOW).clone();
    let mut lines = Lines::new();
    let (start, cpu) = (Instant::now(), cpu_seconds());
    for _ in 0..pushes {
        lines.clone_from(&rendered);
        sender.send(&mut lines);
        while sender.stats().queue_points > 1_000_000 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let left = sender.close(Duration::from_secs(60));
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let points = (pushes * VARIABLES) as f64;
    println!(
        "the sender: {:.1} million points/s; {:.3} s of CPU a million, the reading server's \
         included; {} left\n",
        points / seconds / 1e6,
        cpu / points * 1e6,
        left.points + left.unconfirmed
    );
}

/// The cost of a server that is unreachable for an hour: 10,000 variables every 10 s.
fn an_hour_away(pushes: u64) {
    let dead = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("a port");
    let sender = Sender::builder().to(dead.to_string()).spawn().expect("a thread");
    let registry = Arc::new(registry(10_000, true));
    let mut renderer = renderer(&registry);
    let mut fullest = 0;
    let cpu = cpu_seconds();
    for push in 0..pushes {
        let mut lines = renderer.render(NOW + push * 10).clone();
        sender.send(&mut lines);
        fullest = fullest.max(sender.stats().queue_bytes);
    }
    let cpu = cpu_seconds() - cpu;
    let stats = sender.stats();
    sender.close(Duration::ZERO);
    println!(
        "a server away for an hour: {pushes} pushes took {cpu:.2} s of CPU, {:.3} % of the hour; \
         the queue held {:.1} MiB at most; {} of {} points were dropped, oldest first",
        cpu / 36.0,
        fullest as f64 / f64::from(1 << 20),
        stats.points_dropped,
        pushes * 10_000,
    );
}
