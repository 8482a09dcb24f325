//! What a visitor sees, in which order.

#![forbid(unsafe_code)]

use std::sync::Arc;

use expvar::{
    Counter, FloatGauge, Func, Gauge, Histogram, Info, Map, Number, Recorded, Registry, Shape,
    Step, Text, Unit, Visitor,
};

/// Writes down each call, indented by depth.
#[derive(Default)]
struct Calls {
    depth: usize,
    lines: Vec<String>,
    /// Takes a function's JSON as it stands.
    json: bool,
    /// Passes over arrays.
    no_arrays: bool,
}

impl Calls {
    fn say(&mut self, line: impl Into<String>) {
        self.lines.push("  ".repeat(self.depth) + &line.into());
    }

    fn of(registry: &Registry) -> Vec<String> {
        let mut calls = Self::default();
        registry.visit(&mut calls);
        assert_eq!(calls.depth, 0, "what is entered is left");
        calls.lines
    }
}

impl Visitor for Calls {
    fn enter(&mut self, step: Step<'_>, info: &Info) {
        let (help, unit) = (info.get_help(), info.get_unit().name());
        let up = if info.is_counter() { "up" } else { "" };
        self.say(format!("{step:?} {help} {unit} {up}").trim_end().to_owned());
        self.depth += 1;
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    fn number(&mut self, number: Number) {
        self.say(format!("{number:?}"));
    }

    fn text(&mut self, text: &str) {
        self.say(format!("{text:?}"));
    }

    fn boolean(&mut self, value: bool) {
        self.say(value.to_string());
    }

    fn null(&mut self) {
        self.say("null");
    }

    fn histogram(&mut self, mut histogram: Recorded<'_>) {
        let (count, floats) = (histogram.count(), histogram.is_float());
        let (sum, recent) = (histogram.total().sum_float(), histogram.recent().count());
        self.say(format!("{count} of {sum}, {recent} recent, floats: {floats}"));
    }

    fn begin(&mut self, shape: Shape) -> bool {
        self.say(if shape == Shape::Array { "[" } else { "{" });
        shape != Shape::Array || !self.no_arrays
    }

    fn end(&mut self, shape: Shape) {
        self.say(if shape == Shape::Array { "]" } else { "}" });
    }

    fn wants_json(&self) -> bool {
        self.json
    }

    fn json(&mut self, json: &str) {
        self.say(json);
    }
}

#[test]
fn each_kind_is_entered_shown_and_left() {
    let registry = Registry::new();
    let info = Info::new().help("Bytes.").unit(Unit::Bytes);
    let publish = |name, var: expvar::Var| {
        registry.publish_with(name, var, info.clone()).unwrap();
    };
    publish("counter", Arc::new(Counter::new()).into());
    let floats = Arc::new(Histogram::floats());
    floats.record_float(0.5);
    publish("fractions", floats.into());
    let gauge = Arc::new(Gauge::new());
    gauge.set(-3);
    publish("gauge", gauge.into());
    publish("ratio", Arc::new(FloatGauge::new()).into());
    let sizes = Arc::new(Histogram::new());
    sizes.record(7);
    sizes.record(8);
    publish("sizes", sizes.into());
    let text = Arc::new(Text::new());
    text.set("words");
    publish("text", text.into());
    let expected = "\
Name(\"counter\") Bytes. bytes up
  Unsigned(0)
Name(\"fractions\") Bytes. bytes
  1 of 0.5, 1 recent, floats: true
Name(\"gauge\") Bytes. bytes
  Signed(-3)
Name(\"ratio\") Bytes. bytes
  Float(0.0)
Name(\"sizes\") Bytes. bytes
  2 of 15, 2 recent, floats: false
Name(\"text\") Bytes. bytes
  \"words\"";
    assert_eq!(Calls::of(&registry).join("\n"), expected);
}

#[test]
fn maps_are_entered_key_by_key_and_a_counter_in_one_only_goes_up() {
    let registry = Registry::new();
    let map = registry.publish_with("m", Map::new(), Info::new().unit(Unit::Bytes)).unwrap();
    map.add("n", -1);
    map.set("c", Counter::new());
    map.set("inner", Map::new()).set("c", Counter::new());
    map.set("none", Map::new());
    let expected = "\
Name(\"m\")  bytes
  {
  Key(\"c\")  bytes up
    Unsigned(0)
  Key(\"inner\")  bytes
    {
    Key(\"c\")  bytes up
      Unsigned(0)
    }
  Key(\"n\")  bytes
    Signed(-1)
  Key(\"none\")  bytes
    {
    }
  }";
    assert_eq!(Calls::of(&registry).join("\n"), expected);
}

static MEMBERS: [(&str, Info); 3] = [
    ("hits", Info::with_help("Hits.").counter()),
    ("size", Info::with_help("Size.").unit(Unit::Bytes)),
    ("wait", Info::with_help("Wait.").unit(Unit::Seconds).members(&WAIT)),
];
static WAIT: [(&str, Info); 1] = [("total", Info::with_help("Total wait.").counter())];

/// A function with a value of each kind.
fn with_a_function() -> Registry {
    let registry = Registry::new();
    let value = serde_json::json!({
        "hits": 3,
        "list": [-1, {"x": null}, []],
        "size": 1.5,
        "wait": {"last": 2, "total": true, "why": "so"},
    });
    let function = Func::new(move || value.clone()).members(&MEMBERS);
    registry.publish_with("f", function, Info::new().help("Cache.")).unwrap();
    registry
}

#[test]
fn what_a_function_returns_is_taken_apart_and_each_member_has_its_own_info() {
    let expected = "\
Name(\"f\") Cache.
  {
  Key(\"hits\") Hits.  up
    Unsigned(3)
  Key(\"list\") Cache.
    [
    Index(0) Cache.
      Signed(-1)
    Index(1) Cache.
      {
      Key(\"x\") Cache.
        null
      }
    Index(2) Cache.
      [
      ]
    ]
  Key(\"size\") Size. bytes
    Float(1.5)
  Key(\"wait\") Wait. seconds
    {
    Key(\"last\") Wait. seconds
      Unsigned(2)
    Key(\"total\") Total wait.  up
      true
    Key(\"why\") Wait. seconds
      \"so\"
    }
  }";
    assert_eq!(Calls::of(&with_a_function()).join("\n"), expected);
}

#[test]
fn a_function_s_json_can_be_taken_as_it_stands() {
    let mut calls = Calls { json: true, ..Calls::default() };
    with_a_function().visit(&mut calls);
    let json = "  {\"hits\":3,\"list\":[-1,{\"x\":null},[]],\"size\":1.5,\
                \"wait\":{\"last\":2,\"total\":true,\"why\":\"so\"}}";
    assert_eq!(calls.lines, ["Name(\"f\") Cache.", json]);
}

#[test]
fn what_is_not_wanted_is_passed_over() {
    let mut calls = Calls { no_arrays: true, ..Calls::default() };
    with_a_function().visit(&mut calls);
    let list = calls.lines.iter().position(|line| line.contains("list")).unwrap();
    assert_eq!(calls.lines[list + 1..list + 4], ["    [", "    ]", "  Key(\"size\") Size. bytes"]);
}

/// A value in so many arrays.
struct Deep(usize);

impl serde::Serialize for Deep {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            0 => serializer.serialize_u64(1),
            left => serializer.collect_seq([Self(left - 1)]),
        }
    }
}

#[test]
fn what_nests_too_deeply_is_left_all_the_same_and_the_next_variable_shown() {
    let registry = Registry::new();
    registry.publish("deep", Func::new(|| Deep(1000))).unwrap();
    registry.publish("next", Counter::new()).unwrap();
    let calls = Calls::of(&registry);
    assert_eq!(calls[calls.len() - 2..], ["Name(\"next\")   up", "  Unsigned(0)"]);
    assert!(calls.len() < 1000, "{}", calls.len());
}

#[test]
fn a_map_that_holds_itself_twice_ends_soon() {
    let registry = Registry::new();
    let map = registry.publish("m", Map::new()).unwrap();
    map.set("a", Arc::clone(&map));
    map.set("b", Arc::clone(&map));
    let calls = Calls::of(&registry);
    assert_eq!(calls.iter().filter(|line| line.trim() == "null").count(), 8);
    let document = registry.to_json();
    let inner = "{\"a\": null, \"b\": null}";
    let middle = format!("{{\"a\": {inner}, \"b\": {inner}}}");
    assert_eq!(document, format!("{{\n\"m\": {{\"a\": {middle}, \"b\": {middle}}}\n}}\n"));
    map.clear();
}
