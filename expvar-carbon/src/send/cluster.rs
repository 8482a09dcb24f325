//! Clusters: servers that share a route.

use expvar_push::ConfigError;

use crate::send::address::Address;
use crate::send::route::{Dialect, Hashing, Route, Router};

/// Servers that share a route, for names that match a pattern. See
/// [`SenderBuilder::matching`](crate::SenderBuilder::matching).
///
/// ```
/// use expvar_carbon::{Cluster, Route, Sender};
///
/// let tests = Cluster::to("graphite-test:2003");
/// let sender = Sender::builder()
///     .to("graphite1:2003=a")
///     .to("graphite2:2003=b")
///     .route(Route::CarbonCh)
///     .matching("test.**", tests);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Cluster {
    pub(crate) addresses: Vec<String>,
    pub(crate) route: Route,
    pub(crate) replication: Option<usize>,
    pub(crate) dialect: Dialect,
    pub(crate) diverse: bool,
}

impl Cluster {
    /// Creates a cluster with one server ([`Address`]).
    pub fn to(address: impl Into<String>) -> Self {
        Self::default().and(address)
    }

    /// Adds a server.
    pub fn and(mut self, address: impl Into<String>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// Sets which of the servers get a point. Default: the first one that answers.
    pub fn route(mut self, route: Route) -> Self {
        self.route = route;
        self
    }

    /// Sets how many servers get each point with a hash route. Default: 1.
    pub fn replication(mut self, copies: usize) -> Self {
        self.replication = Some(copies);
        self
    }

    /// Sets whose hashes to use. Default: carbon-c-relay's.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// Sets whether the copies of a point go to different hosts (carbon-relay's
    /// `DIVERSE_REPLICAS`).
    pub fn diverse(mut self, diverse: bool) -> Self {
        self.diverse = diverse;
        self
    }

    /// Builds a router that chooses servers as this cluster's route does.
    ///
    /// ```
    /// use expvar_carbon::{Cluster, Route};
    ///
    /// let cluster = Cluster::to("10.0.0.1:2003").and("10.0.0.2:2003").route(Route::JumpFnv1aCh);
    /// assert_eq!(cluster.router()?.route(b"apps.app1.requests"), [0]);
    /// # Ok::<(), expvar_carbon::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// A setting is invalid, or the route does not choose by names.
    pub fn router(&self) -> Result<Router, ConfigError> {
        let addresses = self.parse()?;
        if !self.route.is_hash() {
            return Err(ConfigError::new(
                "route",
                format!("{} does not choose by names", self.route),
                "use carbon_ch, fnv1a_ch, jump_fnv1a_ch or mmh3_ch",
            ));
        }
        Router::new(self.hashing(), &addresses)
    }

    pub(crate) fn parse(&self) -> Result<Vec<Address>, ConfigError> {
        let addresses: Vec<Address> =
            self.addresses.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        if addresses.is_empty() {
            return Err(ConfigError::new("to", "there is no server", "name one: graphite:2003"));
        }
        for (at, address) in addresses.iter().enumerate() {
            if addresses[..at].contains(address) {
                return Err(ConfigError::new(
                    "to",
                    format!("{address} is given twice"),
                    "name each server once",
                ));
            }
        }
        if self.replication.is_some() && !self.route.is_hash() {
            return Err(ConfigError::new(
                "replication",
                format!("the route {} has none", self.route),
                "choose the servers by a hash: carbon_ch, fnv1a_ch or jump_fnv1a_ch",
            ));
        }
        Ok(addresses)
    }

    pub(crate) fn hashing(&self) -> Hashing {
        Hashing {
            route: self.route,
            dialect: self.dialect,
            replication: self.replication.unwrap_or(1),
            diverse: self.diverse,
        }
    }
}
