//! What a person sees: events as lines, values, tables, colours; and a pipe that closes is no failure.

pub mod diff;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use rig_event::value::DriftField;
use rig_event::{Change, Envelope, Event, Op, Severity, Verdict};
use serde_json::Value;

/// Standard output, with colours only where somebody sees them.
pub struct Out(anstream::AutoStream<io::StdoutLock<'static>>);

impl Out {
    /// Locks standard output.
    pub fn new() -> Out {
        Out(anstream::AutoStream::auto(io::stdout()).lock())
    }

    /// Writes a line and passes it on at once: whoever reads a pipe wants it now.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        self.0.write_all(text.as_ref().as_bytes()).map_err(not_printed)?;
        self.text("\n")
    }

    /// Writes a text as it is, all at once.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.0.write_all(text.as_bytes()).and_then(|()| self.0.flush()).map_err(not_printed)
    }

    /// Writes a value as indented JSON.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn json(&mut self, value: &impl serde::Serialize) -> anyhow::Result<()> {
        Ok(self.line(plain_json(serde_json::to_string_pretty(value)?))?)
    }
}

/// Why standard output does not take what is printed.
pub(crate) fn not_printed(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write standard output: {error}"))
}

impl Default for Out {
    fn default() -> Self {
        Out::new()
    }
}

/// Says something on standard error that is no part of the answer. When nobody listens there, nothing is lost.
pub fn note(text: impl std::fmt::Display) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Whether what is written there should have colours: somebody sees them, and `NO_COLOR` does not say otherwise.
pub fn is_coloured(stream: &impl anstream::stream::RawStream) -> bool {
    anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never
}

/// An error and its causes in one line; a cause that was quoted already is not told twice.
pub fn chain(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !said.contains(&cause) {
            let _ = write!(said, "{}{cause}", if said.is_empty() { "" } else { ": " });
        }
    }
    said
}

/// Whether the cause of `error` is a reader that went away, as `rig tail … | head` does.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// `text` as it may stand on a terminal: what would move the cursor, ring, or turn the line around is escaped.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if (c.is_control() && c != '\t') || steers(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether a character that is no control character turns the line around or breaks it.
pub(crate) fn steers(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A line as it was recorded: the bytes themselves for a program that reads them, on a terminal the same JSON made safe.
pub(crate) fn recorded(line: &[u8]) -> Cow<'_, [u8]> {
    if !io::stdout().is_terminal() {
        return line.into();
    }
    plain_json(String::from_utf8_lossy(line).into_owned()).into_bytes().into()
}

/// JSON as it may stand on a terminal. JSON itself escapes what lies below a blank; the rest can stand nowhere but in a text.
pub(crate) fn plain_json(json: String) -> String {
    let is_fine = |c: char| matches!(c, '\n' | '\t') || !(c.is_control() || steers(c));
    if json.chars().all(is_fine) {
        return json;
    }
    let mut shown = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if is_fine(c) {
            shown.push(c);
        } else if c == '\r' {
            // White space between tokens, as a tab is: JSON escapes both in a text.
            shown.push(' ');
        } else {
            shown.push_str(&format!("\\u{:04x}", u32::from(c)));
        }
    }
    shown
}

/// `text` cut to `most` characters, with an ellipsis where something went.
pub fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A value of a config on one line.
pub fn value(value: &Value) -> String {
    match value.get("redacted").and_then(Value::as_str) {
        Some(fingerprint) => format!("[redacted {}]", plain(fingerprint)),
        None => short(&plain(&value.to_string()), 72),
    }
}

/// `text` in a style; the codes are dropped again where nobody sees colours.
pub fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Bold, for headings.
pub const HEADING: Style = Style::new().bold();
/// For what is only there to be complete.
pub const DIM: Style = Style::new().dimmed();

/// How a severity looks.
pub fn severity(severity: Severity) -> String {
    let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    let style = match severity {
        Severity::Critical => colour(AnsiColor::Red).bold(),
        Severity::High => colour(AnsiColor::Red),
        Severity::Medium => colour(AnsiColor::Yellow),
        Severity::Low => DIM,
    };
    styled(style, severity.as_str())
}

/// How a verdict looks.
pub fn verdict(verdict: Verdict) -> String {
    let colour = match verdict {
        Verdict::Drifted => AnsiColor::Red,
        Verdict::Accepted => AnsiColor::Yellow,
        Verdict::InSync => AnsiColor::Green,
    };
    styled(Style::new().fg_color(Some(colour.into())), verdict.as_str())
}

