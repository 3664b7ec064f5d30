//! A captured document: what is new about it, and what policy makes of that.

use std::collections::BTreeMap;

use rig_config::{Format, Policy, diff, normalise, text_diff};
use rig_event::event::{DiffComputed, SnapshotCaptured, SnapshotUnchanged, Warning};
use rig_event::{Change, Draft, Event, FlatConfig, Hunk, Seq, ServiceName, Timestamp};
use serde_json::Value;

use super::drift;
use crate::apply::TEXT;
use crate::provenance;
use crate::split;
use crate::state::{Service, State};

/// Every so many diffs of a service its snapshot carries the whole config again.
pub const KEYFRAME_DIFFS: u64 = 1_000;

/// The format in which a document holds its fields and nothing else.
const JSON: &str = "json";

/// Most sections that a diff sums up; the hunks are there in full.
const MAX_SECTIONS: usize = 1_000;

/// A parsed and redacted document of a service.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    /// Format of the document.
    pub format: String,
    /// Its length as received.
    pub bytes: u64,
    /// For text: by which version of the rules it was normalised.
    pub normalisation: u64,
    /// Keyed digest of the normalised document.
    pub digest: String,
    /// Digest of `config`.
    pub config_digest: String,
    /// The redacted config.
    pub config: FlatConfig,
    /// How many values were redacted.
    pub redacted: u64,
    /// Their number by the rule that names them.
    pub redacted_by: BTreeMap<String, u64>,
    /// What the client said about it.
    pub meta: BTreeMap<String, String>,
    /// Which source each field came from, as far as that is known.
    pub provenance: BTreeMap<String, String>,
    /// Reference to its original, where that is kept.
    pub blob: Option<String>,
    /// The encoding it was in, if it was not UTF-8.
    pub encoding: Option<String>,
    /// Notes on how it was read.
    pub warnings: Vec<Warning>,
    /// Who captured it.
    pub actor: Option<String>,
    /// Whether it is to leave nothing where it repeats the service's last document: its source says the same again and again.
    pub quiet: bool,
}

/// Decides what a capture means: unchanged, or captured, with a diff where the config changed, and the drift that it begins,
/// changes or resolves.
pub fn judge(
    state: &State,
    name: &ServiceName,
    capture: Capture,
    policy: &Policy,
    now: Timestamp,
) -> Vec<Draft> {
    let actor = capture.actor.clone();
    let unknown = Service::default();
    let service = state.service(name.as_str()).unwrap_or(&unknown);
    let mut drafts: Vec<Draft> = drift::expire_service(name, service, policy, now);

    if repeats(service, &capture) {
        if capture.quiet {
            return drafts;
        }
        let Capture { digest, meta, .. } = capture;
        let unchanged = SnapshotUnchanged { digest, captured: service.captured_seq, meta };
        drafts.push(super::draft(name, actor.as_ref(), Event::SnapshotUnchanged(unchanged)));
        return drafts;
    }

    let first = !service.is_captured();
    let changed = service.config_digest != capture.config_digest;
    // From fields to text or back there is no diff to apply: the snapshot carries the config, the diff only counts.
    let other_kind = changed && !first && is_text(&service.config) != is_text(&capture.config);
    // A text that was captured under other rules is compared as it would be captured now, and the snapshot carries the config: what
    // the rules changed is no change of the document.
    let renewed = match changed && !first && !other_kind {
        true => renewed(&service.config, &capture, policy),
        false => None,
    };
    let keyframe = changed && (service.diffs + 1 >= KEYFRAME_DIFFS || renewed.is_some());
    let known = renewed.as_ref().unwrap_or(&service.config);
    let differs = changed && !first && *known != capture.config;
    let difference = differs.then(|| difference(known, &capture.config, policy));
    let drift = match changed {
        true => drift::news(service, &capture.config, policy, now),
        false => Vec::new(),
    };

    let provenance = provenance::news(&service.provenance, capture.provenance, &capture.config);
    let captured = SnapshotCaptured {
        digest: capture.digest,
        config_digest: capture.config_digest,
        format: capture.format,
        bytes: capture.bytes,
        normalisation: capture.normalisation,
        fields: capture.config.len() as u64,
        redacted: capture.redacted,
        redacted_by: capture.redacted_by,
        meta: capture.meta,
        provenance: BTreeMap::new(),
        blob: capture.blob,
        encoding: capture.encoding,
        warnings: capture.warnings,
        ..SnapshotCaptured::default()
    };
    let whole = (first || other_kind || keyframe).then_some(capture.config);
    let mut events: Vec<Event> =
        snapshot_parts(captured, whole, provenance).map(Event::SnapshotCaptured).collect();
    if let Some(difference) = difference {
        let to = state.seq + (drafts.len() + events.len()) as Seq;
        let changes = if other_kind { Vec::new() } else { difference.changes };
        let computed = DiffComputed { from: service.captured_seq, to, changes, ..difference };
        events.extend(diff_parts(computed).map(Event::DiffComputed));
    }
    events.extend(drift);
    drafts.extend(events.into_iter().map(|event| super::draft(name, actor.as_ref(), event)));
    drafts
}

