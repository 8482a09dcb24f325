//! Values computed by a function at each read.

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

/// A value that a function computes at each read: anything serde can serialize. Go's `Func`.
///
/// The function runs in the reading thread with no lock held, so it may publish, read and remove
/// variables. If it panics or its value cannot be serialized, readers see `null` and the variable
/// `expvar.panics` counts it. Only a function's first panic is printed. A function that is read
/// while it is already running in the same thread, or nested below 4 others that read variables,
/// also yields `null`. With `panic = "abort"` a panic still aborts the process.
///
/// ```
/// # let registry = expvar::Registry::new();
/// registry.publish("limits", expvar::Func::new(|| [10, 20]))?;
/// assert_eq!(registry.to_json(), "{\n\"limits\": [10,20]\n}\n");
/// # Ok::<(), expvar::PublishError>(())
/// ```
///
/// In a static, the function is given by reference:
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
        /// The value for visitors, where it differs from the JSON.
        parts: Option<Callback<dyn Render>>,
    },
}

/// What a function returned.
pub(crate) enum Returned<'b> {
    /// It failed.
    Null,
    Number(Number),
    /// Compact JSON.
    #[allow(dead_code, reason = "without serde nothing is made of it")]
    Json(&'b str),
}

impl Func {
    /// Creates a variable that shows the value of `f`.
    #[cfg(feature = "serde")]
    pub fn new<F, T>(f: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Serialize,
    {
        Self::with(Code::Json { document: Callback::Boxed(Box::new(f)), parts: None })
    }

    /// Like [`new`](Self::new) for a `'static` reference to a function, as statics need.
    #[cfg(feature = "serde")]
    pub const fn of<F, T>(f: &'static F) -> Self
    where
        F: Fn() -> T + Send + Sync,
        T: Serialize,
    {
        Self::with(Code::Json { document: Callback::Static(f), parts: None })
    }

    /// Like [`new`](Self::new), but visitors get `parts` instead. For JSON documents that must have
    /// fields which no other exporter should show.
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

    /// Creates a variable that shows the number `f` returns. It needs no serde and is read without
    /// going through JSON.
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

    /// Like [`number`](Self::number) for a `'static` reference to a function, as statics need.
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

    /// Sets the metadata of the members of the returned structure. Members that are not listed have
    /// the variable's own. See [`Info::members`] for nested members.
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

    /// The metadata of the value, given that of the variable.
    #[cfg(feature = "serde")]
    pub(crate) fn info<'i>(&self, info: &'i Info) -> Cow<'i, Info> {
        match self.members {
            [] => Cow::Borrowed(info),
            members => Cow::Owned(info.clone().members(members)),
        }
    }

    /// Calls the function. Overwrites `buffer`.
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
                // A panic can leave half a document in the buffer.
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
