//! Grammars of texts: which words of a line are a secret.
//!
//! The rows are data, files beside this one, each with examples that the tests run. A row names the words of a
//! directive, and `$` where its secret stands; docs/redaction.md describes the notation. This file reads the rows and
//! matches them; `redact` decides which of them a line is held against.

mod placeholder;
mod recognise;
mod words;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{LazyLock, OnceLock};

use regex::Regex;

pub(crate) use self::placeholder::is_placeholder;
pub(crate) use self::recognise::{is_of, recognised};
pub(crate) use self::words::{Word, closing, words};

/// The families' files.
const FILES: &[&str] = &[
    include_str!("cisco.grammar"),
    include_str!("arista.grammar"),
    include_str!("aruba-hp.grammar"),
    include_str!("code.grammar"),
    include_str!("credentials-by-position.grammar"),
    include_str!("databases.grammar"),
    include_str!("f5-netscaler.grammar"),
    include_str!("fortios.grammar"),
    include_str!("huawei-h3c.grammar"),
    include_str!("junos.grammar"),
    include_str!("other-devices.grammar"),
    include_str!("panos.grammar"),
    include_str!("radius-ppp-vpn.grammar"),
    include_str!("routeros.grammar"),
    include_str!("servers.grammar"),
    include_str!("snmp.grammar"),
    include_str!("ubiquiti.grammar"),
    include_str!("vyos.grammar"),
];

/// The most words that `**` stands for.
const MANY: usize = 64;

/// Pieces of words that few ordinary lines have.
const RARE: &str =
    "pass secret key community cred psk token auth cipher encrypt digest hash md5 pwd -pw login";

/// The words before the one that a row is looked up by, in a row that may begin anywhere in a line.
const LEAD: usize = 8;

/// The start of a text in which the signs of its family are looked for, in bytes.
const SIGNS: usize = 64 << 10;

/// One word of a row.
#[derive(Clone, Debug)]
enum Piece {
    /// One of these words, in small letters.
    Literal(Vec<&'static str>),
    /// `*`
    Any,
    /// `**`
    Many,
    /// `#`
    Number,
    /// `$`
    Secret,
    /// `$...`
    Rest,
    /// `key=$`: what stands inside one word.
    Inside(Vec<Part>),
    /// `[…]`: one of these sequences, or nothing.
    Optional(Vec<Vec<Piece>>),
}

/// A part of a word.
#[derive(Clone, Debug)]
enum Part {
    Literal(&'static str),
    /// `*`
    Any,
    /// `#`
    Number,
    /// `$`
    Secret,
    /// `$...`, at its end
    Rest,
}

/// One row.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its place among the grammars.
    pub(crate) grammar: usize,
    /// The lines above that it needs, from the outermost one.
    above: Vec<Vec<Piece>>,
    pieces: Vec<Piece>,
    /// Set if it says that nothing on the line is a secret.
    pub(crate) is_innocent: bool,
    /// Set if it holds only in texts of its own family.
    pub(crate) is_only: bool,
    /// Set if it may begin anywhere in the line.
    is_floating: bool,
    /// Set if its grammar is for some files only.
    is_by_position: bool,
}

/// One family of texts.
#[derive(Debug)]
pub(crate) struct Grammar {
    /// Its name, which is the kind of a secret that its rows find.
    pub(crate) name: &'static str,
    /// Patterns of the names of the files that it is for; none if it is for every text.
    files: Vec<&'static str>,
    /// What its texts are known by: two of these, or one that is enough.
    signs: Vec<Sign>,
}

/// A pattern that texts of a family have in them. Most texts are never asked for theirs, so it is compiled late.
#[derive(Debug)]
struct Sign {
    pattern: &'static str,
    /// True if it is enough by itself.
    is_enough: bool,
    compiled: OnceLock<Option<Regex>>,
}

impl Sign {
    fn is_in(&self, text: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| Regex::new(&format!("(?m){}", self.pattern)).ok());
        compiled.as_ref().is_some_and(|sign| sign.is_match(text))
    }
}

