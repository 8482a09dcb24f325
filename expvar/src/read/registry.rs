//! What a registry shows: its variables to a visitor, or as JSON.

use std::io;

use crate::document::{Document, Escaped};
use crate::recall::{self, Recall};
use crate::registry::Registry;
use crate::visitor::Visitor;
use crate::walk;

impl Registry {
    /// Shows each variable to `visitor`, in name order, down to the leaves: the walk that every
    /// exporter uses.
    ///
    /// Values are read one after the other, not all at one instant. No lock is held while a
    /// [`Func`](crate::Func) or the visitor runs; memory is allocated for a walk, not for a
    /// variable.
    #[doc(alias("gather", "collect"))]
    pub fn visit(&self, visitor: &mut impl Visitor) {
        self.visit_where(|_| true, visitor);
    }

    /// Like [`visit`](Self::visit), for the variables whose name `wanted` accepts; the others'
    /// functions do not run.
    pub fn visit_where(&self, mut wanted: impl FnMut(&str) -> bool, visitor: &mut impl Visitor) {
        walk::registry::<recall::Nothing, _>(&self.list(), |_, name| wanted(name), visitor);
    }

    /// Like [`visit`](Self::visit), for a visitor that remembers names. `looked_at` is called with
    /// the place in the order of names of each variable that is about to be read, but for numbers.
    #[doc(hidden)]
    pub fn visit_recalling(&self, looked_at: impl FnMut(usize), visitor: &mut impl Recall) {
        walk::registry::<recall::Names, _>(&self.list(), telling(looked_at), visitor);
    }

    /// The document that `/debug/vars` answers: Go's bytes, with a line feed at the end.
    #[doc(alias = "Handler")]
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
        self.render_json_telling(|_| {}, buffer);
    }

    /// Like [`render_json`](Self::render_json), with what
    /// [`visit_recalling`](Self::visit_recalling) tells of its progress.
    #[doc(hidden)]
    pub fn render_json_telling(&self, looked_at: impl FnMut(usize), buffer: &mut Vec<u8>) {
        let mut document = Document::begin(buffer);
        walk::registry::<Escaped, _>(&self.list(), telling(looked_at), &mut document);
        document.end();
    }

    /// Appends the document with only those variables whose name `wanted` accepts.
    pub fn render_json_where(&self, wanted: impl FnMut(&str) -> bool, buffer: &mut Vec<u8>) {
        let mut document = Document::begin(buffer);
        self.visit_where(wanted, &mut document);
        document.end();
    }
}

/// Accepts every variable, and tells of each.
fn telling(mut looked_at: impl FnMut(usize)) -> impl FnMut(usize, &str) -> bool {
    move |at, _| {
        looked_at(at);
        true
    }
}
