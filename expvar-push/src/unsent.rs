//! What was unsent at a deadline.

/// Points not sent, or sent but not confirmed, when a deadline passed.
///
/// ```
/// let unsent = expvar_push::Unsent::default();
/// assert_eq!((unsent.points, unsent.bytes, unsent.unconfirmed), (0, 0, 0));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsent {
    /// Points not written to any connection. If several servers get copies, the slowest one's; if
    /// they share the points, the sum.
    pub points: u64,
    /// The size of those lines.
    pub bytes: u64,
    /// Points written without a confirmation that the server has read them.
    pub unconfirmed: u64,
}