/// All grammars.
#[derive(Debug, Default)]
pub(crate) struct Grammars {
    pub(crate) all: Vec<Grammar>,
    pub(crate) rows: Vec<Row>,
    /// Words, in small letters, with the rows that need one of them in their line.
    by_word: HashMap<String, Vec<usize>>,
    /// Words without which a line need not be looked at for a row that finds something.
    pub(crate) words: Vec<&'static str>,
    /// Pieces of words, with the rows that need one of them in their line.
    pub(crate) pieces: Vec<(&'static str, Vec<usize>)>,
    /// Rows without one, of grammars that are for some files only.
    unanchored: Vec<usize>,
}

/// A word that a row speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Its bytes.
    pub(crate) range: Range<usize>,
    /// True if it is a secret; false if it is a word of the directive, so that it is no other row's secret.
    pub(crate) is_secret: bool,
}

/// The lines that a line stands below, from the outermost one.
pub(crate) trait Above {
    /// Calls the function with the words of each, from the innermost one, until it returns false.
    fn each_above(&self, each: &mut dyn FnMut(&[Word]) -> bool);
}

static GRAMMARS: LazyLock<Grammars> = LazyLock::new(|| {
    let mut grammars = Grammars::default();
    FILES.iter().for_each(|text| grammars.read(text));
    grammars
});

/// Returns the grammars that are built in.
pub(crate) fn grammars() -> &'static Grammars {
    &GRAMMARS
}

/// Returns true if a file of this name holds credentials by position, so that each of its lines has to be looked at.
pub(crate) fn is_by_position(file: &str) -> bool {
    GRAMMARS.all.iter().any(|grammar| grammar.files.iter().any(|pattern| is_named(pattern, file)))
}

/// Returns the names of the families.
pub(crate) fn families() -> impl Iterator<Item = &'static str> {
    GRAMMARS.all.iter().map(|grammar| grammar.name)
}

impl Grammars {
    fn read(&mut self, text: &'static str) {
        for line in text.lines() {
            let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
            match first {
                "" | "#" | "source" => {}
                _ if line.starts_with('#') => {}
                "grammar" => {
                    self.all.push(Grammar { name: rest.trim(), files: Vec::new(), signs: Vec::new() });
                }
                "files" => {
                    if let Some(grammar) = self.all.last_mut() {
                        grammar.files.extend(rest.split_ascii_whitespace());
                    }
                }
                "signs" | "signs!" => {
                    let is_enough = first == "signs!";
                    if let Some(grammar) = self.all.last_mut() {
                        grammar.signs.push(Sign { pattern: rest, is_enough, compiled: OnceLock::new() });
                    }
                }
                _ => self.row(line),
            }
        }
    }

    /// Reads a row. An option with `**` in it makes two rows of one.
    fn row(&mut self, line: &'static str) {
        let (is_innocent, line) = line.strip_prefix("- ").map_or((false, line), |rest| (true, rest));
        let (is_only, line) = line.strip_prefix("only ").map_or((false, line), |rest| (true, rest));
        let (above, own) = line.rsplit_once(" > ").unwrap_or(("", line));
        let above = || above.split(" > ").filter(|level| !level.is_empty()).map(pieces).collect::<Vec<_>>();
        for pieces in expanded(pieces(own)) {
            self.add(is_innocent, is_only, above(), pieces);
        }
    }

    fn add(&mut self, is_innocent: bool, is_only: bool, above: Vec<Vec<Piece>>, mut pieces: Vec<Piece>) {
        let is_floating = matches!(pieces.first(), Some(Piece::Many));
        if is_floating {
            pieces.remove(0);
        }
        let Some(grammar) = self.all.len().checked_sub(1) else { return };
        // What a file's name tells holds in no other file.
        let is_by_position = !self.all[grammar].files.is_empty();
        let is_only = is_only || is_by_position;
        let at = self.rows.len();
        match anchor(&pieces) {
            Some(Anchor::Words(words)) => {
                for word in words {
                    self.by_word.entry(word.to_ascii_lowercase()).or_default().push(at);
                    if !is_innocent {
                        self.words.push(word);
                    }
                }
            }
            Some(Anchor::Piece(piece)) => match self.pieces.iter_mut().find(|(known, _)| *known == piece) {
                Some((_, rows)) => rows.push(at),
                None => self.pieces.push((piece, vec![at])),
            },
            None => self.unanchored.push(at),
        }
        self.rows.push(Row { grammar, above, pieces, is_innocent, is_only, is_floating, is_by_position });
    }

