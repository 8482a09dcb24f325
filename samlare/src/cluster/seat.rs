//! The published state of a member.

use serde::{Deserialize, Serialize};

/// The value of a member's entry: JSON of a few hundred bytes. Other versions may add fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seat {
    /// Its name, by which endpoints are shared.
    pub name: String,
    /// Its group.
    pub group: String,
    /// A random text for each process.
    pub instance: String,
    /// When it joined, in milliseconds of Unix time by its own clock.
    pub since_ms: u64,
    /// When it published this, by the same clock.
    pub now_ms: u64,
    /// A hash of its configuration, see [`fingerprint`](super::fingerprint()).
    pub config: String,
    /// How many endpoints it polls.
    pub endpoints: u64,
    /// How many points the last polls of all its endpoints had.
    pub points: u64,
    /// It is about to leave, and continues for one slot.
    pub leaving: bool,
    /// Its program's version.
    pub version: String,
}

impl Seat {
    /// Its key.
    pub fn key(&self) -> String {
        format!("{}/{}", escaped(&self.name), self.instance)
    }

    /// The value.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads an entry's value.
    ///
    /// # Errors
    /// It is not a samlare member's value.
    pub fn parse(value: &str) -> Result<Seat, String> {
        let seat: Seat = serde_json::from_str(value).map_err(|error| error.to_string())?;
        if seat.name.is_empty() || seat.instance.is_empty() {
            return Err("it has no name".to_owned());
        }
        Ok(seat)
    }
}

/// A text as one part of a key.
pub(super) fn escaped(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
    utf8_percent_encode(text, KEPT).to_string()
}
