//! Names for variables.

mod declare;
pub(crate) mod declared;
pub(crate) mod global;
pub(crate) mod names;
pub(crate) mod numbers;

use std::fmt;
use std::io;
use std::ops::DerefMut;
use std::sync::{Arc, LazyLock};

use crate::cells::Reader;
use crate::info::{Info, Unit};
use crate::json;
use crate::names::{List, Named, Names};
use crate::prefetch::Touch;
use crate::recall::{self, Recall};
use crate::sync::Mutex;
use crate::var::{Publish, Var};
use crate::visit::{self, OldVisitor, Scratch, Value};
use crate::visitor::Visitor;
use crate::walk;

/// Maps names to variables, in name order.
///
/// A registry is a pointer: clones share what is published. There is one for the whole process,
/// [`global`](crate::global()), and any number of others for tests and for libraries' own use.
///
/// ```
/// let registry = expvar::Registry::new();
/// let requests = registry.publish("requests", expvar::Counter::new())?;
/// requests.inc();
/// assert_eq!(registry.to_json(), "{\n\"requests\": 1\n}\n");
/// # Ok::<(), expvar::PublishError>(())
/// ```
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

struct Shared {
    names: Mutex<Names<Entry>>,
    /// Whether it shows the statics that declare themselves.
    is_global: bool,
}

#[derive(Clone)]
pub(crate) struct Entry {
    var: Var,
    info: Arc<Info>,
}

impl Entry {
    fn new(var: Var, info: Info) -> Self {
        static PLAIN: LazyLock<Arc<Info>> = LazyLock::new(Arc::default);
        static COUNTER: LazyLock<Arc<Info>> = LazyLock::new(|| Arc::new(Info::new().counter()));
        var.named();
        var.set_timed_in(info.get_unit());
        let info = if matches!(var, Var::Counter(_)) { info.counter() } else { info };
        let same = [&PLAIN, &COUNTER].into_iter().find(|same| ****same == info);
        let info = same.map_or_else(|| Arc::new(info), |same| Arc::clone(same));
        Self { var, info }
    }

