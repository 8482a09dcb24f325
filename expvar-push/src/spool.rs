//! The queue kept on disk, so that a crash of this process loses nothing.
//!
//! A directory holds a `lock` file and segments, `<number>.spool`, in the order of their numbers.
//! A segment starts with a line that names its format; then come records: a head of 20 bytes, numbers in
//! little-endian order, and the lines.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | CRC-32 of everything after it, the lines included |
//! | 4 | length of the lines |
//! | 8 | the batch's number |
//! | 4 | its points; the largest number for a mark: all batches numbered below this are done with |
//!
//! A segment goes when all its batches are done with. The disk holds the queue's limit and two
//! segments at most. Records reach the kernel at once, the disk at the end of a segment: a killed
//! process loses nothing, a machine without power the last segment.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fs4::FileExt;

use crate::queue::Batch;

const FORMAT: &[u8] = b"expvar-carbon spool 1\n";
const HEAD_BYTES: usize = 20;
const MARK: u32 = u32::MAX;

/// The queue of one lane on disk.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    /// Held locked, so that no other process uses the directory.
    _lock: File,
    segments: Vec<Segment>,
    /// The last segment, where it is open for writing.
    file: Option<File>,
    next_segment: u64,
    segment_bytes: u64,
    /// All batches numbered below this are done with, as the disk knows.
    done: u64,
    record: Vec<u8>,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    /// The number after that of its last batch.
    next_seq: u64,
    bytes: u64,
}

/// What a directory held.
#[derive(Debug, Default)]
pub struct Recovered {
    /// With their numbers, in order.
    pub batches: Vec<(u64, Batch)>,
    /// The number that the next batch gets.
    pub next_seq: u64,
    /// Segments whose tail was torn or damaged, and cut off.
    pub damaged: u64,
}