    /// Returns the rows that need this word in their line.
    pub(crate) fn rows_by(&self, word: &str) -> &[usize] {
        if word.len() > 40 {
            return &[];
        }
        let rows = match word.bytes().any(|b| b.is_ascii_uppercase()) {
            true => self.by_word.get(word.to_ascii_lowercase().as_str()),
            false => self.by_word.get(word),
        };
        rows.map_or(&[], Vec::as_slice)
    }

    /// Returns the families that a text belongs to, by the signs in it and by the name of its file, or of the family.
    pub(crate) fn families(&self, text: &str, file: Option<&str>) -> Vec<usize> {
        let head = &text[..text.floor_char_boundary(SIGNS)];
        let name = file.map(|file| file.rsplit(['/', '\\']).next().unwrap_or(file));
        let is_of = |grammar: &Grammar| {
            let named = name.is_some_and(|name| {
                grammar.name == name || grammar.files.iter().any(|pattern| is_named(pattern, name))
            });
            named || grammar.has_signs(head)
        };
        self.all.iter().enumerate().filter(|(_, grammar)| is_of(grammar)).map(|(at, _)| at).collect()
    }

    /// Returns true if a text is of a family by the signs in it.
    fn is_of(&self, text: &str, family: &str) -> bool {
        let head = &text[..text.floor_char_boundary(SIGNS)];
        self.all.iter().filter(|grammar| grammar.name == family).any(|grammar| grammar.has_signs(head))
    }

    /// Returns true if the row holds in a text of these families.
    pub(crate) fn holds(&self, row: &Row, families: &[usize]) -> bool {
        !row.is_only || families.contains(&row.grammar)
    }

    /// Returns the rows of these families that have no word to be looked up by, so that every line is held against them.
    pub(crate) fn of_every_line<'a>(&'a self, families: &'a [usize]) -> impl Iterator<Item = &'a Row> {
        self.unanchored.iter().map(|at| &self.rows[*at]).filter(|row| families.contains(&row.grammar))
    }
}

impl Grammar {
    /// Returns true if the beginning of a text has signs of this family: one that is enough, or two.
    fn has_signs(&self, head: &str) -> bool {
        self.signs.iter().any(|sign| sign.is_enough && sign.is_in(head))
            || self.signs.iter().filter(|sign| sign.is_in(head)).take(2).count() == 2
    }
}

/// Returns true if a pattern, `name` or `*.ext`, is that of a file's name.
fn is_named(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => {
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
        None => pattern == name,
    }
}

/// Reads the words of a row.
fn pieces(text: &'static str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some((inner, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'))
            && (after.is_empty() || after.starts_with(' '))
        {
            let inner = inner.trim();
            pieces.push(Piece::Optional(inner.split(" / ").map(self::pieces).collect()));
            rest = after.trim_start();
            continue;
        }
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        pieces.push(piece(word));
        rest = after.trim_start();
    }
    pieces
}

/// Returns the rows that a row with options of any length stands for.
fn expanded(mut pieces: Vec<Piece>) -> Vec<Vec<Piece>> {
    let has_many = |piece: &Piece| match piece {
        Piece::Optional(choices) => choices.iter().flatten().any(|piece| matches!(piece, Piece::Many)),
        _ => false,
    };
    let Some(at) = pieces.iter().position(has_many) else { return vec![pieces] };
    let rest = pieces.split_off(at + 1);
    let Some(Piece::Optional(choices)) = pieces.pop() else { return vec![pieces] };
    let mut rows = Vec::new();
    for choice in choices.into_iter().chain([Vec::new()]) {
        let row: Vec<Piece> = pieces.iter().cloned().chain(choice).chain(rest.iter().cloned()).collect();
        rows.extend(expanded(row));
    }
    rows
}

