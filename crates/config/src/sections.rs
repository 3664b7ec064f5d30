//! Texts with sections: which section a line is in.
//!
//! Sections are tracked over the whole text, so a line far below its section's beginning still belongs to it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::Pattern;
use crate::lines::inclusive;
use crate::path::lenient;

pub use crate::routeros::{FIRST_SECTION, is_routeros, sectioned};

/// The syntax of a text's sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// A RouterOS export: a line `/ip firewall filter` opens `ip/firewall/filter`.
    Routeros,
    /// Blocks in braces, as nginx has them: `http > server example.org > location /`.
    Blocks,
    /// `[section]` on a line of its own, with settings below.
    Ini,
}

impl Syntax {
    /// Returns the syntax of the text's sections, if it has any.
    pub fn of(text: &str) -> Option<Syntax> {
        if is_routeros(text) {
            return Some(Syntax::Routeros);
        }
        let code = || inclusive(text).map(str::trim).filter(|line| !line.starts_with(['#', ';']));
        let (mut opens, mut closes, mut statement, mut section) = (0usize, 0usize, false, false);
        for line in code() {
            opens += usize::from(line.ends_with('{'));
            closes += usize::from(line.starts_with('}'));
            statement |= line.ends_with(';');
            section = section || header(line).is_some();
        }
        if statement && opens > 0 && opens == closes {
            return Some(Syntax::Blocks);
        }
        let setting = |line: &str| !line.starts_with('[') && line.contains('=');
        (section && code().any(setting)).then_some(Syntax::Ini)
    }

    /// Returns the noun for a line of such a text.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Syntax::Routeros => "rule",
            Syntax::Blocks => "directive",
            Syntax::Ini => "setting",
        }
    }

    /// A section in the words of a summary.
    pub(crate) fn label(self, section: &str) -> String {
        match self {
            Syntax::Routeros => {
                let words: Vec<&str> = section.split('/').collect();
                words[words.len().saturating_sub(2)..].join(" ")
            }
            Syntax::Blocks => section.rsplit(" > ").next().unwrap_or(section).to_owned(),
            Syntax::Ini => section.to_owned(),
        }
    }

    /// The lines of a text, line ends included, each with the section it stands in.
    pub fn sections(self, text: &str) -> Vec<(Cow<'_, str>, &str)> {
        match self {
            Syntax::Routeros => sectioned(text).collect(),
            Syntax::Blocks => blocks(text),
            Syntax::Ini => {
                let mut open = "global";
                let section = |line| {
                    open = header(line).unwrap_or(open);
                    (Cow::Borrowed(open), line)
                };
                text.split_inclusive('\n').map(section).collect()
            }
        }
    }
}

/// A text less its sections that a pattern covers, ignoring case, with those below them; and the names of those. `None` where
/// the text has no sections.
pub fn without<'a>(text: &'a str, patterns: &[Pattern]) -> Option<(String, BTreeSet<Cow<'a, str>>)> {
    let syntax = Syntax::of(text)?;
    let below = match syntax {
        Syntax::Routeros => Some("/"),
        Syntax::Blocks => Some(" > "),
        Syntax::Ini => None,
    };
    let covered = |name: &str| {
        let above = below.into_iter().flat_map(|below| name.match_indices(below)).map(|(at, _)| at);
        above.chain([name.len()]).any(|end| {
            let path = lenient(&name[..end]);
            patterns.iter().any(|pattern| pattern.covers(&path.0, true))
        })
    };
    let mut known = BTreeMap::new();
    let mut kept = String::with_capacity(text.len());
    for (section, line) in syntax.sections(text) {
        let is_left_out = match known.get(&section) {
            Some(is_left_out) => *is_left_out,
            None => *known.entry(section.clone()).or_insert(covered(&section)),
        };
        if !is_left_out {
            kept.push_str(line);
        }
    }
    let gone =
        known.into_iter().filter_map(|(section, is_left_out)| is_left_out.then_some(section)).collect();
    Some((kept, gone))
}

/// The name of a section that a line opens in brackets.
fn header(line: &str) -> Option<&str> {
    let name = line.trim().strip_prefix('[')?.strip_suffix(']')?.trim();
    (!name.is_empty() && !name.contains(['[', ']', ',', '"'])).then_some(name)
}

