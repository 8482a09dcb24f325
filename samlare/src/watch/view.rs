//! The state of the screen, and keys.

use std::borrow::Cow;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::pick;
use super::series::Series;
use super::service::{Service, State};
use super::units::Unit;
use super::wanted::Wanted;

/// Ranks are updated at every tenth poll only: rows that move cannot be read.
const RANK_EVERY: u64 = 10;

/// The longest filter, in characters.
const MAX_FILTER: usize = 100;

/// The state that is drawn.
pub struct View {
    /// The services as shown, in the order of the command line.
    pub services: Vec<Service>,
    /// Seconds of the watch.
    pub now: f64,
    /// The interval of polls in seconds.
    pub interval: f64,
    /// The selected service.
    pub selected: usize,
    /// Whether only the selected service is shown.
    pub zoomed: bool,
    /// The row of its selected variable.
    pub row: usize,
    /// Only names that contain all of its words are shown.
    pub filter: String,
    /// Whether keys edit the filter.
    pub typing: bool,
    /// Whether to show all variables rather than the important ones.
    pub everything: bool,
    /// Whether to draw counters as rates.
    pub rates: bool,
    /// Whether to show the help.
    pub help: bool,
    /// Whether to use colours.
    pub color: bool,
    wanted: Vec<Wanted>,
    ranked: Vec<Ranked>,
    /// The current services, while the screen is paused.
    behind: Option<Vec<Service>>,
}

/// The order of one service's variables.
#[derive(Default)]
struct Ranked {
    names: Vec<String>,
    /// The number of variables that were ranked.
    of: usize,
    at_poll: u64,
}

/// One line: a variable of a service.
pub struct Row<'a> {
    /// Its name, not sanitized.
    pub name: Cow<'a, str>,
    /// Its values; `None` if it was never seen.
    pub series: Option<&'a Series>,
    /// The unit of the values.
    pub unit: Unit,
}

/// What the caller must do after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Draw again.
    Draw,
    /// Restore the terminal and stop the process until the shell resumes it.
    Suspend,
    /// Exit.
    Quit,
}

impl View {
    /// The first screen.
    pub fn new(services: Vec<Service>, wanted: Vec<Wanted>, interval: f64, color: bool) -> View {
        let ranked = services.iter().map(|_| Ranked::default()).collect();
        View {
            zoomed: services.len() == 1,
            services,
            now: 0.0,
            interval,
            selected: 0,
            row: 0,
            filter: String::new(),
            typing: false,
            everything: false,
            // With `-vars` values are shown by default, as expvarmon does.
            rates: wanted.is_empty(),
            help: false,
            color,
            wanted,
            ranked,
            behind: None,
        }
    }

    /// Updates with the response of a service.
    pub fn take(&mut self, service: usize, now: f64, answer: Result<&[u8], String>) {
        if let Some(services) = &mut self.behind {
            if let Some(known) = services.get_mut(service) {
                known.take(now, answer);
            }
            return;
        }
        self.now = self.now.max(now);
        let Some(known) = self.services.get_mut(service) else { return };
        known.take(now, answer);
        let ranked = &mut self.ranked[service];
        let due = known.polls() >= ranked.at_poll + RANK_EVERY || known.polls() <= 4;
        if due || ranked.of != known.len() {
            ranked.names = pick::ranked(known);
            ranked.of = known.len();
            ranked.at_poll = known.polls();
        }
    }

    /// Updates with the declarations of a service.
    pub fn learn(&mut self, service: usize, metrics: &str) {
        let services = self.behind.as_mut().unwrap_or(&mut self.services);
        if let Some(known) = services.get_mut(service) {
            known.learn(metrics);
        }
    }

    /// Whether the screen is paused. Responses are still recorded meanwhile.
    pub fn paused(&self) -> bool {
        self.behind.is_some()
    }

    fn pause(&mut self) {
        match self.behind.take() {
            Some(services) => self.services = services,
            None => self.behind = Some(self.services.clone()),
        }
    }