impl Spool {
    /// Opens `dir`, makes it if need be, and reads what it holds.
    ///
    /// # Errors
    /// When it cannot be read, or another process uses it.
    pub fn open(dir: &Path, limit: usize) -> io::Result<(Self, Recovered)> {
        std::fs::create_dir_all(dir)?;
        let lock = OpenOptions::new().create(true).append(true).open(dir.join("lock"))?;
        FileExt::try_lock(&lock).map_err(|_| {
            io::Error::new(io::ErrorKind::AddrInUse, "another process uses this directory")
        })?;
        let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|e| e == "spool") && number(path).is_some())
            .collect();
        paths.sort();
        let mut spool = Self {
            dir: dir.to_owned(),
            _lock: lock,
            segments: Vec::new(),
            file: None,
            next_segment: paths.last().and_then(|p| number(p)).map_or(0, |n| n + 1),
            segment_bytes: segment_bytes(limit),
            done: 0,
            record: Vec::new(),
        };
        let mut found = Recovered::default();
        for path in paths {
            spool.recover(path, &mut found)?;
        }
        found.next_seq = found.next_seq.max(spool.done);
        found.batches.retain(|(seq, _)| *seq >= spool.done);
        spool.drop_done()?;
        Ok((spool, found))
    }

    fn recover(&mut self, path: PathBuf, found: &mut Recovered) -> io::Result<()> {
        let data = Bytes::from(std::fs::read(&path)?);
        let mut at = if data.starts_with(FORMAT) { FORMAT.len() } else { 0 };
        let mut next_seq = 0;
        while let Some((record, end)) = (at > 0).then(|| read_record(&data, at)).flatten() {
            at = end;
            match record {
                Record::Done(seq) => self.done = self.done.max(seq),
                Record::Batch(seq, batch) => {
                    next_seq = seq + 1;
                    found.next_seq = found.next_seq.max(next_seq);
                    found.batches.push((seq, batch));
                }
            }
        }
        if at < data.len() {
            found.damaged += 1;
            OpenOptions::new().write(true).open(&path)?.set_len(at as u64)?;
        }
        self.segments.push(Segment { path, next_seq, bytes: at as u64 });
        Ok(())
    }

    /// Appends batches, and moves `next_seq` on past each one that is on disk.
    ///
    /// # Errors
    /// When the disk takes no more; what was written of the failed record is cut off again.
    pub fn append(&mut self, batches: &[(u64, Batch)], next_seq: &mut u64) -> io::Result<()> {
        for (seq, batch) in batches {
            let points = u32::try_from(batch.points).unwrap_or(MARK - 1).min(MARK - 1);
            self.write(*seq, points, &batch.bytes)?;
            if let Some(segment) = self.segments.last_mut() {
                segment.next_seq = seq + 1;
            }
            *next_seq = seq + 1;
        }
        Ok(())
    }

    /// Notes that all batches numbered below `seq` are done with, and removes what held only
    /// those.
    ///
    /// # Errors
    /// When the disk takes no more, or a segment cannot be removed.
    pub fn done_below(&mut self, seq: u64) -> io::Result<()> {
        if seq <= self.done {
            return Ok(());
        }
        self.done = seq;
        let marked = self.write(seq, MARK, b"");
        // Also where the mark did not fit: this makes room.
        self.drop_done()?;
        marked
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Follows the queue's limit.
    pub fn set_limit(&mut self, limit: usize) {
        self.segment_bytes = segment_bytes(limit);
    }

    /// How much the segments take.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.bytes).sum()
    }

    /// Gets everything to the disk itself.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn sync(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }

    fn write(&mut self, seq: u64, points: u32, lines: &[u8]) -> io::Result<()> {
        let full = self.segments.last().is_some_and(|s| s.bytes >= self.segment_bytes);
        if self.file.is_none() || full {
            self.seal();
            self.begin()?;
        }
        let (Some(file), Some(segment)) = (&mut self.file, self.segments.last_mut()) else {
            return Err(io::Error::other("no segment is open"));
        };
        self.record.clear();
        self.record.extend_from_slice(&[0; 4]);
        self.record.extend_from_slice(&(lines.len() as u32).to_le_bytes());
        self.record.extend_from_slice(&seq.to_le_bytes());
        self.record.extend_from_slice(&points.to_le_bytes());
        self.record.extend_from_slice(lines);
        let crc = crc32fast::hash(&self.record[4..]);
        self.record[..4].copy_from_slice(&crc.to_le_bytes());
        if let Err(error) = file.write_all(&self.record) {
            // Whatever follows must not come after half a record.
            if file.set_len(segment.bytes).is_err() {
                self.seal();
            }
            return Err(error);
        }
        segment.bytes += self.record.len() as u64;
        Ok(())
    }

    fn begin(&mut self) -> io::Result<()> {
        let path = self.dir.join(format!("{:020}.spool", self.next_segment));
        let mut file = OpenOptions::new().create_new(true).append(true).open(&path)?;
        self.next_segment += 1;
        if let Err(error) = file.write_all(FORMAT) {
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        self.segments.push(Segment { path, next_seq: 0, bytes: FORMAT.len() as u64 });
        self.file = Some(file);
        Ok(())
    }

    fn seal(&mut self) {
        if let Some(file) = self.file.take() {
            // The kernel has it; what it cannot get to the disk no one else can either.
            let _ = file.sync_data();
        }
    }

    /// Removes segments from the front, so that a mark outlives the batches that it speaks of.
    fn drop_done(&mut self) -> io::Result<()> {
        let closed = self.segments.len() - usize::from(self.file.is_some());
        let done = self.segments[..closed].iter().take_while(|s| s.next_seq <= self.done).count();
        self.segments.drain(..done).try_for_each(|s| std::fs::remove_file(s.path))
    }
}

fn segment_bytes(limit: usize) -> u64 {
    (limit as u64 / 8).clamp(64 << 10, 8 << 20)
}

fn number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

enum Record {
    Batch(u64, Batch),
    Done(u64),
}

