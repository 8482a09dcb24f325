//! Accepts, limits and closes connections.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::{self, MissedTickBehavior};

use crate::connection::{Activity, Watched};
use crate::limits::{Limits, MAX_HEADER_BYTES, MAX_UNSENT_BYTES};
use crate::peer::{self, Peer};
use crate::settings::Settings;
use crate::streams::Streams;
use crate::{Service, stats};

/// How long, and for how many bytes, a closed connection is drained, so that the peer can read the
/// last response before a reset.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_BYTES: u64 = 64 * 1024;

/// Serves on `listener` until `shutdown` completes and the requests in flight are finished.
pub(crate) async fn run<F: Future>(settings: Settings, listener: TcpListener, shutdown: F) {
    let limits = settings.limits;
    let service = Service::with(settings, false);
    let mut connections = Connections::new(service.clone(), limits);
    let mut tick = time::interval(tick_period(&limits));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            _ = &mut shutdown => break,
            stream = listener.accept() => match stream {
                Ok((stream, _)) => connections.open(stream),
                Err(error) => connections.make_room_after(&error).await,
            },
            () = connections.reap(), if !connections.is_empty() => {}
            _ = tick.tick(), if !connections.is_empty() => connections.cut_overdue(),
        }
    }
    drop(listener);
    service.close();
    let mut grace = pin!(time::sleep(limits.shutdown_timeout));
    while !connections.is_empty() {
        tokio::select! {
            () = &mut grace => break,
            () = connections.reap() => {}
            _ = tick.tick() => connections.cut_overdue(),
        }
    }
    connections.cut_all().await;
}

fn tick_period(limits: &Limits) -> Duration {
    let timeouts = [limits.header_timeout, limits.idle_timeout, limits.write_timeout];
    let shortest = timeouts.into_iter().min().unwrap_or_default();
    (shortest / 10).clamp(Duration::from_millis(5), Duration::from_secs(1))
}

/// The open connections.
struct Connections {
    service: Service,
    limits: Limits,
    epoch: Instant,
    tasks: JoinSet<()>,
    open: HashMap<Id, Open>,
    streams: Arc<Streams>,
}

struct Open {
    activity: Arc<Activity>,
    task: AbortHandle,
}

impl Connections {
    fn new(service: Service, limits: Limits) -> Self {
        let (tasks, open) = (JoinSet::new(), HashMap::new());
        let streams = Arc::new(Streams::new(limits.connections));
        Self { service, limits, epoch: Instant::now(), tasks, open, streams }
    }

    fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    fn open(&mut self, stream: TcpStream) {
        stats::ACCEPTED.inc();
        if self.open.len() >= self.limits.connections && !self.evict() {
            stats::REJECTED.inc();
            return;
        }
        let activity = Activity::new(self.epoch);
        let connection = Connection {
            service: self.service.clone(),
            activity: Arc::clone(&activity),
            streams: Arc::clone(&self.streams),
        };
        let task = self.tasks.spawn(connection.serve(stream));
        self.open.insert(task.id(), Open { activity, task });
        stats::CONNECTIONS.inc();
    }

    /// Removes a connection that has ended.
    async fn reap(&mut self) {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(err)) => err.id(),
            None => return,
        };
        self.forget(id);
    }

    fn forget(&mut self, id: Id) {
        if self.open.remove(&id).is_some() {
            stats::CONNECTIONS.dec();
        }
    }

    /// Recovers from a failed accept. Either the peer has already gone, or there is no free file
    /// descriptor: then the least needed connection is closed. No error stops the server.
    async fn make_room_after(&mut self, error: &io::Error) {
        stats::ACCEPT_ERRORS.inc();
        let gone = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset];
        if gone.contains(&error.kind()) {
            return;
        }
        // The descriptor is free only after the connection's task has ended.
        let wait_ms = if self.evict() { 5 } else { 50 };
        time::sleep(Duration::from_millis(wait_ms)).await;
    }

    /// Closes the least needed connection. See [`Spare`](crate::connection::Spare).
    fn evict(&mut self) -> bool {
        let spare = self.open.iter().filter_map(|(&id, open)| Some((open.activity.spare()?, id)));
        let Some((_, id)) = spare.min_by_key(|(spare, _)| *spare) else { return false };
        self.open[&id].task.abort();
        self.forget(id);
        stats::EVICTED.inc();
        true
    }

    fn cut_overdue(&mut self) {
        let overdue = self.open.iter().filter(|(_, open)| open.activity.is_overdue(&self.limits));
        let overdue: Vec<Id> = overdue.map(|(&id, open)| (open.task.abort(), id).1).collect();
        for id in overdue {
            self.forget(id);
            stats::TIMED_OUT.inc();
        }
    }

    async fn cut_all(&mut self) {
        self.tasks.shutdown().await;
        self.open.drain().for_each(|_| stats::CONNECTIONS.dec());
    }
}

