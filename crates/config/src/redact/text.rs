//! Secrets in lines of text, found by what stands before them.
//!
//! A line is held against the rows of the grammars first, then against the general rules (`general`, `markup`,
//! `commands`), which know `name=value`, `name: value` and `name value` whatever the family. What is known by its own
//! looks is found by `values`. A secret is a span: nothing beyond it is hidden.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;

use super::scan::{Scan, Shapes, disjoint};
use super::{commands, general, markup};
use crate::grammar::{Above, Grammars, Row, Word, grammars, words};
use crate::secrets::Found;
use crate::secrets::triggers::{Hit, hits};
use crate::secrets::values::among;

/// The grammar of command lines.
const COMMANDS: &str = "command-lines";

/// The most places in one line at which a row is tried.
const PLACES: usize = 1024;

/// The most lines that a line may stand below.
const DEPTH: usize = 32;

/// Returns where the secrets stand in a text, from left to right, without overlap.
pub(super) fn find(text: &str, shapes: Shapes, file: Option<&str>) -> Vec<Found> {
    let hits = hits(text);
    let grammars = grammars();
    let rows =
        Rows { text, grammars, file, families: OnceCell::new(), above: RefCell::new(Lines::new(text)) };
    let is_by_position = shapes == Shapes::All && file.is_some() && rows.is_by_position();
    if hits.is_empty() && !is_by_position {
        return Vec::new();
    }
    let mut found = Vec::new();
    among(text, &hits, &mut found);
    let has_docker_auths = text.contains("\"auths\"");
    let wanted = |hit: &Hit| match hit {
        Hit::Name | Hit::Command => true,
        Hit::Word | Hit::Row(_) => shapes != Shapes::Log,
        _ => false,
    };
    let places: Vec<(usize, Hit)> = hits.into_iter().filter(|(_, hit)| wanted(hit)).collect();
    let (mut at, mut next) = (0, 0);
    while at < text.len() {
        // Straight to the next line with something in it.
        next += places[next..].iter().take_while(|(place, _)| *place < at).count();
        if !is_by_position {
            let Some((place, _)) = places.get(next) else { break };
            at = line_start(text, at, *place);
        }
        let line = at..logical_line_end(text, at);
        at = line.end + 1;
        let own = places[next..].partition_point(|(place, _)| *place < line.end);
        let own = &places[next..next + own];
        if own.is_empty() && !is_by_position {
            continue;
        }
        let scan = Scan { text, words: words(text, line.clone()), line, shapes, has_docker_auths };
        let earlier = found.len();
        let told = if shapes == Shapes::Log { Told::Nothing } else { rows.find(&scan, own, &mut found) };
        // Only what a name may announce is worth the general rules.
        let is_named = is_by_position || own.iter().any(|(_, hit)| !matches!(hit, Hit::Word | Hit::Row(_)));
        if told != Told::Innocent && is_named {
            general::assignments(&scan, &mut found);
            markup::elements(&scan, &mut found);
            markup::attributes(&scan, &mut found);
            if shapes == Shapes::All {
                markup::variables(&scan, &mut found);
                general::logins(&scan, &mut found);
                general::next_line(&scan, &mut found);
            }
            if shapes == Shapes::All && told == Told::Nothing {
                general::directives(&scan, &mut found);
            }
        }
        general::queries(&scan, &mut found);
        if own.iter().any(|(_, hit)| *hit == Hit::Command) {
            commands::in_line(&scan, &mut found);
        }
        if shapes != Shapes::All {
            general::options(&scan, &mut found);
        }
        // What a block scalar took need not be read again.
        at = found[earlier..].iter().map(|one| one.range.end).fold(at, usize::max);
        at += text[at.min(text.len())..].bytes().take_while(|byte| *byte & 0xc0 == 0x80).count();
    }
    disjoint(text, found)
}

/// Returns where secrets stand in a list of arguments: the number of the argument, and where in it.
pub(super) fn in_arguments(arguments: &[&str]) -> Vec<(usize, Range<usize>)> {
    let text = arguments.join(" ");
    let mut start = 0;
    let mut found =
        find(&text, Shapes::Assignments, None).into_iter().filter(|one| one.kind == COMMANDS).peekable();
    let mut places = Vec::new();
    for (at, argument) in arguments.iter().enumerate() {
        let end = start + argument.len();
        while let Some(one) = found.next_if(|one| one.range.end <= end) {
            if one.range.start >= start {
                places.push((at, one.range.start - start..one.range.end - start));
            }
        }
        start = end + 1;
    }
    places
}

/// The verdict of the rows of the grammars on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    /// Its secrets are found.
    Secret,
    /// It has none.
    Innocent,
}

/// The rows, and what they need to know of the text.
struct Rows<'a> {
    text: &'a str,
    grammars: &'static Grammars,
    file: Option<&'a str>,
    families: OnceCell<Vec<usize>>,
    above: RefCell<Lines<'a>>,
}

