//! Calls to etcd's nodes, starting with the one that answered last.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use expvar_push::{ConfigError, Identity};
use http::HeaderValue;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;

use super::wire;
use crate::client::{Caller, Failure, Reply, Told};
use crate::cluster::settings::{Address, Login};

/// The largest file of a password.
const MAX_PASSWORD_BYTES: u64 = 4 << 10;

/// etcd's nodes and the preferred one.
pub(super) struct Servers {
    nodes: Vec<Address>,
    tls: Option<Identity>,
    login: Option<Login>,
    token: Mutex<Option<HeaderValue>>,
    /// The node to call first; a change moves all callers.
    preferred: watch::Sender<usize>,
    /// The timeout of one call to one node.
    limit: Duration,
    pub(super) requests: AtomicU64,
}

impl Servers {
    pub(super) fn new(
        nodes: Vec<Address>,
        tls: Option<Identity>,
        login: Option<Login>,
        limit: Duration,
    ) -> Servers {
        // Members start with different nodes.
        let (preferred, _) = watch::channel(fastrand::usize(..nodes.len().max(1)));
        let (token, requests) = (Mutex::default(), AtomicU64::new(0));
        Servers { nodes, tls, login, token, preferred, limit, requests }
    }

    pub(super) fn reread(&self) -> Result<(), ConfigError> {
        self.tls.as_ref().map_or(Ok(()), Identity::reload)
    }

    /// Prefers another node than `before`, unless that has already changed.
    fn move_on(&self, before: usize, to: usize) {
        self.preferred.send_if_modified(|at| {
            let moves = *at == before && to != before;
            if moves {
                *at = to;
            }
            moves
        });
    }

    fn token(&self) -> Option<HeaderValue> {
        self.token.lock().clone()
    }

    fn set_token(&self, token: Option<HeaderValue>) {
        *self.token.lock() = token;
    }
}

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// No node answered successfully; the last one's error.
    Away(String),
    /// A node rejected the call; any other would too.
    Refused { code: u64, message: String },
}

impl Trouble {
    pub(super) fn strange(what: &str) -> Trouble {
        Trouble::Away(format!("the answer is not etcd's: {what}"))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Away(why) => f.write_str(why),
            Trouble::Refused { code: wire::DENIED, .. } => {
                f.write_str("etcd does not permit it: give the user a role for samlare's keys")
            }
            Trouble::Refused { message, .. } => write!(f, "etcd refuses: {message}"),
        }
    }
}

/// One user's connections to the nodes.
pub(super) struct Gateway {
    servers: Arc<Servers>,
    callers: Vec<Caller>,
}

impl Gateway {
    pub(super) fn new(servers: Arc<Servers>) -> Gateway {
        let caller =
            |node: &Address| Caller::new(node.host.clone(), node.port, servers.tls.clone());
        let callers = servers.nodes.iter().map(caller).collect();
        Gateway { servers, callers }
    }

    /// Calls the preferred node, then the others in turn.
    pub(super) async fn call(&mut self, path: &str, body: &Value) -> Result<Value, Trouble> {
        let first = *self.servers.preferred.borrow();
        let nodes = self.callers.len();
        let mut last = Trouble::Away("there is no node".to_owned());
        for turn in 0..nodes {
            let at = (first + turn) % nodes;
            match self.ask(at, path, body).await {
                Err(trouble @ Trouble::Away(_)) => last = trouble,
                answer => {
                    self.servers.move_on(first, at);
                    return answer;
                }
            }
        }
        // Watches on a partitioned node must move too.
        self.servers.move_on(first, (first + 1) % nodes.max(1));
        Err(last)
    }

    /// Opens a stream at the preferred node; prefers another one on failure.
    pub(super) async fn listen(&mut self, path: &str, body: &Value) -> Result<Stream, Trouble> {
        let mut moved = self.servers.preferred.subscribe();
        let at = *moved.borrow_and_update();
        let begun = self.begin(at, path, body).await;
        match begun {
            Ok(told) => Ok(Stream { told, at, moved, line: Vec::new() }),
            Err(trouble) => {
                self.leave(at);
                Err(trouble)
            }
        }
    }

    /// Prefers the node after this one.
    fn leave(&self, at: usize) {
        self.servers.move_on(at, (at + 1) % self.callers.len().max(1));
    }

    /// The stream broke: its node may be down.
    pub(super) fn broken(&self, stream: &Stream) {
        self.leave(stream.at);
    }

    async fn begin(&mut self, at: usize, path: &str, body: &Value) -> Result<Told, Trouble> {
        let token = self.authorized(at).await?;
        self.servers.requests.fetch_add(1, Relaxed);
        let body = Bytes::from(body.to_string());
        let told = self.callers[at].listen(path, body, token, self.servers.limit).await;
        told.map_err(|failure| {
            if matches!(failure, Failure::Status(401)) {
                self.servers.set_token(None);
            }
            self.away(at, &failure.to_string())
        })
    }

