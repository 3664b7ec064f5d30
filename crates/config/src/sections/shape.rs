//! The shape of a text: by which syntax its sections are written.

use std::borrow::Cow;

use super::Syntax;
use super::braces::Braces;
use super::outline::{Outline, is_separator};

/// Words that open a section of HAProxy's configuration at the beginning of a line.
const HAPROXY: [&str; 16] = [
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "userlist",
    "peers",
    "resolvers",
    "mailers",
    "cache",
    "program",
    "ring",
    "http-errors",
    "log-forward",
    "fcgi-app",
    "crt-store",
];

/// Words that open a section of the configuration of ssh and sshd.
const SSH: [&str; 2] = ["Host", "Match"];

/// Words that a line of commands begins with.
const VERBS: [&str; 6] = ["set", "delete", "deactivate", "activate", "protect", "unprotect"];

/// What the lines of a text look like, counted.
#[derive(Debug, Default)]
struct Counts {
    code: usize,
    headers: usize,
    first_is_header: bool,
    settings: usize,
    commands: usize,
    tags: usize,
    end_tags: usize,
    configs: usize,
    /// Lines `edit …`, and lines `set …` that stand below something.
    edits: usize,
    ends: usize,
    haproxy: usize,
    services: usize,
    ssh: usize,
    indented: usize,
}

/// Returns the syntax by which the lines of a text are in sections, if there is one.
pub(super) fn syntax(lines: &[&str]) -> Option<Syntax> {
    let counts = Counts::of(lines);
    let nearly = |a: usize, b: usize| a.abs_diff(b) <= 1 + a.max(b) / 20;
    if counts.configs > 0 && counts.edits > 0 && nearly(counts.configs, counts.ends) {
        return Some(Syntax::Fortios);
    }
    let tags = counts.tags + counts.end_tags;
    if counts.tags > 0 && nearly(counts.tags, counts.end_tags) && counts.code - tags >= tags / 2 {
        return Some(Syntax::Tags);
    }
    if is_braced(lines, counts.indented) {
        return Some(Syntax::Blocks);
    }
    if counts.commands * 2 > counts.code {
        return Some(Syntax::Set);
    }
    let told = counts.headers + counts.settings;
    if counts.headers > 0 && (told * 2 > counts.code || counts.first_is_header) && told > 1 {
        return Some(Syntax::Ini);
    }
    if counts.services > 0 && counts.haproxy > 1 {
        return Some(Syntax::Keywords);
    }
    if counts.ssh > 0 && counts.indented == 0 && counts.code > counts.ssh {
        return Some(Syntax::Keywords);
    }
    let begins_block = |pair: &[&&str]| {
        let word = pair[0].as_bytes()[0];
        (word.is_ascii_alphanumeric()
            || matches!(word, b'"' | b'\'' | b'@' | b'/' | b'_' | b'*' | b'-' | b'$'))
            && pair[1].starts_with([' ', '\t'])
    };
    let code: Vec<&&str> = lines.iter().filter(|line| is_code(line)).collect();
    let is_device = || lines.iter().any(|line| is_separator(line));
    code.windows(2).any(begins_block).then(|| if is_device() { Syntax::Device } else { Syntax::Indented })
}

/// Returns true for a line that is neither blank nor a comment.
fn is_code(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with(['#', ';', '!'])
}

impl Counts {
    fn of(lines: &[&str]) -> Counts {
        let mut counts = Counts::default();
        for line in lines {
            let trimmed = line.trim();
            let Some(first) = trimmed.bytes().next().filter(|first| !matches!(first, b'#' | b';' | b'!'))
            else {
                continue;
            };
            let is_at_start = !line.starts_with([' ', '\t']);
            counts.code += 1;
            counts.indented += usize::from(!is_at_start);
            if first == b'[' && header(trimmed).is_some() {
                counts.headers += 1;
                counts.first_is_header |= counts.code == 1;
                continue;
            }
            counts.settings += usize::from(memchr::memchr(b'=', trimmed.as_bytes()).is_some());
            if first == b'<' {
                counts.tags += usize::from(tag(trimmed).is_some());
                counts.end_tags += usize::from(end_tag(trimmed).is_some());
                continue;
            }
            match trimmed.split(' ').next().unwrap_or(trimmed) {
                "config" => counts.configs += 1,
                "edit" => counts.edits += 1,
                "set" | "unset" if !is_at_start => counts.edits += 1,
                "end" => counts.ends += 1,
                word if is_at_start && first.is_ascii_lowercase() => {
                    counts.commands += usize::from(VERBS.contains(&word) && trimmed.len() > word.len());
                    if HAPROXY.contains(&word) {
                        counts.haproxy += 1;
                        counts.services += usize::from(matches!(word, "frontend" | "backend" | "listen"));
                    }
                }
                word if is_at_start => {
                    counts.ssh += usize::from(SSH.contains(&word) && trimmed.len() > word.len())
                }
                _ => {}
            }
        }
        counts
    }
}

