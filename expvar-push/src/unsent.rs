//! What is left when a deadline passed.

/// Points not sent, or sent but not confirmed, when a deadline passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsent {
    /// Points that were not written to any connection: of several servers that get the same the
    /// slowest one's, of those that share the points all of theirs.
    pub points: u64,
    /// The bytes of those lines.
    pub bytes: u64,
    /// Points that were written, but whose server had not shown yet that it had read them.
    pub unconfirmed: u64,
}
