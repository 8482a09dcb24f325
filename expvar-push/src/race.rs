//! Connects to a host with several addresses, some of which may be unreachable.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

/// How long to wait for one address before trying the next in parallel: "Connection Attempt Delay",
/// RFC 8305, section 5.
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Connects to the first address of a host that answers. Resolves the host each time. `limit`
/// applies to the lookup and to each address.
///
/// # Errors
/// The host has no address, or none answers: the last one's error.
pub async fn connect(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let addresses = timeout(limit, lookup_host((host, port))).await??;
    race(addresses, |address| async move { timeout(limit, TcpStream::connect(address)).await? })
        .await
}

/// Alternates the address families, in the resolver's order otherwise: RFC 8305, section 4.
fn alternate(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let found: Vec<_> = found.collect();
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (one, other): (Vec<SocketAddr>, Vec<SocketAddr>) =
        found.iter().copied().partition(|address: &SocketAddr| address.is_ipv6() == first_is_v6);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut turns = Vec::with_capacity(found.len());
    loop {
        let before = turns.len();
        turns.extend(one.next().into_iter().chain(other.next()));
        if turns.len() == before {
            return turns;
        }
    }
}

/// Returns the first connection to any of `addresses` ("happy eyeballs", RFC 8305). Each address is
/// tried when the previous one has failed or has not answered for 250 ms; earlier attempts
/// continue.
///
/// # Errors
/// The last address's error if all have failed.
pub async fn race<C, F: Future<Output = io::Result<C>>>(
    addresses: impl Iterator<Item = SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<C> {
    let mut untried = alternate(addresses).into_iter();
    let mut tried = Tried(Vec::new());
    let mut error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        let next = untried.next();
        let is_last = next.is_none();
        tried.0.extend(next.map(|address| Box::pin(connect(address))));
        tokio::select! {
            answer = tried.next() => match answer {
                Some(Ok(connection)) => return Ok(connection),
                Some(Err(e)) => error = e,
                None => return Err(error),
            },
            () = sleep(NEXT_ADDRESS), if !is_last => {}
        }
    }
}

/// The attempts in progress: at most one for each address.
struct Tried<F>(Vec<Pin<Box<F>>>);

impl<F: Future> Tried<F> {
    /// The result of the next attempt to end; `None` without any.
    async fn next(&mut self) -> Option<F::Output> {
        poll_fn(|cx| {
            for at in 0..self.0.len() {
                if let Poll::Ready(output) = self.0[at].as_mut().poll(cx) {
                    self.0.swap_remove(at);
                    return Poll::Ready(Some(output));
                }
            }
            if self.0.is_empty() { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use tokio::time::Instant;

    /// A race, which must end within an hour of paused time.
    async fn raced<C, F: Future<Output = io::Result<C>>>(
        texts: &[&str],
        connect: impl Fn(SocketAddr) -> F,
    ) -> io::Result<C> {
        timeout(Duration::from_secs(3_600), race(addresses(texts).into_iter(), connect))
            .await
            .unwrap_or_else(|_| panic!("no end within an hour: {texts:?}"))
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_in_the_resolvers_order() {
        let found = addresses(&["[::1]:1", "[::2]:1", "1.0.0.1:1", "[::3]:1", "1.0.0.2:1"]);
        let turns = ["[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "[::3]:1"];
        assert_eq!(alternate(found.into_iter()), addresses(&turns));
        let one = addresses(&["1.0.0.1:1", "1.0.0.2:1"]);
        assert_eq!(alternate(one.clone().into_iter()), one);
    }

    /// Port 1 never answers, port 2 fails at once, port 3 answers after 100 ms.
    async fn answer(address: SocketAddr) -> io::Result<SocketAddr> {
        match address.port() {
            1 => std::future::pending().await,
            2 => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => {
                sleep(Duration::from_millis(100)).await;
                Ok(address)
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_address_costs_a_quarter_of_a_second_and_a_refusing_one_nothing() {
        for (texts, cost_ms) in [
            (&["1.0.0.1:3", "1.0.0.2:3"][..], 100),
            (&["1.0.0.1:1", "1.0.0.2:3"], 350),
            (&["1.0.0.1:2", "1.0.0.2:3"], 100),
            (&["1.0.0.1:1", "1.0.0.2:2", "1.0.0.3:1", "1.0.0.4:3"], 600),
        ] {
            let start = Instant::now();
            let winner = raced(texts, answer).await.unwrap();
            assert_eq!(winner.port(), 3);
            assert_eq!(start.elapsed().as_millis(), cost_ms, "{texts:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_first_address_goes_on_being_tried() {
        let connect = |address: SocketAddr| async move {
            sleep(Duration::from_millis(300) * u32::from(address.port())).await;
            Ok(address)
        };
        let winner = raced(&["1.0.0.1:1", "1.0.0.2:1"], connect).await.unwrap();
        assert_eq!(winner.to_string(), "1.0.0.1:1");
    }

    #[tokio::test(start_paused = true)]
    async fn all_that_fail_give_the_last_error() {
        let error = raced(&["1.0.0.1:2", "1.0.0.2:2"], answer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let none = raced(&[], answer).await.unwrap_err();
        assert_eq!(none.to_string(), "the name has no address");
    }
}
