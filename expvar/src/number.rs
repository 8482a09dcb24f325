//! One number of a walk.

/// A number as a variable holds it; integers stay exact.
///
/// ```
/// use expvar::Number;
///
/// assert_eq!(Number::Signed(-3).to_f64(), -3.0);
/// assert_eq!(Number::Unsigned(7).since(Number::Unsigned(5)), Some(Number::Unsigned(2)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An integer of at least zero. A [`Counter`](crate::Counter) is always one.
    Unsigned(u64),
    /// An integer. A [`Gauge`](crate::Gauge) is always one; a function's integers only if negative.
    Signed(i64),
    /// A floating-point number, which may be NaN or infinite.
    Float(f64),
}

impl Number {
    /// The nearest floating-point number.
    pub const fn to_f64(self) -> f64 {
        match self {
            Self::Unsigned(n) => n as f64,
            Self::Signed(n) => n as f64,
            Self::Float(n) => n,
        }
    }

    /// The growth since `before` of a number that only goes up. `None` if it fell, and so was
    /// reset, or if either is NaN.
    pub fn since(self, before: Self) -> Option<Self> {
        match (self, before) {
            (Self::Unsigned(now), Self::Unsigned(before)) => {
                now.checked_sub(before).map(Self::Unsigned)
            }
            (Self::Signed(now), Self::Signed(before)) if now >= before => {
                Some(Self::Unsigned(now.abs_diff(before)))
            }
            _ => {
                let grown = self.to_f64() - before.to_f64();
                (grown >= 0.0).then_some(Self::Float(grown))
            }
        }
    }
}

macro_rules! from {
    ($($from:ty => $kind:ident),*) => {$(
        impl From<$from> for Number {
            fn from(n: $from) -> Self {
                Self::$kind(n.into())
            }
        }
    )*};
}

from!(u64 => Unsigned, u32 => Unsigned, bool => Unsigned, i64 => Signed, i32 => Signed, f64 => Float);

#[cfg(test)]
mod tests {
    use super::Number::{self, Float, Signed, Unsigned};

    #[test]
    fn growth_is_exact_and_a_fall_is_none() {
        for (now, before, grown) in [
            (Unsigned(u64::MAX), Unsigned(1), Some(Unsigned(u64::MAX - 1))),
            (Unsigned(1), Unsigned(2), None),
            (Signed(i64::MAX), Signed(i64::MIN), Some(Unsigned(u64::MAX))),
            (Signed(-1), Signed(0), None),
            (Float(2.5), Float(1.0), Some(Float(1.5))),
            (Unsigned(3), Float(0.5), Some(Float(2.5))),
            (Float(f64::NAN), Float(1.0), None),
            (Float(1.0), Float(f64::NAN), None),
        ] {
            assert_eq!(Number::since(now, before), grown, "{now:?} {before:?}");
        }
    }
}
