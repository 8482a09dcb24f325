//! A profile as text, in the format of Go's `?debug=1`.

use std::fmt::Write as _;

use super::profile::{Counted, Estimate, Profile};
use super::symbols::Names;

/// Writes totals, then each stack with its addresses and, below, its functions, largest first.
pub(super) fn write(profile: &Profile) -> String {
    let sum = |of: fn(&Counted) -> Estimate| {
        profile.stacks.iter().map(of).fold(Estimate::default(), |sum, one| Estimate {
            objects: sum.objects + one.objects,
            bytes: sum.bytes + one.bytes,
        })
    };
    let (live, allocated) = (sum(|stack| stack.live), sum(|stack| stack.allocated));
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "heap profile: {} @ heap/{}", row(live, allocated), profile.rate);
    let mut stacks: Vec<&Counted> = profile.stacks.iter().collect();
    stacks.sort_by_key(|stack| std::cmp::Reverse((stack.live.bytes, stack.allocated.bytes)));
    let mut names = Names::new();
    for stack in stacks {
        let _ = write!(out, "{} @", row(stack.live, stack.allocated));
        let begin = names.begin(&stack.frames);
        let frames = stack.frames.get(begin.frame..).unwrap_or_default();
        for frame in frames {
            let _ = write!(out, " {frame:#x}");
        }
        out.push('\n');
        for (at, &frame) in frames.iter().enumerate() {
            let inlined = if at == 0 { begin.symbol } else { 0 };
            for symbol in names.at(frame).iter().skip(inlined) {
                let (name, file, line) = (&symbol.name, &symbol.file, symbol.line);
                let _ = writeln!(out, "#\t{frame:#x}\t{name}\t{file}:{line}");
            }
        }
        out.push('\n');
    }
    if profile.dropped > 0 {
        let _ = writeln!(out, "# {} samples were dropped", profile.dropped);
    }
    for note in names.notes() {
        let _ = writeln!(out, "# {note}");
    }
    out
}

/// Live blocks and bytes, and in brackets all that were allocated.
fn row(live: Estimate, allocated: Estimate) -> String {
    let (o, b) = (allocated.objects, allocated.bytes);
    format!("{}: {} [{o}: {b}]", live.objects, live.bytes)
}
