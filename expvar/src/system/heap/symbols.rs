//! Functions of return addresses, resolved once by debug information or symbol table.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::mappings::{self, Mapping};
use super::sample;
use crate::sync::Mutex;
use crate::system::alloc;

/// The most addresses whose names are cached: about 10 MiB.
const MAX_KEPT: usize = 1 << 16;
/// The time limit of one profile's name resolution.
const PATIENCE: Duration = Duration::from_secs(5);

static KEPT: Mutex<Option<HashMap<usize, Arc<[Symbol]>>>> = Mutex::new(None);

/// A function at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Symbol {
    /// Demangled, without a hash. For an unknown function, module and offset, or the address.
    pub(super) name: String,
    /// Empty if unknown.
    pub(super) file: String,
    /// 0 if unknown.
    pub(super) line: u32,
    known: bool,
    whose: Whose,
}

/// Whose code a function is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The sampler's, the hook's, or the call path into the allocator.
    Allocator,
    Standard,
    Program,
}

impl Symbol {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_known(&self) -> bool {
        self.known
    }
}

/// A position in a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Begin {
    pub(super) frame: usize,
    /// Index among the functions inlined at the frame.
    pub(super) symbol: usize,
}

/// Resolves names, within a time limit.
pub(super) struct Names {
    until: Instant,
    looked_up: bool,
    /// Whether results are cached for the next profile.
    keeps: bool,
    /// Read when the first address has no name.
    modules: Option<Vec<Mapping>>,
    /// Addresses without a name so far.
    pub(super) unknown: usize,
    /// Addresses skipped after the time limit.
    pub(super) skipped: usize,
}

impl Names {
    pub(super) fn new() -> Self {
        let until = Instant::now() + PATIENCE;
        Self { until, looked_up: false, keeps: true, modules: None, unknown: 0, skipped: 0 }
    }

    /// For addresses chosen by a client, which must not fill the cache.
    pub(super) fn of_others() -> Self {
        let mut names = Self::new();
        names.keeps = false;
        names
    }

    /// The functions at a return address: inlined ones first, then the one that contains them.
    /// Never empty.
    pub(super) fn at(&mut self, address: usize) -> Arc<[Symbol]> {
        if let Some(symbols) = KEPT.lock().as_ref().and_then(|kept| kept.get(&address)) {
            self.unknown += usize::from(!symbols[0].known);
            return Arc::clone(symbols);
        }
        if Instant::now() > self.until {
            self.skipped += 1;
            return Arc::new([self.unknown_at(address)]);
        }
        let mut symbols = look_up(address);
        if symbols.is_empty() {
            symbols.push(self.unknown_at(address));
        }
        let symbols: Arc<[Symbol]> = symbols.into();
        self.looked_up = true;
        self.unknown += usize::from(!symbols[0].known);
        let mut kept = KEPT.lock();
        let kept = kept.get_or_insert_default();
        if self.keeps && kept.len() < MAX_KEPT {
            kept.insert(address, Arc::clone(&symbols));
        }
        symbols
    }

    /// A symbol for an address without a name: `program+0x1234`, the same in each run of the
    /// program.
    fn unknown_at(&mut self, address: usize) -> Symbol {
        let modules = self.modules.get_or_insert_with(|| mappings::maps().unwrap_or_default());
        let within = |module: &&Mapping| (module.start..module.end).contains(&(address as u64));
        let name = match modules.iter().find(within) {
            Some(module) => {
                let file = module.file.rsplit('/').next().unwrap_or_default();
                format!("{file}+{:#x}", address as u64 - module.start + module.offset)
            }
            None => format!("{address:#x}"),
        };
        Symbol { name, file: String::new(), line: 0, known: false, whose: Whose::Program }
    }

    /// Comments on the names, for the profile's readers.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.unknown > 0 {
            let n = self.unknown;
            notes.push(format!(
                "{n} addresses have no name: is the program stripped? Keep its symbol table"
            ));
        }
        if self.skipped > 0 {
            let n = self.skipped;
            notes.push(format!("{n} addresses were not looked up within 5 s: ask again"));
        }
        notes
    }

    /// The start of a stack for attribution: the first frame, and the first of the functions
    /// inlined there, that is neither the allocator's nor the standard library's. For a stack of
    /// only those, the first frame outside the allocator.
    pub(super) fn begin(&mut self, frames: &[usize]) -> Begin {
        let find = |names: &mut Self, begins: fn(&Symbol) -> bool| {
            frames.iter().enumerate().find_map(|(frame, &address)| {
                let symbols = names.at(address);
                let symbol = symbols.iter().position(begins)?;
                Some(Begin { frame, symbol })
            })
        };
        let own = find(self, |symbol| symbol.whose == Whose::Program)
            .or_else(|| find(self, |symbol| symbol.whose != Whose::Allocator));
        own.unwrap_or(Begin { frame: 0, symbol: 0 })
    }

    /// The functions of a stack, innermost first, from its [`begin`](Self::begin) on.
    pub(super) fn stack(&mut self, frames: &[usize]) -> Functions {
        let begin = self.begin(frames);
        let frames = frames.get(begin.frame..).unwrap_or_default();
        Functions {
            places: frames.iter().map(|&frame| self.at(frame)).collect(),
            skipped: begin.symbol,
        }
    }

    /// The name of the innermost function outside the standard library.
    pub(super) fn site(&mut self, frames: &[usize]) -> String {
        let stack = self.stack(frames);
        let is_named =
            |symbol: &&Symbol| symbol.whose == Whose::Program && !symbol.name.starts_with('{');
        let own = stack.iter().find(is_named).or(stack.iter().next());
        own.map_or_else(|| "(unknown)".to_owned(), |symbol| symbol.name.clone())
    }
}

