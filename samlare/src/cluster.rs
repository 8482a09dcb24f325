//! Several samlares that share their endpoints.
//!
//! An [`Engine`] says who is a member; each member computes by itself what it polls, see
//! [`Owners`]. No point passes through the engine, and losing it stops nobody: the last members
//! stay in force. Two members that poll one endpoint write the same names at the same times, and
//! Carbon overwrites: so ownership always overlaps. Who gains an endpoint begins at once where the
//! slot may have been missed, and who loses one goes on for this slot and the next, see [`Duty`].

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
