//! Parts of texts that change by themselves: time stamps, counters, numbers of processes.
//!
//! The rows are data, files beside this one. A row is a regular expression: `line` over a whole line, `part` over pieces of it. Its
//! groups are replaced by `*`; a line of which no group is said goes whole. A row behind `only` holds in texts of its kind alone. Below a
//! row stand examples, in which `⟦…⟧` is what goes, and lines that stay as they are; the tests run them all.
//!
//! `<when>` is a date with a time of day, or a part of either; `<span>` a span of time; `<n>` and `<hex>` are numbers.
//!
//! Few lines of a text are any of these. A row is looked at only where a line begins as it does, or has a piece in it that the row needs.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::{LazyLock, OnceLock};

use aho_corasick::AhoCorasick;
use regex::bytes::{Regex, RegexBuilder};

use super::rules::cut;
use crate::grammar::is_of;

const FILES: &[&str] = &[
    include_str!("devices.volatile"),
    include_str!("appliances.volatile"),
    include_str!("servers.volatile"),
];

/// Maximum length of a line of which parts may go, in bytes.
const LONGEST: usize = 64 << 10;

/// Minimum length of a line that a row is of, in bytes.
const SHORTEST: usize = 4;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// The pieces that rows name.
const MACROS: [(&str, &str); 6] = [
    ("<when>", "(?:<token>(?:[ ,]+|T|:|-|_))*(?:<time>|<date>)(?:(?:[ ,]+|T|:|-|_)?<token>)*"),
    (
        "<token>",
        "(?:<time>|<date>|(?i:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6}|\
         (?i:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}|[0-9]{1,2}(?:st|nd|rd|th)?|[0-9]{4}|\
         \\(?[A-Z]{1,5}(?:[+-][0-9]{1,2}(?::?[0-9]{2})?)?\\)?|[+-][0-9]{2}:?[0-9]{2}|[A-Z][a-z]+/[A-Z][A-Za-z_]+|[ap]m|at|on)",
    ),
    ("<time>", "(?:[*.]?[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)"),
    (
        "<date>",
        "(?:[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{2,4}|\
         [0-9]{1,2}[-/ ][A-Za-z]{3}[-/ ][0-9]{2,4}|[A-Za-z]{3}/[0-9]{2}/[0-9]{4})",
    ),
    (
        "<span>",
        "(?:(?:<unit>|[0-9]+:[0-9]{2}(?::[0-9]{2}(?:\\.[0-9]+)?)?)(?:(?:,? and |, *| +)?(?:<unit>|[0-9]+:[0-9]{2}(?::[0-9]{2}(?:\\.[0-9]+)?)?))*)",
    ),
    (
        "<unit>",
        "(?:[0-9.]+ *(?i:years?|yrs?|months?|weeks?|wks?|days?|hours?|hrs?|minutes?|mins?|seconds?|secs?|[ywdhms])(?:\\(s\\))?)",
    ),
];

/// A row.
struct Row {
    kind: &'static str,
    pattern: &'static str,
    is_only: bool,
    is_part: bool,
    has_groups: bool,
    /// The beginning of its lines; none if it may begin in any way.
    starts: Vec<String>,
    /// Something that its lines have in them, if nothing is said of its beginning.
    piece: String,
    regex: OnceLock<Option<Regex>>,
}

struct Rows {
    all: Vec<Row>,
    /// The rows by the first byte of a line.
    by_first: Vec<Vec<u16>>,
    /// The pieces of the others, and their rows.
    pieces: Option<AhoCorasick>,
    by_piece: Vec<u16>,
}

static ROWS: LazyLock<Rows> = LazyLock::new(|| {
    let mut rows =
        Rows { all: Vec::new(), by_first: vec![Vec::new(); 256], pieces: None, by_piece: Vec::new() };
    FILES.iter().for_each(|file| rows.read(file));
    let pieces = rows.by_piece.iter().map(|row| &rows.all[usize::from(*row)].piece);
    rows.pieces = AhoCorasick::new(pieces).ok();
    rows
});

impl Rows {
    fn read(&mut self, text: &'static str) {
        let mut kind = "";
        for line in text.lines() {
            let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
            let (is_only, word, pattern) = match rest.split_once(' ') {
                Some((word, rest)) if first == "only" => (true, word, rest),
                _ => (false, first, rest),
            };
            match word {
                "kind" => kind = rest,
                "line" | "part" => self.add(kind, pattern, is_only, word == "part"),
                _ => {}
            }
        }
    }

