//! Any bytes are a document or are refused, and exactly where a tree reader does so.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samlare::document::{Number, Points, Rules, read};

struct Counted(usize);

impl Points for Counted {
    fn number(&mut self, path: &str, number: Number<'_>) {
        assert!(path.len() < 1 << 24);
        assert!(!number.as_f64().is_nan());
        self.0 += 1;
    }

    fn restart(&mut self) {
        self.0 = 0;
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut rules = Rules::default();
    rules.arrays = bytes.first().is_some_and(|byte| byte % 2 == 0);
    rules.booleans = rules.arrays;
    let mut points = Counted(0);
    let ours = read(bytes, "p", &rules, &mut points);
    if let Ok(count) = ours {
        assert_eq!(count, points.0);
    }
    // The tree reader stops at 127 levels, refuses halves of surrogates and numbers beyond all
    // floats; what it takes as an object we take, and what it takes as anything else we do not.
    if let Ok(tree) = serde_json::from_slice::<serde_json::Value>(bytes) {
        assert_eq!(ours.is_ok(), tree.is_object());
    }
});
