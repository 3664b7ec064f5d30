//! What was changed in configs before an event, nearest first.

use std::collections::BTreeSet;

use rig_event::event::{BaselineApproved, Drift};
use rig_event::{Envelope, Event, Op, Seq, Severity, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::Listed;
use crate::Result;
use crate::timeline::Timeline;

/// A change of a config, or a word on how one stands.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigChange {
    /// The event that says so.
    pub seq: Seq,
    /// When.
    pub ts: Timestamp,
    /// Whose config.
    pub service: String,
    /// `diff`, `drift`, `snapshot` or `baseline`.
    pub kind: &'static str,
    /// What happened, where it is no change of one field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// What was done to the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op: Option<Op>,
    /// The field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its value before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// Its value after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// How much it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Who did it, as far as it is known: the actor, or the snapshot's operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// What the snapshot was said to come from, such as a commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Whether the service has a part in what failed.
    pub involved: bool,
}

/// Events looked at for changes: beyond them there may be more, but none that is nearer.
const MOST_EVENTS: usize = 1000;

/// The changes before position `at`.
pub(super) fn before(
    timeline: &Timeline,
    at: usize,
    involved: &BTreeSet<String>,
    most: usize,
) -> Result<Listed<ConfigChange>> {
    let speaks = |name: &str| {
        matches!(
            name,
            "diff.computed"
                | "snapshot.captured"
                | "drift.detected"
                | "drift.changed"
                | "drift.accepted"
                | "drift.expired"
                | "drift.resolved"
                | "baseline.approved"
                | "baseline.revoked"
        )
    };
    let (mut found, mut more, mut read, mut nearest) = (Vec::<ConfigChange>::new(), 0, 0, 0);
    for at in (0..at).rev().filter(|at| speaks(timeline.entry(*at).type_name)) {
        if nearest >= most || read >= MOST_EVENTS {
            more += 1;
            continue;
        }
        read += 1;
        // What is not what it should be was told when it was indexed.
        let Ok(envelope) = timeline.envelope(at) else { continue };
        let mut told = changes(timeline, &envelope, &found, involved)?;
        more += usize::from(told.len() > most);
        told.truncate(most);
        nearest += told.iter().filter(|change| rank(change) == 0).count();
        found.extend(told);
    }
    // Where there is no room for all, others' changes must not hide those of the services that failed.
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by_key(|at| rank(&found[*at]));
    let left_out: BTreeSet<usize> = order.split_off(most.min(order.len())).into_iter().collect();
    let events: BTreeSet<Seq> = left_out.iter().map(|at| found[*at].seq).collect();
    more += events.len();
    let mut at = 0;
    found.retain(|_| {
        at += 1;
        !left_out.contains(&(at - 1))
    });
    Ok(Listed { items: found, more })
}

/// What is shown first where there is no room for all: what was changed in a service that has a part in it, then what was
/// changed elsewhere, then what a config was when it was first seen.
fn rank(change: &ConfigChange) -> u8 {
    match (change.kind, change.involved) {
        ("snapshot", true) => 2,
        ("snapshot", false) => 3,
        (_, true) => 0,
        (_, false) => 1,
    }
}

