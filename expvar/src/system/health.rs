//! The library's own counts, as variables.

use crate::health;

crate::vars! {
    /// Additions to a map's key that holds another kind.
    static MISMATCHES: Func = "expvar.mismatches", counter,
        init: Func::number_of(&|| health::MISMATCHES.get());
    /// Additions that a full map recorded under (other).
    static OVERFLOWS: Func = "expvar.overflows", counter,
        init: Func::number_of(&|| health::OVERFLOWS.get());
    /// Exemplars whose labels are too long or contain invalid characters.
    static REJECTED_EXEMPLARS: Func = "expvar.rejected_exemplars", counter,
        init: Func::number_of(&|| health::REJECTED_EXEMPLARS.get());
    /// Functions that panicked or failed while they were read.
    static PANICS: Func = "expvar.panics", counter,
        init: Func::number_of(&|| health::PANICS.get());
}

#[cfg(feature = "process")]
crate::vars! {
    /// System files that could not be read or parsed.
    static UNREADABLE: Func = "expvar.unreadable", counter,
        init: Func::number_of(&|| health::UNREADABLE.get());
}
