//! An event in words: one summary for the command line, the player and the dashboard.
//!
//! The words are here, and their looks are not: severities, verdicts, values and arrows are spans of their own, which each
//! program draws in its way.

use std::fmt::{self, Write as _};

use rig_config::told::inline;
use rig_event::event::{Against, DiffComputed, Drift, Request, SnapshotCaptured};
use rig_event::test::Test;
use rig_event::{Change, Event, Op, Severity, Verdict};
use serde_json::Value;

/// Number of fields that a summary names; the rest are counted.
const MOST: usize = 3;

/// Longest value of a label that a summary quotes, in characters.
const LABEL: usize = 40;

/// Longest description of a type that rig does not know, in characters.
const UNKNOWN: usize = 120;

/// Characters of a digest that are enough to compare by eye.
const DIGEST: usize = 12;

/// Longest string that a summary shows whole, in bytes.
const LONG: usize = 60;

/// A piece of a summary.
#[derive(Clone, Debug, PartialEq)]
pub enum Span {
    /// Words. Clients may have written them: make them safe for the medium before showing them.
    Text(String),
    /// A severity.
    Severity(Severity),
    /// A verdict.
    Verdict(Verdict),
    /// A value of a configuration, of any length.
    Value(Value),
    /// An arrow from what was to what is, or from the caller to the called.
    Arrow,
}

/// An event in words, without its seq, time, type, service and actor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary(pub Vec<Span>);

/// Describes an event. `line` is the event as it was recorded; a type that rig does not know is described by its fields.
pub fn summary(event: &Event, line: &[u8]) -> Summary {
    let mut words = Summary::default();
    words.describe(event, line);
    words
}

