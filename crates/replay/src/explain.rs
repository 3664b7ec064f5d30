//! What broke, and what was changed before: a recording read as an incident.
//!
//! Everything is bounded: of each list as many items as [`Limits`] says, and how many more there are. The rules for rigd's logs
//! are those of its own tool (docs/formats.md): assertions; requests with a status ≥ 400 and gRPC calls that are not OK, without
//! those before `environment.up` (start-up probes) and after `environment.destroying`; the first failure of each service;
//! what the services involved wrote to stderr; the last stall; the time each phase took.

mod changes;
mod lines;

use std::collections::{BTreeMap, BTreeSet};

use rig_event::session::Outcome;
use rig_event::{Seq, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::Result;
use crate::tests::{Standing, TestCounts, Tested, Tests, tests};
use crate::timeline::{Ending, Entry, Timeline};
use crate::traffic::{Exchange, Protocol};

pub use changes::ConfigChange;

/// How much is shown of what there is.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Items of each list.
    pub items: usize,
    /// Pieces of stderr.
    pub lines: usize,
    /// Bytes of a body, a message or a piece of stderr.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { items: 20, lines: 20, bytes: 1024 }
    }
}

/// The first items of a list, and how many more there are.
#[derive(Clone, Debug, Serialize)]
pub struct Listed<T> {
    /// The items that are shown.
    pub items: Vec<T>,
    /// How many there are beside them.
    pub more: usize,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Listed { items: Vec::new(), more: 0 }
    }
}

impl<T> Listed<T> {
    /// How many there are in all.
    pub fn total(&self) -> usize {
        self.items.len() + self.more
    }
}

/// What a recording says of an incident.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Explanation {
    /// Name of the stream or environment.
    pub stream: String,
    /// `passed`, `failed`, `crashed`, `interrupted` or `unknown`.
    pub outcome: String,
    /// Whether the recording says so itself; else it was judged by its events.
    pub outcome_recorded: bool,
    /// How long it took, in milliseconds, as it was recorded; else from the first event to the last.
    pub duration_ms: u64,
    /// How many events it has.
    pub events: usize,
    /// The first failure: the seq to look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<FirstFailure>,
    /// The numbers of tests by how they stand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tests: Option<TestCounts>,
    /// Tests that failed, also in a later try.
    pub failed_tests: Listed<Tested>,
    /// Tests that failed, and passed when they were tried again.
    pub flaky_tests: Listed<Tested>,
    /// Tests that have no end.
    pub unfinished_tests: Listed<Tested>,
    /// Assertions that failed.
    pub assertions: Listed<Assertion>,
    /// The first failure of each service, and of artifacts and the environment.
    pub crashes: Listed<Crash>,
    /// Requests and calls that failed, those without an answer or with a status ≥ 500 first.
    pub requests: Listed<Exchange>,
    /// How often which requests failed.
    pub failing: Listed<Failing>,
    /// The last time that nothing went on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall: Option<Stall>,
    /// What the services involved wrote to stderr, nearest to the first failure.
    pub stderr: Listed<Piece>,
    /// Config changes before the first failure, nearest first; `more` counts events.
    pub changes: Listed<ConfigChange>,
    /// How long each phase took.
    pub phases: Vec<Phase>,
    /// Where the recording cannot be read any further.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// Places that could not be read.
    pub passed_over: u64,
    /// True if everything was read, to the end of what was recorded. Else a failure may be missing here.
    pub whole: bool,
}

impl Explanation {
    /// Whether something failed.
    pub fn is_failure(&self) -> bool {
        self.first_failure.is_some() || matches!(self.outcome.as_str(), "failed" | "crashed")
    }
}

/// The first thing that failed.
#[derive(Clone, Debug, Serialize)]
pub struct FirstFailure {
    /// Its seq.
    pub seq: Seq,
    /// Its time.
    pub ts: Timestamp,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The services that it is about.
    pub services: Vec<String>,
}

/// An assertion that failed.
#[derive(Clone, Debug, Serialize)]
pub struct Assertion {
    /// Its seq.
    pub seq: Seq,
    /// Its time.
    pub ts: Timestamp,
    /// The source file, where the message names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// What it says.
    pub message: String,
}

