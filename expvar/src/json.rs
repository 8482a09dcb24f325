//! JSON as Go's `expvar` writes it, to the byte.

#[cfg(feature = "serde")]
pub(crate) mod compact;
mod integer;
mod number;
mod string;

pub(crate) use integer::few_digits;
pub use integer::{put_unsigned, write_signed, write_unsigned};
pub use number::write_float;
pub(crate) use number::write_plain;
pub(crate) use string::write_escaped;
pub use string::write_string;
