//! A registry: names for variables.

mod declare;
pub(crate) mod declared;
pub(crate) mod global;
pub(crate) mod group;
pub(crate) mod stateful;
mod table;

use std::fmt;
use std::ops::DerefMut;
use std::sync::{Arc, LazyLock};

use crate::clock::{process_started_unix_nanos, unix_nanos};
use crate::info::{Info, Unit};
use crate::names::{List, Named};
use crate::sync::Mutex;
use crate::var::{Publish, Var};

use table::Table;

/// Maps names to variables, in name order.
///
/// Cloning a registry copies a pointer; clones share their variables. The process has one
/// [`global`](crate::global()) registry. Make others for tests and for libraries' own use.
///
/// ```
/// let registry = expvar::Registry::new();
/// let requests = registry.publish("requests", expvar::Counter::new())?;
/// requests.inc();
/// assert_eq!(registry.to_json(), "{\n\"requests\": 1\n}\n");
/// # Ok::<(), expvar::PublishError>(())
/// ```
#[doc(alias("Meter", "MeterProvider", "CollectorRegistry"))]
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

struct Shared {
    table: Mutex<Table>,
    /// Whether this is the global registry, which collects declared statics.
    is_global: bool,
}

#[derive(Clone)]
pub(crate) struct Entry {
    var: Var,
    info: Arc<Info>,
    /// In nanoseconds since 1970; 0 for a static, which exists from the start.
    registered: u64,
}

impl Entry {
    /// `registered` is in nanoseconds since 1970, or 0 for statics.
    fn new(var: Var, info: Info, registered: u64) -> Self {
        static PLAIN: LazyLock<Arc<Info>> = LazyLock::new(Arc::default);
        static COUNTER: LazyLock<Arc<Info>> = LazyLock::new(|| Arc::new(Info::new().counter()));
        var.named();
        var.set_timed_in(info.get_unit());
        let info = if matches!(var, Var::Counter(_)) { info.counter() } else { info };
        let same = [&PLAIN, &COUNTER].into_iter().find(|same| ****same == info);
        let info = same.map_or_else(|| Arc::new(info), |same| Arc::clone(same));
        Self { var, info, registered }
    }

    /// When it was registered, in nanoseconds since 1970.
    #[inline]
    pub(crate) fn registered(&self) -> u64 {
        match self.registered {
            0 => process_started_unix_nanos(),
            registered => registered,
        }
    }

    pub(crate) fn info(&self) -> &Info {
        &self.info
    }
}

impl Registry {
    /// Creates an empty registry.
    pub fn new() -> Self {
        Self::made(false)
    }

    fn made(is_global: bool) -> Self {
        Self { shared: Arc::new(Shared { table: Mutex::new(Table::new()), is_global }) }
    }

    /// Locks the table, after collecting newly declared statics.
    fn table(&self) -> impl DerefMut<Target = Table> {
        if self.shared.is_global {
            declared::collect(self);
        }
        self.shared.table.lock()
    }

    /// Publishes a variable under `name` and returns a handle to record through.
    ///
    /// # Errors
    /// The name is taken (the error has the existing variable), empty, or contains a control
    /// character. Nothing changes then.
    #[doc(alias("Publish", "register"))]
    pub fn publish<V: Publish>(&self, name: &str, var: V) -> Result<V::Handle, PublishError> {
        self.publish_with(name, var, Info::new())
    }

    /// Like [`publish`](Self::publish), with metadata.
    ///
    /// # Errors
    /// The same as [`publish`](Self::publish).
    pub fn publish_with<V: Publish>(
        &self,
        name: &str,
        var: V,
        info: Info,
    ) -> Result<V::Handle, PublishError> {
        check_name(name)?;
        let (var, handle) = var.into_var();
        add(self.table(), name, var, info, unix_nanos())?;
        Ok(handle)
    }

    /// Returns the variable of that name; publishes `var` if there is none. All callers share one
    /// variable.
    ///
    /// ```
    /// use expvar::{Counter, Registry};
    ///
    /// let registry = Registry::new();
    /// registry.get_or_publish("jobs", Counter::new())?.inc();
    /// registry.get_or_publish("jobs", Counter::new())?.inc();
    /// assert_eq!(registry.get("jobs").unwrap().to_string(), "2");
    /// # Ok::<(), expvar::PublishError>(())
    /// ```
    ///
    /// # Errors
    /// The name is taken by a variable of another kind, or of a form that cannot be shared: a
    /// static where an `Arc` is wanted, or a [`Family`](crate::Family). Or the name is empty or
    /// contains a control character.
    pub fn get_or_publish<V: Publish>(
        &self,
        name: &str,
        var: V,
    ) -> Result<V::Handle, PublishError> {
        self.get_or_publish_with(name, var, Info::new())
    }

    /// Like [`get_or_publish`](Self::get_or_publish), with metadata for a new variable.
    ///
    /// # Errors
    /// The same as [`get_or_publish`](Self::get_or_publish).
    pub fn get_or_publish_with<V: Publish>(
        &self,
        name: &str,
        var: V,
        info: Info,
    ) -> Result<V::Handle, PublishError> {
        match self.get(name) {
            Some(existing) => V::from_var(&existing).ok_or(PublishError::taken(name, existing)),
            None => self
                .publish_with(name, var, info)
                .or_else(|error| error.existing().and_then(V::from_var).ok_or(error)),
        }
    }

