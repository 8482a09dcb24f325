//! Written bytes that the peer's kernel has not acknowledged.

#[cfg(target_os = "linux")]
use std::net::SocketAddr;

use tokio::net::TcpStream;

/// Bytes written to `stream` and not acknowledged, sent or not; `None` if the system does not tell.
///
/// Linux shows them as `tx_queue` in `/proc/self/net/tcp` (proc(5)), which equals the answer of
/// `SIOCOUTQ` for a socket.
#[cfg(target_os = "linux")]
pub(crate) fn bytes(stream: &TcpStream) -> Option<u64> {
    let (local, peer) = (stream.local_addr().ok()?, stream.peer_addr().ok()?);
    let table = match local {
        SocketAddr::V4(_) => "/proc/self/net/tcp",
        SocketAddr::V6(_) => "/proc/self/net/tcp6",
    };
    let text = std::fs::read_to_string(table).ok()?;
    find(&text, &shown(local), &shown(peer))
}

/// Not available on other systems.
#[cfg(not(target_os = "linux"))]
pub(crate) fn bytes(_: &TcpStream) -> Option<u64> {
    None
}

#[cfg(target_os = "linux")]
fn find(table: &str, local: &str, peer: &str) -> Option<u64> {
    let mut sockets = table.lines().map(str::split_ascii_whitespace);
    let mut socket = sockets.find_map(|mut columns| {
        (columns.nth(1)? == local && columns.next()? == peer).then_some(columns)
    })?;
    let (sent, _) = socket.nth(1)?.split_once(':')?;
    u64::from_str_radix(sent, 16).ok()
}

/// An address in the notation of that table: 4-byte words in native byte order.
#[cfg(target_os = "linux")]
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_a_peer_does_not_take_in_is_seen_byte_by_byte() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(host).await.unwrap();
            let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (peer, _) = listener.accept().await.unwrap();
            assert_eq!(bytes(&stream), Some(0));
            // Fills both kernels' buffers; what exceeds the peer's stays unacknowledged.
            let mut written = 0;
            while let Ok(n) = stream.try_write(&[b'x'; 65_536]) {
                written += n as u64;
            }
            stream.flush().await.unwrap();
            let unacknowledged = bytes(&stream).unwrap();
            assert!(unacknowledged > 0 && unacknowledged <= written);
            let mut received = 0;
            let mut buffer = vec![0; 1 << 20];
            while received < written {
                peer.readable().await.unwrap();
                match peer.try_read(&mut buffer) {
                    Ok(n) => received += n as u64,
                    Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::WouldBlock),
                }
            }
            tokio::time::timeout(std::time::Duration::from_secs(10), async {
                while bytes(&stream) != Some(0) {
                    tokio::task::yield_now().await;
                }
            })
            .await
            .unwrap();
        }
    }
}
