//! Blocks in braces: nginx, Junos, dovecot, keepalived, F5, VyOS, nftables, and programs.

use std::borrow::Cow;

use super::outline::Outline;

/// The sections found while the blocks of a text were read.
#[derive(Debug, Default)]
pub(super) struct Braces {
    /// Number of blocks that a line of their own ended.
    pub(super) closed: usize,
    /// Number of blocks that nothing ended, and of ends of none.
    pub(super) unbalanced: usize,
}

impl Braces {
    /// Reads the blocks of a text. A block's first and last line belong to it; one on a single line is none. A server is named with
    /// its first name, which stands below its first line.
    pub(super) fn read(outline: &mut Outline<'_>) -> Braces {
        let mut found = Braces::default();
        let mut open: Vec<usize> = Vec::new();
        let mut in_comment = false;
        // The line that names a block whose brace stands on the next line alone.
        let mut before: Option<usize> = None;
        for at in 0..outline.lines.len() {
            let whole = outline.lines[at];
            let line = whole.trim();
            let around = open.last().copied();
            if in_comment || line.starts_with("/*") {
                in_comment = !line.contains("*/");
                outline.of_line.push(around);
                continue;
            }
            if memchr::memchr2(b'{', b'}', line.as_bytes()).is_none() {
                if let Some(name) = line.strip_prefix("server_name ") {
                    name_server(outline, around, name);
                }
                if !line.is_empty() && !line.starts_with('#') {
                    before = (!line.ends_with(';')).then_some(at);
                }
                outline.of_line.push(around);
                continue;
            }
            let (opened, closes) = braces(line);
            let mut block = None;
            for _ in 0..closes {
                match open.pop() {
                    Some(closed) => {
                        block = block.or(Some(closed));
                        found.closed += 1;
                    }
                    None => found.unbalanced += 1,
                }
            }
            for title in opened {
                let mut head = at;
                let mut title = title;
                if title.is_empty()
                    && line == "{"
                    && let Some(named) = before
                {
                    (head, title) = (named, outline.lines[named].trim());
                }
                let parent = open.last().copied();
                let opened = outline.open(parent, Some(head), Cow::Borrowed(plain(title)));
                if head != at {
                    outline.of_line[head] = Some(opened);
                }
                open.push(opened);
                block = Some(opened);
            }
            before = None;
            outline.of_line.push(block.or(around));
        }
        found.unbalanced += open.len();
        found
    }
}

/// Returns the titles of the blocks that a line opens and leaves open, and the number of blocks from above that it closes.
fn braces(line: &str) -> (Vec<&str>, usize) {
    let bytes = line.as_bytes();
    let (mut opened, mut closes) = (Vec::new(), 0);
    let (mut at, mut from) = (0, 0);
    let is_blank = |at: usize| at == 0 || bytes[at - 1].is_ascii_whitespace();
    while at < bytes.len() {
        match bytes[at] {
            b'#' if is_blank(at) => break,
            b'/' if is_blank(at) && matches!(bytes.get(at + 1), Some(b'/' | b'*')) => break,
            b'\\' => at += 1,
            quote @ (b'"' | b'\'') if quote == b'"' || at == 0 || !bytes[at - 1].is_ascii_alphanumeric() => {
                at = string_end(bytes, at).unwrap_or(at);
            }
            b'{' => {
                opened.push(line[from..at].trim());
                from = at + 1;
            }
            b'}' => {
                if opened.pop().is_none() {
                    closes += 1;
                }
                from = at + 1;
            }
            b';' => from = at + 1,
            _ => {}
        }
        at += 1;
    }
    (opened, closes)
}

/// Returns the place of the quote that ends the string which begins at a place, if that is on the same line.
fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            byte if byte == bytes[start] => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// A title without what says nothing of the block: marks of Junos, `=` and `:` before the brace, quotes of a key.
fn plain(title: &str) -> &str {
    let mut title = title.trim_end_matches(['=', ':', ' ', '(']);
    for mark in ["inactive:", "protect:", "replace:"] {
        title = title.strip_prefix(mark).unwrap_or(title).trim_start();
    }
    let inner = title.strip_prefix('"').and_then(|title| title.strip_suffix('"'));
    inner.filter(|inner| !inner.contains('"')).unwrap_or(title)
}

fn name_server(outline: &mut Outline<'_>, block: Option<usize>, names: &str) {
    let first = names.trim_end_matches(';').split_whitespace().next();
    if let (Some(block), Some(first)) = (block, first)
        && outline.blocks[block].title == "server"
    {
        outline.blocks[block].title = Cow::Owned(format!("server {first}"));
    }
}