impl Summary {
    fn describe(&mut self, event: &Event, line: &[u8]) {
        match event {
            Event::SnapshotCaptured(e) => self.captured(e),
            Event::SnapshotUnchanged(e) => self.say(format_args!("the same document as in {}", e.captured)),
            Event::SnapshotRejected(e) => {
                self.text(&e.reason);
                if let (Some(line), Some(column)) = (e.line, e.column) {
                    self.say(format_args!(" (line {line}, column {column})"));
                }
            }
            Event::DiffComputed(e) => self.diff(e),
            Event::DriftDetected(e)
            | Event::DriftChanged(e)
            | Event::DriftResolved(e)
            | Event::DriftAccepted(e) => self.drift(e, "; accepted"),
            Event::DriftExpired(e) => self.drift(e, "; no longer accepted"),
            Event::BaselineApproved(e) => {
                self.say(format_args!("snapshot {}, {}", e.captured, digest(&e.config_digest)));
                if let Some(key) = &e.key_id {
                    self.say(format_args!(", signed with key {key}"));
                }
                self.because(e.reason.as_deref());
            }
            Event::BaselineRejected(e) => self.text(&e.reason),
            Event::BaselineDeclared(e) => {
                let fields = count(e.config.len() as u64, "field");
                self.say(format_args!("{fields}, {}", digest(&e.config_digest)));
                self.part(e.part);
                self.because(e.reason.as_deref());
            }
            Event::BaselineRevoked(e) | Event::BaselineWithdrawn(e) => {
                self.text(digest(&e.digest));
                self.because(e.reason.as_deref());
            }
            Event::ServiceStarting(e)
            | Event::ServiceHealthy(e)
            | Event::ServiceReady(e)
            | Event::ServiceFailed(e)
            | Event::ServiceStopping(e)
            | Event::ServiceStopped(e) => {
                let said: Vec<&str> = [&e.error, &e.message].into_iter().flatten().map(|t| &**t).collect();
                self.text(said.join(": "));
            }
            Event::ServiceLog(e) => self.text(e.data.trim_end()),
            Event::RequestCompleted(e) | Event::RequestFailed(e) => self.request(e),
            Event::GrpcCallCompleted(e) => {
                self.edge(&e.source, &e.target);
                self.say(format_args!(" {}/{} {}", e.grpc_service, e.method, e.grpc_status));
            }
            Event::KafkaRequestCompleted(e) | Event::ConnectionOpened(e) | Event::ConnectionClosed(e) => {
                self.edge(&e.source, &e.target);
                self.say(format_args!(", {} bytes in, {} out", e.bytes_in, e.bytes_out));
            }
            Event::EnvironmentUp(e)
            | Event::EnvironmentFailing(e)
            | Event::EnvironmentDestroying(e)
            | Event::EnvironmentDown(e) => {
                self.text(e.environment.as_deref().unwrap_or_default());
                self.because(e.error.as_deref());
            }
            Event::CollectFailed(e) => {
                self.text(&e.address);
                self.because(Some(&e.reason));
            }
            Event::CollectRecovered(e) => {
                self.say(format_args!("{} after {}", e.address, count(e.failures, "failure")));
            }
            Event::HostKeyPinned(e) | Event::HostKeyChanged(e) | Event::HostKeyForgotten(e) => {
                self.say(format_args!("{} {} {}", e.address, e.algorithm, e.fingerprint));
                if let Some(expected) = &e.expected {
                    self.say(format_args!(", not {expected}"));
                }
            }
            Event::NotifyBegan(e)
            | Event::NotifyEnded(e)
            | Event::NotifyDelivered(e)
            | Event::NotifyDropped(e)
            | Event::NotifyFailing(e)
            | Event::NotifyRecovered(e) => {
                self.text(&e.endpoint);
                if let (Some(stream), Some(upto)) = (&e.stream, e.upto) {
                    self.say(format_args!(" {stream}@{upto}"));
                }
                self.because(e.reason.as_deref());
            }
            Event::LogSealed(e) => self.say(format_args!("up to {}, {}", e.upto, digest(&e.chain))),
            Event::LogPruned(e) => {
                self.say(format_args!("{} before {}", count(e.events, "event"), e.first_seq))
            }
            Event::BlobCollected(e) => {
                let expired = count(e.expired, "original");
                self.say(format_args!("{expired} expired, {} that no event names", e.unnamed));
            }
            Event::AuditRawRead(e) => {
                self.say(format_args!("the original of {} in stream {}", e.captured, e.stream));
            }
            Event::TokenIssued(e) => {
                let (scopes, streams) = (e.scopes.join(","), e.streams.join(" "));
                self.say(format_args!("{} {}: {scopes} for {streams}", e.id, e.name));
            }
            Event::TokenRevoked(e) => self.say(format_args!("{} {}", e.id, e.name)),
            Event::TokenExpired(e) => self.say(format_args!("{} {}", e.id, e.name)),
            Event::AuditChanged(e) => {
                self.say(format_args!("{} {}", e.request, e.status));
                if let Some(stream) = &e.stream {
                    self.say(format_args!(" in {stream}"));
                }
            }
            Event::AuditAppended(e) => {
                let (events, requests) = (count(e.events, "event"), count(e.requests, "request"));
                self.say(format_args!("{events} by {requests} to {}", e.stream));
            }
            Event::AuditDenied(e) => {
                self.say(format_args!("{} from {}, {}", count(e.requests, "request"), e.peer, e.code));
            }
            Event::AuditUnchanged(e) => {
                self.say(format_args!("{} {} changed nothing", count(e.requests, "request"), e.request));
            }
            Event::TestStarted(e) | Event::TestPassed(e) | Event::TestFailed(e) | Event::TestSkipped(e)
                if !e.test.name.is_empty() || e.test.count.is_some() =>
            {
                self.test(&e.test);
            }
            Event::ProgressMissing(_)
            | Event::TestStarted(_)
            | Event::TestPassed(_)
            | Event::TestFailed(_)
            | Event::TestSkipped(_)
            | Event::Other(_) => self.fields(line),
        }
    }

