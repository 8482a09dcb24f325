//! What a function returns, as metrics.

use expvar::json::{Leaf, Leaves, Step, walk};

use super::exposition::{Exposition, Plan};
use super::names;
use super::samples::{Number, push_label};

/// Writes the numbers of a JSON text where they lie.
pub(super) struct Tree<'t, 'e, 'p> {
    exposition: &'t mut Exposition<'e>,
    plan: &'t Plan<'p>,
    /// How deep the text itself lies, and how deep the place in it.
    top: usize,
    depth: usize,
    /// Members' names from there, each after a `_`.
    members: String,
    /// Elements that are entered, each with a label.
    elements: usize,
    /// Where labels and members ended, and how many elements there were, at each level above.
    marks: Vec<(usize, usize, usize)>,
}

impl<'t, 'e, 'p> Tree<'t, 'e, 'p> {
    /// Walks a text that lies `depth` maps deep.
    pub(super) fn walk(
        exposition: &'t mut Exposition<'e>,
        plan: &'t Plan<'p>,
        depth: usize,
        text: &str,
    ) {
        let members = String::new();
        let marks = Vec::new();
        let mut tree = Self { exposition, plan, top: depth, depth, members, elements: 0, marks };
        // It is valid by contract; were it not, what came before its end would stand.
        let _ = walk(text, &mut tree);
    }

    /// Whether labels were told for this text.
    fn labelled(&self) -> bool {
        self.plan.told > self.top
    }
}

impl Leaves for Tree<'_, '_, '_> {
    fn enter(&mut self, step: Step<'_>) {
        let labels = &mut self.exposition.labels;
        self.marks.push((labels.len(), self.members.len(), self.elements));
        if let Some(label) = self.plan.labels.get(self.depth) {
            match step {
                Step::Key(key) => push_label(labels, label, key),
                Step::Index(at) => push_label(labels, label, itoa::Buffer::new().format(at)),
            }
        } else {
            match step {
                Step::Key(key) => {
                    self.members.push('_');
                    names::push_legal(&mut self.members, key);
                }
                Step::Index(at) => {
                    self.elements += 1;
                    let label = match self.elements {
                        1 => "index".to_owned(),
                        n => format!("index{n}"),
                    };
                    push_label(labels, &label, itoa::Buffer::new().format(at));
                }
            }
        }
        self.depth += 1;
    }

    fn leave(&mut self) {
        if let Some((labels, members, elements)) = self.marks.pop() {
            self.exposition.labels.truncate(labels);
            self.members.truncate(members);
            self.elements = elements;
        }
        self.depth -= 1;
    }

    fn leaf(&mut self, leaf: Leaf<'_>) {
        let number = match leaf {
            Leaf::Null => return,
            Leaf::Text(text) => {
                if self.depth + 1 == self.plan.told {
                    self.exposition.text(self.plan, self.depth, text);
                }
                return;
            }
            Leaf::Bool(b) => Number::unsigned(b.into()),
            Leaf::Unsigned(n) => Number::unsigned(n),
            Leaf::Signed(n) => Number::signed(n),
            Leaf::Float(n) => Number::Float(n),
        };
        if self.labelled() && self.depth != self.plan.told {
            return;
        }
        self.exposition.number(self.plan, &self.members, number, false);
    }
}
