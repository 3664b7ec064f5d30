//! The difference between two texts, as hunks of a unified diff.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use rig_event::{Hunk, SectionSummary};
use similar::{Algorithm, ChangeTag, DiffOp, capture_diff_slices, group_diff_ops};

use crate::Error;
use crate::lines::inclusive;
use crate::redact::without_fingerprints;
use crate::sections::{Outline, Syntax};

/// Number of unchanged lines that a hunk shows around a change.
const CONTEXT: usize = 3;

/// The note after a line without a line feed; only a text's last line can be one.
const NO_LINE_END: &str = "\\ No newline at end of file";

/// The difference between two texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextDiff {
    /// The changed stretches, from top to bottom.
    pub hunks: Vec<Hunk>,
    /// Number of new lines.
    pub lines_added: u64,
    /// Number of removed lines.
    pub lines_removed: u64,
    /// The changes in each section, sorted by section; empty for a text that has none.
    pub sections: Vec<SectionSummary>,
}

/// Compares two texts line by line.
///
/// A last line without a line feed is followed by `\ No newline at end of file`, as in any unified diff, so that the
/// hunks give the new text to the byte. The algorithm is Myers' with the bounded search of `similar`: its budget is counted
/// in work and not in time, since nothing here knows a clock. On texts with little in common the result may be longer than
/// the shortest, and is still exact.
pub fn text_diff(old: &str, new: &str) -> TextDiff {
    let old_lines: Vec<&str> = inclusive(old).collect();
    let new_lines: Vec<&str> = inclusive(new).collect();
    let ops = capture_diff_slices(Algorithm::Myers, &old_lines, &new_lines);
    of_ops(ops, (old, &old_lines), (new, &new_lines))
}

/// Compares two redacted texts line by line, as if every secret were the same. Returns the difference, and the number of lines
/// that differ in nothing but fingerprints.
///
/// Such a line is shown, where it stands beside a change, as the old text has it.
pub fn text_diff_but_for_secrets(old: &str, new: &str) -> (TextDiff, u64) {
    let old_lines: Vec<&str> = inclusive(old).collect();
    let new_lines: Vec<&str> = inclusive(new).collect();
    let blank = |lines: &[&str]| -> Vec<_> {
        lines.iter().map(|line| without_fingerprints(line).into_owned()).collect()
    };
    let ops = capture_diff_slices(Algorithm::Myers, &blank(&old_lines), &blank(&new_lines));
    let mut left_out = 0;
    for op in ops.iter().filter(|op| matches!(op, DiffOp::Equal { .. })) {
        let pairs = old_lines[op.old_range()].iter().zip(&new_lines[op.new_range()]);
        left_out += pairs.filter(|(old, new)| old != new).count() as u64;
    }
    (of_ops(ops, (old, &old_lines), (new, &new_lines)), left_out)
}

/// Makes hunks of the operations that turn one text into the other.
pub(crate) fn of_ops(
    ops: Vec<DiffOp>,
    (old, old_lines): (&str, &[&str]),
    (new, new_lines): (&str, &[&str]),
) -> TextDiff {
    let mut diff = TextDiff::default();
    let differs = ops.iter().any(|op| !matches!(op, DiffOp::Equal { .. }));
    let syntax = if differs { Syntax::of(new).or_else(|| Syntax::of(old)) } else { None };
    let outlines = syntax
        .map(|syntax| (Outline::new(syntax, old_lines.to_vec()), Outline::new(syntax, new_lines.to_vec())));
    let mut old_changed = Vec::new();
    let mut new_changed = Vec::new();
    for group in group_diff_ops(ops, CONTEXT) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let old_range = first.old_range().start..last.old_range().end;
        let new_range = first.new_range().start..last.new_range().end;
        // A hunk without lines on one side names the line it comes after, and then nothing is to be added.
        let start = |range: &std::ops::Range<usize>| range.start as u64 + u64::from(!range.is_empty());
        let mut hunk = Hunk {
            old_start: start(&old_range),
            old_lines: old_range.len() as u64,
            new_start: start(&new_range),
            new_lines: new_range.len() as u64,
            heading: String::new(),
            lines: Vec::new(),
        };
        if let Some((old, new)) = &outlines
            && let Some(first) = group.iter().find(|op| !matches!(op, DiffOp::Equal { .. }))
        {
            hunk.heading = match first.new_range() {
                // What is only removed stands nowhere in the new text.
                range if range.is_empty() => old.heading(first.old_range().start, old_range.start),
                range => new.heading(range.start, new_range.start),
            };
        }
        for change in group.iter().flat_map(|op| op.iter_changes(old_lines, new_lines)) {
            let sign = match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => {
                    old_changed.extend(change.old_index());
                    '-'
                }
                ChangeTag::Insert => {
                    new_changed.extend(change.new_index());
                    '+'
                }
            };
            let line: &str = change.value();
            hunk.lines.push(format!("{sign}{}", line.strip_suffix('\n').unwrap_or(line)));
            if !line.ends_with('\n') {
                hunk.lines.push(NO_LINE_END.to_owned());
            }
        }
        diff.hunks.push(hunk);
    }
    diff.lines_added = new_changed.len() as u64;
    diff.lines_removed = old_changed.len() as u64;
    if let Some((old, new)) = &outlines {
        diff.sections = summaries((old, &old_changed), (new, &new_changed));
    }
    diff
}