/// Something that failed other than a request.
#[derive(Clone, Debug, Serialize)]
pub struct Crash {
    /// Its seq.
    pub seq: Seq,
    /// Its time.
    pub ts: Timestamp,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The service or artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The failures and errors of it.
    pub error: String,
}

/// Requests that failed in the same way.
#[derive(Clone, Debug, Serialize)]
pub struct Failing {
    /// Who asked.
    pub source: String,
    /// Who was asked.
    pub target: String,
    /// `5xx`, `4xx`, `no answer` or `gRPC`.
    pub status: &'static str,
    /// How many.
    pub count: usize,
    /// The first of them.
    pub first_seq: Seq,
}

/// A time in which nothing went on.
#[derive(Clone, Debug, Serialize)]
pub struct Stall {
    /// Its seq.
    pub seq: Seq,
    /// Its time.
    pub ts: Timestamp,
    /// For how long, as it was written.
    pub stalled_for: String,
    /// Who waited for what.
    pub services: Vec<Waiting>,
    /// How many stalls there were in all.
    pub stalls: usize,
}

/// A service that waits.
#[derive(Clone, Debug, Serialize)]
pub struct Waiting {
    /// Its name.
    pub name: String,
    /// How far it is.
    pub phase: String,
    /// What it waits for.
    pub waiting_on: Vec<String>,
}

/// A piece of stderr.
#[derive(Clone, Debug, Serialize)]
pub struct Piece {
    /// Its seq.
    pub seq: Seq,
    /// Its time.
    pub ts: Timestamp,
    /// Who wrote it.
    pub service: String,
    /// What was written.
    pub text: String,
}

/// A part of the run.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// `artifacts`, `startup`, `test` or `teardown`.
    pub name: &'static str,
    /// Its duration, in microseconds.
    pub us: u64,
}

