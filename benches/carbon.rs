//! Pushing 100,000 variables to Graphite: `cargo bench --bench carbon`.
//!
//! A server that reads and throws away stands on loopback, and the floor is writing the same
//! bytes, rendered before, to it. g2g's way is a write for each variable.

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
    format!("http.route{:03}.code{:02}.requests{at}", at % 1_000, at % 60)
}

/// Half counters, a quarter gauges, a quarter floats.
fn registry(variables: usize) -> Registry {
    let registry = Registry::new();
    for at in 0..variables {
        let free = "a free name";
        match at % 4 {
            0 => registry.publish(&name(at), Gauge::new()).expect(free).set(at as i64 - 5_000),
            1 => registry.publish(&name(at), FloatGauge::new()).expect(free).set(at as f64 / 7.0),
            _ => registry.publish(&name(at), Counter::new()).expect(free).add(at as u64 * 1_234),
        }
    }
    registry
}

fn renderer(registry: &Registry) -> Renderer {
    let carbon = Carbon::new("unused:2003").registry(registry).prefix("apps.bench");
    carbon.renderer().expect("good settings")
}

/// Reads every connection and throws it away.
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
    let registry = registry(VARIABLES);
    let renderer = Mutex::new(renderer(&registry));
    let rendered = renderer.lock().expect("whole").render(NOW).as_bytes().to_vec();
    println!("{VARIABLES} variables, {} bytes a push\n", rendered.len());
    let address = drain();
    let connect = || {
        let stream = TcpStream::connect(&address).expect("the drain");
        stream.set_nodelay(true).expect("an option");
        Mutex::new(stream)
    };
    let (floor, whole, single) = (connect(), connect(), connect());
    let values: Vec<(String, u64)> =
        (0..VARIABLES).map(|at| (format!("apps.bench.{}", name(at)), at as u64 * 1_234)).collect();
    let scope = dipstick::Graphite::send_to(address.clone()).expect("the drain").metrics();
    let metrics: Vec<_> =
        values.iter().map(|(name, value)| (scope.gauge(name), *value as i64)).collect();
    let metrics = Mutex::new((scope, metrics));

    let mut race = Race::new("carbon", &[1]);
    race.peer("expvar renders", |_| {
        black_box(renderer.lock().expect("whole").render(NOW).points());
    });
    race.peer("expvar renders and writes", |_| {
        let (mut renderer, mut stream) =
            (renderer.lock().expect("whole"), whole.lock().expect("whole"));
        black_box(renderer.render_to(NOW, &mut *stream).expect("the drain"));
    });
    race.peer("writing what was rendered before", |_| {
        floor.lock().expect("whole").write_all(&rendered).expect("the drain");
    });
    race.peer("g2g's way, a write for each", |_| {
        let mut stream = single.lock().expect("whole");
        for (name, value) in &values {
            writeln!(OneWrite(&mut stream), "{name} {value} {NOW}").expect("the drain");
        }
    });
    race.peer("dipstick's Graphite output", |_| {
        let metrics = metrics.lock().expect("whole");
        for (gauge, value) in &metrics.1 {
            gauge.value(*value);
        }
        metrics.0.flush().expect("the drain");
    });
    let (render, whole) = ("expvar renders", "expvar renders and writes");
    race.run().print_ratios(&[
        ((whole, 1), ("writing what was rendered before", 1), 2.0),
        ((render, 1), ("writing what was rendered before", 1), 2.0),
        ((whole, 1), ("g2g's way, a write for each", 1), 0.05),
        ((whole, 1), ("dipstick's Graphite output", 1), 0.333),
    ]);
}

/// Formats a line first and writes it at once, as Go's `Fprintf` to a connection does.
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

/// What lines cost between [`Sender::send`] and the socket.
fn through_the_sender(pushes: usize) {
    let sender = Sender::builder().to(drain()).queue_bytes(64 << 20).spawn().expect("a thread");
    let registry = registry(VARIABLES);
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

/// What a server that is away for an hour costs its host: 10,000 variables every 10 s.
fn an_hour_away(pushes: u64) {
    let dead = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("a port");
    let sender = Sender::builder().to(dead.to_string()).spawn().expect("a thread");
    let registry = Arc::new(registry(10_000));
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
