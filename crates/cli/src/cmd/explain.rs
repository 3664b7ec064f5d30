//! `rig explain`: what broke in a recording, and what was changed before.

use std::fmt::Write as _;

use anyhow::Result;
use rig_event::Timestamp;
use rig_replay::explain::{self, ConfigChange, Explanation, Limits, Listed};
use rig_replay::tests::Tested;
use rig_replay::traffic::{Body, Exchange, Protocol};

use super::ReadArgs;
use crate::Answer;
use crate::output::{self, HEADING, Out, plain};
use crate::table;
use crate::timeline::Indexed;

/// Say what broke, and what was changed before it
///
/// Failed tests with their places and messages, failed assertions, crashes, failing requests with their bodies, what the services wrote to stderr around them, stalls, and the
/// config changes before the first failure, nearest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig explain session.jsonl
  rig explain session.jsonl.zst --markdown >> \"$GITHUB_STEP_SUMMARY\"
  rig explain http://127.0.0.1:7070/main --json --limit 5

Exit codes: 0 nothing failed; 1 something failed; 2 nothing failed as far as it could be read, which was not to the end.")]
pub struct Args {
    /// Show at most so many of each kind [default: 5, and 20 as JSON or Markdown]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print it as JSON
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print it as Markdown
    #[arg(long)]
    markdown: bool,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    // On a terminal what matters must fit on a screen.
    let items = args.limit.unwrap_or(if args.json || args.markdown { 20 } else { 5 });
    let mut limits = Limits { items, ..Limits::default() };
    if !(args.json || args.markdown) {
        limits.lines = limits.lines.min(items);
    }
    let indexed = args.read.source.timeline(None).await?;
    let it = explained(&indexed, limits)?;
    let mut out = Out::new();
    if args.json {
        out.json(&it)?;
    } else {
        let page = if args.markdown { Page::markdown() } else { Page::text() };
        out.line(page.render(&it).trim_end())?;
    }
    if args.read.strict {
        indexed.notes(true)?;
    }
    indexed.judged(it.is_failure())
}

/// Explains a recording as far as it can be read.
pub fn explained(indexed: &Indexed, limits: Limits) -> Result<Explanation> {
    let mut it = explain::explain(&indexed.timeline, limits)?;
    it.whole = indexed.doubt().is_none();
    Ok(it)
}

/// Says in a few words what failed first.
pub fn first_failure(it: &Explanation) -> Option<String> {
    let first = it.first_failure.as_ref()?;
    let assertion = it.assertions.items.iter().find(|assertion| assertion.seq == first.seq);
    if let Some(assertion) = assertion {
        let message = assertion.message.lines().next().unwrap_or_default();
        return Some(match (&assertion.file, assertion.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: {message}"),
            _ => message.to_owned(),
        });
    }
    if let Some(crash) = it.crashes.items.iter().find(|crash| crash.seq == first.seq) {
        let who = crash.service.as_deref().map_or_else(String::new, |who| format!("{who}: "));
        let error = crash.error.lines().next().unwrap_or_default();
        return Some(format!("{who}{} {error}", crash.type_name).trim_end().to_owned());
    }
    if let Some(exchange) = it.requests.items.iter().find(|exchange| exchange.row.seq == first.seq) {
        let row = &exchange.row;
        let status = row.status.as_deref().unwrap_or("no answer");
        return Some(format!("{} -> {} {} {}: {status}", row.source, row.target, row.method, row.path));
    }
    let mut text = first.type_name.clone();
    if !first.services.is_empty() {
        let _ = write!(text, " ({})", first.services.join(", "));
    }
    Some(text)
}

/// The page as it grows, for a terminal or as Markdown.
struct Page {
    text: String,
    markdown: bool,
}

/// The page of an explanation as Markdown, for those who put it into a larger one.
pub fn markdown(it: &Explanation) -> String {
    Page::markdown().render(it)
}

/// The page of an explanation as it stands on a terminal.
pub fn text(it: &Explanation) -> String {
    Page::text().render(it)
}

impl Page {
    fn text() -> Page {
        Page { text: String::new(), markdown: false }
    }

    fn markdown() -> Page {
        Page { text: String::new(), markdown: true }
    }

