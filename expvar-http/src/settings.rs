//! The settings of a server or a service.

use std::fmt;

use expvar::Registry;

use crate::Prometheus;
use crate::auth::Credentials;
use crate::host::Hosts;
use crate::limits::Limits;
use crate::pages::Pages;

/// What [`Builder`](crate::Builder) sets.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) registry: Registry,
    pub(crate) prometheus: Prometheus,
    pub(crate) hosts: Hosts,
    pub(crate) credentials: Credentials,
    pub(crate) limits: Limits,
    /// Whether history is recorded from the start.
    pub(crate) history: bool,
    pub(crate) pages: Pages,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            registry: expvar::global().clone(),
            prometheus: Prometheus::new(),
            hosts: Hosts::of_this_machine(),
            credentials: Credentials::default(),
            limits: Limits::default(),
            history: false,
            pages: Pages::none(),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("hosts", &self.hosts)
            .field("credentials", &self.credentials)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
