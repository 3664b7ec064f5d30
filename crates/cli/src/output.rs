//! Output for people: events as lines, values, tables, colours. A closed pipe is not a failure.

pub mod diff;
pub mod redaction;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use rig_event::value::DriftField;
use rig_event::{Change, Envelope, Op, Severity, Verdict};
use rig_replay::summary;
use rig_replay::summary::{Span, Summary};
use serde_json::Value;

pub use rig_replay::summary::{count, short};

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

/// Returns true if the stream should have colours: it is a terminal, and `NO_COLOR` does not forbid them.
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

/// Returns true if the cause of `error` is a reader that went away, as `rig tail … | head` does.
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

/// Names the first of several places, and says how many more there are.
pub fn places(all: &[String], most: usize) -> String {
    let named: Vec<String> = all.iter().take(most).map(|place| plain(place)).collect();
    let more = all.len().saturating_sub(most);
    named.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

/// Returns true for characters that turn the line around or break it and are not control characters.
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

/// Returns a severity in its colour.
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

/// Returns a verdict in its colour.
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

/// A digest short enough to compare by eye.
pub fn digest(digest: &str) -> String {
    plain(&rig_replay::summary::digest(digest))
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
            let said = drawn(&summary(&envelope.event, line));
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

/// Draws a summary: its words made safe for a terminal, the rest in colour.
fn drawn(summary: &Summary) -> String {
    let draw = |span: &Span| match span {
        Span::Text(text) => plain(text),
        Span::Severity(level) => severity(*level),
        Span::Verdict(is) => verdict(*is),
        Span::Value(of) => value(of),
        Span::Arrow => " -> ".to_owned(),
    };
    summary.0.iter().map(draw).collect()
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
