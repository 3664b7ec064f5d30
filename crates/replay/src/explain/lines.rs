//! What stands on the lines of the events that matter.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Assertion, Crash, Explanation, Found, Limits, Listed, Piece, Stall, Waiting, cut, plain_name, said,
};
use crate::Result;
use crate::logs::Output;
use crate::tests::{Standing, Tests};
use crate::timeline::Timeline;
use crate::traffic::Exchange;

/// Reads the assertions, crashes, requests and the last stall.
pub(super) fn read(timeline: &Timeline, found: &Found, limits: Limits, it: &mut Explanation) -> Result<()> {
    it.assertions = listed(timeline, &found.assertions, limits.items, |at, line| {
        let value: Value = serde_json::from_slice(line).unwrap_or_default();
        let text = said(&value, "error").unwrap_or_default();
        let (file, line, message) = place(&text);
        let entry = timeline.entry(at);
        Some(Assertion { seq: entry.seq, ts: entry.ts, file, line, message: cut(message, limits.bytes) })
    })?;
    it.crashes = listed(timeline, &found.crashes, limits.items, |at, line| {
        let value: Value = serde_json::from_slice(line).unwrap_or_default();
        let entry = timeline.entry(at);
        let error = [said(&value, "error"), said(&value, "message")];
        let error = error.into_iter().flatten().collect::<Vec<_>>().join(": ");
        Some(Crash {
            seq: entry.seq,
            ts: entry.ts,
            type_name: entry.type_name.to_owned(),
            service: entry.service.map(str::to_owned).or_else(|| said(&value, "artifact")),
            error: cut(&error, limits.bytes),
        })
    })?;
    // What the target did not manage before what it refused; within each, in order.
    let broken = listed(timeline, &found.broken, limits.items, |_, line| Exchange::read(line, limits.bytes))?;
    let room = limits.items - broken.items.len().min(limits.items);
    let refused = listed(timeline, &found.refused, room, |_, line| Exchange::read(line, limits.bytes))?;
    it.requests.more = broken.more + refused.more;
    it.requests.items = broken.items.into_iter().chain(refused.items).collect();
    if let Some(last) = found.stalls.last() {
        let value: Value = serde_json::from_slice(&timeline.line(*last)?).unwrap_or_default();
        it.stall = Some(stall(timeline, *last, &value, found.stalls.len(), limits));
    }
    Ok(())
}

/// Takes out of the crashes the end of a command whose tests failed: an exit status is how it says that they did.
pub(super) fn without_failed_tests(timeline: &Timeline, tests: &Tests, found: &mut Found) -> Result<()> {
    let commands: BTreeSet<&str> =
        tests.that(Standing::Failed).filter_map(|test| test.service.as_deref()).collect();
    let mut ends = Vec::new();
    let of_command = |at: &usize| {
        let entry = timeline.entry(*at);
        entry.type_name == "service.failed" && entry.service.is_some_and(|name| commands.contains(name))
    };
    timeline.visit(found.crashes.iter().copied().filter(of_command), |at, line| {
        let value: Value = serde_json::from_slice(line).unwrap_or_default();
        if said(&value, "error").is_some_and(|error| error.starts_with("exit code ")) {
            ends.push(at);
        }
        Ok::<_, crate::Error>(())
    })?;
    found.crashes.retain(|at| !ends.contains(at));
    Ok(())
}

/// The first of some events, read by `read`.
fn listed<T>(
    timeline: &Timeline,
    positions: &[usize],
    most: usize,
    read: impl Fn(usize, &[u8]) -> Option<T>,
) -> Result<Listed<T>> {
    let mut items = Vec::new();
    timeline.visit(positions.iter().copied().take(most), |at, line| {
        items.extend(read(at, line));
        Ok::<_, crate::Error>(())
    })?;
    Ok(Listed { items, more: positions.len().saturating_sub(most) })
}

/// `file.go:42: message` taken apart; any other text is the message.
fn place(text: &str) -> (Option<String>, Option<u64>, &str) {
    let none = (None, None, text);
    let Some((file, rest)) = text.split_once(':') else { return none };
    let Some((line, message)) = rest.split_once(':') else { return none };
    match line.parse() {
        Ok(line) if !file.is_empty() && !file.contains(char::is_whitespace) => {
            (Some(file.to_owned()), Some(line), message.trim_start())
        }
        _ => none,
    }
}

fn stall(timeline: &Timeline, at: usize, value: &Value, stalls: usize, limits: Limits) -> Stall {
    let entry = timeline.entry(at);
    let diagnostic = value.get("diagnostic").unwrap_or(value);
    let text =
        |value: &Value| cut(&value.as_str().map_or_else(|| value.to_string(), str::to_owned), limits.bytes);
    let services = diagnostic.get("services").and_then(Value::as_array).into_iter().flatten();
    Stall {
        seq: entry.seq,
        ts: entry.ts,
        stalled_for: diagnostic.get("stalled_for").map(text).unwrap_or_default(),
        services: services
            .take(limits.items)
            .map(|service| Waiting {
                name: said(service, "name").unwrap_or_default(),
                phase: said(service, "phase").unwrap_or_default(),
                waiting_on: match service.get("waiting_on") {
                    Some(Value::Array(names)) => names.iter().map(text).collect(),
                    Some(Value::Null) | None => Vec::new(),
                    Some(name) => vec![text(name)],
                },
            })
            .collect(),
        stalls,
    }
}

/// The pieces of stderr that are nearest to event `focus`, of the services involved, or of all where none of those wrote.
pub(super) fn stderr(
    timeline: &Timeline,
    focus: usize,
    involved: &BTreeSet<String>,
    limits: Limits,
) -> Result<Listed<Piece>> {
    let is_involved = |at: &usize| {
        timeline.entry(*at).service.and_then(plain_name).is_some_and(|name| involved.contains(name))
    };
    let all: Vec<usize> = (0..timeline.len())
        .filter(|at| {
            let entry = timeline.entry(*at);
            entry.stderr && entry.type_name == "service.log"
        })
        .collect();
    let mut wanted: Vec<usize> = all.iter().copied().filter(is_involved).collect();
    if wanted.is_empty() && involved.is_empty() {
        wanted = all;
    }
    let after = wanted.partition_point(|at| *at < focus);
    // Mostly what came before, and what came of it.
    let half = limits.lines.div_ceil(2);
    let later = (wanted.len() - after).min(limits.lines - half.min(after));
    let start = after - after.min(limits.lines - later);
    let shown = &wanted[start..(start + limits.lines).min(wanted.len())];
    let mut items = Vec::new();
    timeline.visit(shown.iter().copied(), |_, line| {
        items.extend(Output::read(line).map(|output| Piece {
            seq: output.seq,
            ts: output.ts,
            service: output.service.into_owned(),
            text: cut(output.data.trim_end(), limits.bytes),
        }));
        Ok::<_, crate::Error>(())
    })?;
    Ok(Listed { more: wanted.len() - shown.len(), items })
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn an_assertion_names_its_place() {
        assert_eq!(
            place("a_test.go:84: expected 200: got 500"),
            (Some("a_test.go".into()), Some(84), "expected 200: got 500")
        );
        assert_eq!(place("expected: 200: got"), (None, None, "expected: 200: got"));
        assert_eq!(place("no place"), (None, None, "no place"));
    }
}
