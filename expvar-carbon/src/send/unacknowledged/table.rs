//! The kernel's table of TCP sockets, as text: proc(5).

use std::net::SocketAddr;

/// The `tx_queue` of the socket in `/proc/self/net/tcp`. The kernel lists all sockets to answer.
pub(super) fn bytes(local: SocketAddr, peer: SocketAddr) -> Option<u64> {
    let table = match local {
        SocketAddr::V4(_) => "/proc/self/net/tcp",
        SocketAddr::V6(_) => "/proc/self/net/tcp6",
    };
    let text = std::fs::read_to_string(table).ok()?;
    find(&text, &shown(local), &shown(peer))
}

fn find(table: &str, local: &str, peer: &str) -> Option<u64> {
    let mut sockets = table.lines().map(str::split_ascii_whitespace);
    let mut socket = sockets.find_map(|mut columns| {
        (columns.nth(1)? == local && columns.next()? == peer).then_some(columns)
    })?;
    let (sent, _) = socket.nth(1)?.split_once(':')?;
    u64::from_str_radix(sent, 16).ok()
}

/// An address in the notation of that table: 4-byte words in native byte order.
fn shown(address: SocketAddr) -> String {
    let word = |bytes: &[u8]| {
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        format!("{:08X}", u32::from_ne_bytes(bytes))
    };
    let ip: String = match address {
        SocketAddr::V4(v4) => word(&v4.ip().octets()),
        SocketAddr::V6(v6) => v6.ip().octets().chunks(4).map(word).collect(),
    };
    format!("{ip}:{:04X}", address.port())
}
