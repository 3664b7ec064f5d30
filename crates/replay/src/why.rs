//! Why something happened: the config changes and failures in an event's past, those first that are likely to have led to it.
//!
//! A recording knows of causes only where an event names one. For the rest this ranks what came before by what an engineer
//! would look at first: is it the same service, or one that this one calls (its upstreams, taken from the traffic)? Did it
//! happen after the same thing last worked? Does it speak of the same thing (a field called `timeout`, a request that timed out)?
//! Is it near? Every reason says what speaks for it. It is a heuristic, and says no more than that.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use rig_event::{Change, Envelope, Event, Seq, Severity, Timestamp};
use serde::Serialize;

use crate::identity::{identity, token};
use crate::timeline::Entry;
use crate::{Result, State, Timeline};

/// Most config changes that are looked at, the nearest.
pub const MAX_CHANGES: usize = 5_000;

/// Most failures that are looked at, the nearest.
pub const MAX_FAILURES: usize = 5_000;

/// Most events that are read to find when the same thing last worked.
pub const MAX_SAME: usize = 20_000;

/// Most links of `cause` that are followed.
pub const MAX_CHAIN: usize = 32;

/// Most changes that a reason lists.
pub const LISTED: usize = 20;

/// What speaks for an event having come about.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Why {
    /// The event.
    pub seq: Seq,
    /// The services that it is about.
    pub about: Vec<String>,
    /// The last time that the same thing worked, where the recording has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worked: Option<Seq>,
    /// The first time after that it failed as it does here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_since: Option<Seq>,
    /// The likeliest reasons, the likeliest first.
    pub reasons: Vec<Reason>,
    /// How many more there are.
    pub more: u64,
    /// Whether the past is longer than what was looked at.
    pub cut: bool,
}

/// Something in the past.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reason {
    /// Where.
    pub seq: Seq,
    /// When.
    pub ts: Timestamp,
    /// The type of event.
    pub r#type: String,
    /// The service it is about; of traffic, the one that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// How much speaks for it; only their order means something.
    pub score: u32,
    /// What speaks for it.
    pub because: Vec<String>,
    /// For a config change: the fields, those first that speak for it; at most 20.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// How many fields more.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_changes: u64,
    /// For a failure: how many of the same kind there were, this being the last.
    #[serde(skip_serializing_if = "is_zero")]
    pub times: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// How a service stands to the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Same,
    /// Called by it, over so many steps.
    Upstream(u32),
    /// It calls.
    Caller,
    /// It is not known to have anything to do with it, but nothing else is either: the event names no service.
    Somewhere,
}

/// Why the event at position `at` came about; at most `limit` reasons.
///
/// # Errors
/// As [`Timeline::envelope`].
pub fn why(timeline: &Timeline, at: usize, limit: usize) -> Result<Why> {
    let target = timeline.envelope(at)?;
    let line = timeline.line(at)?;
    let entry = timeline.entry(at);
    let state = timeline.state(at)?;
    let (about, spoken_of) = match about(&entry) {
        // A failed assertion names no service. What it speaks of is most likely what failed just before it.
        none if none.is_empty() => (none, spoken_of(timeline, at)),
        about => (about.clone(), about),
    };
    let relations = relations(&spoken_of, &state);
    let hints = Hints::of(&target.event, &line, &spoken_of);
    let scene = Scene { at, hints, relations, anywhere: spoken_of.is_empty(), ..Scene::default() };
    let scene = scene.worked(timeline, &target, &line)?;
    let mut reasons = chain(timeline, &target)?;
    let cut = scene.collect(timeline, &mut reasons)?;
    // A cause that is named need not be guessed.
    let mut seen = BTreeSet::new();
    reasons.sort_by(|a, b| b.score.cmp(&a.score).then(b.seq.cmp(&a.seq)));
    reasons.retain(|reason| seen.insert(reason.seq));
    let more = reasons.len().saturating_sub(limit) as u64;
    reasons.truncate(limit);
    Ok(Why {
        seq: target.seq,
        about,
        worked: scene.worked,
        failed_since: scene.failed_since,
        reasons,
        more,
        cut,
    })
}

/// A proxy is called after the services it stands between: `api~proxy~~test` speaks for `api`.
fn plain_name(name: &str) -> &str {
    name.split_once("~proxy").map_or(name, |(name, _)| name)
}

/// Returns true for the result of a test: like an assertion it names no service, for its own is the command that ran it.
fn is_test(entry: &Entry<'_>) -> bool {
    matches!(entry.type_name, "test.started" | "test.passed" | "test.failed" | "test.skipped")
}

/// How far back it is looked for what an event speaks of that names no service.
const NEAR: usize = 1_000;