fn changes(
    timeline: &Timeline,
    envelope: &Envelope,
    known: &[ConfigChange],
    involved: &BTreeSet<String>,
) -> Result<Vec<ConfigChange>> {
    let service = envelope.service.as_ref().map(ToString::to_string).unwrap_or_default();
    let is_involved = involved.contains(&service);
    let bare = |kind, what: Option<String>| ConfigChange {
        seq: envelope.seq,
        ts: envelope.ts,
        service: service.clone(),
        kind,
        what,
        op: None,
        path: None,
        before: None,
        after: None,
        severity: None,
        who: envelope.actor.clone(),
        origin: None,
        involved: is_involved,
    };
    let drift = |e: &Drift, word: &str| {
        let mut change =
            bare("drift", Some(format!("{word}: {} of {}", e.verdict.as_str(), fields(e.differing))));
        change.severity = e.severity;
        if let [only] = e.fields.as_slice() {
            (change.op, change.path) = (Some(only.op), Some(only.path.clone()));
            (change.before, change.after) = (only.before.clone(), only.after.clone());
        }
        vec![change]
    };
    Ok(match &envelope.event {
        Event::DiffComputed(e) => {
            let (who, origin) = provenance(timeline, e.to)?;
            let with = |change: ConfigChange| ConfigChange {
                who: change.who.clone().or_else(|| who.clone()),
                origin: origin.clone(),
                ..change
            };
            if e.hunks.is_empty() {
                let each = e.changes.iter().map(|change| ConfigChange {
                    op: Some(change.op),
                    path: Some(change.path.clone()),
                    before: change.before.clone(),
                    after: change.after.clone(),
                    severity: Some(change.severity),
                    ..bare("diff", None)
                });
                // What matters most comes first within one diff.
                let mut each: Vec<ConfigChange> = each.map(with).collect();
                each.sort_by_key(|change| std::cmp::Reverse(change.severity));
                each
            } else {
                let mut what = format!("{} lines added, {} removed", e.lines_added, e.lines_removed);
                for section in e.sections.iter().take(5) {
                    what.push_str(&format!("; {}: {}", section.section, section.summary));
                }
                vec![with(ConfigChange { severity: e.severity, ..bare("diff", Some(what)) })]
            }
        }
        // Its diff says what changed; without one it is the first, or its config stayed.
        Event::SnapshotCaptured(e) => {
            let told = known.iter().any(|c| {
                c.kind == "diff" && c.service == service && c.seq > envelope.seq && c.seq <= envelope.seq + 2
            });
            if told || e.config.is_none() {
                return Ok(Vec::new());
            }
            let (who, origin) = said(&e.meta);
            let snapshot = bare("snapshot", Some(format!("captured whole, {}", fields(e.fields))));
            vec![ConfigChange { who: snapshot.who.clone().or(who), origin, ..snapshot }]
        }
        // The diff just before it said the same, field by field.
        Event::DriftDetected(e) => drift(e, "detected"),
        Event::DriftChanged(e) => drift(e, "changed"),
        Event::DriftAccepted(e) => drift(e, "accepted"),
        Event::DriftExpired(e) => drift(e, "acceptance expired"),
        Event::DriftResolved(e) => drift(e, "resolved"),
        Event::BaselineApproved(BaselineApproved { captured, .. }) => {
            vec![bare("baseline", Some(format!("approved the config of {captured}")))]
        }
        Event::BaselineRevoked(_) => vec![bare("baseline", Some("revoked".to_owned()))],
        _ => Vec::new(),
    })
}

fn fields(n: u64) -> String {
    format!("{n} field{}", if n == 1 { "" } else { "s" })
}

/// Who made a snapshot, and from what.
fn provenance(timeline: &Timeline, seq: Seq) -> Result<(Option<String>, Option<String>)> {
    let Some(at) = timeline.position(seq) else { return Ok((None, None)) };
    match timeline.envelope(at).map(|envelope| (envelope.actor, envelope.event)) {
        Ok((actor, Event::SnapshotCaptured(e))) => {
            let (operator, origin) = said(&e.meta);
            Ok((actor.or(operator), origin))
        }
        Err(error @ crate::Error::Read { .. }) => Err(error),
        _ => Ok((None, None)),
    }
}

/// Operator, and everything else that was said.
fn said(meta: &std::collections::BTreeMap<String, String>) -> (Option<String>, Option<String>) {
    let origin: Vec<String> =
        meta.iter().filter(|(key, _)| *key != "operator").map(|(k, v)| format!("{k}={v}")).collect();
    (meta.get("operator").cloned(), (!origin.is_empty()).then(|| origin.join(" ")))
}
