//! The registry of the whole process, and the statics that declare themselves in it.

use std::fmt::Write as _;

use once_cell::sync::Lazy;

use crate::info::{Info, Unit};
use crate::registry::{PublishError, Registry};
use crate::var::{Handle, Publish, Var};
use crate::{Counter, Map, Text};

/// Keys that a full map refused.
pub(crate) static OVERFLOWS: Counter = Counter::new();
/// Additions to a map's key of another kind.
pub(crate) static MISMATCHES: Counter = Counter::new();
/// Functions that panicked or failed.
pub(crate) static PANICS: Counter = Counter::new();
/// Statics of one name that could not share a variable.
static CLASHES: Map = Map::new();

static GLOBAL: Lazy<Registry> = Lazy::new(|| {
    let registry = Registry::new();
    publish_own(&registry);
    publish_declared(&registry);
    registry
});

/// The registry of the whole process: what [`vars!`](crate::vars) declares is in it from the start,
/// and so are `cmdline`, `memstats`, `process` and the library's own counts under `expvar.`.
pub fn global() -> &'static Registry {
    &GLOBAL
}

/// Shows a variable under `name` in the [`global`] registry: see [`Registry::publish`].
///
/// # Errors
/// The name is taken, empty, or holds a control character.
pub fn publish<V: Publish>(name: &str, var: V) -> Result<V::Handle, PublishError> {
    global().publish(name, var)
}

/// Shows a variable in the [`global`] registry with help text, unit and labels.
///
/// # Errors
/// The name is taken, empty, or holds a control character.
pub fn publish_with<V: Publish>(name: &str, var: V, info: Info) -> Result<V::Handle, PublishError> {
    global().publish_with(name, var, info)
}

/// Sees to it that statics of one name share one variable, before the first cell is given out.
pub(crate) fn settle() {
    Lazy::force(&GLOBAL);
}

fn publish_own(registry: &Registry) {
    let show = |name, var: Var, help: &'static str| {
        let _ = registry.publish_with(name, var, Info::new().help(help).counter());
    };
    let counters = [
        ("expvar.mismatches", &MISMATCHES, "Additions to a map's key that holds another kind."),
        ("expvar.overflows", &OVERFLOWS, "Additions that a full map took under (other)."),
        ("expvar.panics", &PANICS, "Functions that panicked or failed while they were read."),
    ];
    for (name, counter, help) in counters {
        show(name, Var::Counter(Handle::Static(counter)), help);
    }
    let clashes = Var::Map(Handle::Static(&CLASHES));
    show("expvar.clashes", clashes, "Declared variables that are not shown, by name.");
    publish_process(registry);
}

/// What Go shows of every program, and what the system knows of this one.
fn publish_process(_registry: &Registry) {
    #[cfg(feature = "serde")]
    let show = |name, func: crate::Func, help: &'static str| {
        let _ = _registry.publish_with(name, func, Info::new().help(help));
    };
    #[cfg(feature = "serde")]
    show("cmdline", crate::cmdline::variable(), "The program's arguments, secrets redacted.");
    #[cfg(feature = "process")]
    {
        show("memstats", crate::memstats::variable(), "Memory statistics in Go's fields.");
        show("process", crate::process::variable(), "What the system knows of this process.");
        let unreadable = Var::Counter(Handle::Static(&crate::process::UNREADABLE));
        let help = "Files of the system that were missing, unreadable or not understood.";
        let _ = _registry.publish_with("expvar.unreadable", unreadable, Info::new().help(help));
    }
}

/// A static that [`vars!`](crate::vars) declares.
#[doc(hidden)]
pub struct Declaration {
    name: &'static str,
    help: &'static [&'static str],
    unit: Unit,
    label: &'static str,
    counter: bool,
    var: Var,
    place: Place,
}

/// Where a static stands: file, line of its `vars!`, and path.
type Place = (&'static str, u32, &'static str);

impl Declaration {
    #[doc(hidden)]
    pub const fn new(
        name: &'static str,
        help: &'static [&'static str],
        var: Var,
        place: Place,
    ) -> Self {
        Self { name, help, unit: Unit::None, label: "key", counter: false, var, place }
    }

    #[doc(hidden)]
    pub const fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    #[doc(hidden)]
    pub const fn label(mut self, label: &'static str) -> Self {
        self.label = label;
        self
    }

    #[doc(hidden)]
    pub const fn counter(mut self) -> Self {
        self.counter = true;
        self
    }

    fn info(&self) -> Info {
        let mut help = String::new();
        for line in self.help.iter().map(|line| line.trim()).filter(|line| !line.is_empty()) {
            let space = if help.is_empty() { "" } else { " " };
            let _ = write!(help, "{space}{line}");
        }
        let info = Info::new().help(help).unit(self.unit).label(self.label);
        if self.counter { info.counter() } else { info }
    }
}

inventory::collect!(Declaration);

fn publish_declared(registry: &Registry) {
    let mut declared: Vec<&Declaration> = inventory::iter::<Declaration>.into_iter().collect();
    // The linker's order is arbitrary; that of the source is not.
    declared.sort_by_key(|declaration| (declaration.name, declaration.place));
    let mut holder: Option<&Declaration> = None;
    for declaration in declared {
        let Err(error) =
            registry.publish_with(declaration.name, declaration.var.clone(), declaration.info())
        else {
            if let Var::Counter(Handle::Static(counter)) = &declaration.var {
                counter.claim();
            }
            holder = Some(declaration);
            continue;
        };
        let holder = holder.filter(|holder| holder.name == declaration.name);
        let shared = error.existing().is_some_and(|first| join(&declaration.var, first));
        if !shared {
            report_clash(&error, declaration, holder);
        }
    }
}

