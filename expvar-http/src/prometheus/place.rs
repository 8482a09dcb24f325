//! Where in a variable the walk is.

use expvar::{Info, Shape, Step, Unit};

use super::MediaType;
use super::names;
use super::plan::Plan;
use super::samples::{has_label, push_label};

/// Where in a variable the walk is: what its labels and its name are here.
#[derive(Default)]
pub(super) struct Place {
    /// Steps from the walk's top, the variable itself the first.
    pub(super) depth: usize,
    /// Labels, without braces.
    pub(super) labels: Vec<u8>,
    /// Members' names, each after a `_`.
    pub(super) members: String,
    /// What the value means that was entered last.
    pub(super) leaf: Leaf,
    /// How deep the function's value lies that the walk is in.
    pub(super) function: Option<usize>,
    pub(super) known_as: Option<KnownAs>,
    /// The key or member that was entered last.
    pub(super) key: String,
    /// Arrays that are entered, each with a label of its own.
    elements: usize,
    /// What lies around, from the top.
    shapes: Vec<Shape>,
    marks: Vec<Mark>,
}

/// What a step changes, as it was before.
struct Mark {
    /// Lengths.
    labels: usize,
    members: usize,
    elements: usize,
    known_as: Option<KnownAs>,
}

/// The name that dashboards know a number by, or a structure's numbers by label. It is empty where
/// there are only labels.
#[derive(Clone, Copy)]
pub(super) struct KnownAs {
    pub(super) name: &'static str,
    /// The level of the keys below it.
    below: usize,
}

/// A copy of what the walk says of a value, made when it changes.
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
    /// Enters a variable. The memory of the one before is kept.
    pub(super) fn enter_variable(&mut self) {
        self.labels.clear();
        self.members.clear();
        self.elements = 0;
        self.known_as = None;
    }

    /// Begins a variable that is planned: its constant labels, and the name it is known by.
    pub(super) fn begin(&mut self, plan: &Plan, info: &Info, media_type: MediaType) {
        for (label, value) in plan.labels.constants() {
            push_label(&mut self.labels, label, value, media_type.format());
        }
        let known_as = if plan.is_mapped { "" } else { info.get_known_as() };
        self.known_as = (!known_as.is_empty()).then_some(KnownAs { name: known_as, below: 0 });
    }

    /// Remembers what is here before the next step.
    pub(super) fn mark(&mut self) {
        self.marks.push(Mark {
            labels: self.labels.len(),
            members: self.members.len(),
            elements: self.elements,
            known_as: self.known_as,
        });
    }

    /// Goes back to before the last step.
    pub(super) fn leave(&mut self) {
        if let Some(mark) = self.marks.pop() {
            self.labels.truncate(mark.labels);
            self.members.truncate(mark.members);
            (self.elements, self.known_as) = (mark.elements, mark.known_as);
        }
    }

    /// Enters a key, a member or an element of a variable that is planned.
    pub(super) fn enter(
        &mut self,
        step: Step<'_>,
        info: &Info,
        plan: &mut Plan,
        media_type: MediaType,
    ) {
        let (format, escaping) = (media_type.format(), media_type.escaping());
        self.leaf.set(info);
        // Which level of maps or of a structure this is, from 0.
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
            // Numbers below one that is known have its name, and their keys are labels.
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
        // A member that has labels of its own: its keys are their values.
        let is_keyed = !plan.is_mapped && !in_map && plan.labels.told == 0;
        if is_keyed && self.known_as.is_none() && !info.get_labels().is_empty() {
            self.known_as = Some(KnownAs { name: "", below: level + 1 });
        }
        if in_map || level < plan.labels.told {
            // A label that is empty is none, as everywhere in Prometheus.
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

    /// Takes note that what is here is what a function returned, unless it lies within that.
    pub(super) fn open_function(&mut self) {
        self.function.get_or_insert(self.depth - 1);
    }

    pub(super) fn close(&mut self) {
        self.shapes.pop();
        if self.function == Some(self.depth - 1) {
            self.function = None;
        }
    }

    /// Whether labels were told for what a function returned, and this is not where they end.
    ///
    /// What lies deeper than labels that were declared is a member of each: `bytes` in
    /// `{"main": {"bytes": 1}}`. A mapping's labels say exactly where its values are.
    pub(super) fn is_beside_labels(&self, plan: &Plan) -> bool {
        let (told, depth) = (plan.labels.told, self.depth - 1);
        let is_deeper = depth > told && !plan.is_mapped;
        self.known_as.is_none()
            && self.function.is_some_and(|function| told > function)
            && depth != told
            && !is_deeper
    }
}
