//! The blocks of a text: which of them each line stands in, and the lines that open those.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{Syntax, heads};
use crate::routeros::{FIRST_SECTION, Reach, menu};

/// Maximum number of blocks that a name is made of; what is nested deeper belongs to the last of them.
const DEPTH: usize = 16;

/// Maximum length of a block's own name, in bytes.
const NAME: usize = 100;

/// Lines that end a block of lines that are indented, and stand beside its first line.
const CLOSERS: [&str; 9] = ["!", "#", "exit", "end", "quit", "return", "next", "done", "fi"];

/// Words of devices that say little without the one behind them.
const PREFIXES: [&str; 4] = ["ip", "ipv6", "aaa", "crypto"];

/// A block, or a group of lines that belong together without a line that opens them.
pub(super) struct Block<'a> {
    parent: Option<usize>,
    /// The line that opens it.
    pub(super) line: Option<usize>,
    pub(super) title: Cow<'a, str>,
    /// Its title behind those of the blocks around it.
    name: String,
}

/// The blocks of a text.
pub(crate) struct Outline<'a> {
    pub(super) syntax: Syntax,
    pub(super) lines: Vec<&'a str>,
    pub(super) blocks: Vec<Block<'a>>,
    /// The block of each line.
    pub(super) of_line: Vec<Option<usize>>,
}

impl<'a> Outline<'a> {
    /// Returns the syntax by which it was read.
    pub(crate) fn syntax(&self) -> Syntax {
        self.syntax
    }

    /// Returns the name of the section that a line stands in.
    pub(crate) fn section(&self, line: usize) -> &str {
        match self.of_line.get(line).copied().flatten() {
            Some(block) => &self.blocks[block].name,
            None => self.syntax.first(),
        }
    }

    /// Returns the lines below which a line stands, as far as they are above another line: from the outermost one,
    /// and nothing if it stands below none of them.
    pub(crate) fn heading(&self, line: usize, above: usize) -> String {
        let mut parts: Vec<String> = Vec::new();
        let mut block = self.of_line.get(line).copied().flatten();
        while let Some(at) = block.filter(|_| parts.len() < DEPTH) {
            let Block { parent, line, title, .. } = &self.blocks[at];
            if let Some(line) = line.filter(|line| *line < above) {
                let shown = match self.syntax {
                    Syntax::Blocks | Syntax::Tags => collapsed(title),
                    _ => collapsed(self.lines[line]),
                };
                parts.push(shown.into_owned());
            }
            block = *parent;
        }
        parts.reverse();
        parts.join(" > ")
    }

    /// Opens a block, and returns its number.
    pub(super) fn open(&mut self, parent: Option<usize>, line: Option<usize>, title: Cow<'a, str>) -> usize {
        self.blocks.push(Block { parent, line, title, name: String::new() });
        self.blocks.len() - 1
    }

    /// Makes the names of all blocks, each of which comes after the one around it.
    pub(super) fn name(&mut self) {
        let mut depths: Vec<usize> = Vec::with_capacity(self.blocks.len());
        let below = self.syntax.below().unwrap_or(" ");
        for at in 0..self.blocks.len() {
            let Block { parent, title, .. } = &self.blocks[at];
            let title = collapsed(title);
            let depth = parent.map_or(0, |parent| depths[parent]);
            let name = match parent.map(|parent| &self.blocks[parent].name) {
                Some(around) if depth >= DEPTH || title.is_empty() => around.clone(),
                Some(around) if !around.is_empty() => format!("{around}{below}{title}"),
                _ => title.into_owned(),
            };
            depths.push(depth + 1);
            self.blocks[at].name = name;
        }
        for block in &mut self.blocks {
            if block.name.is_empty() {
                self.syntax.first().clone_into(&mut block.name);
            }
        }
    }

    /// Menus of RouterOS.
    pub(super) fn menus(&mut self) {
        let mut open = None;
        for at in 0..self.lines.len() {
            let block = match menu(self.lines[at]) {
                Some((section, reach)) => {
                    let block = self.open(None, Some(at), Cow::Owned(section));
                    if matches!(reach, Reach::Following) {
                        open = Some(block);
                    }
                    Some(block)
                }
                None => open,
            };
            self.of_line.push(block);
        }
    }

