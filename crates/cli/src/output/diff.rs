//! A difference as people and programs want it: for the eye, as a unified diff, as Markdown for a pull request.

use std::fmt::Write as _;
use std::ops::Range;

use anstyle::{AnsiColor, Style};
use rig_config::text::changed_words;
use rig_config::told::{Piece, Pieces, Told, tell};
use rig_config::{Diff, FlatConfig, Hunk, TextDiff};
use rig_event::{Change, Op};
use serde_json::{Value, json};

use super::{DIM, change, count, diff_line, plain, severity, styled};

/// The most characters that a comment on GitHub may have.
pub const MARKDOWN_LIMIT: usize = 65_536;

/// Room for what is said of that which did not fit.
const MARKDOWN_REST: usize = 512;

/// Longest path in a cell of a table.
const CELL: usize = 200;

/// Longest value, which is short or an excerpt already.
const LONG_CELL: usize = 1_000;

/// `1 added, 2 changed`, of what there is; nothing where nothing differs.
pub fn tally(diff: &Diff) -> String {
    let counts =
        [(diff.added, "added"), (diff.removed, "removed"), (diff.changed, "changed"), (diff.moved, "moved")];
    // The first three are always said, so that a script finds them.
    let said =
        counts.iter().filter(|(n, what)| *n > 0 || *what != "moved").map(|(n, what)| format!("{n} {what}"));
    said.collect::<Vec<_>>().join(", ")
}

/// The difference of fields for the eye, a line a field and a tally. A long value has lines of its own.
pub fn fields(diff: &Diff) -> String {
    let mut out = String::new();
    for told in &diff.changes {
        let _ = writeln!(out, "{}", change(told));
    }
    if !diff.is_empty() {
        let severity = diff.severity.map(severity).unwrap_or_default();
        let _ = writeln!(out, "{} ({severity})", tally(diff));
    }
    out
}

/// A change as JSON, with the types where they changed.
pub fn change_json(change: &Change) -> Value {
    // Not by `json!`: it spells numbers anew.
    let mut value = rig_event::spelled::to_value(change).unwrap_or_default();
    if let (Some((from, to)), Some(fields)) = (change.retyped(), value.as_object_mut()) {
        fields.insert("retyped".to_owned(), json!({"from": from, "to": to}));
    }
    value
}

/// Both sides' fields as lines, `path: value`, for a unified diff. A string of several lines has a line for each of them,
/// indented below its path; so has one that holds JSON on both sides, for each of its own.
pub fn lines(old: &FlatConfig, new: &FlatConfig) -> (String, String) {
    let side = |config: &FlatConfig, other: &FlatConfig| {
        let mut out = String::new();
        for (path, value) in config {
            let block = block(value, other.get(path));
            let path = plain(path);
            match block {
                Some(block) => {
                    let _ = writeln!(out, "{path}:");
                    block.lines().for_each(|line| out.push_str(&format!("  {}\n", plain(line))));
                }
                None => drop(writeln!(out, "{path}: {}", plain(&value.to_string()))),
            }
        }
        out
    };
    (side(old, new), side(new, old))
}

/// The lines that a value is shown as, where it is not shown as one.
fn block(value: &Value, other: Option<&Value>) -> Option<String> {
    let pretty = |value: &Value| {
        let text =
            value.as_str().filter(|text| text.len() > 72 && text.trim_start().starts_with(['{', '[']))?;
        // Only where it says the same again: what JSON does not keep must not be lost.
        let parsed: Value = serde_json::from_str(text).ok()?;
        serde_json::to_string_pretty(&parsed).ok()
    };
    if let (Some(mine), Some(theirs)) = (pretty(value), other.and_then(pretty)) {
        // Where nothing but the spelling differs, that is what is shown.
        if mine != theirs || Some(value) == other {
            return Some(mine);
        }
    }
    let text = value.as_str().filter(|text| text.trim_end().contains('\n'))?;
    // A last line without an end is another thing than one with it.
    let end = if text.ends_with('\n') { "" } else { "\n\\ No newline at end of text" };
    Some(format!("{text}{end}"))
}

