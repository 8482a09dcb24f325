//! A blocking query, repeated.

use std::path::Path;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::entries;
use super::{Consul, Found, News};
use crate::client::{Body, Client, Failure, HeaderName, HeaderValue, Options, Target, trust};

/// The least time between two queries.
const MIN_BETWEEN: Duration = Duration::from_millis(200);
/// The pause after the first failure in a row, and after many.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// Added to the requested wait: Consul adds up to a sixteenth, and the response takes time.
const SLACK: Duration = Duration::from_secs(10);

const MAX_TOKEN_BYTES: u64 = 16 << 10;

/// Queries one service, or the catalog's list of services.
pub(super) struct Query {
    consul: Consul,
    service: Option<String>,
    wait: Duration,
    /// The index of the last response; zero for an immediate response.
    index: u64,
}

impl Query {
    pub(super) fn new(consul: Consul, service: Option<String>, wait: Duration) -> Query {
        Query { consul, service, wait, index: 0 }
    }

    /// Queries forever.
    pub(super) async fn run(mut self, news: mpsc::Sender<News>) {
        let mut retry = FIRST_RETRY;
        loop {
            let asked = Instant::now();
            let result = self.ask().await;
            let failed = result.is_err();
            let result = result.map_err(|error| {
                let what = self.service.as_deref().unwrap_or("catalog");
                format!("{} {what}: {error}", self.consul.address)
            });
            if news.send(News { service: self.service.clone(), result }).await.is_err() {
                return;
            }
            if failed {
                // The next response is immediate, so nothing is missed.
                self.index = 0;
                tokio::time::sleep(retry.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                retry = (retry * 2).min(LAST_RETRY);
            } else {
                retry = FIRST_RETRY;
                tokio::time::sleep_until(asked + MIN_BETWEEN).await;
            }
        }
    }

    async fn ask(&mut self) -> Result<Found, String> {
        let target = Target::parse(&self.url())?;
        let mut options = Options {
            timeout: self.wait + self.wait / 16 + SLACK,
            max_body_bytes: 16 << 20,
            headers: Default::default(),
            bearer_token_file: None,
            leaves_host: true,
            tls: trust(self.consul.ca_file.as_deref())
                .map_err(|error| format!("cannot read CaFile: {error}"))?,
        };
        if let Some(token) = self.token().await? {
            options.headers.insert(HeaderName::from_static("x-consul-token"), token);
        }
        let body = Client::new(target, options).get().await.map_err(|failure| match failure {
            Failure::Status(403) => "answered with status 403: the token may not read it".into(),
            failure => failure.to_string(),
        })?;
        let found = match self.service {
            Some(_) => Found::Instances(entries::instances(&self.consul, body.bytes())?),
            None => Found::Services(entries::services(&self.consul, body.bytes())?),
        };
        self.index = next_index(self.index, &body)?;
        Ok(found)
    }

    fn url(&self) -> String {
        let mut url = match &self.service {
            Some(name) => {
                let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
                format!("{}/v1/health/service/{name}?", self.consul.address)
            }
            None => format!("{}/v1/catalog/services?", self.consul.address),
        };
        if self.service.is_some() && self.consul.passing {
            url.push_str("passing=1&");
        }
        if let Some(datacenter) = &self.consul.datacenter {
            url.push_str(&format!("dc={}&", utf8_percent_encode(datacenter, NON_ALPHANUMERIC)));
        }
        url.push_str(&format!("index={}&wait={}ms", self.index, self.wait.as_millis()));
        url
    }

    async fn token(&self) -> Result<Option<HeaderValue>, String> {
        let token = match (&self.consul.token, &self.consul.token_file) {
            (Some(token), _) => token.clone(),
            (None, Some(path)) => {
                read(path).await.map_err(|error| format!("cannot read TokenFile: {error}"))?
            }
            (None, None) => std::env::var("CONSUL_HTTP_TOKEN").unwrap_or_default(),
        };
        if token.is_empty() {
            return Ok(None);
        }
        let mut value = HeaderValue::try_from(token)
            .map_err(|_| "the token does not fit a header".to_owned())?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// The index of the next query, by Consul's rules: restarts if it goes back, and is never zero
/// after a response.
fn next_index(before: u64, body: &Body) -> Result<u64, String> {
    let index = body.header("x-consul-index");
    let index: u64 = index
        .and_then(|text| text.parse().ok())
        .ok_or("the answer has no X-Consul-Index: is this Consul?")?;
    Ok(if index < before { 0 } else { index.max(1) })
}

async fn read(path: &Path) -> std::io::Result<String> {
    use tokio::io::AsyncReadExt;
    let mut token = String::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(MAX_TOKEN_BYTES).read_to_string(&mut token).await?;
    Ok(token.trim().to_owned())
}
