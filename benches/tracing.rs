//! The cost of counting an event.

use expvar::Registry;
use expvar_benches::{Race, print_machine};
use expvar_tracing::Layer;
use tracing::Dispatch;
use tracing::dispatcher::with_default;
use tracing_subscriber::layer::Identity;
use tracing_subscriber::prelude::*;

fn main() {
    print_machine("tracing");
    let layer = Layer::publish(&Registry::new(), "tracing").expect("free names");
    let without = Dispatch::new(tracing_subscriber::registry().with(Identity::new()));
    let with = Dispatch::new(tracing_subscriber::registry().with(layer));
    let event = |dispatch| with_default(dispatch, || tracing::info!("served"));
    let span = |dispatch| with_default(dispatch, || drop(tracing::info_span!("request")));

    let mut race = Race::new("tracing", &[1, 2]);
    race.peer("an event without the layer", |_| event(&without));
    race.peer("an event with the layer", |_| event(&with));
    race.peer("a span without the layer", |_| span(&without));
    race.peer("a span with the layer", |_| span(&with));
    let times = race.run();
    for threads in [1, 2] {
        let (with, without) =
            (("an event with the layer", threads), ("an event without the layer", threads));
        if let Some(nanos) = times.difference(with, without) {
            let missed = if nanos <= 100.0 { "" } else { " (missed)" };
            println!("{threads} threads: the layer adds {nanos:.0} ns, at most 100{missed}");
        }
    }
    println!();
}
