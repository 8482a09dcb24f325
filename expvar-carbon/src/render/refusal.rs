//! Reasons for rejecting points, and their counts.

/// Why a point is rejected before it is sent: no server would store it, or it would damage other
/// points.
///
/// ```
/// use expvar_carbon::{Lines, Refusal};
///
/// let mut lines = Lines::new();
/// assert!(!lines.point("load", f64::NAN, 1_700_000_000));
/// assert_eq!(lines.refused().get(Refusal::NotANumber), 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum Refusal {
    /// The name has no segment.
    EmptyName,
    /// The name or a segment of it is longer than a server's file system takes.
    LongName,
    /// The value is NaN.
    NotANumber,
    /// The value is infinite.
    Infinite,
    /// The timestamp is 0, or past the year 2106 (milliseconds, usually).
    Timestamp,
    /// Another variable has the same name after making it safe.
    Conflict,
    /// The line does not fit into a datagram of 1,400 bytes.
    LongDatagram,
}

impl Refusal {
    /// Every reason.
    pub const ALL: &'static [Refusal] = &Self::EVERY;

    pub(crate) const EVERY: [Refusal; 7] = [
        Refusal::EmptyName,
        Refusal::LongName,
        Refusal::NotANumber,
        Refusal::Infinite,
        Refusal::Timestamp,
        Refusal::Conflict,
        Refusal::LongDatagram,
    ];

    /// The reason as a key: lower case, with underscores.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::EmptyName => "empty_name",
            Refusal::LongName => "long_name",
            Refusal::NotANumber => "nan",
            Refusal::Infinite => "infinite",
            Refusal::Timestamp => "timestamp",
            Refusal::Conflict => "conflict",
            Refusal::LongDatagram => "long_datagram",
        }
    }

    /// A remedy.
    pub fn remedy(self) -> &'static str {
        match self {
            Refusal::EmptyName => "give the variable a name",
            Refusal::LongName => "shorten the name or the keys below it to 251 bytes a segment",
            Refusal::NotANumber => "set no gauge to NaN, or exclude it",
            Refusal::Infinite => "set no gauge to infinity, or exclude it",
            Refusal::Timestamp => "give timestamps in seconds since 1970",
            Refusal::Conflict => "rename one of the variables; last_conflict names one",
            Refusal::LongDatagram => "use tcp:// for names of such length",
        }
    }
}

/// How many points were rejected, by reason.
///
/// ```
/// let mut lines = expvar_carbon::Lines::new();
/// lines.point("", 1_u64, 1_700_000_000);
/// let refused: Vec<_> = lines.refused().iter().filter(|(_, points)| *points > 0).collect();
/// assert_eq!(refused[0].0.name(), "empty_name");
/// assert_eq!(lines.refused().total(), 1);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused([u64; Refusal::EVERY.len()]);

impl Refused {
    /// How many were rejected for `reason`.
    pub fn get(&self, reason: Refusal) -> u64 {
        self.0[reason as usize]
    }

    /// How many were rejected in total.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Every reason with its count, including zeros.
    pub fn iter(&self) -> impl Iterator<Item = (Refusal, u64)> + '_ {
        Refusal::EVERY.iter().map(|&reason| (reason, self.get(reason)))
    }

    pub(crate) fn from_counts(count: impl Fn(Refusal) -> u64) -> Self {
        Self(Refusal::EVERY.map(count))
    }

    pub(crate) fn add(&mut self, reason: Refusal) {
        self.0[reason as usize] += 1;
    }
}