    fn add(&mut self, kind: &'static str, pattern: &'static str, is_only: bool, is_part: bool) {
        let at = u16::try_from(self.all.len()).unwrap_or(u16::MAX);
        let (starts, piece) = literals(pattern, is_part);
        for start in &starts {
            if let Some(first) = start.bytes().next() {
                self.by_first[usize::from(first)].push(at);
            }
        }
        if starts.is_empty() {
            self.by_piece.push(at);
        }
        let has_groups = pattern.replace("\\(", "").replace("(?", "").contains('(');
        let regex = OnceLock::new();
        self.all.push(Row { kind, pattern, is_only, is_part, has_groups, starts, piece, regex });
    }
}

/// Returns how the lines of a row begin, or else the longest piece that they all have: whichever says more.
fn literals(pattern: &str, is_part: bool) -> (Vec<String>, String) {
    let anchored = pattern.strip_prefix('^');
    let begins = anchored.is_some() || !is_part;
    let pattern = anchored.unwrap_or(pattern);
    // What a line begins with may be what goes.
    let pattern = pattern.strip_prefix('(').filter(|inner| !inner.starts_with('?')).unwrap_or(pattern);
    let runs = runs(pattern);
    let piece = runs.iter().max_by_key(|run| run.len()).cloned().unwrap_or_default();
    let starts = if begins { starts(pattern, &runs[0]) } else { Vec::new() };
    let shortest = starts.iter().map(String::len).min().unwrap_or(0);
    if shortest >= 3 || shortest > 0 && piece.len() < 6 {
        (starts, String::new())
    } else {
        (Vec::new(), piece)
    }
}

/// Returns the pieces of a pattern that stand in each line of it; the first is how it begins.
fn runs(pattern: &str) -> Vec<String> {
    let mut runs = vec![String::new()];
    let mut depth = 0usize;
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        let literal = match c {
            '\\' => chars.next().filter(|c| c.is_ascii_punctuation()),
            '(' | '[' | '<' => {
                depth += 1;
                None
            }
            ')' | ']' | '>' => {
                depth = depth.saturating_sub(1);
                None
            }
            '.' | '*' | '+' | '?' | '{' | '}' | '|' | '^' | '$' => None,
            c => Some(c),
        };
        let is_repeated = chars.peek().is_some_and(|next| matches!(next, '*' | '+' | '?' | '{'));
        match (literal.filter(|_| depth == 0 && !is_repeated), runs.last_mut()) {
            (Some(c), Some(run)) => run.push(c),
            _ => runs.push(String::new()),
        }
    }
    runs
}

/// Returns how the lines of a pattern begin, of which the first piece is known: with that, and with each of the words or the days
/// that come behind it.
fn starts(pattern: &str, first: &str) -> Vec<String> {
    let rest = pattern.get(first.len()..).filter(|_| pattern.starts_with(first)).unwrap_or_default();
    let with = |words: &mut dyn Iterator<Item = &str>| words.map(|word| format!("{first}{word}")).collect();
    let is_repeated = |rest: &str| rest.starts_with(['*', '+', '?', '{']);
    if rest.starts_with("<day>") {
        return with(&mut DAYS.into_iter());
    }
    if let Some((words, rest)) = rest.strip_prefix("(?:").and_then(|rest| rest.split_once(')'))
        && words.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '|' | '_' | '-' | '/'))
        && !is_repeated(rest)
    {
        return with(&mut words.split('|'));
    }
    if let Some((class, rest)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        && first.is_empty()
        && class.bytes().all(|b| matches!(b, b'!' | b'#' | b';'))
        && !is_repeated(rest)
    {
        return class.chars().map(String::from).collect();
    }
    if first.is_empty() { Vec::new() } else { vec![first.to_owned()] }
}

impl Row {
    fn regex(&self) -> Option<&Regex> {
        let build = || {
            let mut pattern = self.pattern.replace("<day>", "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*");
            pattern = pattern.replace("<n>", "[0-9]+").replace("<hex>", "[0-9A-Fa-f]+");
            for (name, meaning) in MACROS {
                pattern = pattern.replace(name, meaning);
            }
            let whole = if self.is_part { pattern } else { format!("^(?:{pattern})$") };
            RegexBuilder::new(&whole).unicode(false).build().ok()
        };
        self.regex.get_or_init(build).as_ref()
    }

