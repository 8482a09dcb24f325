//! The position of the walk in a variable: a metric's name and a point's attributes.

use std::sync::Arc;

use expvar::{Info, Shape, Step};

use crate::encode::attributes::{self, Attributes, Value};
use crate::encode::{convention, name, unit};
use crate::view::View;

/// The position of the walk in a variable.
#[derive(Default)]
pub(crate) struct Place {
    /// The metric's name: the variable's, then members, separated by dots.
    pub(crate) name: String,
    pub(crate) attributes: Attributes,
    /// The metadata of the variable.
    pub(crate) variable: Said,
    /// The metadata of the last entered value.
    pub(crate) leaf: Said,
    pub(crate) view: Option<Arc<View>>,
    /// Whether its texts are attributes of one point.
    pub(crate) is_info: bool,
    /// The library's own variable, if it is one with conventions.
    library: Option<Library>,
    /// Steps from the walk's top, the variable itself the first.
    pub(crate) depth: usize,
    /// The enclosing shapes, from the top.
    shapes: Vec<Shape>,
    /// The depth of the value whose keys have labels.
    labelled: Option<usize>,
    /// The number of enclosing arrays, each with an attribute.
    arrays: usize,
    marks: Vec<Mark>,
    /// Texts by depth and key, to become attributes of one point.
    texts: Vec<(usize, String, String)>,
    /// The key that was entered last.
    key: String,
    label: String,
}

/// Metadata of a value.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) help: String,
    pub(crate) unit: String,
    pub(crate) code: expvar::Unit,
    pub(crate) counter: bool,
}

/// The library's own variables whose members have conventions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Library {
    Process,
    Memstats,
}

struct Mark {
    name: usize,
    attributes: attributes::Mark,
    labelled: Option<usize>,
    arrays: usize,
}

impl Said {
    fn set(&mut self, info: &Info, view: Option<&View>) {
        let mapped_help = view.and_then(|view| view.help.as_deref());
        self.help.clear();
        self.help.push_str(mapped_help.unwrap_or(info.get_help()));
        self.code = view.and_then(|view| view.unit).unwrap_or(info.get_unit());
        self.unit.clear();
        unit::push(&mut self.unit, self.code);
        self.counter = info.is_counter();
    }
}

impl Place {
    /// Enters a variable.
    pub(crate) fn enter_variable(&mut self, variable: &str, info: &Info, view: Option<&Arc<View>>) {
        self.view = view.cloned();
        let view = self.view.as_deref();
        self.name.clear();
        name::push(&mut self.name, view.and_then(|m| m.name.as_deref()).unwrap_or(variable));
        self.attributes.clear();
        for (name, value) in view.map_or(&[][..], |view| &view.constants) {
            self.attributes.push(name, Value::Text(value));
        }
        self.variable.set(info, view);
        self.leaf.set(info, view);
        self.library = match variable {
            "process" if view.is_none() => Some(Library::Process),
            "memstats" if view.is_none() => Some(Library::Memstats),
            _ => None,
        };
        let has_labels = view.is_some_and(|m| m.labels.is_some()) || !info.get_labels().is_empty();
        self.labelled = has_labels.then_some(1);
        self.is_info = ["_info", ".info"].iter().any(|end| self.name.ends_with(end));
        self.arrays = 0;
        self.shapes.clear();
        self.marks.clear();
        self.texts.clear();
    }

    /// Marks the end of the path, for [`leave_step`](Self::leave_step).
    pub(crate) fn mark(&mut self) {
        self.marks.push(Mark {
            name: self.name.len(),
            attributes: self.attributes.mark(),
            labelled: self.labelled,
            arrays: self.arrays,
        });
    }

    /// Enters a key, member or element.
    pub(crate) fn enter_step(&mut self, step: Step<'_>, info: &Info) {
        let view = self.view.as_deref();
        self.leaf.set(info, view);
        let mut digits = itoa::Buffer::new();
        let (key, index) = match step {
            Step::Name(key) | Step::Key(key) => (key, None),
            Step::Index(at) => (digits.format(at), Some(at)),
        };
        self.key.clear();
        self.key.push_str(key);
        let mapped = view.and_then(|view| view.labels.as_deref());
        let level = self.depth - self.labelled.unwrap_or(1) - 1;
        self.label.clear();
        let label = match (self.labelled, mapped) {
            (Some(1), Some(labels)) => labels.get(level).map_or("", String::as_str),
            _ => info.get_labels().get(level).map_or("", |label| label.trim()),
        };
        self.label.push_str(if self.labelled.is_some() { label } else { "" });
        let in_map = self.shapes.last() == Some(&Shape::Map);
        if !self.label.is_empty() || in_map {
            if self.label.is_empty() {
                name::push_default_label(&mut self.label, "key", level);
            }
            self.attributes.push(&self.label, Value::Text(key));
        } else if let Some(index) = index {
            name::push_default_label(&mut self.label, "index", self.arrays);
            self.arrays += 1;
            self.attributes.push(&self.label, Value::Integer(index as i64));
        } else {
            match self.library {
                Some(Library::Memstats) => {
                    self.name.push('.');
                    convention::push_snake(&mut self.name, key);
                }
                _ => name::push_member(&mut self.name, key),
            }
            // A member with labels of its own: the keys below are their values.
            if self.labelled.is_none() && !info.get_labels().is_empty() {
                self.labelled = Some(self.depth);
            }
        }
    }

    /// Leaves it.
    pub(crate) fn leave_step(&mut self) {
        if let Some(mark) = self.marks.pop() {
            self.name.truncate(mark.name);
            self.attributes.truncate(mark.attributes);
            self.labelled = mark.labelled;
            self.arrays = mark.arrays;
        }
    }

    /// A map or structure begins.
    pub(crate) fn begin(&mut self, shape: Shape) {
        if shape == Shape::Structure && self.depth == 1 && self.library == Some(Library::Process) {
            self.name.clear();
            self.name.push_str(convention::PROCESS_REST);
        }
        self.shapes.push(shape);
    }

    /// It ends.
    pub(crate) fn end(&mut self) {
        self.shapes.pop();
    }

    /// Whether the walk is in a function's value.
    pub(crate) fn is_in_function(&self) -> bool {
        self.shapes.iter().any(|shape| *shape != Shape::Map)
    }

    /// Whether the name is the variable's own.
    pub(crate) fn is_plain(&self) -> bool {
        !self.is_in_function()
    }

    /// The convention of the member that the walk is at, if it has one.
    pub(crate) fn convention(&self) -> Option<&'static convention::Convention> {
        if self.library != Some(Library::Process) || !self.is_in_function() {
            return None;
        }
        let member = self.name.strip_prefix(convention::PROCESS_REST)?.strip_prefix('.')?;
        convention::of_process(member)
    }

    /// Keeps a text for the point of the enclosing structure.
    pub(crate) fn keep_text(&mut self, text: &str) {
        self.texts.push((self.depth, self.key.clone(), text.to_owned()));
    }

    /// Turns the texts of the ending structure into attributes. Returns whether there are any.
    pub(crate) fn take_texts(&mut self) -> bool {
        let depth = self.depth + 1;
        let from = self.texts.iter().rposition(|(at, ..)| *at != depth).map_or(0, |at| at + 1);
        let has_any = from < self.texts.len();
        for (_, key, text) in self.texts.drain(from..) {
            self.attributes.push(&key, Value::Text(&text));
        }
        has_any
    }
}
