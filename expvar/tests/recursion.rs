//! What leads to itself ends.

#![forbid(unsafe_code)]

use expvar::{Counter, Func, Map, Registry};

fn panics() -> u64 {
    expvar::global().get("expvar.panics").unwrap().to_string().parse().unwrap()
}

#[test]
fn one_that_renders_its_own_registry_is_null_within_itself() {
    let registry = Registry::new();
    let inner = registry.clone();
    registry.publish("f", Func::new(move || inner.to_json())).unwrap();
    registry.publish("n", Counter::new()).unwrap();
    let before = panics();
    let document = r#"{
"f": "{\n\"f\": null,\n\"n\": 0\n}\n",
"n": 0
}
"#;
    assert_eq!(registry.to_json(), document);
    assert!(panics() > before);
}

#[test]
fn many_that_render_the_registry_they_are_in_end() {
    let registry = Registry::new();
    for name in 0..8 {
        let inner = registry.clone();
        registry.publish(&format!("f{name}"), Func::new(move || inner.to_json().len())).unwrap();
    }
    // 8 functions, each read by 7 others, and so on, 4 deep.
    let before = panics();
    let parsed: serde_json::Value = serde_json::from_str(&registry.to_json()).unwrap();
    assert!(parsed["f7"].as_u64() > Some(50));
    assert!(panics() > before);
}

#[test]
fn the_debug_form_of_a_map_that_holds_itself_ends() {
    let map = std::sync::Arc::new(Map::new());
    map.add("n", 1);
    map.set("self", std::sync::Arc::clone(&map));
    let text = format!("{map:?}");
    let inner = "{\"n\": Gauge(Gauge(1)), \"self\": {..}}";
    assert!(text.contains(inner), "{text}");
    assert_eq!(text.matches("\"n\"").count(), 4, "{text}");
    let registry = Registry::new();
    registry.publish("m", std::sync::Arc::clone(&map)).unwrap();
    assert!(format!("{registry:?}").contains(inner));
    map.clear();
}

#[test]
fn a_name_that_is_taken_is_one_line_in_its_debug_form() {
    let registry = Registry::new();
    let map = registry.publish("m", Map::new()).unwrap();
    (0..1000).for_each(|key| map.add(key.to_string(), 1));
    let error = registry.publish("m", Counter::new()).unwrap_err();
    assert_eq!(
        format!("{error:?}"),
        "PublishError(the variable name \"m\" is taken by a map: choose another, remove that one, \
         or use it (`PublishError::existing`))"
    );
}
