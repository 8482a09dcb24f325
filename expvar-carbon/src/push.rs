//! The task behind [`Carbon`](crate::Carbon): reads at boundaries, hands over with jitter and pace.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use expvar::{Counter, FloatGauge, Registry, Text};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use crate::render::reading::Reader;
use crate::schedule::{Due, Moment, Schedule};
use crate::send::driver::Driver;
use crate::send::left::Left;
use crate::send::sender::{Sender, cut};

/// What is handed over at once; more is spread over a quarter of the interval.
const PART_BYTES: usize = 64 << 10;

pub(crate) struct Settings {
    pub(crate) interval: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) registry: Registry,
}

/// What a handle asks for.
pub(crate) enum Order {
    /// Send what waits.
    Flush(Duration, Reply),
    /// Take a last reading, send what waits, end.
    Close(Duration, Reply),
}

pub(crate) type Reply = Box<dyn FnOnce(Left) + Send>;

/// The task that pushes: [`run`](Push::run) it in a tokio runtime.
#[must_use = "nothing is sent until it runs"]
pub struct Push {
    settings: Settings,
    reader: Reader,
    sender: Sender,
    driver: Driver,
    orders: mpsc::Receiver<Order>,
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
    /// The share of a tenth of the interval by which this process sends later than others.
    jitter: f64,
    shown: Shown,
}

/// What is shown beside the sender's own counts.
#[derive(Default)]
struct Shown {
    readings: Arc<Counter>,
    readings_late: Arc<Counter>,
    readings_skipped: Arc<Counter>,
    late_seconds: Arc<FloatGauge>,
    last_reading_seconds: Arc<FloatGauge>,
    last_clash: Arc<Text>,
}

impl Push {
    pub(crate) fn new(
        settings: Settings,
        reader: Reader,
        sender: Sender,
        driver: Driver,
    ) -> (mpsc::Sender<Order>, Self) {
        let (orders, received) = mpsc::channel(16);
        let push = Self {
            settings,
            reader,
            sender,
            driver,
            orders: received,
            clock: Box::new(wall_clock),
            jitter: fastrand::f64(),
            shown: Shown::default(),
        };
        (orders, push)
    }

    /// Pushes until `shutdown` resolves or the handle is closed or dropped; then takes a last
    /// reading, sends what waits within the deadline and returns what is left.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Left {
        let Self { settings, reader, sender, driver, orders, clock, jitter, shown } = self;
        let name = shown.publish(&settings.registry, &sender);
        let schedule = Schedule::new(settings.interval.as_secs(), clock());
        let registry = settings.registry.clone();
        let mut pusher =
            Pusher { settings, reader, sender, orders, clock, jitter, shown, schedule };
        // The driver ends when the pusher has shut the sender down.
        let (left, _) = tokio::join!(pusher.run(shutdown), driver.run(std::future::pending()));
        if let Some(name) = name {
            registry.remove(&name);
        }
        left
    }
}

struct Pusher {
    settings: Settings,
    reader: Reader,
    sender: Sender,
    orders: mpsc::Receiver<Order>,
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
    jitter: f64,
    shown: Shown,
    schedule: Schedule,
}

impl Pusher {
    async fn run(&mut self, shutdown: impl Future<Output = ()>) -> Left {
        tokio::pin!(shutdown);
        // How much of the lines is handed over, and when the next part goes.
        let (mut handed, mut next_part) = (0, None);
        loop {
            if let Some(at) = next_part
                && at <= Instant::now()
            {
                handed = self.hand_over(handed, PART_BYTES);
                next_part = (handed > 0).then(|| Instant::now() + self.part_pause());
            }
            let wait = match self.schedule.poll((self.clock)()) {
                Due::Wait(wait) => wait,
                Due::Read(moment) => {
                    // What is left of the push before goes first: it is older.
                    self.hand_over(handed, usize::MAX);
                    self.read(moment);
                    handed = 0;
                    let jitter = self.settings.interval.mul_f64(self.jitter / 10.0);
                    next_part = Some(Instant::now() + jitter);
                    continue;
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = sleep_until(next_part.unwrap_or_else(Instant::now)), if next_part.is_some() => {}
                () = &mut shutdown => {
                    return self.finish(handed, self.settings.shutdown_timeout).await;
                }
                order = self.orders.recv() => {
                    match order {
                        Some(Order::Flush(within, reply)) => {
                            self.hand_over(handed, usize::MAX);
                            (handed, next_part) = (0, None);
                            self.sender.flush_then(within, reply);
                        }
                        Some(Order::Close(within, reply)) => {
                            let left = self.finish(handed, within).await;
                            reply(left);
                            return left;
                        }
                        None => return self.finish(handed, self.settings.shutdown_timeout).await,
                    }
                }
            }
        }
    }

    fn read(&mut self, moment: Moment) {
        let began = Instant::now();
        self.shown.late_seconds.set(moment.late.as_secs_f64());
        self.shown.readings.inc();
        self.shown.readings_skipped.add(moment.skipped);
        if moment.is_late(self.settings.interval) {
            self.shown.readings_late.inc();
        }
        self.reader.read(&self.settings.registry, moment, self.settings.interval.as_secs());
        self.sender.absorb(self.reader.lines());
        if let Some(name) = self.reader.take_clash() {
            self.shown.last_clash.set(name);
        }
        self.shown.last_reading_seconds.set(began.elapsed().as_secs_f64());
    }

    /// Hands over about `most` bytes of the lines from `handed` on. Returns up to where they are
    /// handed over, 0 when they all are.
    fn hand_over(&mut self, handed: usize, most: usize) -> usize {
        let lines = self.reader.lines();
        let Some(rest) = lines.as_bytes().get(handed..).filter(|rest| !rest.is_empty()) else {
            lines.clear();
            return 0;
        };
        if handed == 0 {
            self.sender.push_began();
        }
        let (part, rest) = rest.split_at(cut(rest, most));
        self.sender.send_part(part, memchr::memchr_iter(b'\n', part).count() as u64);
        if rest.is_empty() {
            lines.clear();
            return 0;
        }
        handed + part.len()
    }

    /// The pause after a part: all of them together take a quarter of the interval.
    fn part_pause(&mut self) -> Duration {
        let parts = self.reader.lines().len() / PART_BYTES + 1;
        (self.settings.interval / 4).div_f64(parts as f64)
    }

    async fn finish(&mut self, handed: usize, within: Duration) -> Left {
        self.hand_over(handed, usize::MAX);
        let moment = self.schedule.finish((self.clock)());
        self.read(moment);
        self.hand_over(0, usize::MAX);
        self.sender.shutdown(within).await
    }
}

impl Shown {
    /// Publishes everything; returns under which name.
    fn publish(&self, registry: &Registry, sender: &Sender) -> Option<String> {
        let map = sender.variables();
        map.set("readings", self.readings.clone());
        map.set("readings_late", self.readings_late.clone());
        map.set("readings_skipped", self.readings_skipped.clone());
        map.set("late_seconds", self.late_seconds.clone());
        map.set("last_reading_seconds", self.last_reading_seconds.clone());
        map.set("last_clash", self.last_clash.clone());
        let map = Arc::new(map);
        let names = (2..100).map(|n| format!("expvar.carbon.{n}"));
        let mut names = std::iter::once("expvar.carbon".to_owned()).chain(names);
        names.find(|name| registry.publish(name, map.clone()).is_ok())
    }
}

fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests;
