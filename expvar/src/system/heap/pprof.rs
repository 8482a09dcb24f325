//! pprof's format: `profile.proto` of github.com/google/pprof.

use std::collections::HashMap;
use std::time::SystemTime;

use super::mappings::mappings;
use super::profile::{Profile, SampleType};
use super::symbols::Names;
use crate::protobuf::Message;

/// Field numbers of `Profile`.
mod field {
    pub(super) const SAMPLE_TYPE: u32 = 1;
    pub(super) const SAMPLE: u32 = 2;
    pub(super) const MAPPING: u32 = 3;
    pub(super) const LOCATION: u32 = 4;
    pub(super) const FUNCTION: u32 = 5;
    pub(super) const STRING: u32 = 6;
    pub(super) const TIME_NANOS: u32 = 9;
    pub(super) const DURATION_NANOS: u32 = 10;
    pub(super) const PERIOD_TYPE: u32 = 11;
    pub(super) const PERIOD: u32 = 12;
    pub(super) const COMMENT: u32 = 13;
    pub(super) const DEFAULT_SAMPLE_TYPE: u32 = 14;
}

/// The profile's strings, each once; the first is empty.
struct Strings(HashMap<String, u64>);

impl Strings {
    fn new() -> Self {
        Self(HashMap::from([(String::new(), 0)]))
    }

    fn at(&mut self, text: &str) -> u64 {
        if let Some(&at) = self.0.get(text) {
            return at;
        }
        let at = self.0.len() as u64;
        self.0.insert(text.to_owned(), at);
        at
    }
}

