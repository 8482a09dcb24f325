//! The position in a variable: its labels and name there.

use expvar::{Info, Shape, Step, Unit};

use super::MediaType;
use super::names;
use super::plan::Plan;
use super::samples::{has_label, push_label};

/// The position in a variable: its labels and name there.
#[derive(Default)]
pub(super) struct Place {
    /// Steps from the registry; 1 is the variable itself.
    pub(super) depth: usize,
    /// Labels, without braces.
    pub(super) labels: Vec<u8>,
    /// Members' names, each after a `_`.
    pub(super) members: String,
    /// The metadata of the last entered value.
    pub(super) leaf: Leaf,
    /// The depth of the enclosing function's value.
    pub(super) function: Option<usize>,
    pub(super) known_as: Option<KnownAs>,
    /// The key or member that was entered last.
    pub(super) key: String,
    /// The number of enclosing arrays; each has a label of its own.
    elements: usize,
    /// The enclosing maps, structures and arrays, outermost first.
    shapes: Vec<Shape>,
    marks: Vec<Mark>,
}

/// The state before a step.
struct Mark {
    /// Lengths.
    labels: usize,
    members: usize,
    elements: usize,
    known_as: Option<KnownAs>,
}

/// The established name of a number, or of a structure's numbers by label. Empty if only the labels
/// are declared.
#[derive(Clone, Copy)]
pub(super) struct KnownAs {
    pub(super) name: &'static str,
    /// The level of its keys.
    below: usize,
}

/// A copy of a value's metadata, updated when it changes.
#[derive(Default)]
pub(super) struct Leaf {
    help_at: (usize, usize),
    pub(super) help: String,
    pub(super) unit: Unit,
    pub(super) counter: bool,
}

impl Leaf {
    pub(super) fn set(&mut self, info: &Info) {
        let help = info.get_help();
        let help_at = (help.as_ptr().addr(), help.len());
        if self.help_at != help_at || self.help != help {
            self.help_at = help_at;
            self.help.clear();
            self.help.push_str(help);
        }
        (self.unit, self.counter) = (info.get_unit(), info.is_counter());
    }
}

impl Place {
    /// Resets it for the next variable; keeps its memory.
    pub(super) fn enter_variable(&mut self) {
        self.labels.clear();
        self.members.clear();
        self.elements = 0;
        self.known_as = None;
    }

    /// Begins a variable that is shown: sets its constant labels and its established name.
    pub(super) fn begin(&mut self, plan: &Plan, info: &Info, media_type: MediaType) {
        for (label, value) in plan.labels.constants() {
            push_label(&mut self.labels, label, value, media_type.format());
        }
        let known_as = if plan.is_mapped { "" } else { info.get_known_as() };
        self.known_as = (!known_as.is_empty()).then_some(KnownAs { name: known_as, below: 0 });
    }

    /// Saves the state before the next step.
    pub(super) fn mark(&mut self) {
        self.marks.push(Mark {
            labels: self.labels.len(),
            members: self.members.len(),
            elements: self.elements,
            known_as: self.known_as,
        });
    }

    /// Restores the state before the last step.
    pub(super) fn leave(&mut self) {
        if let Some(mark) = self.marks.pop() {
            self.labels.truncate(mark.labels);
            self.members.truncate(mark.members);
            (self.elements, self.known_as) = (mark.elements, mark.known_as);
        }
    }

    /// Enters a key, a member or an element of a variable that is shown.
    pub(super) fn enter(
        &mut self,
        step: Step<'_>,
        info: &Info,
        plan: &mut Plan,
        media_type: MediaType,
    ) {
        let (format, escaping) = (media_type.format(), media_type.escaping());
        self.leaf.set(info);
        // The level of nested maps or structures, from 0.
        let level = self.depth - 2;
        let mut digits = itoa::Buffer::new();
        let (key, is_index) = match step {
            Step::Name(key) | Step::Key(key) => (key, false),
            Step::Index(at) => (digits.format(at), true),
        };
        self.key.clear();
        self.key.push_str(key);
        let known_as = if plan.is_mapped { "" } else { info.get_known_as() };
        match self.known_as {
            // Below an established name, numbers have that name, and their keys are labels.
            Some(known)
                if known.name == known_as
                    && (!known_as.is_empty() || level - known.below < info.get_labels().len()) =>
            {
                let level = level - known.below;
                let label = info.get_labels().get(level).map_or("", |label| label.trim());
                let mut label = names::label(label, level, escaping);
                while has_label(&self.labels, &label, format) {
                    label.push('_');
                }
                return push_label(&mut self.labels, &label, key, format);
            }
            Some(known) if !known.name.is_empty() => self.known_as = None,
            _ => {}
        }
        if !known_as.is_empty() {
            self.known_as = Some(KnownAs { name: known_as, below: level + 1 });
            return;
        }
        let in_map = self.shapes.last() == Some(&Shape::Map);
        // A member with labels of its own: its keys are their values.
        let is_keyed = !plan.is_mapped && !in_map && plan.labels.declared == 0;
        if is_keyed && self.known_as.is_none() && !info.get_labels().is_empty() {
            self.known_as = Some(KnownAs { name: "", below: level + 1 });
        }
        if in_map || level < plan.labels.declared {
            // To Prometheus an empty label is none.
            if !key.is_empty() {
                push_label(&mut self.labels, plan.labels.level(level), key, format);
            }
        } else if is_index {
            self.elements += 1;
            push_label(&mut self.labels, plan.labels.element(self.elements - 1), key, format);
        } else {
            self.members.push('_');
            names::push_member(&mut self.members, key, escaping);
        }
    }

    /// Enters a map, a structure or an array.
    pub(super) fn open(&mut self, shape: Shape) {
        self.shapes.push(shape);
    }

    /// Enters a function's value, unless already within one.
    pub(super) fn open_function(&mut self) {
        self.function.get_or_insert(self.depth - 1);
    }

    pub(super) fn close(&mut self) {
        self.shapes.pop();
        if self.function == Some(self.depth - 1) {
            self.function = None;
        }
    }

    /// Whether labels are declared for a function's value and this is not their last level.
    ///
    /// Below the last declared level there are members: `bytes` in `{"main": {"bytes": 1}}`. Below
    /// that of a mapping there are none.
    pub(super) fn is_beside_labels(&self, plan: &Plan) -> bool {
        let (declared, depth) = (plan.labels.declared, self.depth - 1);
        let is_deeper = depth > declared && !plan.is_mapped;
        self.known_as.is_none()
            && self.function.is_some_and(|function| declared > function)
            && depth != declared
            && !is_deeper
    }
}
