//! Ports that stay a test's own.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::Mutex;

use socket2::{Domain, Socket, Type};

/// The sockets that hold ports, until the process ends.
static HELD: Mutex<Vec<Socket>> = Mutex::new(Vec::new());

/// A port of all addresses of this machine at which nobody listens: connections to it are refused.
///
/// On Linux the process holds it until it ends: the kernel gives it to no other socket, and whoever
/// asks for it by its number can listen at it, again and again, in any process. Elsewhere somebody
/// may take it meanwhile.
///
/// # Panics
/// There is no port.
pub fn free_port() -> u16 {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
    socket.bind(&any.into()).expect("a port");
    let address = socket.local_addr().expect("its address").as_socket();
    if cfg!(target_os = "linux") {
        // Set before, it would let the kernel choose a port that somebody shares.
        socket.set_reuse_address(true).expect("a port that others may listen at");
        HELD.lock().expect("no panic in between").push(socket);
    }
    address.expect("of the internet").port()
}

/// A port for datagrams outside the ephemeral range, so that no socket gets it by chance. On Linux
/// the range begins at 32,768.
pub(crate) fn free_udp_port() -> u16 {
    let random = || RandomState::new().build_hasher().finish();
    let port = || 10_000 + (random() % 22_000) as u16;
    let is_free = |port: &u16| UdpSocket::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    (0..1000).map(|_| port()).find(is_free).expect("a port")
}

#[cfg(target_os = "linux")]
#[test]
fn a_port_refuses_connections_and_is_anybodys_who_asks_for_it() {
    use std::net::{TcpListener, TcpStream};

    let port = free_port();
    for address in [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(127, 0, 0, 3)] {
        let to = if address.is_unspecified() { Ipv4Addr::LOCALHOST } else { address };
        assert!(TcpStream::connect((to, port)).is_err(), "nobody listens at {to}");
        let listener = TcpListener::bind((address, port)).unwrap();
        drop(TcpStream::connect((to, port)).unwrap());
        assert!(TcpListener::bind((address, port)).is_err(), "{address} has one listener");
        drop(listener);
    }
    // The kernel chooses among 28,232 ports, of which it takes the odd ones first.
    let chosen = |_| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert!((0..50_000).map(chosen).all(|chosen| chosen != port));
}
