//! The trait for publishing.

use std::sync::Arc;

use super::{Handle, Owner, Var};
use crate::{Counter, FloatGauge, Func, Gauge, Histogram, Map, Text};

/// Types that can be published or put into a [`Map`]: each kind of variable by value, in an `Arc`,
/// or as a reference to a static; and a [`Var`].
///
/// ```
/// use expvar::{Counter, Publish, PublishError, Registry};
///
/// /// Publishes under a prefix.
/// fn below<V: Publish>(registry: &Registry, name: &str, var: V) -> Result<V::Handle, PublishError> {
///     registry.publish(&format!("mail.{name}"), var)
/// }
///
/// let registry = Registry::new();
/// below(&registry, "sent", Counter::new())?.inc();
/// assert_eq!(registry.to_json(), "{\n\"mail.sent\": 1\n}\n");
/// # Ok::<(), PublishError>(())
/// ```
pub trait Publish: sealed::Sealed {
    /// The handle that the publisher records through.
    type Handle;

    #[doc(hidden)]
    fn into_var(self) -> (Var, Self::Handle);

    /// A handle on an existing variable, if it is of this kind.
    #[doc(hidden)]
    fn from_var(var: &Var) -> Option<Self::Handle>;
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

macro_rules! publish {
    ($($kind:ident),*) => {$(
        impl sealed::Sealed for $kind {}
        impl Publish for $kind {
            type Handle = Arc<$kind>;

            fn into_var(self) -> (Var, Self::Handle) {
                Arc::new(self).into_var()
            }

            fn from_var(var: &Var) -> Option<Self::Handle> {
                Arc::<Self>::from_var(var)
            }
        }

        impl sealed::Sealed for Arc<$kind> {}
        impl Publish for Arc<$kind> {
            type Handle = Self;

            fn into_var(self) -> (Var, Self::Handle) {
                (Var::$kind(Handle(Owner::Shared(Arc::clone(&self)))), self)
            }

            fn from_var(var: &Var) -> Option<Self::Handle> {
                match var {
                    Var::$kind(Handle(Owner::Shared(var))) => Some(Arc::clone(var)),
                    _ => None,
                }
            }
        }

        impl From<Arc<$kind>> for Var {
            fn from(var: Arc<$kind>) -> Self {
                Self::$kind(Handle(Owner::Shared(var)))
            }
        }

        impl sealed::Sealed for &'static $kind {}
        impl Publish for &'static $kind {
            type Handle = Self;

            fn into_var(self) -> (Var, Self::Handle) {
                (Var::$kind(Handle(Owner::Static(self))), self)
            }

            fn from_var(var: &Var) -> Option<Self::Handle> {
                match var {
                    Var::$kind(Handle(Owner::Static(var))) => Some(var),
                    _ => None,
                }
            }
        }
    )*};
}

publish!(Counter, Gauge, FloatGauge, Text, Histogram, Map, Func);

impl sealed::Sealed for Var {}
impl Publish for Var {
    type Handle = Self;

    fn into_var(self) -> (Var, Self::Handle) {
        (self.clone(), self)
    }

    fn from_var(var: &Var) -> Option<Self::Handle> {
        Some(var.clone())
    }
}