struct Connection {
    service: Service,
    activity: Arc<Activity>,
    streams: Arc<Streams>,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        // Responses are written at once; Nagle's algorithm would only delay them.
        let _ = stream.set_nodelay(true);
        limit_unsent(&stream);
        if self.service.has_pages() {
            let (stream, peer) = peer::share(stream);
            self.serve_on(stream, Some(peer)).await;
        } else {
            self.serve_on(stream, None).await;
        }
    }

    /// Serves until `peer`, if any, has gone.
    async fn serve_on<S: AsyncRead + AsyncWrite + Unpin>(self, socket: S, peer: Option<Peer>) {
        let socket = Watched { socket, activity: Arc::clone(&self.activity) };
        let service = service_fn(|request: Request<Incoming>| {
            let in_flight = self.activity.answer();
            let (parts, body) = request.into_parts();
            #[cfg(feature = "pprof")]
            let body = crate::connection::Unread { body, activity: Arc::clone(&self.activity) };
            let (service, streams, activity) = (&self.service, &self.streams, &self.activity);
            let peer = &peer;
            Box::pin(async move {
                let response = tokio::select! {
                    response = service.answer_with(&parts, Some(body)) => response,
                    () = is_gone(peer) => {
                        activity.cut();
                        std::future::pending().await
                    }
                };
                if response.body().is_stream() {
                    streams.open(activity);
                }
                Ok::<_, Infallible>(response.map(|body| body.tracked(in_flight)))
            })
        });
        let mut connection = http1::Builder::new()
            .half_close(true)
            .header_read_timeout(None)
            .max_buf_size(MAX_HEADER_BYTES)
            .title_case_headers(true)
            .serve_connection(TokioIo::new(socket), service);
        let mut closing = pin!(self.service.closing());
        let mut is_closing = false;
        let served = loop {
            tokio::select! {
                served = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break served,
                () = self.activity.is_cut() => return,
                () = &mut closing, if !is_closing => is_closing = true,
            }
            Pin::new(&mut connection).graceful_shutdown();
        };
        if served.is_err_and(|err| err.is_parse()) {
            stats::ERRORS.inc();
        }
        if !is_closing {
            linger(connection.into_parts().io.into_inner().socket).await;
        }
    }
}

/// Limits unsent bytes in the kernel, so that a slowly but steadily reading peer is seen to make
/// progress: with megabytes in the buffer the socket would not be writable for minutes.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn limit_unsent(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(MAX_UNSENT_BYTES);
}

/// Other systems: limit the send buffer itself.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn limit_unsent(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_send_buffer_size(2 * MAX_UNSENT_BYTES as usize);
}

/// Completes when the client has gone, where that can be detected.
async fn is_gone(peer: &Option<Peer>) {
    match peer {
        Some(peer) => peer.gone().await,
        None => std::future::pending().await,
    }
}

async fn linger(mut socket: impl AsyncRead + AsyncWrite + Unpin) {
    if socket.shutdown().await.is_ok() {
        let mut rest = tokio::io::sink();
        let mut unread = socket.take(LINGER_BYTES);
        let _ = time::timeout(LINGER, tokio::io::copy(&mut unread, &mut rest)).await;
    }
}
