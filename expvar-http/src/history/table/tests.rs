//! What a table keeps and evicts.

use expvar::{Counter, Gauge, Histogram, Map, Registry, Text};

use super::super::series::Span;
use super::*;

const START: u32 = 1_700_000_000;

/// A registry and its table.
struct Bench {
    registry: Registry,
    table: Table,
    tick: u32,
}

impl Bench {
    fn new(max_series: usize) -> Self {
        Self { registry: Registry::new(), table: Table::new(max_series), tick: START }
    }

    /// Advances by `secs` and samples.
    fn after(&mut self, secs: u32) -> &mut Table {
        let mut sample = Sample::default();
        self.registry.visit(&mut sample);
        self.tick += secs;
        self.table.take(&sample, self.tick, f64::from(secs));
        &mut self.table
    }

    fn shown(&self) -> Vec<&str> {
        self.table.shown().map(|(_, row)| &*row.name).collect()
    }

    /// The last `n` seconds of a series.
    fn seconds(&self, name: &str, n: usize) -> Vec<Option<f64>> {
        let mut points = Vec::new();
        self.table.find(name, |_, _, series, _| {
            let all = series.points(Span::Second, self.tick.into());
            points = all.iter().map(|point| point.mean).collect();
        });
        let from = points.len().saturating_sub(n);
        points[from..].iter().map(|point| Some(*point).filter(|point| !point.is_nan())).collect()
    }

    fn changed(&self) -> Vec<&str> {
        self.table.changes.set.iter().map(|&id| &*self.table.row(id).unwrap().name).collect()
    }
}

#[test]
fn only_what_changed_is_told() {
    let mut bench = Bench::new(100);
    let counter = bench.registry.publish("counter", Counter::new()).unwrap();
    let text = bench.registry.publish("text", Text::new()).unwrap();
    bench.registry.publish("still", Gauge::new()).unwrap();
    assert_eq!(bench.after(1).changes.added.len(), 3);
    counter.inc();
    text.set("new");
    bench.after(1);
    assert_eq!(bench.changed(), ["counter", "text"]);
    bench.after(1);
    assert_eq!(bench.changed(), [""; 0]);
    assert!(bench.table.changes.added.is_empty() && bench.table.changes.gone.is_empty());
}

#[test]
fn counters_are_kept_as_rates_and_gauges_as_they_are() {
    let mut bench = Bench::new(100);
    let counter = bench.registry.publish("counter", Counter::new()).unwrap();
    let gauge = bench.registry.publish("gauge", Gauge::new()).unwrap();
    let histogram = bench.registry.publish("histogram", Histogram::new()).unwrap();
    for (step, secs) in [1, 1, 2].into_iter().enumerate() {
        counter.add(10);
        gauge.set(step as i64);
        histogram.record(7);
        bench.after(secs);
    }
    assert_eq!(bench.seconds("counter", 4), [None, Some(10.0), None, Some(5.0)]);
    assert_eq!(bench.seconds("gauge", 4), [Some(0.0), Some(1.0), None, Some(2.0)]);
    assert_eq!(bench.seconds("histogram.count", 4), [None, Some(1.0), None, Some(0.5)]);
    assert_eq!(bench.seconds("histogram.p99", 4), [Some(7.0), Some(7.0), None, Some(7.0)]);
    assert_eq!(bench.table.series(), 6);
}

#[test]
fn what_a_counter_went_up_by_in_a_second_is_exact() {
    let mut bench = Bench::new(100);
    let counter = bench.registry.publish("counter", Counter::new()).unwrap();
    bench.after(1);
    let mut sample = Sample::default();
    for (climb, secs) in [(70_001, 1.003), (1, 0.97), (999_999, 1.2)] {
        counter.add(climb);
        sample.clear();
        bench.registry.visit(&mut sample);
        bench.tick += 1;
        bench.table.take(&sample, bench.tick, secs);
    }
    let mut climbs = Vec::new();
    bench.table.find("counter", |_, row, series, _| {
        climbs = bench.table.climbs(row, &series.points(Span::Second, bench.tick.into()));
    });
    assert_eq!(climbs[57..], [70_001.0, 1.0, 999_999.0]);
    assert!(climbs[56].is_nan());
}

