//! Two recordings side by side: the first thing that the bad one did and the good one did not, and how their configs differ there.
//!
//! Events are aligned by what they are ([`identity`](crate::identity)), not by time or seq. They are sorted into *lanes* first: one
//! for the life of each service, one for each of its outputs, one for the traffic between two services, and so on. Inside a lane the
//! order counts; between lanes it does not, since services run at the same time. What comes again right away (polls, retries of
//! a health check) counts once. Each lane is aligned by Myers' algorithm in windows, with a budget for the whole: what two long
//! and quite different recordings cost is bounded, and [`Compared::cut`] says when the rest was not aligned.
//!
//! Not every difference is to blame. What only stands elsewhere in its lane, or comes more or less often, is counted as noise;
//! lines of output that only one of the two has are counted apart. Config events are no lane: configs are compared as states.

use std::collections::{HashMap, HashSet};

use rig_config::{Policy, diff};
use rig_event::event::family;
use rig_event::{Change, Seq, Timestamp};
use serde::Serialize;
use serde_json::Value;
use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::identity::{Numbers, identity, normalised, token};
use crate::timeline::Entry;
use crate::{Result, State, Timeline};

/// How many events of each lane are aligned at once.
const WINDOW: usize = 2_048;

/// About how many comparisons of two events one comparison of two recordings may take.
pub const BUDGET: u64 = 400_000_000;

/// Most differences that are listed beside the first.
pub const LISTED: usize = 20;

/// How many events are shown before the divergence.
pub const CONTEXT: usize = 5;

/// Most differences of a lane that are kept, failures and others each; more of them are only counted.
const MAX_FOUND: usize = 1_000;

/// Most changed fields that are listed.
pub const MAX_CHANGES: usize = 500;

/// What two recordings have in common, and what not.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Compared {
    /// Where they part: the first failure that only BAD has, or else the first other thing that only one of them has.
    pub divergence: Option<Divergence>,
    /// Other differences before and after it, by their place in BAD.
    pub others: Vec<Difference>,
    /// How many more there are.
    pub more: u64,
    /// How the configs differ at the divergence; without one, at the end.
    pub config: Vec<ServiceChange>,
    /// How many changed fields are not listed.
    pub more_config: u64,
    /// Secrets whose fingerprints were made with different keys: whether they differ cannot be said.
    pub incomparable: u64,
    /// Events that stand elsewhere in their lane, or come more or less often: these are not blamed.
    pub noise: u64,
    /// Lines of output that only one of them has: not blamed either.
    pub output_lines: u64,
    /// Events that both have.
    pub aligned: u64,
    /// Whether the budget ended before the lanes did.
    pub cut: bool,
}

/// Where two recordings part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Divergence {
    /// What differs.
    #[serde(flatten)]
    pub difference: Difference,
    /// What the other recording has in its place in that lane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<Seen>,
    /// The last event before it in that lane that both have, as BAD has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Seen>,
    /// What BAD has just before it, of the services that are part of it.
    pub context: Vec<Seen>,
    /// How many events of GOOD had happened by then.
    pub good_at: usize,
    /// How many events of BAD had happened by then.
    pub bad_at: usize,
}

/// Something that only one of them has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// `bad`, or `good` for what is missing in BAD.
    pub only_in: Side,
    /// Whether it is a failure.
    pub failure: bool,
    /// Where it happens: `api`, `web -> api`, `api stderr`.
    pub lane: String,
    /// The event.
    #[serde(flatten)]
    pub event: Seen,
}

/// An event of one of the two.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Seen {
    /// Its seq there.
    pub seq: Seq,
    /// Its time there.
    pub ts: Timestamp,
    /// Its type.
    pub r#type: String,
    /// What it is, without what belongs to that run.
    pub what: String,
}

/// Which recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The one that went well.
    Good,
    /// The one that did not.
    Bad,
}

/// A field that GOOD and BAD have differently: `before` is what GOOD has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceChange {
    /// The service.
    pub service: String,
    /// The field.
    #[serde(flatten)]
    pub change: Change,
}

/// One event of a lane.
#[derive(Clone, Copy, Debug)]
struct Item {
    token: u64,
    /// Its position in its recording.
    at: u32,
}

#[derive(Default)]
struct Lane {
    good: Vec<Item>,
    bad: Vec<Item>,
}

