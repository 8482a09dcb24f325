//! Real programs for the tests of this workspace to talk to, and the Python environment that
//! they run in. Not published.
#![forbid(unsafe_code)]

mod carbon;
mod collector;
pub mod contrib;
mod etcd;
mod port;
mod prometheus;
mod python;
mod two_addresses;
mod whisper;

pub use carbon::{CarbonCache, carbon_python};
pub use collector::collector;
pub use etcd::EtcdCluster;
pub use port::free_port;
pub use prometheus::Prometheus;
pub use python::python;
pub use two_addresses::{TwoAddresses, with_hosts};
pub use whisper::{read_whisper, whisper_archives};