impl Rows<'_> {
    fn families(&self) -> &[usize] {
        self.families.get_or_init(|| self.grammars.families(self.text, self.file))
    }

    /// Returns true if the text is a file of credentials by position.
    fn is_by_position(&self) -> bool {
        self.grammars.of_every_line(self.families()).next().is_some()
    }

    /// Holds a line against the rows that the words in it are of.
    fn find(&self, scan: &Scan<'_>, hits: &[(usize, Hit)], found: &mut Vec<Found>) -> Told {
        let mut by_row: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut add = |row: usize, place: usize| {
            let places = by_row.entry(row).or_default();
            if places.len() < PLACES {
                places.push(place);
            }
        };
        for (place, hit) in hits {
            let Hit::Row(piece) = hit else { continue };
            self.grammars.pieces[*piece].1.iter().for_each(|row| add(*row, *place));
        }
        for word in scan.words.iter().take(PLACES) {
            let rows = self.grammars.rows_by(&self.text[word.inner.clone()]);
            rows.iter().for_each(|row| add(*row, word.outer.start));
        }
        let mut wanted: Vec<(&Row, Vec<usize>)> =
            by_row.into_iter().map(|(row, places)| (&self.grammars.rows[row], places)).collect();
        if self.families.get().is_some() {
            wanted.extend(self.grammars.of_every_line(self.families()).map(|row| (row, Vec::new())));
        }
        let mut told = Told::Nothing;
        let mut marks = Vec::new();
        let mut secrets = Vec::new();
        for (row, places) in wanted {
            // A string in a document may be a command, and is no device's line.
            if scan.shapes == Shapes::Assignments && self.grammars.all[row.grammar].name != COMMANDS {
                continue;
            }
            if row.is_only && !self.grammars.holds(row, self.families()) {
                continue;
            }
            let above = Below { lines: &self.above, line: scan.line.start };
            let earlier = marks.len();
            if !row.matches(self.text, &scan.words, &places, &above, &mut marks) {
                continue;
            }
            if row.is_innocent {
                return Told::Innocent;
            }
            told = Told::Secret;
            let kind = self.grammars.all[row.grammar].name;
            let own = marks[earlier..].iter().filter(|mark| mark.is_secret);
            secrets.extend(own.map(|mark| Found { range: mark.range.clone(), kind }));
        }
        // A word of one row's directive is not the secret of another.
        secrets.retain(|one| !marks.iter().any(|mark| !mark.is_secret && mark.range == one.range));
        secrets.into_iter().for_each(|one| scan.add(one.range, one.kind, found));
        told
    }
}

/// The lines that a line stands below.
struct Lines<'a> {
    text: &'a str,
    /// The end of what was read.
    read: usize,
    /// Lines with less and less indentation before, each with it.
    open: Vec<(usize, Range<usize>)>,
    /// The heading, `[name]` or `/menu`, of the section.
    heading: Option<Range<usize>>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Lines { text, read: 0, open: Vec::new(), heading: None }
    }

    /// Reads up to the line that begins at an offset, and drops what that line is not below.
    fn advance(&mut self, to: usize) {
        while self.read < to {
            let end = self.text[self.read..].find('\n').map_or(self.text.len(), |at| self.read + at);
            let line = &self.text[self.read..end];
            let content = line.trim_start();
            if !content.is_empty() {
                let indent = line.len() - content.len();
                let range = self.read + indent..end;
                self.close(indent);
                let is_menu = indent == 0
                    && content
                        .strip_prefix('/')
                        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
                let is_heading = content.starts_with('[') && content.trim_end().ends_with(']');
                if is_menu || is_heading {
                    self.heading = Some(range.clone());
                }
                if self.open.len() < DEPTH {
                    self.open.push((indent, range));
                }
            }
            self.read = end + 1;
        }
        let line = &self.text[to..];
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        self.close(indent);
    }

    fn close(&mut self, indent: usize) {
        while self.open.last().is_some_and(|(open, _)| *open >= indent) {
            self.open.pop();
        }
    }
}

/// The lines above one line.
struct Below<'a, 'b> {
    lines: &'b RefCell<Lines<'a>>,
    line: usize,
}

impl Above for Below<'_, '_> {
    fn each_above(&self, each: &mut dyn FnMut(&[Word]) -> bool) {
        let mut lines = self.lines.borrow_mut();
        lines.advance(self.line);
        for (_, line) in lines.open.iter().rev() {
            if !each(&words(lines.text, line.clone())) {
                return;
            }
        }
        if let Some(heading) = &lines.heading {
            let inner = lines.text[heading.clone()].trim_end();
            let inner = inner.trim_start_matches('[').trim_end_matches(']');
            let start = heading.end - lines.text[heading.clone()].trim_start_matches('[').len();
            if each(&words(lines.text, heading.clone())) {
                each(&words(lines.text, start..start + inner.len()));
            }
        }
    }
}

/// Where the logical line begins that an offset lies in, no earlier than `from`, where one begins.
fn line_start(text: &str, from: usize, at: usize) -> usize {
    let mut start = at;
    loop {
        start = text[from..start].rfind('\n').map_or(from, |feed| from + feed + 1);
        // A line behind a backslash is not a line of its own.
        if start == from || !text[from..start - 1].ends_with('\\') {
            return start;
        }
        start -= 1;
    }
}

/// The end of the line that begins at an offset, with the lines that a backslash at its end continues.
fn logical_line_end(text: &str, start: usize) -> usize {
    let mut end = start;
    loop {
        end = text[end..].find('\n').map_or(text.len(), |feed| end + feed);
        if end == text.len() || !text[start..end].ends_with('\\') {
            return end;
        }
        end += 1;
    }
}