fn piece(word: &'static str) -> Piece {
    match word {
        "*" => Piece::Any,
        "**" => Piece::Many,
        "#" => Piece::Number,
        "$" => Piece::Secret,
        "$..." => Piece::Rest,
        "##" => Piece::Literal(vec!["##"]),
        _ if word.contains(['$', '*', '#']) => Piece::Inside(parts(word)),
        "|" => Piece::Literal(vec!["|"]),
        _ => Piece::Literal(word.split('|').collect()),
    }
}

fn parts(word: &'static str) -> Vec<Part> {
    let (word, ends) = word.strip_suffix("$...").map_or((word, false), |word| (word, true));
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, sign) in word.match_indices(['$', '*', '#']) {
        if at > start {
            parts.push(Part::Literal(&word[start..at]));
        }
        parts.push(match sign {
            "$" => Part::Secret,
            // A sign of the format: `#hash`.
            "#" if word[at + 1..].starts_with('$') => Part::Literal("#"),
            "#" => Part::Number,
            _ => Part::Any,
        });
        start = at + 1;
    }
    if start < word.len() {
        parts.push(Part::Literal(&word[start..]));
    }
    if ends {
        parts.push(Part::Rest);
    }
    parts
}

/// The condition that a line must meet before a row is held against it.
enum Anchor {
    /// One of these words is in it.
    Words(Vec<&'static str>),
    /// This is in it, within a word.
    Piece(&'static str),
}

/// Returns what a row is looked up by: whole words if it has some, and rather those that few ordinary lines have.
fn anchor(pieces: &[Piece]) -> Option<Anchor> {
    let least = |words: &[&str]| words.iter().map(|word| word.len()).min().unwrap_or(0);
    let is_rare = |words: &[&str]| {
        words.iter().all(|word| RARE.split(' ').any(|rare| word.to_ascii_lowercase().contains(rare)))
    };
    let words = pieces.iter().filter_map(|piece| match piece {
        Piece::Literal(words) => Some(words.as_slice()),
        _ => None,
    });
    let words = words.max_by_key(|words| (is_rare(words), least(words))).filter(|words| least(words) > 1);
    let inside = pieces.iter().filter_map(|piece| match piece {
        Piece::Inside(parts) => Some(parts),
        _ => None,
    });
    let literal = |part: &Part| match part {
        Part::Literal(text) => Some(*text),
        _ => None,
    };
    let piece = inside.flatten().filter_map(literal).max_by_key(|text| (is_rare(&[*text]), text.len()));
    match (words, piece.filter(|piece| piece.len() > 1)) {
        (Some(words), Some(piece)) if !is_rare(words) && is_rare(&[piece]) => Some(Anchor::Piece(piece)),
        (Some(words), _) => Some(Anchor::Words(words.to_vec())),
        (None, piece) => piece.map(Anchor::Piece),
    }
}

impl Row {
    /// Matches a line. Adds the words that the row speaks of, and returns true if it is such a line. `hits` are the places in the text where
    /// the words that the row is looked up by stand.
    pub(crate) fn matches(
        &self,
        text: &str,
        words: &[Word],
        hits: &[usize],
        above: &dyn Above,
        marks: &mut Vec<Mark>,
    ) -> bool {
        let earlier = marks.len();
        let mut matched = false;
        let line = Line { text, words };
        // A comment in a file whose every line is a credential.
        if self.is_by_position
            && words.first().is_some_and(|word| text[word.outer.clone()].starts_with(['#', ';']))
        {
            return false;
        }
        if self.is_floating {
            let mut next = 0;
            for hit in hits {
                let at = words.partition_point(|word| word.outer.end <= *hit);
                for start in at.saturating_sub(LEAD).max(next)..=at.min(words.len()) {
                    if let Some(end) = line.run(&self.pieces, start, marks) {
                        matched = true;
                        next = end.max(start + 1);
                        break;
                    }
                }
            }
        } else {
            matched = line.run(&self.pieces, 0, marks).is_some();
        }
        if matched && !self.above.is_empty() && !self.is_below(text, above) {
            marks.truncate(earlier);
            return false;
        }
        matched
    }

    fn is_below(&self, text: &str, above: &dyn Above) -> bool {
        let mut wanted = self.above.iter().rev().peekable();
        above.each_above(&mut |words| {
            if let Some(level) = wanted.peek() {
                let (level, start) = match level.first() {
                    Some(Piece::Many) => (&level[1..], 0..words.len()),
                    _ => (&level[..], 0..1),
                };
                let line = Line { text, words };
                if start.clone().any(|start| line.run(level, start, &mut Vec::new()).is_some()) {
                    wanted.next();
                }
            }
            wanted.peek().is_some()
        });
        wanted.peek().is_none()
    }
}

/// A line that rows are matched with.
struct Line<'a> {
    text: &'a str,
    words: &'a [Word],
}

impl Line<'_> {
    /// Matches the words from one on; returns the number of the word behind the match. What was added to the marks is taken back where it fails.
    fn run(&self, pieces: &[Piece], at: usize, marks: &mut Vec<Mark>) -> Option<usize> {
        let Some((piece, rest)) = pieces.split_first() else { return Some(at) };
        let earlier = marks.len();
        let go = |at: usize, marks: &mut Vec<Mark>| {
            let end = self.run(rest, at, marks);
            if end.is_none() {
                marks.truncate(earlier);
            }
            end
        };
        match piece {
            Piece::Optional(choices) => {
                for choice in choices {
                    // What is optional has neither `**` nor another option in it, so it ends in one place.
                    if let Some(end) = self.run(choice, at, marks)
                        && let Some(end) = self.run(rest, end, marks)
                    {
                        return Some(end);
                    }
                    marks.truncate(earlier);
                }
                go(at, marks)
            }
            Piece::Many => {
                if rest.is_empty() {
                    return Some(self.words.len());
                }
                (at..=self.words.len().min(at + MANY)).find_map(|at| go(at, marks))
            }
            _ => {
                let word = self.words.get(at)?;
                let inner = &self.text[word.inner.clone()];
                match piece {
                    Piece::Literal(wanted) => {
                        let is = |text: &str| wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(text));
                        (is(inner) || is(&self.text[word.outer.clone()])).then_some(())?;
                        marks.push(Mark { range: word.inner.clone(), is_secret: false });
                    }
                    Piece::Number => {
                        (!inner.is_empty() && inner.bytes().all(|b| b.is_ascii_digit())).then_some(())?;
                        marks.push(Mark { range: word.inner.clone(), is_secret: false });
                    }
                    Piece::Secret => {
                        // `password 7 <removed>`, `ENC <removed>`: this says how the secret was written that is gone.
                        let next = self.words.get(at + 1).map_or("", |next| &self.text[next.outer.start..]);
                        (!is_removed(next)).then_some(())?;
                        marks.push(self.secret(word.inner.clone())?);
                    }
                    Piece::Rest => {
                        let end = self.words.last()?.outer.end;
                        marks.push(self.secret(word.outer.start..end)?);
                        return Some(self.words.len());
                    }
                    Piece::Inside(parts) if matches!(parts.last(), Some(Part::Rest)) => {
                        let end = self.words.last()?.outer.end;
                        self.inside(parts, word.outer.start..end, marks)?;
                        return Some(self.words.len());
                    }
                    Piece::Inside(parts) => {
                        // Quotes belong to a row that speaks of them, or whose secret has its own.
                        let own = parts
                            .iter()
                            .any(|part| matches!(part, Part::Literal(text) if text.contains(['"', '\''])));
                        let own = own || matches!(parts.first(), Some(Part::Secret));
                        let (first, second) =
                            if own { (&word.outer, &word.inner) } else { (&word.inner, &word.outer) };
                        self.inside(parts, first.clone(), marks).or_else(|| {
                            marks.truncate(earlier);
                            self.inside(parts, second.clone(), marks)
                        })?;
                        // The whole word is not another row's secret.
                        if marks[earlier..].iter().any(|mark| mark.is_secret && mark.range != word.inner) {
                            marks.push(Mark { range: word.inner.clone(), is_secret: false });
                        }
                    }
                    _ => (!matches!(inner, "{" | "}")).then_some(())?,
                }
                go(at + 1, marks)
            }
        }
    }

    /// Matches the parts of one word.
    fn inside(&self, parts: &[Part], word: Range<usize>, marks: &mut Vec<Mark>) -> Option<()> {
        let mut at = word.start;
        for (i, part) in parts.iter().enumerate() {
            if let Part::Literal(literal) = part {
                let here =
                    self.text.get(at..at + literal.len()).filter(|_| at + literal.len() <= word.end)?;
                here.eq_ignore_ascii_case(literal).then_some(())?;
                at += literal.len();
                continue;
            }
            let rest = &self.text[at..word.end];
            let is_last = i + 1 == parts.len();
            if let Part::Number = part {
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                (digits > 0).then_some(())?;
                at += digits;
                continue;
            }
            let end = match parts.get(i + 1) {
                // A quote that opens right here closes before anything else counts.
                Some(Part::Literal(next)) => {
                    let skip = quoted(rest).map_or(0, |inner| inner.end + 1);
                    at + skip + find_ignoring_case(&rest[skip..], next)?
                }
                _ => word.end,
            };
            if let Part::Secret | Part::Rest = part {
                let inner =
                    quoted(&self.text[at..end]).map_or(at..end, |inner| at + inner.start..at + inner.end);
                let inner = if is_last { trimmed(self.text, inner) } else { inner };
                marks.push(self.secret(inner)?);
            }
            at = end;
        }
        // What the word has behind its last literal is punctuation.
        self.text[at..word.end].trim_end_matches([';', ',', '{']).is_empty().then_some(())
    }

    /// Returns the mark of a range that can be a secret. A placeholder and the marker of an earlier redaction stand in the place of one.
    fn secret(&self, range: Range<usize>) -> Option<Mark> {
        let secret = &self.text[range.clone()];
        let is_sign = matches!(
            secret,
            "{" | "}"
                | "["
                | "]"
                | "|"
                | "="
                | ":"
                | ":="
                | "=>"
                | "=="
                | "+="
                | "*"
                | "!!"
                | "!*"
                | "!"
                | "#"
                | "##"
                | "//"
        );
        // Within a marker, which has colons of its own.
        let before = &self.text[self.text.floor_char_boundary(range.start.saturating_sub(64))..range.start];
        let in_marker = before.rfind("<redacted:").is_some_and(|at| !before[at..].contains('>'));
        let fine = !in_marker && !secret.is_empty() && !is_sign && !is_removed(secret);
        let is_secret = !is_placeholder(secret) && !secret.contains("<redacted:");
        fine.then_some(Mark { range, is_secret })
    }
}

