//! `vars!`: statics that are published from the start.

/// Declares variables that are shown, at zero, before the first recording.
///
/// Each is a plain static; its doc comment is its help text. Statics are collected at link time by
/// the `inventory` crate, without an init call or a particular linker, so a variable is in the
/// [`global`](crate::global()) registry whether or not its code ever runs. On targets that
/// `inventory` does not support, publish the statics by hand: `expvar::publish("http.requests",
/// &REQUESTS)`.
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
///
/// # Syntax
/// - The kind: [`Counter`](crate::Counter), [`Gauge`](crate::Gauge),
///   [`FloatGauge`](crate::FloatGauge), [`Text`](crate::Text), [`Histogram`](crate::Histogram),
///   [`Map`](crate::Map), [`Family`](crate::Family), [`Func`](crate::Func) (with
///   `init: Func::of(&function)`), or a path to one of them.
/// - The name: a literal, a constant, or `concat!(…)`.
/// - Attributes: any that a static can have, such as `#[cfg(…)]` or `#[deprecated]`.
/// - `unit:` a [`Unit`](crate::Unit), as `Bytes` or `Unit::Bytes`. With a unit of time, histograms
///   record durations in it, also those in a map or a family. A histogram of whole numbers rounds
///   down: add `init: Histogram::floats()` to `unit: Seconds`.
/// - `label:` the name of a map's keys, or `labels: ["route", "method"]`, one for each level.
/// - `counter`: the numbers of a map or gauge only go up.
/// - `buckets:` bounds at which a histogram counts exactly, or those in a map or family, in the
///   recorded unit: `unit: Milliseconds, buckets: [100, 250]`. See
///   [`Histogram::buckets`](crate::Histogram::buckets).
/// - `exemplars: true`: a histogram, or those in a map or family, keep
///   [exemplars](crate::Histogram::exemplars).
/// - `init:` a constant expression other than the kind's `new()`.
///
/// An invalid declaration is a compile error.
///
/// Statics with the same name, kind and metadata are merged into one variable. If they differ in
/// kind, unit, labels or `counter`, or as histograms in precision, `buckets:` or `exemplars:`, the
/// first by source location is shown and the map `expvar.clashes` names both. A declaration without
/// labels, or with no unit where the other has one that is not of time, agrees with any.
#[doc(alias(
    "NewInt",
    "NewFloat",
    "NewString",
    "NewMap",
    "register_int_counter",
    "register_counter",
    "register_gauge",
    "register_histogram",
    "lazy_static",
    "describe_counter"
))]
#[macro_export]
macro_rules! vars {
    ($($statics:tt)*) => {
        $crate::__statics! { $($statics)* }
    };
}