    fn heading(&mut self, title: &str) {
        if self.markdown {
            let _ = writeln!(self.text, "\n### {title}\n");
        } else {
            let _ = writeln!(self.text, "\n{}", output::styled(HEADING, title));
        }
    }

    /// An item of a list; what is foreign in it must be safe already.
    fn item(&mut self, text: &str) {
        let bullet = if self.markdown { "- " } else { "  " };
        let _ = writeln!(self.text, "{bullet}{text}");
    }

    /// Text that others wrote, on lines of its own below an item.
    fn block(&mut self, label: &str, text: &str) {
        const LINES: usize = 20;
        let lines: Vec<&str> = text.lines().collect();
        let more = lines.len().saturating_sub(LINES);
        let shown = lines.iter().take(LINES);
        if self.markdown {
            let fence = "`".repeat(longest_run(text).max(2) + 1);
            let _ = writeln!(self.text, "  {label}\n  {fence}");
            shown.for_each(|line| {
                let _ = writeln!(self.text, "  {}", plain(line));
            });
            let _ = writeln!(self.text, "  {fence}");
        } else {
            let indent = if label.is_empty() { "    " } else { "      " };
            if !label.is_empty() {
                let _ = writeln!(self.text, "    {label}");
            }
            shown.for_each(|line| {
                let _ = writeln!(self.text, "{indent}{}", plain(line));
            });
        }
        if more > 0 {
            let _ = writeln!(self.text, "      … {}", output::count(more as u64, "more line"));
        }
    }

    fn more<T>(&mut self, listed: &Listed<T>, what: &str) {
        if listed.more > 0 {
            self.item(&format!("… and {} more {what}", listed.more));
        }
    }

    /// A foreign word in running text.
    fn word(&self, text: &str) -> String {
        let text = plain(text);
        if !self.markdown {
            return text;
        }
        // A code span, so that nothing in it is taken for markup.
        let fence = "`".repeat(longest_run(&text) + 1);
        let pad = if text.starts_with('`') || text.ends_with('`') || text.is_empty() { " " } else { "" };
        format!("{fence}{pad}{text}{pad}{fence}")
    }

    fn render(mut self, it: &Explanation) -> String {
        self.head(it);
        self.tests(it);
        self.assertions(it);
        self.crashes(it);
        // Before the requests, which may be many: this is what people come for.
        self.changes(it);
        self.requests(it);
        self.stderr(it);
        self.stall(it);
        self.phases(it);
        self.text
    }

    fn head(&mut self, it: &Explanation) {
        let stream = self.word(&it.stream);
        let outcome = self.word(&it.outcome);
        let judged = if it.outcome_recorded { "" } else { " (judged by its events)" };
        let mut events = output::count(it.events as u64, "event");
        // Of a stream that goes on nobody recorded how long it took.
        if it.outcome_recorded || it.duration_ms > 0 {
            let _ = write!(events, ", {}", table::latency(it.duration_ms.saturating_mul(1000)));
        }
        if self.markdown {
            let _ = writeln!(self.text, "## {stream}: {outcome}{judged}\n\n{events}");
        } else {
            let stream = output::styled(HEADING, stream);
            let _ = writeln!(self.text, "{stream}: {outcome}{judged}, {events}");
        }
        match &it.first_failure {
            Some(first) => {
                let services: Vec<String> = first.services.iter().map(|s| self.word(s)).collect();
                let about =
                    if services.is_empty() { String::new() } else { format!(" ({})", services.join(", ")) };
                let type_name = self.word(&first.type_name);
                let line =
                    format!("first failure: seq {}, {type_name}{about} at {}", first.seq, clock(first.ts));
                let _ = writeln!(self.text, "{}{line}", if self.markdown { "\n" } else { "" });
            }
            None => {
                let what =
                    if it.whole { "nothing failed" } else { "nothing failed as far as it could be read" };
                let _ = writeln!(self.text, "{}{what}", if self.markdown { "\n" } else { "" });
            }
        }
        if let Some(damage) = &it.damage {
            let damage = self.word(damage);
            let _ = writeln!(self.text, "the recording is damaged and readable only up to there: {damage}");
        }
    }

