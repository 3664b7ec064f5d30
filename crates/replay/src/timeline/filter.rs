//! Which events are wanted, decided by the index wherever it can be.

use super::names::NONE;
use super::scan::FAILURE;
use super::{Slot, Timeline};
use crate::Result;

/// What an event has to be; what is left out does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Types, separated by commas; a `*` stands for the rest of a name.
    pub types: Option<String>,
    /// About this service, or traffic from or to it.
    pub service: Option<String>,
    /// Only failures.
    pub failures: bool,
    /// The line has this text in it, as it is written there.
    pub text: Option<String>,
}

impl Filter {
    /// Only failures.
    pub fn failures() -> Filter {
        Filter { failures: true, ..Filter::default() }
    }

    /// Whether a type is among those that are wanted.
    pub fn takes_type(&self, name: &str) -> bool {
        self.types.as_deref().is_none_or(|types| {
            types.split(',').any(|wanted| match wanted.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == wanted,
            })
        })
    }

    /// The filter for one timeline as it is now; to be made anew after it grew.
    pub fn matcher<'a>(&'a self, timeline: &'a Timeline) -> Matcher<'a> {
        let service = self.service.as_deref().map(|name| timeline.names.find(name));
        let touches = |pair: &(u32, u32)| service.flatten().is_some_and(|id| pair.0 == id || pair.1 == id);
        Matcher {
            timeline,
            types: timeline.types.all().iter().map(|name| self.takes_type(name)).collect(),
            edges: timeline.edges.all().iter().map(touches).collect(),
            service,
            failures: self.failures,
            text: self.text.as_deref().filter(|text| !text.is_empty()).map(memchr::memmem::Finder::new),
            line: Vec::new(),
        }
    }
}

/// A filter made ready for a timeline.
#[derive(Debug)]
pub struct Matcher<'a> {
    timeline: &'a Timeline,
    types: Vec<bool>,
    edges: Vec<bool>,
    /// The service that is wanted; `Some(None)` never came up.
    service: Option<Option<u32>>,
    failures: bool,
    text: Option<memchr::memmem::Finder<'a>>,
    line: Vec<u8>,
}

impl Matcher<'_> {
    /// Whether the event at a position is wanted.
    ///
    /// # Errors
    /// [`Error::Read`](crate::Error::Read), where a text is looked for.
    pub fn takes(&mut self, at: usize) -> Result<bool> {
        let Some(slot) = self.timeline.slots.get(at) else { return Ok(false) };
        if !self.takes_slot(slot) {
            return Ok(false);
        }
        let Some(text) = &self.text else { return Ok(true) };
        self.timeline.read_line(at, &mut self.line)?;
        Ok(text.find(&self.line).is_some())
    }

    fn takes_slot(&self, slot: &Slot) -> bool {
        // A type beyond all bounds is only taken where any is.
        let by_type = self.types.get(usize::from(slot.type_id)).copied().unwrap_or(false);
        let by_service = match self.service {
            None => true,
            Some(None) => false,
            Some(Some(id)) => {
                slot.service == id || (slot.edge != NONE && self.edges.get(slot.edge as usize) == Some(&true))
            }
        };
        by_type && by_service && (!self.failures || slot.flags & FAILURE != 0)
    }
}
