//! Walks JSON: the value of a function, or another process's document.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::visitor::{self, Shape, Step};
use crate::info::Info;
use crate::number::Number;

/// Passes every value of a JSON text to `visitor`, in one pass and without building a tree. For the
/// document of another process, or any other. Every `enter` is followed by its `leave`, even for
/// invalid text.
///
/// ```
/// use expvar::{Info, Number, Step, Visitor};
///
/// #[derive(Default)]
/// struct Sum(f64);
///
/// impl Visitor for Sum {
///     fn enter(&mut self, _: Step<'_>, _: &Info) {}
///     fn leave(&mut self) {}
///     fn number(&mut self, number: Number) {
///         self.0 += number.to_f64();
///     }
/// }
///
/// let mut sum = Sum::default();
/// expvar::visit_json(r#"{"a": 1, "b": [2, {"c": 3.5}]}"#, &mut sum)?;
/// assert_eq!(sum.0, 6.5);
/// # Ok::<(), expvar::JsonError>(())
/// ```
///
/// # Errors
/// The text is not JSON, or nests deeper than 128 levels. Values before the error were visited.
pub fn visit_json(text: &str, visitor: &mut impl visitor::Visitor) -> Result<(), JsonError> {
    visit(text, &Info::new(), visitor)
}

/// Where and why a text is not JSON, or is nested too deeply.
///
/// ```
/// # struct Ignore;
/// # impl expvar::Visitor for Ignore {
/// #     fn enter(&mut self, _: expvar::Step<'_>, _: &expvar::Info) {}
/// #     fn leave(&mut self) {}
/// # }
/// let error = expvar::visit_json("{\"a\": }", &mut Ignore).unwrap_err();
/// assert!(error.to_string().starts_with("not JSON: "));
/// ```
#[derive(Debug)]
pub struct JsonError(serde_json::Error);

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not JSON: {}", self.0)
    }
}

impl std::error::Error for JsonError {}

/// Visits every value of a JSON text, with its metadata.
pub(crate) fn visit<V: visitor::Visitor>(
    text: &str,
    info: &Info,
    visitor: &mut V,
) -> Result<(), JsonError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let parts = Parts { info, visitor };
    parts.deserialize(&mut json).and_then(|()| json.end()).map_err(JsonError)
}

struct Parts<'p, V> {
    info: &'p Info,
    visitor: &'p mut V,
}

impl<'de, V: visitor::Visitor> DeserializeSeed<'de> for Parts<'_, V> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, V: visitor::Visitor> Visitor<'de> for Parts<'_, V> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.visitor.null();
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.visitor.boolean(value);
        Ok(())
    }

    fn visit_u64<E>(self, n: u64) -> Result<(), E> {
        self.visitor.number(Number::Unsigned(n));
        Ok(())
    }

    fn visit_i64<E>(self, n: i64) -> Result<(), E> {
        self.visitor.number(Number::Signed(n));
        Ok(())
    }

    fn visit_f64<E>(self, n: f64) -> Result<(), E> {
        self.visitor.number(Number::Float(n));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.visitor.text(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { info, visitor } = self;
        let wanted = visitor.begin(Shape::Array);
        let mut step = |index: usize| {
            if !wanted {
                return Ok(elements.next_element::<IgnoredAny>()?.is_some());
            }
            let element = Element { index, parts: Parts { info, visitor: &mut *visitor } };
            Ok(elements.next_element_seed(element)?.is_some())
        };
        let mut index = 0;
        let done = loop {
            match step(index) {
                Ok(true) => index += 1,
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        visitor.end(Shape::Array);
        done
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { info, visitor } = self;
        let wanted = visitor.begin(Shape::Structure);
        let mut step = || {
            if !wanted {
                return Ok(members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some());
            }
            let key = Key { info, visitor: &mut *visitor };
            let Some(info) = members.next_key_seed(key)? else { return Ok(false) };
            let done = members.next_value_seed(Parts { info, visitor: &mut *visitor });
            visitor.leave();
            done.map(|()| true)
        };
        let done = loop {
            match step() {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        visitor.end(Shape::Structure);
        done
    }
}

/// An array element, entered when it exists.
struct Element<'p, V> {
    index: usize,
    parts: Parts<'p, V>,
}

impl<'de, V: visitor::Visitor> DeserializeSeed<'de> for Element<'_, V> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        let Parts { info, visitor } = self.parts;
        visitor.enter(Step::Index(self.index), info);
        let done = json.deserialize_any(Parts { info, visitor: &mut *visitor });
        visitor.leave();
        done
    }
}

/// A member's name. Enters it and yields the metadata of its value.
struct Key<'p, 'i, V> {
    info: &'i Info,
    visitor: &'p mut V,
}

impl<'de, 'i, V: visitor::Visitor> DeserializeSeed<'de> for Key<'_, 'i, V> {
    type Value = &'i Info;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<&'i Info, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'i, V: visitor::Visitor> Visitor<'_> for Key<'_, 'i, V> {
    type Value = &'i Info;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<&'i Info, E> {
        let info = self.info.member(key);
        self.visitor.enter(Step::Key(key), info);
        Ok(info)
    }
}
