//! The registry of the process.

use std::sync::LazyLock;

use crate::health;
use crate::info::Info;
use crate::registry::{PublishError, Registry};
use crate::var::Publish;

static GLOBAL: LazyLock<Registry> = LazyLock::new(|| Registry::made(true));

/// Returns the registry of the process. It contains the statics of [`vars!`](crate::vars) from the
/// start, and `cmdline`, `memstats`, `process` and the library's own counts under `expvar.`.
///
/// Statics of a library loaded at run time (`dlopen`) are added when it is loaded. Such a library
/// must not be unloaded.
#[doc(alias("default_registry", "DefaultRegisterer"))]
pub fn global() -> &'static Registry {
    &GLOBAL
}

/// Publishes a variable in the [`global`] registry. See [`Registry::publish`].
///
/// # Errors
/// The name is taken, empty, or contains a control character.
#[doc(alias("Publish", "register"))]
pub fn publish<V: Publish>(name: &str, var: V) -> Result<V::Handle, PublishError> {
    global().publish(name, var)
}

/// Publishes a variable in the [`global`] registry with metadata.
///
/// # Errors
/// The name is taken, empty, or contains a control character.
pub fn publish_with<V: Publish>(name: &str, var: V, info: Info) -> Result<V::Handle, PublishError> {
    global().publish_with(name, var, info)
}

/// Counts a recording under `(other)` after a limit of names, keys or label sets was reached.
#[doc(hidden)]
pub fn count_overflow() {
    health::OVERFLOWS.inc();
}
