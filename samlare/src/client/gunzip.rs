//! Gzip with bounds on bytes and members, yielding to other tasks.

use std::io::Read;

use flate2::bufread::GzDecoder;

use super::body::Shares;
use super::failure::Failure;
use super::pace::Pace;

/// A body may have several gzip members. Each has a high fixed cost, so they are limited.
const MAX_MEMBERS: usize = 1024;

/// What is decompressed at a time.
const PIECE_BYTES: usize = 16 << 10;

/// Decompresses a body of at most `limit` bytes.
pub(super) async fn decompress(
    packed: &[u8],
    limit: usize,
    shares: &mut Shares,
    pace: &mut Pace,
) -> Result<Vec<u8>, Failure> {
    let bad = |error: std::io::Error| Failure::Encoding(error.to_string());
    let mut bytes = Vec::with_capacity((packed.len() * 4).min(PIECE_BYTES));
    let mut piece = vec![0; PIECE_BYTES];
    let mut decoder = GzDecoder::new(packed);
    for _ in 0..MAX_MEMBERS {
        loop {
            pace.step().await;
            let length = decoder.read(&mut piece).map_err(bad)?;
            if length == 0 {
                break;
            }
            if bytes.len() + length > limit {
                return Err(Failure::TooLarge(limit));
            }
            shares.cover(bytes.len() + length)?;
            bytes.extend_from_slice(&piece[..length]);
        }
        let rest = *decoder.get_ref();
        if rest.is_empty() {
            return Ok(bytes);
        }
        decoder.reset(rest);
    }
    Err(Failure::Encoding(format!("it has more than {MAX_MEMBERS} members")))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    async fn read(packed: &[u8]) -> Result<Vec<u8>, String> {
        let read = decompress(packed, 1 << 20, &mut Shares::default(), &mut Pace::new()).await;
        read.map_err(|failure| failure.to_string())
    }

    #[tokio::test]
    async fn members_follow_each_other_and_are_bounded() {
        let two = [gzip(b"{\"a\":"), gzip(b""), gzip(b" 1}")].concat();
        assert_eq!(read(&two).await.unwrap(), b"{\"a\": 1}");
        assert_eq!(read(&gzip(b"").repeat(MAX_MEMBERS)).await.unwrap(), b"");
        let many = read(&gzip(b"").repeat(MAX_MEMBERS + 1)).await.unwrap_err();
        assert_eq!(many, "the body cannot be decoded: it has more than 1024 members");
        let torn = &gzip(b"{\"a\": 1}")[..20];
        assert!(read(torn).await.is_err());
        let long = read(&gzip(&vec![b' '; (1 << 20) + 1])).await.unwrap_err();
        assert_eq!(long, "the document has more than 1048576 bytes");
    }

    #[tokio::test]
    async fn others_get_their_turn_meanwhile() {
        // Two tasks on one thread: the second runs long before the first ends.
        let packed = gzip(&vec![b' '; 1 << 20]);
        let turns = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let counted = turns.clone();
        let other = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let mut pace = Pace::new();
        for _ in 0..100 {
            decompress(&packed, 1 << 20, &mut Shares::default(), &mut pace).await.unwrap();
        }
        other.abort();
        assert!(turns.load(std::sync::atomic::Ordering::Relaxed) > 1);
    }
}
