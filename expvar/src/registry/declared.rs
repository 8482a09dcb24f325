//! Collection of declared statics.
//!
//! The linker and the loader list them: the program's before `main`, crate by crate, a library's
//! when it is loaded. Each use of the global registry collects new ones. Recording does not wait
//! for that, and earlier recordings are kept.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Release};

use super::{PublishError, Registry};
use crate::Text;
use crate::join::{Rest, join};
use crate::spec::Spec;
use crate::sync::Mutex;
use crate::var::{Handle, Owner, Var};

crate::vars! {
    /// Variables that are not shown, or not as declared, by name, with the reason.
    static CLASHES: Map = "expvar.clashes";
}

/// A static declared by [`vars!`](crate::vars).
#[doc(hidden)]
#[derive(Debug)]
pub struct Declaration {
    spec: Spec,
    var: Var,
    place: Place,
}

/// The location of a static: file, line of its `vars!`, and path.
type Place = (&'static str, u32, &'static str);

impl Declaration {
    #[doc(hidden)]
    pub const fn new(spec: Spec, var: Var, place: Place) -> Self {
        Self { spec, var, place }
    }

    /// Whether it is this library's own; those take precedence.
    fn is_own(&self) -> bool {
        self.place.2.starts_with("expvar::")
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

inventory::collect!(Declaration);

/// The newest declaration at the last collection; the list grows at its front.
static NEWEST: AtomicUsize = AtomicUsize::new(0);
static COLLECTED: Mutex<Collected> =
    Mutex::new(Collected { holders: BTreeMap::new(), rests: Vec::new() });
/// The number of statics that may have recorded before they were merged.
static RESTS: AtomicUsize = AtomicUsize::new(0);

struct Collected {
    /// The declaration shown under each name.
    holders: BTreeMap<&'static str, &'static Declaration>,
    /// What statics recorded before they were merged, still to be added.
    rests: Vec<Rest>,
}

/// Publishes the statics declared since the last call.
pub(super) fn collect(registry: &Registry) {
    let newest = inventory::iter::<Declaration>.into_iter().next().map_or(0, Declaration::address);
    // Pairs with the release in `collect_new`: a thread that sees the newest declaration collected
    // sees all of them published.
    if NEWEST.load(Acquire) != newest || RESTS.load(Acquire) > 0 {
        collect_new(registry);
    }
}

#[cold]
#[inline(never)]
fn collect_new(registry: &Registry) {
    // No foreign code runs under this lock, only statics and their own storage.
    let mut collected = COLLECTED.lock();
    let known = NEWEST.load(Acquire);
    let all = inventory::iter::<Declaration>.into_iter();
    let mut new: Vec<&'static Declaration> =
        all.take_while(|declaration| declaration.address() != known).collect();
    let newest = new.first().map_or(known, |declaration| declaration.address());
    // The linker's order is arbitrary; source order is not.
    new.sort_by_key(|declaration| {
        (declaration.spec.name, !declaration.is_own(), declaration.place)
    });
    for declaration in new {
        collected.publish(registry, declaration);
    }
    collected.rests.iter_mut().for_each(Rest::add);
    RESTS.store(collected.rests.len(), Release);
    NEWEST.store(newest, Release);
}

impl Collected {
    fn publish(&mut self, registry: &Registry, declaration: &'static Declaration) {
        let Declaration { spec, var, .. } = declaration;
        let Err(error) = registry.publish_declared(spec.name, var.clone(), spec.info()) else {
            self.holders.insert(spec.name, declaration);
            if let Var::Counter(Handle(Owner::Static(counter))) = var {
                counter.claim();
            }
            return;
        };
        let holder = self.holders.get(spec.name).copied();
        let difference = match (holder, error.existing()) {
            (Some(holder), Some(first)) if first.kind() == var.kind() => {
                holder.spec.difference(spec)
            }
            _ => None,
        };
        let first = error.existing().filter(|_| difference.is_none());
        match first.and_then(|first| join(var, first)) {
            Some(rests) => self.rests.extend(rests),
            None => report_clash(&error, declaration, holder, difference),
        }
    }
}

fn report_clash(
    error: &PublishError,
    late: &Declaration,
    holder: Option<&Declaration>,
    difference: Option<String>,
) {
    let place = |declaration: &Declaration| {
        let (file, line, path) = declaration.place;
        format!("{} {path} at {file}:{line}", declaration.var.kind())
    };
    let mut text = match (holder, error.existing()) {
        (Some(holder), _) if !holder.is_own() => {
            format!("{} is shown, {} is not", place(holder), place(late))
        }
        (Some(_), Some(own)) => {
            format!("a {} of the library's own is shown, {} is not", own.kind(), place(late))
        }
        (None, Some(other)) => {
            format!("a {} published at run time is shown, {} is not", other.kind(), place(late))
        }
        (_, None) => format!("{} is not shown: {error}", place(late)),
    };
    if let Some(difference) = difference {
        text.push_str(": ");
        text.push_str(&difference);
    }
    CLASHES.set(late.spec.name, Text::new()).set(text);
}

/// Reports a conflict over a name, for the first thousand names.
#[doc(hidden)]
pub fn report_conflict(name: &str, text: String) {
    let known = CLASHES.get(name).is_some();
    if !known && CLASHES.len() < 1000 {
        CLASHES.set(name, Text::new()).set(text);
    }
}
