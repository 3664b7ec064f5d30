//! What a list says of an event, read once and kept for a while.

use std::collections::HashMap;

use rig_event::{Event, Seq, Timestamp};
use rig_replay::Timeline;
use rig_replay::logs::Output;
use rig_replay::traffic;
use serde_json::Value;

use crate::text;

/// How many rows are kept.
const KEPT: usize = 4_096;

/// A longer line is not read for a list; its detail shows it.
const LONG: usize = 256 << 10;

/// An event in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its position.
    pub at: usize,
    /// Its seq.
    pub seq: Seq,
    /// Its time.
    pub ts: Timestamp,
    /// Its type.
    pub type_name: String,
    /// The service, or who spoke to whom.
    pub who: String,
    /// What it says.
    pub text: String,
    /// Status of a request.
    pub status: Option<String>,
    /// Microseconds that a request took.
    pub latency_us: Option<u64>,
    /// Whether something failed.
    pub failure: bool,
    /// Whether it went to stderr.
    pub stderr: bool,
}

/// The rows that were asked for last.
#[derive(Clone, Debug, Default)]
pub struct Rows(HashMap<usize, Row>);

impl Rows {
    /// The row of an event, which has to be there.
    pub fn get(&mut self, timeline: &Timeline, at: usize) -> &Row {
        if self.0.len() >= KEPT && !self.0.contains_key(&at) {
            self.0.clear();
        }
        self.0.entry(at).or_insert_with(|| read(timeline, at))
    }
}

fn read(timeline: &Timeline, at: usize) -> Row {
    let entry = timeline.entry(at);
    let who = match (entry.service, entry.edge) {
        (Some(service), _) => text::plain(service),
        (None, Some((source, target))) => text::plain(&format!("{source} → {target}")),
        (None, None) => String::new(),
    };
    let mut row = Row {
        at,
        seq: entry.seq,
        ts: entry.ts,
        type_name: text::plain(entry.type_name),
        who,
        text: String::new(),
        status: None,
        latency_us: None,
        failure: entry.failure,
        stderr: entry.stderr,
    };
    if entry.len > LONG {
        row.text = format!("({} KiB)", entry.len >> 10);
        return row;
    }
    let line = match timeline.line(at) {
        Ok(line) => line,
        Err(error) => {
            row.text = text::plain(&error.to_string());
            return row;
        }
    };
    if let Some(call) = traffic::Row::read(&line) {
        row.text = text::plain(&format!("{} {}", call.method, call.path));
        row.status = call.status.as_deref().map(text::plain);
        row.latency_us = call.latency_us;
        if let (Some(bytes_in), Some(bytes_out)) = (call.bytes_in, call.bytes_out) {
            row.text =
                format!("{} ↓{} ↑{}", row.text.trim_end(), text::brief(bytes_in), text::brief(bytes_out));
        }
        if entry.edge.is_some() {
            row.who = text::plain(&format!("{} → {}", call.source, call.target));
        }
    } else if let Some(output) = Output::read(&line) {
        row.text = text::plain(output.data.trim_end_matches(['\n', '\r']));
    } else {
        row.text = match timeline.parse(&line) {
            Ok(envelope) => {
                let mut said = summary(&envelope.event, &line);
                if let Some(actor) = &envelope.actor {
                    said = format!("{said}  by {actor}");
                }
                text::plain(said.trim())
            }
            Err(error) => text::plain(&error.to_string()),
        };
    }
    row
}

