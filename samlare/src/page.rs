//! samlare's own page: all endpoints, and the variables of one.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use expvar_http::Page as Answer;
use http::Uri;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::client::{Client, Options, Target, trust};
use crate::collector::{Polled, States};
use crate::config::Endpoint;
use crate::document::{self, Number, Points, Rules};
use crate::state::Report;

/// The most endpoints in a response; `from` continues.
const MAX_ENDPOINTS: usize = 200;
/// The most variables in a response.
const MAX_VARIABLES: usize = 5000;
/// The most characters of a name or text in a response.
const MAX_TEXT_CHARS: usize = 200;
/// The most bytes of names and texts in a response.
const MAX_LOOK_BYTES: usize = 2 << 20;
/// The longest time for a document, whatever the endpoint's own timeout. Also ends when the client
/// disconnects.
const MAX_LOOK: Duration = Duration::from_secs(120);
/// The most endpoints being fetched for the page.
const MAX_LOOKS: usize = 4;

const JSON: &str = "application/json; charset=utf-8";

/// The page; clones show the same endpoints.
#[derive(Clone)]
pub struct Page {
    states: Arc<OnceLock<States>>,
    looks: Arc<Semaphore>,
}

impl Default for Page {
    fn default() -> Page {
        Page { states: Arc::default(), looks: Arc::new(Semaphore::new(MAX_LOOKS)) }
    }
}

/// An endpoint in a response.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    report: Report,
    /// Unix time of the last poll's slot; 0 before the first.
    last_poll_secs: u64,
    recent_ms: Vec<Option<f32>>,
}

impl Page {
    /// Sets the endpoints to show.
    pub fn show(&self, states: States) {
        // A process has one collector, which keeps its states over reloads.
        let _ = self.states.set(states);
    }

    /// The response for a URI: the page and its files, and as JSON `endpoints?q=WORDS&from=N`,
    /// `endpoint?url=URL&prefix=PREFIX`, `cluster` and `owner?url=URL`. `None` for anything else.
    pub async fn find(&self, uri: &Uri) -> Option<Answer> {
        let html = "text/html; charset=utf-8";
        let file = |content_type, bytes: &'static [u8]| Some(Answer::new(content_type, bytes));
        match uri.path() {
            "/" => file(html, include_bytes!("../ui/index.html")),
            "/endpoints.css" => file("text/css", include_bytes!("../ui/endpoints.css")),
            "/endpoints.js" => file("text/javascript", include_bytes!("../ui/endpoints.js")),
            "/endpoints" => {
                let mut query = query(uri);
                let words = query.remove("q").unwrap_or_default();
                let from = query.remove("from").and_then(|from| from.parse().ok()).unwrap_or(0);
                Some(Answer::new(JSON, self.endpoints(&words, from).to_string()))
            }
            "/cluster" => Some(Answer::new(JSON, self.cluster().to_string())),
            "/owner" => Some(Answer::new(JSON, self.owner(uri).to_string())),
            "/endpoint" => Some(Answer::new(JSON, self.endpoint(uri).await.to_string())),
            _ => None,
        }
    }

    /// The status of the cluster; `null` without one.
    fn cluster(&self) -> Value {
        let status = self.states.get().and_then(States::cluster);
        json!(status.map(|status| status.report()))
    }

    /// Which members poll the endpoint at a URL, as shown or as configured.
    fn owner(&self, uri: &Uri) -> Value {
        let Some(status) = self.states.get().and_then(States::cluster) else {
            return json!({"error": "there is no [cluster]: this samlare polls everything"});
        };
        let wanted = query(uri).remove("url").unwrap_or_default();
        let polled = self.polled();
        // A member knows the credentials, which are part of the URL, of its own endpoints only.
        let own = polled.iter().find(|polled| polled.state.name() == wanted);
        let own = own.map(|polled| polled.endpoint.target.url().to_owned());
        let url = own.map_or_else(|| Target::parse(&wanted).map(|t| t.url().to_owned()), Ok);
        match url {
            Ok(url) => json!({"owners": status.owners(&url)}),
            Err(error) => json!({"error": error}),
        }
    }

    fn polled(&self) -> Vec<Polled> {
        self.states.get().map(States::polled).unwrap_or_default()
    }

    /// Endpoints whose URL, prefix, state or error contains all words, failing ones first:
    /// [`MAX_ENDPOINTS`] of them, starting at index `from`.
    fn endpoints(&self, words: &str, from: usize) -> Value {
        let words = words.to_lowercase();
        let words: Vec<&str> = words.split_whitespace().collect();
        let polled = self.polled();
        let mut counts = HashMap::from([("up", 0), ("down", 0), ("waiting", 0)]);
        let mut found = Vec::new();
        for (at, polled) in polled.iter().enumerate() {
            let report = polled.state.report();
            *counts.entry(report.state).or_default() += 1;
            let Report { url, prefix, state, last_error, .. } = &report;
            let text = format!("{url} {prefix} {state} {last_error}").to_lowercase();
            if words.iter().all(|word| text.contains(word)) {
                found.push((at, report));
            }
        }
        let matching = found.len();
        let trouble = |report: &Report| match report.state {
            "down" => 0,
            "waiting" => 1,
            _ => 2,
        };
        // The sort is stable, so equal ones stay in order of URLs.
        found.sort_by_key(|(_, report)| trouble(report));
        let row = |(at, report): (usize, Report)| {
            let state = &polled[at].state;
            let short = |ms: f32| (ms * 100.0).round() / 100.0;
            Row {
                report,
                last_poll_secs: state.last_poll_secs(),
                recent_ms: state.recent_ms().into_iter().map(|ms| ms.map(short)).collect(),
            }
        };
        json!({
            "total": polled.len(),
            "states": counts,
            "matching": matching,
            "from": from,
            "endpoints": found.into_iter().skip(from).take(MAX_ENDPOINTS).map(row).collect::<Vec<_>>(),
        })
    }

