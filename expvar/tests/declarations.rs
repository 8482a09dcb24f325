//! `vars!` and `group!` take what a stranger writes: attributes, constants, paths.

#![forbid(unsafe_code)]
#![deny(warnings)]
#![allow(unreachable_pub)]

use expvar::{Histogram as Distribution, Unit, global};

const NAME: &str = "declarations.constant";
const PREFIX: &str = "declarations.group";
const LABEL: &str = "pool";
const UNIT: Unit = Unit::Other("cats");

expvar::vars! {
    /// First line.
    #[doc = concat!("Second ", "line.")]
    static COMPUTED: Counter = concat!("declarations", ".computed");
    static CONSTANT: expvar::Gauge = NAME;
    static ABSOLUTE: ::expvar::FloatGauge = "declarations.absolute", unit: Unit::Ratio;
    static ALIASED: Distribution = "declarations.aliased", unit: expvar::Unit::Bytes;
    #[cfg(any())]
    static ABSENT: Counter = "declarations.absent";
    #[cfg(all())]
    #[allow(non_upper_case_globals)]
    static present: Counter = "declarations.present", unit: self::UNIT;
    #[deprecated = "use another"]
    static OLD: Counter = "declarations.old";
    #[doc(hidden)]
    #[cfg_attr(all(), allow(dead_code))]
    pub static NEVER_READ: Text = "declarations.never_read", label: "version";
    static LEVELS: Map = "declarations.levels", labels: ["zone", LABEL], counter;
    static SIZED: Histogram = "declarations.sized", init: Histogram::with_precision(1 + 1);
}

#[test]
fn a_static_can_have_any_attribute_name_and_path() {
    #[allow(deprecated)]
    OLD.inc();
    COMPUTED.inc();
    CONSTANT.set(2);
    ABSOLUTE.set(0.5);
    present.inc();
    SIZED.record(1);
    ALIASED.record(1);
    LEVELS.add("eu", 1);
    for (name, value) in [
        ("declarations.computed", "1"),
        (NAME, "2"),
        ("declarations.absolute", "0.5"),
        ("declarations.present", "1"),
        ("declarations.old", "1"),
        ("declarations.never_read", "\"\""),
        ("declarations.levels", "{\"eu\": 1}"),
    ] {
        let shown = global().get(name).map(|var| var.to_string());
        assert_eq!(shown.as_deref(), Some(value), "{name}");
    }
    assert!(global().get("declarations.absent").is_none());
    let info = |name| global().info(name).unwrap();
    assert_eq!(info("declarations.computed").get_help(), "First line. Second line.");
    assert_eq!(info("declarations.absolute").get_unit(), Unit::Ratio);
    assert_eq!(info("declarations.aliased").get_unit(), Unit::Bytes);
    assert_eq!(info("declarations.present").get_unit(), UNIT);
    assert_eq!(info("declarations.levels").get_labels(), ["zone", "pool"]);
}

#[test]
fn statics_can_stand_in_a_function() {
    expvar::vars! {
        static LOCAL: Counter = "declarations.local";
    }
    LOCAL.inc();
    assert_eq!(global().get("declarations.local").unwrap().to_string(), "1");
}

expvar::group! {
    /// What a pool shows.
    #[derive(Debug, Clone)]
    #[cfg_attr(all(), allow(dead_code))]
    struct PoolVars = PREFIX, label: LABEL {
        /// Help.
        #[doc = concat!("More ", "help.")]
        #[allow(dead_code)]
        hits: Counter = concat!("h", "its");
        #[cfg(any())]
        absent: Counter = "absent";
        #[cfg(all())]
        #[deprecated]
        /// After the attributes.
        old: expvar::Gauge = "old", unit: Unit::Bytes;
        sizes: Histogram = "sizes", init: Histogram::with_precision(1 + 1);
        last: Text = "last"
    }

    /// Another in the same block.
    struct Empty = "declarations.empty" {}
}

#[test]
fn a_group_can_have_any_attribute_name_and_path() {
    let registry = expvar::Registry::new();
    let pool = PoolVars::publish(&registry, "main").unwrap();
    #[allow(deprecated)]
    pool.old.set(3);
    pool.sizes.record(1);
    pool.last.set("x");
    assert_eq!(registry.get("declarations.group.old").unwrap().to_string(), "{\"main\": 3}");
    assert!(registry.get("declarations.group.absent").is_none());
    let info = registry.info("declarations.group.hits").unwrap();
    assert_eq!((info.get_help(), info.get_labels()), ("Help. More help.", &["pool".into()][..]));
    assert_eq!(registry.info("declarations.group.old").unwrap().get_unit(), Unit::Bytes);
    assert!(format!("{:?}", (*pool).clone()).starts_with("PoolVars { hits: Counter(0)"));
    drop(Empty::publish(&registry, "one").unwrap());
}

/// A block is not bounded by the compiler's limit of recursion.
const BASE: u8 = 4;

