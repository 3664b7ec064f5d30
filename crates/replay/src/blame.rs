//! Who set a field, when, and from what: the changes of some fields of a service's config, newest first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rig_config::{Path, Pattern};
use rig_event::event::SnapshotCaptured;
use rig_event::{Envelope, Event, FlatConfig, Op, Seq, Severity, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::timeline::Cursor;
use crate::{Result, Timeline};

/// Most fields that are told of; of a pattern that covers more, the first by path.
pub const MAX_FIELDS: usize = 10_000;

/// Most changes that are kept of one field, the newest.
pub const MAX_CHANGES: usize = 10_000;

/// What is known of the fields that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Blame {
    /// The fields, by path; those that were removed too.
    pub fields: Vec<Field>,
    /// How many fields more the pattern covers.
    pub left_out: u64,
}

/// A field and how it came to be what it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Field {
    /// Its path.
    pub path: String,
    /// What it is; absent when it is not there (any more).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Whether it was there already when the recording began, so that who set it first is not in it.
    pub before_recording: bool,
    /// Its changes, newest first.
    pub changes: Vec<Set>,
    /// How many older ones there are beside those in `changes`.
    pub older: u64,
}

/// One change of a field.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Set {
    /// Added, removed or changed.
    pub op: Op,
    /// The value before; absent for one that was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The value after; absent for one that was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// The event since which it is so: a `diff.computed`, or a `snapshot.captured` that carried the whole config.
    pub seq: Seq,
    /// Its time.
    pub ts: Timestamp,
    /// The snapshot that showed it.
    pub snapshot: Seq,
    /// Who captured that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// What was said with it: operator, deployment, git_sha and the like.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, String>,
    /// Digest of the document.
    pub digest: String,
    /// Which source the value came from, where the snapshot said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Value>,
    /// What policy said of the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// The event that led to it, where it names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Seq>,
}

/// The history of the fields of `service` that `pattern` covers, up to the first `n` events; with `all` every change, else the
/// last one of each.
///
/// # Errors
/// As [`Timeline::state`].
pub fn blame(timeline: &Timeline, service: &str, pattern: &Pattern, n: usize, all: bool) -> Result<Blame> {
    let mut cursor = Cursor::new(timeline)?;
    let mut trace = Trace::new(pattern, config_of(&cursor, service), all);
    for at in 0..n.min(timeline.len()) {
        let entry = timeline.entry(at);
        if entry.service != Some(service) || !concerns(entry.type_name) {
            continue;
        }
        let envelope = timeline.envelope(at)?;
        cursor.seek(timeline, at + 1)?;
        trace.add(&envelope, &config_of(&cursor, service));
    }
    Ok(trace.finish())
}

/// Whether events of that type can change a config.
pub fn concerns(type_name: &str) -> bool {
    matches!(type_name, "snapshot.captured" | "diff.computed")
}

/// The history of some fields of one service, for whoever folds its events in a way of their own.
pub struct Trace<'a> {
    history: History<'a>,
    config: Arc<FlatConfig>,
    snapshot: Option<(Envelope, SnapshotCaptured)>,
}

impl<'a> Trace<'a> {
    /// Begins with the config before the first event; `all` as for [`blame`].
    pub fn new(pattern: &'a Pattern, config: Arc<FlatConfig>, all: bool) -> Trace<'a> {
        let mut history = History {
            pattern,
            covered: BTreeMap::new(),
            fields: BTreeMap::new(),
            left_out: BTreeSet::new(),
            all,
        };
        for path in named(&config, pattern).keys() {
            history.begin(path);
        }
        Trace { history, config, snapshot: None }
    }

    /// Takes the next event of the service that [`concerns`] its config, with the config after it.
    pub fn add(&mut self, envelope: &Envelope, now: &Arc<FlatConfig>) {
        if let Event::SnapshotCaptured(e) = &envelope.event
            && e.part.is_none_or(|(i, _)| i == 1)
        {
            self.snapshot = Some((envelope.clone(), e.clone()));
        }
        if !Arc::ptr_eq(&self.config, now) {
            self.history.changed(&self.config, now, envelope, self.snapshot.as_ref());
            self.config = now.clone();
        }
    }

    /// What is known now.
    pub fn finish(self) -> Blame {
        self.history.finish(&self.config)
    }
}

/// A config whose elements of lists are named as the pattern names them.
fn named(config: &Arc<FlatConfig>, pattern: &Pattern) -> Arc<FlatConfig> {
    let Some(names) = pattern.names(config) else { return config.clone() };
    let values = names.into_iter().filter_map(|(name, path)| Some((name, config.get(&path)?.clone())));
    Arc::new(values.collect())
}

fn config_of(cursor: &Cursor, service: &str) -> Arc<FlatConfig> {
    cursor.state().service(service).map_or_else(Arc::default, |service| service.config.clone())
}

struct History<'a> {
    pattern: &'a Pattern,
    /// Which paths the pattern covers: to look is dear, and the same paths come again and again.
    covered: BTreeMap<String, bool>,
    fields: BTreeMap<String, Field>,
    left_out: BTreeSet<String>,
    all: bool,
}