    fn tests(&mut self, it: &Explanation) {
        if let Some(counts) = it.tests {
            let mut said = vec![output::count(counts.total, "test"), format!("{} passed", counts.passed)];
            for (number, what) in [
                (counts.failed, "failed"),
                (counts.flaky, "flaky"),
                (counts.skipped, "skipped"),
                (counts.unfinished, "unfinished"),
            ] {
                if number > 0 {
                    said.push(format!("{number} {what}"));
                }
            }
            let blank = if self.markdown { "\n" } else { "" };
            let _ = writeln!(self.text, "{blank}{}", said.join(", "));
        }
        self.listed_tests("Failed tests", &it.failed_tests);
        self.listed_tests("Tests that did not end", &it.unfinished_tests);
        self.listed_tests("Flaky tests: they failed, and passed when they were tried again", &it.flaky_tests);
    }

    fn listed_tests(&mut self, title: &str, tests: &Listed<Tested>) {
        if tests.items.is_empty() {
            return;
        }
        self.heading(title);
        for tested in &tests.items {
            let test = &tested.test;
            let name = match test.count {
                Some(number) if test.name.is_empty() => {
                    format!("{} that the output does not name", output::count(number, "test"))
                }
                _ => self.word(&test.full_name()),
            };
            let place = test.place().map_or(String::new(), |place| format!(" at {}", self.word(&place)));
            let message = if test.message.is_empty() {
                String::new()
            } else {
                format!(": {}", self.word(&test.message))
            };
            let guessed = if test.guessed { " (guessed)" } else { "" };
            self.item(&format!("[{}] {name}{place}{message}{guessed}", tested.seq));
            if self.markdown && !test.detail.is_empty() {
                self.block("", &test.detail);
            }
        }
        self.more(tests, "tests");
    }

    fn assertions(&mut self, it: &Explanation) {
        if it.assertions.items.is_empty() {
            return;
        }
        self.heading("Failed assertions");
        for assertion in &it.assertions.items {
            let place = match (&assertion.file, assertion.line) {
                (Some(file), Some(line)) => format!("{}: ", self.word(&format!("{file}:{line}"))),
                _ => String::new(),
            };
            let mut lines = assertion.message.lines();
            let first = self.word(lines.next().unwrap_or_default());
            self.item(&format!("[{}] {place}{first}", assertion.seq));
            let rest: Vec<&str> = lines.collect();
            if !rest.is_empty() {
                self.block("", &rest.join("\n"));
            }
        }
        self.more(&it.assertions, "failed assertions");
    }

    fn crashes(&mut self, it: &Explanation) {
        if it.crashes.items.is_empty() {
            return;
        }
        self.heading("Crashes");
        for crash in &it.crashes.items {
            let who = crash.service.as_deref().map_or(String::new(), |who| format!("{}: ", self.word(who)));
            let mut lines = crash.error.lines();
            let first = lines.next().map_or(String::new(), |line| format!(" {}", self.word(line)));
            self.item(&format!("[{}] {who}{}{first}", crash.seq, self.word(&crash.type_name)));
            let rest: Vec<&str> = lines.collect();
            if !rest.is_empty() {
                self.block("", &rest.join("\n"));
            }
        }
        self.more(&it.crashes, "crashes");
    }

    fn requests(&mut self, it: &Explanation) {
        if it.requests.items.is_empty() {
            return;
        }
        self.heading("Failing requests");
        for exchange in &it.requests.items {
            self.exchange(exchange);
        }
        self.more(&it.requests, "failing requests");
        if it.requests.total() > 1 {
            for failing in &it.failing.items {
                let (source, target) = (self.word(&failing.source), self.word(&failing.target));
                self.item(&format!(
                    "{} × {} from {source} to {target}, first {}",
                    failing.count, failing.status, failing.first_seq
                ));
            }
            self.more(&it.failing, "kinds of failing requests");
        }
    }