/// What failed, or was refused, last before an event.
fn spoken_of(timeline: &Timeline, at: usize) -> Vec<String> {
    let near = at.saturating_sub(NEAR)..at;
    let failed = near
        .rev()
        .map(|at| timeline.entry(at))
        .find(|entry| (entry.failure || entry.status_class == Some(4)) && !self::about(entry).is_empty());
    failed.map(|entry| self::about(&entry)).unwrap_or_default()
}

fn about(entry: &Entry<'_>) -> Vec<String> {
    let mut about = Vec::new();
    if is_test(entry) {
        return about;
    }
    let edge = entry.edge.map(|(source, target)| [target, source]);
    for name in entry.service.into_iter().chain(edge.into_iter().flatten()).map(plain_name) {
        // The test itself is no service: it calls everything.
        if !name.is_empty() && !name.starts_with('~') && !about.iter().any(|known| known == name) {
            about.push(name.to_owned());
        }
    }
    about
}

/// Who is how far from the event: along calls, as far as they go; against them, one step.
fn relations(about: &[String], state: &State) -> HashMap<String, Relation> {
    let mut relations: HashMap<String, Relation> =
        about.iter().map(|name| (name.clone(), Relation::Same)).collect();
    let mut calls: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (source, targets) in &state.edges {
        calls.entry(plain_name(source)).or_default().extend(targets.keys().map(|target| plain_name(target)));
    }
    let mut next: VecDeque<(String, u32)> = about.iter().map(|name| (name.clone(), 0)).collect();
    while let Some((name, steps)) = next.pop_front() {
        for target in calls.get(name.as_str()).into_iter().flatten() {
            if !relations.contains_key(*target) {
                relations.insert((*target).to_owned(), Relation::Upstream(steps + 1));
                next.push_back(((*target).to_owned(), steps + 1));
            }
        }
    }
    for (source, targets) in calls {
        if about.iter().any(|name| targets.contains(name.as_str())) {
            relations.entry(source.to_owned()).or_insert(Relation::Caller);
        }
    }
    relations
}

/// The events that are named as causes, the nearest first.
fn chain(timeline: &Timeline, target: &Envelope) -> Result<Vec<Reason>> {
    let (mut reasons, mut seq, mut next) = (Vec::<Reason>::new(), target.seq, target.cause);
    while let Some(cause) = next.filter(|cause| *cause < seq && reasons.len() < MAX_CHAIN) {
        let Some(at) = timeline.position(cause) else { break };
        let envelope = timeline.envelope(at)?;
        let because = vec![format!("{seq} names it as its cause")];
        let mut reason = reason(&timeline.entry(at), &envelope, 2_000 - 10 * reasons.len() as u32, because);
        put_changes(&mut reason, &envelope, &Hints::default());
        reasons.push(reason);
        (seq, next) = (cause, envelope.cause);
    }
    Ok(reasons)
}

fn reason(entry: &Entry<'_>, envelope: &Envelope, score: u32, because: Vec<String>) -> Reason {
    let service = entry.service.or(entry.edge.map(|(_, target)| target)).map(str::to_owned);
    Reason {
        seq: entry.seq,
        ts: entry.ts,
        r#type: entry.type_name.to_owned(),
        service,
        actor: envelope.actor.clone(),
        score,
        because,
        changes: Vec::new(),
        more_changes: 0,
        times: 0,
    }
}

/// Lists the changes of a diff, those first that are hinted at. Gives the best hint.
fn put_changes(reason: &mut Reason, envelope: &Envelope, hints: &Hints) -> Option<(u32, String)> {
    let Event::DiffComputed(diff) = &envelope.event else { return None };
    let mut rated: Vec<(u32, Option<String>, &Change)> = diff
        .changes
        .iter()
        .map(|change| match hints.rate(change) {
            Some((points, why)) => (points, Some(why), change),
            None => (0, None, change),
        })
        .collect();
    rated.sort_by(|a, b| b.0.cmp(&a.0).then(b.2.severity.cmp(&a.2.severity)));
    reason.more_changes = rated.len().saturating_sub(LISTED) as u64;
    reason.changes = rated.iter().take(LISTED).map(|(_, _, change)| (*change).clone()).collect();
    rated.into_iter().next().and_then(|(points, why, _)| Some((points, why?)))
}

/// What the event says, in words that a field's name may have too.
#[derive(Clone, Debug, Default)]
struct Hints {
    words: BTreeSet<String>,
    text: String,
    about: Vec<String>,
}

