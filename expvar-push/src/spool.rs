//! A queue's copy on disk, so that a crash of the process loses nothing.
//!
//! A directory has a `lock` file and segments, `<number>.spool`, in the order of their numbers. A
//! segment starts with a line that names its format, followed by records: a header of 20 bytes,
//! little-endian, and the batch.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | CRC-32 of everything after it, the batch included |
//! | 4 | length of the batch |
//! | 8 | the batch's number |
//! | 4 | its points; the largest number marks all batches numbered below this as completed |
//!
//! A segment is removed when all its batches are completed. The disk holds at most the queue's
//! limit and two segments. Records reach the kernel at once, the disk at the end of a segment: a
//! killed process loses nothing, a power failure loses the last segment. A damaged record affects
//! only itself. Files of another or a later format are left unchanged and reported.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::queue::Batch;

mod hold;
mod record;

use hold::{Hold, is_linked};
use record::{MARK, Record};

/// The version of the format. Files of a later version are left unchanged.
const VERSION: &str = "1";

/// A queue's copy on disk.
///
/// ```
/// use expvar_push::{Batch, Spool};
///
/// let dir = tempfile::tempdir()?;
/// let batch = Batch { bytes: "a 1 1700000000\n".into(), points: 1 };
/// let (mut spool, _) = Spool::open(dir.path(), "example", 1 << 20)?;
/// spool.append(&[(0, batch)], &mut 0)?;
/// drop(spool);
///
/// let (_spool, recovered) = Spool::open(dir.path(), "example", 1 << 20)?;
/// assert_eq!(recovered.batches.len(), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    /// The beginning of a segment.
    header: Vec<u8>,
    /// Locks the directory against other processes.
    hold: Hold,
    segments: Vec<Segment>,
    /// The last segment, if it is open for writing.
    file: Option<File>,
    next_segment: u64,
    segment_bytes: u64,
    /// All batches numbered below this are completed, according to the disk.
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

/// The content of a directory.
///
/// ```
/// let dir = tempfile::tempdir()?;
/// let (_spool, recovered) = expvar_push::Spool::open(dir.path(), "example", 1 << 20)?;
/// assert!(recovered.batches.is_empty());
/// assert!(recovered.problems.is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Recovered {
    /// The batches with their numbers, in order.
    pub batches: Vec<(u64, Batch)>,
    /// The number of the next batch.
    pub next_seq: u64,
    /// Torn or damaged records.
    pub damaged: u64,
    /// Files that were not read, or only in part, with the reason.
    pub problems: Vec<(PathBuf, String)>,
}

impl Spool {
    /// Opens `dir`, creating it if necessary, and reads its content. `kind` is the program's name
    /// in the files' first line; a segment has an eighth of `limit`.
    ///
    /// # Errors
    /// The directory cannot be used, or another process uses it.
    pub fn open(dir: &Path, kind: &str, limit: usize) -> io::Result<(Self, Recovered)> {
        std::fs::create_dir_all(dir)?;
        let mut spool = Self {
            dir: dir.to_owned(),
            header: format!("{kind} spool {VERSION}\n").into_bytes(),
            hold: Hold::take(dir)?,
            segments: Vec::new(),
            file: None,
            next_segment: 0,
            segment_bytes: segment_bytes(limit),
            done: 0,
            record: Vec::new(),
        };
        let mut paths: Vec<(u64, PathBuf)> = std::fs::read_dir(dir)?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter_map(|path| Some((number(&path)?, path)))
            .collect();
        paths.sort();
        spool.next_segment = paths.last().map_or(0, |(number, _)| number + 1);
        let mut found = Recovered::default();
        for (_, path) in paths {
            if let Err(error) = spool.recover(&path, &mut found) {
                found.problems.push((path, format!("it cannot be read: {error}")));
            }
        }
        found.next_seq = found.next_seq.max(spool.done);
        found.batches.retain(|(seq, _)| *seq >= spool.done);
        // A batch that was written twice has one number.
        found.batches.sort_by_key(|(seq, _)| *seq);
        found.batches.dedup_by_key(|(seq, _)| *seq);
        spool.drop_done()?;
        Ok((spool, found))
    }

