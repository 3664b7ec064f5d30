//! Rows of the lists: the words for an event, read once and kept for a while.

use std::collections::HashMap;

use rig_event::{Seq, Timestamp};
use rig_replay::logs::Output;
use rig_replay::summary::{Span, Summary};
use rig_replay::{Timeline, summary, traffic};

use crate::text;

/// Number of rows that are kept.
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
    /// The words for the event.
    pub text: String,
    /// Status of a request.
    pub status: Option<String>,
    /// Microseconds that a request took.
    pub latency_us: Option<u64>,
    /// True for a failure.
    pub failure: bool,
    /// True for output on stderr.
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
                let mut said = drawn(&summary(&envelope.event, &line));
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

/// Draws a summary: values as the panes show them.
fn drawn(summary: &Summary) -> String {
    let draw = |span: &Span| match span {
        Span::Text(text) => text.clone(),
        Span::Severity(severity) => severity.as_str().to_owned(),
        Span::Verdict(verdict) => verdict.as_str().to_owned(),
        Span::Value(value) => text::value(value),
        Span::Arrow => " → ".to_owned(),
    };
    summary.0.iter().map(draw).collect()
}