    /// Returns what the row leaves of a line, if it leaves out anything: `None` where the line goes.
    fn left(&self, line: &str) -> Option<Option<String>> {
        let regex = self.regex()?;
        if !self.has_groups {
            return (!self.is_part && regex.is_match(line.as_bytes())).then_some(None);
        }
        let mut ranges = Vec::new();
        for captures in regex.captures_iter(line.as_bytes()) {
            ranges.extend(captures.iter().skip(1).flatten().map(|group| group.range()));
        }
        let fits = |range: &std::ops::Range<usize>| {
            !range.is_empty() && line.is_char_boundary(range.start) && line.is_char_boundary(range.end)
        };
        ranges.retain(fits);
        let mut left = line.to_owned();
        cut(&mut left, ranges);
        (left != line).then_some(Some(left))
    }
}

/// The rules that hold in one text.
pub(super) struct Marks<'a> {
    text: &'a str,
    /// The places of pieces that rows need, with their rows, from top to bottom.
    found: Vec<(usize, u16)>,
    /// The next of them.
    next: RefCell<usize>,
    /// The kinds that were asked for, and whether the text is of them.
    kinds: RefCell<Vec<(&'static str, bool)>>,
}

impl<'a> Marks<'a> {
    /// Looks a text through for the pieces that rows need.
    pub(super) fn of(text: &'a str) -> Marks<'a> {
        let mut marks =
            Marks { text, found: Vec::new(), next: RefCell::default(), kinds: RefCell::default() };
        if let Some(pieces) = &ROWS.pieces {
            let found = pieces.find_overlapping_iter(text);
            marks.found.extend(found.map(|found| (found.start(), ROWS.by_piece[found.pattern().as_usize()])));
            marks.found.sort_unstable();
        }
        marks
    }

    /// Looks at the beginnings of lines alone, in an export of RouterOS.
    pub(super) fn of_routeros(text: &'a str) -> Marks<'a> {
        Marks {
            text,
            found: Vec::new(),
            next: RefCell::new(0),
            kinds: RefCell::new(vec![("routeros", true)]),
        }
    }

    /// Returns what is left of a line, which begins at a place in the text; `None` where it goes whole. Lines are asked for from top to
    /// bottom.
    pub(super) fn left<'l>(&self, line: &'l str, at: usize) -> Option<Cow<'l, str>> {
        let mut left = Cow::Borrowed(line);
        if line.len() < SHORTEST || line.len() > LONGEST {
            return Some(left);
        }
        let first = line.as_bytes().first().map_or(&[][..], |first| &ROWS.by_first[usize::from(*first)]);
        for row in first.iter().map(|row| &ROWS.all[usize::from(*row)]) {
            if row.starts.iter().any(|start| line.starts_with(start.as_str())) {
                left = self.by_row(row, left)?;
            }
        }
        let mut next = self.next.borrow_mut();
        while let Some((place, row)) = self.found.get(*next).filter(|(place, _)| *place < at + line.len()) {
            *next += 1;
            if *place >= at {
                left = self.by_row(&ROWS.all[usize::from(*row)], left)?;
            }
        }
        Some(left)
    }

