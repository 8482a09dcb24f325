//! One record of a segment.

use bytes::Bytes;

use crate::queue::Batch;

pub(super) const HEAD_BYTES: usize = 20;
/// In place of a number of points: the batches below are completed.
pub(super) const MARK: u32 = u32::MAX;

pub(super) enum Record {
    Batch(u64, Batch),
    Done(u64),
}

/// Reads the record at `at`, if it is complete and valid, and returns its end.
pub(super) fn read(data: &Bytes, at: usize) -> Option<(Record, usize)> {
    let head = data.get(at..at + HEAD_BYTES)?;
    let word = |from: usize| u32::from_le_bytes([0, 1, 2, 3].map(|n| head[from + n]));
    let seq = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|n| head[8 + n]));
    let end = (at + HEAD_BYTES).checked_add(word(4) as usize)?;
    let is_sound = word(16) == MARK || u64::from(word(16)) <= u64::from(word(4));
    if !is_sound || crc32fast::hash(data.get(at + 4..end)?) != word(0) {
        return None;
    }
    let record = match word(16) {
        MARK => Record::Done(seq),
        points => {
            let bytes = data.slice(at + HEAD_BYTES..end);
            Record::Batch(seq, Batch { bytes, points: u64::from(points) })
        }
    };
    Some((record, end))
}

/// Replaces `record` with one of this content.
pub(super) fn write(record: &mut Vec<u8>, seq: u64, points: u32, lines: &[u8]) {
    record.clear();
    record.extend_from_slice(&[0; 4]);
    record.extend_from_slice(&(lines.len() as u32).to_le_bytes());
    record.extend_from_slice(&seq.to_le_bytes());
    record.extend_from_slice(&points.to_le_bytes());
    record.extend_from_slice(lines);
    let crc = crc32fast::hash(&record[4..]);
    record[..4].copy_from_slice(&crc.to_le_bytes());
}

/// The next valid record after a damaged one at `at`: directly after it if its length is valid, or
/// anywhere. `None` if there is no other.
pub(super) fn next(data: &Bytes, at: usize, next_seq: u64) -> Option<usize> {
    if let Some(head) = data.get(at..at + HEAD_BYTES) {
        let length = u32::from_le_bytes([4, 5, 6, 7].map(|n| head[n]));
        let end = (at + HEAD_BYTES).saturating_add(length as usize);
        if end == data.len() || end < data.len() && read(data, end).is_some() {
            return Some(end);
        }
    }
    // Text read as a number is far from any valid one, so few positions need a checksum.
    let follows = |at: &usize| {
        let seq = data
            .get(at + 8..at + 16)
            .map(|b| u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|n| b[n])));
        seq.is_some_and(|seq| seq < next_seq.saturating_add(1 << 32))
    };
    (at + 1..data.len()).filter(follows).find(|&at| read(data, at).is_some())
}