/// The functions of a stack.
pub(super) struct Functions {
    places: Vec<Arc<[Symbol]>>,
    /// Number of functions to skip at the first place.
    skipped: usize,
}

impl Functions {
    /// Innermost first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Symbol> {
        self.places.iter().flat_map(|place| &**place).skip(self.skipped)
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        if self.looked_up {
            // The debug information takes far more memory than the names in use.
            backtrace::clear_symbol_cache();
        }
    }
}

/// Empty if nothing is known of the address.
fn look_up(address: usize) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    backtrace::resolve(address as *mut std::ffi::c_void, |symbol| {
        let Some(name) = symbol.name() else { return };
        let file = symbol.filename();
        let mut name = format!("{name:#}");
        // Debug information has no better name for an inlined closure.
        if let Some(file) = file.and_then(Path::file_name).filter(|_| name.starts_with('{')) {
            name = format!("{name} in {}", file.display());
        }
        let file = file.map(|file| file.display().to_string()).unwrap_or_default();
        let whose = match (is_allocator(&name, &file), is_standard(&name, &file)) {
            (true, _) => Whose::Allocator,
            (false, true) => Whose::Standard,
            (false, false) => Whose::Program,
        };
        let line = symbol.lineno().unwrap_or(0);
        symbols.push(Symbol { name, file, line, known: true, whose });
    });
    symbols
}

/// Whether a function belongs to sampling, or to the path from a program to its allocator.
///
/// Debug information may have only the short name of an inlined function, so its file is checked as
/// well.
fn is_allocator(name: &str, file: &str) -> bool {
    const NAMES: [&str; 7] = [
        "backtrace::",
        "expvar::system::alloc::",
        "<expvar::system::alloc::",
        "expvar::system::heap::sample::",
        "__rust",
        "alloc::alloc::",
        "<alloc::alloc::",
    ];
    NAMES.iter().any(|start| name.starts_with(start))
        || name.contains("as core::alloc::global::GlobalAlloc>")
        || [sample::FILE, alloc::FILE].iter().any(|ours| file.ends_with(ours))
        || file.contains("/backtrace-") // the crate's folder in a registry
        || file.ends_with("/library/alloc/src/alloc.rs")
}

/// Whether a function is the standard library's.
fn is_standard(name: &str, file: &str) -> bool {
    const NAMES: [&str; 4] = ["alloc::", "core::", "std::", "hashbrown::"];
    const FOLDERS: [&str; 4] =
        ["/library/alloc/src/", "/library/core/src/", "/library/std/src/", "/hashbrown-"];
    let name = name.trim_start_matches(['<', '&']);
    NAMES.iter().any(|start| name.starts_with(start))
        || FOLDERS.iter().any(|folder| file.contains(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_found_by_an_address_in_it() {
        let mut frames = [0; 16];
        let depth = crate::system::alloc::trace(&mut frames);
        let mut names = Names::new();
        names.stack(&frames[..depth]);
        // A busy machine may take all the time for the first one.
        let mut names = Names::new();
        let stack = names.stack(&frames[..depth]);
        let own = "a_function_is_found_by_an_address_in_it";
        let functions: Vec<&str> = stack.iter().map(Symbol::name).collect();
        assert!(functions.iter().any(|function| function.contains(own)), "{functions:?}");
        assert!(names.site(&frames[..depth]).contains(own));
    }

    #[test]
    fn an_address_of_nothing_stands_for_itself() {
        let mut names = Names::new();
        assert_eq!(names.at(0x10)[0].name, "0x10");
        assert_eq!(names.unknown, 1);
        assert_eq!(names.notes().len(), 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_address_without_a_name_is_a_place_in_its_module() {
        let own = mappings::maps().unwrap().swap_remove(0);
        let file = own.file.rsplit('/').next().unwrap();
        let address = own.start as usize + 0x10;
        let expected = format!("{file}+{:#x}", own.offset + 0x10);
        assert_eq!(Names::new().unknown_at(address).name, expected);
    }
}
