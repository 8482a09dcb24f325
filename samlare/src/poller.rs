//! Polls an endpoint, slot after slot.

use std::cell::RefCell;
use std::sync::Arc;

use expvar_carbon::{Conflicts, Lines, Mark, Path, Refusal};
use tokio::sync::Semaphore;
use tokio::time::{Duration, Instant, sleep};

use crate::client::{Body, Client, Failure, Options, trust};
use crate::cluster::{Doubt, Duty};
use crate::config::Endpoint;
use crate::counts::Counts;
use crate::document::{self, Number, Points};
use crate::log::Log;
use crate::output::Output;
use crate::schedule::{Clock, Schedule};
use crate::state::{FlawKind, Outcome, State, Taken};

/// State shared by all pollers.
pub struct Common {
    /// The output of lines.
    pub output: Output,
    /// The OTLP output.
    pub otlp: crate::otlp::Collector,
    /// Totals over all polls.
    pub counts: Counts,
    /// The clock.
    pub clock: Clock,
    /// Failures held back in a cluster.
    pub(crate) doubt: Doubt,
    /// One permit for each large document read at the same time.
    readers: Arc<Semaphore>,
}

impl Common {
    /// Shared from now on.
    pub fn new(output: Output, counts: Counts, clock: Clock) -> Common {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let readers = Arc::new(Semaphore::new(cores));
        let otlp = crate::otlp::Collector::default();
        Common { output, otlp, counts, clock, doubt: Doubt::default(), readers }
    }
}

/// Polls one endpoint and sends its points.
pub struct Poller {
    endpoint: Arc<Endpoint>,
    client: Client,
    state: Arc<State>,
}

impl Poller {
    /// Creates a poller that has not connected yet.
    ///
    /// # Errors
    /// Errors of [`trust`].
    pub fn new(endpoint: Endpoint, state: Arc<State>) -> std::io::Result<Poller> {
        let polling = &endpoint.polling;
        let options = Options {
            timeout: polling.timeout,
            max_body_bytes: polling.rules.limits.bytes,
            headers: polling.headers.clone(),
            bearer_token_file: polling.bearer_token_file.clone(),
            leaves_host: polling.leaves_host,
            tls: trust(polling.ca_file.as_deref())?,
        };
        let client = Client::new(endpoint.target.clone(), options);
        Ok(Poller { endpoint: Arc::new(endpoint), client, state })
    }

    /// Polls each slot once, according to its duty.
    pub async fn run(mut self, common: Arc<Common>, log: Log, duty: Arc<Duty>) {
        let schedule = schedule(&self.endpoint);
        let mut last = None;
        // Slots skipped and counted since the last poll.
        let mut missed_so_far = 0;
        while let Some(turn) = duty.next(&schedule, last, common.clock.now_ms()) {
            self.skip(turn.missed.saturating_sub(missed_so_far), &common);
            missed_so_far = turn.missed;
            let wait = Duration::from_millis(turn.wait_ms);
            self.client.rest(wait);
            tokio::select! {
                () = sleep(wait) => {}
                () = duty.changed() => continue,
            }
            missed_so_far = 0;
            let Some((slot, missed)) = schedule.woken(turn.slot, common.clock.now_ms()) else {
                last = None;
                continue;
            };
            self.skip(missed, &common);
            last = Some(slot);
            duty.begun();
            self.poll(slot / 1000, &common, &log).await;
        }
    }

    fn skip(&self, slots: u64, common: &Common) {
        self.state.skipped(slots);
        common.counts.skipped.add(slots);
    }

    async fn poll(&mut self, secs: u64, common: &Arc<Common>, log: &Log) {
        let began = Instant::now();
        let answer = self.client.get().await;
        let result = match answer {
            Ok(body) if body.bytes().len() > INLINE_BYTES => {
                self.read_aside(body, secs, common.clone()).await
            }
            answer => read_and_send(&self.endpoint, answer, secs, common),
        };
        if common.doubt.is_on() {
            common.doubt.polled(&self.endpoint, secs, began, result.is_ok());
        }
        let elapsed = began.elapsed();
        common.counts.polled(elapsed, &result);
        let outcome = Outcome { secs, ms: elapsed.as_secs_f64() * 1e3, result };
        for news in self.state.polled(outcome) {
            news.tell(log, self.state.name());
        }
    }

    /// Reads a large document on a thread that may block.
    async fn read_aside(
        &self,
        body: Body,
        secs: u64,
        common: Arc<Common>,
    ) -> Result<Taken, String> {
        let reader = common.readers.clone().acquire_owned().await;
        let endpoint = self.endpoint.clone();
        let read = move || {
            let _reader = reader;
            read_and_send(&endpoint, Ok(body), secs, &common)
        };
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// Fetches the current document, to look at it.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn fetch(&mut self) -> Result<Body, Failure> {
        self.client.get().await
    }

    /// Polls once, now, into `lines`.
    ///
    /// # Errors
    /// Why there are no points; the failure metric is in `lines` anyway.
    pub async fn once(&mut self, secs: u64, lines: &mut Lines) -> Result<Taken, String> {
        let answer = self.client.get().await;
        read(&self.endpoint, answer, secs, lines, &mut Conflicts::default(), true)
    }
}

/// When an endpoint is polled.
pub(crate) fn schedule(endpoint: &Endpoint) -> Schedule {
    Schedule::new(endpoint.polling.interval, endpoint.target.url())
}

