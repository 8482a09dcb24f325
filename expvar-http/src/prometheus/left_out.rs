//! Omitted variables and the reasons.

use expvar::Text;

expvar::vars! {
    /// Variables that /metrics could not show, and why.
    static LEFT_OUT: Map = "expvar.prometheus";
}

/// The most variables listed by name.
const NAMED: usize = 100;

/// What one scrape omits.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// Distinct variables and reasons.
    named: Vec<(String, String)>,
    more: u64,
    last_more: (String, String),
}

impl LeftOut {
    /// Records that a variable, or part of it, is omitted.
    pub(super) fn add(&mut self, variable: &str, reason: &str) {
        let is_same = |left: &(String, String)| left.0 == variable && left.1 == reason;
        if self.named.iter().any(is_same) || is_same(&self.last_more) {
            return;
        }
        if self.named.len() == NAMED {
            self.more += 1;
            self.last_more = (variable.to_owned(), reason.to_owned());
            return;
        }
        self.named.push((variable.to_owned(), reason.to_owned()));
        if LEFT_OUT.get(variable).is_none() && LEFT_OUT.len() < NAMED {
            LEFT_OUT.set(variable, Text::new()).set(reason);
        }
    }

    /// All variables, reasons and counts; those past the limit form one row.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        let named = self.named.iter().map(|(variable, reason)| (&**variable, &**reason, 1));
        named.chain((self.more > 0).then_some(("(other)", "too many to name", self.more)))
    }
}