/// `+`, `-`, `~` or `>` in its colour, before a field that was added, removed or changed, or an element that moved.
pub fn sign(op: Op) -> String {
    let (sign, colour) = match op {
        Op::Added => ("+", AnsiColor::Green),
        Op::Removed => ("-", AnsiColor::Red),
        Op::Changed => ("~", AnsiColor::Yellow),
        Op::Moved => (">", AnsiColor::Cyan),
        Op::Equivalent | Op::Placed => ("=", AnsiColor::White),
    };
    styled(Style::new().fg_color(Some(colour.into())), sign)
}

/// One field's change: `~ database.port: 5432 -> 5433  (critical)`.
pub fn change(change: &Change) -> String {
    let mut line = format!("{} {}: ", sign(change.op), plain(&change.path));
    match (&change.before, &change.after) {
        (Some(before), Some(after)) if change.op == Op::Moved => {
            let _ = match before == after {
                true => write!(line, "moved past others, [{}] as before", value(after)),
                false => write!(line, "moved from [{}] to [{}]", value(before), value(after)),
            };
        }
        (Some(before), Some(after)) => {
            let _ = write!(line, "{} -> {}", value(before), value(after));
        }
        (Some(only), None) | (None, Some(only)) => line.push_str(&value(only)),
        (None, None) => {}
    }
    // That something became null or stopped to be stands there already.
    if let Some((from, to)) = change.retyped().filter(|(from, to)| *from != "null" && *to != "null") {
        let _ = write!(line, "  ({from} -> {to})");
    }
    let _ = write!(line, "  ({})", severity(change.severity));
    line
}

/// One field of a drift, as [`change`].
pub fn drift_field(field: &DriftField) -> String {
    let DriftField { op, path, before, after, severity, accepted } = field.clone();
    let line = change(&Change { op, path, before, after, severity });
    if accepted { format!("{line} {}", styled(DIM, "accepted")) } else { line }
}

/// A line of a unified diff in its colour.
pub fn diff_line(line: &str) -> String {
    let colour = match line.as_bytes().first() {
        Some(b'+') => AnsiColor::Green,
        Some(b'-') => AnsiColor::Red,
        Some(b'@') => AnsiColor::Cyan,
        _ => return plain(line),
    };
    styled(Style::new().fg_color(Some(colour.into())), plain(line))
}

