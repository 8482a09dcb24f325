//! The end of a variable: writes its families and caches their text.

use expvar::Number;

use super::super::cache::{Buckets, Family, Numbers};
use super::super::plan::Plan;
use super::super::samples::{Samples, Type};
use super::super::taken::Hashed;
use super::{Exposition, Keeps, State};

impl Exposition<'_> {
    /// Writes the families of the variable that ends here.
    pub(super) fn flush(&mut self) {
        let State::Planned(plan) = std::mem::replace(&mut self.state, State::Hidden) else {
            return;
        };
        self.texts.clear();
        let (start, before) = (self.output.buffer.len(), self.known.taken.len());
        let families = std::mem::take(&mut self.families);
        // Families with a full name to fall back on come last.
        let (full, bare): (Vec<&Samples>, Vec<&Samples>) =
            families.in_use().iter().partition(|family| !family.kind.ending().is_empty());
        let mut written = None;
        for family in bare.into_iter().chain(full) {
            match self.reserve(&family.name, family.kind) {
                Some((hashed, kind)) => {
                    let unit = if kind == Type::Info { "" } else { family.shown.unit };
                    let text_at = self.output.push_family(family, kind, &plan.variable, unit);
                    let took = before..self.known.taken.len();
                    let decimals = family.shown.decimals;
                    written = Some((Family { hashed, kind, decimals, took }, text_at));
                }
                None => self.left_out.add(
                    &plan.variable,
                    &format!("the name {} is that of a variable before it", family.name),
                ),
            }
        }
        if let Some(seconds) = self.cpu_seconds.take() {
            self.show_cpu_seconds(&plan.variable, seconds);
        }
        if self.remembers
            && let (Some(samples), Some((family, text_at))) = (families.single(), written)
        {
            self.keep(&plan, samples, family, (start, text_at));
        }
        self.families = families;
        self.families.clear();
    }

    /// Caches the text of a variable, which begins at `start` and whose samples begin at `text_at`.
    fn keep(
        &mut self,
        plan: &Plan,
        samples: &Samples,
        family: Family,
        (start, text_at): (usize, usize),
    ) {
        let (variable, text) = (self.at - 1, &self.output.buffer[..]);
        match self.keeps {
            Keeps::Nothing => {}
            Keeps::Number => {
                let head = &text[start..text_at + samples.value_at];
                // In text a line feed follows the value.
                let tail = text.get(text_at + samples.value_end + 1..).unwrap_or_default();
                self.known.keep(variable, [head, tail], family, Numbers::One(head.len()));
            }
            Keeps::Buckets => {
                let (header, lines) = text[start..].split_at(text_at - start);
                let unit = plan.unit.unwrap_or(self.place.leaf.unit);
                let has_created = self.shown_created().is_some();
                let (buckets, text) =
                    Buckets::cut(header, lines, has_created, unit, plan.buckets.as_deref());
                let numbers = Numbers::Buckets(Box::new(buckets));
                self.known.keep(variable, [&text[..]], family, numbers);
            }
        }
    }

    /// Writes `process_cpu_seconds_total`, which dashboards use: the sum of user and system time.
    fn show_cpu_seconds(&mut self, variable: &str, seconds: f64) {
        let (format, escaping) = (self.output.format(), self.output.media_type.escaping());
        let name = escaping.family("process_cpu_seconds".to_owned(), Type::Counter);
        let Some((_, kind)) = self.reserve(&name, Type::Counter) else { return };
        let mut samples = Samples::new(format);
        samples.begin(&name, Type::Counter, format);
        samples.help.push_str("Processor time, in the program and in the kernel, in seconds.");
        samples.push_number(&self.place.labels, Number::Float(seconds), self.shown_created());
        self.output.push_family(&samples, kind, variable, "seconds");
    }

    /// Reserves a family's names; `None` if one is in use. In OpenMetrics the bare name of a counter
    /// or an info metric can be that of a gauge: it is then written under its full name.
    fn reserve(&mut self, name: &str, kind: Type) -> Option<(Hashed, Type)> {
        let hashed = Hashed::new(name);
        if self.known.taken.take(hashed, kind) {
            return Some((hashed, kind));
        }
        let ending = kind.ending();
        let hashed = Hashed::new(&format!("{name}{ending}"));
        let alone = Type::Alone { ending };
        (!ending.is_empty() && self.known.taken.take(hashed, alone)).then_some((hashed, alone))
    }
}
