//! One pass over a JSON text, without building it in memory.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Sees what a JSON text holds, in its order: see [`walk`].
pub trait Leaves {
    /// An object's member or an array's element begins.
    fn enter(&mut self, step: Step<'_>);
    /// It ends.
    fn leave(&mut self);
    /// A value that is neither an object nor an array, at the place that was entered.
    fn leaf(&mut self, leaf: Leaf<'_>);
}

/// One step of the path to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// Into an object's member.
    Key(&'a str),
    /// Into an array's element, from 0.
    Index(usize),
}

/// A value that is neither an object nor an array.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Leaf<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer of at least zero that fits.
    Unsigned(u64),
    /// A negative integer that fits.
    Signed(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(&'a str),
}

/// Where and why a text is not JSON, or nests deeper than 128 levels.
#[derive(Debug)]
pub struct Error(serde_json::Error);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not JSON: {}", self.0)
    }
}

impl std::error::Error for Error {}

/// Shows every value of a JSON text to `leaves`, in one pass and without a tree.
///
/// # Errors
/// The text is not JSON, or nests deeper than 128 levels. What came before was shown.
pub fn walk(text: &str, leaves: &mut impl Leaves) -> Result<(), Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    Walk(leaves).deserialize(&mut json).and_then(|()| json.end()).map_err(Error)
}

struct Walk<'l, L>(&'l mut L);

impl<'de, L: Leaves> DeserializeSeed<'de> for Walk<'_, L> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, L: Leaves> Visitor<'de> for Walk<'_, L> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.leaf(Leaf::Null);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.0.leaf(Leaf::Bool(value));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.0.leaf(Leaf::Unsigned(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.0.leaf(Leaf::Signed(value));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.0.leaf(Leaf::Float(value));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.0.leaf(Leaf::Text(value));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        struct Element<'l, L>(&'l mut L, usize);

        impl<'de, L: Leaves> DeserializeSeed<'de> for Element<'_, L> {
            type Value = ();

            fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
                self.0.enter(Step::Index(self.1));
                let done = json.deserialize_any(Walk(self.0));
                self.0.leave();
                done
            }
        }

        let mut index = 0;
        while elements.next_element_seed(Element(self.0, index))?.is_some() {
            index += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        struct Key<'l, L>(&'l mut L);

        impl<'de, L: Leaves> DeserializeSeed<'de> for Key<'_, L> {
            type Value = ();

            fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
                json.deserialize_str(self)
            }
        }

        impl<L: Leaves> Visitor<'_> for Key<'_, L> {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E>(self, key: &str) -> Result<(), E> {
                self.0.enter(Step::Key(key));
                Ok(())
            }
        }

        while members.next_key_seed(Key(self.0))?.is_some() {
            members.next_value_seed(Walk(self.0))?;
            self.0.leave();
        }
        Ok(())
    }
}