#[test]
fn a_count_that_begins_anew_has_no_rate_then() {
    let mut bench = Bench::new(100);
    let map =
        bench.registry.publish_with("map", Map::new(), expvar::Info::new().counter()).unwrap();
    map.add("key", 100);
    bench.after(1);
    map.remove("key");
    map.add("key", 3);
    bench.after(1);
    map.add("key", 4);
    bench.after(1);
    assert_eq!(bench.seconds("map.key", 3), [None, None, Some(4.0)]);
}

#[test]
fn what_goes_is_told_and_what_comes_back_has_its_past() {
    let mut bench = Bench::new(100);
    bench.registry.publish("a", Gauge::new()).unwrap().set(5);
    bench.registry.publish("b", Text::new()).unwrap();
    bench.after(1);
    bench.registry.remove("a");
    bench.registry.remove("b");
    assert_eq!(bench.after(1).changes.gone.len(), 2);
    assert_eq!(bench.shown(), [""; 0]);
    assert_eq!(bench.after(1).changes.gone.len(), 0);
    bench.registry.publish("a", Gauge::new()).unwrap().set(6);
    assert_eq!(bench.after(1).changes.added.len(), 1);
    assert_eq!(bench.seconds("a", 4), [Some(5.0), None, None, Some(6.0)]);
}

#[test]
fn a_name_that_means_something_else_is_another_row() {
    let mut bench = Bench::new(100);
    bench.registry.publish("x", Gauge::new()).unwrap();
    bench.after(1);
    bench.registry.remove("x");
    bench.registry.publish("x", Text::new()).unwrap().set("text");
    let changes = &bench.after(1).changes;
    assert_eq!((changes.gone.len(), changes.added.len()), (1, 1));
    assert_ne!(changes.gone, changes.added);
    assert_eq!(bench.shown(), ["x"]);
}

#[test]
fn of_two_leaves_with_one_path_the_first_stays() {
    let mut bench = Bench::new(100);
    let map = bench.registry.publish("a", Map::new()).unwrap();
    map.add("b", 1);
    bench.registry.publish("a.b", Gauge::new()).unwrap().set(2);
    for _ in 0..3 {
        bench.after(1);
        assert_eq!(bench.shown(), ["a.b"]);
        assert_eq!(bench.table.hidden, 1);
    }
    assert_eq!(bench.changed(), [""; 0]);
}

#[test]
fn past_the_bound_the_least_recently_changed_goes() {
    let mut bench = Bench::new(3);
    let gauges: Vec<_> =
        ["a", "b", "c"].map(|name| bench.registry.publish(name, Gauge::new()).unwrap()).into();
    bench.after(1);
    gauges[1].set(1);
    bench.after(1);
    gauges[0].set(1);
    gauges[2].set(1);
    bench.after(1);
    // All have changed within a minute, so there is no room yet.
    bench.registry.publish("d", Gauge::new()).unwrap();
    bench.after(1);
    assert_eq!(bench.seconds("d", 1), []);
    bench.after(58);
    bench.registry.publish("e", Gauge::new()).unwrap().set(9);
    bench.after(1);
    assert_eq!(bench.seconds("e", 1), [Some(9.0)]);
    assert_eq!(bench.seconds("b", 1), []);
    assert_eq!(bench.seconds("a", 1), [Some(1.0)]);
    assert_eq!(bench.table.evicted, 1);
    assert_eq!(bench.shown().len(), 5, "what has no past is shown all the same");
}