/// A unified diff of fields: behind each place stands the field that its first line belongs to.
pub fn unified_fields(old: &str, new: &str, lines: &(String, String)) -> String {
    let diff = rig_config::text_diff(&lines.0, &lines.1);
    let mut out = String::new();
    if diff.hunks.is_empty() {
        return out;
    }
    let _ = write!(out, "--- {}\n+++ {}\n", plain(old), plain(new));
    let fields: Vec<(u64, &str)> =
        (1..).zip(lines.0.lines()).filter(|(_, line)| !line.starts_with("  ")).collect();
    for hunk in &diff.hunks {
        let head = rig_config::unified(std::slice::from_ref(hunk));
        let (place, body) = head.split_at(head.find('\n').unwrap_or(head.len()));
        let at = fields.partition_point(|(line, _)| *line < hunk.old_start);
        let inside =
            hunk.lines.first().is_some_and(|line| line.get(1..).is_some_and(|line| line.starts_with("  ")));
        let above = at.checked_sub(1).and_then(|at| fields.get(at)).filter(|_| inside);
        let above = above.map(|(_, line)| format!(" {}", line.trim_end_matches(':'))).unwrap_or_default();
        let _ = write!(out, "{place}{above}{body}");
    }
    out
}

/// A unified diff for the eye: with colours, and where a line became another, the words that differ stand out.
pub fn hunks(hunks: &[Hunk]) -> String {
    let mut out = String::new();
    for hunk in hunks {
        let lines = &hunk.lines;
        let _ = writeln!(out, "{}", diff_line(&rig_config::text::place(hunk)));
        let is = |line: &String, sign: char| line.starts_with(sign);
        let mut at = 0;
        while at < lines.len() {
            let removed = lines[at..].iter().take_while(|line| is(line, '-')).count();
            let added = lines[at + removed..].iter().take_while(|line| is(line, '+')).count();
            let pairs = removed.min(added);
            let (mut olds, mut news) = (Vec::new(), Vec::new());
            for pair in 0..pairs {
                let (old, new) = (&lines[at + pair], &lines[at + removed + pair]);
                let (a, b) = changed_words(&old[1..], &new[1..]).unwrap_or_default();
                olds.push(worded(old, &a));
                news.push(worded(new, &b));
            }
            olds.extend(lines[at + pairs..at + removed].iter().map(|line| diff_line(line)));
            news.extend(lines[at + removed + pairs..at + removed + added].iter().map(|line| diff_line(line)));
            for line in olds.into_iter().chain(news) {
                let _ = writeln!(out, "{line}");
            }
            at += removed + added;
            if removed + added == 0 {
                let _ = writeln!(out, "{}", diff_line(&lines[at]));
                at += 1;
            }
        }
    }
    out
}

/// A line of a diff in its colour, with ranges of bytes behind its sign in reverse.
fn worded(line: &str, ranges: &[Range<usize>]) -> String {
    if ranges.is_empty() {
        return diff_line(line);
    }
    let colour = if line.starts_with('+') { AnsiColor::Green } else { AnsiColor::Red };
    let base = Style::new().fg_color(Some(colour.into()));
    let mut out = styled(base, &line[..1]);
    let mut at = 1;
    for range in ranges {
        let (start, end) = (range.start + 1, range.end + 1);
        if at < start {
            out.push_str(&styled(base, plain(&line[at..start])));
        }
        out.push_str(&styled(base.invert(), plain(&line[start..end])));
        at = end;
    }
    if at < line.len() {
        out.push_str(&styled(base, plain(&line[at..])));
    }
    out
}

/// The difference of texts for the eye: the unified diff, and a sentence a section.
pub fn text(old: &str, new: &str, diff: &TextDiff) -> String {
    if diff.hunks.is_empty() {
        return String::new();
    }
    let mut out = format!("--- {}\n+++ {}\n", plain(old), plain(new));
    out.push_str(&hunks(&diff.hunks));
    for section in &diff.sections {
        let _ = writeln!(out, "{}", plain(&format!("{}: {}", section.section, section.summary)));
    }
    out
}

/// A unified diff as tools read it, with the names of both sides; nothing where nothing differs.
pub fn unified(old: &str, new: &str, diff: &TextDiff) -> String {
    if diff.hunks.is_empty() {
        return String::new();
    }
    format!("--- {}\n+++ {}\n{}", plain(old), plain(new), rig_config::unified(&diff.hunks))
}