    /// Lines that open a block which ends where the next one opens.
    pub(super) fn headers(&mut self, title: impl Fn(&'a str) -> Option<Cow<'a, str>>) {
        let mut open = None;
        for at in 0..self.lines.len() {
            if let Some(title) = title(self.lines[at]) {
                open = Some(self.open(None, Some(at), title));
            }
            self.of_line.push(open);
        }
    }

    /// Pairs of tags on lines of their own, as Apache has them. A virtual host is named with its first name.
    pub(super) fn tags(&mut self) {
        let mut open: Vec<usize> = Vec::new();
        for at in 0..self.lines.len() {
            let line = self.lines[at].trim();
            let mut block = open.last().copied();
            if let Some(title) = heads::tag(line) {
                block = Some(self.open(block, Some(at), Cow::Borrowed(title)));
                open.extend(block);
            } else if let Some(name) = heads::end_tag(line) {
                let is_it = |block: &&usize| {
                    let first = self.blocks[**block].title.split_whitespace().next();
                    first.is_some_and(|first| first.eq_ignore_ascii_case(name))
                };
                if let Some(place) = open.iter().rev().position(|block| is_it(&block)) {
                    open.truncate(open.len() - place);
                    block = open.pop();
                }
            } else if let Some(("ServerName", name)) = line.split_once(' ')
                && let Some(title) = block.map(|block| &mut self.blocks[block].title)
                && title.starts_with("VirtualHost")
                && !title.ends_with(name.trim())
            {
                *title = Cow::Owned(format!("{title} {}", name.trim()));
            }
            self.of_line.push(block);
        }
    }

    /// `config … edit … next … end`. A value in quotes may go on over lines that look like any of these.
    pub(super) fn fortios(&mut self) {
        // The blocks that are open, and whether each is one of `config`.
        let mut open: Vec<(usize, bool)> = Vec::new();
        let mut in_value = false;
        for at in 0..self.lines.len() {
            let line = self.lines[at].trim();
            let was_in_value = in_value;
            in_value ^= has_odd_quotes(line);
            let around = open.last().map(|(block, _)| *block);
            let mut block = around;
            if was_in_value {
                self.of_line.push(block);
                continue;
            }
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "config" | "edit" if !rest.is_empty() => {
                    let title = if word == "edit" { rest.trim().trim_matches('"') } else { rest };
                    let opened = self.open(around, Some(at), Cow::Borrowed(title));
                    open.push((opened, word == "config"));
                    block = Some(opened);
                }
                "next" => drop(open.pop_if(|(_, is_config)| !*is_config)),
                "end" | "abort" => {
                    while open.pop().is_some_and(|(ended, is_config)| {
                        block = Some(ended);
                        !is_config
                    }) {}
                }
                _ => {}
            }
            self.of_line.push(block);
        }
    }

    /// Lines of commands, `set interfaces ge-0/0/0 …`, grouped by the first words of what they set.
    pub(super) fn commands(&mut self) {
        let mut groups = HashMap::new();
        for at in 0..self.lines.len() {
            let block = heads::command_path(self.lines[at]).and_then(|path| {
                path.into_iter().fold(None, |group, word| self.group(&mut groups, group, word))
            });
            self.of_line.push(block);
        }
    }

