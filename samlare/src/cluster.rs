//! Several samlare processes that share their endpoints.
//!
//! An [`Engine`] keeps the list of members; each member computes by itself what it polls, see
//! [`Owners`]. No point passes through the engine, and without it the last list stays in force. If
//! two members poll the same endpoint they write the same names at the same times, and Carbon
//! overwrites; so ownership always overlaps. A member that gains an endpoint starts at once if the
//! slot may have been missed, and one that loses it continues for this slot and the next. See
//! [`Duty`].

mod doubt;
mod duty;
mod engine;
mod etcd;
mod fingerprint;
mod look;
mod membership;
mod owners;
mod seat;
mod settings;
mod status;
mod troubles;
mod view;

pub use duty::{Begin, Duty};
pub use engine::{Change, Changes, Engine, Entry, Keeper, Lease, Pending, Reporter, Standing};
pub use etcd::Etcd;
pub use fingerprint::fingerprint;
pub use look::look;
pub use membership::{Counted, Membership, Start};
pub use owners::Owners;
pub use seat::Seat;
pub use settings::{Address, Login, Settings};
pub use status::{Report, Status};
pub use view::View;

pub(crate) use doubt::Doubt;
