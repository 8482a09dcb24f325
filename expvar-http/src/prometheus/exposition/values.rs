//! The samples of the current variable's values.

use expvar::{Exemplar, Number, Recorded};

use super::super::Format;
use super::super::distribution::{Distribution, has_sum};
use super::super::names;
use super::super::samples::{Type, counts, push_label};
use super::{Exposition, Keeps, State};

impl Exposition<'_> {
    /// The index of the family that the current value belongs to. `None` if it would be a duplicate
    /// series.
    fn family(&mut self, kind: Type) -> Option<usize> {
        let State::Planned(plan) = &self.state else { return None };
        let unit = plan.unit.unwrap_or(self.place.leaf.unit);
        let (name, kind, shown) = match self.place.known_as {
            Some(known) if !known.name.is_empty() => {
                // An established name is not completed, and its number not divided.
                let named = names::Shown::from(unit);
                let shown = if named.decimals == 0 { named } else { names::PLAIN };
                (known.name.to_owned(), kind, shown)
            }
            _ => plan.family(&self.place.members, kind, unit),
        };
        let name = self.output.media_type.escaping().family(name, kind);
        let (at, is_new) = self.families.find_or_begin(&name, kind, self.output.format());
        if is_new {
            let family = &mut self.families[at];
            family.shown = shown;
            family.help.push_str(plan.help.as_deref().unwrap_or(&self.place.leaf.help));
        }
        // Members of a function's value can become one series: their names differ only in what
        // Prometheus does not allow.
        if self.place.function.is_some() && !self.families[at].is_new(&self.place.labels) {
            let name = &self.families[at].name;
            let reason = format!("several of its members would be the series {name}");
            self.leave_out_this(&reason);
            return None;
        }
        Some(at)
    }

    /// A number.
    pub(super) fn show(&mut self, number: Number) {
        let State::Planned(plan) = &self.state else { return };
        if self.place.is_beside_labels(plan) {
            return;
        }
        let counter = plan.counter.unwrap_or(self.place.leaf.counter);
        if counter && !counts(number) {
            return self.leave_out_this("a counter is below zero or not a number");
        }
        let member = self.place.members.as_str();
        if plan.variable == "process"
            && matches!(member, "_cpu_user_seconds" | "_cpu_system_seconds")
        {
            *self.cpu_seconds.get_or_insert(0.0) += number.to_f64();
        }
        let kind = if counter { Type::Counter } else { Type::Gauge };
        let Some(at) = self.family(kind) else { return };
        let created = self.shown_created();
        self.families[at].push_number(&self.place.labels, number, created);
    }

    /// When the current variable or key was registered, if that is shown and known.
    pub(super) fn shown_created(&self) -> Option<u64> {
        (self.output.shows_created && self.created > 0).then_some(self.created)
    }

    /// A text: the value of a label if one is declared for it, or a label of an info metric.
    pub(super) fn show_text(&mut self, text: &str) {
        let (place, format) = (&mut self.place, self.output.format());
        let depth = place.depth - 1;
        let State::Planned(plan) = &mut self.state else { return };
        let declared = plan.labels.declared;
        let here = match place.function {
            Some(function) if declared > function => depth + 1 == declared,
            Some(_) => false,
            None => depth < declared || (depth == 0 && plan.is_info),
        };
        if !here {
            if plan.is_info && depth > declared {
                self.texts.push((depth, place.key.clone(), text.to_owned()));
            }
            return;
        }
        let start = place.labels.len();
        match depth < declared {
            true => push_label(&mut place.labels, plan.labels.level(depth), text, format),
            false => push_label(&mut place.labels, "value", text, format),
        }
        self.show_info();
        self.place.labels.truncate(start);
    }

    /// The texts of the structure that ends here, as labels of one sample.
    pub(super) fn show_texts(&mut self) {
        let depth = self.place.depth;
        let from = self.texts.iter().rposition(|(at, ..)| *at != depth).map_or(0, |at| at + 1);
        let texts = self.texts.split_off(from);
        let State::Planned(plan) = &mut self.state else { return };
        if texts.is_empty() {
            return;
        }
        let start = self.place.labels.len();
        let mut used: Vec<(String, String)> = Vec::new();
        for (_, key, text) in texts {
            used.push((plan.labels.of_key(&key, &used), text));
        }
        for (label, text) in &used {
            push_label(&mut self.place.labels, label, text, self.output.format());
        }
        self.show_info();
        self.place.labels.truncate(start);
    }

    /// An info metric with the current labels.
    fn show_info(&mut self) {
        if let Some(at) = self.family(Type::Info) {
            let family = &mut self.families[at];
            family.shown = names::PLAIN;
            family.push_number(&self.place.labels, Number::Unsigned(1), None);
        }
    }

    /// Whether the bounds of a histogram are declared, or set by a mapping.
    fn has_bounds(&self, histogram: &mut Recorded<'_>) -> bool {
        let State::Planned(plan) = &self.state else { return false };
        plan.buckets.is_some() || !histogram.total().bounds().is_empty()
    }

    /// A histogram.
    pub(super) fn show_histogram(&mut self, mut histogram: Recorded<'_>, exemplars: &[Exemplar]) {
        let quantiles = match self.settings.quantiles.as_deref() {
            // Bounds are declared for who reads buckets.
            Some(_) if self.has_bounds(&mut histogram) => None,
            quantiles => quantiles,
        };
        let kind = if quantiles.is_some() { Type::Summary } else { Type::Histogram };
        let Some(at) = self.family(kind) else { return };
        let created = self.shown_created();
        let State::Planned(plan) = &self.state else { return };
        // Only quantiles need the recent values.
        let (total, summary) = match quantiles {
            Some(quantiles) => {
                let reading = histogram.reading();
                (&reading.total, Some((quantiles, &reading.recent)))
            }
            None => (histogram.total(), None),
        };
        let format = self.output.format();
        let is_text = format != Format::Protobuf;
        if self.place.depth == 1
            && is_text
            && summary.is_none()
            && exemplars.is_empty()
            && has_sum(total, format)
        {
            self.keeps = Keeps::Buckets;
        }
        let samples = &mut self.families[at];
        let decimals = samples.shown.decimals;
        let distribution = Distribution {
            total,
            summary,
            exemplars,
            unit: plan.unit.unwrap_or(self.place.leaf.unit),
            decimals,
            scale: 10f64.powi(decimals as i32),
            bounds: plan.buckets.as_deref(),
            created,
        };
        distribution.push(samples, &mut self.place.labels, format, &mut self.native);
    }
}