/// Returns the text that a service has as it would be captured now, if that is another one.
fn renewed(known: &FlatConfig, capture: &Capture, policy: &Policy) -> Option<FlatConfig> {
    let format = capture.format.parse().unwrap_or(Format::Text);
    let text = normalise::renewed(known, format, &policy.volatile)?;
    Some(FlatConfig::from([(TEXT.to_owned(), Value::from(text))]))
}

/// Returns true if a document says nothing that the service's last one did not say: it is the same, or JSON, which has no
/// comments, with the same fields in another order or with other white space.
pub fn repeats(service: &Service, capture: &Capture) -> bool {
    let same_json = || {
        capture.format == JSON
            && service.format == JSON
            && service.config_digest == capture.config_digest
            && provenance::news(&service.provenance, capture.provenance.clone(), &capture.config).is_empty()
    };
    service.is_captured() && (service.digest == capture.digest || same_json())
}

fn is_text(config: &FlatConfig) -> bool {
    text_of(config).is_some()
}

/// The text of a text document's config.
fn text_of(config: &FlatConfig) -> Option<&str> {
    match config.get(TEXT) {
        Some(Value::String(text)) if config.len() == 1 => Some(text),
        _ => None,
    }
}

/// What changed from one config to another: fields, or the lines of two texts. Its place (`from`, `to`) is left at 0.
pub fn difference(old: &FlatConfig, new: &FlatConfig, policy: &Policy) -> DiffComputed {
    if let (Some(old), Some(new)) = (text_of(old), text_of(new)) {
        let found = text_diff(old, new);
        let severity = found.sections.iter().map(|s| policy.severity_of_section(&s.section)).max();
        return DiffComputed {
            changed: 1,
            severity: severity.or(Some(policy.severity_of_section(TEXT))),
            hunks: found.hunks,
            lines_added: found.lines_added,
            lines_removed: found.lines_removed,
            sections: found.sections,
            normalisation: rig_config::normalise::NORMALISATION,
            ..DiffComputed::default()
        };
    }
    let found = diff(old, new, policy);
    DiffComputed {
        added: found.added,
        removed: found.removed,
        changed: found.changed,
        moved: found.moved,
        severity: found.severity,
        changes: found.changes,
        ..DiffComputed::default()
    }
}

/// A snapshot as one event where config and provenance fit in one; else the parts of the config, then those of the provenance.
fn snapshot_parts(
    captured: SnapshotCaptured,
    config: Option<FlatConfig>,
    provenance: BTreeMap<String, String>,
) -> impl Iterator<Item = SnapshotCaptured> {
    let mut parts: Vec<(Option<FlatConfig>, BTreeMap<String, String>)> = match config {
        Some(config) => split::config(config).into_iter().map(|part| (Some(part), BTreeMap::new())).collect(),
        None => Vec::new(),
    };
    let mut sources = split::provenance(provenance);
    if let ([(config, beside)], [only]) = (&mut parts[..], &mut sources[..])
        && split::fit_together(config, only)
    {
        *beside = std::mem::take(only);
        sources.clear();
    }
    parts.extend(sources.into_iter().map(|part| (None, part)));
    if parts.is_empty() {
        parts.push((None, BTreeMap::new()));
    }
    let of = parts.len() as u32;
    (1..=of).zip(parts).map(move |(i, (config, provenance))| SnapshotCaptured {
        config,
        provenance,
        part: (of > 1).then_some((i, of)),
        ..captured.clone()
    })
}

fn diff_parts(mut computed: DiffComputed) -> impl Iterator<Item = DiffComputed> {
    let (changes, hunks) = (std::mem::take(&mut computed.changes), std::mem::take(&mut computed.hunks));
    let parts: Vec<(Vec<Change>, Vec<Hunk>)> = if hunks.is_empty() {
        split::changes(changes).into_iter().map(|changes| (changes, Vec::new())).collect()
    } else {
        split::hunks(hunks).into_iter().map(|hunks| (Vec::new(), hunks)).collect()
    };
    let mut sections = computed.sections;
    sections.truncate(MAX_SECTIONS);
    let whole = DiffComputed { changes: Vec::new(), hunks: Vec::new(), sections: Vec::new(), ..computed };
    let of = parts.len() as u32;
    (1..=of).zip(parts).map(move |(i, (changes, hunks))| DiffComputed {
        changes,
        hunks,
        part: (of > 1).then_some((i, of)),
        // Said once: with the part that takes effect.
        sections: if i == of { std::mem::take(&mut sections) } else { Vec::new() },
        ..whole.clone()
    })
}
