//! The files mapped as the process's code.

use std::fs;

/// A part of a file that is mapped as code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) offset: u64,
    pub(super) file: String,
    /// Hexadecimal; empty if the file has none or cannot be read.
    pub(super) build_id: String,
}

/// The most mappings of a profile.
const MAX_MAPPINGS: usize = 1000;

/// The process's code, the program's own first; `None` without `/proc`.
pub(super) fn mappings() -> Option<Vec<Mapping>> {
    let mut mappings = maps()?;
    for mapping in &mut mappings {
        mapping.build_id = build_id(&mapping.file).unwrap_or_default();
    }
    Some(mappings)
}

/// Like [`mappings`], without build ids.
pub(super) fn maps() -> Option<Vec<Mapping>> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let mut mappings: Vec<Mapping> = maps.lines().filter_map(parse).take(MAX_MAPPINGS).collect();
    let program = fs::read_link("/proc/self/exe").map(|path| path.display().to_string());
    if let Ok(program) = program {
        mappings.sort_by_key(|mapping| mapping.file != program);
    }
    Some(mappings)
}

/// Parses one line of `/proc/self/maps`, if it is code of a file: `55d0-55e0 r-xp 00001000 fe:00
/// 123   /usr/bin/program`.
fn parse(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    if !fields.next()?.contains('x') {
        return None;
    }
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let offset = hex(fields.next()?)?;
    let file = fields.nth(2)?.trim_start();
    if file.is_empty() || file.starts_with('[') {
        return None;
    }
    let (start, end, file) = (hex(start)?, hex(end)?, file.to_owned());
    Some(Mapping { start, end, offset, file, build_id: String::new() })
}

/// The GNU build id of a 64-bit ELF file in this machine's byte order.
fn build_id(file: &str) -> Option<String> {
    use std::io::{Read, Seek, SeekFrom};

    let mut file = fs::File::open(file).ok()?;
    let mut read = |at: u64, len: usize| -> Option<Vec<u8>> {
        let mut bytes = vec![0; len];
        file.seek(SeekFrom::Start(at)).ok()?;
        file.read_exact(&mut bytes).ok()?;
        Some(bytes)
    };
    let header = read(0, 64)?;
    let class_and_order = [2, if cfg!(target_endian = "little") { 1 } else { 2 }];
    if header.get(..4)? != b"\x7fELF" || header.get(4..6)? != class_and_order {
        return None;
    }
    let (table, size) = (word(&header, 32)?, usize::from(half(&header, 54)?));
    let count = half(&header, 56)?.min(128);
    for index in 0..u64::from(count) {
        let segment = read(table.checked_add(index * size as u64)?, size.min(128))?;
        const NOTE: u32 = 4;
        if int(&segment, 0)? != NOTE {
            continue;
        }
        let len = usize::try_from(word(&segment, 32)?).ok()?.min(64 << 10);
        if let Some(id) = read(word(&segment, 8)?, len).and_then(|notes| build_id_of(&notes)) {
            return Some(id);
        }
    }
    None
}

/// Finds the build id among notes. A note has the lengths of its name and content, a type, and both
/// padded to four bytes.
fn build_id_of(mut notes: &[u8]) -> Option<String> {
    loop {
        let name_len = int(notes, 0)? as usize;
        let len = int(notes, 4)? as usize;
        let kind = int(notes, 8)?;
        let name = notes.get(12..12_usize.checked_add(name_len)?)?;
        let start = 12 + name_len.checked_next_multiple_of(4)?;
        let content = notes.get(start..start.checked_add(len)?)?;
        const BUILD_ID: u32 = 3;
        if name == b"GNU\0" && kind == BUILD_ID {
            return Some(content.iter().map(|byte| format!("{byte:02x}")).collect());
        }
        notes = notes.get(start + len.checked_next_multiple_of(4)?..)?;
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn int(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let line = "7f1c2a400000-7f1c2a588000 r-xp 00022000 fe:00 1234                       /usr/lib/a b.so";
        let mapping = parse(line).unwrap();
        assert_eq!((mapping.start, mapping.offset), (0x7f1c_2a40_0000, 0x22000));
        assert_eq!(mapping.file, "/usr/lib/a b.so");
        for line in
            ["", "x", "1-2 r--p 0 fe:00 1 /a", "1-2 r-xp 0 00:00 0 [vdso]", "1-2 r-xp 0 0 0"]
        {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_program_is_mapped_first() {
        let mappings = mappings().unwrap();
        let here = this_program_is_mapped_first as fn() as usize as u64;
        let own = mappings.iter().position(|m| (m.start..m.end).contains(&here));
        assert!(own.is_some_and(|at| mappings[at].file == mappings[0].file), "{mappings:?}");
    }

    #[test]
    fn notes() {
        let note = |name: &[u8], kind: u32, content: &[u8]| {
            let mut note = Vec::new();
            note.extend((name.len() as u32).to_ne_bytes());
            note.extend((content.len() as u32).to_ne_bytes());
            note.extend(kind.to_ne_bytes());
            note.extend(name);
            note.extend(content);
            note
        };
        let mut notes = note(b"GNU\0", 5, &[1; 8]);
        notes.extend(note(b"GNU\0", 3, &[0xab, 0xcd, 0, 1]));
        assert_eq!(build_id_of(&notes).as_deref(), Some("abcd0001"));
        for len in 0..notes.len() {
            assert_eq!(build_id_of(&notes[..len]), None, "{len}");
        }
    }
}
