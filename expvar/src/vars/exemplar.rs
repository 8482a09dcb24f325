//! Exemplars: single values of a histogram, each with its trace.

use once_cell::sync::OnceCell;

use crate::health::REJECTED_EXEMPLARS;

/// OpenMetrics' limit on the characters of an exemplar's label names and values together.
const MAX_CHARACTERS: usize = 128;

/// A single recorded value with its time and its trace. See
/// [`Histogram::exemplars`](crate::Histogram::exemplars).
///
/// ```
/// let took = expvar::Histogram::new().exemplars();
/// took.record_with(250, "4bf92f3577b34da6");
/// let exemplars = took.recorded_exemplars();
/// assert_eq!((exemplars[0].value(), exemplars[0].trace_id()), (250.0, Some("4bf92f3577b34da6")));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    pub(crate) value: f64,
    pub(crate) unix_nanos: u64,
    /// Names and values, each followed by a line feed.
    labels: String,
}

impl Exemplar {
    pub(crate) const fn new() -> Self {
        Self { value: 0.0, unix_nanos: 0, labels: String::new() }
    }

    /// The value, in the histogram's own unit.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// When it was recorded, in nanoseconds since 1970.
    pub fn unix_nanos(&self) -> u64 {
        self.unix_nanos
    }

    /// Label names and values; usually only `trace_id`. At most 128 characters together. Names are
    /// ASCII letters, digits and `_`; values contain no control characters.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut lines = self.labels.split_terminator('\n');
        std::iter::from_fn(move || Some((lines.next()?, lines.next()?)))
    }

    /// The value of the label `trace_id`.
    pub fn trace_id(&self) -> Option<&str> {
        self.labels().find_map(|(name, value)| (name == "trace_id").then_some(value))
    }

    /// Replaces everything; keeps the memory.
    pub(crate) fn set(&mut self, value: f64, labels: &Written) {
        self.value = value;
        self.unix_nanos = crate::clock::unix_nanos();
        self.labels.clear();
        self.labels.push_str(labels.as_str());
    }
}

/// Types that give an exemplar's labels: a trace id as text, which becomes the label `trace_id`, or
/// pairs of names and values.
///
/// ```
/// use expvar::Histogram;
///
/// let latency = Histogram::new().exemplars();
/// latency.record_with(12, "4bf92f3577b34da6a3ce929d0e0e4736");
/// latency.record_with(4096, [("trace_id", "0af7651916cd43dd8448eb211c80319c"), ("shard", "7")]);
/// let traces: Vec<_> = latency.recorded_exemplars();
/// assert_eq!(traces[1].labels().last(), Some(("shard", "7")));
/// ```
pub trait ExemplarLabels {
    /// Calls `label` with each name and value.
    fn for_each(&self, label: &mut dyn FnMut(&str, &str));
}

impl ExemplarLabels for str {
    fn for_each(&self, label: &mut dyn FnMut(&str, &str)) {
        label("trace_id", self);
    }
}

impl ExemplarLabels for String {
    fn for_each(&self, label: &mut dyn FnMut(&str, &str)) {
        label("trace_id", self);
    }
}

impl ExemplarLabels for [(&str, &str)] {
    fn for_each(&self, label: &mut dyn FnMut(&str, &str)) {
        self.iter().for_each(|(name, value)| label(name, value));
    }
}

impl<const N: usize> ExemplarLabels for [(&str, &str); N] {
    fn for_each(&self, label: &mut dyn FnMut(&str, &str)) {
        self.as_slice().for_each(label);
    }
}

impl<L: ExemplarLabels + ?Sized> ExemplarLabels for &L {
    fn for_each(&self, label: &mut dyn FnMut(&str, &str)) {
        (**self).for_each(label);
    }
}

/// Checked labels on the stack: room for 128 characters of up to four bytes, and the line feeds.
pub(crate) struct Written {
    bytes: [u8; 4 * MAX_CHARACTERS + 2 * MAX_LABELS],
    length: usize,
}

/// A name has at least one character.
const MAX_LABELS: usize = MAX_CHARACTERS;

