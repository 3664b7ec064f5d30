//! What an event is, whatever run it happened in: ids, times, ports and counts of one run are left out.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use rig_event::{Envelope, Event};
use serde_json::Value;

/// How much of a text tells what it is, in bytes.
const TEXT: usize = 512;

/// Which numbers belong to one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// All.
    All,
    /// Those of five digits and more: line numbers and statuses stay.
    Large,
}

/// `text` with what belongs to one run replaced: `<n>` for a number, with its unit; `<id>` for uuids, hashes and other long
/// words with digits in them. Only its first 512 bytes count.
pub fn normalised(text: &str, numbers: Numbers) -> String {
    let end = (0..=TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let text = &text[..end];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if !first.is_ascii_alphanumeric() {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        // Uuids have dashes in them; other words end at the first that is no letter and no digit.
        if let Some(after) = uuid(rest) {
            out.push_str("<id>");
            rest = after;
            continue;
        }
        let len = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let (word, after) = rest.split_at(len);
        rest = after;
        put_word(&mut out, word, numbers);
    }
    out
}

fn put_word(out: &mut String, word: &str, numbers: Numbers) {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let is_hex = word.bytes().all(|b| b.is_ascii_hexdigit());
    let is_id = digits > 0
        && digits < word.len()
        && ((is_hex && word.len() >= 7) || (word.len() >= 8 && digits >= 2) || word.starts_with("0x"));
    if is_id || word.len() >= 32 && digits > 0 {
        out.push_str("<id>");
        return;
    }
    let mut rest = word;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(at);
        let len = number.bytes().take_while(u8::is_ascii_digit).count();
        out.push_str(before);
        rest = &number[len..];
        if numbers == Numbers::Large && len < 5 {
            out.push_str(&number[..len]);
            continue;
        }
        // `12.5` is one number, and so is `1m30s`.
        let joined = out.ends_with("<n>") || out.ends_with("<n>.");
        if !joined {
            out.push_str("<n>");
        } else if out.ends_with('.') {
            out.pop();
        }
        if let Some(unit) = ["ns", "us", "ms", "s", "m", "h"].into_iter().find(|unit| {
            rest.strip_prefix(unit)
                .is_some_and(|after| after.is_empty() || after.starts_with(|c: char| c.is_ascii_digit()))
        }) {
            rest = &rest[unit.len()..];
        }
    }
    out.push_str(rest);
}

/// What follows a uuid at the beginning of `text`.
fn uuid(text: &str) -> Option<&str> {
    let bytes = text.as_bytes().get(..36)?;
    let fits = bytes.iter().enumerate().all(|(i, b)| match i {
        8 | 13 | 18 | 23 => *b == b'-',
        _ => b.is_ascii_hexdigit(),
    });
    let after = text.get(36..)?;
    (fits && !after.starts_with(|c: char| c.is_ascii_alphanumeric())).then_some(after)
}