/// One summary for each section with changed lines, whose indexes are given in rising order.
fn summaries(old: (&Outline<'_>, &[usize]), new: (&Outline<'_>, &[usize])) -> Vec<SectionSummary> {
    let syntax = new.0.syntax();
    let mut counts = BTreeMap::<String, (u64, u64)>::new();
    for ((outline, changed), is_new) in [(old, false), (new, true)] {
        for line in changed {
            let section = outline.section(*line);
            if !counts.contains_key(section) {
                counts.insert(section.to_owned(), (0, 0));
            }
            let Some((added, removed)) = counts.get_mut(section) else { continue };
            *(if is_new { added } else { removed }) += 1;
        }
    }
    let summary = |(section, (added, removed)): (String, (u64, u64))| {
        let (verb, count) = match (added, removed) {
            (added, 0) => ("Added", added),
            (0, removed) => ("Removed", removed),
            (added, removed) => ("Modified", added.max(removed)),
        };
        let (label, noun) = (syntax.label(&section), syntax.noun());
        let plural = if count == 1 { "" } else { "s" };
        SectionSummary { section, summary: format!("{verb} {count} {label} {noun}{plural}") }
    };
    counts.into_iter().map(summary).collect()
}

/// Ranges of bytes in a line, from left to right.
pub type Ranges = Vec<Range<usize>>;

/// Where two lines differ word by word, as ranges of bytes in each; `None` where they have little in common, and for lines
/// of more than 4,000 bytes.
pub fn changed_words(old: &str, new: &str) -> Option<(Ranges, Ranges)> {
    const LONGEST: usize = 4_000;
    if old.len().max(new.len()) > LONGEST {
        return None;
    }
    let (olds, news) = (words(old), words(new));
    let mut changed = (Ranges::new(), Ranges::new());
    let (mut old_at, mut new_at, mut same) = (0, 0, 0);
    let add = |ranges: &mut Ranges, range: Range<usize>| match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    };
    for op in capture_diff_slices(Algorithm::Myers, &olds, &news) {
        let length = |words: &[&str]| words.iter().map(|word| word.len()).sum::<usize>();
        let (m, n) = (length(&olds[op.old_range()]), length(&news[op.new_range()]));
        if matches!(op, DiffOp::Equal { .. }) {
            same += olds[op.old_range()].concat().trim().len();
        } else {
            if m > 0 {
                add(&mut changed.0, old_at..old_at + m);
            }
            if n > 0 {
                add(&mut changed.1, new_at..new_at + n);
            }
        }
        (old_at, new_at) = (old_at + m, new_at + n);
    }
    (same * 3 >= old.trim().len().min(new.trim().len())).then_some(changed)
}

/// Words, runs of white space, and every other character alone.
fn words(line: &str) -> Vec<&str> {
    let kind = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' => 1,
        c if c.is_whitespace() => 2,
        _ => 3,
    };
    let mut words = Vec::new();
    let mut start = 0;
    let mut before = 0;
    for (at, c) in line.char_indices() {
        let this = kind(c);
        if at > start && (this != before || this == 3) {
            words.push(&line[start..at]);
            start = at;
        }
        before = this;
    }
    words.extend((start < line.len()).then(|| &line[start..]));
    words
}

/// Makes the changes of a diff to the text it was made from; refuses any other text.
pub fn apply_hunks(old: &str, hunks: &[Hunk]) -> Result<String, Error> {
    let old_lines: Vec<&str> = inclusive(old).collect();
    let mut new = String::with_capacity(old.len());
    let mut at = 0;
    for hunk in hunks {
        let conflict = |why| Error::Conflict { what: format!("line {}", hunk.old_start), why };
        let start = usize::try_from(hunk.old_start)
            .unwrap_or(usize::MAX)
            .wrapping_sub(usize::from(hunk.old_lines > 0));
        let kept = old_lines.get(at..start).ok_or_else(|| conflict("the text has no such line"))?;
        new.extend(kept.iter().copied());
        at = start;
        let mut lines = hunk.lines.iter().peekable();
        while let Some(line) = lines.next() {
            let ended = lines.next_if(|next| next.as_str() == NO_LINE_END).is_none();
            let mut chars = line.chars();
            let sign = chars.next();
            let line = if ended { format!("{}\n", chars.as_str()) } else { chars.as_str().to_owned() };
            if matches!(sign, Some(' ' | '-')) {
                if old_lines.get(at) != Some(&line.as_str()) {
                    return Err(conflict("the text has another line there"));
                }
                at += 1;
            }
            match sign {
                Some(' ' | '+') => new.push_str(&line),
                Some('-') => {}
                _ => return Err(conflict("a line begins with neither ` `, `-` nor `+`")),
            }
        }
    }
    new.extend(old_lines[at..].iter().copied());
    Ok(new)
}

