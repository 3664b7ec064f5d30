//! The data of a report: moments with the state there, changes, and the timeline.

use std::collections::BTreeMap;

use anyhow::Result;
use rig_event::{Seq, Timestamp};
use rig_replay::explain::{ConfigChange, Explanation};
use rig_replay::summary::summary;
use rig_replay::{State, Timeline};
use serde::Serialize;

use crate::output::short;
use crate::timeline::Indexed;

/// The most moments whose state is shown.
const MOMENTS: usize = 60;

/// The most bytes of all states together; JSON, before it is compressed.
const STATES: usize = 8 << 20;

/// The most characters of a value, and of what an event says.
const LONGEST: usize = 400;

/// Everything on the page.
#[derive(Debug, Serialize)]
pub(super) struct Data<'a> {
    name: String,
    stream: &'a str,
    started: Option<Timestamp>,
    outcome: &'a str,
    moments: Vec<Moment>,
    changes: &'a [ConfigChange],
    events: Vec<Row>,
    left_out: LeftOut,
}

/// The numbers of things for which there was no room.
#[derive(Debug, Default, Serialize)]
struct LeftOut {
    events: usize,
    states: usize,
    changes: usize,
    failures: usize,
}

/// A place on the timeline that has something to say.
#[derive(Debug, Serialize)]
struct Moment {
    seq: Seq,
    /// `failure`, `change`, or `before` the changes.
    kind: &'static str,
    title: String,
    /// Services, their status, and the fields of their config as text; `None` where there was no room.
    state: Option<BTreeMap<String, Service>>,
}

#[derive(Debug, Serialize)]
struct Service {
    status: Option<String>,
    config: BTreeMap<String, String>,
}

/// An event, as one row.
#[derive(Debug, Serialize)]
struct Row {
    seq: Seq,
    ts: Timestamp,
    #[serde(rename = "type")]
    type_name: String,
    about: String,
    text: String,
    failure: bool,
}

impl<'a> Data<'a> {
    pub(super) fn of(indexed: &'a Indexed, it: &'a Explanation, most: usize) -> Result<Data<'a>> {
        let timeline = &indexed.timeline;
        let mut left_out = LeftOut {
            changes: it.changes.more,
            failures: it.assertions.more + it.crashes.more + it.requests.more,
            ..LeftOut::default()
        };
        let header = timeline.header();
        Ok(Data {
            name: header.map_or_else(|| timeline.stream().to_owned(), |header| header.session.clone()),
            stream: &it.stream,
            started: header.map(|header| header.started),
            outcome: &it.outcome,
            moments: moments(timeline, it, &mut left_out)?,
            changes: &it.changes.items,
            events: events(timeline, it, most, &mut left_out)?,
            left_out,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// The failures and the config changes before the first, in their order, with the state after each.
fn moments(timeline: &Timeline, it: &Explanation, left_out: &mut LeftOut) -> Result<Vec<Moment>> {
    let mut found: BTreeMap<Seq, (&'static str, String)> = BTreeMap::new();
    for change in &it.changes.items {
        let what = change.path.as_deref().or(change.what.as_deref()).unwrap_or_default();
        found.entry(change.seq).or_insert(("change", format!("{} {what}", change.service)));
    }
    // What the changes are to be compared with.
    let diffs = it.changes.items.iter().filter(|change| change.kind == "diff");
    let oldest = diffs.map(|change| change.seq).min().and_then(|seq| timeline.position(seq)?.checked_sub(1));
    if let Some(before) = oldest {
        found.entry(timeline.seq(before)).or_insert(("before", "before these changes".to_owned()));
    }
    if let Some(first) = &it.first_failure {
        found.insert(first.seq, ("failure", first.type_name.clone()));
    }
    for assertion in &it.assertions.items {
        let message = assertion.message.lines().next().unwrap_or_default();
        found.insert(assertion.seq, ("failure", message.to_owned()));
    }
    for crash in &it.crashes.items {
        let who = crash.service.as_deref().unwrap_or_default();
        found.insert(crash.seq, ("failure", format!("{who} {} {}", crash.type_name, crash.error)));
    }
    for exchange in &it.requests.items {
        let row = &exchange.row;
        let status = row.status.as_deref().unwrap_or("no answer");
        let title = format!("{} -> {} {} {} {status}", row.source, row.target, row.method, row.path);
        found.insert(row.seq, ("failure", title));
    }
    // The nearest to the first failure are shown; the map is in the order of the recording.
    let focus = it.first_failure.as_ref().map_or(0, |first| first.seq);
    let mut near: Vec<Seq> = found.keys().copied().collect();
    near.sort_by_key(|seq| seq.abs_diff(focus));
    near.truncate(MOMENTS);
    let mut room = STATES;
    let mut moments = Vec::new();
    for (seq, (kind, title)) in found {
        let wanted = near.contains(&seq);
        let state =
            if wanted { services(&timeline.state_at(seq)?, timeline.stream(), &mut room)? } else { None };
        left_out.states += usize::from(state.is_none());
        moments.push(Moment { seq, kind, title: short(title.trim(), LONGEST), state });
    }
    Ok(moments)
}

/// The services of a state, if there is room for them.
fn services(state: &State, stream: &str, room: &mut usize) -> Result<Option<BTreeMap<String, Service>>> {
    let view = rig_event::spelled::to_value(&state.view(stream))?;
    let mut services = BTreeMap::new();
    for (name, service) in view["services"].as_object().into_iter().flatten() {
        let fields = service["config"].as_object().into_iter().flatten();
        let config = fields.map(|(path, value)| (path.clone(), short(&value.to_string(), LONGEST))).collect();
        let status = service["status"].as_str().map(str::to_owned);
        services.insert(name.clone(), Service { status, config });
    }
    let size = serde_json::to_vec(&services)?.len();
    if size > *room {
        return Ok(None);
    }
    *room -= size;
    Ok(Some(services))
}

/// The events nearest to the first failure, more of those before it.
fn events(timeline: &Timeline, it: &Explanation, most: usize, left_out: &mut LeftOut) -> Result<Vec<Row>> {
    let focus = it.first_failure.as_ref().and_then(|first| timeline.position(first.seq));
    let after = focus.map_or(timeline.len(), |focus| (focus + most / 4).min(timeline.len()));
    let from = after.saturating_sub(most);
    let to = (from + most).min(timeline.len());
    left_out.events = timeline.len() - (to - from);
    let mut rows = Vec::with_capacity(to - from);
    timeline.visit(from..to, |at, line| {
        let entry = timeline.entry(at);
        let about = match (entry.service, entry.edge) {
            (Some(service), _) => service.to_owned(),
            (None, Some((source, target))) => format!("{source} -> {target}"),
            (None, None) => String::new(),
        };
        let text = match timeline.parse(line) {
            Ok(envelope) => summary(&envelope.event, line).to_string(),
            Err(_) => String::from_utf8_lossy(line).into_owned(),
        };
        rows.push(Row {
            seq: entry.seq,
            ts: entry.ts,
            type_name: entry.type_name.to_owned(),
            about,
            text: short(&text, LONGEST),
            failure: entry.failure,
        });
        Ok::<_, anyhow::Error>(())
    })?;
    Ok(rows)
}
