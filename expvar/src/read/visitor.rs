//! Visitors: the interface of every exporter.

use super::recorded::Recorded;
use crate::info::Info;
use crate::number::Number;

/// Receives every variable of a registry, down to the leaves, in name order. See
/// [`Registry::visit`](crate::Registry::visit).
///
/// Each variable, map key, and member or element of a function's value is entered and left. Between
/// `enter` and `leave` comes exactly one value: a leaf ([`number`](Self::number),
/// [`text`](Self::text), [`boolean`](Self::boolean), [`null`](Self::null),
/// [`histogram`](Self::histogram)), or a structure: [`begin`](Self::begin), its content,
/// [`end`](Self::end). A leaf follows directly after its own `enter`, so the arguments of `enter`
/// need no stack.
///
/// All but two methods have a default that ignores the value. No lock is held while they run: a
/// visitor may change the registry.
///
/// ```
/// use expvar::{Info, Number, Step, Visitor};
///
/// /// Lists numbers by path.
/// #[derive(Default)]
/// struct Flat {
///     path: Vec<String>,
///     lines: Vec<String>,
/// }
///
/// impl Visitor for Flat {
///     fn enter(&mut self, step: Step<'_>, _: &Info) {
///         self.path.push(step.to_string());
///     }
///
///     fn leave(&mut self) {
///         self.path.pop();
///     }
///
///     fn number(&mut self, number: Number) {
///         self.lines.push(format!("{} {}", self.path.join("."), number.to_f64()));
///     }
/// }
///
/// let registry = expvar::Registry::new();
/// registry.publish("requests", expvar::Counter::new())?.inc();
/// registry.publish("routes", expvar::Map::new())?.add("/login", 2);
/// registry.publish("limits", expvar::Func::new(|| [0.5, 1.5]))?;
///
/// let mut flat = Flat::default();
/// registry.visit(&mut flat);
/// assert_eq!(flat.lines, ["limits.0 0.5", "limits.1 1.5", "requests 1", "routes./login 2"]);
/// # Ok::<(), expvar::PublishError>(())
/// ```
pub trait Visitor {
    /// Begins a variable, a map key, or a member or element of a structure. `info` is the metadata
    /// of its value: the variable's own, or that of the containing map or structure. A counter's
    /// always says that it only goes up.
    fn enter(&mut self, step: Step<'_>, info: &Info);

    /// When the variable or map key just entered was registered, in nanoseconds since 1970: the
    /// start of its count. For a static, the start of the process; 0 without a clock. Not called
    /// for members and elements, which are as old as their variable.
    fn registered(&mut self, _unix_nanos: u64) {}

    /// Ends it.
    fn leave(&mut self);

    /// A number.
    fn number(&mut self, _number: Number) {}

    /// A text.
    fn text(&mut self, _text: &str) {}

    /// A boolean, from a function.
    fn boolean(&mut self, _value: bool) {}

    /// Null: a function that failed or returned null, or maps nested too deeply.
    fn null(&mut self) {}

    /// A histogram. Its parts are read on demand; the count alone is cheap.
    fn histogram(&mut self, _histogram: Recorded<'_>) {}

    /// Begins a map or structure. Return false to skip its content; `end` is called either way.
    fn begin(&mut self, _shape: Shape) -> bool {
        true
    }

    /// Ends the map or structure begun last.
    fn end(&mut self, _shape: Shape) {}

    /// Whether to pass functions' values as JSON to [`json`](Self::json). Default: false; the walk
    /// then passes their parts to the other methods. The two may differ: `memstats` has zeros in
    /// its JSON for numbers that were not measured, because readers of Go's fields expect them, and
    /// leaves them out of its parts.
    fn wants_json(&self) -> bool {
        false
    }

    /// The value of a function as valid compact JSON, if requested.
    fn json(&mut self, _json: &str) {}
}

/// One step of the path to a value.
///
/// ```
/// use expvar::Step;
///
/// assert_eq!(Step::Key("/login").to_string(), "/login");
/// assert_eq!(Step::Index(2).to_string(), "2");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// The name of a variable.
    Name(&'a str),
    /// The key of a map or the name of a structure's member.
    Key(&'a str),
    /// The index of an array's element, from 0.
    Index(usize),
}

impl std::fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(text) | Self::Key(text) => f.write_str(text),
            Self::Index(at) => at.fmt(f),
        }
    }
}

/// The kind of a structure.
///
/// ```
/// use expvar::{Info, Map, Registry, Shape, Step, Visitor};
///
/// /// Counts maps, without looking into them.
/// struct Maps(usize);
///
/// impl Visitor for Maps {
///     fn enter(&mut self, _: Step<'_>, _: &Info) {}
///     fn leave(&mut self) {}
///     fn begin(&mut self, shape: Shape) -> bool {
///         self.0 += usize::from(shape == Shape::Map);
///         false
///     }
/// }
///
/// let registry = Registry::new();
/// registry.publish("routes", Map::new())?.add("/login", 1);
/// let mut maps = Maps(0);
/// registry.visit(&mut maps);
/// assert_eq!(maps.0, 1);
/// # Ok::<(), expvar::PublishError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A [`Map`](crate::Map): values by key.
    Map,
    /// A structure in a function's value: members by name.
    Structure,
    /// An array in a function's value: elements by index.
    Array,
}