/// A difference before it is written out.
#[derive(Clone, Copy, Debug)]
struct Found {
    side: Side,
    failure: bool,
    lane: usize,
    /// Its position in its own recording.
    at: usize,
    /// Up to where BAD and GOOD had come in that lane.
    bad_at: usize,
    good_at: usize,
    /// What they share last in that lane, in BAD.
    after: Option<usize>,
    instead: Option<usize>,
}

/// Compares two recordings.
///
/// # Errors
/// As [`Timeline::envelope`] and [`Timeline::state`].
pub fn compare(good: &Timeline, bad: &Timeline) -> Result<Compared> {
    let mut lanes = Lanes::default();
    lanes.read(good, Side::Good)?;
    lanes.read(bad, Side::Bad)?;
    let mut compared = Compared::default();
    let mut found = Vec::new();
    let mut budget = BUDGET;
    for lane in 0..lanes.lanes.len() {
        lanes.align(lane, (good, bad), &mut budget, &mut compared, &mut found);
    }
    // What happened first in BAD. What is missing there stands where it would have come.
    found.sort_by_key(|found| (found.bad_at, found.side == Side::Good, found.good_at, found.lane));
    let first =
        found.iter().position(|found| found.failure).or(if found.is_empty() { None } else { Some(0) });
    let (mut good_at, mut bad_at) = (good.len(), bad.len());
    if let Some(first) = first {
        let first = found.remove(first);
        let divergence = lanes.divergence(&first, good, bad)?;
        (good_at, bad_at) = (divergence.good_at, divergence.bad_at);
        compared.divergence = Some(divergence);
    }
    for other in found.iter().take(LISTED) {
        compared.others.push(lanes.difference(other, good, bad)?);
    }
    compared.more += found.len().saturating_sub(LISTED) as u64;
    config_difference(&good.state(good_at)?, &bad.state(bad_at)?, &mut compared);
    Ok(compared)
}

#[derive(Default)]
struct Lanes {
    ids: HashMap<String, usize>,
    names: Vec<String>,
    lanes: Vec<Lane>,
    /// Lanes of output.
    output: HashSet<usize>,
}

impl Lanes {
    fn read(&mut self, timeline: &Timeline, side: Side) -> Result<()> {
        let mut line = Vec::new();
        for at in 0..timeline.len() {
            let entry = timeline.entry(at);
            // Config is compared as states; seals and audits say nothing of what was recorded.
            if matches!(family(entry.type_name), "snapshot" | "diff" | "log" | "audit") {
                continue;
            }
            timeline.read_line(at, &mut line)?;
            let what = identity(&timeline.parse(&line)?, &line);
            let id = self.lane(&entry);
            let lane = match side {
                Side::Good => &mut self.lanes[id].good,
                Side::Bad => &mut self.lanes[id].bad,
            };
            let token = token(&what);
            if lane.last().is_none_or(|last| last.token != token) {
                lane.push(Item { token, at: u32::try_from(at).unwrap_or(u32::MAX) });
            }
        }
        Ok(())
    }

    fn lane(&mut self, entry: &Entry<'_>) -> usize {
        let output = entry.type_name == "service.log";
        let name = match (entry.edge, entry.service) {
            (Some((source, target)), _) if family(entry.type_name) == "connection" => {
                format!("{source} -> {target} connections")
            }
            (Some((source, target)), _) => format!("{source} -> {target}"),
            (None, Some(service)) if output => {
                format!("{service} {}", if entry.stderr { "stderr" } else { "stdout" })
            }
            (None, Some(service)) if family(entry.type_name) == "service" => service.to_owned(),
            (None, Some(service)) => format!("{service} {}", family(entry.type_name)),
            (None, None) => family(entry.type_name).to_owned(),
        };
        match self.ids.get(&name) {
            Some(id) => *id,
            None => {
                let id = self.lanes.len();
                self.lanes.push(Lane::default());
                self.names.push(name.clone());
                self.ids.insert(name, id);
                if output {
                    self.output.insert(id);
                }
                id
            }
        }
    }

