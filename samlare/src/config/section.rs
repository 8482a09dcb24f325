//! One table of the file, read key by key, case-insensitively.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::expand;
use super::problem::{Lines, Problem};

/// State shared by all sections of a file.
pub(super) struct File {
    pub(super) lines: Lines,
    pub(super) errors: RefCell<Vec<Problem>>,
    pub(super) warnings: RefCell<Vec<Problem>>,
    /// Every key that was read, by table.
    pub(super) asked: RefCell<BTreeSet<(&'static str, &'static str)>>,
    /// The folder for relative paths.
    folder: PathBuf,
    /// Whether to check the files that it names.
    looks: bool,
    /// Whether to expand `${NAME}`.
    expands: Cell<bool>,
}

impl File {
    /// A file of which nothing was read yet.
    pub(super) fn of(text: &str, folder: &Path, looks: bool) -> Self {
        Self {
            lines: Lines::of(text),
            errors: RefCell::default(),
            warnings: RefCell::default(),
            asked: RefCell::default(),
            folder: folder.to_owned(),
            looks,
            expands: Cell::new(false),
        }
    }
}

impl File {
    /// Whether a table of this name has an error.
    pub(super) fn has_error_below(&self, table: &str) -> bool {
        let errors = self.errors.borrow();
        errors.iter().any(|problem| problem.key.split_once('.').is_some_and(|(at, _)| at == table))
    }
}

/// A table whose keys are read one by one; [`Section::finish`] reports keys that were never read.
pub(super) struct Section<'a> {
    file: &'a File,
    name: &'static str,
    /// The name in the file, as in `endpoint.renames`; empty for the global part.
    written: String,
    table: &'a DeTable<'a>,
    at: Range<usize>,
    known: RefCell<BTreeSet<&'static str>>,
}

type Value<'a> = &'a Spanned<DeValue<'a>>;

