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
use fs4::FileExt;

use crate::queue::Batch;

/// The version of the format. Files of a later version are left unchanged.
const VERSION: &str = "1";
const HEAD_BYTES: usize = 20;
const MARK: u32 = u32::MAX;

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
                None if read_record(&data, at).is_none() => {
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
            let Some((record, end)) = read_record(&data, at) else {
                found.damaged += 1;
                match next_record(&data, at, next_seq) {
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
        self.record.clear();
        self.record.extend_from_slice(&[0; 4]);
        self.record.extend_from_slice(&(lines.len() as u32).to_le_bytes());
        self.record.extend_from_slice(&seq.to_le_bytes());
        self.record.extend_from_slice(&points.to_le_bytes());
        self.record.extend_from_slice(lines);
        let crc = crc32fast::hash(&self.record[4..]);
        self.record[..4].copy_from_slice(&crc.to_le_bytes());
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

/// The next valid record after a damaged one at `at`: directly after it if its length is valid, or
/// anywhere. `None` if there is no other.
fn next_record(data: &Bytes, at: usize, next_seq: u64) -> Option<usize> {
    if let Some(head) = data.get(at..at + HEAD_BYTES) {
        let length = u32::from_le_bytes([4, 5, 6, 7].map(|n| head[n]));
        let end = (at + HEAD_BYTES).saturating_add(length as usize);
        if end == data.len() || end < data.len() && read_record(data, end).is_some() {
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
    (at + 1..data.len()).filter(follows).find(|&at| read_record(data, at).is_some())
}

/// Locks a directory against other processes: a lock on a file in it and, where the system supports
/// that, on the directory itself, so that the file may be removed.
#[derive(Debug)]
struct Hold {
    _file: File,
    #[cfg(unix)]
    dir: File,
}

impl Hold {
    fn take(dir: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(dir.join("lock"))?;
        let in_use =
            || io::Error::new(io::ErrorKind::AddrInUse, "another process uses this directory");
        FileExt::try_lock(&file).map_err(|_| in_use())?;
        #[cfg(unix)]
        let dir = {
            let dir = File::open(dir)?;
            // Network file systems have no locks on directories; the file's lock must suffice.
            if let Err(fs4::TryLockError::WouldBlock) = FileExt::try_lock(&dir) {
                return Err(in_use());
            }
            dir
        };
        Ok(Self {
            _file: file,
            #[cfg(unix)]
            dir,
        })
    }

    /// Whether the directory at this path is still the locked one.
    fn is_of(&self, path: &Path) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
            let there = std::fs::metadata(path).map(id);
            there.is_ok_and(|there| self.dir.metadata().map(id).is_ok_and(|held| held == there))
        }
        #[cfg(not(unix))]
        path.exists()
    }
}

/// Whether a file still has a name.
fn is_linked(file: &File) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        file.metadata().is_ok_and(|metadata| metadata.nlink() > 0)
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        true
    }
}

enum Record {
    Batch(u64, Batch),
    Done(u64),
}

/// Reads the record at `at`, if it is complete and valid, and returns its end.
fn read_record(data: &Bytes, at: usize) -> Option<(Record, usize)> {
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
        Spool::open(dir, "expvar-carbon", 1 << 20).unwrap()
    }

    const FORMAT: &[u8] = b"expvar-carbon spool 1\n";

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
            if at >= FORMAT.len() {
                assert!(found.batches.is_empty() && found.damaged == 1, "byte {at}");
            } else {
                assert_eq!(texts(&found), [(0, "a 1 1\n")], "the first line says nothing else");
            }
            assert_eq!(found.problems.len(), 1, "byte {at}");
        }
    }

    #[test]
    fn a_damaged_byte_costs_its_record_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(dir.path());
        let batches: Vec<_> =
            (0..3).map(|n| (n, batch(&format!("a {n} 1\n").repeat(20)))).collect();
        spool.append(&batches, &mut 0).unwrap();
        let path = spool.segments[0].path.clone();
        drop(spool);
        let whole = std::fs::read(&path).unwrap();
        let record = HEAD_BYTES + batches[0].1.bytes.len();
        for at in FORMAT.len()..whole.len() {
            for bit in [0, 7] {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                std::fs::write(&path, &damaged).unwrap();
                let (_spool, found) = open(dir.path());
                let lost = ((at - FORMAT.len()) / record) as u64;
                let rest: Vec<_> = (0..3).filter(|n| *n != lost).collect();
                let got: Vec<_> = found.batches.iter().map(|(n, _)| *n).collect();
                assert_eq!((got, found.damaged), (rest, 1), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn files_that_are_not_ours_are_named_and_left_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(dir.path());
        spool.append(&[(0, batch("a 1 1\n"))], &mut 0).unwrap();
        drop(spool);
        let later = b"expvar-carbon spool 2\nwhatever that holds".as_slice();
        let files = [
            ("00000000000000000007.spool", later, "the format 2 of a later release"),
            ("8.spool", b"a photograph".as_slice(), "not a spool of this program"),
            ("9.spool", b"expvar-otlp spool 1\n".as_slice(), "not a spool of this program"),
        ];
        for (name, content, _) in files {
            std::fs::write(dir.path().join(name), content).unwrap();
        }
        std::fs::create_dir(dir.path().join("10.spool")).unwrap();
        std::fs::write(dir.path().join("18446744073709551615.spool"), "far").unwrap();
        for _ in 0..2 {
            let (mut spool, found) = open(dir.path());
            assert_eq!(texts(&found)[0], (0, "a 1 1\n"));
            assert_eq!(found.damaged, 0);
            assert_eq!(found.problems.len(), 4, "{:?}", found.problems);
            for ((path, problem), (name, content, expected)) in found.problems.iter().zip(files) {
                assert!(path.ends_with(name) && problem.contains(expected), "{problem}");
                assert_eq!(std::fs::read(path).unwrap(), content);
            }
            let next = found.next_seq;
            spool.append(&[(next, batch("b 1 1\n"))], &mut 0).unwrap();
        }
        assert_eq!(open(dir.path()).1.batches.len(), 3);
    }

    #[cfg(unix)]
    #[test]
    fn a_removed_directory_is_made_again_and_a_removed_lock_lets_nobody_in() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("spool");
        let (mut spool, _) = open(&dir);
        let batches = [(0, batch("a 1 1\n")), (1, batch("b 1 1\n"))];
        assert!(!spool.renew().unwrap());
        spool.append(&batches[..1], &mut 0).unwrap();
        assert!(!spool.renew().unwrap());
        std::fs::remove_file(dir.join("lock")).unwrap();
        assert!(Spool::open(&dir, "expvar-carbon", 1 << 20).is_err(), "the directory is held too");
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(spool.renew().unwrap());
        spool.append(&batches, &mut 0).unwrap();
        assert!(Spool::open(&dir, "expvar-carbon", 1 << 20).is_err(), "held again");
        // One file alone.
        std::fs::remove_file(&spool.segments[0].path).unwrap();
        assert!(spool.renew().unwrap());
        spool.append(&batches, &mut 0).unwrap();
        drop(spool);
        assert_eq!(texts(&open(&dir).1), [(0, "a 1 1\n"), (1, "b 1 1\n")]);
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
        let error = Spool::open(dir.path(), "expvar-carbon", 1 << 20).unwrap_err();
        assert_eq!(error.to_string(), "another process uses this directory");
    }
}