    fn exchange(&mut self, exchange: &Exchange) {
        let row = &exchange.row;
        let status = row.status.as_deref().unwrap_or("no answer");
        let latency = row.latency_us.map_or(String::new(), |us| format!(" in {}", table::latency(us)));
        let call = match row.protocol {
            Protocol::Grpc => format!("gRPC {}/{}", row.path, row.method),
            _ => format!("{} {}", row.method, row.path),
        };
        let (edge, call) = (self.word(&format!("{} -> {}", row.source, row.target)), self.word(&call));
        let status = self.word(status);
        self.item(&format!("[{}] {edge}  {call}  {status}{latency}", row.seq));
        if let Some(error) = &exchange.error {
            self.block("error:", error);
        }
        for (label, body) in [("sent:", &exchange.request_body), ("answered:", &exchange.response_body)] {
            if let Some(body) = body {
                self.block(label, &shown(body));
            }
        }
    }

    fn changes(&mut self, it: &Explanation) {
        if it.first_failure.is_none() {
            return;
        }
        if it.changes.items.is_empty() {
            return;
        }
        let marked = it.changes.items.iter().any(|change| change.involved);
        let legend = if marked { " (* in a service that has a part in it)" } else { "" };
        self.heading(&format!("Config changes before the first failure, nearest first{legend}"));
        for change in &it.changes.items {
            let line = self.change(change);
            self.item(&line);
        }
        self.more(&it.changes, "events that speak of configs");
    }

    fn change(&self, change: &ConfigChange) -> String {
        let mark = if change.involved { "*" } else { " " };
        let mut line = format!("[{}]{mark}{}", change.seq, self.word(&change.service));
        if let Some(what) = &change.what {
            let _ = write!(line, " {} {}", change.kind, self.word(what));
        }
        if let Some(path) = &change.path {
            let shown = match (&change.before, &change.after) {
                (Some(before), Some(after)) => {
                    format!("{} -> {}", output::value(before), output::value(after))
                }
                (Some(before), None) => format!("{} removed", output::value(before)),
                (None, Some(after)) => format!("{} added", output::value(after)),
                (None, None) => String::new(),
            };
            let _ = write!(line, " {}: {}", self.word(path), self.word(&shown));
        }
        if let Some(severity) = change.severity {
            let _ = write!(line, " ({severity})");
        }
        if let Some(who) = &change.who {
            let _ = write!(line, " by {}", self.word(who));
        }
        if let Some(origin) = &change.origin {
            let _ = write!(line, " from {}", self.word(origin));
        }
        let _ = write!(line, " at {}", clock(change.ts));
        line
    }

    fn stderr(&mut self, it: &Explanation) {
        if it.stderr.items.is_empty() {
            return;
        }
        self.heading("stderr around it");
        for piece in &it.stderr.items {
            let mut lines = piece.text.lines();
            let first = self.word(lines.next().unwrap_or_default());
            self.item(&format!("[{}] {}: {first}", piece.seq, self.word(&piece.service)));
            let rest: Vec<&str> = lines.collect();
            if !rest.is_empty() {
                self.block("", &rest.join("\n"));
            }
        }
        self.more(&it.stderr, "pieces of stderr of these services");
    }

    fn stall(&mut self, it: &Explanation) {
        let Some(stall) = &it.stall else { return };
        self.heading("Last stall");
        let stalled_for = self.word(&stall.stalled_for);
        self.item(&format!(
            "[{}] nothing went on for {stalled_for}; {}",
            stall.seq,
            output::count(stall.stalls as u64, "stall")
        ));
        for waiting in &stall.services {
            let waits = match waiting.waiting_on.as_slice() {
                [] => String::new(),
                names => format!(", waits for {}", self.word(&names.join(", "))),
            };
            self.item(&format!("{}: {}{waits}", self.word(&waiting.name), self.word(&waiting.phase)));
        }
    }

    fn phases(&mut self, it: &Explanation) {
        if it.phases.is_empty() {
            return;
        }
        self.heading("Phases");
        let phases: Vec<String> =
            it.phases.iter().map(|phase| format!("{} {}", phase.name, table::latency(phase.us))).collect();
        self.item(&phases.join(", "));
    }
}

/// The time of day; the date stands in the events.
fn clock(ts: Timestamp) -> String {
    let text = ts.to_string();
    text.get(..23).unwrap_or(&text).to_owned()
}

fn shown(body: &Body) -> String {
    let more = if body.truncated { " …" } else { "" };
    if body.binary {
        format!("{} binary bytes: {}{more}", body.bytes, body.text)
    } else {
        format!("{}{more}", body.text)
    }
}

/// The most backticks in a row.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}
