//! Groups: the variables of a component, published for each instance.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::info::Info;
use crate::map::Map;
use crate::registry::{PublishError, Registry};
use crate::var::{Handle, Owner, Publish, Var};

/// Keeps a group's variables published until it is dropped. See [`group!`](crate::group).
///
/// ```
/// expvar::group! {
///     struct PoolVars = "pool" {
///         taken: Counter = "taken";
///     }
/// }
///
/// /// A pool holds its variables; they go when it goes.
/// struct Pool {
///     vars: expvar::Group<PoolVars>,
/// }
///
/// let registry = expvar::Registry::new();
/// let pool = Pool { vars: PoolVars::publish(&registry, "main")? };
/// pool.vars.taken.inc();
/// assert_eq!(pool.vars.instance(), "main");
/// # Ok::<(), expvar::PublishError>(())
/// ```
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

/// The variables that an instance has published, removed on drop.
#[doc(hidden)]
#[derive(Debug)]
pub struct Shown {
    registry: Registry,
    instance: Box<str>,
    /// By name, the maps that have the instance as a key.
    maps: Vec<(String, Handle<Map>)>,
}

impl Shown {
    pub fn new(registry: &Registry, instance: &str) -> Self {
        Self { registry: registry.clone(), instance: instance.into(), maps: Vec::new() }
    }

    /// Publishes one variable at the instance's key of the map `prefix.name`, made if missing.
    ///
    /// # Errors
    /// The name is taken by something else, or the instance already exists.
    pub fn publish<V: Publish>(
        &mut self,
        prefix: &str,
        name: &str,
        var: V,
        info: Info,
    ) -> Result<V::Handle, PublishError> {
        let name = format!("{prefix}.{name}");
        let (var, handle) = var.into_var();
        loop {
            // Made on each attempt: a map that another group removed at the same moment stays
            // removed.
            let map = self.registry.get_or_publish_with(&name, Var::from(map()), info.clone())?;
            let Var::Map(map) = map else { return Err(PublishError::taken(&name, map)) };
            if let Err(other) = map.set_new(&self.instance, var.clone()) {
                return Err(PublishError::taken(&format!("{name}.{}", self.instance), other));
            }
            // The last instance of another group may just have removed the empty map.
            if self.registry.get(&name).is_some_and(|shown| shown.is(&Var::Map(map.clone()))) {
                self.maps.push((name, map));
                return Ok(handle);
            }
            map.remove(&self.instance);
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        for (name, map) in &self.maps {
            map.remove(&self.instance);
            // A declared map stays.
            if let Handle(Owner::Shared(_)) = map {
                let shown = Var::Map(map.clone());
                self.registry.remove_if(name, |var| var.is(&shown) && map.is_empty());
            }
        }
    }
}

fn map() -> Arc<Map> {
    Arc::new(Map::new())
}

/// Declares a struct of variables of a component (a connection pool, a cache), published for each
/// instance and removed with it.
///
/// Fields are declared like statics in [`vars!`](crate::vars): kind, name, then `unit:`, `label:`,
/// `counter` and `init:` as needed. Each is an `Arc` of its kind. The struct and its fields take
/// any attribute. After the struct's name come the names' common prefix and the label that
/// distinguishes instances. Default label: `name`. `instance` and `job` are rejected, because
/// Prometheus uses them for its targets and would rename them to `exported_instance`.
///
/// `publish` puts each variable at the instance's key of the map `prefix.name`. So all instances
/// form one Prometheus family with a label, and one subtree in Graphite.
///
/// ```
/// expvar::group! {
///     /// What a pool of connections shows.
///     #[derive(Debug)]
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
        $(#[$($attr:tt)+])*
        $vis:vis struct $group:ident
            = $prefix:tt $(:: $more:ident)* $(! $bang:tt)?
            $(, $option:ident: $label:tt $(:: $label_more:ident)* $(! $label_bang:tt)?)?
        { $($field:tt)* }
    )*) => {$(
        $crate::__group! {
            {
                [$([$($attr)+])*] [$vis] $group,
                [$prefix $(:: $more)* $(! $bang)?],
                [$($option $label $(:: $label_more)* $(! $label_bang)?)?]
            }
            [] [] [] [] $($field)*
        }
    )*};
}

