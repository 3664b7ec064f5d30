//! Since when each field of a configuration is what it is: found by going back from change to change, piece by piece.
//!
//! The state of a service says since which event its config is as it is; the state before that event says the same of the
//! config before. So the way back leads over changes only, each a seek, and ends when every field has an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rig_event::{FlatConfig, Seq, Timestamp};
use rig_replay::timeline::Cursor;
use rig_replay::{Result, Service, Timeline};
use serde_json::Value;

/// Maximum number of changes to read; fields not found by then stay without an answer.
const MAX_CHANGES: usize = 20_000;

/// Number of histories that are kept.
const KEPT: usize = 16;

/// The event that made a field what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// Its seq.
    pub seq: Seq,
    /// Its time.
    pub ts: Timestamp,
}

/// The history of one config of one service.
#[derive(Clone, Debug)]
pub struct History {
    service: String,
    config_seq: Seq,
    config: Arc<FlatConfig>,
    /// Fields that the last change touched, with what they were before; `None`: they were not there.
    pub changed: BTreeMap<String, Option<Value>>,
    /// Fields that the last change removed, with what they were.
    pub removed: BTreeMap<String, Value>,
    /// Since when, as far as it is known.
    pub since: BTreeMap<String, Since>,
    open: BTreeSet<String>,
    /// The position of the change to read next.
    next: Option<usize>,
    /// The config after that change.
    after: Arc<FlatConfig>,
    cursor: Option<Box<Cursor>>,
    changes: usize,
}

impl History {
    fn begin(timeline: &Timeline, name: &str, service: &Service) -> Result<History> {
        let mut history = History {
            service: name.to_owned(),
            config_seq: service.config_seq,
            config: service.config.clone(),
            changed: BTreeMap::new(),
            removed: BTreeMap::new(),
            since: BTreeMap::new(),
            open: service.config.keys().cloned().collect(),
            next: timeline.position(service.config_seq),
            after: service.config.clone(),
            cursor: Some(Box::new(Cursor::new(timeline)?)),
            changes: 0,
        };
        let first = history.next;
        let before = history.step(timeline)?;
        // The first config of all is no change.
        if let Some(before) = before.filter(|before| first.is_some() && before.is_captured()) {
            for (path, value) in history.config.iter() {
                let old = before.config.get(path);
                if old != Some(value) {
                    history.changed.insert(path.clone(), old.cloned());
                }
            }
            let gone = before.config.iter().filter(|(path, _)| !history.config.contains_key(*path));
            history.removed = gone.map(|(path, value)| (path.clone(), value.clone())).collect();
        }
        Ok(history)
    }

    /// Looks at one change; gives the service as it was before it.
    fn step(&mut self, timeline: &Timeline) -> Result<Option<Arc<Service>>> {
        let (Some(at), Some(cursor)) = (self.next.take(), self.cursor.as_mut()) else {
            self.cursor = None;
            return Ok(None);
        };
        cursor.seek(timeline, at)?;
        let services = &cursor.state().services;
        let before = services.iter().find(|(name, _)| name.as_str() == self.service).map(|(_, s)| s.clone());
        let entry = timeline.entry(at);
        let since = Since { seq: entry.seq, ts: entry.ts };
        let config = before.as_ref().map(|service| service.config.clone()).unwrap_or_default();
        let decided: Vec<String> =
            self.open.iter().filter(|path| self.after.get(*path) != config.get(*path)).cloned().collect();
        for path in decided {
            self.open.remove(&path);
            self.since.insert(path, since);
        }
        self.changes += 1;
        let earlier = before.as_ref().filter(|s| s.is_captured() && s.config_seq < since.seq);
        self.next = earlier.and_then(|service| timeline.position(service.config_seq));
        self.after = config;
        if self.open.is_empty() || self.next.is_none() || self.changes >= MAX_CHANGES {
            self.next = None;
            self.cursor = None;
        }
        Ok(before)
    }

    /// Returns true if there are fields left to find out about.
    pub fn is_open(&self) -> bool {
        self.cursor.is_some()
    }
}

/// The histories that were asked for last.
#[derive(Clone, Debug, Default)]
pub struct Histories {
    kept: Vec<History>,
}

impl Histories {
    /// That of a service as it is now, as far as it is known: what changed last is known at once.
    ///
    /// # Errors
    /// When the recording cannot be read.
    pub fn ask(&mut self, timeline: &Timeline, name: &str, service: &Service) -> Result<&History> {
        let same = |h: &History| {
            h.service == name && h.config_seq == service.config_seq && Arc::ptr_eq(&h.config, &service.config)
        };
        match self.kept.iter().position(same) {
            Some(at) => {
                let known = self.kept.remove(at);
                self.kept.push(known);
            }
            None => {
                let fits = |h: &History| h.service == name && h.config_seq == service.config_seq;
                self.kept.retain(|h| !(fits(h) && h.config != service.config));
                match self.kept.iter().position(fits) {
                    // The same config, folded another time.
                    Some(at) => {
                        let mut known = self.kept.remove(at);
                        known.config = service.config.clone();
                        self.kept.push(known);
                    }
                    None => self.kept.push(History::begin(timeline, name, service)?),
                }
                if self.kept.len() > KEPT {
                    self.kept.remove(0);
                }
            }
        }
        self.last().ok_or(rig_replay::Error::Missing { wanted: service.config_seq, last: 0 })
    }

    /// The one that was asked for last.
    pub fn last(&self) -> Option<&History> {
        self.kept.last()
    }

    /// Finds out a little more of the one that was asked for last; says whether there is more.
    ///
    /// # Errors
    /// When the recording cannot be read; nothing more is found out then.
    pub fn work(&mut self, timeline: &Timeline) -> Result<bool> {
        let Some(history) = self.kept.last_mut().filter(|history| history.is_open()) else {
            return Ok(false);
        };
        if let Err(error) = history.step(timeline) {
            history.cursor = None;
            return Err(error);
        }
        Ok(history.is_open())
    }
}
