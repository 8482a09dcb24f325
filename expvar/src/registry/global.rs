//! The registry of the whole process, and the statics that declare themselves in it.

use once_cell::sync::Lazy;

use crate::info::Info;
use crate::registry::{PublishError, Registry};
use crate::spec::Spec;
use crate::var::{Handle, Publish, Var};
use crate::{Text, health};

crate::vars! {
    /// Declared variables that are not shown, by name.
    static CLASHES: Map = "expvar.clashes";
}

static GLOBAL: Lazy<Registry> = Lazy::new(|| {
    let registry = Registry::new();
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

    /// Whether it is the library's own, which goes before everybody else's.
    fn is_own(&self) -> bool {
        self.place.2.starts_with("expvar::")
    }
}

inventory::collect!(Declaration);

fn publish_declared(registry: &Registry) {
    let mut declared: Vec<&Declaration> = inventory::iter::<Declaration>.into_iter().collect();
    // The linker's order is arbitrary; that of the source is not.
    declared.sort_by_key(|declaration| {
        (declaration.spec.name, !declaration.is_own(), declaration.place)
    });
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
        (Some(holder), _) if !holder.is_own() => {
            format!("{} is shown, {} is not", place(holder), place(late))
        }
        (_, Some(own)) => {
            format!("a {} of the library's own is shown, {} is not", own.kind(), place(late))
        }
        (_, None) => format!("{} is not shown: {error}", place(late)),
    };
    CLASHES.set(late.spec.name, Text::new()).set(text);
}

/// Counts a recording that went to `(other)` because a limit of names, keys or label sets was reached.
#[doc(hidden)]
pub fn count_overflow() {
    health::OVERFLOWS.inc();
}

/// Shows why a name's variable is not shown, for the first thousand names.
#[doc(hidden)]
pub fn report_conflict(name: &str, text: String) {
    let known = CLASHES.get(name).is_some();
    if !known && CLASHES.len() < 1000 {
        CLASHES.set(name, Text::new()).set(text);
    }
}