/// The difference of fields as Markdown, within what a comment on GitHub may have.
pub fn fields_markdown(old: &str, new: &str, diff: &Diff, unknown: &str) -> String {
    let mut out = heading(old, new);
    out.push_str(unknown);
    if diff.is_empty() {
        out.push_str(if unknown.is_empty() { "No difference.\n" } else { "No other difference.\n" });
        return out;
    }
    let level = diff.severity.map(|severity| format!(", severity **{severity}**")).unwrap_or_default();
    let _ = write!(
        out,
        "{}{level}\n\n| | field | before | after | severity |\n|---|---|---|---|---|\n",
        tally(diff)
    );
    let mut left: Vec<&Change> = diff.changes.iter().collect();
    // What matters most comes first, so that it is there when not all fits.
    left.sort_by_key(|change| std::cmp::Reverse(change.severity));
    let all = left.len();
    let mut below = String::new();
    for (shown, change) in left.iter().enumerate() {
        let (before, after) = cells(change, &mut below);
        let sign = match change.op {
            Op::Added => "➕",
            Op::Removed => "➖",
            Op::Moved => "↕",
            _ => "✏️",
        };
        let mut after = after;
        if let Some((from, to)) = change.retyped() {
            let _ = write!(after, " ({from} → {to})");
        }
        let row = format!(
            "| {sign} | {} | {} | {after} | {} |\n",
            code(&plain(&change.path), CELL),
            before,
            change.severity
        );
        if out.len() + row.len() + below.len() > MARKDOWN_LIMIT - MARKDOWN_REST {
            let _ = write!(out, "\n… and {} more, which do not fit here.\n", all - shown);
            return out;
        }
        out.push_str(&row);
    }
    out + &below
}

/// The cells of a change's values. What is no single line goes below the table, into a fenced diff.
fn cells(change: &Change, below: &mut String) -> (String, String) {
    let told = tell(change);
    if let Told::Values(before, after) = &told {
        let cell = |pieces: &Option<Pieces>| {
            let text = |piece: &Piece| match piece {
                Piece::Secret(secret) => super::value(secret),
                piece => plain(&Pieces(vec![piece.clone()]).to_string()),
            };
            let text: String = pieces.iter().flat_map(|pieces| &pieces.0).map(text).collect();
            code(&text, LONG_CELL)
        };
        return (cell(before), cell(after));
    }
    // As on a terminal, and without its colours.
    let (_, lines) = super::values(change);
    let lines: Vec<String> =
        lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
    let fence = "`".repeat(lines.iter().map(|line| longest_run(line)).max().unwrap_or(0).max(2) + 1);
    let _ = write!(below, "\n{}\n\n{fence}diff\n", code(&plain(&change.path), CELL));
    for (shown, line) in lines.iter().enumerate() {
        if below.len() + line.len() > MARKDOWN_LIMIT / 2 {
            let _ = writeln!(below, "… and {} more lines, which do not fit here", lines.len() - shown);
            break;
        }
        // A `~` is no sign of a diff.
        let sign = if line.starts_with('~') { "!" } else { "" };
        let _ = writeln!(below, "{sign}{}", if sign.is_empty() { line } else { &line[1..] });
    }
    let _ = writeln!(below, "{fence}");
    let see = || "see below".to_owned();
    (
        change.before.as_ref().map(|_| see()).unwrap_or_default(),
        change.after.as_ref().map(|_| see()).unwrap_or_default(),
    )
}

/// The difference of texts as Markdown, within the same bounds.
pub fn text_markdown(old: &str, new: &str, diff: &TextDiff, unknown: &str) -> String {
    let mut out = heading(old, new);
    out.push_str(unknown);
    if diff.hunks.is_empty() {
        out.push_str(if unknown.is_empty() { "No difference.\n" } else { "No other difference.\n" });
        return out;
    }
    let _ = writeln!(out, "{} added, {} removed\n", count(diff.lines_added, "line"), diff.lines_removed);
    for (shown, section) in diff.sections.iter().enumerate() {
        let line =
            format!("- {}: {}\n", code(&plain(&section.section), CELL), escaped(&plain(&section.summary)));
        if out.len() + line.len() > MARKDOWN_LIMIT / 4 {
            let _ = writeln!(out, "- … and {} more", diff.sections.len() - shown);
            break;
        }
        out.push_str(&line);
    }
    let lines = || diff.hunks.iter().flat_map(|hunk| &hunk.lines);
    let fence = "`".repeat(lines().map(|line| longest_run(line)).max().unwrap_or(0).max(2) + 1);
    let _ = write!(out, "\n{fence}diff\n");
    let body = rig_config::unified(&diff.hunks);
    let all = body.lines().count();
    for (shown, line) in body.lines().enumerate() {
        let line = plain(line);
        if out.len() + line.len() + fence.len() + 2 > MARKDOWN_LIMIT - MARKDOWN_REST {
            let _ = write!(out, "{fence}\n\n… and {} more lines, which do not fit here.\n", all - shown);
            return out;
        }
        out.push_str(&line);
        out.push('\n');
    }
    let _ = writeln!(out, "{fence}");
    out
}