/// Encodes the profile, with the names of its functions.
pub(super) fn encode(profile: &Profile, default: SampleType) -> Vec<u8> {
    let mut out = Message::default();
    let mut strings = Strings::new();
    let value_type = |strings: &mut Strings, kind: &str, unit: &str| {
        let mut message = Message::default();
        message.varint(1, strings.at(kind));
        message.varint(2, strings.at(unit));
        message
    };
    let types = [
        ("alloc_objects", "count"),
        ("alloc_space", "bytes"),
        ("inuse_objects", "count"),
        ("inuse_space", "bytes"),
    ];
    for (kind, unit) in types {
        out.message(field::SAMPLE_TYPE, &value_type(&mut strings, kind, unit));
    }
    let mut places = Places::new();
    for stack in &profile.stacks {
        let mut sample = Message::default();
        sample.packed(1, places.stack(&stack.frames, &mut strings));
        let (live, allocated) = (stack.live, stack.allocated);
        let values = [allocated.objects, allocated.bytes, live.objects, live.bytes];
        // Two's complement: an int64 of pprof may be negative.
        sample.packed(2, values.map(|value| value as u64));
        out.message(field::SAMPLE, &sample);
    }
    let comments = places.write(&mut out, &mut strings);
    out.varint(field::TIME_NANOS, nanos(profile.at));
    if let Some(duration) = profile.duration {
        out.varint(field::DURATION_NANOS, u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }
    out.message(field::PERIOD_TYPE, &value_type(&mut strings, "space", "bytes"));
    out.varint(field::PERIOD, profile.rate as u64);
    let dropped = match profile.dropped {
        0 => None,
        n => Some(format!("{n} samples were dropped (131,072 blocks and 16,384 stacks are kept)")),
    };
    for comment in comments.into_iter().chain(dropped) {
        out.varint(field::COMMENT, strings.at(&comment));
    }
    let default = match default {
        SampleType::InuseSpace => "inuse_space",
        SampleType::AllocSpace => "alloc_space",
    };
    out.varint(field::DEFAULT_SAMPLE_TYPE, strings.at(default));
    let mut ordered: Vec<(String, u64)> = strings.0.into_iter().collect();
    ordered.sort_by_key(|&(_, at)| at);
    for (text, _) in ordered {
        out.text(field::STRING, &text);
    }
    out.into_bytes()
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The addresses and functions of a profile's samples.
struct Places {
    names: Names,
    /// Numbers, from 1, by address and by how many of the functions inlined there are skipped.
    locations: HashMap<(usize, usize), u64>,
    /// Numbers, from 1, by name and file, both as indices of strings.
    functions: HashMap<(u64, u64), u64>,
    /// The lines of each location, innermost first: function and line.
    lines: Vec<(usize, Vec<(u64, u32)>)>,
}

impl Places {
    fn new() -> Self {
        let (locations, functions) = Default::default();
        Self { names: Names::new(), locations, functions, lines: Vec::new() }
    }

    /// The locations of a stack, innermost first, starting at the program's own code.
    fn stack(&mut self, frames: &[usize], strings: &mut Strings) -> Vec<u64> {
        let begin = self.names.begin(frames);
        let mut left_out = begin.symbol;
        let frames = frames.get(begin.frame..).unwrap_or_default();
        let location = |&frame| self.location(frame, std::mem::take(&mut left_out), strings);
        frames.iter().map(location).collect()
    }

    fn location(&mut self, address: usize, left_out: usize, strings: &mut Strings) -> u64 {
        if let Some(&id) = self.locations.get(&(address, left_out)) {
            return id;
        }
        let mut lines = Vec::new();
        let symbols = self.names.at(address);
        for symbol in symbols.iter().skip(left_out).filter(|symbol| symbol.is_known()) {
            let key = (strings.at(&symbol.name), strings.at(&symbol.file));
            let next = self.functions.len() as u64 + 1;
            lines.push((*self.functions.entry(key).or_insert(next), symbol.line));
        }
        self.lines.push((address, lines));
        let id = self.lines.len() as u64;
        self.locations.insert((address, left_out), id);
        id
    }

    /// Writes mappings, locations and functions; returns comments for the profile's readers.
    fn write(self, out: &mut Message, strings: &mut Strings) -> Vec<String> {
        let mut comments = Vec::new();
        let mapped = mappings();
        if mapped.is_none() {
            comments.push("/proc/self/maps could not be read: no modules".to_owned());
        }
        let mappings = mapped.unwrap_or_default();
        for (mapping, id) in mappings.iter().zip(1..) {
            let mut message = Message::default();
            message.varint(1, id);
            message.varint(2, mapping.start);
            message.varint(3, mapping.end);
            message.varint(4, mapping.offset);
            message.varint(5, strings.at(&mapping.file));
            message.varint(6, strings.at(&mapping.build_id));
            // has_functions, has_filenames, has_line_numbers, has_inline_frames: prevents readers
            // from resolving names again. For a stripped program they may.
            if !self.functions.is_empty() {
                (7..=10).for_each(|field| message.varint(field, 1));
            }
            out.message(field::MAPPING, &message);
        }
        for ((address, lines), id) in self.lines.iter().zip(1..) {
            let address = *address as u64;
            let mut message = Message::default();
            message.varint(1, id);
            let within = |m: &super::mappings::Mapping| (m.start..m.end).contains(&address);
            if let Some(at) = mappings.iter().position(within) {
                message.varint(2, at as u64 + 1);
            }
            message.varint(3, address);
            for &(function, line) in lines {
                let mut entry = Message::default();
                entry.varint(1, function);
                entry.varint(2, line.into());
                message.message(4, &entry);
            }
            out.message(field::LOCATION, &message);
        }
        let mut functions: Vec<_> = self.functions.iter().collect();
        functions.sort_by_key(|&(_, &id)| id);
        for (&(name, file), &id) in functions {
            let mut message = Message::default();
            message.varint(1, id);
            message.varint(2, name);
            // Without a system name (3): if it were the same, readers would take `<…>` for C++ and
            // cut it.
            message.varint(4, file);
            out.message(field::FUNCTION, &message);
        }
        comments.extend(self.names.notes());
        // The first is the program's own.
        if mappings.first().is_some_and(|mapping| mapping.build_id.is_empty()) {
            comments.push("the program has no build id: link it with --build-id".to_owned());
        }
        comments
    }
}