/// Returns true if most of what is not at the beginning of its line stands in braces.
fn is_braced(lines: &[&str], indented: usize) -> bool {
    let is_open = |line: &&str| memchr::memchr(b'{', line.as_bytes()).is_some();
    if !lines.iter().any(is_open) {
        return false;
    }
    let mut outline = Outline {
        syntax: Syntax::Blocks,
        lines: lines.to_vec(),
        blocks: Vec::new(),
        of_line: Vec::with_capacity(lines.len()),
    };
    let Braces { closed, unbalanced } = Braces::read(&mut outline);
    let named = outline.blocks.iter().filter(|block| !block.title.is_empty()).count();
    let is_inside = |(line, block): &(&&str, &Option<usize>)| block.is_some() && is_code(line);
    let inside = lines.iter().zip(&outline.of_line).filter(is_inside).count();
    let outside = indented.saturating_sub(inside);
    named > 0 && closed > 0 && unbalanced <= 1 + outline.blocks.len() / 20 && outside <= inside
}

/// Returns the name of a section that a line opens in brackets.
pub(super) fn header(line: &str) -> Option<&str> {
    let inner = line.trim().strip_prefix('[')?.strip_suffix(']')?;
    // A table of TOML that may stand several times.
    let inner = inner.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(inner).trim();
    // `[remote "origin"]` is a section of git; `["a"]` is a list.
    let quotes = inner.matches('"').count();
    let is_name = quotes == 0 || quotes == 2 && inner.ends_with('"') && inner.contains(" \"");
    (!inner.is_empty() && is_name && !inner.contains(['[', ']', ','])).then_some(inner)
}

/// Returns what a tag opens that stands alone on a line: `VirtualHost *:80`.
pub(super) fn tag(line: &str) -> Option<&str> {
    let inner = line.trim().strip_prefix('<')?.strip_suffix('>')?;
    let is_name = inner.starts_with(|c: char| c.is_ascii_alphabetic());
    (is_name && !inner.contains("</") && !inner.ends_with('/')).then_some(inner)
}

/// Returns the name in a tag that closes another, and stands alone on a line.
pub(super) fn end_tag(line: &str) -> Option<&str> {
    let inner = line.trim().strip_prefix("</")?.strip_suffix('>')?.trim();
    (!inner.is_empty() && !inner.contains('<')).then_some(inner)
}

/// Returns the title of the section that a line opens by its first word.
pub(super) fn keyword(line: &str) -> Option<Cow<'_, str>> {
    let line = line.trim_end();
    let word = line.split(' ').next().unwrap_or(line);
    (HAPROXY.contains(&word) || SSH.contains(&word) && line.len() > word.len()).then_some(Cow::Borrowed(line))
}

/// Returns the first words of what a command sets, as far as they name a thing and not its value.
pub(super) fn command_path(line: &str) -> Option<Vec<&str>> {
    let mut words = line.split_whitespace();
    words.next().filter(|verb| VERBS.contains(verb))?;
    let words: Vec<&str> = words.take(8).collect();
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    let has_digit = |text: &str| text.bytes().any(|b| b.is_ascii_digit());
    let depth = match (word(0), word(1)) {
        ("interfaces", kind) if !has_digit(kind) => 3,
        ("firewall", "family") => 5,
        ("firewall", "group") | ("protocols", "bgp") => 4,
        ("firewall" | "policy-options" | "applications" | "policy", _) => 3,
        ("security", "policies") if word(2) == "from-zone" => 6,
        ("security", "zones") | ("rulebase", _) | ("network", "interface") => 4,
        _ => 2,
    };
    // The last word is a value, where there is one.
    let depth = depth.min(words.len().saturating_sub(1)).max(1);
    (!words.is_empty()).then(|| words[..depth].to_vec())
}