impl Written {
    /// `None` without labels, or with labels that an exemplar cannot have; the latter are counted.
    pub(crate) fn new(labels: &(impl ExemplarLabels + ?Sized)) -> Option<Self> {
        let mut this = Self { bytes: [0; 4 * MAX_CHARACTERS + 2 * MAX_LABELS], length: 0 };
        let (mut characters, mut is_valid) = (0, true);
        labels.for_each(&mut |name, value| {
            is_valid = is_valid && is_name(name) && !value.contains(char::is_control);
            is_valid = is_valid && !this.has(name);
            characters += name.len() + value.chars().take(MAX_CHARACTERS + 1).count();
            is_valid = is_valid && characters <= MAX_CHARACTERS;
            if is_valid {
                this.push(name);
                this.push(value);
            }
        });
        if !is_valid {
            REJECTED_EXEMPLARS.inc();
        }
        (is_valid && this.length > 0).then_some(this)
    }

    fn has(&self, name: &str) -> bool {
        self.as_str().split_terminator('\n').step_by(2).any(|known| known == name)
    }

    fn push(&mut self, text: &str) {
        let end = self.length + text.len();
        self.bytes[self.length..end].copy_from_slice(text.as_bytes());
        self.bytes[end] = b'\n';
        self.length = end + 1;
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with("__")
}

/// Calls its argument with the labels of the current trace, if there is one.
type TraceHook = Box<dyn Fn(&mut dyn FnMut(&dyn ExemplarLabels)) + Send + Sync>;

static HOOK: OnceCell<TraceHook> = OnceCell::new();

/// Sets the hook that returns the trace of the calling thread. Histograms declared with exemplars
/// call it when they record without an explicit trace. `expvar-tracing` sets it.
///
/// `hook` calls its argument once with the labels of the current trace, or not at all without a
/// trace. It runs on the recording thread, only for histograms with exemplars. It must be fast,
/// must not panic, and must not record into such a histogram. It can be set once; returns false if
/// it was already set.
///
/// ```
/// std::thread_local! {
///     static TRACE: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
/// }
/// expvar::set_trace_hook(|give| TRACE.with_borrow(|trace| {
///     if !trace.is_empty() {
///         give(trace);
///     }
/// }));
/// TRACE.set("4bf92f3577b34da6a3ce929d0e0e4736".into());
/// let latency = expvar::Histogram::new().exemplars();
/// latency.record(12);
/// assert_eq!(latency.recorded_exemplars()[0].trace_id().unwrap().len(), 32);
/// ```
pub fn set_trace_hook(
    hook: impl Fn(&mut dyn FnMut(&dyn ExemplarLabels)) + Send + Sync + 'static,
) -> bool {
    HOOK.set(Box::new(hook)).is_ok()
}

/// The labels of the calling thread's current trace.
pub(crate) fn current() -> Option<Written> {
    let mut found = None;
    HOOK.get()?(&mut |labels| found = Written::new(labels));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(labels: &[(&str, &str)]) -> Option<String> {
        Written::new(labels).map(|written| written.as_str().to_owned())
    }

    #[test]
    fn labels_are_checked() {
        assert_eq!(written(&[("a", "1"), ("_b2", "é")]).unwrap(), "a\n1\n_b2\né\n");
        for wrong in ["", "1a", "a-b", "a.b", "é", "__a", "a b", "a\n"] {
            assert_eq!(written(&[(wrong, "1")]), None, "{wrong:?}");
        }
        assert_eq!(written(&[("a", "1\n2")]), None, "a control character");
        assert_eq!(written(&[("a", "1"), ("a", "2")]), None, "a name twice");
        assert_eq!(written(&[]), None);
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        let longest = "😱".repeat(MAX_CHARACTERS - "trace_id".len());
        assert!(Written::new(longest.as_str()).is_some());
        assert!(Written::new(&format!("{longest}😱")).is_none());
        let all: Vec<String> = (0..64).map(|at| format!("{}", char::from(b'A' + at))).collect();
        let names = all.iter().filter(|name| is_name(name));
        let labels: Vec<(&str, &str)> = names.map(|name| (name.as_str(), "😱")).collect();
        assert!(labels.len() > 50 && Written::new(labels.as_slice()).is_some());
    }

    #[test]
    fn what_is_rejected_is_counted() {
        let before = REJECTED_EXEMPLARS.get();
        assert_eq!(written(&[("1", "1")]), None);
        assert!(REJECTED_EXEMPLARS.get() > before);
    }
}
