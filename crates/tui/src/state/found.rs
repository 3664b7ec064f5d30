//! The events that a list shows: those that a filter takes, found piece by piece so that no frame waits for it.

use rig_replay::timeline::Filter;
use rig_replay::{Result, Timeline};

/// Number of events to check in one piece of work, by the index alone.
const BY_INDEX: usize = 100_000;

/// Number of bytes to read in one piece of work.
const BY_TEXT: usize = 4 << 20;

/// The events that a filter takes.
#[derive(Clone, Debug, Default)]
pub struct Found {
    filter: Filter,
    /// Everything is taken: nothing has to be looked for.
    all: bool,
    matches: Vec<u32>,
    looked_at: usize,
}

impl Found {
    /// Begins to look.
    pub fn new(filter: Filter) -> Found {
        let all = filter == Filter::default();
        Found { filter, all, matches: Vec::new(), looked_at: 0 }
    }

    /// Returns the filter.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Looks on for a while; says whether there is more to look at.
    ///
    /// # Errors
    /// When the recording cannot be read; what could not is passed over.
    pub fn work(&mut self, timeline: &Timeline) -> Result<bool> {
        if self.all {
            self.looked_at = timeline.len();
            return Ok(false);
        }
        let from = self.looked_at;
        let mut to = from.saturating_add(BY_INDEX).min(timeline.len());
        if self.filter.text.is_some() {
            let mut bytes = 0;
            to = (from..to)
                .find(|at| {
                    bytes += timeline.entry(*at).len;
                    bytes > BY_TEXT
                })
                .map_or(to, |at| at + 1);
        }
        self.looked_at = to;
        let text = self.filter.text.as_deref().map(str::to_lowercase);
        let by_index = Filter { text: None, ..self.filter.clone() };
        let mut matcher = by_index.matcher(timeline);
        let mut wanted = Vec::new();
        for at in from..to {
            if matcher.takes(at)? {
                wanted.push(at);
            }
        }
        let mut push = |at: usize| self.matches.extend(u32::try_from(at));
        match text {
            None => wanted.into_iter().for_each(push),
            Some(text) => timeline.visit::<rig_replay::Error>(wanted, |at, line| {
                if contains(line, &text) {
                    push(at);
                }
                Ok(())
            })?,
        }
        Ok(self.looked_at < timeline.len())
    }

    /// Returns true if there are events left to check.
    pub fn is_open(&self, timeline: &Timeline) -> bool {
        self.looked_at < timeline.len()
    }

    /// Returns the share of events checked, in percent.
    pub fn percent(&self, timeline: &Timeline) -> usize {
        if timeline.is_empty() { 100 } else { self.looked_at * 100 / timeline.len() }
    }

    /// Returns the number of events found.
    pub fn len(&self) -> usize {
        if self.all { self.looked_at } else { self.matches.len() }
    }

    /// Returns true if nothing was found so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The position of the `i`-th event found.
    pub fn get(&self, i: usize) -> Option<usize> {
        if self.all { (i < self.looked_at).then_some(i) } else { self.matches.get(i).map(|at| *at as usize) }
    }

    /// Counts the events found before position `n`.
    pub fn before(&self, n: usize) -> usize {
        if self.all { n.min(self.looked_at) } else { super::index::before(&self.matches, n) }
    }
}

/// Returns true if the line contains the text, ignoring case.
fn contains(line: &[u8], lower: &str) -> bool {
    let lower = lower.as_bytes();
    let Some(first) = lower.first() else { return true };
    if !lower.is_ascii() {
        return String::from_utf8_lossy(line).to_lowercase().contains(&String::from_utf8_lossy(lower)[..]);
    }
    let mut rest = line;
    while let Some(at) = rest.iter().position(|b| b.to_ascii_lowercase() == *first) {
        if rest.get(at..at + lower.len()).is_some_and(|part| part.eq_ignore_ascii_case(lower)) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}
