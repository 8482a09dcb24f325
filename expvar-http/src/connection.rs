//! One connection: what it is doing, since when, and therefore when it is cut.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::limits::Limits;

/// What a connection is doing, in the order in which connections are given up for a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Between requests, or before the first.
    Idle,
    /// Part of a request's head has come.
    Reading,
    /// A request is being answered.
    Answering,
    /// The response is complete and on its way out.
    Flushing,
}

/// The state of a connection: written by the task that serves it, read by the one that accepts.
///
/// Times are microseconds since the server started. Each field is a hint of its own about
/// deadlines of seconds, so all orderings are relaxed.
#[derive(Debug)]
pub(crate) struct Activity {
    epoch: Instant,
    phase: AtomicU8,
    since_us: AtomicU64,
    /// When the peer stopped taking bytes, plus one; 0 while it takes them.
    blocked_us: AtomicU64,
}

impl Activity {
    pub(crate) fn new(epoch: Instant) -> Arc<Self> {
        let activity = Self {
            epoch,
            phase: AtomicU8::new(Phase::Idle as u8),
            since_us: AtomicU64::new(0),
            blocked_us: AtomicU64::new(0),
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
            _ => Phase::Flushing,
        }
    }

    pub(crate) fn since_us(&self) -> u64 {
        self.since_us.load(Relaxed)
    }

    /// Starts a request, which lasts until the returned value is dropped with the response's body.
    pub(crate) fn answer(self: &Arc<Self>) -> InFlight {
        self.enter(Phase::Answering);
        InFlight(Arc::clone(self))
    }

    /// Whether the peer has kept the connection waiting for longer than it may.
    pub(crate) fn is_overdue(&self, limits: &Limits) -> bool {
        let now_us = self.now_us();
        let has_lasted = |since_us: u64, most: Duration| {
            u128::from(now_us.saturating_sub(since_us)) >= most.as_micros()
        };
        let blocked_us = self.blocked_us.load(Relaxed);
        let is_blocked = blocked_us > 0 && has_lasted(blocked_us - 1, limits.write_timeout);
        is_blocked
            || match self.phase() {
                Phase::Idle => has_lasted(self.since_us(), limits.idle_timeout),
                Phase::Reading => has_lasted(self.since_us(), limits.header_timeout),
                Phase::Answering | Phase::Flushing => false,
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

/// A request in flight; dropped when the whole response has been handed to the connection.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.enter(Phase::Flushing);
    }
}

/// A socket that notes what happens on it.
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