    /// Removes the variable of that name if `unwanted` accepts it, atomically.
    pub(crate) fn remove_if(&self, name: &str, unwanted: impl FnOnce(&Var) -> bool) -> Option<Var> {
        let mut table = self.table();
        if !table.get(name).is_some_and(|entry| unwanted(&entry.var)) {
            return None;
        }
        let removed = table.remove(name);
        drop(table);
        removed.entry.map(|entry| entry.var)
    }

    /// Publishes without collecting declared statics first.
    fn publish_declared(&self, name: &str, var: Var, info: Info) -> Result<(), PublishError> {
        check_name(name)?;
        add(self.shared.table.lock(), name, var, info, 0)
    }

    /// Publishes a variable under a name that may be taken, and returns the replaced variable.
    /// Readers see either the old or the new one.
    ///
    /// # Errors
    /// The name is empty or contains a control character. Nothing changes then.
    pub fn replace(&self, name: &str, var: Var, info: Info) -> Result<Option<Var>, PublishError> {
        check_name(name)?;
        let old = self.table().insert(name, Entry::new(var, info, unix_nanos()), None);
        Ok(old.entry.map(|entry| entry.var))
    }

    /// Returns the variable of that name.
    #[doc(alias = "Get")]
    pub fn get(&self, name: &str) -> Option<Var> {
        self.table().get(name).map(|entry| entry.var.clone())
    }

    /// Returns the metadata of the variable of that name.
    pub fn info(&self, name: &str) -> Option<Arc<Info>> {
        self.table().get(name).map(|entry| Arc::clone(&entry.info))
    }

    /// Removes the variable of that name and returns it.
    #[doc(alias = "unregister")]
    pub fn remove(&self, name: &str) -> Option<Var> {
        let removed = self.table().remove(name);
        removed.entry.map(|entry| entry.var)
    }

    /// Calls `f` for each name and variable, in name order. Go's `Do`. No lock is held, so `f` may
    /// change the registry; it sees the variables present when the walk began.
    #[doc(alias = "Do")]
    pub fn for_each(&self, mut f: impl FnMut(&str, &Var)) {
        for (name, entry) in self.list().iter() {
            f(name, &entry.var);
        }
    }

    /// The current names and variables, to be read without a lock.
    pub(crate) fn list(&self) -> List<Entry> {
        self.table().list()
    }
}

fn check_name(name: &str) -> Result<(), PublishError> {
    let reason = match name.find(char::is_control) {
        Some(at) => Reason::Control { at },
        None if name.is_empty() => Reason::Empty,
        None => return Ok(()),
    };
    Err(PublishError { name: name.into(), reason })
}

/// Adds a variable under a free name, and unlocks the table.
fn add(
    mut table: impl DerefMut<Target = Table>,
    name: &str,
    var: Var,
    info: Info,
    registered: u64,
) -> Result<(), PublishError> {
    if let Some(entry) = table.get(name) {
        let existing = entry.var.clone();
        drop(table);
        return Err(PublishError::taken(name, existing));
    }
    let doubtful = is_doubtful(name, &var, &info);
    let removed = table.insert(name, Entry::new(var, info, registered), None);
    drop(table);
    drop(removed);
    if doubtful {
        let text = "a histogram of whole numbers without a unit records durations in nanoseconds, \
                    whatever its name says: declare `unit: Nanoseconds`, which Prometheus gets in \
                    seconds, or `init: Histogram::floats()`, which records seconds";
        declared::report_conflict(name, text.into());
    }
    Ok(())
}

/// Whether a histogram's name ends in seconds but it records durations in another unit.
fn is_doubtful(name: &str, var: &Var, info: &Info) -> bool {
    let says_seconds = name
        .strip_suffix("seconds")
        .is_some_and(|rest| rest.is_empty() || rest.ends_with(['_', '.']));
    let is_whole = |var: &Var| var.as_histogram().is_some_and(|histogram| !histogram.is_float());
    says_seconds && info.get_unit() == Unit::None && is_whole(var)
}

impl Named for Entry {
    fn var(&self) -> &Var {
        &self.var
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.list().iter().map(|(name, entry)| (name, &entry.var))).finish()
    }
}

/// The error of publishing a variable.
///
/// ```
/// let registry = expvar::Registry::new();
/// registry.publish("requests", expvar::Counter::new())?.add(5);
/// let error = registry.publish("requests", expvar::Gauge::new()).unwrap_err();
/// assert_eq!(error.name(), "requests");
/// assert_eq!(error.existing().unwrap().to_string(), "5");
/// # Ok::<(), expvar::PublishError>(())
/// ```
#[derive(Clone)]
pub struct PublishError {
    name: Box<str>,
    reason: Reason,
}

#[derive(Clone)]
enum Reason {
    Empty,
    Control { at: usize },
    Taken { existing: Var },
}

impl PublishError {
    pub(crate) fn taken(name: &str, existing: Var) -> Self {
        Self { name: name.into(), reason: Reason::Taken { existing } }
    }

    /// The rejected name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The existing variable of that name.
    pub fn existing(&self) -> Option<&Var> {
        match &self.reason {
            Reason::Taken { existing } => Some(existing),
            _ => None,
        }
    }
}

/// One line for `unwrap`, without the existing variable.
impl fmt::Debug for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublishError({self})")
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.reason {
            Reason::Empty => f.write_str("a variable needs a name: \"\" was given"),
            Reason::Control { at } => write!(
                f,
                "the variable name {name:?} holds a control character at byte {at}: take it out"
            ),
            Reason::Taken { existing } => write!(
                f,
                "the variable name {name:?} is taken by a {}: choose another, remove that one, or \
                 use it (`PublishError::existing`)",
                existing.kind()
            ),
        }
    }
}

impl std::error::Error for PublishError {}
