//! The variables of each route, found without a lock by those who know it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use expvar::{Counter, Gauge, Histogram, Map};
use http::{Method, StatusCode};

use super::Maps;
use super::grpc::Calls;

/// Routes of one layer.
const ROUTES: usize = 1000;
/// Statuses of a route and method that are found at once; others take a lock.
const STATUSES: usize = 12;
const OTHER: &str = "(other)";
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", OTHER];

pub(super) struct Routes {
    maps: Maps,
    routes: RwLock<HashMap<Box<str>, Arc<Route>>>,
}

#[derive(Debug)]
pub(super) struct Route {
    pub(super) template: Box<str>,
    in_flight: Arc<Gauge>,
    requests: Arc<Map>,
    latency: Arc<Map>,
    pub(super) calls: Arc<Calls>,
    methods: [OnceLock<ByMethod>; METHODS.len()],
}

#[derive(Debug)]
struct ByMethod {
    latency: Arc<Histogram>,
    requests: Arc<Map>,
    statuses: [OnceLock<(Outcome, Arc<Counter>)>; STATUSES],
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Status(StatusCode),
    Error,
    Cancelled,
}

impl Outcome {
    fn name(&self) -> &str {
        match self {
            Self::Status(status) => status.as_str(),
            Self::Error => "(error)",
            Self::Cancelled => "(cancelled)",
        }
    }
}

impl Routes {
    pub(super) fn new(maps: Maps) -> Self {
        Self { maps, routes: RwLock::default() }
    }

    /// The route of a template, or the one that takes what is past the limit.
    pub(super) fn find_or_make(&self, template: &str) -> Arc<Route> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = routes.get(template) {
            return Arc::clone(route);
        }
        drop(routes);
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let full = routes.len() >= ROUTES && !routes.contains_key(template);
        if full {
            expvar::__private::count_overflow();
        }
        let template = if full { OTHER } else { template };
        let make = || Arc::new(Route::new(&self.maps, template));
        Arc::clone(routes.entry(template.into()).or_insert_with(make))
    }
}

impl Route {
    fn new(maps: &Maps, template: &str) -> Self {
        Self {
            template: template.into(),
            in_flight: maps.in_flight.gauge(template),
            requests: maps.requests.map(template),
            latency: maps.latency.map(template),
            calls: Arc::clone(&maps.calls),
            methods: [const { OnceLock::new() }; METHODS.len()],
        }
    }

    /// A request begins.
    pub(super) fn start(self: Arc<Self>, method: &Method) -> Running {
        self.in_flight.inc();
        let method = match *method {
            Method::GET => 0,
            Method::HEAD => 1,
            Method::POST => 2,
            Method::PUT => 3,
            Method::PATCH => 4,
            Method::DELETE => 5,
            Method::OPTIONS => 6,
            Method::CONNECT => 7,
            Method::TRACE => 8,
            _ => 9,
        };
        Running { route: self, method, outcome: Outcome::Cancelled, start: Instant::now() }
    }

    fn method(&self, method: usize) -> &ByMethod {
        self.methods[method].get_or_init(|| {
            let name = METHODS[method];
            ByMethod {
                latency: self.latency.histogram(name),
                requests: self.requests.map(name),
                statuses: [const { OnceLock::new() }; STATUSES],
            }
        })
    }
}

impl ByMethod {
    fn count(&self, outcome: Outcome) {
        for status in &self.statuses {
            let (known, counter) = status.get_or_init(|| (outcome, self.counter(outcome)));
            if *known == outcome {
                return counter.inc();
            }
        }
        self.counter(outcome).inc();
    }

    fn counter(&self, outcome: Outcome) -> Arc<Counter> {
        self.requests.counter(outcome.name())
    }
}

/// A request that has no response yet. One that is dropped was cancelled.
#[derive(Debug)]
pub(super) struct Running {
    route: Arc<Route>,
    method: usize,
    outcome: Outcome,
    start: Instant,
}

impl Running {
    pub(super) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    pub(super) fn route(&self) -> &Arc<Route> {
        &self.route
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.route.in_flight.dec();
        let method = self.route.method(self.method);
        method.latency.record_duration(self.start.elapsed());
        method.count(self.outcome);
    }
}