/// Makes a static record into another of the same kind and shape; false where it cannot.
fn join(late: &Var, first: &Var) -> bool {
    match (late, first) {
        (Var::Counter(Handle::Static(late)), Var::Counter(Handle::Static(first))) => {
            late.join(first)
        }
        (Var::Gauge(Handle::Static(late)), Var::Gauge(Handle::Static(first))) => late.join(first),
        (Var::FloatGauge(Handle::Static(late)), Var::FloatGauge(Handle::Static(first))) => {
            late.join(first);
        }
        (Var::Text(Handle::Static(late)), Var::Text(Handle::Static(first))) => late.join(first),
        (Var::Map(Handle::Static(late)), Var::Map(Handle::Static(first))) => late.join(first),
        (Var::Histogram(Handle::Static(late)), Var::Histogram(Handle::Static(first))) => {
            return late.join(first);
        }
        _ => return false,
    }
    true
}

fn report_clash(error: &PublishError, late: &Declaration, holder: Option<&Declaration>) {
    let place = |declaration: &Declaration| {
        let (file, line, path) = declaration.place;
        format!("{} {path} at {file}:{line}", declaration.var.kind())
    };
    let text = match (holder, error.existing()) {
        (Some(holder), _) => format!("{} is shown, {} is not", place(holder), place(late)),
        (None, Some(own)) => {
            format!("a {} of the library's own is shown, {} is not", own.kind(), place(late))
        }
        (None, None) => format!("{} is not shown: {error}", place(late)),
    };
    let key = match late.name {
        "" => "(empty)",
        name => name,
    };
    CLASHES.set(key, Text::new()).set(text);
}

/// Counts a recording that went to `(other)` because a limit of names, keys or label sets was reached.
#[doc(hidden)]
pub fn count_overflow() {
    OVERFLOWS.inc();
}

/// Shows why a name's variable is not shown, for the first thousand names.
#[doc(hidden)]
pub fn report_conflict(name: &str, text: String) {
    let known = CLASHES.get(name).is_some();
    if !known && CLASHES.len() < 1000 {
        CLASHES.set(name, Text::new()).set(text);
    }
}

/// Declares variables that are shown, at zero, before anything touches them.
///
/// Each is a plain static; its doc comment is its help text. They are collected at link time (by
/// the `inventory` crate, which needs neither an init call nor a particular linker), so a variable
/// is in the [`global`](crate::global()) registry whether or not its code ever runs. On a target
/// where that does not work (see `inventory`'s list), publish the statics by hand:
/// `expvar::publish("http.requests", &REQUESTS)`.
///
/// After the name may come `unit:` one of [`Unit`](crate::Unit), `label:` what a map's keys are,
/// `counter` where a map's or a gauge's numbers only go up, and `init:` a constant expression other
/// than the kind's `new()`.
///
/// Two statics of one name and kind are one variable. Of two kinds (or two histograms of different
/// precision) the first by source location is shown, and the map `expvar.clashes` names both.
///
/// ```
/// expvar::vars! {
///     /// Requests answered.
///     pub static REQUESTS: Counter = "http.requests";
///     /// Time to answer a request.
///     static LATENCY: Histogram = "http.latency", unit: Nanoseconds;
///     /// Requests by route.
///     static ROUTES: Map = "http.routes", label: "route", counter;
///     /// Bodies received.
///     static SIZES: Histogram = "http.sizes", unit: Bytes, init: Histogram::with_precision(6);
/// }
///
/// REQUESTS.inc();
/// ROUTES.add("/", 1);
/// assert!(expvar::global().to_json().contains("\"http.requests\": 1"));
/// ```
#[macro_export]
macro_rules! vars {
    ($(
        $(#[doc = $help:literal])*
        $vis:vis static $ident:ident: $kind:ident = $name:literal
        $(, $option:ident $(: $value:expr)?)*
    );* $(;)?) => {$(
        $(#[doc = $help])*
        $vis static $ident: $crate::$kind = $crate::__init!($kind $(, $option $(: $value)?)*);

        $crate::__private::submit! {{
            let declaration = $crate::__private::Declaration::new(
                $name,
                &[$($help),*],
                $crate::Var::$kind($crate::Handle::Static(&$ident)),
                (
                    ::core::file!(),
                    ::core::line!(),
                    ::core::concat!(::core::module_path!(), "::", ::core::stringify!($ident)),
                ),
            );
            $(let declaration = $crate::__option!(declaration, $option $(: $value)?);)*
            declaration
        }}
    )*};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __init {
    ($kind:ident) => {
        $crate::$kind::new()
    };
    ($kind:ident, init: $init:expr $(, $rest:ident $(: $value:expr)?)*) => {{
        #[allow(unused_imports)]
        use $crate::$kind;
        $init
    }};
    ($kind:ident, $option:ident $(: $value:expr)? $(, $rest:ident $(: $others:expr)?)*) => {
        $crate::__init!($kind $(, $rest $(: $others)?)*)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __option {
    ($declaration:ident, unit: $unit:expr) => {{
        #[allow(unused_imports)]
        use $crate::Unit::*;
        $declaration.unit($unit)
    }};
    ($declaration:ident, label: $label:expr) => {
        $declaration.label($label)
    };
    ($declaration:ident, counter) => {
        $declaration.counter()
    };
    ($declaration:ident, init: $init:expr) => {
        $declaration
    };
    ($declaration:ident, $option:ident $(: $value:expr)?) => {
        compile_error!(concat!(
            "vars! knows no `",
            stringify!($option),
            "`: it takes `unit: Bytes`, `label: \"route\"`, `counter` and `init: …`"
        ))
    };
}