impl<'a> Section<'a> {
    pub(super) fn new(
        file: &'a File,
        name: &'static str,
        table: &'a DeTable<'a>,
        at: Range<usize>,
    ) -> Section<'a> {
        let written = name.to_owned();
        Section { file, name, written, table, at, known: RefCell::default() }
    }

    /// The table below a key of this one.
    fn below(&self, key: &'static str, table: &'a DeTable<'a>, at: Range<usize>) -> Section<'a> {
        let written = self.name_of(key).map_or(key, |name| name.get_ref());
        let written = self.full(written);
        Section { written, ..Section::new(self.file, key, table, at) }
    }

    pub(super) fn file(&self) -> &'a File {
        self.file
    }

    /// Whether the table has no key.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The first line of the table.
    pub(super) fn line(&self) -> usize {
        self.file.lines.line(self.at.start)
    }

    /// Whether to check the files that the configuration names.
    pub(super) fn looks_at_files(&self) -> bool {
        self.file.looks
    }

    /// Expands `${NAME}` from here on, if the file enables it.
    pub(super) fn expand(&self) {
        self.file.expands.set(self.boolean("Expand").unwrap_or(false));
    }

    /// Which of these keys exist, their lines, and their spelling.
    pub(super) fn places(&self, keys: &[&'static str]) -> BTreeMap<&'static str, (usize, String)> {
        let place = |&key: &&'static str| {
            let name = self.name_of(key)?;
            let line = self.file.lines.line(name.span().start);
            Some((key, (line, name.get_ref().to_string())))
        };
        keys.iter().filter_map(place).collect()
    }

    /// A key as written.
    fn name_of(&self, key: &str) -> Option<&'a Spanned<std::borrow::Cow<'a, str>>> {
        self.table.keys().find(|name| name.get_ref().eq_ignore_ascii_case(key))
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.keys().any(|name| name.get_ref().eq_ignore_ascii_case(key))
    }

    pub(super) fn error(&self, key: &str, message: impl Into<String>) {
        let problem = self.problem(key, message.into());
        self.file.errors.borrow_mut().push(problem);
    }

    pub(super) fn warn(&self, key: &str, message: impl Into<String>) {
        let problem = self.problem(key, message.into());
        self.file.warnings.borrow_mut().push(problem);
    }

    /// Warns about a key that a document may have, or not.
    pub(super) fn warn_unless_seen(&self, key: &str, name: &str, message: String) {
        let unseen = Some(name.to_owned());
        let problem = Problem { unseen, ..self.problem(key, message) };
        self.file.warnings.borrow_mut().push(problem);
    }

    fn problem(&self, key: &str, message: String) -> Problem {
        let found = self.name_of(key);
        let at = found.map_or(self.at.start, |name| name.span().start);
        let key = found.map_or(key, |name| name.get_ref());
        Problem::new(self.file.lines.line(at), self.full(key), message)
    }

    fn full(&self, key: &str) -> String {
        if self.written.is_empty() { key.to_owned() } else { format!("{}.{key}", self.written) }
    }

    /// All values of a key, in any capitalization.
    fn values(&self, key: &'static str) -> Vec<Value<'a>> {
        self.known.borrow_mut().insert(key);
        self.file.asked.borrow_mut().insert((self.name, key));
        let named = self.table.iter().filter(|(name, _)| name.get_ref().eq_ignore_ascii_case(key));
        named.map(|(_, value)| value).collect()
    }

    fn value(&self, key: &'static str) -> Option<&'a DeValue<'a>> {
        let values = self.values(key);
        if values.len() > 1 {
            self.error(key, "it is given twice, in different capitals: keep one");
        }
        values.first().map(|value| value.get_ref())
    }

    fn wrong<T>(&self, key: &str, wanted: &str, found: &DeValue<'_>) -> Option<T> {
        self.error(key, format!("it is {}: write {wanted}", described(found)));
        None
    }

    /// An expanded text.
    fn text(&self, key: &str, text: &str) -> Option<String> {
        if !expand::is_template(text) {
            if expand::is_forgotten(text) {
                self.warn(key, "variables are not filled in: write Expand = true, and ${NAME}");
            }
            return Some(text.to_owned());
        }
        if !self.file.expands.get() {
            self.warn(
                key,
                "${…} is taken as it stands: write Expand = true at the top to fill it in",
            );
            return Some(text.to_owned());
        }
        expand::expand(text, &self.file.folder).map_err(|error| self.error(key, error)).ok()
    }

    /// An expanded text in place of a number or boolean.
    fn filled(&self, key: &str, value: &DeValue<'_>) -> Option<String> {
        let text = value.as_str().filter(|text| expand::is_template(text))?;
        self.file.expands.get().then(|| self.text(key, text)).flatten()
    }

    pub(super) fn string(&self, key: &'static str) -> Option<String> {
        match self.value(key)? {
            DeValue::String(text) => self.text(key, text),
            other => self.wrong(key, "text in quotes", other),
        }
    }

    /// A path, relative to the file.
    pub(super) fn file_path(&self, key: &'static str) -> Option<PathBuf> {
        Some(self.file.folder.join(self.string(key)?))
    }

    /// Paths, relative to the file.
    pub(super) fn file_paths(&self, key: &'static str) -> Option<Vec<PathBuf>> {
        let paths = self.strings(key)?.into_iter();
        Some(paths.map(|path| self.file.folder.join(path)).collect())
    }

    pub(super) fn boolean(&self, key: &'static str) -> Option<bool> {
        match self.value(key)? {
            DeValue::Boolean(value) => Some(*value),
            value if self.filled(key, value).is_some_and(|text| text == "true") => Some(true),
            value if self.filled(key, value).is_some_and(|text| text == "false") => Some(false),
            other => self.wrong(key, "true or false", other),
        }
    }

    pub(super) fn integer(&self, key: &'static str, range: Range<u64>, unit: &str) -> Option<u64> {
        let wanted = format!("a whole number of {unit} from {} to {}", range.start, range.end);
        let value = self.value(key)?;
        let number = match value {
            DeValue::Integer(digits) => u64::from_str_radix(digits.as_str(), digits.radix()),
            other => match self.filled(key, other) {
                Some(text) => text.trim().parse(),
                None => return self.wrong(key, &wanted, value),
            },
        };
        match number {
            Ok(number) if (range.start..=range.end).contains(&number) => Some(number),
            _ => {
                self.error(key, format!("it is out of range: write {wanted}"));
                None
            }
        }
    }

    pub(super) fn milliseconds(&self, key: &'static str, range: Range<u64>) -> Option<Duration> {
        self.integer(key, range, "milliseconds").map(Duration::from_millis)
    }

    /// A list of strings; a single string is a list of one.
    pub(super) fn strings(&self, key: &'static str) -> Option<Vec<String>> {
        const WANTED: &str = "a list of texts, as in [\"one\", \"two\"]";
        match self.value(key)? {
            DeValue::String(text) => Some(vec![self.text(key, text)?]),
            value @ DeValue::Array(items) => {
                let texts = items.iter().map(|item| item.get_ref().as_str());
                let texts = texts.map(|text| text.and_then(|text| self.text(key, text)));
                match texts.collect::<Option<Vec<_>>>() {
                    Some(texts) => Some(texts),
                    None => self.wrong(key, WANTED, value),
                }
            }
            other => self.wrong(key, WANTED, other),
        }
    }

    /// A table of strings.
    pub(super) fn pairs(&self, key: &'static str) -> Option<Vec<(String, String)>> {
        const WANTED: &str = "a table of texts, as in { \"X-Name\" = \"value\" }";
        let value = self.value(key)?;
        let DeValue::Table(table) = value else { return self.wrong(key, WANTED, value) };
        let pairs = table.iter().map(|(name, value)| {
            let text = value.get_ref().as_str()?;
            Some((name.get_ref().to_string(), self.text(key, text)?))
        });
        match pairs.collect() {
            Some(pairs) => Some(pairs),
            None => {
                self.error(key, format!("one of its values is no text: write {WANTED}"));
                None
            }
        }
    }

    /// The table of `[key]`; `key` is also the section's name.
    pub(super) fn section(&self, key: &'static str) -> Option<Section<'a>> {
        let value = *self.values(key).first()?;
        match value.get_ref() {
            DeValue::Table(table) => Some(self.below(key, table, value.span())),
            other => self.wrong(key, &format!("[{key}] above its keys"), other),
        }
    }

    /// The tables of `[[key]]`; `key` is also the sections' name.
    pub(super) fn sections(&self, key: &'static str) -> Vec<Section<'a>> {
        let mut sections = Vec::new();
        for value in self.values(key) {
            match value.get_ref() {
                DeValue::Array(items) => {
                    for item in items.iter() {
                        match item.get_ref() {
                            DeValue::Table(table) => {
                                sections.push(self.below(key, table, item.span()));
                            }
                            other => drop(self.wrong::<()>(key, &format!("[[{key}]]"), other)),
                        }
                    }
                }
                other => drop(self.wrong::<()>(key, &format!("[[{key}]]"), other)),
            }
        }
        sections.sort_by_key(|section| section.at.start);
        sections
    }

    /// Warns about each key that was never read, with the most similar known one.
    pub(super) fn finish(self) {
        let known = self.known.borrow();
        for name in self.table.keys() {
            let given = name.get_ref();
            if known.iter().any(|key| given.eq_ignore_ascii_case(key)) {
                continue;
            }
            if let Some(problem) = self.misplaced(given) {
                self.error(given, problem);
                continue;
            }
            let nearest = known
                .iter()
                .map(|key| (strsim::osa_distance(&given.to_lowercase(), &key.to_lowercase()), key))
                .min()
                .filter(|(distance, _)| *distance <= given.chars().count().div_ceil(2));
            let message = match nearest {
                Some((_, key)) => format!("unknown key: did you mean {key}?"),
                None => "unknown key: remove it".to_owned(),
            };
            self.file.warnings.borrow_mut().push(Problem::new(
                self.file.lines.line(name.span().start),
                self.full(given),
                message,
            ));
        }
    }
}

impl Section<'_> {
    /// The right table for a key in a wrong one.
    fn misplaced(&self, given: &str) -> Option<String> {
        let keys = super::Config::keys();
        let known = |table: &str| {
            keys.iter().any(|(at, key)| *at == table && key.eq_ignore_ascii_case(given))
        };
        let is_global = self.name.is_empty();
        let place = || format!("it stands below the [[{}]] of line {}", self.written, self.line());
        if !is_global && known("") {
            return Some(format!("{}: move it above the first [[…]]", place()));
        }
        let table =
            ["endpoint", "discover", "cluster", "rule"].into_iter().find(|table| known(table))?;
        if !is_global {
            let is_cut_off = table == "endpoint" && self.name.starts_with("Rename");
            return is_cut_off.then(|| format!("{}: move it above that line", place()));
        }
        Some(match table {
            "cluster" => "it belongs to the cluster: move it below [cluster]".to_owned(),
            "rule" => "it belongs to a rule: move it below [[rule]]".to_owned(),
            table => format!("it belongs to an endpoint: move it below [[{table}]]"),
        })
    }
}

fn described(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
