//! What Go's `expvar` prints, byte for byte: every vector recorded from Go 1.27.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use expvar::{FloatGauge, Func, Gauge, Map, Registry, Text, Var};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

fn cases(json: &str) -> Vec<Value> {
    let mut file: Value = serde_json::from_str(json).unwrap();
    match file["cases"].take() {
        Value::Array(cases) => cases,
        _ => panic!("no cases"),
    }
}

fn float(bits: &Value) -> f64 {
    let bits = bits.as_str().unwrap().trim_start_matches("0x");
    f64::from_bits(u64::from_str_radix(bits, 16).unwrap())
}

fn int(text: &Value) -> i64 {
    text.as_str().unwrap().parse().unwrap()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Text as a Go program would hold it: one U+FFFD for each byte that is not UTF-8.
fn text(mut bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
        bytes = &bytes[chunk.valid().len() + chunk.invalid().len()..];
    }
    assert!(bytes.is_empty());
    text
}

#[test]
fn integers() {
    for case in cases(include_str!("go/int.json")) {
        let gauge = Registry::new().publish("g", Gauge::new()).unwrap();
        gauge.set(int(&case["value"]));
        assert_eq!(Var::from(gauge).to_string(), case["expected"], "{case}");
    }
}

#[test]
fn floats() {
    for case in cases(include_str!("go/float.json")) {
        let n = float(&case["bits"]);
        // JSON knows no NaN and no infinity, which Go writes all the same: ours are null.
        let expected = |form: &str| match n.is_finite() {
            true => case[form]["expected"].as_str().unwrap().to_owned(),
            false => "null".to_owned(),
        };
        let registry = Registry::new();
        registry.publish("f", FloatGauge::new()).unwrap().set(n);
        registry.publish("g", Func::new(move || n)).unwrap();
        let document = format!(
            "{{\n\"f\": {},\n\"g\": {}\n}}\n",
            expected("float_var"),
            expected("func_json")
        );
        assert_eq!(registry.to_json(), document, "{case}");
    }
}

#[test]
fn strings() {
    for case in cases(include_str!("go/string.json")) {
        let text = text(&bytes(&case["bytes_hex"]));
        // The text form is absent where a vector is not UTF-8, which these never are.
        let expected = |form: &str| case[form]["expected"]["text"].as_str().unwrap().to_owned();
        let (map, registry) = (Map::new(), Registry::new());
        map.add(&text, 0);
        registry.publish("k", map).unwrap();
        let (value, again) = (Text::new(), text.clone());
        value.set(text);
        registry.publish("t", value).unwrap();
        registry.publish("u", Func::new(move || again.clone())).unwrap();
        let document = format!(
            "{{\n\"k\": {{{}: 0}},\n\"t\": {},\n\"u\": {}\n}}\n",
            expected("map_key"),
            expected("string_var"),
            expected("func_json")
        );
        assert_eq!(registry.to_json(), document, "{case}");
    }
}

/// A value of a vector: `{"list": [{"int": "1"}]}`.
#[derive(Clone)]
struct Spec(Value);

impl Serialize for Spec {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let (kind, value) = self.0.as_object().unwrap().iter().next().unwrap();
        let specs = |list: &Value| -> Vec<Spec> {
            list.as_array().unwrap().iter().cloned().map(Spec).collect()
        };
        match kind.as_str() {
            "nil" | "nil_list" => s.serialize_unit(),
            "bool" => s.serialize_bool(value.as_bool().unwrap()),
            "int" | "duration_ns" => s.serialize_i64(int(value)),
            "uint" => s.serialize_u64(value.as_str().unwrap().parse().unwrap()),
            "float_bits" => s.serialize_f64(float(value)),
            "float32_bits" => {
                let bits = value.as_str().unwrap().trim_start_matches("0x");
                s.serialize_f32(f32::from_bits(u32::from_str_radix(bits, 16).unwrap()))
            }
            "string" => s.serialize_str(value.as_str().unwrap()),
            "string_hex" => s.serialize_str(&text(&bytes(value))),
            "list" => specs(value).serialize(s),
            "map" | "int_keyed_map" => {
                let pairs = value.as_array().unwrap().iter();
                let sorted: BTreeMap<&str, Spec> =
                    pairs.map(|pair| (pair[0].as_str().unwrap(), Spec(pair[1].clone()))).collect();
                sorted.serialize(s)
            }
            "raw_json" => {
                serde_json::from_str::<Value>(value.as_str().unwrap()).unwrap().serialize(s)
            }
            "error_text" => s.serialize_map(Some(0))?.end(),
            other => panic!("unknown value kind {other}"),
        }
    }
}

#[test]
fn functions() {
    let mut seen = 0;
    for case in cases(include_str!("go/func.json")) {
        let spec = &case["spec"];
        let expected = match case["expected"].as_str().unwrap() {
            // What Go cannot marshal is an empty text and breaks the document: ours stays JSON.
            "" if spec.get("list").is_some() => "[1,null]",
            "" => "null",
            expected => expected,
        };
        // Go's own conversions of types that Rust has not: bytes to base64, numbers kept as text.
        if spec.get("bytes_hex").is_some() || spec.get("json_number").is_some() {
            continue;
        }
        seen += 1;
        let spec = Spec(spec.clone());
        let func = Registry::new().publish("f", Func::new(move || spec.clone())).unwrap();
        let shown = Registry::new();
        shown.publish("f", func).unwrap();
        assert_eq!(shown.to_json(), format!("{{\n\"f\": {expected}\n}}\n"), "{case}");
    }
    assert_eq!(seen, 16);
}

