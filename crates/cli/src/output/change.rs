//! A field's change for the eye: `rig_config::told` decides what is shown of it, and here it gets its looks.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use rig_config::told::{Line, Piece, Pieces, Told, tell};
use rig_event::value::DriftField;
use rig_event::{Change, Op};

use super::{DIM, diff_line, plain, severity, sign, styled, value};

/// Maximum number of characters of two values that stand on one line.
const WIDE: usize = 150;

/// One field's change: `~ database.port: 5432 -> 5433  (critical)`. A long value follows on lines of its own, indented.
pub fn change(change: &Change) -> String {
    let (beside, below) = drawn(change, &tell(change));
    let mut line = format!("{} {}:{beside}", sign(change.op), plain(&change.path));
    // That something became null or stopped to be stands there already.
    if let Some((from, to)) = change.retyped().filter(|(from, to)| *from != "null" && *to != "null") {
        let _ = write!(line, "  ({from} -> {to})");
    }
    let _ = write!(line, "  ({})", severity(change.severity));
    below.iter().for_each(|below| line.push_str(&format!("\n  {below}")));
    line
}

/// One field of a drift, as [`change`].
pub fn drift_field(field: &DriftField) -> String {
    let DriftField { op, path, before, after, severity, accepted } = field.clone();
    let shown = change(&Change { op, path, before, after, severity });
    if !accepted {
        return shown;
    }
    let (first, rest) = shown.split_at(shown.find('\n').unwrap_or(shown.len()));
    format!("{first} {}{rest}", styled(DIM, "accepted"))
}

/// A change without its path, and what does not fit beside it.
pub fn values(change: &Change) -> (String, Vec<String>) {
    let (beside, below) = drawn(change, &tell(change));
    (format!("{}{beside}", sign(change.op)), below)
}

/// Lines that stand below others, indented further.
pub fn indented(text: &str, by: usize) -> String {
    text.replace('\n', &format!("\n{}", " ".repeat(by)))
}

/// Returns what stands beside the path, and the lines below it.
fn drawn(change: &Change, told: &Told) -> (String, Vec<String>) {
    match told {
        Told::Values(Some(before), Some(after)) if change.op == Op::Moved => {
            let moved = match before == after {
                true => format!(" moved past others, [{}] as before", pieces(after, Style::new())),
                false => {
                    format!(
                        " moved from [{}] to [{}]",
                        pieces(before, Style::new()),
                        pieces(after, Style::new())
                    )
                }
            };
            (moved, Vec::new())
        }
        Told::Values(Some(before), Some(after)) => {
            let length = |pieces: &Pieces| pieces.to_string().chars().count();
            let wide = length(before) + length(after) > WIDE;
            let (before, after) = (pieces(before, red().invert()), pieces(after, green().invert()));
            match wide {
                false => (format!(" {before} -> {after}"), Vec::new()),
                true => {
                    let lines = vec![
                        format!("{} {before}", styled(red(), "-")),
                        format!("{} {after}", styled(green(), "+")),
                    ];
                    (String::new(), lines)
                }
            }
        }
        Told::Values(Some(only), None) | Told::Values(None, Some(only)) => {
            (format!(" {}", pieces(only, Style::new())), Vec::new())
        }
        Told::Values(None, None) => (String::new(), Vec::new()),
        Told::Lines(lines) => (String::new(), lines.iter().map(line).collect()),
        Told::Fields(format, fields) => {
            let field = |(change, told): &(Change, Told)| {
                let (beside, below) = drawn(change, told);
                let first = format!("{} {}:{beside}", sign(change.op), plain(&change.path));
                std::iter::once(first)
                    .chain(below.into_iter().map(|line| format!("  {line}")))
                    .collect::<Vec<_>>()
            };
            (format!(" {}", styled(DIM, format!("{format}:"))), fields.iter().flat_map(field).collect())
        }
        Told::Element(fields) => {
            let field = |(path, told): &(String, Told)| {
                let (beside, below) = drawn(change, told);
                let path = if path.is_empty() { String::new() } else { format!("{} =", plain(path)) };
                std::iter::once(format!("{path}{beside}"))
                    .chain(below.into_iter().map(|line| format!("  {line}")))
                    .collect::<Vec<_>>()
            };
            (String::new(), fields.iter().flat_map(field).collect())
        }
    }
}