/// A number and its noun: `1 field`, `2 fields`.
pub fn count(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// A digest short enough to compare by eye: its last eight digits are dropped for its first.
pub fn digest(digest: &str) -> String {
    let (scheme, digits) = digest.rsplit_once(':').unwrap_or(("", digest));
    let joint = if scheme.is_empty() { "" } else { ":" };
    plain(&format!("{scheme}{joint}{}", short(digits, 12)))
}

/// An event on one line: seq, time, type, service, and what it says.
pub fn event(line: &[u8]) -> String {
    match Envelope::parse(line).or_else(|error| rig_event::rigd::parse(line).map_err(|_| error)) {
        Ok(envelope) => event_of(line, Some(envelope)),
        Err(error) => format!("     ?  {error}: {}", short(&plain(&String::from_utf8_lossy(line)), 120)),
    }
}

/// [`event`] for a line that was read already; `None` where it could not be.
pub fn event_of(line: &[u8], envelope: Option<Envelope>) -> String {
    match envelope {
        Some(envelope) => {
            let said = match &envelope.event {
                Event::Other(_) => short(&plain(&String::from_utf8_lossy(line)), 120),
                known => summary(known),
            };
            let time = envelope.ts.to_string();
            let mut shown = format!(
                "{:>6}  {}  {}  {:<14}  {said}",
                envelope.seq,
                styled(DIM, time.get(..23).unwrap_or(&time)),
                styled(HEADING, format!("{:<18}", envelope.event.type_name())),
                plain(envelope.service.as_ref().map_or("-", |service| service.as_str())),
            );
            if let Some(actor) = &envelope.actor {
                let _ = write!(shown, "  by {}", plain(actor));
            }
            shown
        }
        None => format!("     ?  {}", short(&plain(&String::from_utf8_lossy(line)), 120)),
    }
}

fn listed(mut text: String, items: impl ExactSizeIterator<Item = String>) -> String {
    const MOST: usize = 3;
    let all = items.len();
    for (i, item) in items.take(MOST).enumerate() {
        text.push_str(if i == 0 { ": " } else { ", " });
        text.push_str(&item);
    }
    if all > MOST {
        let _ = write!(text, " and {} more", all - MOST);
    }
    text
}

/// What an event says, without its place.
fn summary(event: &Event) -> String {
    let mut text = String::new();
    match event {
        Event::SnapshotCaptured(e) => {
            text = format!("{}, {} bytes, {}", plain(&e.format), e.bytes, count(e.fields, "field"));
            if e.redacted > 0 {
                let _ = write!(text, ", {} redacted", e.redacted);
            }
            if let Some((i, n)) = e.part {
                let _ = write!(text, ", part {i} of {n}");
            }
            for (key, value) in &e.meta {
                let _ = write!(text, ", {}={}", plain(key), short(&plain(value), 40));
            }
        }
        Event::SnapshotUnchanged(e) => text = format!("the same document as in {}", e.captured),
        Event::SnapshotRejected(e) => {
            text = plain(&e.reason);
            if let (Some(line), Some(column)) = (e.line, e.column) {
                let _ = write!(text, " (line {line}, column {column})");
            }
        }
        Event::DiffComputed(e) => {
            text = if e.hunks.is_empty() {
                let moved = if e.moved > 0 { format!(", {} moved", e.moved) } else { String::new() };
                format!("{} added, {} removed, {} changed{moved}", e.added, e.removed, e.changed)
            } else {
                format!("{} and {} removed", count(e.lines_added, "line added"), e.lines_removed)
                    .replace("line addeds", "lines added")
            };
            if let Some(level) = e.severity {
                let _ = write!(text, " ({})", severity(level));
            }
            text = if e.sections.is_empty() {
                listed(text, diff::told(&e.changes).map(|c| plain(&c.path)).collect::<Vec<_>>().into_iter())
            } else {
                listed(
                    text,
                    e.sections.iter().map(|s| format!("{}: {}", plain(&s.section), plain(&s.summary))),
                )
            };
        }
        Event::DriftDetected(e)
        | Event::DriftChanged(e)
        | Event::DriftResolved(e)
        | Event::DriftAccepted(e)
        | Event::DriftExpired(e) => {
            text = format!("{}, {}", verdict(e.verdict), count(e.differing, "field"));
            if e.against == rig_event::event::Against::Declared {
                text.push_str(" of what is declared");
            }
            if let Some(level) = e.severity {
                let _ = write!(text, " ({})", severity(level));
            }
            text = listed(text, e.fields.iter().map(|f| plain(&f.path)));
            if !e.accepted.is_empty() {
                let ended = matches!(event, Event::DriftExpired(_));
                text.push_str(if ended { "; no longer accepted" } else { "; accepted" });
                text = listed(text, e.accepted.iter().map(|c| plain(&c.path)));
            }
            if let Some(until) = e.until {
                let _ = write!(text, ", until {until}");
            }
            if let Some(reason) = &e.reason {
                let _ = write!(text, ", because: {}", plain(reason));
            }
        }
        Event::BaselineApproved(e) => {
            text = format!("the config of {}, {}", e.captured, digest(&e.config_digest));
            if let Some(key) = &e.key_id {
                let _ = write!(text, ", signed with key {}", plain(key));
            }
            because(&mut text, e.reason.as_deref());
        }
        Event::BaselineRejected(e) => because(&mut text, Some(&e.reason)),
        Event::BaselineDeclared(e) => {
            text = format!("{}, {}", count(e.config.len() as u64, "field"), digest(&e.config_digest));
            if let Some((i, n)) = e.part {
                let _ = write!(text, ", part {i} of {n}");
            }
            because(&mut text, e.reason.as_deref());
        }
        Event::BaselineRevoked(e) | Event::BaselineWithdrawn(e) => {
            text = digest(&e.digest);
            because(&mut text, e.reason.as_deref());
        }
        Event::ServiceStarting(e)
        | Event::ServiceHealthy(e)
        | Event::ServiceReady(e)
        | Event::ServiceFailed(e)
        | Event::ServiceStopping(e)
        | Event::ServiceStopped(e) => {
            text =
                [&e.error, &e.message].into_iter().flatten().map(|t| plain(t)).collect::<Vec<_>>().join(": ");
        }
        Event::ServiceLog(e) => text = plain(e.data.trim_end()),
        Event::RequestCompleted(e) | Event::RequestFailed(e) => {
            text = plain(&format!("{} -> {} {} {}", e.source, e.target, e.method, e.path));
            if let Some(status) = e.status {
                let _ = write!(text, " {status}");
            }
            if let Some(ms) = &e.latency_ms {
                let _ = write!(text, " {ms} ms");
            }
            because(&mut text, e.error.as_deref());
        }
        Event::GrpcCallCompleted(e) => {
            text = plain(&format!(
                "{} -> {} {}/{} {}",
                e.source, e.target, e.grpc_service, e.method, e.grpc_status
            ));
        }
        Event::KafkaRequestCompleted(e) | Event::ConnectionOpened(e) | Event::ConnectionClosed(e) => {
            text =
                plain(&format!("{} -> {}, {} bytes in, {} out", e.source, e.target, e.bytes_in, e.bytes_out));
        }
        Event::EnvironmentUp(e)
        | Event::EnvironmentFailing(e)
        | Event::EnvironmentDestroying(e)
        | Event::EnvironmentDown(e) => {
            text = plain(e.environment.as_deref().unwrap_or_default());
            because(&mut text, e.error.as_deref());
        }
        Event::CollectFailed(e) => {
            text = plain(&e.address);
            because(&mut text, Some(&e.reason));
        }
        Event::CollectRecovered(e) => {
            text = plain(&format!("{} after {}", e.address, count(e.failures, "failure")));
        }
        Event::HostKeyPinned(e) | Event::HostKeyChanged(e) | Event::HostKeyForgotten(e) => {
            text = plain(&format!("{} {} {}", e.address, e.algorithm, e.fingerprint));
            if let Some(expected) = &e.expected {
                let _ = write!(text, ", not {}", plain(expected));
            }
        }
        Event::NotifyBegan(e)
        | Event::NotifyEnded(e)
        | Event::NotifyDelivered(e)
        | Event::NotifyDropped(e)
        | Event::NotifyFailing(e)
        | Event::NotifyRecovered(e) => {
            text = plain(&e.endpoint);
            if let (Some(stream), Some(upto)) = (&e.stream, e.upto) {
                let _ = write!(text, " {}@{upto}", plain(stream));
            }
            because(&mut text, e.reason.as_deref());
        }
        Event::LogSealed(e) => text = format!("up to {}, {}", e.upto, digest(&e.chain)),
        Event::LogPruned(e) => text = format!("{} before {}", count(e.events, "event"), e.first_seq),
        Event::BlobCollected(e) => {
            text = format!("{} expired, {} that no event names", count(e.expired, "original"), e.unnamed);
        }
        Event::AuditRawRead(e) => text = format!("the original of {} in stream {}", e.captured, e.stream),
        Event::TokenIssued(e) => {
            text = plain(&format!("{} {}: {} for {}", e.id, e.name, e.scopes.join(","), e.streams.join(" ")));
        }
        Event::TokenRevoked(e) => text = plain(&format!("{} {}", e.id, e.name)),
        Event::AuditChanged(e) => {
            text = format!("{} {}", plain(&e.request), e.status);
            if let Some(stream) = &e.stream {
                let _ = write!(text, " in {stream}");
            }
        }
        Event::AuditAppended(e) => {
            text =
                format!("{} by {} to {}", count(e.events, "event"), count(e.requests, "request"), e.stream);
        }
        Event::AuditDenied(e) => {
            text = plain(&format!("{} from {}, {}", count(e.requests, "request"), e.peer, e.code));
        }
        Event::Other(_) => {}
    }
    text
}

fn because(text: &mut String, reason: Option<&str>) {
    if let Some(reason) = reason {
        let _ = write!(text, "{}{}", if text.is_empty() { "" } else { ", because: " }, plain(reason));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_steer_a_terminal() {
        assert_eq!(plain("a\x1b[2Jb\u{202e}c\r\n"), "a\\u{1b}[2Jb\\u{202e}c\\r\\n");
        assert_eq!(plain("größer → ✓"), "größer → ✓");
    }

    #[test]
    fn a_cause_is_told_once() {
        use anyhow::Context as _;

        /// Quotes its source, as many do.
        #[derive(Debug)]
        struct Quoting(io::Error);
        impl std::fmt::Display for Quoting {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "cannot create d: {}", self.0)
            }
        }
        impl std::error::Error for Quoting {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }
        let error: anyhow::Result<()> = Err(Quoting(io::Error::other("it is there")).into());
        assert_eq!(chain(&error.context("no hub").unwrap_err()), "no hub: cannot create d: it is there");
        assert_eq!(chain(&anyhow::anyhow!("b").context("a")), "a: b");
    }

    #[test]
    fn an_event_reads_as_a_line() {
        let line = br#"{"seq":8,"ts":"2026-11-20T10:30:05.412803Z","type":"request.completed","source":"order","target":"postgres","method":"POST","path":"/orders","status":201,"latency_ms":2}"#;
        let shown = anstream::adapter::strip_str(&event(line)).to_string();
        assert_eq!(
            shown,
            "     8  2026-11-20T10:30:05.412  request.completed   -               order -> postgres POST /orders 201 2 ms"
        );
        assert!(event(b"{not json").contains("not an event"));
    }

    #[test]
    fn a_change_shows_both_values_and_no_secret() {
        let c = Change {
            op: Op::Changed,
            path: "db.password".into(),
            before: Some(serde_json::json!({"redacted":"hmac:k1:00ff"})),
            after: Some(Value::Null),
            severity: Severity::High,
        };
        let shown = anstream::adapter::strip_str(&change(&c)).to_string();
        assert_eq!(shown, "~ db.password: [redacted hmac:k1:00ff] -> null  (high)");
    }
}