    /// Returns the group of a title, which is made when it is first met.
    fn group(
        &mut self,
        groups: &mut HashMap<(Option<usize>, &'a str), usize>,
        parent: Option<usize>,
        title: &'a str,
    ) -> Option<usize> {
        if let Some(known) = groups.get(&(parent, title)) {
            return Some(*known);
        }
        let group = self.open(parent, None, Cow::Borrowed(title));
        groups.insert((parent, title), group);
        Some(group)
    }

    /// Lines below a line that is indented less. In a text of a device, the lines that open nothing and stand below nothing are
    /// grouped by their first word.
    pub(super) fn indented(&mut self, is_device: bool) {
        let shapes: Vec<Option<usize>> = self.lines.iter().map(|line| indentation(line)).collect();
        // How far the next line that counts is indented.
        let mut next = vec![0; shapes.len()];
        let mut below = 0;
        for at in (0..shapes.len()).rev() {
            next[at] = below;
            below = shapes[at].unwrap_or(below);
        }
        let mut open: Vec<(usize, usize)> = Vec::new();
        let mut groups = HashMap::new();
        // A blank line, a remark or an end belongs to what stands above it.
        let mut latest = None;
        let mut banner: Option<&str> = None;
        for at in 0..shapes.len() {
            let line = self.lines[at].trim();
            if let Some(end) = banner {
                if line.contains(end) {
                    banner = None;
                }
                self.of_line.push(latest);
                continue;
            }
            if is_device && let Some((title, end)) = banner_of(line) {
                open.clear();
                latest = Some(self.open(None, Some(at), Cow::Borrowed(title)));
                banner = end;
                self.of_line.push(latest);
                continue;
            }
            let Some(indent) = shapes[at] else {
                self.of_line.push(latest);
                continue;
            };
            if CLOSERS.contains(&line) || line.starts_with("end-") || line.starts_with("exit-") {
                let mut closed = None;
                while let Some((_, block)) = open.pop_if(|(above, _)| *above >= indent) {
                    closed = Some(block);
                }
                latest = closed.or(open.last().map(|(_, block)| *block)).or(latest);
                self.of_line.push(latest);
                continue;
            }
            while open.last().is_some_and(|(above, _)| *above >= indent) {
                open.pop();
            }
            let mut block = open.last().map(|(_, block)| *block);
            if next[at] > indent {
                block = Some(self.open(block, Some(at), Cow::Borrowed(line.trim_end_matches([':', '{']))));
                open.extend(block.map(|block| (indent, block)));
            } else if block.is_none() && is_device {
                block = self.grouped(&mut groups, line);
            }
            latest = block;
            self.of_line.push(block);
        }
    }

    /// Returns the group of a line that stands alone: by its first word, without `no`.
    fn grouped(
        &mut self,
        groups: &mut HashMap<(Option<usize>, &'a str), usize>,
        line: &'a str,
    ) -> Option<usize> {
        let mut words = line.split_whitespace().skip_while(|word| matches!(*word, "no" | "undo" | "default"));
        let first = words.next()?;
        let group = self.group(groups, None, first);
        match words.next().filter(|_| PREFIXES.contains(&first)) {
            Some(second) => self.group(groups, group, second),
            None => group,
        }
    }
}

impl Syntax {
    /// Returns the name of the section of lines that stand in no other.
    pub(super) fn first(self) -> &'static str {
        match self {
            Syntax::Routeros => FIRST_SECTION,
            Syntax::Ini | Syntax::Keywords => "global",
            _ => "main",
        }
    }
}

/// Returns the number of columns a line is indented by; none for a blank line and a comment.
fn indentation(line: &str) -> Option<usize> {
    let mut columns = 0;
    for byte in line.bytes() {
        match byte {
            b' ' => columns += 1,
            b'\t' => columns = columns / 8 * 8 + 8,
            b'\r' | b'\n' => return None,
            b'#' | b'!' | b';' => {
                return CLOSERS.contains(&line.trim()).then_some(columns);
            }
            _ => return Some(columns),
        }
    }
    None
}

/// Returns true for the line between two blocks of a device's configuration: `!`, `#`, or a remark behind `!`.
pub(super) fn is_separator(line: &str) -> bool {
    line.starts_with('!') || line.trim_end() == "#"
}

/// Returns the title of a banner that a line begins, whose lines are free text, and what it ends with if it goes on.
fn banner_of(line: &str) -> Option<(&str, Option<&str>)> {
    let rest = line.strip_prefix("banner ")?;
    let kind = rest.split(' ').next().unwrap_or(rest);
    let title = &line[.."banner ".len() + kind.len()];
    let text = rest[kind.len()..].trim_start();
    let end = match text.chars().next() {
        None => "EOF",
        Some('^') if text[1..].starts_with(|c: char| c.is_ascii_alphabetic()) => &text[..2],
        Some(mark) => &text[..mark.len_utf8()],
    };
    let is_over = !text.is_empty() && text[end.len()..].contains(end);
    Some((title, (!is_over).then_some(end)))
}

/// A title in one line, with single blanks, cut where it is long.
fn collapsed(title: &str) -> Cow<'_, str> {
    let title = title.trim();
    let has_runs = title.contains("  ") || title.contains(['\t', '\r', '\n']);
    let mut title = match has_runs {
        true => Cow::Owned(title.split_whitespace().collect::<Vec<_>>().join(" ")),
        false => Cow::Borrowed(title),
    };
    if title.len() > NAME {
        let end = title.floor_char_boundary(NAME);
        title = Cow::Owned(format!("{}…", &title[..end]));
    }
    title
}

fn has_odd_quotes(line: &str) -> bool {
    let (mut odd, mut escaped) = (false, false);
    for byte in line.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => odd = !odd,
            _ => {}
        }
    }
    odd
}
