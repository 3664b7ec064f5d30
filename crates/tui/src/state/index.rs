//! The player's index of a whole recording beside its timeline: positions of failures, drifts and config
//! changes, and the lives of the services. It grows with the timeline; nothing here is computed for a frame.

use std::collections::BTreeMap;

use rig_replay::Timeline;
use rig_replay::timeline::Entry;

/// Positions, from 0, in their order.
pub type Marks = Vec<u32>;

/// Most services that are listed by name.
pub const MAX_SERVICES: usize = 10_000;

/// Marks of a timeline.
#[derive(Clone, Debug, Default)]
pub struct Index {
    seen: usize,
    /// Failures.
    pub failures: Marks,
    /// Drift events.
    pub drifts: Marks,
    /// Captures with something new, and diffs.
    pub changes: Marks,
    /// By service.
    pub services: BTreeMap<String, Life>,
    /// Number of events about services that are not in `services`, because there are too many; at least one
    /// each.
    pub unlisted: u64,
}

/// The life of a service.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// Its failures, and failed requests to it.
    pub failures: Marks,
    /// When it was starting, and when it was healthy or ready.
    steps: Vec<(u32, Step)>,
    /// Its config changes.
    pub changes: Marks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Starting,
    Up,
    Over,
}

impl Index {
    /// Takes in the events that are new in `timeline`.
    pub fn grow(&mut self, timeline: &Timeline) {
        for at in self.seen..timeline.len() {
            self.take(&timeline.entry(at));
        }
        self.seen = timeline.len();
    }

    fn take(&mut self, entry: &Entry<'_>) {
        let Ok(at) = u32::try_from(entry.at) else { return };
        let (family, verb) = entry.type_name.split_once('.').unwrap_or((entry.type_name, ""));
        let is_change = matches!((family, verb), ("diff", _) | ("snapshot", "captured"));
        if entry.failure {
            self.failures.push(at);
        }
        match family {
            "drift" => self.drifts.push(at),
            _ if is_change => self.changes.push(at),
            _ => {}
        }
        if let Some((source, target)) = entry.edge {
            self.life(source);
            if let Some(life) = self.life(target).filter(|_| entry.failure && entry.service.is_none()) {
                life.failures.push(at);
            }
        }
        let Some(name) = entry.service else { return };
        let Some(life) = self.life(name) else { return };
        if entry.failure {
            life.failures.push(at);
        }
        if is_change {
            life.changes.push(at);
        }
        if family == "service" {
            let step = match verb {
                "starting" => Step::Starting,
                "healthy" | "ready" => Step::Up,
                "failed" | "stopping" | "stopped" => Step::Over,
                _ => return,
            };
            life.steps.push((at, step));
        }
    }

    fn life(&mut self, name: &str) -> Option<&mut Life> {
        if !self.services.contains_key(name) {
            if self.services.len() >= MAX_SERVICES {
                self.unlisted += 1;
                return None;
            }
            self.services.insert(name.to_owned(), Life::default());
        }
        self.services.get_mut(name)
    }
}

impl Life {
    /// Where it last began to start and where it then was up, among the first `n` events.
    pub fn start(&self, n: usize) -> Option<(usize, Option<usize>)> {
        let before = self.steps.partition_point(|(at, _)| (*at as usize) < n);
        let steps = self.steps.get(..before)?;
        let began = steps.iter().rposition(|(_, step)| *step == Step::Starting)?;
        let rest = steps.get(began + 1..)?;
        let ended = rest.iter().find(|(_, step)| *step == Step::Over).map(|(at, _)| *at);
        // `healthy` may come first and `ready` later: it is up when it is ready, or with the last that came.
        let up = rest
            .iter()
            .filter(|(at, step)| *step == Step::Up && ended.is_none_or(|end| *at < end))
            .take(2)
            .last();
        Some((steps.get(began)?.0 as usize, up.map(|(at, _)| *at as usize)))
    }
}

/// Counts the marks before position `n`.
pub fn before(marks: &[u32], n: usize) -> usize {
    marks.partition_point(|at| (*at as usize) < n)
}

/// The first mark at or after position `from`.
pub fn next(marks: &[u32], from: usize) -> Option<usize> {
    marks.get(before(marks, from)).map(|at| *at as usize)
}

/// The last mark before position `to`.
pub fn previous(marks: &[u32], to: usize) -> Option<usize> {
    before(marks, to).checked_sub(1).and_then(|at| marks.get(at)).map(|at| *at as usize)
}
