//! What samlare shows of its endpoints costs as much for each of them, however many there are.

use std::fmt::Write as _;
use std::time::Duration;

use expvar::Registry;
use samlare::collector::Collector;
use samlare::config::Config;
use samlare::log::Log;
use samlare::schedule::Clock;

#[global_allocator]
static ALLOC: expvar::alloc::Counting = expvar::alloc::Counting::new();

/// Allocations and bytes of one document with so many endpoints that differ only in their query.
fn cost(endpoints: usize) -> [u64; 2] {
    let config = (0..endpoints).fold(String::new(), |mut config, n| {
        let _ = write!(
            config,
            "[[endpoint]]\nURL = \"http://127.0.0.1:9/v?n={n}\"\nPrefix = \"a{n}\"\n"
        );
        config
    });
    let config = Config::parse(&config).unwrap().0;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let registry = Registry::new();
        let log = Log::to(Default::default(), std::io::sink());
        let clock = Clock::counted(1_700_000_000_000);
        let collector = Collector::start(config, &registry, clock, log).unwrap();
        let counts = || {
            let counts = expvar::alloc::counts().unwrap();
            [counts.allocations, counts.allocated_bytes]
        };
        let before = counts();
        let document = registry.to_json();
        let after = counts();
        assert_eq!(document.matches("\"waiting\"").count(), endpoints);
        let last = format!("http://127.0.0.1:9/v?… #{endpoints}");
        assert!(document.contains(&last), "{last}");
        collector.stop(Duration::ZERO).await;
        std::array::from_fn(|at| after[at] - before[at])
    })
}

#[test]
fn a_document_of_endpoints_that_differ_only_in_their_query_is_linear_in_them() {
    let (few, many) = (cost(500), cost(5_000));
    for at in 0..2 {
        assert!(many[at] < 15 * few[at], "{few:?} {many:?}");
    }
}
