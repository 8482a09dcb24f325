//! The families of the current variable.

use std::collections::HashMap;

use super::Format;
use super::samples::{Samples, Type};

/// Families in order of first use; their memory is reused.
#[derive(Debug, Default)]
pub(super) struct Families {
    all: Vec<Samples>,
    used: usize,
    /// Indices by name, once there are many.
    places: HashMap<String, Vec<usize>>,
}

/// Up to this many are searched linearly.
const FEW: usize = 8;

impl Families {
    /// The family of that name and kind, and whether it is new.
    pub(super) fn find_or_begin(
        &mut self,
        name: &str,
        kind: Type,
        format: Format,
    ) -> (usize, bool) {
        let same = |family: &Samples| family.kind == kind && family.name == name;
        let used = &self.all[..self.used];
        let found = if self.used <= FEW {
            used.iter().position(same)
        } else {
            if self.places.is_empty() {
                for (at, family) in used.iter().enumerate() {
                    self.places.entry(family.name.clone()).or_default().push(at);
                }
            }
            let places = self.places.get(name).map_or(&[][..], |places| places);
            places.iter().copied().find(|&at| same(&used[at]))
        };
        if let Some(at) = found {
            return (at, false);
        }
        let at = self.used;
        self.used += 1;
        if at == self.all.len() {
            self.all.push(Samples::new(format));
        }
        if !self.places.is_empty() {
            self.places.entry(name.to_owned()).or_default().push(at);
        }
        self.all[at].begin(name, kind, format);
        (at, true)
    }

    /// The only family, if there is one.
    pub(super) fn single(&self) -> Option<&Samples> {
        (self.used == 1).then(|| &self.all[0])
    }

    pub(super) fn in_use(&self) -> &[Samples] {
        &self.all[..self.used]
    }

    pub(super) fn clear(&mut self) {
        self.used = 0;
        self.places.clear();
    }
}

impl std::ops::Index<usize> for Families {
    type Output = Samples;

    fn index(&self, at: usize) -> &Samples {
        &self.all[at]
    }
}

impl std::ops::IndexMut<usize> for Families {
    fn index_mut(&mut self, at: usize) -> &mut Samples {
        &mut self.all[at]
    }
}
