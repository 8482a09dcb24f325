//! Variables that belong together, published once for each instance of what they describe.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::info::Info;
use crate::map::Map;
use crate::registry::{PublishError, Registry};
use crate::sync::Mutex;
use crate::var::{Handle, Publish, Var};

/// Held while an instance comes or goes, so that the last one to go and the next one to come agree
/// on whether the maps are there.
static CHANGES: Mutex<()> = Mutex::new(());

/// A group's variables, shown for as long as this is held: see [`group!`](crate::group).
#[must_use = "the variables are shown until this is dropped: keep it in what they describe"]
pub struct Group<V> {
    vars: V,
    shown: Shown,
}

impl<V> Group<V> {
    #[doc(hidden)]
    pub fn new(vars: V, shown: Shown) -> Self {
        Self { vars, shown }
    }

    /// The name of the instance.
    pub fn instance(&self) -> &str {
        &self.shown.instance
    }
}

impl<V> Deref for Group<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.vars
    }
}

impl<V> fmt::Debug for Group<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("instance", &self.instance()).finish_non_exhaustive()
    }
}

/// What an instance has published, to be taken back when it goes.
#[doc(hidden)]
pub struct Shown {
    registry: Registry,
    instance: Box<str>,
    /// By name, the map that the instance is a key of.
    maps: Vec<(String, Handle<Map>)>,
}

impl Shown {
    pub fn new(registry: &Registry, instance: &str) -> Self {
        Self { registry: registry.clone(), instance: instance.into(), maps: Vec::new() }
    }

    /// Shows one variable at the instance's key of the map `prefix.name`, which is made if need be.
    ///
    /// # Errors
    /// The name is taken by something else, or the instance is there already.
    pub fn publish<V: Publish>(
        &mut self,
        prefix: &str,
        name: &str,
        var: V,
        info: Info,
    ) -> Result<V::Handle, PublishError> {
        let name = format!("{prefix}.{name}");
        let _changing = CHANGES.lock();
        let map = match self.registry.get(&name) {
            Some(Var::Map(map)) => map,
            Some(other) => return Err(PublishError::taken(&name, other)),
            None => {
                let map = self.registry.publish_with(&name, Map::new(), info)?;
                Handle::Shared(map)
            }
        };
        if let Some(other) = map.get(&self.instance) {
            return Err(PublishError::taken(&format!("{name}.{}", self.instance), other));
        }
        let handle = map.set(&self.instance, var);
        self.maps.push((name, map));
        Ok(handle)
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let _changing = CHANGES.lock();
        for (name, map) in &self.maps {
            map.remove(&self.instance);
            // A map that was declared stays.
            if let Handle::Shared(map) = map
                && map.is_empty()
                && matches!(self.registry.get(name), Some(Var::Map(Handle::Shared(shown)))
                    if Arc::ptr_eq(&shown, map))
            {
                self.registry.remove(name);
            }
        }
    }
}

/// Declares a struct of variables that something owns (a connection pool, a cache), to be
/// published once for each instance of it and removed when that instance goes.
///
/// Fields are declared as those of [`vars!`](crate::vars): kind, name, and then `unit:`, `counter`
/// and `init:` where needed; each is an `Arc` of its kind. After the struct's name come the prefix
/// that the names share and, where it should not be `instance`, what an instance is called.
///
/// `publish` shows each variable at the instance's key of the map `prefix.name`. So all instances
/// together are one Prometheus family with a label, and one branch in Graphite.
///
/// ```
/// expvar::group! {
///     /// What a pool of connections shows.
///     pub struct PoolVars = "pool", label: "pool" {
///         /// Connections that were there when asked for.
///         pub hits: Counter = "hits";
///         /// Time to make a connection.
///         pub connect: Histogram = "connect", unit: Nanoseconds;
///     }
/// }
///
/// struct Pool {
///     vars: expvar::Group<PoolVars>,
/// }
///
/// let registry = expvar::Registry::new();
/// let pool = Pool { vars: PoolVars::publish(&registry, "main")? };
/// pool.vars.hits.inc();
/// assert!(registry.to_json().contains("\"pool.hits\": {\"main\": 1}"));
///
/// drop(pool);
/// assert_eq!(registry.to_json(), "{\n\n}\n");
/// # Ok::<(), expvar::PublishError>(())
/// ```
#[macro_export]
macro_rules! group {
    ($(
        $(#[doc = $doc:literal])*
        $vis:vis struct $group:ident = $prefix:literal $(, label: $label:literal)? {$(
            $(#[doc = $help:literal])*
            $field_vis:vis $field:ident: $kind:ident = $name:literal
            $(, $option:ident $(: $value:expr)?)*
        );* $(;)?}
    )*) => {$(
        $(#[doc = $doc])*
        $vis struct $group {$(
            $(#[doc = $help])*
            $field_vis $field: ::std::sync::Arc<$crate::$kind>,
        )*}

        impl $group {
            /// Shows the variables of one instance, by its name, until what is returned is dropped.
            ///
            /// # Errors
            /// The instance is shown already, or a name is taken by something that is no map.
            /// Nothing stays shown then.
            #[allow(dead_code)]
            $vis fn publish(
                registry: &$crate::Registry,
                instance: &str,
            ) -> ::core::result::Result<$crate::Group<Self>, $crate::PublishError> {
                const LABEL: &str = $crate::__label!($($label)?);
                let mut shown = $crate::__private::Shown::new(registry, instance);
                let vars = Self {$(
                    $field: {
                        let info = $crate::Info::new().help(::core::concat!($($help),*).trim());
                        let info = info.label(LABEL);
                        $(let info = $crate::__info!(info, $option $(: $value)?);)*
                        let var = $crate::__init!($kind $(, $option $(: $value)?)*);
                        shown.publish($prefix, $name, var, info)?
                    },
                )*};
                ::core::result::Result::Ok($crate::Group::new(vars, shown))
            }
        }
    )*};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __label {
    () => {
        "instance"
    };
    ($label:literal) => {
        $label
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __info {
    ($info:ident, unit: $unit:expr) => {{
        #[allow(unused_imports)]
        use $crate::Unit::*;
        $info.unit($unit)
    }};
    // A map's own label follows the instance's.
    ($info:ident, label: $label:expr) => {{
        let labels = ::std::format!("{},{}", $info.get_label(), $label);
        $info.label(labels)
    }};
    ($info:ident, counter) => {
        $info.counter()
    };
    ($info:ident, init: $init:expr) => {
        $info
    };
    ($info:ident, $option:ident $(: $value:expr)?) => {
        compile_error!(concat!(
            "group! knows no `",
            stringify!($option),
            "`: it takes `unit: Bytes`, `label: \"route\"`, `counter` and `init: …`"
        ))
    };
}
