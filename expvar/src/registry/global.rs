//! The registry of the whole process, and the statics that declare themselves in it.

use once_cell::sync::Lazy;

use crate::info::Info;
use crate::registry::{PublishError, Registry};
use crate::spec::Spec;
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
    spec: Spec,
    var: Var,
    place: Place,
}

/// Where a static stands: file, line of its `vars!`, and path.
type Place = (&'static str, u32, &'static str);

impl Declaration {
    #[doc(hidden)]
    pub const fn new(spec: Spec, var: Var, place: Place) -> Self {
        Self { spec, var, place }
    }
}

inventory::collect!(Declaration);

fn publish_declared(registry: &Registry) {
    let mut declared: Vec<&Declaration> = inventory::iter::<Declaration>.into_iter().collect();
    // The linker's order is arbitrary; that of the source is not.
    declared.sort_by_key(|declaration| (declaration.spec.name, declaration.place));
    let mut holder: Option<&Declaration> = None;
    for declaration in declared {
        let Err(error) = registry.publish_with(
            declaration.spec.name,
            declaration.var.clone(),
            declaration.spec.info(),
        ) else {
            if let Var::Counter(Handle::Static(counter)) = &declaration.var {
                counter.claim();
            }
            holder = Some(declaration);
            continue;
        };
        let holder = holder.filter(|holder| holder.spec.name == declaration.spec.name);
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
    CLASHES.set(late.spec.name, Text::new()).set(text);
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