fn red() -> Style {
    Style::new().fg_color(Some(AnsiColor::Red.into()))
}

fn green() -> Style {
    Style::new().fg_color(Some(AnsiColor::Green.into()))
}

/// A value, with what is different in it in a style.
fn pieces(shown: &Pieces, different: Style) -> String {
    let draw = |piece: &Piece| match piece {
        Piece::Same(text) => plain(text),
        Piece::Changed(text) => styled(different, plain(text)),
        Piece::Secret(secret) => value(secret),
        Piece::Left(_) => styled(DIM, piece.left().unwrap_or_default()),
    };
    shown.0.iter().map(draw).collect()
}

/// A line of a text in its colour, with the words that differ in reverse.
fn line(line: &Line) -> String {
    let base = match line.sign {
        '-' => red(),
        '+' => green(),
        '@' => return styled(DIM, format!("  … {}", plain(&line.pieces.to_string()))),
        sign => return diff_line(&format!("{sign}{}", line.pieces)),
    };
    let draw = |piece: &Piece| match piece {
        Piece::Changed(text) => styled(base.invert(), plain(text)),
        piece => styled(base, plain(&Pieces(vec![piece.clone()]).to_string())),
    };
    let drawn: String = line.pieces.0.iter().map(draw).collect();
    format!("{}{drawn}", styled(base, line.sign))
}

#[cfg(test)]
mod tests {
    use rig_event::Severity;
    use serde_json::{Value, json};

    use super::*;

    fn shown(op: Op, before: Option<Value>, after: Option<Value>) -> String {
        let change = Change { op, path: "a.b".into(), before, after, severity: Severity::High };
        anstream::adapter::strip_str(&super::change(&change)).to_string()
    }

    #[test]
    fn a_change_shows_both_values_and_no_secret() {
        let secret = json!({"redacted":"hmac:k1:0123456789abcdef"});
        assert_eq!(
            shown(Op::Changed, Some(secret), Some(Value::Null)),
            "~ a.b: [redacted hmac:k1:0123456789abcdef] -> null  (high)"
        );
        assert_eq!(
            shown(Op::Changed, Some(json!("1")), Some(json!(1))),
            "~ a.b: \"1\" -> 1  (string -> number)  (high)"
        );
        assert_eq!(shown(Op::Moved, Some(json!(2)), Some(json!(0))), "> a.b: moved from [2] to [0]  (high)");
    }

    #[test]
    fn what_is_long_stands_below_its_path() {
        let file = |port: u16| json!(format!("a\nb\nc\nd\nlisten {port};\n"));
        assert_eq!(
            shown(Op::Changed, Some(file(80)), Some(file(81))),
            "~ a.b:  (high)\n   b\n   c\n   d\n  -listen 80;\n  +listen 81;"
        );
        let policy = |action: &str| {
            json!(format!(
                "{{\"Statement\":[{{\"Action\":\"{action}\",\"Resource\":\"{}\"}}]}}",
                "arn:".repeat(20)
            ))
        };
        assert_eq!(
            shown(Op::Changed, Some(policy("s3:Get")), Some(policy("s3:Put"))),
            "~ a.b: JSON:  (high)\n  ~ Statement[0].Action: \"s3:Get\" -> \"s3:Put\""
        );
        let element = json!({"name": "x".repeat(100), "text": "1\n2\n", "port": 1, "note": "n".repeat(50)});
        let lines = shown(Op::Added, None, Some(element));
        assert!(lines.starts_with("+ a.b:  (high)\n  name = \"xxx"), "{lines}");
        assert!(lines.contains("\n  port = 1\n  text =\n    +1\n    +2"), "{lines}");
    }
}