/// Splits a `vars!` into its statics, and those into their options.
///
/// Options are parsed token by token, so that errors can say what to write.
#[doc(hidden)]
#[macro_export]
macro_rules! __statics {
    // All at once, so that any number stays within the compiler's recursion limit.
    ($(
        $(#[$($attr:tt)+])*
        $vis:vis static $ident:ident: $(::)? $($kind:ident)::+
            $(<$($member:ident)::+, $labels:ty $(,)?>)?
            = $name:expr
        $(, $option:ident $(
            : $value:tt $(:: $more:ident)* $(! $bang:tt)? $(($($arg:tt)*))?
            $(. $method:ident ($($method_arg:tt)*))*
        )?)*
    );* $(;)?) => {$(
        $crate::__static! {
            [$([$($attr)+])*] [$vis] $ident, ($($kind)::+ $(<$($member)::+, $labels>)?), $name,
            [$([$option $(
                : $value $(:: $more)* $(! $bang)? $(($($arg)*))? $(. $method ($($method_arg)*))*
            )?])*]
        }
    )*};
    // One of them has an expression of another form, so that they are parsed one by one.
    (
        $(#[$($attr:tt)+])*
        $vis:vis static $ident:ident: $(::)? $($kind:ident)::+
            $(<$($member:ident)::+, $labels:ty $(,)?>)?
            = $name:expr
        $(, $option:ident $(
            : $value:tt $(:: $more:ident)* $(! $bang:tt)? $(($($arg:tt)*))?
            $(. $method:ident ($($method_arg:tt)*))*
        )?)*
        ; $($rest:tt)*
    ) => {
        $crate::__static! {
            [$([$($attr)+])*] [$vis] $ident, ($($kind)::+ $(<$($member)::+, $labels>)?), $name,
            [$([$option $(
                : $value $(:: $more)* $(! $bang)? $(($($arg)*))? $(. $method ($($method_arg)*))*
            )?])*]
        }
        $crate::__statics! { $($rest)* }
    };
    // The options of one static: an expression is opaque to other macros, so only `init:` is parsed
    // as one, and what has no other form.
    (@ { $($static:tt)* } $done:tt $(; $($rest:tt)*)?) => {
        $crate::__static! { $($static)* $done }
        $crate::__statics! { $($($rest)*)? }
    };
    (@ $static:tt [$($done:tt)*] , init: $init:expr , $($rest:tt)*) => {
        $crate::__statics! { @ $static [$($done)* [init: $init]] , $($rest)* }
    };
    (@ $static:tt [$($done:tt)*] , init: $init:expr $(; $($rest:tt)*)?) => {
        $crate::__statics! { @ $static [$($done)* [init: $init]] ; $($($rest)*)? }
    };
    (
        @ $static:tt [$($done:tt)*]
        , $option:ident $(: $value:tt $(:: $more:ident)* $(! $bang:tt)? $(($($arg:tt)*))?)?
        , $($rest:tt)*
    ) => {
        $crate::__statics! {
            @ $static
            [$($done)* [$option $(: $value $(:: $more)* $(! $bang)? $(($($arg)*))?)?]]
            , $($rest)*
        }
    };
    (
        @ $static:tt [$($done:tt)*]
        , $option:ident $(: $value:tt $(:: $more:ident)* $(! $bang:tt)? $(($($arg:tt)*))?)?
        $(; $($rest:tt)*)?
    ) => {
        $crate::__statics! {
            @ $static
            [$($done)* [$option $(: $value $(:: $more)* $(! $bang)? $(($($arg)*))?)?]]
            ; $($($rest)*)?
        }
    };
    (@ $static:tt [$($done:tt)*] , $option:ident: $value:expr , $($rest:tt)*) => {
        $crate::__statics! { @ $static [$($done)* [$option: $value]] , $($rest)* }
    };
    (@ $static:tt [$($done:tt)*] , $option:ident: $value:expr $(; $($rest:tt)*)?) => {
        $crate::__statics! { @ $static [$($done)* [$option: $value]] ; $($($rest)*)? }
    };
    (
        $(#[$($attr:tt)+])*
        $vis:vis static $ident:ident: $(::)? $($kind:ident)::+
            $(<$($member:ident)::+, $labels:ty $(,)?>)?
            = $name:expr
        $(; $($rest:tt)*)?
    ) => {
        $crate::__statics! {
            @ { [$([$($attr)+])*] [$vis] $ident, ($($kind)::+ $(<$($member)::+, $labels>)?), $name, }
            [] ; $($($rest)*)?
        }
    };
    (
        $(#[$($attr:tt)+])*
        $vis:vis static $ident:ident: $(::)? $($kind:ident)::+
            $(<$($member:ident)::+, $labels:ty $(,)?>)?
            = $name:expr
        , $($rest:tt)*
    ) => {
        $crate::__statics! {
            @ { [$([$($attr)+])*] [$vis] $ident, ($($kind)::+ $(<$($member)::+, $labels>)?), $name, }
            [] , $($rest)*
        }
    };
}

/// One static of `vars!`. Its registration is inside its initializer, so that attributes such as
/// `cfg` apply to both.
#[doc(hidden)]
#[macro_export]
macro_rules! __static {
    ($attrs:tt $vis:tt $ident:ident, (expvar::Int), $($rest:tt)*) => {
        const _: $crate::__kind!(Int) = ();
    };
    ($attrs:tt $vis:tt $ident:ident, (Int), $($rest:tt)*) => {
        const _: $crate::__kind!(Int) = ();
    };
    ($attrs:tt $vis:tt $ident:ident, (expvar::Float), $($rest:tt)*) => {
        const _: $crate::__kind!(Float) = ();
    };
    ($attrs:tt $vis:tt $ident:ident, (Float), $($rest:tt)*) => {
        const _: $crate::__kind!(Float) = ();
    };
    ($attrs:tt $vis:tt $ident:ident, (expvar::String), $($rest:tt)*) => {
        const _: $crate::__kind!(String) = ();
    };
    ($attrs:tt $vis:tt $ident:ident, (String), $($rest:tt)*) => {
        const _: $crate::__kind!(String) = ();
    };
    ($attrs:tt $vis:tt $ident:ident, (expvar::Family), $($rest:tt)*) => {
        const _: $crate::__kind!(Family) = ();
    };
    ($attrs:tt $vis:tt $ident:ident, (Family), $($rest:tt)*) => {
        const _: $crate::__kind!(Family) = ();
    };
    (
        [$([$($attr:tt)+])*] [$vis:vis] $ident:ident, ($($kind:tt)+), $name:expr, [$($option:tt)*]
    ) => {
        $(#[$($attr)+])*
        $vis static $ident: $crate::__kind!($($kind)+) = {
            $crate::__private::submit! {{
                #[allow(deprecated)]
                let declaration = $crate::__private::Declaration::new(
                    $crate::__spec!($name, [$([$($attr)+])*], ($($kind)+), [$($option)*]),
                    $ident.__var(),
                    (
                        ::core::file!(),
                        ::core::line!(),
                        ::core::concat!(::core::module_path!(), "::", ::core::stringify!($ident)),
                    ),
                );
                declaration
            }}
            $crate::__declared_init!(($($kind)+), [$($option)*])
        };
    };
}