/// Lists what was not compared, as Markdown; nothing where all was.
pub fn not_compared_markdown(places: &[String]) -> String {
    const MOST: usize = 20;
    if places.is_empty() {
        return String::new();
    }
    let named: Vec<String> = places.iter().take(MOST).map(|place| code(&plain(place), CELL)).collect();
    let more = places.len().saturating_sub(MOST);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let count = places.len();
    format!(
        "{count} not compared, hidden under another key or by a foreign marker: {}{more}\n\n",
        named.join(", ")
    )
}

fn heading(old: &str, new: &str) -> String {
    format!("### {} → {}\n\n", code(&plain(old), CELL), code(&plain(new), CELL))
}

/// Text as a code span, in which nothing is a link, a mention or a tag; cut, and safe in a table.
fn code(text: &str, most: usize) -> String {
    let text = super::short(text, most);
    if text.is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run(&text) + 1);
    // A span keeps one blank at each end apart from backticks in it.
    let pad = if text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{pad}{}{pad}{fence}", text.replace('|', "\\|"))
}

fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let special = matches!(c, '\\' | '`' | '*' | '_' | '<' | '>' | '[' | ']' | '@' | '#' | '|' | '~');
            special.then_some('\\').into_iter().chain([c])
        })
        .collect()
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// What was left out, in words for standard error.
pub fn left_out(diff: &Diff, left_out: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if left_out > 0 {
        notes.push(format!("{} left out, as asked", count(left_out as u64, "difference")));
    }
    if diff.equivalent > 0 {
        let equal = count(diff.equivalent, "field");
        notes.push(format!(
            "{equal} written differently and held equal, by rule or since only the spelling differs"
        ));
    }
    notes.into_iter().map(|note| styled(DIM, note)).collect()
}

#[cfg(test)]
mod tests {
    use rig_config::{Policy, diff, text_diff};

    use super::*;

    fn flat(value: Value) -> FlatConfig {
        value.as_object().unwrap().clone().into_iter().collect()
    }

    #[test]
    fn a_change_in_json_spells_numbers_as_the_document_does() {
        let number = |text: &str| rig_event::spelled::number(text).map(Value::Number);
        let change = Change {
            op: Op::Changed,
            path: "n".into(),
            before: number("1e3"),
            after: number("1E400"),
            severity: rig_event::Severity::Medium,
        };
        let told = change_json(&change).to_string();
        assert!(told.contains("\"before\":1e3") && told.contains("\"after\":1E400"), "{told}");
    }

    #[test]
    fn a_comment_keeps_within_the_limit_and_says_what_is_missing() {
        let new: FlatConfig = (0..20_000).map(|n| (format!("field{n}"), json!("x".repeat(30)))).collect();
        let shown = fields_markdown("a", "b", &diff(&FlatConfig::new(), &new, &Policy::default()), "");
        assert!(shown.len() <= MARKDOWN_LIMIT && shown.contains(" more, which do not fit here."));
        let text = |word: &str| (0..20_000).map(|n| format!("{word} {n} ```\n")).collect::<String>();
        let shown = text_markdown("a", "b", &text_diff(&text("old"), &text("new")), "");
        assert!(shown.len() <= MARKDOWN_LIMIT && shown.contains(" more lines, which do not fit here."));
        assert!(shown.contains("\n````diff\n"));
    }

    #[test]
    fn markdown_cannot_be_broken_out_of() {
        let new = flat(json!({"a|b": "`|` <img> @all #1", "c": "`````\n| x |\n```\n# y"}));
        let shown = fields_markdown("a", "b", &diff(&FlatConfig::new(), &new, &Policy::default()), "");
        let rows: Vec<&str> = shown.lines().filter(|line| line.starts_with("| ➕")).collect();
        assert_eq!(rows[0], r#"| ➕ | `a\|b` |  | ``"`\|` <img> @all #1"`` | medium |"#);
        // A fence that is longer than any in the value, and lines that all begin with their sign.
        let (_, below) = shown.split_once("``````diff\n").unwrap();
        let (fenced, rest) = below.split_once("\n``````").unwrap();
        assert!(fenced.lines().all(|line| line.starts_with(['+', '@'])), "{fenced}");
        assert_eq!(rest.trim(), "");
    }

    #[test]
    fn the_words_that_differ_stand_out() {
        let shown = hunks(&text_diff("listen 80;\nsame\n", "listen 8080;\nsame\n").hunks);
        assert!(shown.contains("\u{1b}[7m"), "{shown:?}");
        let plain = anstream::adapter::strip_str(&shown).to_string();
        assert_eq!(plain, "@@ -1,2 +1,2 @@\n-listen 80;\n+listen 8080;\n same\n");
    }
}