    pub(crate) fn info(&self) -> &Info {
        &self.info
    }
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::made(false)
    }

    fn made(is_global: bool) -> Self {
        Self { shared: Arc::new(Shared { names: Mutex::new(Names::new()), is_global }) }
    }

    /// Locks the names, those of statics that were declared meanwhile among them.
    fn names(&self) -> impl DerefMut<Target = Names<Entry>> {
        if self.shared.is_global {
            declared::collect(self);
        }
        self.shared.names.lock()
    }

    /// Shows a variable under `name` and returns what to record through.
    ///
    /// # Errors
    /// The name is taken (the error gives the variable that has it), empty, or holds a control
    /// character. Nothing is changed then.
    pub fn publish<V: Publish>(&self, name: &str, var: V) -> Result<V::Handle, PublishError> {
        self.publish_with(name, var, Info::new())
    }

    /// Like [`publish`](Self::publish), with help text, unit and labels.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_with<V: Publish>(
        &self,
        name: &str,
        var: V,
        info: Info,
    ) -> Result<V::Handle, PublishError> {
        check_name(name)?;
        let (var, handle) = var.into_var();
        add(self.names(), name, var, info)?;
        Ok(handle)
    }

    /// The variable of that name, or else `var`, published: whoever comes first makes it, and all
    /// record into the same.
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
    /// The name is taken by a variable of another kind, or by one of the same kind that cannot be
    /// handed out so: a static where an `Arc` is wanted, a [`Family`](crate::Family). Or it is empty,
    /// or holds a control character.
    pub fn get_or_publish<V: Publish>(
        &self,
        name: &str,
        var: V,
    ) -> Result<V::Handle, PublishError> {
        self.get_or_publish_with(name, var, Info::new())
    }

    /// Like [`get_or_publish`](Self::get_or_publish), with metadata for a variable that is not there
    /// yet.
    ///
    /// # Errors
    /// As [`get_or_publish`](Self::get_or_publish).
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

    /// Removes the variable of that name if `unwanted` says so, while nobody can publish.
    pub(crate) fn remove_if(&self, name: &str, unwanted: impl FnOnce(&Var) -> bool) -> Option<Var> {
        let mut names = self.names();
        if !names.get(name).is_some_and(|entry| unwanted(&entry.var)) {
            return None;
        }
        let entry = names.remove(name);
        drop(names);
        entry.map(|entry| entry.var)
    }

    /// The same without a look at what is declared.
    fn publish_declared(&self, name: &str, var: Var, info: Info) -> Result<(), PublishError> {
        check_name(name)?;
        add(self.shared.names.lock(), name, var, info)
    }

    /// Publishes a variable in place of whatever has the name, and returns what that was. Readers
    /// see either the old one or the new one.
    ///
    /// # Errors
    /// The name is empty or holds a control character. Nothing is changed then.
    pub fn replace(&self, name: &str, var: Var, info: Info) -> Result<Option<Var>, PublishError> {
        check_name(name)?;
        let old = self.names().insert(name.into(), Entry::new(var, info));
        Ok(old.map(|entry| entry.var))
    }

    /// The variable of that name.
    pub fn get(&self, name: &str) -> Option<Var> {
        self.names().get(name).map(|entry| entry.var.clone())
    }

    /// What was told about the variable of that name.
    pub fn info(&self, name: &str) -> Option<Arc<Info>> {
        self.names().get(name).map(|entry| Arc::clone(&entry.info))
    }

    /// Shows the variable no longer, and returns it.
    pub fn remove(&self, name: &str) -> Option<Var> {
        let entry = self.names().remove(name);
        entry.map(|entry| entry.var)
    }

    /// Calls `f` for each name and variable, in name order. No lock is held meanwhile, so `f` may
    /// change the registry; it sees what was there when the walk began. Go's `Do`.
    pub fn for_each(&self, mut f: impl FnMut(&str, &Var)) {
        for (name, entry) in self.list().iter() {
            f(name, &entry.var);
        }
    }

    /// Shows each variable to `visitor`, in name order, down to the leaves: the walk that every
    /// exporter uses.
    ///
    /// Values are read one after the other, not all at one instant. No lock is held while a
    /// [`Func`](crate::Func) or the visitor runs; memory is allocated for a walk, not for a
    /// variable.
    pub fn visit(&self, visitor: &mut impl Visitor) {
        self.visit_where(|_| true, visitor);
    }

    /// Like [`visit`](Self::visit), for the variables whose name `wanted` accepts; the others'
    /// functions do not run.
    pub fn visit_where(&self, wanted: impl FnMut(&str) -> bool, visitor: &mut impl Visitor) {
        walk::registry::<recall::Nothing, _>(&self.list(), wanted, visitor);
    }

    /// Like [`visit`](Self::visit), for a visitor that remembers names.
    #[doc(hidden)]
    pub fn visit_recalling(&self, visitor: &mut impl Recall) {
        walk::registry::<recall::Names, _>(&self.list(), |_| true, visitor);
    }

    #[doc(hidden)]
    pub fn visit_old(&self, visitor: &mut impl OldVisitor) {
        let list = self.list();
        let names = visitor.begin(list.generation());
        walk_old(&list, names, |_| true, visitor);
    }

    #[doc(hidden)]
    pub fn visit_old_where(&self, wanted: impl FnMut(&str) -> bool, visitor: &mut impl OldVisitor) {
        walk_old(&self.list(), true, wanted, visitor);
    }

    /// The document that `/debug/vars` answers: Go's bytes, with a line feed at the end.
    pub fn to_json(&self) -> String {
        let mut buffer = Vec::new();
        self.render_json(&mut buffer);
        String::from_utf8(buffer).unwrap_or_default()
    }

    /// Writes the document that `/debug/vars` answers.
    ///
    /// # Errors
    /// Those of `writer`.
    pub fn write_json(&self, mut writer: impl io::Write) -> io::Result<()> {
        let mut buffer = Vec::new();
        self.render_json(&mut buffer);
        writer.write_all(&buffer)
    }

    /// Appends the document that `/debug/vars` answers to a buffer that can be used again.
    pub fn render_json(&self, buffer: &mut Vec<u8>) {
        self.render_json_where(|_| true, buffer);
    }

    /// Appends the document with only those variables whose name `wanted` accepts.
    pub fn render_json_where(&self, wanted: impl FnMut(&str) -> bool, buffer: &mut Vec<u8>) {
        let mut document = json::Document::begin(buffer);
        self.visit_where(wanted, &mut document);
        document.end();
    }

    fn list(&self) -> List<Entry> {
        self.names().list()
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

/// Adds a variable whose name is free, and unlocks the names.
fn add(
    mut names: impl DerefMut<Target = Names<Entry>>,
    name: &str,
    var: Var,
    info: Info,
) -> Result<(), PublishError> {
    if let Some(entry) = names.get(name) {
        let existing = entry.var.clone();
        drop(names);
        return Err(PublishError::taken(name, existing));
    }
    let doubtful = is_doubtful(name, &var, &info);
    names.insert(name.into(), Entry::new(var, info));
    drop(names);
    if doubtful {
        let text = "a histogram of whole numbers without a unit records durations in nanoseconds, \
                    whatever its name says: declare `unit: Nanoseconds`, which Prometheus gets in \
                    seconds, or `unit: Seconds`";
        declared::report_conflict(name, text.into());
    }
    Ok(())
}

/// Whether a histogram's name says seconds, and nothing makes it record them.
fn is_doubtful(name: &str, var: &Var, info: &Info) -> bool {
    let says_seconds = name
        .strip_suffix("seconds")
        .is_some_and(|rest| rest.is_empty() || rest.ends_with(['_', '.']));
    let is_whole = |var: &Var| var.as_histogram().is_some_and(|histogram| !histogram.is_float());
    says_seconds && info.get_unit() == Unit::None && is_whole(var)
}

fn walk_old(
    list: &List<Entry>,
    names_wanted: bool,
    mut wanted: impl FnMut(&str) -> bool,
    visitor: &mut impl OldVisitor,
) {
    let reader = Reader::now();
    let mut scratch = Scratch::new(&reader);
    visit::for_each(list, &reader, names_wanted, |at, value| {
        // Names are of no interest only where every variable is wanted.
        if !names_wanted && value.is_some_and(|value| visitor.number(value)) {
            return;
        }
        let (name, entry) = list.at(at);
        if wanted(name) {
            let mut show = |value: Value<'_>| visitor.variable(name, &entry.info, value);
            match value {
                Some(value) => show(value),
                None => scratch.read_top(&entry.var, show),
            }
        }
    });
}

impl Touch for Entry {
    fn touch(&self) -> u64 {
        Arc::as_ptr(&self.info).addr() as u64
    }
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

/// A variable could not be published.
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

    /// The name that was refused.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The variable that has the name already.
    pub fn existing(&self) -> Option<&Var> {
        match &self.reason {
            Reason::Taken { existing } => Some(existing),
            _ => None,
        }
    }
}

/// What `unwrap` prints: a line, and not the variable that has the name.
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