/// Positions of what matters, found in one pass over the index.
#[derive(Default)]
struct Found {
    /// The first test that failed.
    tests: Option<usize>,
    assertions: Vec<usize>,
    crashes: Vec<usize>,
    /// Without an answer, or one that says that the target failed.
    broken: Vec<usize>,
    /// Answered with 4xx.
    refused: Vec<usize>,
    stalls: Vec<usize>,
    up: Option<usize>,
    destroying: Option<usize>,
    down: Option<usize>,
    artifacts: Option<(usize, usize)>,
    failing: BTreeMap<(String, String, &'static str), (usize, Seq)>,
}

/// Explains a recording.
///
/// # Errors
/// [`Error::Read`](crate::Error::Read), when its bytes cannot be read.
pub fn explain(timeline: &Timeline, limits: Limits) -> Result<Explanation> {
    let tests = tests(timeline)?;
    let mut found = find(timeline);
    found.tests = failed_tests(timeline, &tests);
    lines::without_failed_tests(timeline, &tests, &mut found)?;
    let first = first_failure(&found);
    let mut it = Explanation {
        stream: timeline.stream().to_owned(),
        events: timeline.len(),
        damage: timeline.damage().map(ToString::to_string),
        passed_over: timeline.passed_over().0,
        phases: phases(timeline, &found),
        ..Explanation::default()
    };
    list_tests(tests, limits, &mut it);
    lines::read(timeline, &found, limits, &mut it)?;
    it.failing = failing(&found, limits);
    if let Some(at) = first {
        let entry = timeline.entry(at);
        it.first_failure = Some(FirstFailure {
            seq: entry.seq,
            ts: entry.ts,
            type_name: entry.type_name.to_owned(),
            services: services_of(&entry).map(str::to_owned).collect(),
        });
        let involved = involved(timeline, &found);
        it.stderr = lines::stderr(timeline, at, &involved, limits)?;
        it.changes = changes::before(timeline, at, &involved, limits.items)?;
    }
    outcome(timeline, &mut it);
    Ok(it)
}

fn find(timeline: &Timeline) -> Found {
    let mut found = Found::default();
    let mut seen = BTreeSet::new();
    // Most events are of a few types: what a type is about is decided once.
    for at in 0..timeline.len() {
        let entry = timeline.entry(at);
        match entry.type_name {
            "service.log" | "connection.opened" | "connection.closed" | "kafka.request.completed" => {}
            "test.started" | "test.passed" | "test.failed" | "test.skipped" => {}
            "test.note" if entry.failure => found.assertions.push(at),
            "progress.stall" => found.stalls.push(at),
            "environment.up" => {
                found.up.get_or_insert(at);
            }
            "environment.destroying" => {
                found.destroying.get_or_insert(at);
            }
            "environment.down" => found.down = Some(at),
            "environment.failing" => found.crashes.push(at),
            name if Protocol::of(name).is_some() => {
                if entry.failure {
                    found.broken.push(at);
                } else if entry.status_class == Some(4) {
                    found.refused.push(at);
                }
            }
            name => {
                if name.starts_with("artifact.") {
                    let first = found.artifacts.map_or(at, |(first, _)| first);
                    found.artifacts = Some((first, at));
                }
                // The first of each service; what names none stands for itself.
                if entry.failure && entry.service.is_none_or(|name| seen.insert(name.to_owned())) {
                    found.crashes.push(at);
                }
            }
        }
    }
    let (up, destroying) = (found.up, found.destroying);
    let counts = |at: &usize| up.is_none_or(|up| *at > up) && destroying.is_none_or(|end| *at < end);
    found.broken.retain(counts);
    found.refused.retain(counts);
    for at in found.broken.iter().chain(&found.refused) {
        let entry = timeline.entry(*at);
        let status = match (Protocol::of(entry.type_name), entry.status_class) {
            (Some(Protocol::Grpc), _) => "gRPC",
            (_, Some(4)) => "4xx",
            (_, Some(_)) => "5xx",
            (_, None) => "no answer",
        };
        let (source, target) = entry.edge.unwrap_or_default();
        let key = (source.to_owned(), target.to_owned(), status);
        found.failing.entry(key).or_insert((0, entry.seq)).0 += 1;
    }
    found
}

/// The first that failed. A request that was refused (4xx) may be meant so: it counts only where nothing else failed and
/// something did (an assertion says so).
fn first_failure(found: &Found) -> Option<usize> {
    let hard = [found.broken.first(), found.crashes.first(), found.tests.as_ref()];
    let hard = hard.into_iter().flatten().min().copied();
    let assertion = found.assertions.first().copied();
    match (hard, assertion) {
        (Some(hard), Some(assertion)) => Some(hard.min(assertion)),
        (Some(hard), None) => Some(hard),
        // The assertion is the first word, but a refused request before it is what it speaks of.
        (None, Some(assertion)) => {
            Some(found.refused.first().map_or(assertion, |refused| assertion.min(*refused)))
        }
        (None, None) => None,
    }
}

/// The first test that failed, if the run did not pass all the same: then its tests are shown and decide nothing.
fn failed_tests(timeline: &Timeline, tests: &Tests) -> Option<usize> {
    let passed = matches!(timeline.ending(), Ending::Finished(footer) if footer.outcome == Outcome::Passed);
    let first = tests.that(Standing::Failed).map(|test| test.seq).min().filter(|_| !passed)?;
    timeline.position(first)
}

/// Tests that a list has at least, if there are so many.
const TESTS: usize = 20;

/// Lists the tests by how they stand.
fn list_tests(tests: Tests, limits: Limits, it: &mut Explanation) {
    it.tests = (tests.counts.total > 0 || !tests.all.is_empty()).then_some(tests.counts);
    for mut tested in tests.all {
        let into = match tested.standing {
            Standing::Failed => &mut it.failed_tests,
            Standing::Flaky => &mut it.flaky_tests,
            Standing::Unfinished => &mut it.unfinished_tests,
            Standing::Passed | Standing::Skipped => continue,
        };
        // Tests are what people come for: a page has more of them than of anything else.
        if into.items.len() < limits.items.max(TESTS) {
            tested.test.detail = cut(&tested.test.detail, limits.bytes);
            into.items.push(tested);
        } else {
            into.more += 1;
        }
    }
}

/// `api` of `api~proxy~~test`; the test itself is no service.
fn plain_name(name: &str) -> Option<&str> {
    let name = name.split("~proxy~").next().unwrap_or(name);
    (!name.is_empty() && name != "~test").then_some(name)
}

fn services_of<'a>(entry: &Entry<'a>) -> impl Iterator<Item = &'a str> + use<'a> {
    let (source, target) = entry.edge.unzip();
    // Who was asked comes first: it is more likely to be at fault.
    [entry.service, target, source].into_iter().flatten().filter_map(plain_name)
}

