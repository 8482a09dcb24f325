//! A query to the kernel about one TCP socket: sock_diag(7).
//!
//! Its cost does not depend on the number of sockets.

use std::io::{self, Read};
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

/// `AF_NETLINK` and `NETLINK_SOCK_DIAG`.
const NETLINK: i32 = 16;
const SOCK_DIAG: i32 = 4;
/// Types of messages, and the flag of a request.
const ERROR: u16 = 2;
const BY_FAMILY: u16 = 20;
const REQUEST: u16 = 1;
/// `AF_INET`, `AF_INET6` and `IPPROTO_TCP`.
const INET: u8 = 2;
const INET6: u8 = 10;
const TCP: u8 = 6;

/// Lengths of a message's header, and of a `struct inet_diag_req_v2` behind it.
const HEADER: usize = 16;
const QUERY: usize = HEADER + 56;
/// The offset of `idiag_wqueue` in an answer: behind four bytes, a `struct inet_diag_sockid` of 48,
/// and two numbers.
const WQUEUE: usize = HEADER + 4 + 48 + 8;

/// `idiag_wqueue` of the socket between these addresses; `None` if there is no such socket.
///
/// # Errors
/// The system does not answer such queries.
pub(super) fn bytes(local: SocketAddr, peer: SocketAddr) -> io::Result<Option<u64>> {
    let socket = Socket::new(Domain::from(NETLINK), Type::DGRAM, Some(Protocol::from(SOCK_DIAG)))?;
    // The kernel answers while it takes the query.
    socket.set_nonblocking(true)?;
    socket.send(&query(local, peer))?;
    let mut answer = [0; 512];
    let length = (&socket).read(&mut answer)?;
    read(&answer[..length]).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn query(local: SocketAddr, peer: SocketAddr) -> [u8; QUERY] {
    let mut query = [0; QUERY];
    let mut put = |at: usize, bytes: &[u8]| query[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &(QUERY as u32).to_ne_bytes());
    put(4, &BY_FAMILY.to_ne_bytes());
    put(6, &REQUEST.to_ne_bytes());
    put(HEADER, &[if local.is_ipv4() { INET } else { INET6 }, TCP]);
    // States: any.
    put(HEADER + 4, &u32::MAX.to_ne_bytes());
    let id = HEADER + 8;
    put(id, &local.port().to_be_bytes());
    put(id + 2, &peer.port().to_be_bytes());
    for (at, address) in [(id + 4, local), (id + 20, peer)] {
        match address {
            SocketAddr::V4(v4) => put(at, &v4.ip().octets()),
            SocketAddr::V6(v6) => put(at, &v6.ip().octets()),
        }
    }
    if let SocketAddr::V6(v6) = peer {
        put(id + 36, &v6.scope_id().to_ne_bytes());
    }
    // No cookie.
    put(id + 40, &u64::MAX.to_ne_bytes());
    query
}

/// The answer's number; `Some(None)` where it is that there is no such socket.
fn read(answer: &[u8]) -> Option<Option<u64>> {
    /// `-ENOENT`.
    const NO_SUCH: i32 = -2;
    let kind = u16::from_ne_bytes(*answer.get(4..)?.first_chunk()?);
    match kind {
        BY_FAMILY => {
            let bytes = u32::from_ne_bytes(*answer.get(WQUEUE..)?.first_chunk()?);
            Some(Some(bytes.into()))
        }
        ERROR => {
            let error = i32::from_ne_bytes(*answer.get(HEADER..)?.first_chunk()?);
            (error == NO_SUCH).then_some(None)
        }
        _ => None,
    }
}
