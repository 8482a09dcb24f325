//! Reads a registry: by a visitor, or as JSON.

use std::io;

use crate::document::{Document, Escaped};
use crate::recall::{self, Recall};
use crate::registry::Registry;
use crate::visitor::Visitor;
use crate::walk;

impl Registry {
    /// Passes every variable to `visitor`, in name order, down to the leaves. All exporters use
    /// this walk.
    ///
    /// Values are read one after the other, not as of one instant. No lock is held while a
    /// [`Func`](crate::Func) or the visitor runs. Allocates per walk, not per variable.
    #[doc(alias("gather", "collect"))]
    pub fn visit(&self, visitor: &mut impl Visitor) {
        self.visit_where(|_| true, visitor);
    }

    /// Like [`visit`](Self::visit), for variables whose name `wanted` accepts. Functions of other
    /// variables do not run.
    pub fn visit_where(&self, mut wanted: impl FnMut(&str) -> bool, visitor: &mut impl Visitor) {
        walk::registry::<recall::Nothing, _>(&self.list(), |_, name| wanted(name), visitor);
    }

    /// Like [`visit`](Self::visit), for a visitor with a name cache. Calls `looked_at` with the
    /// index of each variable that is about to be read, numbers excepted.
    #[doc(hidden)]
    pub fn visit_recalling(&self, looked_at: impl FnMut(usize), visitor: &mut impl Recall) {
        walk::registry::<recall::Names, _>(&self.list(), telling(looked_at), visitor);
    }

    /// Returns the document of `/debug/vars`: Go's bytes, with a line feed at the end.
    #[doc(alias = "Handler")]
    pub fn to_json(&self) -> String {
        let mut buffer = Vec::new();
        self.render_json(&mut buffer);
        String::from_utf8(buffer).unwrap_or_default()
    }

    /// Writes the document of `/debug/vars`.
    ///
    /// # Errors
    /// Errors of `writer`.
    pub fn write_json(&self, mut writer: impl io::Write) -> io::Result<()> {
        let mut buffer = Vec::new();
        self.render_json(&mut buffer);
        writer.write_all(&buffer)
    }

    /// Appends the document of `/debug/vars` to a reusable buffer.
    pub fn render_json(&self, buffer: &mut Vec<u8>) {
        self.render_json_telling(|_| {}, buffer);
    }

    /// Like [`render_json`](Self::render_json), with the progress calls of
    /// [`visit_recalling`](Self::visit_recalling).
    #[doc(hidden)]
    pub fn render_json_telling(&self, looked_at: impl FnMut(usize), buffer: &mut Vec<u8>) {
        let mut document = Document::begin(buffer);
        walk::registry::<Escaped, _>(&self.list(), telling(looked_at), &mut document);
        document.end();
    }

    /// Appends the document of the variables whose name `wanted` accepts.
    pub fn render_json_where(&self, wanted: impl FnMut(&str) -> bool, buffer: &mut Vec<u8>) {
        let mut document = Document::begin(buffer);
        self.visit_where(wanted, &mut document);
        document.end();
    }
}

/// Accepts every variable, and reports each.
fn telling(mut looked_at: impl FnMut(usize)) -> impl FnMut(usize, &str) -> bool {
    move |at, _| {
        looked_at(at);
        true
    }
}
