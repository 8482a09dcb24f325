//! Texts: a version, a state, the last error.

use std::fmt;
use std::sync::Arc;

use once_cell::race::OnceRef;

use crate::sync::Mutex;

/// A piece of text: a version, a state, the last error. Go's `String`.
///
/// Setting and reading take a lock while a pointer is swapped or cloned.
///
/// ```
/// let state = expvar::Registry::new().publish("state", expvar::Text::new())?;
/// state.set("ready");
/// assert_eq!(state.get(), "ready");
/// # Ok::<(), expvar::PublishError>(())
/// ```
#[doc(alias("String", "NewString", "Info", "StateSet"))]
pub struct Text {
    /// The value before the first `set`.
    initial: &'static str,
    text: Mutex<Option<Arc<str>>>,
    /// The static of the same name that this one is merged into.
    first: OnceRef<'static, Text>,
}

impl Text {
    /// Creates an empty text.
    pub const fn new() -> Self {
        Self::of("")
    }

    /// Creates a text with a value, for constants.
    ///
    /// ```
    /// expvar::vars! {
    ///     static VERSION: Text = "version", init: Text::of(env!("CARGO_PKG_VERSION"));
    /// }
    /// assert_eq!(VERSION.get(), env!("CARGO_PKG_VERSION"));
    /// ```
    pub const fn of(text: &'static str) -> Self {
        Self { initial: text, text: Mutex::new(None), first: OnceRef::new() }
    }

    /// Replaces the text.
    pub fn set(&self, text: impl Into<String>) {
        let text: Arc<str> = text.into().into();
        let old = self.first.get().unwrap_or(self).text.lock().replace(text);
        drop(old);
    }

    /// A copy of the text.
    pub fn get(&self) -> String {
        self.with(str::to_owned)
    }

    /// Runs `f` on the text without copying it. No lock is held meanwhile.
    pub fn with<R>(&self, f: impl FnOnce(&str) -> R) -> R {
        let this = self.first.get().unwrap_or(self);
        let text = this.text.lock().clone();
        f(text.as_deref().unwrap_or(this.initial))
    }

    /// Merges `self`, a static, into `first`.
    pub(crate) fn join(&'static self, first: &'static Self) {
        let early = self.text.lock().take();
        let _ = self.first.set(first);
        if let Some(early) = early {
            *first.text.lock() = Some(early);
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|text| f.debug_tuple("Text").field(&text).finish())
    }
}