    /// Aligns a lane, and adds what differs in it.
    fn align(
        &self,
        id: usize,
        (good, bad): (&Timeline, &Timeline),
        budget: &mut u64,
        compared: &mut Compared,
        found: &mut Vec<Found>,
    ) {
        let lane = &self.lanes[id];
        let is_output = self.output.contains(&id);
        let (old, new): (Vec<u64>, Vec<u64>) = (
            lane.good.iter().map(|item| item.token).collect(),
            lane.bad.iter().map(|item| item.token).collect(),
        );
        let ops = aligned(&old, &new, budget, &mut compared.cut);
        let known_good: HashSet<u64> = old.iter().copied().collect();
        let known_bad: HashSet<u64> = new.iter().copied().collect();
        // What was taken out here and put in there only stands elsewhere.
        let mut balance: HashMap<u64, i64> = HashMap::new();
        for op in &ops {
            match op.kind {
                Kind::Both => compared.aligned += 1,
                Kind::Good => *balance.entry(old[op.good]).or_default() += 1,
                Kind::Bad => *balance.entry(new[op.bad]).or_default() -= 1,
            }
        }
        // Other things, and failures: the first are what counts.
        let mut kept = [0; 2];
        let mut after = None;
        for op in &ops {
            let (side, token, position) = match op.kind {
                Kind::Both => {
                    after = Some(lane.bad[op.bad].at as usize);
                    continue;
                }
                Kind::Good => (Side::Good, old[op.good], lane.good[op.good].at as usize),
                Kind::Bad => (Side::Bad, new[op.bad], lane.bad[op.bad].at as usize),
            };
            let (timeline, known) = match side {
                Side::Good => (good, known_bad.contains(&token)),
                Side::Bad => (bad, known_good.contains(&token)),
            };
            let failure = side == Side::Bad && timeline.entry(position).failure;
            let left = balance.get_mut(&token);
            let surplus = match (side, left) {
                (Side::Good, Some(left)) if *left > 0 => {
                    *left -= 1;
                    true
                }
                (Side::Bad, Some(left)) if *left < 0 => {
                    *left += 1;
                    true
                }
                _ => false,
            };
            if is_output {
                compared.output_lines += u64::from(!known);
                compared.noise += u64::from(known);
            } else if surplus && (failure || !known) {
                if kept[usize::from(failure)] >= MAX_FOUND {
                    compared.more += 1;
                    continue;
                }
                kept[usize::from(failure)] += 1;
                let next =
                    |items: &[Item], i: usize, end: usize| items.get(i).map_or(end, |item| item.at as usize);
                found.push(Found {
                    side,
                    failure,
                    lane: id,
                    at: position,
                    bad_at: next(&lane.bad, op.bad, bad.len()),
                    good_at: next(&lane.good, op.good, good.len()),
                    after,
                    instead: match side {
                        Side::Bad => lane.good.get(op.good).map(|item| item.at as usize),
                        Side::Good => lane.bad.get(op.bad).map(|item| item.at as usize),
                    },
                });
            } else {
                compared.noise += 1;
            }
        }
    }

    fn difference(&self, found: &Found, good: &Timeline, bad: &Timeline) -> Result<Difference> {
        let timeline = if found.side == Side::Good { good } else { bad };
        Ok(Difference {
            only_in: found.side,
            failure: found.failure,
            lane: self.names[found.lane].clone(),
            event: seen(timeline, found.at)?,
        })
    }

    fn divergence(&self, found: &Found, good: &Timeline, bad: &Timeline) -> Result<Divergence> {
        let difference = self.difference(found, good, bad)?;
        let other = if found.side == Side::Good { bad } else { good };
        let own = if found.side == Side::Good { good.entry(found.at) } else { bad.entry(found.at) };
        let names: Vec<&str> = own
            .service
            .into_iter()
            .chain(own.edge.into_iter().flat_map(|(source, target)| [source, target]))
            .collect();
        let mut context = Vec::new();
        for at in (0..found.bad_at).rev().take(10_000) {
            let entry = bad.entry(at);
            let near = entry.service.is_some_and(|name| names.contains(&name))
                || entry
                    .edge
                    .is_some_and(|(source, target)| names.contains(&source) || names.contains(&target));
            if near && family(entry.type_name) != "log" {
                context.push(seen(bad, at)?);
                if context.len() == CONTEXT {
                    break;
                }
            }
        }
        context.reverse();
        Ok(Divergence {
            difference,
            instead: found.instead.map(|at| seen(other, at)).transpose()?,
            after: found.after.map(|at| seen(bad, at)).transpose()?,
            context,
            good_at: found.good_at,
            bad_at: found.bad_at,
        })
    }
}

