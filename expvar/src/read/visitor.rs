//! What an exporter is: a visitor of the walk over a registry.

use super::walk::Recorded;
use crate::info::Info;
use crate::number::Number;

/// Sees every variable of a registry, down to the leaves, in name order: see
/// [`Registry::visit`](crate::Registry::visit).
///
/// Each variable, each key of a map and each member or element of what a function returns is
/// entered and left. In between comes exactly one value: a leaf ([`number`](Self::number),
/// [`text`](Self::text), [`boolean`](Self::boolean), [`null`](Self::null),
/// [`histogram`](Self::histogram)), or a structure: [`begin`](Self::begin), the steps into it,
/// [`end`](Self::end). A leaf follows its own `enter` at once, so what `enter` was given about it
/// need not be kept on a stack.
///
/// Only the methods that a visitor cares for need be written; the others ignore what they see. No
/// lock is held while they run: they may change the registry.
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
    /// A variable, a map's key, or a member or element of a structure begins. `info` says what its
    /// value means: a variable's own, or that of the map or structure which it is in; a counter's
    /// says that it only goes up wherever it lies.
    fn enter(&mut self, step: Step<'_>, info: &Info);

    /// When the variable or the map's key that was just entered was registered, in nanoseconds since
    /// 1970: for a static the start of the process; 0 where there is no clock. What it counts, it
    /// has counted since then. Not called for members and elements, which are as old as the variable
    /// that they are in.
    fn registered(&mut self, _unix_nanos: u64) {}

    /// It ends.
    fn leave(&mut self);

    /// A number.
    fn number(&mut self, _number: Number) {}

    /// A text.
    fn text(&mut self, _text: &str) {}

    /// A truth value, in what a function returned.
    fn boolean(&mut self, _value: bool) {}

    /// Nothing: a function that failed, maps nested too deeply, or what a function returned.
    fn null(&mut self) {}

    /// A distribution. It is read as far as it is asked: its count alone is cheap.
    fn histogram(&mut self, _histogram: Recorded<'_>) {}

    /// A map or structure begins. Return false to pass over what is in it; `end` follows all the
    /// same.
    fn begin(&mut self, _shape: Shape) -> bool {
        true
    }

    /// The map or structure that was begun last ends.
    fn end(&mut self, _shape: Shape) {}

    /// Whether what functions return is wanted as JSON, by [`json`](Self::json). By default the walk
    /// takes it apart, into the other methods. The two may differ: numbers that nobody measured are
    /// in `memstats`' JSON as zeros, where readers of Go's fields expect them, and absent from its
    /// parts.
    fn wants_json(&self) -> bool {
        false
    }

    /// What a function returned, as valid compact JSON, where that is wanted.
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
    /// To a variable, by its name.
    Name(&'a str),
    /// Into a map's key or a structure's member.
    Key(&'a str),
    /// Into an array's element, from 0.
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

/// What lies below a name, key or index.
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
    /// Values by key, in a [`Map`](crate::Map).
    Map,
    /// Members by name, in what a function returned.
    Structure,
    /// Elements by index, in what a function returned.
    Array,
}