/// Reads the record at `at`, if a whole and sound one is there, and says where it ends.
fn read_record(data: &Bytes, at: usize) -> Option<(Record, usize)> {
    let head = data.get(at..at + HEAD_BYTES)?;
    let word = |from: usize| u32::from_le_bytes([0, 1, 2, 3].map(|n| head[from + n]));
    let seq = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|n| head[8 + n]));
    let end = (at + HEAD_BYTES).checked_add(word(4) as usize)?;
    if crc32fast::hash(data.get(at + 4..end)?) != word(0) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(text: &str) -> Batch {
        Batch { bytes: Bytes::copy_from_slice(text.as_bytes()), points: 1 }
    }

    fn texts(found: &Recovered) -> Vec<(u64, &str)> {
        found.batches.iter().map(|(n, b)| (*n, std::str::from_utf8(&b.bytes).unwrap())).collect()
    }

    fn open(dir: &Path) -> (Spool, Recovered) {
        Spool::open(dir, 1 << 20).unwrap()
    }

    #[test]
    fn what_is_not_done_comes_back_with_its_number() {
        let dir = tempfile::tempdir().unwrap();
        let (mut spool, found) = open(dir.path());
        assert!(found.batches.is_empty());
        spool.append(&[(0, batch("a 1 1\n")), (1, batch("b 1 1\n"))], &mut 0).unwrap();
        spool.done_below(1).unwrap();
        spool.append(&[(2, batch("c 1 1\n"))], &mut 0).unwrap();
        drop(spool);
        let (mut spool, found) = open(dir.path());
        assert_eq!(texts(&found), [(1, "b 1 1\n"), (2, "c 1 1\n")]);
        assert_eq!((found.next_seq, found.damaged), (3, 0));
        spool.append(&[(3, batch("d 1 1\n"))], &mut 0).unwrap();
        spool.done_below(4).unwrap();
        drop(spool);
        let (_spool, found) = open(dir.path());
        assert!(found.batches.is_empty());
        assert_eq!(found.next_seq, 4, "numbers are never used twice");
    }

    #[test]
    fn every_torn_tail_costs_only_the_record_it_tears() {
        let dir = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(dir.path());
        spool.append(&[(0, batch("a 1 1\n")), (1, batch("b 1 1\n"))], &mut 0).unwrap();
        let path = spool.segments[0].path.clone();
        drop(spool);
        let whole = std::fs::read(&path).unwrap();
        let one = FORMAT.len() + HEAD_BYTES + 6;
        for length in one + 1..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let (spool, found) = open(dir.path());
            assert_eq!(texts(&found), [(0, "a 1 1\n")]);
            assert_eq!(found.damaged, 1);
            drop(spool);
            assert_eq!(std::fs::metadata(&path).unwrap().len(), one as u64, "cut off");
        }
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(dir.path());
        spool.append(&[(0, batch("a 1 1\n"))], &mut 0).unwrap();
        let path = spool.segments[0].path.clone();
        drop(spool);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            std::fs::write(&path, &damaged).unwrap();
            let (_spool, found) = open(dir.path());
            assert!(found.batches.is_empty() && found.damaged == 1, "byte {at}");
        }
    }

    #[test]
    fn the_disk_holds_no_more_than_what_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(dir.path());
        let big = batch(&"x".repeat(10_000));
        for seq in 0..1_000 {
            spool.append(&[(seq, big.clone())], &mut 0).unwrap();
            spool.done_below((seq + 1).saturating_sub(20)).unwrap();
            assert!(spool.bytes() <= 20 * 10_020 + 2 * (spool.segment_bytes + 10_100));
        }
        let files: u64 = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert_eq!(files, spool.bytes());
        drop(spool);
        assert_eq!(open(dir.path()).1.batches.len(), 20);
    }

    #[test]
    fn a_directory_serves_one_process() {
        let dir = tempfile::tempdir().unwrap();
        let _first = open(dir.path());
        let error = Spool::open(dir.path(), 1 << 20).unwrap_err();
        assert_eq!(error.to_string(), "another process uses this directory");
    }
}