/// Sends the metrics of failures that are known to be true.
pub(crate) fn tell_failures<'a>(
    failures: impl IntoIterator<Item = (&'a Endpoint, u64)>,
    output: &Output,
) {
    let mut lines = Lines::new();
    for (endpoint, secs) in failures {
        put_failure(endpoint, true, secs, &mut lines);
    }
    output.send(&mut lines);
}

/// A failure, with its remedy if a setting is one.
fn remedied(failure: &Failure) -> String {
    let remedy = match failure {
        Failure::TooLarge(_) => ": raise MaxBodyBytes",
        Failure::Crowded => ": raise CheckInterval, or share the endpoints among several samlare",
        _ => "",
    };
    format!("{failure}{remedy}")
}

/// Adds the endpoint's failure metric, if it has one.
fn put_failure(endpoint: &Endpoint, has_failed: bool, secs: u64, lines: &mut Lines) {
    if let Some(name) = &endpoint.failure_metric {
        lines.put(&endpoint.polling.name(name), has_failed, secs);
    }
}

/// Documents up to this size are read by the worker that received them: that takes less than a
/// millisecond. Larger ones would keep it from other endpoints.
const INLINE_BYTES: usize = 64 << 10;

/// Renders an answer into this thread's buffer and hands it on.
fn read_and_send(
    endpoint: &Endpoint,
    answer: Result<Body, Failure>,
    secs: u64,
    common: &Common,
) -> Result<Taken, String> {
    // An uncertain failure is reported later, if at all.
    let accuses = !common.doubt.is_on();
    common.otlp.take(endpoint, answer.as_ref().ok().map(Body::bytes), secs, accuses);
    SCRATCH.with_borrow_mut(|(lines, conflicts)| {
        let result = read(endpoint, answer, secs, lines, conflicts, accuses);
        common.output.send(lines);
        result
    })
}

/// The problem of a document, with the usual reason if it is a web page.
fn described(problem: &document::Problem, body: &[u8]) -> String {
    let is_page = body.trim_ascii_start().first() == Some(&b'<');
    let why = if is_page {
        ": it is a web page, perhaps a login: check URL, Headers and BearerTokenFile"
    } else {
        ""
    };
    format!("{problem}{why}")
}

/// Renders an answer; returns what it brought. `accuses` tells of a failure at once.
fn read(
    endpoint: &Endpoint,
    answer: Result<Body, Failure>,
    secs: u64,
    lines: &mut Lines,
    conflicts: &mut Conflicts,
    accuses: bool,
) -> Result<Taken, String> {
    let result = answer.map_err(|failure| remedied(&failure)).and_then(|body| {
        let path = endpoint.polling.name(&endpoint.prefix);
        conflicts.begin();
        let prefix = path.as_str().len();
        let mut points = Rendered {
            lines,
            secs,
            path,
            prefix,
            above: Vec::new(),
            conflicts,
            limit: endpoint.polling.rules.limits.bytes,
            is_too_large: false,
            taken: Taken { bytes: body.bytes().len(), ..Taken::default() },
        };
        let rules = &endpoint.polling.rules;
        document::read(body.bytes(), &endpoint.prefix, rules, &mut points)
            .map_err(|problem| described(&problem, body.bytes()))?;
        let (taken, is_too_large) = (points.taken, points.is_too_large);
        conflicts.end();
        if is_too_large {
            let limit = rules.limits.bytes;
            return Err(format!(
                "its points have more than {limit} bytes: ignore keys, or raise MaxBodyBytes"
            ));
        }
        Ok(Taken { points: lines.points(), ..taken })
    });
    if result.is_err() {
        lines.clear();
    }
    if result.is_ok() || accuses {
        put_failure(endpoint, result.is_err(), secs, lines);
    }
    result
}

thread_local! {
    /// Reading and sending never wait, so that all endpoints of a thread can share one buffer;
    /// and what they name is mostly the same, so that they share the search for conflicts too.
    static SCRATCH: RefCell<(Lines, Conflicts)> = RefCell::default();
}

/// Points on their way into lines; each key is made safe once for all that lies under it.
struct Rendered<'a> {
    lines: &'a mut Lines,
    secs: u64,
    path: Path,
    /// Where the endpoint's prefix ends in the path.
    prefix: usize,
    above: Vec<Mark>,
    conflicts: &'a mut Conflicts,
    /// The most bytes of the lines: a few long keys above many numbers make far more of them than
    /// the document has.
    limit: usize,
    is_too_large: bool,
    taken: Taken,
}

impl Points for Rendered<'_> {
    const PATHS: bool = false;

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
        let value = if let Some(value) = number.as_u64() {
            expvar_carbon::Number::Unsigned(value)
        } else if let Some(value) = number.as_i64() {
            expvar_carbon::Number::Signed(value)
        } else {
            expvar_carbon::Number::Float(number.as_f64())
        };
        let name = &self.path.as_str()[self.prefix..];
        let is_finite = !matches!(value, expvar_carbon::Number::Float(float) if !float.is_finite());
        let problem = self.path.problem().or((!is_finite).then_some(Refusal::Infinite));
        if problem.is_none() && self.conflicts.is_conflict(name) {
            self.taken.note(FlawKind::Conflict, self.path.as_str());
        }
        if let Some(reason) = problem {
            self.taken.note(FlawKind::Refused(reason), self.path.as_str());
        }
        if self.lines.len() > self.limit {
            self.is_too_large = true;
            return;
        }
        self.lines.put(&self.path, value, self.secs);
    }

    fn restart(&mut self) {
        self.lines.clear();
        self.is_too_large = false;
        self.conflicts.begin();
        self.taken.flaws.clear();
    }
}
