//! The parts that `vars!` and `group!` share: kinds, metadata, options.

/// The type that a kind stands for.
#[doc(hidden)]
#[macro_export]
macro_rules! __kind {
    (Counter) => {
        $crate::Counter
    };
    (Gauge) => {
        $crate::Gauge
    };
    (FloatGauge) => {
        $crate::FloatGauge
    };
    (Text) => {
        $crate::Text
    };
    (Histogram) => {
        $crate::Histogram
    };
    (Map) => {
        $crate::Map
    };
    (Family<$($member:ident)::+, $labels:ty>) => {
        $crate::Family<$crate::__kind!($($member)::+), $labels>
    };
    (Int) => {
        ::core::compile_error!(
            "`Int` is Go's word: write `Counter` for a count that only goes up, or `Gauge`"
        )
    };
    (Float) => {
        ::core::compile_error!("`Float` is Go's word: write `FloatGauge`")
    };
    (String) => {
        ::core::compile_error!("`String` is Go's word: write `Text`")
    };
    (Func) => {
        $crate::Func
    };
    (expvar::Int) => {
        $crate::__kind!(Int)
    };
    (expvar::Float) => {
        $crate::__kind!(Float)
    };
    (expvar::String) => {
        $crate::__kind!(String)
    };
    (expvar::Family) => {
        $crate::__kind!(Family)
    };
    (Family) => {
        ::core::compile_error!(
            "a `Family` has a kind and labels: write `Family<Counter, (Method, Status)>`"
        )
    };
    ($($path:ident)::+) => {
        $($path)::+
    };
    ($($path:ident)::+ <$($member:ident)::+, $labels:ty>) => {
        $($path)::+ <$crate::__kind!($($member)::+), $labels>
    };
}

/// The variable of a kind: the expression of `init:`, or the kind's `new()`.
#[doc(hidden)]
#[macro_export]
macro_rules! __init {
    // `__kind` has already reported this error.
    ((Int), $options:tt) => {
        ()
    };
    ((Float), $options:tt) => {
        ()
    };
    ((String), $options:tt) => {
        ()
    };
    ((Family), $options:tt) => {
        ()
    };
    ((expvar::Func), []) => {
        $crate::__init!((Func), [])
    };
    ((expvar::Int), $options:tt) => {
        ()
    };
    ((expvar::Float), $options:tt) => {
        ()
    };
    ((expvar::String), $options:tt) => {
        ()
    };
    ((expvar::Family), $options:tt) => {
        ()
    };
    ((Func), []) => {
        ::core::compile_error!(
            "a `Func` needs its function: write `init: Func::of(&function)`"
        )
    };
    (($($kind:tt)+), []) => {
        <$crate::__kind!($($kind)+)>::new()
    };
    (($($kind:tt)+), [[init: $($init:tt)+] $($rest:tt)*]) => {{
        #[allow(unused_imports)]
        use $crate::__private::kinds::*;
        $crate::__once!($($rest)*);
        $($init)+
    }};
    ($kind:tt, [$option:tt $($rest:tt)*]) => {
        $crate::__init!($kind, [$($rest)*])
    };
}

/// A variable with its options applied: time unit, exact counts at bounds, exemplars.
#[doc(hidden)]
#[macro_export]
macro_rules! __declared_init {
    ($kind:tt, $options:tt) => {
        $crate::__declared_init!($kind, $options, $crate::__init!($kind, $options))
    };
    ($kind:tt, [], $made:expr) => {
        $made
    };
    (($($kind:tt)+), [[unit: $($unit:tt)+] $($rest:tt)*], $made:expr) => {
        $crate::__declared_init!(
            ($($kind)+),
            [$($rest)*],
            <$crate::__kind!($($kind)+)>::__timed_in($made, $crate::__unit!(ignored: $($unit)+))
        )
    };
    (($($kind:tt)+), [[buckets: [$($bound:expr),* $(,)?]] $($rest:tt)*], $made:expr) => {
        $crate::__declared_init!(
            ($($kind)+),
            [$($rest)*],
            <$crate::__kind!($($kind)+)>::__buckets($made, const { &[$($bound as f64),*] })
        )
    };
    (($($kind:tt)+), [[exemplars $(: true)?] $($rest:tt)*], $made:expr) => {
        $crate::__declared_init!(
            ($($kind)+),
            [$($rest)*],
            <$crate::__kind!($($kind)+)>::__exemplars($made)
        )
    };
    ($kind:tt, [$option:tt $($rest:tt)*], $made:expr) => {
        $crate::__declared_init!($kind, [$($rest)*], $made)
    };
}

/// Rejects a second `init:`.
#[doc(hidden)]
#[macro_export]
macro_rules! __once {
    () => {};
    ([init $($init:tt)*] $($rest:tt)*) => {
        ::core::compile_error!("`init:` is given twice: remove one")
    };
    ($option:tt $($rest:tt)*) => {
        $crate::__once!($($rest)*);
    };
}