fn seen(timeline: &Timeline, at: usize) -> Result<Seen> {
    let line = timeline.line(at)?;
    let envelope = timeline.parse(&line)?;
    let entry = timeline.entry(at);
    Ok(Seen {
        seq: entry.seq,
        ts: entry.ts,
        r#type: entry.type_name.to_owned(),
        what: identity(&envelope, &line),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Both,
    Good,
    Bad,
}

/// One step of an alignment, with the places in both that it has come to.
#[derive(Clone, Copy)]
struct Step {
    kind: Kind,
    good: usize,
    bad: usize,
}

/// Aligns two sequences, window by window.
fn aligned(good: &[u64], bad: &[u64], budget: &mut u64, cut: &mut bool) -> Vec<Step> {
    let mut steps = Vec::with_capacity(good.len().max(bad.len()));
    let (mut g, mut b) = (0, 0);
    while g < good.len() || b < bad.len() {
        // What is equal costs nothing.
        if good.get(g).is_some_and(|token| bad.get(b) == Some(token)) {
            steps.push(Step { kind: Kind::Both, good: g, bad: b });
            (g, b) = (g + 1, b + 1);
            continue;
        }
        let old = &good[g..good.len().min(g + WINDOW)];
        let new = &bad[b..bad.len().min(b + WINDOW)];
        let cost = (old.len() * new.len()) as u64;
        let is_last = g + old.len() == good.len() && b + new.len() == bad.len();
        let mut window = Vec::new();
        if cost > *budget {
            *cut = true;
            window.extend((0..old.len()).map(|i| Step { kind: Kind::Good, good: g + i, bad: b }));
            window.extend((0..new.len()).map(|i| Step { kind: Kind::Bad, good: g + old.len(), bad: b + i }));
        } else {
            for op in capture_diff_slices(Algorithm::Myers, old, new) {
                put(&mut window, op, g, b);
            }
            let edits = window.iter().filter(|step| step.kind != Kind::Both).count() as u64;
            *budget -= cost.min(edits * (old.len() + new.len()) as u64);
            // The end of a window is cut off from its counterpart, which may lie in the next.
            let last = window.iter().rposition(|step| step.kind == Kind::Both);
            if let (false, Some(last)) = (is_last, last) {
                window.truncate(last + 1);
            }
        }
        for step in &window {
            match step.kind {
                Kind::Both => (g, b) = (g + 1, b + 1),
                Kind::Good => g += 1,
                Kind::Bad => b += 1,
            }
        }
        steps.extend(window);
    }
    steps
}

fn put(steps: &mut Vec<Step>, op: DiffOp, g: usize, b: usize) {
    let (old, new) = (op.old_range(), op.new_range());
    if let DiffOp::Equal { .. } = op {
        steps.extend(old.zip(new).map(|(i, j)| Step { kind: Kind::Both, good: g + i, bad: b + j }));
        return;
    }
    steps.extend(old.clone().map(|i| Step { kind: Kind::Good, good: g + i, bad: b + new.start }));
    steps.extend(new.map(|j| Step { kind: Kind::Bad, good: g + old.end, bad: b + j }));
}

/// How the configs of two states differ, but for what belongs to one run.
fn config_difference(good: &State, bad: &State, compared: &mut Compared) {
    let policy = Policy::default();
    let names: std::collections::BTreeSet<_> = good.services.keys().chain(bad.services.keys()).collect();
    for name in names {
        let of = |state: &State| {
            state.service(name.as_str()).map(|service| service.config.clone()).unwrap_or_default()
        };
        for change in diff(&of(good), &of(bad), &policy).changes {
            match (&change.before, &change.after) {
                (Some(before), Some(after)) if key_of(before) != key_of(after) => compared.incomparable += 1,
                (Some(before), Some(after)) if is_same(&change.path, before, after) => {}
                _ if compared.config.len() >= MAX_CHANGES => compared.more_config += 1,
                _ => compared.config.push(ServiceChange { service: name.to_string(), change }),
            }
        }
    }
}

/// The id of the key that a fingerprint was made with; of any other value, nothing.
fn key_of(value: &Value) -> Option<&str> {
    value.get("redacted")?.as_str()?.split(':').nth(1)
}

/// Ports that the system gives out: one of these in a config is of one run.
const EPHEMERAL: std::ops::RangeInclusive<u64> = 32_768..=65_535;

/// Whether two values differ in nothing but what belongs to one run: an id, a time, a port that the system gave out. Numbers are
/// what configs are about, and count.
fn is_same(path: &str, before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::String(before), Value::String(after)) => {
            before.len() < 4_096 && normalised(before, Numbers::Large) == normalised(after, Numbers::Large)
        }
        (Value::Number(before), Value::Number(after)) => {
            let is_port = |n: &serde_json::Number| n.as_u64().is_some_and(|n| EPHEMERAL.contains(&n));
            path.to_lowercase().ends_with("port") && is_port(before) && is_port(after)
        }
        _ => false,
    }
}
