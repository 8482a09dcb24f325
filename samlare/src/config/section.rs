//! One table of the file, read key by key without regard to case.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Lines, Problem};

/// What all sections of one file share.
pub(super) struct File {
    pub(super) lines: Lines,
    pub(super) errors: RefCell<Vec<Problem>>,
    pub(super) warnings: RefCell<Vec<Problem>>,
    /// Every key that was asked for, by its table.
    pub(super) asked: RefCell<BTreeSet<(&'static str, &'static str)>>,
}

impl File {
    /// A file of which nothing was asked yet.
    pub(super) fn of(text: &str) -> Self {
        Self {
            lines: Lines::of(text),
            errors: RefCell::default(),
            warnings: RefCell::default(),
            asked: RefCell::default(),
        }
    }
}

/// A table whose keys are asked for one after the other; [`Section::finish`] finds the ones
/// that nobody asked for.
pub(super) struct Section<'a> {
    file: &'a File,
    name: &'static str,
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
        Section { file, name, table, at, known: RefCell::default() }
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

    fn problem(&self, key: &str, message: String) -> Problem {
        let found = self.table.keys().find(|name| name.get_ref().eq_ignore_ascii_case(key));
        let at = found.map_or(self.at.start, |name| name.span().start);
        Problem { line: self.file.lines.line(at), key: self.path(key), message }
    }

    fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// All values under a key, however it is capitalised.
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

    pub(super) fn string(&self, key: &'static str) -> Option<String> {
        match self.value(key)? {
            DeValue::String(text) => Some(text.to_string()),
            other => self.wrong(key, "text in quotes", other),
        }
    }

    pub(super) fn boolean(&self, key: &'static str) -> Option<bool> {
        match self.value(key)? {
            DeValue::Boolean(value) => Some(*value),
            other => self.wrong(key, "true or false", other),
        }
    }

    pub(super) fn integer(&self, key: &'static str, range: Range<u64>, unit: &str) -> Option<u64> {
        let wanted = format!("a whole number of {unit} from {} to {}", range.start, range.end);
        let value = self.value(key)?;
        let DeValue::Integer(digits) = value else { return self.wrong(key, &wanted, value) };
        match u64::from_str_radix(digits.as_str(), digits.radix()) {
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

    /// A list of texts; one text alone is a list of one.
    pub(super) fn strings(&self, key: &'static str) -> Option<Vec<String>> {
        const WANTED: &str = "a list of texts, as in [\"one\", \"two\"]";
        match self.value(key)? {
            DeValue::String(text) => Some(vec![text.to_string()]),
            value @ DeValue::Array(items) => {
                let texts = items.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
                match texts.collect::<Option<Vec<_>>>() {
                    Some(texts) => Some(texts),
                    None => self.wrong(key, WANTED, value),
                }
            }
            other => self.wrong(key, WANTED, other),
        }
    }

    /// A table whose values are texts.
    pub(super) fn pairs(&self, key: &'static str) -> Option<Vec<(String, String)>> {
        const WANTED: &str = "a table of texts, as in { \"X-Name\" = \"value\" }";
        let value = self.value(key)?;
        let DeValue::Table(table) = value else { return self.wrong(key, WANTED, value) };
        let pairs = table.iter().map(|(name, value)| {
            let text = value.get_ref().as_str()?;
            Some((name.get_ref().to_string(), text.to_owned()))
        });
        match pairs.collect() {
            Some(pairs) => Some(pairs),
            None => {
                self.error(key, format!("one of its values is no text: write {WANTED}"));
                None
            }
        }
    }

    /// The tables of a list, as `[[key]]` makes them; `key` itself is their sections' name.
    pub(super) fn sections(&self, key: &'static str) -> Vec<Section<'a>> {
        let mut sections = Vec::new();
        for value in self.values(key) {
            match value.get_ref() {
                DeValue::Array(items) => {
                    for item in items.iter() {
                        match item.get_ref() {
                            DeValue::Table(table) => {
                                sections.push(Section::new(self.file, key, table, item.span()));
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

    /// Warns of each key that was never asked for, with the nearest one that was.
    pub(super) fn finish(self) {
        let known = self.known.borrow();
        for name in self.table.keys() {
            let given = name.get_ref();
            if known.iter().any(|key| given.eq_ignore_ascii_case(key)) {
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
            self.file.warnings.borrow_mut().push(Problem {
                line: self.file.lines.line(name.span().start),
                key: self.path(given),
                message,
            });
        }
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
