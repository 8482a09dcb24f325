//! Shards: which of several processes polls an endpoint.
//!
//! Rendezvous hashing: for a URL, every shard has the weight `XXH64(url, seed = shard number)` and
//! the heaviest owns the URL (ties go to the lower number). Shards need no communication, and when
//! one is added only the URLs that it gains move: a sixth of them when five become six. The
//! assignment is the same in every version, on every machine.

use std::fmt;
use std::str::FromStr;

use xxhash_rust::xxh64::xxh64;

/// The most shards.
pub const MAX_SHARDS: u32 = 10_000;

/// One shard of the endpoints: `number` of `of`, counted from 1.
///
/// Written `2/5`, or `ordinal/5` for the number at the end of the host's name (`samlare-0` is
/// `1/5`, because a StatefulSet counts its pods from 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: u32,
    of: u32,
}

/// The error of parsing a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardError(String);

impl Shard {
    /// Creates shard `number` (from 1) of `of`.
    ///
    /// # Errors
    /// `number` is not in `1..=of`, or `of` exceeds [`MAX_SHARDS`].
    pub fn new(number: u32, of: u32) -> Result<Shard, ShardError> {
        if of == 0 || of > MAX_SHARDS {
            return Err(ShardError(format!("a shard is one of 1 to {MAX_SHARDS}, not of {of}")));
        }
        if number == 0 || number > of {
            return Err(ShardError(format!(
                "shard {number}/{of} does not exist: the first is 1/{of}, the last {of}/{of}"
            )));
        }
        Ok(Shard { number, of })
    }

    /// Parses `2/5`, or `ordinal/5` with the ordinal of `host_name`.
    ///
    /// # Errors
    /// The text has neither form, the shard does not exist, or the host's name does not end in a
    /// number.
    pub fn parse(text: &str, host_name: &str) -> Result<Shard, ShardError> {
        let understood = "write \"2/5\" for the second of five, or \"ordinal/5\" to take the \
                          number from the end of the host's name";
        let (number, of) = text
            .trim()
            .split_once('/')
            .ok_or_else(|| ShardError(format!("{text:?} is no shard: {understood}")))?;
        let of: u32 = of
            .trim()
            .parse()
            .map_err(|_| ShardError(format!("{text:?} is no shard: {understood}")))?;
        if number.trim().eq_ignore_ascii_case("ordinal") {
            let ordinal = ordinal(host_name).ok_or_else(|| {
                ShardError(format!("the host's name {host_name:?} ends in no number: {understood}"))
            })?;
            if ordinal >= of {
                return Err(ShardError(format!(
                    "the host's name {host_name:?} ends in {ordinal}, but of {of} shards the \
                     last is {}: start no more than {of} replicas, or raise {of}",
                    of.saturating_sub(1)
                )));
            }
            return Shard::new(ordinal + 1, of);
        }
        let number = number
            .trim()
            .parse()
            .map_err(|_| ShardError(format!("{text:?} is no shard: {understood}")))?;
        Shard::new(number, of)
    }

    /// Whether this shard owns the endpoint at `url`.
    ///
    /// Costs one hash of the URL for each shard.
    pub fn owns(&self, url: &str) -> bool {
        self.of == 1 || owner(url, self.of) == self.number
    }
}

/// The shard that owns `url`, counted from 1.
pub fn owner(url: &str, of: u32) -> u32 {
    let mut best = (0, 0);
    for number in 1..=of {
        let weight = xxh64(url.as_bytes(), u64::from(number));
        if best.0 == 0 || weight > best.1 {
            best = (number, weight);
        }
    }
    best.0
}

/// The number at the end of the first label of a host's name.
fn ordinal(host_name: &str) -> Option<u32> {
    let first = host_name.split('.').next()?;
    let digits = first.len() - first.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    first[first.len() - digits..].parse().ok()
}

/// Parses `2/5`. `ordinal/5` needs the host's name: see [`Shard::parse`].
impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Shard, ShardError> {
        Shard::parse(text, "")
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl fmt::Display for ShardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ShardError {}
