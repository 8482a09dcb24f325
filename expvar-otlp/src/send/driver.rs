//! Sends the queue, request by request, and handles each result.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use expvar_push::{Backoff, Batch, Event, random};
use tokio::time::{Instant, sleep};

use crate::send::answer::Verdict;
use crate::send::client::Client;
use crate::send::sender::Sender;

/// How long a connection is kept for the next part of a collection.
const IDLE: Duration = Duration::from_secs(2);

/// The task that sends. [`run`](Self::run) it in a tokio runtime.
///
/// ```
/// # async fn run() -> Result<(), expvar_otlp::ConfigError> {
/// let (sender, driver) = expvar_otlp::Otlp::new("http://collector:4318").sender()?;
/// tokio::spawn(driver.run());
/// sender.shutdown(std::time::Duration::from_secs(5)).await;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is sent until it runs"]
pub struct Driver {
    sender: Sender,
    client: Client,
    /// Whether requests that may have arrived are not resent.
    once: bool,
    backoff: Backoff,
    /// Since when the destination is unreachable, and the points dropped before.
    away: Option<(Instant, u64)>,
    /// Points rejected since it began to reject.
    rejecting: Option<u64>,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let destination = self.sender.destination();
        f.debug_struct("Driver").field("destination", &destination).finish_non_exhaustive()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.sender.driver_ended();
    }
}

/// The result of a request.
enum Outcome {
    Done,
    /// To be retried, after a time if given.
    Again(Option<Duration>),
}

impl Driver {
    pub(crate) fn new(sender: Sender, client: Client, once: bool) -> Self {
        Self { sender, client, once, backoff: Backoff::new(), away: None, rejecting: None }
    }

    /// Sends until the sender is shut down.
    pub async fn run(mut self) {
        let sender = self.sender.clone();
        tokio::select! {
            () = self.drive() => {}
            () = sender.ended() => {}
        }
    }

    async fn drive(&mut self) {
        let mut is_again = false;
        loop {
            let Some(batch) = self.sender.take() else {
                self.idle().await;
                continue;
            };
            if is_again {
                self.sender.counts().retries.inc();
            }
            match self.attempt(&batch).await {
                Outcome::Done => {
                    self.sender.done();
                    is_again = false;
                }
                Outcome::Again(after) => {
                    self.sender.put_back();
                    self.client.close();
                    is_again = true;
                    self.wait(after).await;
                }
            }
        }
    }

    /// Waits for something to send. Keeps the connection for a while, because a collection is
    /// handed over in parts.
    async fn idle(&mut self) {
        let until = Instant::now() + IDLE;
        loop {
            tokio::select! {
                () = self.sender.more() => return,
                () = self.client.closed() => {}
                () = tokio::time::sleep_until(until), if until > Instant::now() => {
                    self.client.close();
                }
            }
        }
    }

    /// Waits before the next attempt: as long as the server said, else with backoff, unless a flush
    /// is waiting.
    async fn wait(&mut self, after: Option<Duration>) {
        if let Some(after) = after {
            // With jitter, because many clients may have got the same time.
            return sleep(after + Backoff::FIRST.mul_f64(random())).await;
        }
        let wait = self.backoff.next(random());
        tokio::select! {
            () = sleep(wait) => {}
            () = self.sender.hurry() => self.backoff.reset(),
        }
    }

    async fn attempt(&mut self, batch: &Batch) -> Outcome {
        let answer = match self.client.post(batch.bytes.clone()).await {
            Ok(answer) => answer,
            Err(failure) if failure.may_have_arrived && self.once => {
                self.sender.counts().unanswered.add(batch.points);
                self.is_away(format!("{}: deltas are not sent twice", failure.error));
                return Outcome::Done;
            }
            Err(failure) => {
                self.is_away(failure.error);
                return Outcome::Again(None);
            }
        };
        let counts = self.sender.counts();
        counts.requests.inc();
        counts.bytes.add(batch.bytes.len() as u64);
        match answer.judge() {
            Verdict::Later { after, problem } => {
                self.is_away(problem);
                Outcome::Again(after)
            }
            Verdict::Taken { rejected, message } => {
                let rejected = rejected.min(batch.points);
                counts.accepted.add(batch.points - rejected);
                self.is_back();
                if rejected > 0 || !message.is_empty() {
                    let problem = format!("{rejected} of {} points: {message}", batch.points);
                    self.is_rejecting(rejected, problem, "see the server's log");
                } else {
                    self.is_taking();
                }
                Outcome::Done
            }
            Verdict::Rejected { problem, remedy } => {
                self.is_back();
                self.is_rejecting(batch.points, problem, remedy);
                Outcome::Done
            }
        }
    }

    fn is_away(&mut self, error: String) {
        let counts = self.sender.counts();
        counts.last_error.set(error.as_str());
        if self.away.is_none() {
            self.away = Some((Instant::now(), counts.dropped.get()));
            let destination = self.sender.destination().to_owned();
            self.sender.tell(&Event::Away { destination, error });
        }
    }

    /// The server answered.
    fn is_back(&mut self) {
        self.backoff.reset();
        if let Some((since, dropped)) = self.away.take() {
            let dropped = self.sender.counts().dropped.get() - dropped;
            let destination = self.sender.destination().to_owned();
            self.sender.tell(&Event::Back { destination, after: since.elapsed(), dropped });
        }
    }

    fn is_rejecting(&mut self, points: u64, problem: String, remedy: &str) {
        let counts = self.sender.counts();
        counts.rejected.add(points);
        counts.last_error.set(format!("{problem}: {remedy}").as_str());
        let is_news = self.rejecting.is_none();
        *self.rejecting.get_or_insert(0) += points;
        if is_news {
            let destination = self.sender.destination().to_owned();
            let remedy = remedy.to_owned();
            self.sender.tell(&Event::Rejecting { destination, problem, remedy });
        }
    }

    /// The server accepted all points.
    fn is_taking(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let counts = self.sender.counts();
        counts.last_success_seconds.set(now.as_secs_f64());
        if let Some(points) = self.rejecting.take() {
            let destination = self.sender.destination().to_owned();
            self.sender.tell(&Event::Rejected { destination, points });
        }
    }
}
