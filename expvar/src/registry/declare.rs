//! `vars!`: statics that are in the global registry from the start.

/// Declares variables that are shown, at zero, before anything records into them.
///
/// Each is a plain static; its doc comment is its help text. They are collected at link time (by
/// the `inventory` crate, which needs neither an init call nor a particular linker), so a variable
/// is in the [`global`](crate::global()) registry whether or not its code ever runs. On a target
/// where that does not work (see `inventory`'s list), publish the statics by hand:
/// `expvar::publish("http.requests", &REQUESTS)`.
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
/// # What can be written
/// - The kind: [`Counter`](crate::Counter), [`Gauge`](crate::Gauge),
///   [`FloatGauge`](crate::FloatGauge), [`Text`](crate::Text), [`Histogram`](crate::Histogram),
///   [`Map`](crate::Map), [`Family`](crate::Family), [`Func`](crate::Func) (with
///   `init: Func::of(&function)`), or a path to one of them.
/// - The name: a literal, a constant, `concat!(…)`.
/// - Attributes: any that a static can have, such as `#[cfg(…)]` or `#[deprecated]`.
/// - `unit:` a [`Unit`](crate::Unit), as `Bytes` or `Unit::Bytes`. Histograms, also those in a map or
///   a family, record durations in it if it is one of time.
/// - `label:` what a map's keys are, or `labels: ["route", "method"]`, one for each level.
/// - `counter`: a map's or a gauge's numbers only go up.
/// - `buckets:` bounds at which a histogram, or those in a map or a family, count exactly, in the unit
///   that is recorded: `unit: Milliseconds, buckets: [100, 250]`. See
///   [`Histogram::buckets`](crate::Histogram::buckets).
/// - `exemplars: true`: a histogram, or those in a map or a family, keep
///   [exemplars](crate::Histogram::exemplars).
/// - `init:` a constant expression other than the kind's `new()`.
///
/// What is wrong with a declaration is an error at compile time.
///
/// Two statics of one name, kind and meaning are one variable. Where they differ in kind, in unit,
/// labels or `counter`, or as histograms in precision, `buckets:` or `exemplars:`, the first by source location is shown, and
/// the map `expvar.clashes` names both. One that says nothing of labels, or of a unit other than
/// that of durations, agrees with one that does.
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
    // Options are read token by token here, so that errors can say what to write.
    ($(
        $(#[$($attr:tt)+])*
        $vis:vis static $ident:ident: $(::)? $($kind:ident)::+
            $(<$($member:ident)::+, $labels:ty $(,)?>)?
            = $name:expr
        $(, $option:ident $(: $value:tt $(:: $more:ident)* $(! $bang:tt)? $(($($arg:tt)*))?)?)*
    );* $(;)?) => {$(
        $crate::__static! {
            [$([$($attr)+])*] [$vis] $ident, ($($kind)::+ $(<$($member)::+, $labels>)?), $name,
            [$([$option $(: $value $(:: $more)* $(! $bang)? $(($($arg)*))?)?])*]
        }
    )*};
    // Values that are longer expressions.
    ($(
        $(#[$($attr:tt)+])*
        $vis:vis static $ident:ident: $(::)? $($kind:ident)::+
            $(<$($member:ident)::+, $labels:ty $(,)?>)?
            = $name:expr
        $(, $option:ident $(: $value:expr)?)*
    );* $(;)?) => {$(
        $crate::__static! {
            [$([$($attr)+])*] [$vis] $ident, ($($kind)::+ $(<$($member)::+, $labels>)?), $name,
            [$([$option $(: $value)?])*]
        }
    )*};
}

/// One static of `vars!`. What registers it stands inside its own initializer, so that attributes
/// such as `cfg` hold for both.
#[doc(hidden)]
#[macro_export]
macro_rules! __static {
    ($attrs:tt $vis:tt $ident:ident, (Int), $($rest:tt)*) => {
        const _: $crate::__kind!(Int) = ();
    };
    ($attrs:tt $vis:tt $ident:ident, (Float), $($rest:tt)*) => {
        const _: $crate::__kind!(Float) = ();
    };
    ($attrs:tt $vis:tt $ident:ident, (String), $($rest:tt)*) => {
        const _: $crate::__kind!(String) = ();
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