/// The services of everything that failed.
fn involved(timeline: &Timeline, found: &Found) -> BTreeSet<String> {
    const MOST: usize = 10_000;
    let all = found.broken.iter().chain(&found.crashes).chain(&found.refused).take(MOST);
    all.flat_map(|at| services_of(&timeline.entry(*at)).map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn failing(found: &Found, limits: Limits) -> Listed<Failing> {
    let mut all: Vec<Failing> = found
        .failing
        .iter()
        .map(|((source, target, status), (count, first_seq))| Failing {
            source: source.clone(),
            target: target.clone(),
            status,
            count: *count,
            first_seq: *first_seq,
        })
        .collect();
    all.sort_by_key(|f| (f.status == "4xx", std::cmp::Reverse(f.count), f.first_seq));
    let more = all.len().saturating_sub(limits.items);
    all.truncate(limits.items);
    Listed { items: all, more }
}

fn phases(timeline: &Timeline, found: &Found) -> Vec<Phase> {
    let time = |at: usize| timeline.entry(at).ts.as_micros();
    let last = timeline.len().saturating_sub(1);
    let span = |name, from: Option<usize>, to: Option<usize>| {
        let us = u64::try_from(time(to?).saturating_sub(time(from?))).unwrap_or(0);
        Some(Phase { name, us })
    };
    if timeline.is_empty() || (found.up.is_none() && found.artifacts.is_none()) {
        return Vec::new();
    }
    let artifacts_end = found.artifacts.map(|(_, end)| end);
    [
        span("artifacts", found.artifacts.map(|(start, _)| start), artifacts_end),
        span("startup", Some(artifacts_end.unwrap_or(0)), found.up),
        span("test", found.up, Some(found.destroying.unwrap_or(last))),
        span("teardown", found.destroying, Some(found.down.unwrap_or(last))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn outcome(timeline: &Timeline, it: &mut Explanation) {
    let reaches_end = !matches!(timeline.ending(), Ending::Unfinished | Ending::Torn(_) | Ending::Damaged);
    it.whole = reaches_end && it.damage.is_none() && it.passed_over == 0;
    let between =
        |from: Timestamp, to: Timestamp| to.as_micros().saturating_sub(from.as_micros()).max(0) as u64;
    if let Some(last) = timeline.len().checked_sub(1) {
        it.duration_ms = between(timeline.entry(0).ts, timeline.entry(last).ts) / 1000;
    }
    let recorded = match (timeline.ending(), timeline.rigd_header()) {
        // A hub that is asked for a stream as it is now writes this: nobody said how it ended, for it goes on.
        (Ending::Finished(footer), _)
            if footer.outcome == Outcome::Interrupted && footer.duration_ms == 0 =>
        {
            None
        }
        (Ending::Finished(footer), _) => {
            it.duration_ms = footer.duration_ms;
            Some(footer.outcome.as_str().to_owned())
        }
        (_, Some(header)) => {
            let ms = header.duration_ms.as_ref().and_then(|ms| crate::traffic::micros(&ms.to_string()));
            it.duration_ms = ms.map_or(it.duration_ms, |us| us / 1000);
            header.outcome.clone()
        }
        _ => None,
    };
    it.outcome_recorded = recorded.is_some();
    it.outcome = recorded.unwrap_or_else(|| {
        let failed = it.first_failure.is_some();
        if failed { "failed" } else { "unknown" }.to_owned()
    });
}

/// At most `most` bytes of a text, and whether something went.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}… ({} bytes more)", &text[..end], text.len() - end)
}

/// A string in an event or in its payload.
fn said(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