impl Hints {
    fn of(event: &Event, line: &[u8], about: &[String]) -> Hints {
        let text = String::from_utf8_lossy(&line[..line.len().min(64 << 10)]).to_lowercase();
        let mut words: BTreeSet<String> = words(&text).collect();
        let status = match event {
            Event::RequestCompleted(e) | Event::RequestFailed(e) => e.status,
            _ => None,
        };
        let also: &[&str] = match status {
            Some(408 | 504) => &["timeout", "deadline"],
            Some(401 | 403 | 407) => &["password", "token", "secret", "user", "auth", "credential", "key"],
            Some(429 | 503) => &["limit", "rate", "pool", "max", "concurrency"],
            Some(502) => &["host", "port", "url", "address", "endpoint", "upstream"],
            _ => &[],
        };
        words.extend(also.iter().map(|word| (*word).to_owned()));
        let says = |what: &[&str]| what.iter().any(|what| text.contains(what));
        if says(&["timed out", "deadline exceeded", "timeout"]) {
            words.extend(["timeout", "deadline"].map(str::to_owned));
        }
        if says(&["refused", "no such host", "unreachable", "resolve"]) {
            words.extend(["host", "port", "url", "address", "endpoint"].map(str::to_owned));
        }
        Hints { words, text, about: about.to_vec() }
    }

    /// How much speaks for a changed field, and what.
    fn rate(&self, change: &Change) -> Option<(u32, String)> {
        let path = change.path.to_lowercase();
        if let Some(word) = words(&split_case(&change.path)).find(|word| self.words.contains(word)) {
            return Some((150, format!("`{}` and the event both speak of {word:?}", change.path)));
        }
        if let Some(name) =
            self.about.iter().find(|name| name.len() > 2 && path.contains(&name.to_lowercase()))
        {
            return Some((120, format!("`{}` names {name}", change.path)));
        }
        let value = change.after.as_ref().and_then(serde_json::Value::as_str).map(str::to_lowercase);
        let value = value.filter(|value| value.len() > 3 && self.text.contains(value.as_str()))?;
        let _ = value;
        Some((120, format!("the event repeats the value of `{}`", change.path)))
    }
}

