//! Reads whisper files, without whisper.

use std::collections::BTreeMap;
use std::path::Path;

/// The bytes of a head with one archive.
const HEAD: usize = 28;

/// A whisper file's archives, finest first: seconds a point, and points.
///
/// # Panics
/// When it cannot be read.
pub fn whisper_archives(path: &Path) -> Vec<(usize, usize)> {
    let data = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (0..word(&data, 12)).map(|n| (word(&data, 20 + 12 * n), word(&data, 24 + 12 * n))).collect()
}

/// The big-endian word at this place; zero past the end.
fn word(data: &[u8], at: usize) -> usize {
    let bytes = data.get(at..at + 4).map_or([0; 4], |b| [b[0], b[1], b[2], b[3]]);
    u32::from_be_bytes(bytes) as usize
}

/// All points in the finest archive of a whisper file, by timestamp; none where there is no file, or
/// where it has just been made and its head is not written yet.
///
/// The format: a head of 16 bytes (the last 4 count the archives), for each archive its offset,
/// seconds a point and points, each of 4 bytes; then points of a timestamp (4) and a float (8),
/// all big-endian.
///
/// # Panics
/// When the file is no whisper file.
pub fn read_whisper(path: &Path) -> BTreeMap<u64, f64> {
    let data = std::fs::read(path).unwrap_or_default();
    if data.len() < HEAD {
        return BTreeMap::new();
    }
    let (offset, points) = (word(&data, 16), word(&data, 24));
    assert!(offset >= HEAD, "{} is no whisper file", path.display());
    let points = data[offset.min(data.len())..].chunks_exact(12).take(points);
    points
        .map(|p| {
            let (timestamp, value) = p.split_at(4);
            let timestamp = u32::from_be_bytes([0, 1, 2, 3].map(|n| timestamp[n]));
            (u64::from(timestamp), f64::from_be_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|n| value[n])))
        })
        .filter(|&(timestamp, _)| timestamp > 0)
        .collect()
}
