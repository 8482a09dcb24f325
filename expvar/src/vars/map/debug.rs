//! A map as `Debug` prints it.

use std::fmt;

use super::Map;
use crate::var::Var;

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Nested { map: self, levels: DEBUG_LEVELS }.fmt(f)
    }
}

/// Levels of nested maps that `Debug` prints: a map may hold itself.
const DEBUG_LEVELS: u8 = 4;

struct Nested<'m> {
    map: &'m Map,
    levels: u8,
}

impl fmt::Debug for Nested<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(levels) = self.levels.checked_sub(1) else { return f.write_str("{..}") };
        let mut entries = f.debug_map();
        for (key, child) in self.map.list().iter() {
            match &child.var {
                Var::Map(map) => entries.entry(key, &Nested { map, levels }),
                var => entries.entry(key, var),
            };
        }
        entries.finish()
    }
}
