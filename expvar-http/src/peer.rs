//! Notices that a client goes away while the program's own page is made for it.

use std::io::ErrorKind;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::sleep;

/// How long after its last byte a client is waited on: some close only their side, and read on.
const GRACE: Duration = Duration::from_secs(1);

/// A second handle on a connection, which hyper does not read while it answers.
pub(crate) struct Peer(TcpStream);

impl Peer {
    /// None where the system has no more handles.
    pub(crate) fn of(stream: &TcpStream) -> Option<Self> {
        let socket = SockRef::from(stream).try_clone().ok()?;
        TcpStream::from_std(socket.into()).ok().map(Self)
    }

    /// Completes a second after the client has closed its side.
    pub(crate) async fn gone(&self) {
        loop {
            match self.0.ready(Interest::READABLE).await {
                Ok(ready) if !ready.is_read_closed() => {}
                _ => break,
            }
            // The next request has come. It is not read here: wait for what comes after.
            let _ =
                self.0.try_io(Interest::READABLE, || Err::<(), _>(ErrorKind::WouldBlock.into()));
        }
        sleep(GRACE).await;
    }
}
