//! samlare's own page and its address.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use expvar_http::Server;

use crate::log::{Level, Log};
use crate::page::Page;

/// Retries of an address whose old listener is just closing, and the pause between them.
const TRIES: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(50);

/// samlare's own page and its server, if any.
pub(super) struct OwnPage {
    page: Page,
    served: Option<(SocketAddr, Server)>,
}

impl OwnPage {
    /// A page without a server.
    pub(super) fn new(page: Page) -> OwnPage {
        OwnPage { page, served: None }
    }

    /// Serves it at this address.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub(super) fn begin(&mut self, address: SocketAddr) -> std::io::Result<()> {
        let page = self.page.clone();
        let find = move |uri| {
            let page = page.clone();
            async move { page.find(&uri).await }
        };
        self.served = Some((address, Server::builder().pages(find).spawn(address)?));
        Ok(())
    }

    /// Changes the address, or stops serving. On an error the old address stays, and the next
    /// reload tries again.
    pub(super) async fn change(&mut self, wanted: Option<SocketAddr>, log: &Log) {
        let before = self.served.as_ref().map(|(address, _)| *address);
        if wanted == before {
            return;
        }
        let old = self.served.take();
        let Some(wanted) = wanted else { return old.map(|(_, server)| end(server)).unwrap_or(()) };
        let error = match (self.begin(wanted), old) {
            (Ok(()), old) => return old.map(|(_, server)| end(server)).unwrap_or(()),
            // The old listener may be in the way: the same port on other addresses.
            (Err(error), Some((address, server)))
                if error.kind() == ErrorKind::AddrInUse && address.port() == wanted.port() =>
            {
                end(server);
                match self.begin_soon(wanted).await {
                    Ok(()) => return,
                    Err(error) => self.begin_soon(address).await.err().unwrap_or(error),
                }
            }
            (Err(error), old) => {
                self.served = old;
                error
            }
        };
        let stays = self.served.as_ref().map_or("none".to_owned(), |(old, _)| old.to_string());
        log.event(
            Level::Error,
            "cannot listen: the old address stays",
            &[("address", &wanted), ("old", &stays), ("error", &error)],
        );
    }

    async fn begin_soon(&mut self, address: SocketAddr) -> std::io::Result<()> {
        let mut last = Error::from(ErrorKind::AddrInUse);
        for _ in 0..TRIES {
            match self.begin(address) {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
            tokio::time::sleep(BETWEEN).await;
        }
        Err(last)
    }
}

/// Stops a server without waiting for its last requests.
fn end(server: Server) {
    drop(tokio::task::spawn_blocking(|| server.shutdown()));
}