    fn by_row<'l>(&self, row: &Row, line: Cow<'l, str>) -> Option<Cow<'l, str>> {
        if row.is_only && !self.is_of(row.kind) {
            return Some(line);
        }
        match row.left(&line) {
            None => Some(line),
            Some(None) => None,
            Some(Some(left)) => Some(Cow::Owned(left)),
        }
    }

    fn is_of(&self, kind: &'static str) -> bool {
        let mut kinds = self.kinds.borrow_mut();
        if let Some((_, is_it)) = kinds.iter().find(|(known, _)| *known == kind) {
            return *is_it;
        }
        let is_it = is_of(self.text, kind);
        kinds.push((kind, is_it));
        is_it
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// A text that is of the kind of rows that hold in no other.
    fn of_kind(kind: &str) -> &'static str {
        match kind {
            "mail" => "mail_version = 3.7.6\n",
            "squid" => "Server: squid/5.7\n",
            "routeros" => "# 2026-01-15 10:30:00 by RouterOS 7.20\n",
            _ => "",
        }
    }

    #[test]
    fn each_row_leaves_out_what_its_examples_say() {
        let mut wrong = String::new();
        for (file, rows) in FILES.iter().zip(["devices", "appliances", "servers"]) {
            let (mut kind, mut row, mut has_source, mut examples) = ("", "", false, 1);
            for line in file.lines().chain(["line end"]) {
                let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
                match first {
                    "kind" => (kind, has_source) = (rest, false),
                    "source" => has_source = true,
                    "line" | "part" | "only" => {
                        if examples == 0 {
                            let _ = writeln!(wrong, "{rows}: no example: {row}");
                        }
                        (row, examples) = (line, 0);
                        if !has_source && row != "line end" {
                            let _ = writeln!(wrong, "{rows}: no source: {row}");
                        }
                    }
                    "" => {
                        let Some(example) = line.strip_prefix("  ") else { continue };
                        examples += usize::from(example.contains('⟦'));
                        let given = example.replace(['⟦', '⟧'], "");
                        let expected =
                            match example.strip_prefix('⟦').and_then(|inner| inner.strip_suffix('⟧')) {
                                Some(inner) if !inner.contains('⟦') => None,
                                _ => {
                                    let mut left = String::new();
                                    for (at, piece) in example.split(['⟦', '⟧']).enumerate() {
                                        left.push_str(if at % 2 == 1 { "*" } else { piece });
                                    }
                                    Some(left)
                                }
                            };
                        let before = if row.starts_with("only ") { of_kind(kind) } else { "" };
                        let text = format!("{before}{given}\nend");
                        let marks = Marks::of(&text);
                        if marks.left(&given, before.len()).map(Cow::into_owned) != expected {
                            let _ = writeln!(wrong, "{rows}: {row}\n    {example}");
                        }
                    }
                    _ => {}
                }
            }
        }
        assert_eq!(wrong, "");
    }

    #[test]
    fn each_row_is_looked_up_by_what_few_lines_have() {
        for row in &ROWS.all {
            assert!(row.regex().is_some(), "{}", row.pattern);
            assert!(!row.starts.is_empty() || row.piece.len() >= 4, "{}: {:?}", row.pattern, row.piece);
            assert!(!row.is_only || !of_kind(row.kind).is_empty(), "{}", row.pattern);
            assert!(!row.is_part || row.has_groups, "{}", row.pattern);
        }
        assert!(ROWS.pieces.is_some());
    }

    #[test]
    fn rows_for_one_kind_hold_in_no_other() {
        let line = "process_id = 4";
        for (before, left) in [("name = x\n", "process_id = 4"), (of_kind("mail"), "process_id = *")] {
            let text = format!("{before}{line}");
            assert_eq!(Marks::of(&text).left(line, before.len()).as_deref(), Some(left));
        }
    }

    #[test]
    fn settings_that_look_alike_stay() {
        for line in [
            "ntp server 192.0.2.1",
            "description sw-a uptime is good",
            " description core uptime monitor",
            "clock timezone CET 1",
            "set system time-zone UTC",
            "! interface to rack 5 C",
            "expires 30d;",
            "    expires 30d;",
            "add chain=input timeout=5s",
            "timeout 300",
            "time: 10:00",
            "Date: see below",
            "Mon 10:00 backup",
            ":nat - see below",
            "set expires 5m here",
            "snmp-server location rack 4, up 3 floors",
            "uptime: yes",
            "  uptime: 30d",
            "Uptime: 30d",
            "delay up 30s",
            "delay up 30 down 60",
            "kernel.panic = 10",
            "access-list 10 permit 192.0.2.0 0.0.0.255",
            "schedule at 10:00:00 on Mon Jan 5 2026",
            "username ana privilege 15",
            "counter packets",
            "banner motd # Last login is shown #",
            "time-range NIGHT",
            " absolute start 10:00 01 January 2026 end 10:00 01 February 2026",
            " periodic weekdays 8:00 to 17:00",
            "expiry 2026-01-05 10:00:00",
            "set lastupdate 1700000000",
        ] {
            assert_eq!(Marks::of(line).left(line, 0).as_deref(), Some(line));
        }
    }
}
