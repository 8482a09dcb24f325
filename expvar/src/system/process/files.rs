//! Small kernel files, read into one reused buffer.

use std::fs::File;
use std::io::{self, ErrorKind, Read};

/// The size limit of a file; `/proc/self/mountinfo` is the longest.
const LIMIT: usize = 1 << 20;

/// Reads files below a root, and counts failures.
///
/// Returns whole lines only: a file truncated within a number must not yield a smaller number.
#[derive(Debug, Default)]
pub(crate) struct Files {
    root: String,
    path: String,
    buffer: Vec<u8>,
    /// Whether the last read is already counted as a failure.
    failed: bool,
    /// Files that were missing, unreadable, truncated or in an unknown format.
    pub(crate) failures: u64,
}

impl Files {
    /// `root` is put before every path. Default: none.
    #[cfg(test)]
    pub(crate) fn new(root: &str) -> Files {
        Files { root: root.to_owned(), ..Files::default() }
    }

    /// The lines of a file that should exist; anything else counts as a failure.
    pub(crate) fn read(&mut self, path: &[&str]) -> Option<&[u8]> {
        let length = self.fill_lines(path);
        self.check(length.as_ref().is_ok_and(|length| *length > 0));
        Some(&self.buffer[..length.ok()?])
    }

    /// The lines of a file that a kernel or container need not have; if it is absent or empty, that
    /// is not a failure.
    pub(crate) fn read_if_there(&mut self, path: &[&str]) -> Option<&[u8]> {
        let length = self.fill_lines(path);
        self.check(length.as_ref().err().is_none_or(is_absent));
        Some(&self.buffer[..length.ok()?])
    }

    /// Counts the last file as a failure, once, if it was not `understood`.
    pub(crate) fn check(&mut self, understood: bool) {
        if !understood && !self.failed {
            self.failed = true;
            self.failures += 1;
        }
    }

    /// A file without lines, if it exists.
    pub(crate) fn read_binary(&mut self, path: &[&str]) -> Option<&[u8]> {
        let length = self.fill(path).ok()?;
        Some(&self.buffer[..length])
    }

    /// Fills the buffer; returns the length of its whole lines.
    fn fill_lines(&mut self, path: &[&str]) -> io::Result<usize> {
        self.failed = false;
        let length = self.fill(path)?;
        let newline = self.buffer[..length].iter().rposition(|byte| *byte == b'\n');
        let whole = newline.map_or(0, |newline| newline + 1);
        self.check(whole == length);
        Ok(whole)
    }

    fn fill(&mut self, path: &[&str]) -> io::Result<usize> {
        self.path.clear();
        self.path.push_str(&self.root);
        path.iter().for_each(|part| self.path.push_str(part));
        let mut file = File::open(&self.path)?;
        let mut length = 0;
        loop {
            if length == self.buffer.len() {
                if length >= LIMIT {
                    break;
                }
                self.buffer.resize((2 * length).clamp(1 << 13, LIMIT), 0);
            }
            match file.read(&mut self.buffer[length..]) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(length)
    }
}

/// Whether the file does not exist, or no longer does.
fn is_absent(error: &io::Error) -> bool {
    // ESRCH: the thread ended after its file was opened. ENODEV: the control group was removed
    // meanwhile.
    const GONE: [i32; 2] = [3, 19];
    // Unsupported: pressure is compiled in but switched off.
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported)
        || cfg!(any(target_os = "linux", target_os = "android"))
            && error.raw_os_error().is_some_and(|code| GONE.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(content: &[u8]) -> (tempfile::TempDir, Files) {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("file"), content).unwrap();
        let files = Files::new(root.path().to_str().unwrap());
        (root, files)
    }

    #[test]
    fn a_line_cut_short_is_left_out_and_counted() {
        let (_root, mut files) = files(b"VmSize: 10 kB\nVmRSS: 1");
        assert_eq!(files.read(&["/", "file"]), Some(&b"VmSize: 10 kB\n"[..]));
        assert_eq!(files.failures, 1);
    }

    #[test]
    fn a_missing_file_counts_only_where_it_must_be_there() {
        let (_root, mut files) = files(b"");
        assert_eq!(files.read_if_there(&["/none"]), None);
        assert_eq!(files.failures, 0);
        assert_eq!(files.read(&["/none"]), None);
        assert_eq!(files.failures, 1);
    }

    #[test]
    fn an_empty_file_counts_only_where_something_must_be_in_it() {
        let (_root, mut files) = files(b"");
        assert_eq!(files.read_if_there(&["/file"]), Some(&b""[..]));
        assert_eq!(files.failures, 0);
        assert_eq!(files.read(&["/file"]), Some(&b""[..]));
        assert_eq!(files.failures, 1);
    }

    #[test]
    fn what_went_while_it_was_read_is_absent() {
        assert!(is_absent(&io::Error::from_raw_os_error(3)), "ESRCH, of an ended thread");
        assert!(is_absent(&io::Error::from_raw_os_error(19)), "ENODEV, of a removed group");
        assert!(!is_absent(&io::Error::from_raw_os_error(13)), "EACCES");
    }

    #[test]
    fn an_unreadable_file_counts_everywhere() {
        let (_root, mut files) = files(b"");
        assert_eq!(files.read_if_there(&["/"]), None, "a directory has no lines");
        assert_eq!(files.failures, 1);
    }

    #[test]
    fn a_file_without_an_end_is_cut_at_the_limit() {
        let (_root, mut files) = files(&b"0123456\n".repeat(LIMIT / 8 + 1));
        assert_eq!(files.read(&["/file"]).map(<[u8]>::len), Some(LIMIT));
    }
}
