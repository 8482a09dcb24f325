//! Polls one endpoint, slot after slot.

use std::cell::RefCell;
use std::sync::Arc;

use expvar_carbon::{Clashes, Lines, Mark, Path};
use tokio::time::{Duration, Instant, sleep};

use crate::client::{Body, Client, Failure, Options, trust};
use crate::config::Endpoint;
use crate::counts::Counts;
use crate::document::{self, Number, Points};
use crate::log::{Level, Log};
use crate::output::Output;
use crate::schedule::{Clock, Schedule};
use crate::state::{News, Outcome, State, Taken};

/// What all pollers share.
pub struct Common {
    /// Where the points go.
    pub output: Output,
    /// What all polls together amount to.
    pub counts: Counts,
    /// What time it is.
    pub clock: Clock,
}

/// Asks one endpoint and hands its points on.
pub struct Poller {
    endpoint: Endpoint,
    client: Client,
    state: Arc<State>,
}

impl Poller {
    /// A poller that has not connected yet.
    ///
    /// # Errors
    /// Those of [`trust`].
    pub fn new(endpoint: Endpoint, state: Arc<State>) -> std::io::Result<Poller> {
        let polling = &endpoint.polling;
        let options = Options {
            timeout: polling.timeout,
            max_body_bytes: polling.rules.limits.bytes,
            headers: polling.headers.clone(),
            bearer_token_file: polling.bearer_token_file.clone(),
            tls: trust(polling.ca_file.as_deref())?,
        };
        let client = Client::new(endpoint.target.clone(), options);
        Ok(Poller { endpoint, client, state })
    }

    /// Polls for ever, each slot once.
    pub async fn run(mut self, common: Arc<Common>, log: Log) {
        let schedule = Schedule::new(self.endpoint.polling.interval, self.endpoint.target.url());
        let mut last = None;
        loop {
            let now = common.clock.now_ms();
            let (slot, missed) = schedule.next(last, now);
            self.skip(missed, &common);
            sleep(Duration::from_millis(slot.saturating_sub(now))).await;
            let Some((slot, missed)) = schedule.woken(slot, common.clock.now_ms()) else {
                last = None;
                continue;
            };
            self.skip(missed, &common);
            last = Some(slot);
            self.poll(slot / 1000, &common, &log).await;
        }
    }

    fn skip(&self, slots: u64, common: &Common) {
        self.state.skipped(slots);
        common.counts.skipped.add(slots);
    }

    async fn poll(&mut self, secs: u64, common: &Common, log: &Log) {
        let began = Instant::now();
        let answer = self.client.get().await;
        SCRATCH.with_borrow_mut(|(lines, clashes)| {
            let result = self.read(answer, secs, lines, clashes);
            let elapsed = began.elapsed();
            common.counts.polled(elapsed, &result);
            common.output.send(lines);
            let error = result.as_ref().err().cloned();
            let outcome = Outcome { secs, ms: elapsed.as_secs_f64() * 1e3, result };
            if let Some((news, suppressed)) = self.state.polled(outcome) {
                self.tell(log, news, suppressed, error.as_deref().unwrap_or_default());
            }
        });
    }

    /// Polls once, now, into `lines`.
    ///
    /// # Errors
    /// Why there are no points; the failure metric is there all the same.
    pub async fn once(&mut self, secs: u64, lines: &mut Lines) -> Result<Taken, String> {
        let answer = self.client.get().await;
        self.read(answer, secs, lines, &mut Clashes::default())
    }

    /// Renders an answer; returns what it brought.
    fn read(
        &self,
        answer: Result<Body, Failure>,
        secs: u64,
        lines: &mut Lines,
        clashes: &mut Clashes,
    ) -> Result<Taken, String> {
        let endpoint = &self.endpoint;
        let result = answer.map_err(|failure| failure.to_string()).and_then(|body| {
            let mut path = endpoint.polling.name();
            path.push(&endpoint.prefix);
            clashes.begin();
            let prefix = path.as_str().len();
            let mut points = Rendered {
                lines,
                secs,
                path,
                prefix,
                above: Vec::new(),
                clashes,
                clashing: 0,
                clash: None,
            };
            let rules = &endpoint.polling.rules;
            document::read(body.bytes(), &endpoint.prefix, rules, &mut points)
                .map_err(|problem| problem.to_string())?;
            let (clashing, clash) = (points.clashing, points.clash);
            clashes.end();
            Ok(Taken { bytes: body.bytes().len(), points: lines.points(), clashing, clash })
        });
        if result.is_err() {
            lines.clear();
        }
        if let Some(name) = &endpoint.failure_metric {
            let mut path = endpoint.polling.name();
            path.push(name);
            lines.put(&path, result.is_err(), secs);
        }
        result
    }

    fn tell(&self, log: &Log, news: News, suppressed: u64, error: &str) {
        let endpoint = self.state.name();
        let mut fields: Vec<(&str, &dyn std::fmt::Display)> = vec![("endpoint", &endpoint)];
        let (level, message) = match &news {
            News::Up => (Level::Info, "good fetch"),
            News::Recovered(failures) => {
                fields.push(("failures", failures));
                (Level::Info, "good fetch again")
            }
            News::Failed => {
                fields.push(("error", &error));
                (Level::Warn, "fetch failed")
            }
        };
        if suppressed > 0 {
            fields.push(("suppressed", &suppressed));
        }
        log.event(level, message, &fields);
    }
}

thread_local! {
    /// Reading and sending never wait, so that all endpoints of a thread can share one buffer;
    /// and what they name is mostly the same, so that they share the search for clashes too.
    static SCRATCH: RefCell<(Lines, Clashes)> = RefCell::default();
}

/// Points on their way into lines; each key is made safe once for all that lies under it.
struct Rendered<'a> {
    lines: &'a mut Lines,
    secs: u64,
    path: Path,
    /// Where the endpoint's prefix ends in the path.
    prefix: usize,
    above: Vec<Mark>,
    clashes: &'a mut Clashes,
    /// How many names of the document were there before; Carbon keeps the last point of each,
    /// as it does of the original's.
    clashing: u64,
    clash: Option<String>,
}

impl Points for Rendered<'_> {
    fn enter(&mut self, key: &str) {
        self.above.push(self.path.mark());
        self.path.push(key);
    }

    fn leave(&mut self) {
        if let Some(mark) = self.above.pop() {
            self.path.truncate(mark);
        }
    }

    fn number(&mut self, _path: &str, number: Number<'_>) {
        let value = match (number.as_u64(), number.as_i64()) {
            (Some(value), _) => value.into(),
            (None, Some(value)) => value.into(),
            (None, None) => expvar_carbon::Number::from(number.as_f64()),
        };
        let name = &self.path.as_str()[self.prefix..];
        if self.path.problem().is_none() && self.clashes.is_clash(name) {
            self.clashing += 1;
            self.clash.get_or_insert_with(|| self.path.as_str().to_owned());
        }
        self.lines.put(&self.path, value, self.secs);
    }

    fn restart(&mut self) {
        self.lines.clear();
        self.clashes.begin();
        (self.clashing, self.clash) = (0, None);
    }
}
