//! One document, flattened to variables.

use super::series::Latest;
use super::text;
use crate::document::{self, Number, Points, Problem, Rules};

/// The most variables of a document.
const MAX_VARIABLES: usize = 20_000;

/// The variables of one document, by dotted names, in its order.
///
/// An array of numbers becomes their mean, an array of texts one text with spaces between them.
/// Objects and arrays in arrays have their index in the name.
#[derive(Debug, Default)]
pub(super) struct Flattened {
    /// Up to the limit.
    pub variables: Vec<Variable>,
    /// The number of variables past the limit.
    pub left_out: usize,
    path: String,
    depths: Vec<usize>,
    arrays: Vec<Array>,
}

/// A variable of a document.
#[derive(Debug)]
pub(super) struct Variable {
    /// Its dotted name.
    pub name: String,
    /// The number of keys and indices in the name: `a.b` may be one or two.
    pub depth: usize,
    /// Its value.
    pub value: Latest,
}

/// An array being read.
#[derive(Debug, Default)]
struct Array {
    /// The depth of its elements.
    depth: usize,
    sum: f64,
    numbers: usize,
    texts: String,
}

impl Flattened {
    /// Parses a document; invalid UTF-8 becomes U+FFFD.
    ///
    /// # Errors
    /// It is not a JSON object.
    pub(super) fn of(document: &[u8]) -> Result<Flattened, String> {
        if document.trim_ascii().is_empty() {
            return Err("the answer is empty, not a JSON object".to_owned());
        }
        let mut rules = Rules::default();
        rules.arrays = true;
        rules.limits.numbers = usize::MAX;
        let mut flattened = Flattened::default();
        match document::read(document, "", &rules, &mut flattened) {
            Ok(_) => Ok(flattened),
            Err(Problem::NotAnObject(kind)) => {
                Err(format!("the answer is not a JSON object but {kind}"))
            }
            Err(problem) => Err(format!("the answer is {problem}")),
        }
    }

    /// The name of the program: the first argument of `cmdline`.
    pub(super) fn program(&self) -> Option<&str> {
        let cmdline = self.variables.iter().find(|variable| variable.name == "cmdline")?;
        let Latest::Text(line) = &cmdline.value else { return None };
        // Arguments are joined by spaces, so a path with a space is truncated.
        let first = line.split(' ').next()?;
        let name = first.rsplit(['/', '\\']).next()?;
        (!name.is_empty()).then_some(name)
    }

    /// The array whose element the current value is.
    fn array(&mut self) -> Option<&mut Array> {
        let depth = self.depths.len();
        self.arrays.last_mut().filter(|array| array.depth == depth)
    }

    fn put(&mut self, value: Latest) {
        if self.variables.len() == MAX_VARIABLES {
            self.left_out += 1;
            return;
        }
        let name = text::bounded_name(&self.path).into_owned();
        self.variables.push(Variable { name, depth: self.depths.len(), value });
    }
}

impl Points for Flattened {
    // Its own are bounded.
    const PATHS: bool = false;

    fn enter(&mut self, key: &str) {
        self.depths.push(self.path.len());
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(&text::bounded_name(key));
    }

    fn leave(&mut self) {
        if let Some(length) = self.depths.pop() {
            self.path.truncate(length);
        }
    }

    fn begin_array(&mut self) {
        self.arrays.push(Array { depth: self.depths.len() + 1, ..Array::default() });
    }

    fn end_array(&mut self) {
        let Some(array) = self.arrays.pop() else { return };
        if array.numbers > 0 {
            self.put(Latest::Number(array.sum / array.numbers as f64));
        } else if !array.texts.is_empty() {
            self.put(Latest::Text(array.texts));
        }
    }

    fn number(&mut self, _: &str, number: Number<'_>) {
        let value = number.as_f64();
        // Go's circular buffer of pauses has zeros until it is full.
        let is_unused = value == 0.0 && self.path.starts_with("memstats.PauseNs.");
        match self.array() {
            Some(_) if is_unused || value.is_infinite() => {}
            Some(array) => {
                array.sum += value;
                array.numbers += 1;
            }
            // Past the floats.
            None if value.is_infinite() => self.text("", number.text()),
            None => self.put(Latest::Number(value)),
        }
    }