impl History<'_> {
    fn begin(&mut self, path: &str) {
        if let Some(field) = self.field(path) {
            field.before_recording = true;
        }
    }

    /// The field of that path, if it is asked for.
    fn field(&mut self, path: &str) -> Option<&mut Field> {
        let covers = match self.covered.get(path) {
            Some(known) => *known,
            None => {
                let covers = Path::parse(path).is_ok_and(|path| self.pattern.matches(&path));
                self.covered.insert(path.to_owned(), covers);
                covers
            }
        };
        if !covers {
            return None;
        }
        if !self.fields.contains_key(path) && self.fields.len() >= MAX_FIELDS {
            self.left_out.insert(path.to_owned());
            return None;
        }
        Some(self.fields.entry(path.to_owned()).or_insert_with(|| Field {
            path: path.to_owned(),
            value: None,
            before_recording: false,
            changes: Vec::new(),
            older: 0,
        }))
    }

    fn changed(
        &mut self,
        old: &Arc<FlatConfig>,
        new: &Arc<FlatConfig>,
        envelope: &Envelope,
        snapshot: Option<&(Envelope, SnapshotCaptured)>,
    ) {
        let listed = match &envelope.event {
            Event::DiffComputed(e) if e.part.is_none() => e.changes.as_slice(),
            _ => &[],
        };
        let names = self.pattern.names(new);
        let (old, new) = (&*named(old, self.pattern), &*named(new, self.pattern));
        // A diff names elements of lists by their keys, and those that only moved up by nothing: what lists hold is
        // compared place by place.
        let in_lists = listed.iter().any(|change| change.path.contains('['));
        let paths: Vec<&str> = if listed.is_empty() || in_lists {
            let paths: BTreeSet<&str> = old.keys().chain(new.keys()).map(String::as_str).collect();
            paths.into_iter().filter(|path| old.get(*path) != new.get(*path)).collect()
        } else {
            listed.iter().map(|change| change.path.as_str()).collect()
        };
        let provenance = snapshot.and_then(|(_, e)| serde_json::to_value(&e.provenance).ok());
        let all = self.all;
        for path in paths {
            let (before, after) = (old.get(path).cloned(), new.get(path).cloned());
            if before == after {
                continue;
            }
            let Some(field) = self.field(path) else { continue };
            let op = match (&before, &after) {
                (None, _) => Op::Added,
                (_, None) => Op::Removed,
                _ => Op::Changed,
            };
            let set = Set {
                op,
                before,
                after,
                seq: envelope.seq,
                ts: envelope.ts,
                snapshot: snapshot.map_or(envelope.seq, |(at, _)| at.seq),
                actor: envelope.actor.clone().or_else(|| snapshot.and_then(|(at, _)| at.actor.clone())),
                meta: snapshot.map(|(_, e)| e.meta.clone()).unwrap_or_default(),
                digest: snapshot.map(|(_, e)| e.digest.clone()).unwrap_or_default(),
                origin: provenance
                    .as_ref()
                    .and_then(|origins| {
                        let indexed = names.as_ref().and_then(|names| names.get(path));
                        origins.get(indexed.map_or(path, String::as_str))
                    })
                    .cloned(),
                severity: listed
                    .iter()
                    .find(|change| change.path == path && change.op == op)
                    .map(|change| change.severity),
                cause: envelope.cause.or_else(|| snapshot.and_then(|(at, _)| at.cause)),
            };
            if field.changes.len() >= if all { MAX_CHANGES } else { 1 } {
                field.changes.remove(0);
                field.older += 1;
            }
            field.changes.push(set);
        }
    }

    fn finish(self, config: &Arc<FlatConfig>) -> Blame {
        let config = named(config, self.pattern);
        let finish = |mut field: Field| {
            field.value = config.get(&field.path).cloned();
            field.changes.reverse();
            field
        };
        Blame {
            fields: self.fields.into_values().map(finish).collect(),
            left_out: self.left_out.len() as u64,
        }
    }
}
