//! The state of a connection, and its deadlines.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::limits::Limits;

/// A peer that reads nothing for this long may be evicted for a newer connection.
const STALLED: Duration = Duration::from_secs(1);

/// The phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Between requests, or before the first.
    Idle,
    /// Part of a request's head has arrived.
    Reading,
    /// A request is being answered.
    Answering,
    /// A live page is streaming.
    Streaming,
    /// The response is complete and being sent.
    Flushing,
}

/// A connection's state, written by the task that serves it and read by the one that accepts.
///
/// Times are in microseconds since the server started. Each field is an independent hint for
/// deadlines of seconds, so all orderings are relaxed.
#[derive(Debug)]
pub(crate) struct Activity {
    epoch: Instant,
    phase: AtomicU8,
    since_us: AtomicU64,
    /// A response was sent on this connection.
    served: AtomicBool,
    /// When the peer stopped reading, plus one; 0 while it reads.
    blocked_us: AtomicU64,
    cut: Notify,
}

/// The eviction order: the first of these first, and of equals the one in that state for longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Spare {
    /// It has sent no complete request.
    Unasked,
    /// Idle between two requests.
    Idle,
    /// A live page; its client reconnects.
    Page,
    /// The peer reads nothing.
    Stalled,
}

impl Activity {
    pub(crate) fn new(epoch: Instant) -> Arc<Self> {
        let activity = Self {
            epoch,
            phase: AtomicU8::new(Phase::Idle as u8),
            since_us: AtomicU64::new(0),
            served: AtomicBool::new(false),
            blocked_us: AtomicU64::new(0),
            cut: Notify::new(),
        };
        activity.enter(Phase::Idle);
        Arc::new(activity)
    }

    fn now_us(&self) -> u64 {
        self.epoch.elapsed().as_micros() as u64
    }

    fn enter(&self, phase: Phase) {
        self.since_us.store(self.now_us(), Relaxed);
        self.phase.store(phase as u8, Relaxed);
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Reading,
            2 => Phase::Answering,
            3 => Phase::Streaming,
            _ => Phase::Flushing,
        }
    }

    fn since_us(&self) -> u64 {
        self.since_us.load(Relaxed)
    }

    /// Whether the connection can be evicted: its place in the order, and since when.
    pub(crate) fn spare(&self) -> Option<(Spare, u64)> {
        let idle = if self.served.load(Relaxed) { Spare::Idle } else { Spare::Unasked };
        match self.phase() {
            Phase::Idle => Some((idle, self.since_us())),
            Phase::Reading => Some((Spare::Unasked, self.since_us())),
            Phase::Streaming => Some((Spare::Page, self.since_us())),
            Phase::Answering | Phase::Flushing => {
                let blocked_us = self.blocked_us.load(Relaxed);
                let stalled =
                    blocked_us > 0 && Self::has_lasted(blocked_us - 1, self.now_us(), STALLED);
                stalled.then_some((Spare::Stalled, blocked_us))
            }
        }
    }

    /// Marks the request in flight as a live page's.
    pub(crate) fn stream(&self) {
        self.enter(Phase::Streaming);
    }

    /// Closes the connection in any state.
    pub(crate) fn cut(&self) {
        self.cut.notify_one();
    }

    /// Completes when the connection must close.
    pub(crate) async fn is_cut(&self) {
        self.cut.notified().await;
    }

    fn has_lasted(since_us: u64, now_us: u64, most: Duration) -> bool {
        u128::from(now_us.saturating_sub(since_us)) >= most.as_micros()
    }

    /// Begins a request, which ends when the returned value is dropped with the response's body.
    pub(crate) fn answer(self: &Arc<Self>) -> InFlight {
        self.enter(Phase::Answering);
        InFlight(Arc::clone(self))
    }

    /// Whether the peer has exceeded a timeout.
    pub(crate) fn is_overdue(&self, limits: &Limits) -> bool {
        let now_us = self.now_us();
        let has_lasted = |since_us, most| Self::has_lasted(since_us, now_us, most);
        let blocked_us = self.blocked_us.load(Relaxed);
        let is_blocked = blocked_us > 0 && has_lasted(blocked_us - 1, limits.write_timeout);
        is_blocked
            || match self.phase() {
                Phase::Idle => has_lasted(self.since_us(), limits.idle_timeout),
                Phase::Reading => has_lasted(self.since_us(), limits.header_timeout),
                Phase::Answering | Phase::Streaming | Phase::Flushing => false,
            }
    }

    fn has_read(&self) {
        if self.phase() == Phase::Idle {
            self.enter(Phase::Reading);
        }
    }

    fn has_written(&self) {
        if self.blocked_us.load(Relaxed) > 0 {
            self.blocked_us.store(0, Relaxed);
        }
    }

    fn is_blocked(&self) {
        if self.blocked_us.load(Relaxed) == 0 {
            self.blocked_us.store(self.now_us() + 1, Relaxed);
        }
    }

    fn has_flushed(&self) {
        if self.phase() == Phase::Flushing {
            self.enter(Phase::Idle);
        }
    }
}

/// A request in flight; dropped when the whole response was passed to the connection.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.served.store(true, Relaxed);
        self.0.enter(Phase::Flushing);
    }
}

/// Without `pprof` no request body is read.
#[cfg(not(feature = "pprof"))]
pub(crate) type Unread = hyper::body::Incoming;

/// The unread body of a request.
#[cfg(feature = "pprof")]
pub(crate) struct Unread {
    pub(crate) body: hyper::body::Incoming,
    pub(crate) activity: Arc<Activity>,
}

#[cfg(feature = "pprof")]
impl Unread {
    /// Reads the body as text; `None` if it is longer than `most` bytes or incomplete.
    ///
    /// Until then the connection counts as receiving a head: the same timeout, and first in the
    /// eviction order.
    pub(crate) async fn read(mut self, most: usize) -> Option<String> {
        use http_body::Body as _;

        if self.body.size_hint().lower() > most as u64 {
            return None;
        }
        self.activity.enter(Phase::Reading);
        let mut bytes = Vec::new();
        while let Some(frame) =
            std::future::poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await
        {
            // Ignores trailers.
            let Ok(piece) = frame.ok()?.into_data() else { continue };
            if bytes.len() + piece.len() > most {
                return None;
            }
            bytes.extend_from_slice(&piece);
        }
        self.activity.enter(Phase::Answering);
        String::from_utf8(bytes).ok()
    }
}

/// A socket that records its activity.
pub(crate) struct Watched<S> {
    pub(crate) socket: S,
    pub(crate) activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.activity.has_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        match &written {
            Poll::Ready(_) => self.activity.has_written(),
            Poll::Pending => self.activity.is_blocked(),
        }
        written
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, pieces);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        self.activity.has_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