    /// `tests/a.py › test_x at tests/a.py:22: ValueError: empty`, with the number of its try.
    fn test(&mut self, test: &Test) {
        match test.count {
            Some(number) if test.name.is_empty() => {
                self.say(format_args!("{} that the output does not name", count(number, "test")));
            }
            _ => self.text(test.full_name()),
        }
        if let Some(attempt) = test.attempt {
            self.say(format_args!(" (try {attempt})"));
        }
        if let Some(place) = test.place() {
            self.say(format_args!(" at {place}"));
        }
        if !test.message.is_empty() {
            self.say(format_args!(": {}", test.message));
        }
    }

    fn captured(&mut self, e: &SnapshotCaptured) {
        self.say(format_args!("{}, {}, {} bytes", e.format, count(e.fields, "field"), e.bytes));
        if e.redacted > 0 {
            self.say(format_args!(", {} redacted", e.redacted));
        }
        if let Some(encoding) = &e.encoding {
            self.say(format_args!(", {encoding}"));
        }
        for warning in &e.warnings {
            self.say(format_args!("; {}", warning.text));
        }
        self.part(e.part);
        for (key, value) in &e.meta {
            self.say(format_args!(", {key}={}", short(value, LABEL)));
        }
    }

    /// Describes a diff. Counts are left out if every change is named: a list shows its end only where there is room.
    fn diff(&mut self, e: &DiffComputed) {
        let changes: Vec<&Change> = e.changes.iter().filter(|change| change.op.is_difference()).collect();
        self.severity(e.severity);
        if e.hunks.is_empty() {
            let counts =
                [(e.added, "added"), (e.removed, "removed"), (e.changed, "changed"), (e.moved, "moved")];
            let is_named = (1..=MOST).contains(&changes.len()) && e.sections.is_empty();
            counts.iter().filter(|(n, _)| *n > 0 && !is_named).for_each(|(n, what)| {
                self.item(format_args!("{n} {what}"));
            });
        } else {
            if e.lines_added > 0 {
                self.item(format_args!("{} added", count(e.lines_added, "line")));
            }
            if e.lines_removed > 0 {
                self.item(format_args!("{} removed", count(e.lines_removed, "line")));
            }
        }
        if e.sections.is_empty() {
            self.list(&changes, |words, change| words.change(change));
        } else {
            self.list(&e.sections, |words, section| {
                words.say(format_args!("{}: {}", section.section, section.summary));
            });
        }
        if self.is_empty() {
            self.text("no difference");
        }
    }

    /// Describes a drift; `decided` is what the event says of the fields in `accepted`.
    fn drift(&mut self, e: &Drift, decided: &str) {
        self.0.push(Span::Verdict(e.verdict));
        if e.against == Against::Declared {
            self.text(" (declared)");
        }
        self.severity(e.severity);
        if e.fields.len() > MOST || e.fields.len() as u64 != e.differing {
            self.item(format_args!("{}", count(e.differing, "field")));
        }
        self.list(&e.fields, |words, field| words.text(&field.path));
        if !e.accepted.is_empty() {
            self.text(decided);
            self.list(&e.accepted, |words, change| words.text(&change.path));
        }
        if let Some(until) = e.until {
            self.say(format_args!(", until {until}"));
        }
        self.because(e.reason.as_deref());
    }

    fn request(&mut self, e: &Request) {
        self.edge(&e.source, &e.target);
        self.say(format_args!(" {} {}", e.method, e.path));
        if let Some(status) = e.status {
            self.say(format_args!(" {status}"));
        }
        if let Some(ms) = &e.latency_ms {
            self.say(format_args!(" {ms} ms"));
        }
        self.because(e.error.as_deref());
    }