    fn text(&mut self, _: &str, text: &str) {
        let text = text::cut(text, text::MAX_TEXT_BYTES);
        match self.array() {
            Some(array) if array.texts.len() < text::MAX_TEXT_BYTES => {
                if !array.texts.is_empty() {
                    array.texts.push(' ');
                }
                array.texts.push_str(text);
            }
            Some(_) => {}
            None => self.put(Latest::Text(text.to_owned())),
        }
    }

    fn boolean(&mut self, value: bool) {
        if self.array().is_none() {
            self.put(Latest::Flag(value));
        }
    }

    fn null(&mut self) {
        if self.array().is_none() {
            self.put(Latest::Null);
        }
    }

    fn restart(&mut self) {
        *self = Flattened::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(document: &str) -> Vec<String> {
        let document = Flattened::of(document.as_bytes()).unwrap();
        let shown = document.variables.iter().map(|Variable { name, value, .. }| match value {
            Latest::Number(n) => format!("{name}={n}"),
            Latest::Flag(flag) => format!("{name}={flag}"),
            Latest::Text(text) => format!("{name}={text:?}"),
            Latest::Null => format!("{name}=null"),
        });
        shown.collect()
    }

    #[test]
    fn documents_become_dotted_names() {
        assert_eq!(
            read(r#"{"a":{"b":{"c":1},"d":-2.5},"x.y":true,"s":"t","n":null,"e":{},"l":[]}"#),
            ["a.b.c=1", "a.d=-2.5", "x.y=true", "s=\"t\"", "n=null"]
        );
    }

    #[test]
    fn arrays_are_means_texts_or_places() {
        assert_eq!(
            read(r#"{"m":[1,2,6],"cmdline":["/bin/x","-a"],"o":[{"k":1},{"k":2}],"z":3}"#),
            ["m=3", "cmdline=\"/bin/x -a\"", "o.0.k=1", "o.1.k=2", "z=3"]
        );
        assert_eq!(
            read(r#"{"l":[1,2.5,"three",null,true,[4]],"n":[[1,3],[]],"f":[[["x"]]]}"#),
            ["l.5=4", "l=1.75", "n.0=2", "f.0.0=\"x\""]
        );
        assert_eq!(
            read(r#"{"memstats":{"PauseNs":[4,0,0],"Alloc":1}}"#),
            ["memstats.PauseNs=4", "memstats.Alloc=1"]
        );
    }

    #[test]
    fn what_is_no_document_is_said() {
        for (document, said) in [
            ("", "empty"),
            ("[1]", "not a JSON object but an array"),
            ("<html>", "not JSON: expected a value at byte 0"),
            ("{\"a\": {\"b\": 1", "ends too early, in \"a\""),
            ("{\"a\": NaN}", "expected a value at byte 6, not \"NaN\", in \"a\""),
        ] {
            let error = Flattened::of(document.as_bytes()).unwrap_err();
            assert!(error.contains(said), "{document}: {error}");
        }
        assert!(Flattened::of(b"{\"\xff\": 1}").is_ok());
    }

    #[test]
    fn the_last_of_a_repeated_key_counts_and_what_no_float_holds_is_text() {
        assert_eq!(
            read(r#"{"a":1,"o":{"b":[1,2]},"a":3,"huge":-1e400,"l":[1e400,5]}"#),
            ["o.b=1.5", "a=3", "huge=\"-1e400\"", "l=5"]
        );
    }

    #[test]
    fn memory_is_bounded_whatever_is_read() {
        let key = "k".repeat(10_000);
        let wide: Vec<_> = (0..30_000).map(|i| format!("\"{i}\":{i}")).collect();
        let document = format!("{{\"{key}\":{{\"{key}\":{{{}}}}}}}", wide.join(","));
        let document = Flattened::of(document.as_bytes()).unwrap();
        assert_eq!(document.variables.len(), MAX_VARIABLES);
        assert_eq!(document.left_out, 10_000);
        assert!(document.variables.iter().all(|v| v.name.len() <= text::MAX_NAME_BYTES));
        let text = format!("{{\"t\": \"{}\"}}", "é".repeat(10_000));
        let Latest::Text(text) = &Flattened::of(text.as_bytes()).unwrap().variables[0].value else {
            panic!("a text")
        };
        assert_eq!(text.len(), text::MAX_TEXT_BYTES);
    }
}
