//! The registry of the whole process.

use std::sync::LazyLock;

use crate::health;
use crate::info::Info;
use crate::registry::{PublishError, Registry};
use crate::var::Publish;

static GLOBAL: LazyLock<Registry> = LazyLock::new(|| Registry::made(true));

/// The registry of the whole process: what [`vars!`](crate::vars) declares is in it from the start,
/// and so are `cmdline`, `memstats`, `process` and the library's own counts under `expvar.`.
///
/// What a library declares that is loaded later (`dlopen`) is in it from then on. Such a library
/// must not be unloaded.
#[doc(alias("default_registry", "DefaultRegisterer"))]
pub fn global() -> &'static Registry {
    &GLOBAL
}

/// Shows a variable under `name` in the [`global`] registry: see [`Registry::publish`].
///
/// # Errors
/// The name is taken, empty, or holds a control character.
#[doc(alias("Publish", "register"))]
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

/// Counts a recording that went to `(other)` because a limit of names, keys or label sets was reached.
#[doc(hidden)]
pub fn count_overflow() {
    health::OVERFLOWS.inc();
}
