//! Written bytes that the peer's kernel has not acknowledged.

#[cfg(target_os = "linux")]
mod diag;
#[cfg(target_os = "linux")]
mod table;

use tokio::net::TcpStream;

/// Bytes written to `stream` and not acknowledged, sent or not; `None` if the system does not tell.
///
/// Equals the answer of `SIOCOUTQ` for the socket. Linux is asked by sock_diag(7), or where a
/// sandbox forbids that, by `/proc/self/net/tcp`.
#[cfg(target_os = "linux")]
pub(crate) fn bytes(stream: &TcpStream) -> Option<u64> {
    let (local, peer) = (stream.local_addr().ok()?, stream.peer_addr().ok()?);
    match diag::bytes(local, peer) {
        Ok(bytes) => bytes,
        Err(_) => table::bytes(local, peer),
    }
}

/// Not available on other systems.
#[cfg(not(target_os = "linux"))]
pub(crate) fn bytes(_: &TcpStream) -> Option<u64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    fn by_diag(local: SocketAddr, peer: SocketAddr) -> Option<u64> {
        diag::bytes(local, peer).unwrap()
    }

    #[tokio::test]
    async fn what_a_peer_does_not_take_in_is_seen_byte_by_byte() {
        type Ask = fn(SocketAddr, SocketAddr) -> Option<u64>;
        let asks: [(Ask, &str); 5] = [
            (by_diag, "127.0.0.1:0"),
            (by_diag, "[::1]:0"),
            (by_diag, "[::ffff:127.0.0.1]:0"),
            (table::bytes, "127.0.0.1:0"),
            (table::bytes, "[::1]:0"),
        ];
        for (ask, host) in asks {
            let listener = TcpListener::bind(host).await.unwrap();
            let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (local, remote) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
            let bytes = || ask(local, remote);
            let (peer, _) = listener.accept().await.unwrap();
            assert_eq!(bytes(), Some(0));
            // Fills both kernels' buffers; what exceeds the peer's stays unacknowledged.
            let mut written = 0;
            while let Ok(n) = stream.try_write(&[b'x'; 65_536]) {
                written += n as u64;
            }
            stream.flush().await.unwrap();
            let unacknowledged = bytes().unwrap();
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
                while bytes() != Some(0) {
                    tokio::task::yield_now().await;
                }
            })
            .await
            .unwrap();
            drop((stream, peer));
        }
    }

    #[test]
    fn a_socket_that_does_not_exist_is_unknown() {
        let nobody = "127.0.0.1:1".parse().unwrap();
        assert_eq!(by_diag(nobody, nobody), None);
        assert_eq!(table::bytes(nobody, nobody), None);
    }
}
