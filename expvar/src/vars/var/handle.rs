//! A handle on a variable that the registry also holds.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A handle on a variable that the registry also holds: a static, or a reference-counted one.
///
/// ```
/// let registry = expvar::Registry::new();
/// registry.publish("requests", expvar::Counter::new())?;
/// if let Some(expvar::Var::Counter(requests)) = registry.get("requests") {
///     // It is the counter itself: what is added here is shown.
///     requests.inc();
/// }
/// assert_eq!(registry.get("requests").unwrap().to_string(), "1");
/// # Ok::<(), expvar::PublishError>(())
/// ```
pub struct Handle<T: 'static>(pub(crate) Owner<T>);

/// How a variable is owned.
pub(crate) enum Owner<T: 'static> {
    Static(&'static T),
    /// Shared with its publisher.
    Shared(Arc<T>),
}

impl<T> Handle<T> {
    /// The shared variable; `None` for a static.
    pub fn as_arc(&self) -> Option<&Arc<T>> {
        if let Owner::Shared(var) = &self.0 { Some(var) } else { None }
    }

    /// Whether it is a handle on the same variable.
    pub(crate) fn is(&self, other: &Self) -> bool {
        std::ptr::eq(&**self, &**other)
    }
}

impl<T> From<Arc<T>> for Handle<T> {
    fn from(var: Arc<T>) -> Self {
        Self(Owner::Shared(var))
    }
}

impl<T> From<&'static T> for Handle<T> {
    fn from(var: &'static T) -> Self {
        Self(Owner::Static(var))
    }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Owner::Static(var) => Owner::Static(var),
            Owner::Shared(var) => Owner::Shared(Arc::clone(var)),
        })
    }
}

impl<T: fmt::Debug> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> Deref for Handle<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Owner::Static(var) => var,
            Owner::Shared(var) => var,
        }
    }
}