    /// Whether variables were named on the command line.
    pub fn named(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Whether the screen shows an age, which changes without a response.
    pub fn ages(&self) -> bool {
        if self.paused() {
            return false;
        }
        let ages = |s: &Service| s.restarted_at.is_some() || s.state != State::Up;
        self.services.iter().any(ages)
    }

    /// How many services are down.
    pub fn down(&self) -> usize {
        let down = |s: &&Service| matches!(s.state, State::Down { .. });
        self.services.iter().filter(down).count()
    }

    /// The variables of a service to show, in order.
    pub fn rows(&self, service: usize) -> Vec<Row<'_>> {
        let known = &self.services[service];
        let words: Vec<String> = self.filter.split_whitespace().map(str::to_lowercase).collect();
        if !words.is_empty() || self.everything {
            let found = known.all().filter(|(name, _)| {
                let name = name.to_lowercase();
                words.iter().all(|word| name.contains(word.as_str()))
            });
            // Go's 61 size classes of three numbers each come last.
            let (last, first): (Vec<_>, Vec<_>) =
                found.partition(|(name, _)| name.contains(".BySize."));
            let all = first.into_iter().chain(last);
            return all.map(|(name, series)| self.row_of(name.into(), Some(series))).collect();
        }
        if !self.wanted.is_empty() {
            let rows = self.wanted.iter();
            return rows
                .map(|wanted| self.row_of((&wanted.name).into(), known.get(&wanted.name)))
                .collect();
        }
        let rows = self.ranked[service].names.iter();
        rows.filter_map(|name| Some(self.row_of(name.into(), Some(known.get(name)?)))).collect()
    }

    fn row_of<'a>(&self, name: Cow<'a, str>, series: Option<&'a Series>) -> Row<'a> {
        let wanted = self.wanted.iter().find(|wanted| wanted.name == name);
        let unit = wanted.and_then(|wanted| wanted.unit);
        let unit = unit.unwrap_or_else(|| series.map_or(Unit::Number, |s| s.unit));
        Row { name, series, unit }
    }

    /// Handles a key.
    pub fn key(&mut self, key: KeyEvent) -> Asked {
        if key.kind == KeyEventKind::Release {
            return Asked::Draw;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return Asked::Quit;
        }
        if control && key.code == KeyCode::Char('z') {
            return Asked::Suspend;
        }
        if self.typing {
            self.type_filter(key.code, control);
            return Asked::Draw;
        }
        if self.help {
            self.help = false;
            return if key.code == KeyCode::Char('q') { Asked::Quit } else { Asked::Draw };
        }
        let count = self.services.len();
        match key.code {
            KeyCode::Char('q') => return Asked::Quit,
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.help = true,
            KeyCode::Char('p' | ' ') => self.pause(),
            KeyCode::Char('r') => self.rates = !self.rates,
            KeyCode::Char('a') => {
                self.everything = !self.everything;
                self.row = 0;
            }
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Tab | KeyCode::Right | KeyCode::Char('n' | 'l') => self.select(1),
            KeyCode::BackTab | KeyCode::Left | KeyCode::Char('N') => self.select(count - 1),
            KeyCode::Enter => self.zoomed = true,
            KeyCode::Esc if !self.filter.is_empty() => {
                self.filter.clear();
                self.row = 0;
            }
            KeyCode::Esc | KeyCode::Backspace => self.zoomed = count == 1,
            KeyCode::Down | KeyCode::Char('j') if !self.zoomed => self.select(1),
            KeyCode::Up | KeyCode::Char('k') if !self.zoomed => self.select(count - 1),
            KeyCode::Down | KeyCode::Char('j') => self.move_row(1),
            KeyCode::Up | KeyCode::Char('k') => self.move_row(-1),
            KeyCode::PageDown => self.move_row(10),
            KeyCode::PageUp => self.move_row(-10),
            KeyCode::Home | KeyCode::Char('g') => self.row = 0,
            KeyCode::End | KeyCode::Char('G') => self.move_row(isize::MAX),
            _ => {}
        }
        Asked::Draw
    }

    fn type_filter(&mut self, code: KeyCode, control: bool) {
        match code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Char('u') if control => self.filter.clear(),
            KeyCode::Char(c) if !control && self.filter.chars().count() < MAX_FILTER => {
                self.filter.push(c);
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            _ => {}
        }
        self.row = 0;
    }

    fn select(&mut self, by: usize) {
        self.selected = (self.selected + by) % self.services.len().max(1);
        self.row = 0;
    }

    fn move_row(&mut self, by: isize) {
        let last = self.rows(self.selected).len().saturating_sub(1);
        self.row = self.row.saturating_add_signed(by).min(last);
    }
}
