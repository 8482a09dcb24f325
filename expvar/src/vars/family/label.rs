//! Labels whose values are known at compile time.

/// A label with a closed set of values: an enum that [`label!`](crate::label) declares, or `bool`.
///
/// ```
/// use expvar::Label;
///
/// expvar::label! {
///     pub enum Method { Get = "GET", Other = "other" }
/// }
///
/// assert_eq!(Method::Get.as_str(), "GET");
/// assert!(matches!(Method::from_value("BREW").unwrap_or(Method::Other), Method::Other));
/// assert_eq!(Method::ALL.len(), 2);
/// ```
pub trait Label: LabelSet + Sized {
    /// All values, in the order of the enum.
    const ALL: &'static [Self];

    /// The value as exporters show it.
    fn as_str(self) -> &'static str;

    /// Parses a value as exporters show it: `Method::from_value(name).unwrap_or(Method::Other)`.
    fn from_value(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|label| label.as_str() == text)
    }
}

/// The labels of a [`Family`](crate::Family): one [`Label`], or a tuple of up to six.
///
/// ```
/// use expvar::LabelSet;
///
/// expvar::label! {
///     pub enum Method { Get = "GET", Other = "other" }
/// }
///
/// assert_eq!((<(Method, bool)>::LEVELS, <(Method, bool)>::LEN), (2, 4));
/// assert_eq!((Method::Get, true).value(0), "GET");
/// ```
pub trait LabelSet: Copy + Send + Sync + 'static {
    /// The number of labels.
    const LEVELS: usize;
    /// The number of combinations of values.
    const LEN: usize;

    /// The index of this combination, below [`LEN`](Self::LEN).
    fn index(self) -> usize;

    /// The value of one label, counted from 0.
    fn value(self, level: usize) -> &'static str;

    /// Nested arrays with one element for each combination.
    #[doc(hidden)]
    type Each<T: Start>: Start;

    /// The element of this combination.
    #[doc(hidden)]
    fn of<T: Start>(self, each: &Self::Each<T>) -> &T;
}

/// What a family stores for a combination before its first use.
#[doc(hidden)]
pub trait Start: Send + Sync + 'static {
    #[allow(clippy::declare_interior_mutable_const, reason = "each use is to be a new one")]
    const START: Self;
}

impl<T: Start, const N: usize> Start for [T; N] {
    #[allow(clippy::declare_interior_mutable_const, reason = "each use is to be a new one")]
    const START: Self = [T::START; N];
}

impl Label for bool {
    const ALL: &'static [Self] = &[false, true];

    fn as_str(self) -> &'static str {
        if self { "true" } else { "false" }
    }
}

impl LabelSet for bool {
    const LEVELS: usize = 1;
    const LEN: usize = 2;

    #[inline]
    fn index(self) -> usize {
        self.into()
    }

    fn value(self, _: usize) -> &'static str {
        self.as_str()
    }

    type Each<T: Start> = [T; 2];

    #[inline]
    fn of<T: Start>(self, each: &Self::Each<T>) -> &T {
        &each[usize::from(self)]
    }
}

/// The first of some labels has, for each of its values, what the others have.
macro_rules! nested {
    ($of:ident;) => { $of };
    ($of:ident; $label:ident $($rest:ident)*) => { $label::Each<nested!($of; $($rest)*)> };
}

macro_rules! tuples {
    ($(($($label:ident $at:tt),+))*) => {$(
        impl<$($label: Label),+> LabelSet for ($($label,)+) {
            const LEVELS: usize = [$($at),+].len();
            const LEN: usize = 1 $(* $label::LEN)+;

            #[inline]
            fn index(self) -> usize {
                let at = 0;
                $(let at = at * $label::LEN + self.$at.index();)+
                at
            }

            fn value(self, level: usize) -> &'static str {
                match level {
                    $($at => self.$at.as_str(),)+
                    _ => "",
                }
            }

            type Each<T: Start> = nested!(T; $($label)+);

            #[inline]
            fn of<T: Start>(self, each: &Self::Each<T>) -> &T {
                $(let each = self.$at.of(each);)+
                each
            }
        }
    )*};
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}

/// Fails to compile where a label's values cannot be told apart, or cannot be shown.
#[doc(hidden)]
pub const fn check_values(values: &[&str]) {
    let mut at = 0;
    while at < values.len() {
        assert!(!values[at].is_empty(), "a label's value is empty: write one like \"GET\"");
        let mut before = 0;
        while before < at {
            assert!(
                !same(values[before], values[at]),
                "two values of a label are the same: write another for one of them"
            );
            before += 1;
        }
        at += 1;
    }
}

const fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Declares a label with a closed set of values, for a [`Family`](crate::Family).
///
/// It is an enum, `Copy`, comparable, with what each value is shown as: what stands behind it, or
/// else its own name. It implements [`Label`](crate::Label) and `Display`.
///
/// ```
/// use expvar::Label;
///
/// expvar::label! {
///     /// Methods that this service knows.
///     pub enum Method { Get = "GET", Post = "POST", Other = "other" }
/// }
///
/// assert_eq!(Method::Get.to_string(), "GET");
/// assert_eq!(Method::from_value("PATCH").unwrap_or(Method::Other), Method::Other);
/// ```
#[macro_export]
macro_rules! label {
    ($(
        $(#[$($attr:tt)+])*
        $vis:vis enum $label:ident {
            $($(#[$($value_attr:tt)+])* $variant:ident $(= $value:expr)?),+ $(,)?
        }
    )+) => {$(
        $(#[$($attr)+])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $vis enum $label {
            $($(#[$($value_attr)+])* $variant),+
        }

        impl $crate::Label for $label {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $crate::__value!($variant $(, $value)?)),+
                }
            }
        }

        impl $crate::LabelSet for $label {
            const LEVELS: usize = 1;
            const LEN: usize = <Self as $crate::Label>::ALL.len();

            #[inline]
            fn index(self) -> usize {
                self as usize
            }

            fn value(self, _: usize) -> &'static str {
                $crate::Label::as_str(self)
            }

            type Each<T: $crate::__private::Start> =
                [T; <$label as $crate::Label>::ALL.len()];

            #[inline]
            fn of<T: $crate::__private::Start>(self, each: &Self::Each<T>) -> &T {
                &each[self as usize]
            }
        }

        impl ::core::fmt::Display for $label {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str($crate::Label::as_str(*self))
            }
        }

        const _: () =
            $crate::__private::check_values(&[$($crate::__value!($variant $(, $value)?)),+]);
    )+};
}

/// What a label's value is shown as.
#[doc(hidden)]
#[macro_export]
macro_rules! __value {
    ($variant:ident) => {
        ::core::stringify!($variant)
    };
    ($variant:ident, $value:expr) => {
        $value
    };
}