#[test]
fn a_hundred_thousand_short_lived_names_leave_no_more_than_the_bound() {
    let mut bench = Bench::new(5000);
    bench.registry.publish("stays", Gauge::new()).unwrap();
    for batch in 0..50 {
        let map = bench.registry.publish("m", Map::with_limit(10_000)).unwrap();
        for key in 0..2000 {
            map.add(format!("{batch}.{key}"), 1);
        }
        bench.after(1);
        bench.registry.remove("m");
        let table = &bench.table;
        let rows = table.rows.len();
        assert!(table.series() <= 5000, "{} series", table.series());
        assert!(rows <= 5000 + 2 * 2001, "{rows} rows");
        assert!(table.index.len() <= 5000 + 2001, "{} names", table.index.len());
        assert_eq!(table.index.len() + table.free.len(), rows);
    }
    assert!(bench.table.evicted >= 100_000 - 5000 - 1, "{} evicted", bench.table.evicted);
    assert_eq!(bench.table.names().len(), bench.table.series());
}

#[test]
fn more_leaves_than_are_shown_are_counted() {
    let mut bench = Bench::new(10);
    let map = bench.registry.publish("m", Map::with_limit(30_000)).unwrap();
    for key in 0..MAX_ROWS + 5 {
        map.add(key.to_string(), 1);
    }
    bench.after(1);
    assert_eq!(bench.shown().len(), MAX_ROWS);
    assert_eq!(bench.table.hidden, 5);
    let long = "n".repeat(10_000);
    let mut bench = Bench::new(10);
    for at in 0..1000 {
        bench.registry.publish(&format!("{long}{at}"), Gauge::new()).unwrap();
    }
    bench.after(1);
    assert!(bench.table.name_bytes <= MAX_NAME_BYTES);
    assert!(bench.table.hidden > 0);
}

/// The names of all rows with history and this prefix.
fn kept<'t>(table: &'t Table, prefix: &str) -> Vec<&'t str> {
    table.names().into_iter().filter(|name| name.starts_with(prefix)).collect()
}

#[test]
fn a_large_map_takes_no_past_from_what_is_no_key() {
    let mut bench = Bench::new(500);
    let crowd = bench.registry.publish("a.crowd", Map::with_limit(10_000)).unwrap();
    for key in 0..2000 {
        crowd.add(format!("{key:04}"), 1);
    }
    bench.registry.publish("z.map", Map::new()).unwrap().add("key", 1);
    bench.registry.publish("z.latency", Histogram::new()).unwrap();
    let process = || serde_json::json!({"resident_bytes": 7, "cgroup": {"memory_max_bytes": 9}});
    bench.registry.publish("process", expvar::Func::new(process)).unwrap();
    let table = bench.after(1);
    assert_eq!(table.wanted, 2000 + 1 + 4 + 2);
    assert_eq!(table.series(), 500);
    let process = ["process.cgroup.memory_max_bytes", "process.resident_bytes"];
    assert_eq!(kept(table, "process"), process);
    assert_eq!(kept(table, "z"), ["z.latency", "z.map.key"]);
    assert_eq!(kept(table, "a").len(), 500 - 2 - 1 - 4);

    // Rows added later get their history at once, although all keys have just changed.
    for key in 0..2000 {
        crowd.add(format!("{key:04}"), 1);
    }
    bench.registry.publish("late", Gauge::new()).unwrap();
    let table = bench.after(1);
    assert_eq!(kept(table, "late"), ["late"]);
    assert_eq!(kept(table, "z").len(), 2);
    assert_eq!(table.series(), 500);
}

#[test]
fn of_two_large_maps_each_gets_its_part() {
    let mut bench = Bench::new(400);
    for name in ["a", "b"] {
        let map = bench.registry.publish(name, Map::with_limit(10_000)).unwrap();
        (0..3000).for_each(|key| map.add(format!("{key:04}"), 1));
    }
    let table = bench.after(1);
    assert_eq!((kept(table, "a").len(), kept(table, "b").len()), (200, 200));
}

#[test]
fn a_map_of_more_keys_than_are_shown_hides_no_other_variable() {
    let mut bench = Bench::new(10);
    let map = bench.registry.publish("a", Map::with_limit(30_000)).unwrap();
    (0..MAX_ROWS + 5).for_each(|key| map.add(key.to_string(), 1));
    bench.registry.publish("z", Gauge::new()).unwrap();
    bench.after(1);
    assert_eq!(bench.shown().len(), MAX_ROWS);
    assert!(bench.shown().contains(&"z"));
    assert_eq!(bench.table.hidden, 6);
}