    fn recover(&mut self, path: &Path, found: &mut Recovered) -> io::Result<()> {
        let data = Bytes::from(std::fs::read(path)?);
        let (mut at, mut next_seq, damaged) = (self.header.len(), 0, found.damaged);
        if !data.starts_with(&self.header) {
            if self.header.starts_with(&data) {
                // An incomplete first line.
                return std::fs::remove_file(path);
            }
            let problem = match self.later_version(&data) {
                Some(version) => {
                    format!("it has the format {version} of a later release, and is left unchanged")
                }
                // Its first line is damaged, or it is a foreign file.
                None if record::read(&data, at).is_none() => {
                    "it is not a spool of this program, and is left unchanged".into()
                }
                None => {
                    found.damaged += 1;
                    String::new()
                }
            };
            if !problem.is_empty() {
                found.problems.push((path.to_owned(), problem));
                return Ok(());
            }
        }
        while at < data.len() {
            let Some((record, end)) = record::read(&data, at) else {
                found.damaged += 1;
                match record::next(&data, at, next_seq) {
                    Some(next) => at = next,
                    None => break,
                }
                continue;
            };
            at = end;
            match record {
                Record::Done(seq) => self.done = self.done.max(seq),
                Record::Batch(seq, batch) => {
                    next_seq = next_seq.max(seq + 1);
                    found.next_seq = found.next_seq.max(next_seq);
                    found.batches.push((seq, batch));
                }
            }
        }
        if at < data.len() {
            OpenOptions::new().write(true).open(path)?.set_len(at as u64)?;
        }
        if found.damaged > damaged {
            let records = found.damaged - damaged;
            found.problems.push((path.to_owned(), format!("damaged records: {records}")));
        }
        self.segments.push(Segment { path: path.to_owned(), next_seq, bytes: at as u64 });
        Ok(())
    }

    /// The version in a file of a later release.
    fn later_version<'d>(&self, data: &'d [u8]) -> Option<&'d str> {
        let kind = &self.header[..self.header.len() - VERSION.len() - 1];
        let line = data.strip_prefix(kind)?.split(|&b| b == b'\n').next()?;
        let version = std::str::from_utf8(line).ok()?;
        (version.len() < 20 && version.parse::<u64>().is_ok()).then_some(version)
    }

    /// Recreates the directory, or the current segment, if it was removed. Returns whether it was:
    /// then all batches must be appended again.
    ///
    /// # Errors
    /// The directory cannot be created, or another process was faster.
    pub fn renew(&mut self) -> io::Result<bool> {
        let is_there = self.hold.is_of(&self.dir);
        if is_there && self.file.as_ref().is_none_or(is_linked) {
            return Ok(false);
        }
        if !is_there {
            std::fs::create_dir_all(&self.dir)?;
            self.hold = Hold::take(&self.dir)?;
        }
        self.file = None;
        self.segments.retain(|segment| segment.path.exists());
        Ok(true)
    }

    /// Appends batches, and advances `next_seq` past each one that is on disk.
    ///
    /// # Errors
    /// The write failed; an incomplete record is removed again.
    pub fn append(&mut self, batches: &[(u64, Batch)], next_seq: &mut u64) -> io::Result<()> {
        for (seq, batch) in batches {
            let points = u32::try_from(batch.points).unwrap_or(MARK - 1).min(MARK - 1);
            self.write(*seq, points, &batch.bytes)?;
            if let Some(segment) = self.segments.last_mut() {
                segment.next_seq = segment.next_seq.max(seq + 1);
            }
            *next_seq = (*next_seq).max(seq + 1);
        }
        Ok(())
    }

    /// Marks all batches numbered below `seq` as completed, and removes segments with only such
    /// batches.
    ///
    /// # Errors
    /// The write failed, or a segment cannot be removed.
    pub fn done_below(&mut self, seq: u64) -> io::Result<()> {
        if seq <= self.done {
            return Ok(());
        }
        self.done = seq;
        let marked = self.write(seq, MARK, b"");
        // Even if the mark did not fit: this frees space.
        self.drop_done()?;
        marked
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Adopts a new limit of the queue.
    pub fn set_limit(&mut self, limit: usize) {
        self.segment_bytes = segment_bytes(limit);
    }

    /// The size of the segments.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.bytes).sum()
    }

    /// Flushes everything to the disk.
    ///
    /// # Errors
    /// The disk failed.
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
        record::write(&mut self.record, seq, points, lines);
        if let Err(error) = file.write_all(&self.record) {
            // No record may follow an incomplete one.
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
        if let Err(error) = file.write_all(&self.header) {
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        self.segments.push(Segment { path, next_seq: 0, bytes: self.header.len() as u64 });
        self.file = Some(file);
        Ok(())
    }

    fn seal(&mut self) {
        if let Some(file) = self.file.take() {
            // The kernel has the data; an error here cannot be handled.
            let _ = file.sync_data();
        }
    }

    /// Removes segments from the front, so that a mark outlives the batches it refers to.
    fn drop_done(&mut self) -> io::Result<()> {
        let closed = self.segments.len() - usize::from(self.file.is_some());
        let done = self.segments[..closed].iter().take_while(|s| s.next_seq <= self.done).count();
        self.segments.drain(..done).try_for_each(|s| std::fs::remove_file(s.path))
    }
}

fn segment_bytes(limit: usize) -> u64 {
    (limit as u64 / 8).clamp(64 << 10, 8 << 20)
}

/// The number in a segment's name; rejects numbers near the maximum.
fn number(path: &Path) -> Option<u64> {
    let is_segment = path.extension().is_some_and(|e| e == "spool");
    let number = path.file_stem()?.to_str()?.parse().ok()?;
    (is_segment && number < 1 << 62).then_some(number)
}

#[cfg(test)]
mod tests;