    /// The current variables of an endpoint; only polled endpoints are fetched.
    async fn endpoint(&self, uri: &Uri) -> Value {
        let query = query(uri);
        let wanted = |key: &str| query.get(key).map(String::as_str).unwrap_or_default();
        let is_wanted = |polled: &&Polled| {
            polled.state.name() == wanted("url") && polled.endpoint.prefix == wanted("prefix")
        };
        let polled = self.polled();
        let Some(polled) = polled.iter().find(is_wanted) else {
            return json!({"error": "this endpoint is not polled (any more)"});
        };
        let Ok(_look) = self.looks.try_acquire() else {
            return json!({"error": "too many endpoints are being looked at; try again"});
        };
        match look(&polled.endpoint).await {
            Ok(variables) => {
                json!({"variables": variables.found, "more": variables.more})
            }
            Err(error) => json!({"error": error}),
        }
    }
}

/// Fetches an endpoint's document once, on a new connection, without sending points.
async fn look(endpoint: &Endpoint) -> Result<Variables, String> {
    let polling = &endpoint.polling;
    let options = Options {
        timeout: polling.timeout.min(MAX_LOOK),
        max_body_bytes: polling.rules.limits.bytes,
        headers: polling.headers.clone(),
        bearer_token_file: polling.bearer_token_file.clone(),
        leaves_host: polling.leaves_host,
        tls: trust(polling.ca_file.as_deref()).map_err(|error| error.to_string())?,
    };
    let mut client = Client::new(endpoint.target.clone(), options);
    let body = client.get().await.map_err(|failure| failure.to_string())?;
    let mut rules = Rules::default();
    rules.booleans = true;
    rules.limits = polling.rules.limits;
    // A large document takes longer than a worker of the page may.
    let read = move || {
        let mut variables = Variables::default();
        let read = document::read(body.bytes(), "", &rules, &mut variables);
        read.map(|_| variables).map_err(|problem| problem.to_string())
    };
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(error.to_string()))
}

/// The variables of a document, up to the limits.
#[derive(Default)]
struct Variables {
    found: Vec<(String, Value)>,
    more: usize,
    bytes: usize,
}

impl Variables {
    fn add(&mut self, path: &str, value: Value) {
        let name = short(path);
        let bytes = name.len() + value.as_str().map_or(0, str::len);
        if self.found.len() == MAX_VARIABLES || self.bytes + bytes > MAX_LOOK_BYTES {
            self.more += 1;
            return;
        }
        self.bytes += bytes;
        self.found.push((name.to_owned(), value));
    }
}

impl Points for Variables {
    fn number(&mut self, path: &str, number: Number<'_>) {
        let integer = number.as_u64().map(Value::from).or(number.as_i64().map(Value::from));
        self.add(path, integer.unwrap_or_else(|| number.as_f64().into()));
    }

    fn text(&mut self, path: &str, text: &str) {
        self.add(path, short(text).into());
    }

    fn restart(&mut self) {
        *self = Variables::default();
    }
}

/// The beginning of a text.
fn short(text: &str) -> &str {
    let end = text.char_indices().nth(MAX_TEXT_CHARS).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

fn query(uri: &Uri) -> HashMap<String, String> {
    let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs.into_owned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_bounded_whatever_the_names_are() {
        let key = "K".repeat(1 << 20);
        let numbers: Vec<String> = (0..20_000).map(|n| format!("\"é{n}\":{n}")).collect();
        let document = format!("{{\"{key}\":{{{}}}}}", numbers.join(","));
        let mut seen = Variables::default();
        document::read(document.as_bytes(), "", &Rules::default(), &mut seen).unwrap();
        assert_eq!(seen.found.len() + seen.more, 20_000);
        assert_eq!(seen.found.len(), MAX_VARIABLES);
        assert!(seen.found.iter().all(|(name, _)| name.chars().count() == MAX_TEXT_CHARS));
        let mut seen = Variables::default();
        for _ in 0..MAX_VARIABLES {
            seen.text(&"東".repeat(300), &"京".repeat(300));
        }
        assert!(seen.bytes <= MAX_LOOK_BYTES && seen.more > 0);
    }

    #[tokio::test]
    async fn what_is_not_polled_is_not_asked() {
        let page = Page::default();
        let uri = Uri::from_static("/endpoint?url=http://192.0.2.1/&prefix=");
        let answer = page.find(&uri).await.unwrap();
        assert_eq!(answer.body, r#"{"error":"this endpoint is not polled (any more)"}"#);
        assert!(page.find(&Uri::from_static("/debug/vars")).await.is_none());
    }
}