/// What happened, in one line that is the same in every run. `line` is the event's own line, for types that are not known here.
pub fn identity(envelope: &Envelope, line: &[u8]) -> String {
    let all = |text: &str| normalised(text, Numbers::All);
    let some = |text: &Option<String>| text.as_deref().map(all).unwrap_or_default();
    let name = envelope.event.type_name();
    match &envelope.event {
        Event::ServiceLog(e) => format!("{name} {} {}", e.stream, all(e.data.trim_end())),
        Event::ServiceStarting(e)
        | Event::ServiceHealthy(e)
        | Event::ServiceReady(e)
        | Event::ServiceFailed(e)
        | Event::ServiceStopping(e)
        | Event::ServiceStopped(e) => format!("{name} {} {}", some(&e.error), some(&e.message)),
        Event::RequestCompleted(e) | Event::RequestFailed(e) => {
            let status = e.status.map(|status| status.to_string()).unwrap_or_default();
            format!("{name} {} {} {status} {}", e.method, all(&e.path), some(&e.error))
        }
        Event::GrpcCallCompleted(e) => format!("{name} {}/{} {}", e.grpc_service, e.method, e.grpc_status),
        Event::EnvironmentUp(e)
        | Event::EnvironmentFailing(e)
        | Event::EnvironmentDestroying(e)
        | Event::EnvironmentDown(e) => format!("{name} {}", some(&e.error)),
        Event::DriftDetected(e)
        | Event::DriftChanged(e)
        | Event::DriftResolved(e)
        | Event::DriftAccepted(e)
        | Event::DriftExpired(e) => {
            let paths: Vec<&str> = e.fields.iter().map(|field| field.path.as_str()).collect();
            format!("{name} {} {}", e.verdict.as_str(), paths.join(","))
        }
        Event::TestStarted(e) | Event::TestPassed(e) | Event::TestFailed(e) | Event::TestSkipped(e)
            if !e.test.name.is_empty() =>
        {
            format!("{name} {}", e.test.full_name())
        }
        Event::ProgressMissing(_)
        | Event::TestStarted(_)
        | Event::TestPassed(_)
        | Event::TestFailed(_)
        | Event::TestSkipped(_)
        | Event::Other(_) => {
            let numbers = if envelope.event.family() == "test" { Numbers::Large } else { Numbers::All };
            let mut said = String::new();
            if let Ok(Value::Object(fields)) = serde_json::from_slice(line) {
                for (key, value) in fields {
                    if !HEAD.contains(&key.as_str()) {
                        put_value(&mut said, &key, &value, numbers, 0);
                    }
                }
            }
            format!("{name}{said}")
        }
        _ => name.to_owned(),
    }
}

/// What every event has, and where it happened.
const HEAD: &[&str] =
    &["seq", "ts", "timestamp", "type", "service", "environment", "id", "cause", "actor", "more"];

fn put_value(out: &mut String, key: &str, value: &Value, numbers: Numbers, depth: usize) {
    if depth > 8 || out.len() > 4 * TEXT {
        return;
    }
    match value {
        Value::String(text) => out.extend([" ", key, "=", &normalised(text, numbers)]),
        Value::Bool(flag) => out.extend([" ", key, if *flag { "=true" } else { "=false" }]),
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| put_value(out, key, value, numbers, depth + 1))
        }
        Value::Array(items) => {
            items.iter().take(16).for_each(|item| put_value(out, key, item, numbers, depth + 1))
        }
        Value::Null | Value::Number(_) => {}
    }
}

/// A number that stands for a text: the same in every run of the same build.
pub(crate) fn token(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn same(a: &str, b: &str) {
        assert_eq!(normalised(a, Numbers::All), normalised(b, Numbers::All));
    }

    #[test]
    fn what_belongs_to_one_run_is_left_out() {
        same("listening on 127.0.0.1:53121", "listening on 127.0.0.1:8080");
        same(
            "order 7f8c1f5e-3c2b-4a41-9d5f-0a1b2c3d4e5f took 12.5ms",
            "order 00000000-0000-0000-0000-000000000000 took 1m30s",
        );
        same(
            "2026-11-20T10:30:05.412Z commit 9fceb02d0ae598e9",
            "2025-01-02T03:04:05.1Z commit 0a1b2c3d4e5f6a7b",
        );
        same("session yxzqev53 begun", "session 4k2m9q7w begun");
        same("/orders/17?page=2", "/orders/4?page=11");
        assert_ne!(
            normalised("connection refused", Numbers::All),
            normalised("connection reset", Numbers::All)
        );
        assert_ne!(
            normalised("expected 200, got 500", Numbers::Large),
            normalised("expected 200, got 404", Numbers::Large)
        );
        assert_eq!(normalised("größer → 5", Numbers::All), "größer → <n>");
        assert_eq!(normalised(&"ä".repeat(400), Numbers::All).len(), TEXT);
    }
}
