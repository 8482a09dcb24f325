//! Kinds of variables that a map or a family can make.

use std::sync::Arc;

use crate::family::{Shared, Slot, Twin};
use crate::var::{Handle, Owner, Publish, Var};
use crate::{Counter, FloatGauge, Gauge, Histogram, Map, Text};

/// A kind of variable that a [`Map`] or a [`Family`](crate::Family) makes at first use.
///
/// ```
/// use expvar::{Counter, Family, Gauge, Member};
///
/// fn by_success<V: Member>() -> Family<V, (bool,)> {
///     Family::new()
/// }
///
/// by_success::<Counter>().with((true,)).inc();
/// by_success::<Gauge>().with((false,)).set(3);
/// ```
pub trait Member: Publish<Handle = Arc<Self>> + Default + Send + Sync + 'static {
    #[doc(hidden)]
    type Slot: Slot<Self>;

    #[doc(hidden)]
    fn of(var: &Var) -> Option<&Arc<Self>>;
}

macro_rules! members {
    ($($kind:ident by $slot:ty),*) => {$(
        impl Member for $kind {
            type Slot = $slot;

            fn of(var: &Var) -> Option<&Arc<Self>> {
                match var {
                    Var::$kind(Handle(Owner::Shared(member))) => Some(member),
                    _ => None,
                }
            }
        }
    )*};
}

members!(
    Counter by Twin,
    Gauge by Shared<Self>,
    FloatGauge by Shared<Self>,
    Histogram by Shared<Self>,
    Text by Shared<Self>,
    Map by Shared<Self>
);
