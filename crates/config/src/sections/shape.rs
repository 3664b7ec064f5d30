//! The shape of a text: by which syntax its sections are written.

use super::Syntax;
use super::braces::Braces;
use super::heads::{HAPROXY, SSH, VERBS, end_tag, header, tag};
use super::outline::{Outline, is_separator};

/// Counts of what the lines of a text look like.
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