    /// Describes an event by the fields of its line: its error or message, or all of them.
    fn fields(&mut self, line: &[u8]) {
        let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(line) else { return };
        let said = ["error", "message", "text", "note"].iter().find_map(|key| fields.get(*key)?.as_str());
        if let Some(said) = said.filter(|said| !said.is_empty()) {
            self.text(short(said, UNKNOWN));
            return;
        }
        const SHOWN_ELSEWHERE: [&str; 9] =
            ["seq", "ts", "timestamp", "type", "service", "environment", "more", "id", "actor"];
        let fields = fields.iter().filter(|(key, _)| !SHOWN_ELSEWHERE.contains(&key.as_str()));
        let said: Vec<String> = fields
            .map(|(key, value)| match value.as_str() {
                Some(text) => format!("{key}={text}"),
                None => format!("{key}={value}"),
            })
            .collect();
        self.text(short(&said.join(" "), UNKNOWN));
    }

    fn change(&mut self, Change { op, path, before, after, .. }: &Change) {
        match (before, after) {
            _ if *op == Op::Moved => self.say(format_args!("{path} moved")),
            (Some(before), Some(after)) => {
                self.say(format_args!("{path} "));
                let long = |value: &Value| {
                    value.as_str().is_some_and(|text| text.len() > LONG || text.contains('\n'))
                };
                if long(before) || long(after) {
                    // Cut to the same beginning, both would look the same.
                    let (before, after) = inline(before, after);
                    self.0.extend([
                        Span::Text(before.to_string()),
                        Span::Arrow,
                        Span::Text(after.to_string()),
                    ]);
                } else {
                    self.0.extend([Span::Value(before.clone()), Span::Arrow, Span::Value(after.clone())]);
                }
            }
            (None, Some(after)) => {
                self.say(format_args!("+{path} "));
                self.0.push(Span::Value(after.clone()));
            }
            (Some(_), None) => self.say(format_args!("-{path}")),
            (None, None) => self.text(path),
        }
    }

    fn edge(&mut self, source: &str, target: &str) {
        self.text(source);
        self.0.push(Span::Arrow);
        self.text(target);
    }

    fn severity(&mut self, severity: Option<Severity>) {
        if let Some(severity) = severity {
            self.item(format_args!(""));
            self.0.push(Span::Severity(severity));
        }
    }

    /// Adds one of several words that are separated by commas.
    fn item(&mut self, words: fmt::Arguments<'_>) {
        self.text(if self.is_empty() { "" } else { ", " });
        self.say(words);
    }

    fn part(&mut self, part: Option<(u32, u32)>) {
        if let Some((number, of)) = part {
            self.say(format_args!(", part {number} of {of}"));
        }
    }

    fn because(&mut self, reason: Option<&str>) {
        if let Some(reason) = reason {
            self.text(if self.is_empty() { "" } else { ", because: " });
            self.text(reason);
        }
    }

    /// Names the first few items and counts the rest.
    fn list<T>(&mut self, items: &[T], each: impl Fn(&mut Self, &T)) {
        for (number, item) in items.iter().take(MOST).enumerate() {
            self.text(match number {
                0 if self.is_empty() => "",
                0 => ": ",
                _ => ", ",
            });
            each(self, item);
        }
        if items.len() > MOST {
            self.say(format_args!(" and {} more", items.len() - MOST));
        }
    }

    fn say(&mut self, words: fmt::Arguments<'_>) {
        // A summary takes everything that is written to it.
        let _ = self.write_fmt(words);
    }

    fn text(&mut self, text: impl AsRef<str>) {
        let text = text.as_ref();
        match self.0.last_mut() {
            _ if text.is_empty() => {}
            Some(Span::Text(before)) => before.push_str(text),
            _ => self.0.push(Span::Text(text.to_owned())),
        }
    }

    /// Returns true if there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Write for Summary {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text(text);
        Ok(())
    }
}

/// The summary as plain text.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|span| match span {
            Span::Text(text) => f.write_str(text),
            Span::Severity(severity) => f.write_str(severity.as_str()),
            Span::Verdict(verdict) => f.write_str(verdict.as_str()),
            Span::Value(value) => write!(f, "{value}"),
            Span::Arrow => f.write_str(" -> "),
        })
    }
}

