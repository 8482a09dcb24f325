//! How long a map's keys may be.

#![forbid(unsafe_code)]

use expvar::Map;

fn own(name: &str) -> u64 {
    expvar::global().get(name).unwrap().to_string().parse().unwrap()
}

#[test]
fn keys_that_are_too_long_go_to_other_and_are_counted() {
    let map = Map::new();
    let before = own("expvar.overflows");
    map.add("k".repeat(1024), 1);
    map.add("k".repeat(1025), 2);
    map.add_float("f".repeat(5000), 3.0);
    assert_eq!(map.keys(), ["(other)".to_owned(), "k".repeat(1024)]);
    assert_eq!(map.get("(other)").unwrap().to_string(), "2");
    assert_eq!(own("expvar.overflows") - before, 2);

    let map = Map::new().key_bytes(3);
    map.add("abc", 1);
    map.add("abcd", 1);
    assert_eq!(map.keys(), ["(other)", "abc"]);
}