/// Carries an operation of a vector out as a Go program's author would write it with ours.
fn apply(registry: &Registry, op: &Value) -> Option<Value> {
    let name = || op["name"].as_str().unwrap();
    let map = || match registry.get(op["path"][0].as_str().unwrap()) {
        Some(Var::Map(map)) => map,
        other => panic!("{op}: {other:?}"),
    };
    let key = || op["key"].as_str().unwrap();
    let publish = |var: Var| match registry.publish(name(), var) {
        Ok(_) => None,
        Err(error) => Some(Value::from(error.to_string())),
    };
    let keys = |keys: Vec<String>| Some(Value::from(keys));
    match op["op"].as_str().unwrap() {
        "new_int" => return publish(Registry::new().publish("x", Gauge::new()).unwrap().into()),
        "new_float" => drop(registry.publish(name(), FloatGauge::new()).unwrap()),
        "new_string" => drop(registry.publish(name(), Text::new()).unwrap()),
        "new_map" => drop(registry.publish(name(), Map::new()).unwrap()),
        "publish" => return publish(var(&op["value"])),
        "int_set" => match registry.get(op["path"][0].as_str().unwrap()) {
            Some(Var::Gauge(gauge)) => gauge.set(int(&op["value"])),
            other => panic!("{op}: {other:?}"),
        },
        "float_set" | "float_add" => match registry.get(op["path"][0].as_str().unwrap()) {
            Some(Var::FloatGauge(gauge)) if op["op"] == "float_set" => {
                gauge.set(float(&op["bits"]))
            }
            Some(Var::FloatGauge(gauge)) => gauge.add(float(&op["bits"])),
            other => panic!("{op}: {other:?}"),
        },
        "map_add" => map().add(key(), int(&op["delta"])),
        "map_add_float" => map().add_float(key(), float(&op["bits"])),
        "map_set" => drop(map().set(key(), var(&op["value"]))),
        "map_delete" => drop(map().remove(key())),
        "map_init" => map().clear(),
        "map_do_keys" => return keys(map().keys()),
        "do_keys" => {
            let mut names = Vec::new();
            registry.for_each(|name, _| names.push(name.to_owned()));
            return keys(names);
        }
        "get" => return registry.get(name()).is_none().then(|| "<absent>".into()),
        "map_get" => {
            // A nil value is one to us: a function that returns nothing.
            let absent = map().get(key()).is_none_or(|var| var.to_string() == "null");
            return absent.then(|| "<absent>".into());
        }
        other => panic!("unknown operation {other}"),
    }
    None
}

fn var(value: &Value) -> Var {
    let (kind, inner) = value.as_object().unwrap().iter().next().unwrap();
    let (scratch, inner) = (Registry::new(), inner.clone());
    match kind.as_str() {
        "int" => scratch.publish("x", Gauge::new()).unwrap().set(int(&inner)),
        "string" => scratch.publish("x", Text::new()).unwrap().set(inner.as_str().unwrap()),
        "float_bits" => scratch.publish("x", FloatGauge::new()).unwrap().set(float(&inner)),
        "nil" => drop(scratch.publish("x", Func::new(|| ())).unwrap()),
        "func" => {
            drop(scratch.publish("x", Func::new(move || Spec(inner.clone()))).unwrap());
        }
        "raw" => drop(scratch.publish("x", Func::new(|| f64::NAN)).unwrap()),
        other => panic!("unknown variable kind {other}"),
    }
    scratch.get("x").unwrap()
}

#[test]
fn registries() {
    for case in cases(include_str!("go/registry.json")) {
        let name = case["name"].as_str().unwrap();
        let (registry, mut results) = (Registry::new(), Vec::new());
        if name == "dup_publish_builtin" {
            for built_in in ["cmdline", "memstats"] {
                registry.publish(built_in, Func::new(|| ())).unwrap();
            }
        }
        for op in case["ops"].as_array().unwrap() {
            if let Some(key) = op.get("key_hex") {
                let Some(Var::Map(map)) = registry.get("m") else { panic!() };
                map.add(text(&bytes(key)), int(&op["delta"]));
                continue;
            }
            results.extend(apply(&registry, op));
        }
        let document = case["expected"]["doc"].as_str().unwrap();
        let expected_results: Vec<Value> =
            case["expected"]["results"].as_array().map_or(Vec::new(), |list| {
                list.iter().map(|result| result["result"].clone()).collect()
            });
        match name {
            // Go's documents are not JSON here.
            "func_nan" => assert_eq!(registry.to_json(), document.replace(": ,", ": null,")),
            "float_inf" => {
                let document = document.replace("-Inf", "null").replace("+Inf", "null");
                assert_eq!(registry.to_json(), document);
            }
            "raw_var_empty" => assert_eq!(registry.to_json(), document.replace(": \n", ": null\n")),
            // Two keys that are not UTF-8 are one text to us.
            "key_invalid_utf8" => {
                assert_eq!(registry.to_json(), "{\n\"m\": {\"\u{fffd}\": 3}\n}\n")
            }
            // A name published twice panics in Go: ours is an error.
            "dup_publish_builtin" => {
                registry.remove("cmdline");
                registry.remove("memstats");
                assert_eq!(registry.to_json(), document);
                assert_eq!(results.len(), 2);
                assert!(
                    results[0].as_str().unwrap().contains("\"cmdline\" is taken by a function")
                );
            }
            // The empty name is refused.
            "order_top" => {
                assert_eq!(registry.to_json(), document.replacen("\"\": 0,\n", "", 1));
                let names = results.pop().unwrap();
                assert_eq!(
                    names.as_array().unwrap()[..],
                    expected_results[0].as_array().unwrap()[1..]
                );
                assert!(results[0].as_str().unwrap().contains("needs a name"));
            }
            _ => {
                assert_eq!(registry.to_json(), document, "{name}");
                assert_eq!(results, expected_results, "{name}");
            }
        }
    }
}
