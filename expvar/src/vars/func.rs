//! Values that a function computes when they are read.

mod guard;

#[cfg(feature = "serde")]
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::AtomicBool;

#[cfg(feature = "serde")]
use serde::Serialize;

use crate::health::PANICS;
use crate::info::Info;
use crate::number::Number;

/// A value that a function computes each time it is read: anything serde can serialize. Go's `Func`.
///
/// The function runs in the thread that reads, with no lock held: it may publish, read and remove
/// variables. Where it panics or its value cannot be serialized, readers see `null`, and the
/// variable `expvar.panics` counts it; a function's first panic is printed as any other, its further
/// ones are not. A function that is read while it runs, or below 4 others that read variables, is
/// `null` there too. In a program built with `panic = "abort"` a panic is final.
///
/// ```
/// # let registry = expvar::Registry::new();
/// registry.publish("limits", expvar::Func::new(|| [10, 20]))?;
/// assert_eq!(registry.to_json(), "{\n\"limits\": [10,20]\n}\n");
/// # Ok::<(), expvar::PublishError>(())
/// ```
///
/// In a static the function is given by reference:
///
/// ```
/// use expvar::Func;
///
/// expvar::vars! {
///     /// The limits in force.
///     static LIMITS: Func = "limits", init: Func::of(&|| [10, 20]);
/// }
/// # let _ = &LIMITS;
/// ```
#[doc(alias("Collector", "ObservableGauge", "ObservableCounter", "GaugeFunc", "CounterFunc"))]
pub struct Func {
    code: Code,
    members: &'static [(&'static str, Info)],
    has_panicked: AtomicBool,
}

enum Code {
    Number(Callback<dyn Compute>),
    #[cfg(feature = "serde")]
    Json {
        document: Callback<dyn Render>,
        /// What is taken apart, where that differs.
        parts: Option<Callback<dyn Render>>,
    },
}

/// What a function returned.
pub(crate) enum Returned<'b> {
    /// Nothing: it failed.
    Null,
    Number(Number),
    /// Compact JSON.
    #[allow(dead_code, reason = "without serde nothing is made of it")]
    Json(&'b str),
}

