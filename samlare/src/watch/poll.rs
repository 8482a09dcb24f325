//! Polls the services, each at the same times.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::kinds;
use crate::client::{Body, Client, Failure, HeaderName, HeaderValue, Options, Target, trust};

/// The most responses in the channel.
const WAITING: usize = 16;

/// The response of a service.
pub(super) struct Answer {
    /// Its index in the list of services.
    pub(super) service: usize,
    /// When it was requested, in seconds of the watch.
    pub(super) at: f64,
    /// The document, or an error.
    pub(super) document: Result<Body, String>,
    /// The declarations of its variables: once after each start, if it has any.
    pub(super) metrics: Option<Body>,
}

/// Polls every service in a task of its own, until the receiver is dropped.
///
/// # Errors
/// Certificates or credentials are invalid.
pub(super) fn start(
    targets: Vec<Target>,
    interval: Duration,
    ca_file: Option<&Path>,
) -> Result<mpsc::Receiver<Answer>, String> {
    let (sender, answers) = mpsc::channel(WAITING);
    let mut options =
        Options::new().map_err(|error| format!("cannot read the trusted certificates: {error}"))?;
    if let Some(path) = ca_file {
        options.tls = trust(Some(path)).map_err(|error| format!("-ca-file: {error}"))?;
    }
    options.timeout = interval.clamp(Duration::from_secs(1), Duration::from_secs(10));
    let login = login()?;
    let start = Instant::now();
    for (service, target) in targets.into_iter().enumerate() {
        let mut options = options.clone();
        if let Some(login) = login.clone().filter(|_| !has_credentials(target.url())) {
            options.headers.insert(HeaderName::from_static("authorization"), login);
        }
        let metrics = kinds::metrics_of(&target).map(|target| Client::new(target, options.clone()));
        let clients = (Client::new(target, options), metrics);
        tokio::spawn(poll(service, clients, start, interval, sender.clone()));
    }
    Ok(answers)
}

async fn poll(
    service: usize,
    (mut client, mut metrics): (Client, Option<Client>),
    start: Instant,
    interval: Duration,
    answers: mpsc::Sender<Answer>,
) {
    let mut beat = tokio::time::interval_at(start, interval);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut is_asked = false;
    loop {
        beat.tick().await;
        let at = start.elapsed().as_secs_f64();
        let document = client.get().await.map_err(|failure| match failure {
            Failure::Status(404) => format!(
                "answered with status 404: no variables at {}; see -endpoint",
                client.target()
            ),
            Failure::Connect(error) => format!("cannot connect: {}", without_number(&error)),
            failure => failure.to_string(),
        });
        let declared = match (&document, &mut metrics) {
            (Ok(body), Some(metrics)) if !is_asked => {
                is_asked = true;
                if kinds::is_ours(body.bytes()) { metrics.get().await.ok() } else { None }
            }
            // After an outage it may be another program.
            (Err(_), _) => {
                is_asked = false;
                None
            }
            _ => None,
        };
        if answers.send(Answer { service, at, document, metrics: declared }).await.is_err() {
            return;
        }
    }
}

/// The credentials in the environment, for services whose URL has none.
fn login() -> Result<Option<HeaderValue>, String> {
    let var = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(user), Some(password)) = (var("HTTP_USER"), var("HTTP_PASSWORD")) else {
        return Ok(None);
    };
    let mut value =
        HeaderValue::try_from(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            .map_err(|_| "HTTP_USER and HTTP_PASSWORD do not fit a header".to_owned())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn has_credentials(url: &str) -> bool {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest);
    authority.split(['/', '?']).next().is_some_and(|authority| authority.contains('@'))
}

/// `Connection refused` without ` (os error 111)`.
fn without_number(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
