//! Functions that panic are printed once each, and whatever they throw stays inside.

#![forbid(unsafe_code)]

use std::panic;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use expvar::{Func, Registry};

/// The calls of the program's own hook.
static PRINTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Panics when it is dropped, with another one as payload.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic::panic_any(Bomb(self.0 - 1));
        }
    }
}

fn panics() -> u64 {
    expvar::global().get("expvar.panics").unwrap().to_string().parse().unwrap()
}

// One test: the hook is the process's.
#[test]
fn a_panic_is_printed_once_a_function_and_its_payload_stays_inside() {
    panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("(other)");
        PRINTED.lock().unwrap().push(text.to_owned());
    }));
    let registry = Registry::new();
    static BROKEN: AtomicBool = AtomicBool::new(true);
    let first = || if BROKEN.load(Relaxed) { panic!("first") } else { 1 };
    registry.publish("a", Func::new(first)).unwrap();
    registry.publish("b", Func::number(|| -> u64 { panic!("second") })).unwrap();
    registry.publish("c", Func::new(|| -> u64 { panic::panic_any(Bomb(3)) })).unwrap();
    let before = panics();
    for _ in 0..5 {
        assert_eq!(registry.to_json(), "{\n\"a\": null,\n\"b\": null,\n\"c\": null\n}\n");
    }
    assert_eq!(panics() - before, 15, "each is counted");
    let printed = |text: &str| PRINTED.lock().unwrap().iter().filter(|one| *one == text).count();
    assert_eq!((printed("first"), printed("second")), (1, 1));
    // The payload, and what its drop throws before anybody knows that this one panics.
    assert!(printed("(other)") <= 3, "{:?}", PRINTED.lock());

    BROKEN.store(false, Relaxed);
    assert!(registry.to_json().contains("\"a\": 1"), "it is called all the same");

    // Other panics of the same thread are printed as ever.
    for _ in 0..2 {
        panic::catch_unwind(|| panic!("somebody else's")).unwrap_err();
    }
    assert_eq!(printed("somebody else's"), 2);
}