impl Func {
    /// A variable that shows what `f` returns.
    #[cfg(feature = "serde")]
    pub fn new<F, T>(f: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Serialize,
    {
        Self::with(Code::Json { document: Callback::Boxed(Box::new(f)), parts: None })
    }

    /// The same of a function that is borrowed for good, for statics.
    #[cfg(feature = "serde")]
    pub const fn of<F, T>(f: &'static F) -> Self
    where
        F: Fn() -> T + Send + Sync,
        T: Serialize,
    {
        Self::with(Code::Json { document: Callback::Static(f), parts: None })
    }

    /// The same, with what `parts` returns in place of it for visitors that take the value apart:
    /// where the JSON has to have fields which mean nothing here.
    #[cfg(feature = "process")]
    pub(crate) const fn with_parts<F, T, P, U>(document: &'static F, parts: &'static P) -> Self
    where
        F: Fn() -> T + Send + Sync,
        T: Serialize,
        P: Fn() -> U + Send + Sync,
        U: Serialize,
    {
        Self::with(Code::Json {
            document: Callback::Static(document),
            parts: Some(Callback::Static(parts)),
        })
    }

    /// A variable that shows the number which `f` returns. It needs no serde, and is read without
    /// JSON in between.
    ///
    /// ```
    /// # let registry = expvar::Registry::new();
    /// registry.publish("parallelism", expvar::Func::number(|| 4_u64))?;
    /// assert_eq!(registry.to_json(), "{\n\"parallelism\": 4\n}\n");
    /// # Ok::<(), expvar::PublishError>(())
    /// ```
    pub fn number<F, N>(f: F) -> Self
    where
        F: Fn() -> N + Send + Sync + 'static,
        N: Into<Number>,
    {
        Self::with(Code::Number(Callback::Boxed(Box::new(f))))
    }

    /// The same of a function that is borrowed for good, for statics.
    pub const fn number_of<F, N>(f: &'static F) -> Self
    where
        F: Fn() -> N + Send + Sync,
        N: Into<Number>,
    {
        Self::with(Code::Number(Callback::Static(f)))
    }

    const fn with(code: Code) -> Self {
        Self { code, members: &[], has_panicked: AtomicBool::new(false) }
    }

    /// With what the members of the structure mean that the function returns; one that is not
    /// listed has the variable's own info. See [`Info::members`] for members of members.
    ///
    /// ```
    /// use expvar::{Func, Info, Unit};
    ///
    /// static MEMBERS: [(&str, Info); 2] = [
    ///     ("hits", Info::with_help("Lookups that found an entry.").counter()),
    ///     ("size", Info::with_help("Size of all entries.").unit(Unit::Bytes)),
    /// ];
    ///
    /// expvar::vars! {
    ///     /// The cache.
    ///     static CACHE: Func = "cache", init: Func::of(&stats).members(&MEMBERS);
    /// }
    ///
    /// fn stats() -> impl serde::Serialize {
    ///     serde_json::json!({"hits": 17, "size": 4096})
    /// }
    /// # let _ = &CACHE;
    /// ```
    #[must_use]
    pub const fn members(mut self, members: &'static [(&'static str, Info)]) -> Self {
        self.members = members;
        self
    }

    /// What the value means, given what was said of the variable.
    #[cfg(feature = "serde")]
    pub(crate) fn info<'i>(&self, info: &'i Info) -> Cow<'i, Info> {
        match self.members {
            [] => Cow::Borrowed(info),
            members => Cow::Owned(info.clone().members(members)),
        }
    }

    /// Calls the function. `buffer` is overwritten.
    #[allow(
        unused_variables,
        clippy::ptr_arg,
        reason = "only the JSON of `serde` is written to it"
    )]
    pub(crate) fn read<'b>(&self, in_parts: bool, buffer: &'b mut Vec<u8>) -> Returned<'b> {
        let returned = match &self.code {
            Code::Number(function) => {
                let number = guard::call(self, || Some(function.compute()));
                number.map(Returned::Number)
            }
            #[cfg(feature = "serde")]
            Code::Json { document, parts } => {
                let function = parts.as_ref().filter(|_| in_parts).unwrap_or(document);
                buffer.clear();
                // What a panicking function leaves half written is thrown away.
                guard::call(self, || function.render(buffer).ok())
                    .and_then(|()| std::str::from_utf8(buffer).ok())
                    .map(|json| if json == "null" { Returned::Null } else { Returned::Json(json) })
            }
        };
        returned.unwrap_or_else(|| {
            PANICS.inc();
            Returned::Null
        })
    }
}

/// A function that returns a number.
trait Compute: Send + Sync {
    fn compute(&self) -> Number;
}

impl<F, N> Compute for F
where
    F: Fn() -> N + Send + Sync,
    N: Into<Number>,
{
    fn compute(&self) -> Number {
        self().into()
    }
}

/// A function whose value is written as JSON.
#[cfg(feature = "serde")]
trait Render: Send + Sync {
    fn render(&self, buffer: &mut Vec<u8>) -> Result<(), serde_json::Error>;
}

#[cfg(feature = "serde")]
impl<F, T> Render for F
where
    F: Fn() -> T + Send + Sync,
    T: Serialize,
{
    fn render(&self, buffer: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        crate::json::compact::write(buffer, &self())
    }
}

enum Callback<T: ?Sized + 'static> {
    Boxed(Box<T>),
    Static(&'static T),
}

impl<T: ?Sized> Deref for Callback<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Boxed(function) => function,
            Self::Static(function) => function,
        }
    }
}

impl fmt::Debug for Func {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Func").finish_non_exhaustive()
    }
}