/// The lines of a text with blocks. A block's first and last line belong to it. A server is told by its first name, which
/// stands below its first line.
fn blocks(text: &str) -> Vec<(Cow<'_, str>, &str)> {
    let lines: Vec<&str> = inclusive(text).collect();
    let mut names = vec![String::new(); lines.len()];
    let mut open: Vec<usize> = Vec::new();
    for (index, line) in lines.iter().map(|line| line.trim()).enumerate() {
        if line.starts_with('}') {
            open.pop();
        }
        if let Some(head) = line.strip_suffix('{') {
            names[index] = head.trim_start_matches('}').split_whitespace().collect::<Vec<_>>().join(" ");
            open.push(index);
        } else if let (Some(name), Some(block)) = (line.strip_prefix("server_name "), open.last()) {
            let first = name.trim_end_matches(';').split_whitespace().next();
            if let (Some(first), "server") = (first, names[*block].as_str()) {
                names[*block] = format!("server {first}");
            }
        }
    }
    let mut path: Vec<usize> = Vec::new();
    let mut section = |(index, line): (usize, &&str)| {
        let code = line.trim();
        let closes = code.starts_with('}');
        let opens = code.ends_with('{');
        if closes && opens {
            path.pop();
        }
        if opens {
            path.push(index);
        }
        let steps: Vec<&str> = path.iter().map(|block| names[*block].as_str()).collect();
        if closes && !opens {
            path.pop();
        }
        if steps.is_empty() { "main".to_owned() } else { steps.join(" > ") }
    };
    let mut found: Vec<(Cow<'_, str>, &str)> = Vec::with_capacity(lines.len());
    for line in lines.iter().enumerate() {
        found.push((Cow::Owned(section(line)), line.1));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_brackets_are_sections_too() {
        let nginx = "user www;\nhttp {\n  server {\n    listen 80;\n    server_name a.org www.a.org;\n    location / {\n      return 200;\n    }\n  }\n}\n";
        assert_eq!(Syntax::of(nginx), Some(Syntax::Blocks));
        let sections: Vec<_> =
            Syntax::Blocks.sections(nginx).into_iter().map(|(section, _)| section).collect();
        let (server, location) = ("http > server a.org", "http > server a.org > location /");
        assert_eq!(
            sections,
            ["main", "http", server, server, server, location, location, location, server, "http"]
        );
        let ini = "a=1\n[db]\nhost=x\n[ web ]\nport=1\n";
        assert_eq!(Syntax::of(ini), Some(Syntax::Ini));
        let sections: Vec<_> = Syntax::Ini.sections(ini).into_iter().map(|(section, _)| section).collect();
        assert_eq!(sections, ["global", "db", "db", "web", "web"]);
        for text in ["a\nb\n", "{\n  \"a\": 1\n}\n", "if (x) {\n", "[1, 2]\na=1\n"] {
            assert_eq!(Syntax::of(text), None, "{text}");
        }
        // More is closed than was opened: still a section for each line.
        assert_eq!(Syntax::Blocks.sections("}\n}\na {\n").len(), 3);
    }

    #[test]
    fn sections_are_left_out_with_what_is_below_them() {
        let left = |text: &str, pattern: &str| {
            let (kept, gone) = without(text, &[pattern.parse().unwrap()]).unwrap();
            (kept, gone.into_iter().map(Cow::into_owned).collect::<Vec<_>>())
        };
        let export = "/ip dns\nset a=1\n/ip firewall filter\nadd b\n/user\nadd c\n";
        let dns = "/ip dns\nset a=1\n/user\nadd c\n".to_owned();
        assert_eq!(left(export, "IP/firewall"), (dns.clone(), vec!["ip/firewall/filter".to_owned()]));
        assert_eq!(left(export, "*/filter").0, dns);
        assert_eq!(left(export, "dns"), (export.to_owned(), vec![]));
        let blocks = "user www;\nhttp {\n  server {\n    server_name a.org;\n    location / {\n      return 200;\n    }\n  }\n}\n";
        assert_eq!(left(blocks, "http > server a.org").0, "user www;\nhttp {\n}\n");
        assert_eq!(left("[a]\nx=1\n[b]\ny=2\n", "b").0, "[a]\nx=1\n");
        assert_eq!(without("no sections\n", &["**".parse().unwrap()]), None);
    }
}