/// Parses a group's fields, then expands to the struct. Carries the head, the parsed fields, and
/// the attributes of the next one: help texts, conditions and all others.
#[doc(hidden)]
#[macro_export]
macro_rules! __group {
    // Fields with no attributes but help texts are parsed at once, so that any number stays within
    // the compiler's recursion limit.
    (
        $head:tt [] [] [] []
        $(
            $(#[doc = $help:expr])*
            $vis:vis $field:ident: $(::)? $($kind:ident)::+
                $(<$($member:ident)::+, $labels:ty $(,)?>)?
                = $name:expr
            $(, $option:ident $(
                : $value:tt $(:: $more:ident)* $(! $bang:tt)? $(($($arg:tt)*))?
                $(. $method:ident ($($method_arg:tt)*))*
            )?)*
        );+ $(;)?
    ) => {
        $crate::__group_struct! { $head [$({
            [$([doc = $help])*] [$([doc = $help])*] [] [$vis] $field,
            ($($kind)::+ $(<$($member)::+, $labels>)?), $name,
            [$([$option $(
                : $value $(:: $more)* $(! $bang)? $(($($arg)*))? $(. $method ($($method_arg)*))*
            )?])*]
        })+] }
    };
    ($head:tt [$($done:tt)*] [] [] []) => {
        $crate::__group_struct! { $head [$($done)*] }
    };
    // The options of a field with an expression of another form: an expression is opaque to other
    // macros, so only `init:` is parsed as one, and what has no other form.
    (@ $head:tt [$($done:tt)*] { $($field:tt)* } $options:tt $(; $($rest:tt)*)?) => {
        $crate::__group! { $head [$($done)* { $($field)* $options }] [] [] [] $($($rest)*)? }
    };
    (@ $head:tt $done:tt $field:tt [$($option:tt)*] , init: $init:expr , $($rest:tt)*) => {
        $crate::__group! { @ $head $done $field [$($option)* [init: $init]] , $($rest)* }
    };
    (@ $head:tt $done:tt $field:tt [$($option:tt)*] , init: $init:expr $(; $($rest:tt)*)?) => {
        $crate::__group! { @ $head $done $field [$($option)* [init: $init]] ; $($($rest)*)? }
    };
    (
        @ $head:tt $done:tt $field:tt [$($known:tt)*]
        , $option:ident $(: $value:tt $(:: $more:ident)* $(! $bang:tt)? $(($($arg:tt)*))?)?
        , $($rest:tt)*
    ) => {
        $crate::__group! {
            @ $head $done $field
            [$($known)* [$option $(: $value $(:: $more)* $(! $bang)? $(($($arg)*))?)?]]
            , $($rest)*
        }
    };
    (
        @ $head:tt $done:tt $field:tt [$($known:tt)*]
        , $option:ident $(: $value:tt $(:: $more:ident)* $(! $bang:tt)? $(($($arg:tt)*))?)?
        $(; $($rest:tt)*)?
    ) => {
        $crate::__group! {
            @ $head $done $field
            [$($known)* [$option $(: $value $(:: $more)* $(! $bang)? $(($($arg)*))?)?]]
            ; $($($rest)*)?
        }
    };
    (@ $head:tt $done:tt $field:tt [$($known:tt)*] , $option:ident: $value:expr , $($rest:tt)*) => {
        $crate::__group! { @ $head $done $field [$($known)* [$option: $value]] , $($rest)* }
    };
    (@ $head:tt $done:tt $field:tt [$($known:tt)*] , $option:ident: $value:expr $(; $($rest:tt)*)?) => {
        $crate::__group! { @ $head $done $field [$($known)* [$option: $value]] ; $($($rest)*)? }
    };
    ($head:tt $done:tt [$($all:tt)*] [$($help:tt)*] $cfgs:tt #[doc = $text:expr] $($rest:tt)*) => {
        $crate::__group! {
            $head $done [$($all)* [doc = $text]] [$($help)* [doc = $text]] $cfgs $($rest)*
        }
    };
    ($head:tt $done:tt [$($all:tt)*] $help:tt [$($cfgs:tt)*] #[cfg $cfg:tt] $($rest:tt)*) => {
        $crate::__group! {
            $head $done [$($all)* [cfg $cfg]] $help [$($cfgs)* [cfg $cfg]] $($rest)*
        }
    };
    ($head:tt $done:tt [$($all:tt)*] $help:tt $cfgs:tt #[$($attr:tt)+] $($rest:tt)*) => {
        $crate::__group! { $head $done [$($all)* [$($attr)+]] $help $cfgs $($rest)* }
    };
    (
        $head:tt [$($done:tt)*] $all:tt $help:tt $cfgs:tt
        $vis:vis $field:ident: $(::)? $($kind:ident)::+
            $(<$($member:ident)::+, $labels:ty $(,)?>)?
            = $name:expr
        $(, $option:ident $(
                : $value:tt $(:: $more:ident)* $(! $bang:tt)? $(($($arg:tt)*))?
                $(. $method:ident ($($method_arg:tt)*))*
            )?)*
        $(; $($rest:tt)*)?
    ) => {
        $crate::__group! { $head [$($done)* {
            $all $help $cfgs [$vis] $field, ($($kind)::+ $(<$($member)::+, $labels>)?), $name,
            [$([$option $(
                : $value $(:: $more)* $(! $bang)? $(($($arg)*))? $(. $method ($($method_arg)*))*
            )?])*]
        }] [] [] [] $($($rest)*)? }
    };
    (
        $head:tt [$($done:tt)*] $all:tt $help:tt $cfgs:tt
        $vis:vis $field:ident: $(::)? $($kind:ident)::+
            $(<$($member:ident)::+, $labels:ty $(,)?>)?
            = $name:expr
        , $($rest:tt)*
    ) => {
        $crate::__group! {
            @ $head [$($done)*]
            { $all $help $cfgs [$vis] $field, ($($kind)::+ $(<$($member)::+, $labels>)?), $name, }
            [] , $($rest)*
        }
    };
}

/// Expands to a group's struct and its `publish`.
#[doc(hidden)]
#[macro_export]
macro_rules! __group_struct {
    (
        { [$([$($attr:tt)+])*] [$vis:vis] $group:ident, [$($prefix:tt)+], [$($label:tt)*] }
        [$({
            [$([$($all:tt)+])*] [$($help:tt)*] [$([$($cfg:tt)+])*] [$field_vis:vis] $field:ident,
            ($($kind:tt)+), $name:expr, $options:tt
        })*]
    ) => {
        $(#[$($attr)+])*
        $vis struct $group {$(
            $(#[$($all)+])*
            $field_vis $field: ::std::sync::Arc<$crate::__kind!($($kind)+)>,
        )*}

        impl $group {
            /// Publishes the variables of one instance under its name, until the returned guard is
            /// dropped.
            ///
            /// # Errors
            /// The instance is already published, or a name is taken by something that is not a
            /// map. Nothing stays published then.
            #[allow(dead_code, deprecated)]
            $vis fn publish(
                registry: &$crate::Registry,
                instance: &str,
            ) -> ::core::result::Result<$crate::Group<Self>, $crate::PublishError> {
                const _: () = {
                    let _ = $crate::__private::check_name($($prefix)+);
                };
                // An inline constant has no name that could shadow one of the caller's.
                let prefix = const { $crate::__private::check_name($($prefix)+) };
                let label = const { $crate::__label!($($label)*) };
                let mut shown = $crate::__private::Shown::new(registry, instance);
                let vars = Self {$(
                    $(#[$($cfg)+])*
                    $field: {
                        // Checked even if nothing calls this function.
                        const _: () = {
                            let _ = $crate::__spec!($name, [$($help)*], ($($kind)+), $options);
                        };
                        let spec =
                            const { $crate::__spec!($name, [$($help)*], ($($kind)+), $options) };
                        shown.publish(
                            prefix,
                            spec.name(),
                            $crate::__declared_init!(($($kind)+), $options),
                            spec.info_under(::core::option::Option::Some(label)),
                        )?
                    },
                )*};
                ::core::result::Result::Ok($crate::Group::new(vars, shown))
            }
        }
    };
}

/// The label that distinguishes a group's instances: one that Prometheus does not rename.
#[doc(hidden)]
#[macro_export]
macro_rules! __label {
    () => {
        "name"
    };
    (label $($label:tt)+) => {
        $crate::__private::check_name($($label)+)
    };
    ($other:ident $($label:tt)+) => {
        ::core::compile_error!(::core::concat!(
            "`",
            ::core::stringify!($other),
            ":` is no option of a group: write `label: \"pool\"`"
        ))
    };
}
