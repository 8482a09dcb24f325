//! Recording allocates nothing, and a walk allocates nothing a variable.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use expvar::__private::roll_windows;
use expvar::{
    Counter, FloatGauge, Gauge, Histogram, Info, Map, Number, Recorded, Registry, Stamp, Step,
    Visitor,
};

struct Counted;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to `System` unchanged.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

fn allocations(f: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    f();
    ALLOCATIONS.get() - before
}

#[test]
fn recording_allocates_nothing_once_a_thread_has_its_cells() {
    let (counter, gauge, float) = (Counter::new(), Gauge::new(), FloatGauge::new());
    let (histogram, map) = (Histogram::new(), Map::new());
    let record = || {
        counter.inc();
        gauge.inc();
        gauge.sub(1);
        float.add(0.5);
        histogram.record(42);
        drop(histogram.start());
        map.add("/a/route/of/some/length", 1);
        map.add("b", 1);
    };
    assert!(allocations(record) > 0, "the first time makes the cells, so the count works");
    // Before, nothing either, but the table of what it holds and the cache of keys.
    assert!(allocations(|| (0..1000).for_each(|_| record())) <= 4);
    assert_eq!(allocations(|| (0..1000).for_each(|_| record())), 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(allocations(|| (0..1000).for_each(|_| record())) <= 8);
            assert_eq!(allocations(|| (0..1000).for_each(|_| record())), 0);
        });
    });
}

struct Sum(u64);

impl Visitor for Sum {
    fn enter(&mut self, step: Step<'_>, _: &Info) {
        if let Step::Name(name) | Step::Key(name) = step {
            self.0 += name.len() as u64;
        }
    }

    fn leave(&mut self) {}

    fn number(&mut self, number: Number) {
        self.0 += number.to_f64() as u64;
    }
}

#[test]
fn a_walk_allocates_for_itself_not_for_its_variables() {
    let walk = |variables: usize| {
        let registry = Registry::new();
        for n in 0..variables {
            registry.publish(&format!("counter{n}"), Counter::new()).unwrap().inc();
            registry.publish(&format!("gauge{n}"), Gauge::new()).unwrap().set(1);
            registry.publish(&format!("map{n}"), Map::new()).unwrap().add("k", 1);
            registry.publish(&format!("counts{n}"), Map::new()).unwrap().set("k", Counter::new());
            registry.publish(&format!("text{n}"), expvar::Text::new()).unwrap().set("words");
        }
        let (mut sum, mut buffer) = (Sum(0), Vec::new());
        registry.visit(&mut sum);
        registry.render_json(&mut buffer);
        buffer.clear();
        let seen = allocations(|| registry.visit(&mut sum));
        let rendered = allocations(|| registry.render_json(&mut buffer));
        assert!(sum.0 > 0);
        (seen, rendered)
    };
    for variables in [1, 500] {
        // The list of names.
        let (seen, rendered) = walk(variables);
        assert!(seen <= 3 && rendered <= 3, "{variables}: {seen}, {rendered}");
    }
}

/// Keeps the stamps of histograms, and reads those whose stamp is another one.
#[derive(Default)]
struct Stamps {
    stamps: Vec<Stamp>,
    at: usize,
    read: usize,
}

impl Visitor for Stamps {
    fn enter(&mut self, _: Step<'_>, _: &Info) {}

    fn leave(&mut self) {}

    fn histogram(&mut self, mut histogram: Recorded<'_>) {
        let stamp = histogram.recent_stamp();
        match self.stamps.get_mut(self.at) {
            Some(last) if *last == stamp => {}
            Some(last) => {
                *last = stamp;
                self.read += 1;
                assert!(!histogram.recent().is_empty());
            }
            None => self.stamps.push(stamp),
        }
        self.at += 1;
    }
}

#[test]
fn histograms_that_did_not_move_cost_no_allocation() {
    let registry = Registry::new();
    let histograms: Vec<_> = (0..500)
        .map(|n| registry.publish(&format!("h{n:03}"), Histogram::new()).unwrap())
        .collect();
    histograms.iter().for_each(|histogram| (0..50).for_each(|n| histogram.record(n * 1000)));
    let mut stamps = Stamps::default();
    let mut walk = || {
        (stamps.at, stamps.read) = (0, 0);
        let allocations = allocations(|| registry.visit(&mut stamps));
        (allocations, stamps.read)
    };
    walk();
    roll_windows();
    // What holds all windows meanwhile.
    let rolled = allocations(roll_windows);
    assert!(rolled <= 1, "{rolled}");
    assert_eq!(walk(), (0, 0));
    histograms[7].record(1);
    let (allocations, read) = walk();
    assert!(allocations > 0 && read == 1, "{allocations} {read}");
}