/// The metadata of a declaration, as a constant.
#[doc(hidden)]
#[macro_export]
macro_rules! __spec {
    ($name:expr, [$([$($attr:tt)+])*], ($($kind:tt)+), [$([$($option:tt)+])*]) => {{
        let spec = $crate::__private::Spec::new(
            $name,
            &[$($crate::__help!($($attr)+)),*],
            <$crate::__kind!($($kind)+)>::__KIND,
        );
        $(let spec = $crate::__option!(spec, $($option)+);)*
        spec.end()
    }};
}

/// The text of an attribute that is a doc comment.
#[doc(hidden)]
#[macro_export]
macro_rules! __help {
    (doc = $help:expr) => {
        $help
    };
    ($($other:tt)+) => {
        ""
    };
}

/// One option of a declaration.
#[doc(hidden)]
#[macro_export]
macro_rules! __option {
    ($spec:ident, unit: $($unit:tt)+) => {
        $spec.unit($crate::__unit!(rejected: $($unit)+))
    };
    ($spec:ident, labels: [$($label:tt)*]) => {
        $spec.labels(&[$($label)*])
    };
    ($spec:ident, labels: $($other:tt)+) => {
        ::core::compile_error!("`labels:` is a list: write `labels: [\"route\", \"method\"]`")
    };
    ($spec:ident, label: [$($label:tt)*]) => {
        ::core::compile_error!("`label:` is one name: write `labels: […]` for several")
    };
    ($spec:ident, label: $($label:tt)+) => {
        $spec.labels(&[$($label)+])
    };
    ($spec:ident, counter) => {
        $spec.counter()
    };
    ($spec:ident, counter: $($value:tt)+) => {
        ::core::compile_error!("`counter` takes no value: write it alone, or leave it out")
    };
    ($spec:ident, buckets: [$($bound:expr),* $(,)?]) => {
        $spec.buckets(&[$($bound as f64),*])
    };
    ($spec:ident, buckets: $($other:tt)+) => {
        ::core::compile_error!("`buckets:` is a list of upper bounds: write `buckets: [100, 250]`")
    };
    ($spec:ident, exemplars $(: true)?) => {
        $spec.exemplars()
    };
    ($spec:ident, exemplars: $($value:tt)+) => {
        ::core::compile_error!("`exemplars:` takes `true`: write it, or leave it out")
    };
    ($spec:ident, init: $($init:tt)+) => {
        $spec
    };
    ($spec:ident, $option:ident $($value:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "`",
            ::core::stringify!($option $($value)*),
            "` is no option: write `unit: Bytes`, `label: \"route\"`, \
             `labels: [\"route\", \"method\"]`, `counter`, `buckets: [100, 250]`, \
             `exemplars: true` or `init: …`"
        ))
    };
}

/// The unit that an option names. A word that names none is rejected, or ignored where another
/// expansion rejects it.
#[doc(hidden)]
#[macro_export]
macro_rules! __unit {
    ($unknown:ident: None) => {
        $crate::Unit::None
    };
    ($unknown:ident: Bytes) => {
        $crate::Unit::Bytes
    };
    ($unknown:ident: Nanoseconds) => {
        $crate::Unit::Nanoseconds
    };
    ($unknown:ident: Microseconds) => {
        $crate::Unit::Microseconds
    };
    ($unknown:ident: Milliseconds) => {
        $crate::Unit::Milliseconds
    };
    ($unknown:ident: Seconds) => {
        $crate::Unit::Seconds
    };
    ($unknown:ident: Ratio) => {
        $crate::Unit::Ratio
    };
    ($unknown:ident: Percent) => {
        $crate::Unit::Percent
    };
    ($unknown:ident: Other($name:expr)) => {
        $crate::Unit::Other($name)
    };
    ($unknown:ident: Unit:: $($unit:tt)+) => {
        $crate::__unit!($unknown: $($unit)+)
    };
    (ignored: $word:ident) => {
        $crate::Unit::None
    };
    (ignored: $word:literal) => {
        $crate::Unit::None
    };
    (rejected: $word:literal) => {
        $crate::__unit!(rejected: @ $word)
    };
    (rejected: $word:ident) => {
        $crate::__unit!(rejected: @ $word)
    };
    (rejected: @ $word:tt) => {
        ::core::compile_error!(::core::concat!(
            "`",
            ::core::stringify!($word),
            "` is no unit: write one of None, Bytes, Nanoseconds, Microseconds, Milliseconds, \
             Seconds, Ratio, Percent, `Other(\"requests\")`, or the path of a constant of \
             yours, `self::UNIT`"
        ))
    };
    ($unknown:ident: $($unit:tt)+) => {{
        #[allow(unused_imports)]
        use $crate::Unit::*;
        $($unit)+
    }};
}