/// `requestTimeout` is two words.
fn split_case(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_ascii_uppercase() {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let every = |word: &str| {
        ["type", "service", "source", "target", "path", "seq", "true", "false", "null", "http", "config"]
            .contains(&word)
    };
    text.split(|c: char| !c.is_ascii_alphabetic())
        .filter(|word| word.len() >= 3)
        .map(str::to_lowercase)
        .filter(move |word| !every(word))
}

/// What is known of the event when its past is looked through.
#[derive(Default)]
struct Scene {
    at: usize,
    hints: Hints,
    relations: HashMap<String, Relation>,
    /// Whether everything counts, since it is not known what the event is about.
    anywhere: bool,
    worked: Option<Seq>,
    failed_since: Option<Seq>,
}

impl Scene {
    /// Looks for the last time that the same thing worked.
    fn worked(mut self, timeline: &Timeline, target: &Envelope, line: &[u8]) -> Result<Scene> {
        let entry = timeline.entry(self.at);
        if !entry.failure {
            return Ok(self);
        }
        self.failed_since = Some(target.seq);
        let what = call(target).unwrap_or_else(|| identity(target, line));
        let mut read = 0;
        for at in (0..self.at).rev() {
            let other = timeline.entry(at);
            if let Some(service) = entry.service.filter(|_| entry.edge.is_none() && !is_test(&entry)) {
                // What is no call worked as long as its service was well.
                if other.service == Some(service)
                    && matches!(other.type_name, "service.ready" | "service.healthy")
                {
                    self.worked = Some(other.seq);
                    break;
                }
                continue;
            }
            if other.edge != entry.edge || other.edge.is_none() {
                continue;
            }
            read += 1;
            if read > MAX_SAME {
                break;
            }
            let envelope = timeline.envelope(at)?;
            if call(&envelope).as_ref() != Some(&what) {
                continue;
            }
            if other.failure {
                self.failed_since = Some(other.seq);
            } else {
                self.worked = Some(other.seq);
                break;
            }
        }
        Ok(self)
    }

    /// Collects what there is in the past. Says whether it is longer than that.
    fn collect(&self, timeline: &Timeline, reasons: &mut Vec<Reason>) -> Result<bool> {
        let (mut changes, mut failures, mut cut) = (0, 0, false);
        let mut same: HashMap<u64, usize> = HashMap::new();
        let mut first: HashMap<&str, usize> = HashMap::new();
        for at in (0..self.at).rev() {
            let entry = timeline.entry(at);
            if entry.type_name == "diff.computed" {
                changes += 1;
                if changes > MAX_CHANGES {
                    cut = true;
                } else if let Some(relation) = self.relation(&entry) {
                    reasons.push(self.change(timeline, at, relation)?);
                }
            } else if entry.type_name == "snapshot.captured" {
                if let Some(service) = entry.service {
                    first.insert(service, at);
                }
            } else if entry.failure && !is_test(&entry) {
                failures += 1;
                if failures > MAX_FAILURES {
                    cut = true;
                } else if let Some(relation) = self.relation(&entry) {
                    let envelope = timeline.envelope(at)?;
                    let key = token(&format!(
                        "{:?} {:?} {}",
                        entry.service,
                        entry.edge,
                        identity(&envelope, &timeline.line(at)?)
                    ));
                    if let Some(known) = same.get(&key) {
                        reasons[*known].times += 1;
                    } else {
                        same.insert(key, reasons.len());
                        reasons.push(self.failure(&entry, &envelope, relation));
                    }
                }
            }
        }
        let before = timeline.state(0)?;
        for (service, at) in first {
            let entry = timeline.entry(at);
            let was_there = before.service(service).is_some_and(crate::Service::is_captured);
            if let Some(relation) = self.relation(&entry).filter(|_| !was_there) {
                let envelope = timeline.envelope(at)?;
                let (points, mut because) = self.place(&entry, relation);
                because.push("its config was captured for the first time".to_owned());
                reasons.push(reason(&entry, &envelope, points, because));
            }
        }
        Ok(cut)
    }

    fn relation(&self, entry: &Entry<'_>) -> Option<Relation> {
        let of = |name: &str| self.relations.get(plain_name(name)).copied();
        if self.anywhere {
            return Some(Relation::Somewhere);
        }
        // Of a call that failed, it counts who was asked.
        entry
            .service
            .and_then(of)
            .or_else(|| entry.edge.and_then(|(source, target)| of(target).and(of(source)).and(of(target))))
    }

    /// What its place speaks for.
    fn place(&self, entry: &Entry<'_>, relation: Relation) -> (u32, Vec<String>) {
        let name = entry.service.or(entry.edge.map(|(_, target)| target)).unwrap_or_default();
        let (mut points, said) = match relation {
            Relation::Same => (600, format!("{name} is part of the event")),
            Relation::Upstream(1) => (500, format!("{name} is called by it")),
            Relation::Upstream(n) => (
                500_u32.saturating_sub(100 * (n - 1)).max(200),
                format!("{name} is called by it, over {n} steps"),
            ),
            Relation::Caller => (150, format!("{name} calls it")),
            Relation::Somewhere => (100, "the event names no service".to_owned()),
        };
        let mut because = vec![said];
        if let (Some(worked), Some(failed)) = (self.worked, self.failed_since)
            && (worked..failed).contains(&entry.seq)
        {
            points += 250;
            because.push(format!("the same worked at {worked}, before it, and failed at {failed}, after it"));
        } else if self.failed_since.is_some_and(|failed| entry.seq > failed) {
            points = points.saturating_sub(200);
            because.push("it failed before that already".to_owned());
        }
        // Each doubling of the distance takes a little.
        let distance = (self.at - entry.at) as u64;
        points += 100_u32.saturating_sub(8 * distance.ilog2());
        because.push(format!("{distance} event{} before", if distance == 1 { "" } else { "s" }));
        (points, because)
    }

    fn change(&self, timeline: &Timeline, at: usize, relation: Relation) -> Result<Reason> {
        let (entry, envelope) = (timeline.entry(at), timeline.envelope(at)?);
        let (mut points, mut because) = self.place(&entry, relation);
        points += 200;
        if let Event::DiffComputed(diff) = &envelope.event {
            points += match diff.severity {
                Some(Severity::Critical) => 60,
                Some(Severity::High) => 40,
                Some(Severity::Medium) => 20,
                _ => 0,
            };
        }
        let mut reason = reason(&entry, &envelope, 0, Vec::new());
        if let Some((hint, why)) = put_changes(&mut reason, &envelope, &self.hints) {
            points += hint;
            because.push(why);
        }
        (reason.score, reason.because) = (points, because);
        Ok(reason)
    }

    fn failure(&self, entry: &Entry<'_>, envelope: &Envelope, relation: Relation) -> Reason {
        let (mut points, because) = self.place(entry, relation);
        points += if entry.type_name == "service.failed" { 150 } else { 100 };
        Reason { times: 1, ..reason(entry, envelope, points, because) }
    }
}

/// What was asked, whatever the answer.
fn call(envelope: &Envelope) -> Option<String> {
    match &envelope.event {
        Event::RequestCompleted(e) | Event::RequestFailed(e) => {
            let path = e.path.split('?').next().unwrap_or_default();
            Some(format!("{} {}", e.method, crate::identity::normalised(path, crate::identity::Numbers::All)))
        }
        Event::GrpcCallCompleted(e) => Some(format!("{}/{}", e.grpc_service, e.method)),
        Event::KafkaRequestCompleted(_) => Some("kafka".to_owned()),
        _ => None,
    }
}
