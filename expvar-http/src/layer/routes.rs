//! Each route's variables, looked up without a lock.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use expvar::{Counter, Gauge, Histogram, Map};
use foldhash::fast::RandomState;
use http::{Method, StatusCode};
use once_cell::sync::OnceCell;

use super::Maps;
use super::grpc::Calls;
use super::shared::Shared;

/// The most routes of a layer.
const ROUTES: usize = 1000;
/// Slots for them, a power of two. At least half are always free, which ends a probe.
const PLACES: usize = 2048;
/// The slot of the route for everything past the limit.
const OVERFLOW: usize = PLACES;
/// Statuses of a route and method that are found without a lock.
const STATUSES: usize = 12;
const OTHER: &str = "(other)";
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", OTHER];

/// The routes of a layer: a hash table whose slots are filled once and never emptied.
pub(super) struct Routes {
    maps: Maps,
    hasher: RandomState,
    places: Box<[OnceCell<Box<Route>>]>,
    made: AtomicUsize,
}

pub(super) struct Route {
    template: Box<str>,
    in_flight: Arc<Gauge>,
    requests: Arc<Map>,
    latency: Arc<Map>,
    methods: [OnceLock<ByMethod>; METHODS.len()],
}

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
        let places = (0..=PLACES).map(|_| OnceCell::new()).collect();
        Self { maps, hasher: RandomState::default(), places, made: AtomicUsize::new(0) }
    }

    pub(super) fn calls(&self) -> &Calls {
        &self.maps.calls
    }

    /// The slot of a template's route, or of the overflow route.
    fn find_or_make(&self, template: &str) -> (usize, &Route) {
        let mut at = self.hasher.hash_one(template) as usize % PLACES;
        loop {
            match self.places[at].get() {
                Some(route) if *route.template == *template => return (at, route),
                Some(_) => at = (at + 1) % PLACES,
                None => match self.make(at, template) {
                    Some(route) if *route.template == *template => return (at, route),
                    // Another thread filled the slot first, with another route.
                    Some(_) => {}
                    None => return self.overflow(),
                },
            }
        }
    }

    /// Fills a slot, unless it is filled already. `None` past the limit.
    #[cold]
    fn make(&self, at: usize, template: &str) -> Option<&Route> {
        let count = |made: usize| (made < ROUTES).then_some(made + 1);
        let make = || match self.made.fetch_update(Relaxed, Relaxed, count) {
            Ok(_) => Ok(Box::new(Route::new(&self.maps, template))),
            Err(_) => Err(()),
        };
        // Of racing threads only one counts, so that none hits the limit because of another.
        self.places[at].get_or_try_init(make).ok().map(|route| &**route)
    }

    #[cold]
    fn overflow(&self) -> (usize, &Route) {
        expvar::__private::count_overflow();
        let make = || Box::new(Route::new(&self.maps, OTHER));
        (OVERFLOW, self.places[OVERFLOW].get_or_init(make))
    }
}

impl Route {
    fn new(maps: &Maps, template: &str) -> Self {
        Self {
            template: template.into(),
            in_flight: maps.in_flight.gauge(template),
            requests: maps.requests.map(template),
            latency: maps.latency.map(template),
            methods: [const { OnceLock::new() }; METHODS.len()],
        }
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

/// A request without a response yet. Counts as cancelled when dropped.
pub(super) struct Running {
    place: Place,
    method: usize,
    outcome: Outcome,
    start: Instant,
}

/// A route of a layer.
#[derive(Clone)]
pub(super) struct Place {
    routes: Shared,
    at: usize,
}

impl Place {
    /// Never `None`: the slot was filled before this was made.
    fn route(&self) -> Option<&Route> {
        self.routes.places[self.at].get().map(|route| &**route)
    }

    /// Counts a finished gRPC call.
    pub(super) fn count_call(&self, code: &str) {
        if let Some(route) = self.route() {
            self.routes.calls().map().counter_at([&*route.template, code]).inc();
        }
    }
}

impl Running {
    /// Begins a request.
    pub(super) fn start(routes: &Shared, template: &str, method: &Method) -> Self {
        let (at, route) = routes.find_or_make(template);
        route.in_flight.inc();
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
        let place = Place { routes: routes.clone(), at };
        Self { place, method, outcome: Outcome::Cancelled, start: Instant::now() }
    }

    pub(super) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(route) = self.place.route() else { return };
        route.in_flight.dec();
        let method = route.method(self.method);
        method.latency.record_duration(self.start.elapsed());
        method.count(self.outcome);
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("at", &self.at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn threads_that_meet_at_new_routes_share_them_up_to_the_limit() {
        const THREADS: usize = 4;
        let routes = Routes::new(Maps::default());
        let together = Barrier::new(THREADS);
        let seen = std::thread::scope(|scope| {
            let threads = [(); THREADS].map(|()| {
                scope.spawn(|| {
                    together.wait();
                    let find = |n: usize| routes.find_or_make(&format!("/{n}")).0;
                    (0..ROUTES).map(find).collect::<Vec<_>>()
                })
            });
            threads.map(|thread| thread.join().unwrap())
        });
        assert!(seen.iter().all(|places| *places == seen[0] && !places.contains(&OVERFLOW)));
        assert_eq!(routes.made.load(Relaxed), ROUTES);
        let (at, route) = routes.find_or_make("/one/more");
        assert_eq!((at, &*route.template), (OVERFLOW, OTHER));
        assert_eq!(routes.find_or_make("/7").0, seen[0][7]);
    }
}