/// Returns true if the text begins what stands in the place of a secret that its source took out: `<removed>`, `# hidden`,
/// `<<< secret >>>`.
fn is_removed(text: &str) -> bool {
    let begin = &text[..text.floor_char_boundary(40)];
    let inner = begin.trim_start_matches(['<', ' ', '#']).to_ascii_lowercase();
    let names = [
        "removed",
        "hidden",
        "secret",
        "configuration",
        "redacted",
        "masked",
        "omitted",
        "password",
        "sanitized",
        "filtered",
        "private",
    ];
    let begins = (text.starts_with('<') && !text.starts_with("<redacted:hmac:")) || text.starts_with("# ");
    text == "<<<" || begins && names.iter().any(|name| inner.starts_with(name))
}

/// The range between the quotes that a text begins with and that close in it.
fn quoted(text: &str) -> Option<Range<usize>> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    let length = closing(&text[1..], quote)?;
    Some(1..1 + length)
}

/// A range without the punctuation at its end.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    range.start..range.start + text[range].trim_end_matches([';', ',']).len()
}

fn find_ignoring_case(text: &str, wanted: &str) -> Option<usize> {
    let (text, wanted) = (text.as_bytes(), wanted.as_bytes());
    (0..(text.len() + 1).saturating_sub(wanted.len()))
        .find(|at| text[*at..*at + wanted.len()].eq_ignore_ascii_case(wanted))
}
