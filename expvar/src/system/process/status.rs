//! A process's memory in `/proc/self/status`.

use super::entries::{entries, kibibytes, number};
use super::files::Files;

/// Sizes in bytes; `None` if absent from the file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Status {
    /// Address space mapped (`VmSize`).
    pub(crate) size: Option<u64>,
    /// Resident, of all kinds (`VmRSS`).
    pub(crate) resident: Option<u64>,
    /// Peak of resident memory (`VmHWM`).
    pub(crate) peak: Option<u64>,
    /// Resident memory without a file: heap and stacks (`RssAnon`, Linux 4.5).
    pub(crate) anonymous: Option<u64>,
    /// Resident memory of files: program text, libraries, mapped files (`RssFile`).
    pub(crate) file: Option<u64>,
    /// Resident shared memory without a file: `shm`, `tmpfs` (`RssShmem`).
    pub(crate) shared: Option<u64>,
    /// Anonymous memory that is swapped out (`VmSwap`).
    pub(crate) swap: Option<u64>,
    /// Private writable mappings: data, heap and the stacks of threads (`VmData`).
    pub(crate) data: Option<u64>,
    /// The main thread's stack (`VmStk`).
    pub(crate) stack: Option<u64>,
    /// Program text (`VmExe`).
    pub(crate) text: Option<u64>,
    /// Text of shared libraries (`VmLib`).
    pub(crate) libraries: Option<u64>,
    /// Page tables (`VmPTE`).
    pub(crate) page_tables: Option<u64>,
    /// Live threads (`Threads`).
    pub(crate) threads: Option<u64>,
}

impl Status {
    /// This process's; all `None` without the file.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn read(files: &mut Files) -> Status {
        let status = files.read(&["/proc/self/status"]).map(Status::parse).unwrap_or_default();
        files.check(status.is_understood());
        status
    }

    /// Linux only.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn read(_: &mut Files) -> Status {
        Status::default()
    }

    fn parse(text: &[u8]) -> Status {
        let mut status = Status::default();
        for (name, value) in entries(text) {
            let (field, parsed) = match name {
                b"VmSize" => (&mut status.size, kibibytes(value)),
                b"VmRSS" => (&mut status.resident, kibibytes(value)),
                b"VmHWM" => (&mut status.peak, kibibytes(value)),
                b"RssAnon" => (&mut status.anonymous, kibibytes(value)),
                b"RssFile" => (&mut status.file, kibibytes(value)),
                b"RssShmem" => (&mut status.shared, kibibytes(value)),
                b"VmSwap" => (&mut status.swap, kibibytes(value)),
                b"VmData" => (&mut status.data, kibibytes(value)),
                b"VmStk" => (&mut status.stack, kibibytes(value)),
                b"VmExe" => (&mut status.text, kibibytes(value)),
                b"VmLib" => (&mut status.libraries, kibibytes(value)),
                b"VmPTE" => (&mut status.page_tables, kibibytes(value)),
                b"Threads" => (&mut status.threads, number(value)),
                _ => continue,
            };
            *field = parsed;
        }
        status
    }

    /// Whether the format was recognized.
    fn is_understood(&self) -> bool {
        self.resident.is_some() && self.size.is_some() && self.threads.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes() {
        let text = b"Name:\tVmRSS: 1 kB\nVmSize:\t    3060 kB\nVmRSS:\t    1724 kB\n\
            RssAnon:\t     112 kB\nRssFile:\t    1612 kB\nVmSwap:\t       8 kB\nThreads:\t7\n";
        let status = Status::parse(text);
        assert!(status.is_understood());
        assert_eq!(status.resident, Some(1724 * 1024));
        assert_eq!(status.anonymous, Some(112 * 1024));
        assert_eq!(status.swap, Some(8 * 1024));
        assert_eq!(status.threads, Some(7));
        assert_eq!(status.peak, None);
    }

    #[test]
    fn an_unknown_format_is_known_to_be_unknown() {
        assert!(!Status::parse(b"VmSize = 3060\nVmRSS = 1724\n").is_understood());
        assert!(!Status::parse(b"").is_understood());
    }

    #[test]
    fn a_number_that_overflows_is_absent() {
        let text = b"VmSize:\t99999999999999999999 kB\nVmRSS:\t1 kB\nThreads:\t1\n";
        assert_eq!(Status::parse(text).size, None);
        assert_eq!(Status::parse(text).resident, Some(1024));
    }
}