expvar::vars! {
    static BEFORE: Map = "declarations.before", labels: ["route", "method"];
    static CHAINED: Map = "declarations.chained", label: "pod", counter,
        init: expvar::Map::with_limit(7).key_bytes(64).expire_after(std::time::Duration::MAX);
    static SUM: Histogram = "declarations.sum", buckets: [100, 250], exemplars: true,
        init: Histogram::with_precision(BASE + 1), unit: Milliseconds;
    static BRANCH: Map = "declarations.branch", labels: ["a", "b"],
        init: if BASE > 3 { expvar::Map::with_limit(1) } else { expvar::Map::new() }, counter;
    static BLOCK: Histogram = "declarations.block", init: match BASE { 4 => Histogram::floats(), _ => Histogram::new() },
        buckets: [0.5], unit: Unit::Seconds;
    static AFTER: Map = "declarations.after", labels: ["x", "y"];
}

expvar::group! {
    struct Expressions = "declarations.expressions" {
        chained: Map = "chained", labels: ["route", "method"],
            init: expvar::Map::with_limit(1).key_bytes(64);
        branch: Histogram = "branch", buckets: [100, 250],
            init: if BASE > 3 { Histogram::floats() } else { Histogram::new() }, unit: Seconds;
        after: Map = "after", labels: ["x", "y"];
    }
}

#[test]
fn an_expression_of_any_form_leaves_the_other_options_as_they_are() {
    let labels = |name: &str| global().info(name).unwrap().get_labels().join(" ");
    assert_eq!(labels("declarations.before"), "route method");
    assert_eq!(labels("declarations.chained"), "pod");
    assert_eq!(labels("declarations.branch"), "a b");
    assert_eq!(labels("declarations.after"), "x y");
    let info = global().info("declarations.sum").unwrap();
    assert_eq!(info.get_unit(), Unit::Milliseconds);
    assert!(global().info("declarations.branch").unwrap().is_counter());
    assert_eq!(global().info("declarations.block").unwrap().get_unit(), Unit::Seconds);
    for n in [100, 101] {
        SUM.record(n);
        BLOCK.record_float(n as f64 / 200.0);
    }
    assert_eq!((SUM.snapshot().at_most(100.0), BLOCK.snapshot().at_most(0.5)), (1, 1));
    for key in ["a", "b", "c"] {
        BRANCH.inc(key);
        CHAINED.inc(key);
    }
    assert_eq!((BRANCH.len(), CHAINED.len()), (2, 3));
    BEFORE.add_at(["/", "GET"], 1);
    AFTER.add_at(["1", "2"], 1);

    let registry = expvar::Registry::new();
    let group = Expressions::publish(&registry, "x").unwrap();
    group.chained.add_at(["/", "GET"], 1);
    group.after.add_at(["1", "2"], 1);
    group.branch.record_float(100.0);
    let info = |name: &str| registry.info(&format!("declarations.expressions.{name}")).unwrap();
    assert_eq!(info("chained").get_labels(), ["name", "route", "method"]);
    assert_eq!(info("after").get_labels(), ["name", "x", "y"]);
    assert_eq!(info("branch").get_unit(), Unit::Seconds);
}

mod many {
    macro_rules! many {
        ($($name:ident)*) => {
            expvar::group! {
                /// Two hundred lines.
                pub struct Many = "declarations.many" {$(
                    /// One line.
                    ///
                    /// Another.
                    pub $name: Counter = stringify!($name);
                )*}
            }
            #[allow(non_upper_case_globals)]
            pub mod statics {
                expvar::vars! {$(
                    /// One line.
                    ///
                    /// Another.
                    pub static $name: Counter = concat!("declarations.many.", stringify!($name));
                )*}
            }
        };
    }

    many! {
        a00 a01 a02 a03 a04 a05 a06 a07 a08 a09 a10 a11 a12 a13 a14 a15 a16 a17 a18 a19 a20 a21 a22
        a23 a24 a25 a26 a27 a28 a29 a30 a31 a32 a33 a34 a35 a36 a37 a38 a39 a40 a41 a42 a43 a44 a45
        a46 a47 a48 a49 a50 a51 a52 a53 a54 a55 a56 a57 a58 a59 a60 a61 a62 a63 a64 a65 a66 a67 a68
        a69 a70 a71 a72 a73 a74 a75 a76 a77 a78 a79 a80 a81 a82 a83 a84 a85 a86 a87 a88 a89 a90 a91
        b00 b01 b02 b03 b04 b05 b06 b07 b08 b09 b10 b11 b12 b13 b14 b15 b16 b17 b18 b19 b20 b21 b22
        b23 b24 b25 b26 b27 b28 b29 b30 b31 b32 b33 b34 b35 b36 b37 b38 b39 b40 b41 b42 b43 b44 b45
    }
}

#[test]
fn a_block_can_declare_hundreds() {
    let registry = expvar::Registry::new();
    let many = many::Many::publish(&registry, "x").unwrap();
    many.b45.inc();
    many::statics::b45.inc();
    assert_eq!(global().get("declarations.many.b45").unwrap().to_string(), "1");
}