/// Returns the line of a unified diff that says where a hunk is, and below what.
pub fn place(hunk: &Hunk) -> String {
    let Hunk { old_start, old_lines, new_start, new_lines, heading, .. } = hunk;
    let blank = if heading.is_empty() { "" } else { " " };
    format!("@@ -{old_start},{old_lines} +{new_start},{new_lines} @@{blank}{heading}")
}

/// Hunks as the body of a unified diff.
pub fn unified(hunks: &[Hunk]) -> String {
    let mut out = String::new();
    for hunk in hunks {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", place(hunk));
        for line in &hunk.lines {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(old: &str, new: &str, expected: &str) {
        let diff = text_diff(old, new);
        assert_eq!(unified(&diff.hunks), expected);
        assert_eq!(apply_hunks(old, &diff.hunks).unwrap(), new);
    }

    #[test]
    fn hunks_are_those_of_a_unified_diff() {
        check("a\n", "a\n", "");
        check("", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n");
        check("a\nb\n", "", "@@ -1,2 +0,0 @@\n-a\n-b\n");
        check("a\nb\nc\n", "a\nB\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
        check("a", "a\n", "@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+a\n");
        check("-- x\n", "++ y\n", "@@ -1,1 +1,1 @@\n--- x\n+++ y\n");
    }

    #[test]
    fn a_change_far_below_its_header_is_in_its_section() {
        let export =
            |rules: &str, dns: &str| format!("/ip firewall filter\n{rules}/ip dns\nset servers={dns}\n");
        let rules = |n: usize| (0..n).map(|i| format!("add chain=c{i}\n")).collect::<String>();
        let diff = text_diff(&export(&rules(10), "1.1.1.1"), &export(&rules(12), "9.9.9.9"));
        let summaries: Vec<_> =
            diff.sections.iter().map(|s| (s.section.as_str(), s.summary.as_str())).collect();
        assert_eq!(
            summaries,
            [("ip/dns", "Modified 1 ip dns rule"), ("ip/firewall/filter", "Added 2 firewall filter rules")]
        );
        assert_eq!((diff.lines_added, diff.lines_removed), (3, 1));
        assert!(text_diff("a\n", "b\n").sections.is_empty());
    }

    #[test]
    fn sections_are_blocks_and_brackets_too() {
        let summaries = |old: &str, new: &str| -> Vec<String> {
            text_diff(old, new).sections.iter().map(|s| format!("{}: {}", s.section, s.summary)).collect()
        };
        let nginx = |port: u16, extra: &str| {
            format!("http {{\n  server {{\n    server_name a.org;\n    listen {port};\n  }}\n{extra}}}\n")
        };
        assert_eq!(
            summaries(&nginx(80, ""), &nginx(81, "  gzip on;\n  tcp_nopush on;\n")),
            ["http: Added 2 http directives", "http > server a.org: Modified 1 server a.org directive"]
        );
        assert_eq!(
            summaries("[db]\nhost=a\nport=1\n", "[db]\nhost=b\n[web]\nport=2\n"),
            ["db: Modified 2 db settings", "web: Added 2 web settings"]
        );
    }

    #[test]
    fn a_hunk_says_below_what_it_stands() {
        let headings = |old: &str, new: &str| -> Vec<String> {
            text_diff(old, new).hunks.into_iter().map(|hunk| hunk.heading).collect()
        };
        let lines =
            |n: usize, indent: &str| (0..n).map(|i| format!("{indent}line {i}\n")).collect::<String>();
        let ios = |last: &str| {
            format!("interface Gi0/1\n{}!\ninterface Gi0/2\n{}{last}", lines(9, " "), lines(9, " "))
        };
        assert_eq!(headings(&ios(" no cdp enable\n"), &ios(" cdp enable\n")), ["interface Gi0/2"]);
        assert_eq!(headings(&ios(" cdp enable\n"), &ios("")), ["interface Gi0/2"]);
        // What stands in the hunk is not said again, and neither is what is above another section.
        assert_eq!(headings(&ios(""), &ios("").replacen("0/2\n", "0/2\n mtu 9000\n", 1)), [""]);
        let fortios = |service: &str| {
            format!(
                "config firewall policy\n    edit 12\n{}        set service {service}\n    next\nend\n",
                lines(5, "        set ")
            )
        };
        assert_eq!(headings(&fortios("HTTPS"), &fortios("ALL")), ["config firewall policy > edit 12"]);
        let export = |dns: &str| format!("/ip firewall filter\n{}add a={dns}\n", lines(5, "add "));
        assert_eq!(headings(&export("1"), &export("2")), ["/ip firewall filter"]);
        let diff = text_diff(&export("1"), &export("2"));
        assert!(
            unified(&diff.hunks).starts_with("@@ -4,4 +4,4 @@ /ip firewall filter\n"),
            "{}",
            unified(&diff.hunks)
        );
        assert_eq!(headings("a\nb\n", "a\nc\n"), [""]);
    }

    #[test]
    fn the_words_that_differ_are_known() {
        let shown = |old: &str, new: &str| {
            let (a, b) = changed_words(old, new)?;
            let parts = |text: &str, ranges: Vec<Range<usize>>| {
                ranges.into_iter().map(|range| text[range].to_owned()).collect::<Vec<_>>()
            };
            Some((parts(old, a), parts(new, b)))
        };
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(shown("listen 80;", "listen 8080;"), Some((words(&["80"]), words(&["8080"]))));
        assert_eq!(shown("a = grün", "a = grün und rot"), Some((vec![], words(&[" und rot"]))));
        assert_eq!(shown("alpha beta", "gamma delta"), None);
    }

    #[test]
    fn hunks_fit_only_the_text_they_were_made_from() {
        let hunks = text_diff("a\nb\n", "a\nc\n").hunks;
        for other in ["a\nx\n", "a\n", "a\nb", ""] {
            assert_eq!(apply_hunks(other, &hunks).unwrap_err().code(), "conflict", "{other:?}");
        }
        let broken = |old_start, old_lines, line: &str| Hunk {
            old_start,
            old_lines,
            new_start: 1,
            new_lines: 1,
            heading: String::new(),
            lines: vec![line.into()],
        };
        for hunk in [broken(0, 1, " a"), broken(9, 1, " a"), broken(1, 1, "?a"), broken(1, 1, "")] {
            assert!(apply_hunks("a\n", std::slice::from_ref(&hunk)).is_err(), "{hunk:?}");
        }
        let twice = [broken(1, 1, " a"), broken(1, 1, " a")];
        assert!(apply_hunks("a\n", &twice).is_err());
    }

    #[test]
    fn lines_that_differ_in_fingerprints_only_are_equal_but_for_secrets() {
        let line =
            |digits: &str, mode: u8| format!("enable secret {mode} <redacted:hmac:run-00000001:{digits}>\n");
        let (old, new) = (line("0011223344556677", 5), line("8899aabbccddeeff", 5));
        assert_eq!(text_diff(&old, &new).lines_added, 1);
        assert_eq!(text_diff_but_for_secrets(&old, &new), (TextDiff::default(), 1));
        // Beside a change it is shown as it was, and what is not the secret counts.
        let (diff, left_out) = text_diff_but_for_secrets(&format!("a\n{old}"), &format!("b\n{new}"));
        assert_eq!((unified(&diff.hunks), left_out), (format!("@@ -1,2 +1,2 @@\n-a\n+b\n {old}"), 1));
        assert_eq!(text_diff_but_for_secrets(&old, &line("8899aabbccddeeff", 9)).0.lines_added, 1);
        assert_eq!(text_diff_but_for_secrets(&old, "").0.lines_removed, 1);
        assert_eq!(text_diff_but_for_secrets("a <redacted:x>\n", "a <redacted:y>\n").1, 0);
    }

    #[test]
    fn texts_with_little_in_common_are_compared_quickly() {
        let text = |step: usize| {
            (0..60_000usize).map(|i| format!("{}\n", i.wrapping_mul(step) % 60_013)).collect::<String>()
        };
        let (old, new) = (text(1), text(7_919));
        let diff = text_diff(&old, &new);
        assert_eq!(apply_hunks(&old, &diff.hunks).unwrap(), new);
    }

    proptest! {
        #[test]
        fn the_hunks_give_the_new_text(old in "([a-c]?\r?\n){0,20}[a-c]?", new in "([a-c]?\r?\n){0,20}[a-c]?") {
            let diff = text_diff(&old, &new);
            prop_assert_eq!(apply_hunks(&old, &diff.hunks).unwrap(), new);
        }

        #[test]
        fn any_two_texts(old in any::<String>(), new in any::<String>()) {
            let diff = text_diff(&old, &new);
            prop_assert_eq!(apply_hunks(&old, &diff.hunks).unwrap(), new);
        }
    }
}