    /// Calls one node; retries after a login if the token has expired.
    async fn ask(&mut self, at: usize, path: &str, body: &Value) -> Result<Value, Trouble> {
        let token = self.authorized(at).await?;
        let had_token = token.is_some();
        match self.post(at, path, body, token).await {
            Err(Trouble::Refused { code: wire::UNAUTHENTICATED | wire::INVALID, .. })
                if had_token =>
            {
                self.servers.set_token(None);
                let token = self.authorized(at).await?;
                self.post(at, path, body, token).await
            }
            answer => answer,
        }
    }

    /// The token, after a login if necessary.
    async fn authorized(&mut self, at: usize) -> Result<Option<HeaderValue>, Trouble> {
        let Some(login) = self.servers.login.clone() else { return Ok(None) };
        if let Some(token) = self.servers.token() {
            return Ok(Some(token));
        }
        let password = match &login.password_file {
            None => login.password,
            Some(path) => read(path)
                .await
                .map_err(|error| Trouble::Away(format!("cannot read PasswordFile: {error}")))?,
        };
        let body = json!({"name": login.user, "password": password});
        let answer = match self.post(at, "/v3/auth/authenticate", &body, None).await {
            // Authentication is disabled.
            Err(Trouble::Refused { code: wire::PRECONDITION, .. }) => return Ok(None),
            answer => answer?,
        };
        let token = answer["token"].as_str().unwrap_or_default();
        let mut token = HeaderValue::try_from(token)
            .map_err(|_| Trouble::strange("its token does not fit a header"))?;
        token.set_sensitive(true);
        self.servers.set_token(Some(token.clone()));
        Ok(Some(token))
    }

    async fn post(
        &mut self,
        at: usize,
        path: &str,
        body: &Value,
        token: Option<HeaderValue>,
    ) -> Result<Value, Trouble> {
        self.servers.requests.fetch_add(1, Relaxed);
        let body = Bytes::from(body.to_string());
        let reply = self.callers[at].post(path, body, token, self.servers.limit).await;
        let Reply { status, body } = reply.map_err(|f| self.away(at, &f.to_string()))?;
        let answer: Value = serde_json::from_slice(&body).map_err(|_| match status {
            200 => self.away(at, "the answer is not etcd's: it is not JSON"),
            _ => self.away(at, &format!("answered with status {status}")),
        })?;
        // A stream's error is nested.
        let error = if answer["error"].is_object() { &answer["error"] } else { &answer };
        if status == 200 && error["code"].is_null() && error["grpc_code"].is_null() {
            return Ok(answer);
        }
        let code = [&error["code"], &error["grpc_code"]].into_iter().find_map(Value::as_u64);
        let message = error["message"].as_str().or(error["error"].as_str()).unwrap_or_default();
        match code.unwrap_or(0) {
            code @ (wire::INVALID
            | wire::NOT_FOUND
            | wire::DENIED
            | wire::PRECONDITION
            | wire::OUT_OF_RANGE
            | wire::UNAUTHENTICATED) => Err(Trouble::Refused { code, message: message.to_owned() }),
            _ => Err(self.away(at, &format!("answered with status {status}: {message}"))),
        }
    }

    fn away(&self, at: usize, why: &str) -> Trouble {
        Trouble::Away(format!("{}: {why}", self.callers[at].authority()))
    }
}

/// A streamed response, one JSON document on each line.
pub(super) struct Stream {
    told: Told,
    /// Its node.
    at: usize,
    moved: watch::Receiver<usize>,
    line: Vec<u8>,
}

/// The longest document of a stream.
const MAX_LINE_BYTES: usize = 16 << 20;

impl Stream {
    /// The next document.
    pub(super) async fn next(&mut self) -> Result<Value, Trouble> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.line) {
                let line: Vec<u8> = self.line.drain(..=end).collect();
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return serde_json::from_slice(&line)
                    .map_err(|_| Trouble::strange("its stream is not JSON"));
            }
            if self.line.len() > MAX_LINE_BYTES {
                return Err(Trouble::strange("its stream has no end of line"));
            }
            let piece = tokio::select! {
                piece = self.told.next() => piece,
                // Other callers found that the node does not answer.
                _ = self.moved.changed() => {
                    return Err(Trouble::Away("the node does not answer any more".to_owned()));
                }
            };
            match piece {
                Ok(Some(piece)) => self.line.extend_from_slice(&piece),
                Ok(None) => return Err(Trouble::Away("the watch ended".to_owned())),
                Err(failure) => return Err(Trouble::Away(failure.to_string())),
            }
        }
    }
}

async fn read(path: &std::path::Path) -> std::io::Result<String> {
    let mut text = String::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(MAX_PASSWORD_BYTES).read_to_string(&mut text).await?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