/// What an event says beside its type and service.
fn summary(event: &Event, line: &[u8]) -> String {
    match event {
        Event::SnapshotCaptured(e) => {
            let meta: Vec<String> = e.meta.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("{} {} fields  {}", e.format, e.fields, meta.join(" "))
        }
        Event::SnapshotUnchanged(e) => format!("as in {}", e.captured),
        Event::SnapshotRejected(e) => e.reason.clone(),
        Event::DiffComputed(e) => {
            let counts = if e.hunks.is_empty() {
                format!("+{} -{} ~{}", e.added, e.removed, e.changed)
            } else {
                format!("+{} -{} lines", e.lines_added, e.lines_removed)
            };
            let severity = e.severity.map(|level| format!(" {level}")).unwrap_or_default();
            let told = e.changes.iter().filter(|change| change.op.is_difference());
            let what: Vec<String> = match e.sections.is_empty() {
                true => told.take(4).map(change).collect(),
                false => e.sections.iter().take(4).map(|s| format!("{}: {}", s.section, s.summary)).collect(),
            };
            format!("{counts}{severity}  {}", what.join(", "))
        }
        Event::DriftDetected(e)
        | Event::DriftChanged(e)
        | Event::DriftResolved(e)
        | Event::DriftAccepted(e)
        | Event::DriftExpired(e) => {
            let severity = e.severity.map(|level| format!(" {level}")).unwrap_or_default();
            let fields: Vec<&str> = e.fields.iter().take(4).map(|field| field.path.as_str()).collect();
            format!("{}{severity}, {} fields  {}", e.verdict.as_str(), e.differing, fields.join(", "))
        }
        Event::BaselineApproved(e) => {
            format!("snapshot {}  {}", e.captured, e.reason.as_deref().unwrap_or_default())
        }
        Event::BaselineRejected(e) => e.reason.clone(),
        Event::ServiceStarting(e)
        | Event::ServiceHealthy(e)
        | Event::ServiceReady(e)
        | Event::ServiceFailed(e)
        | Event::ServiceStopping(e)
        | Event::ServiceStopped(e) => {
            [&e.error, &e.message].into_iter().flatten().cloned().collect::<Vec<_>>().join(" ")
        }
        Event::EnvironmentUp(e)
        | Event::EnvironmentFailing(e)
        | Event::EnvironmentDestroying(e)
        | Event::EnvironmentDown(e) => {
            [&e.environment, &e.error].into_iter().flatten().cloned().collect::<Vec<_>>().join(" ")
        }
        Event::CollectFailed(e) => format!("{} {}", e.address, e.reason),
        Event::CollectRecovered(e) => format!("{} after {} failures", e.address, e.failures),
        Event::HostKeyPinned(e) | Event::HostKeyForgotten(e) => format!("{} {}", e.address, e.fingerprint),
        Event::HostKeyChanged(e) => {
            format!("{} {} → {}", e.address, e.expected.as_deref().unwrap_or_default(), e.fingerprint)
        }
        Event::NotifyBegan(e)
        | Event::NotifyEnded(e)
        | Event::NotifyDelivered(e)
        | Event::NotifyDropped(e)
        | Event::NotifyFailing(e)
        | Event::NotifyRecovered(e) => [Some(&e.endpoint), e.stream.as_ref(), e.reason.as_ref()]
            .into_iter()
            .flatten()
            .cloned()
            .collect::<Vec<_>>()
            .join(" "),
        Event::LogSealed(e) => format!("up to {}", e.upto),
        Event::LogPruned(e) => format!("{} events, now from {}", e.events, e.first_seq),
        _ => other(line),
    }
}

fn change(change: &rig_event::Change) -> String {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => {
            format!("{} {} → {}", change.path, text::value(before), text::value(after))
        }
        (None, Some(after)) => format!("+{} {}", change.path, text::value(after)),
        (Some(_), None) => format!("-{}", change.path),
        (None, None) => change.path.clone(),
    }
}

/// What a type without columns of its own says: what went wrong, or whatever stands in it.
fn other(line: &[u8]) -> String {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice::<Value>(line) else { return String::new() };
    for key in ["error", "message", "text", "note"] {
        if let Some(text) = fields.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()) {
            return text.to_owned();
        }
    }
    for key in ["seq", "ts", "timestamp", "type", "service", "environment", "more", "id", "actor"] {
        fields.remove(key);
    }
    let mut said = String::new();
    for (key, value) in &fields {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        said.push_str(&format!("{key}={value} "));
    }
    said
}