/// Returns a number with its noun: `1 field`, `2 fields`.
pub fn count(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// Cuts `text` to `most` characters; an ellipsis marks the cut.
pub fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Cuts a digest so that it is short enough to compare by eye; its scheme and key stay.
pub fn digest(digest: &str) -> String {
    match digest.rsplit_once(':') {
        Some((scheme, digits)) => format!("{scheme}:{}", short(digits, DIGEST)),
        None => short(digest, DIGEST),
    }
}

#[cfg(test)]
mod tests {
    use rig_event::Envelope;

    use super::*;

    #[track_caller]
    fn check(fields: &str, expected: &str) {
        let line = format!(r#"{{"seq":8,"ts":"2026-11-20T10:30:05.412803Z",{fields}}}"#);
        let envelope = Envelope::parse(line.as_bytes()).unwrap();
        assert_eq!(summary(&envelope.event, line.as_bytes()).to_string(), expected);
    }

    #[test]
    fn a_diff_names_its_first_changes_with_their_values() {
        let change = |path: &str| {
            format!(r#"{{"op":"changed","path":"{path}","before":1,"after":2,"severity":"low"}}"#)
        };
        let changes = ["a", "b", "c", "d"].map(change).join(",");
        check(
            &format!(
                r#""type":"diff.computed","service":"api","from":1,"to":2,"added":0,"removed":0,"changed":4,"severity":"low","changes":[{changes}]"#
            ),
            "low, 4 changed: a 1 -> 2, b 1 -> 2, c 1 -> 2 and 1 more",
        );
        check(
            r#""type":"diff.computed","service":"api","from":1,"to":2,"added":1,"removed":1,"changed":0,"moved":1,"changes":[
                {"op":"added","path":"a","after":{},"severity":"low"},{"op":"removed","path":"b","before":[],"severity":"low"},
                {"op":"equivalent","path":"c","before":1,"after":"1","severity":"low"},
                {"op":"moved","path":"l[name=x]","before":0,"after":1,"severity":"low"}]"#,
            "+a {}, -b, l[name=x] moved",
        );
    }

    #[test]
    fn a_drift_begins_with_its_verdict() {
        let field = r#"{"op":"changed","path":"port","before":1,"after":2,"severity":"high"}"#;
        let drift = |more: &str| {
            format!(
                r#""type":"drift.detected","service":"api","against":"baseline","verdict":"drifted","severity":"high",{more}"#
            )
        };
        check(&drift(&format!(r#""differing":1,"fields":[{field}]"#)), "drifted, high: port");
        check(&drift(&format!(r#""differing":9,"fields":[{field}]"#)), "drifted, high, 9 fields: port");
        check(
            r#""type":"drift.resolved","service":"api","against":"declared","verdict":"in-sync","differing":0"#,
            "in-sync (declared)",
        );
    }

    #[test]
    fn traffic_and_output_are_described() {
        check(
            r#""type":"request.completed","source":"order","target":"postgres","method":"POST","path":"/orders","status":201,"latency_ms":2"#,
            "order -> postgres POST /orders 201 2 ms",
        );
        check(r#""type":"service.log","service":"api","stream":"stdout","data":"up\n""#, "up");
        check(
            r#""type":"service.failed","service":"api","error":"exit code 1","message":"gone""#,
            "exit code 1: gone",
        );
    }

    #[test]
    fn a_type_that_is_not_known_is_described_by_its_fields() {
        check(r#""type":"deploy.done","service":"api","version":"4.1","nodes":3"#, "nodes=3 version=4.1");
        check(r#""type":"deploy.failed","message":"no room","nodes":3"#, "no room");
    }

    #[test]
    fn digests_keep_what_they_were_made_with() {
        assert_eq!(digest("hmac:k1:0123456789abcdef"), "hmac:k1:0123456789ab…");
        assert_eq!(digest("0123456789abcdef"), "0123456789ab…");
        assert_eq!(digest("sha256:ab"), "sha256:ab");
    }
}
