//! Secrets in lines of text, found by what stands before them.
//!
//! Three shapes cover RouterOS, Cisco-like, nginx and shell-like text: `name=value` and `name: value` (also quoted,
//! also continued on the next line by a backslash), `name value` to the end of the line, and what [`values`] knows by
//! its looks. Where it is not clear where a secret ends, more is taken rather than less.

use std::ops::Range;

use super::names::{Sense, sense};
use super::{begins_with_marker, values};

/// Which shapes to look for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shapes {
    /// All, for configuration text.
    All,
    /// Only those with a sign between name and value, for a string that may be prose.
    Assignments,
}

/// Where the secrets stand in a text, from left to right, without overlap.
pub(super) fn find(text: &str, shapes: Shapes) -> Vec<Range<usize>> {
    let mut found = values::find(text);
    let mut at = 0;
    let mut in_snmp_community = false;
    let has_docker_auths = text.contains("\"auths\"");
    while at < text.len() {
        let line = at..logical_line_end(text, at);
        at = line.end + 1;
        let content = &text[line.clone()];
        if shapes == Shapes::Assignments && is_bare_word(content) {
            continue;
        }
        if content.starts_with('/') {
            in_snmp_community = content.starts_with("/snmp community");
        }
        let scan = Scan { text, line, in_snmp_community, has_docker_auths };
        let earlier = found.len();
        scan.assignments(&mut found);
        scan.queries(&mut found);
        scan.elements(&mut found);
        scan.commands(&mut found);
        match shapes {
            Shapes::All => {
                scan.directives(&mut found);
                scan.next_line(&mut found);
            }
            Shapes::Assignments => scan.options(&mut found),
        }
        // What a block scalar took need not be read again.
        at = found[earlier..].iter().map(|range| range.end).fold(at, usize::max);
    }
    disjoint(text, found)
}

/// Whether a line is one word without any of the signs that the shapes of a string begin with.
fn is_bare_word(line: &str) -> bool {
    line.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'=' | b':' | b'?' | b'&' | b';' | b'<'))
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

/// Joins overlapping ranges and drops what is redacted already or is nothing.
fn disjoint(text: &str, mut found: Vec<Range<usize>>) -> Vec<Range<usize>> {
    found.sort_by_key(|range| (range.start, range.end));
    let mut joined = Vec::<Range<usize>>::new();
    for range in found {
        match joined.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined.retain(|range| {
        let secret = text[range.clone()].trim_matches(|c: char| is_padding(c) || c == '"' || c == '\'');
        !secret.is_empty() && !begins_with_marker(secret)
    });
    joined
}

/// What may stand around a value without belonging to it.
fn is_padding(c: char) -> bool {
    c.is_whitespace() || matches!(c, ';' | ',' | '\\')
}

/// The commands whose options are known to hold passwords.
const COMMANDS: &str =
    "mysql mysqldump mysqladmin mysqlimport mariadb mariadb-dump mariadb-admin sshpass curl wget";

/// One logical line of a text.
struct Scan<'a> {
    text: &'a str,
    line: Range<usize>,
    in_snmp_community: bool,
    has_docker_auths: bool,
}

impl Scan<'_> {
    /// `name=value` and `name: value`.
    fn assignments(&self, found: &mut Vec<Range<usize>>) {
        let line = &self.text[self.line.clone()];
        let mut covered = 0;
        for (at, sign) in line.char_indices().filter(|(_, c)| matches!(c, '=' | ':')) {
            let start = self.line.start + at + 1;
            let before = line[..at].trim_end_matches([' ', '\t', '"', '\'']);
            let name = &before[before.trim_end_matches(is_name).len()..];
            let in_marker = before[..before.len() - name.len()].ends_with("<redacted:hmac:");
            let community = self.in_snmp_community && name == "name";
            let docker = self.has_docker_auths && name == "auth";
            let sense = if community || docker { Sense::Secret } else { sense(name) };
            if start <= covered || sense == Sense::Innocent || in_marker || line[at..].starts_with("://") {
                continue;
            }
            let Some(value) = self.value(start, sign, name.starts_with('-')) else { continue };
            let text = &self.text[value.clone()];
            let number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            let boolean = ["true", "false"].iter().any(|word| text.eq_ignore_ascii_case(word));
            if !(boolean || (number && sense == Sense::Mentions)) {
                covered = value.end;
                found.push(value);
            }
        }
    }

    /// The value that begins after a sign; that of an option is one word.
    fn value(&self, start: usize, sign: char, is_option: bool) -> Option<Range<usize>> {
        let start = self.skip_blanks(start);
        let rest = &self.text[start..self.line.end];
        let quote = rest.chars().next()?;
        if sign == ':' && matches!(rest.trim_end(), "|" | ">" | "|-" | ">-" | "|+" | ">+") {
            return self.block();
        }
        if matches!(quote, '"' | '\'' | '`')
            && let Some(length) = closing(&rest[1..], quote)
        {
            let after = rest[length + 2..].chars().next();
            if after.is_none_or(|c| is_padding(c) || matches!(c, ')' | '}' | ']')) {
                return Some(start + 1..start + 1 + length);
            }
        }
        // A name with a sign after a blank is the next assignment; otherwise blanks are part of the value.
        let ends = |word: &Range<usize>| {
            let word = &rest[word.clone()];
            is_option || begins_assignment(word) || word.starts_with("<redacted:hmac:")
        };
        let next = if sign == '=' { words(rest).skip(1).find(ends) } else { None };
        let end = next.map_or(rest.len(), |next| next.start);
        let value = rest[..end].trim_end_matches(is_padding);
        (!value.is_empty()).then(|| start..start + value.len())
    }

    /// The lines below this one that are indented deeper: the value of a YAML block scalar.
    fn block(&self) -> Option<Range<usize>> {
        let indent = |line: &str| line.len() - line.trim_start().len();
        let depth = indent(&self.text[self.line.clone()]);
        let below = self.text.get(self.line.end + 1..)?;
        let mut length = 0;
        for line in below.split_inclusive('\n') {
            if !line.trim().is_empty() && indent(line) <= depth {
                break;
            }
            length += line.len();
        }
        let content = below[..length].trim();
        let start = self.line.end + 1 + indent(&below[..length]);
        (!content.is_empty()).then(|| start..start + content.len())
    }

    /// `name value` to the end of the line.
    fn directives(&self, found: &mut Vec<Range<usize>>) {
        let words = self.words();
        for (at, word) in words.iter().enumerate() {
            let name = self.text[word.clone()].trim_matches(|c| matches!(c, '"' | '\''));
            if !self.announces(&words, at, name) {
                continue;
            }
            let mut values = &words[at + 1..];
            // Cisco tells how the secret is written before the secret: `password 7 …`.
            if let [kind, _, ..] = values {
                let kind = &self.text[kind.clone()];
                if kind.len() <= 2 && kind.bytes().all(|b| b.is_ascii_digit()) {
                    values = &values[1..];
                }
            }
            if let ([first, ..], [.., last]) = (values, values) {
                let value = self.text[first.start..last.end].trim_end_matches(is_padding);
                let assigned = value.starts_with(['=', ':']);
                if !assigned && !value.is_empty() {
                    found.push(first.start..first.start + value.len());
                }
            }
        }
    }

    /// Whether the words after this one are a secret.
    fn announces(&self, words: &[Range<usize>], at: usize, name: &str) -> bool {
        let word = |at: usize| words.get(at).map_or("", |word| &self.text[word.clone()]);
        let first = word(0);
        match name {
            "pass" | "bearer" | "Bearer" => false,
            _ if !name.chars().all(is_name) => false,
            "community" | "rocommunity" | "rwcommunity" => at == 0 || first.starts_with("snmp"),
            "auth" | "priv" => first == "snmp-server" && at > 1,
            "md5" => at > 0 && word(at - 1).bytes().all(|b| b.is_ascii_digit()),
            "key" => {
                let typed = word(at + 1).len() == 1 && word(at + 1).bytes().all(|b| b.is_ascii_digit());
                let server = ["tacacs", "radius"].iter().any(|server| first.starts_with(server));
                server || word(at.wrapping_sub(1)) == "isakmp" || (typed && at + 2 < words.len())
            }
            _ => sense(name) == Sense::Secret,
        }
    }

    /// `--name value` on a command line inside a string.
    fn options(&self, found: &mut Vec<Range<usize>>) {
        let words = self.words();
        for pair in words.windows(2) {
            let [name, value] = pair else { continue };
            let name = &self.text[name.clone()];
            if name.starts_with('-') && name.chars().all(is_name) && sense(name) == Sense::Secret {
                found.push(value.clone());
            }
        }
    }

    /// The signature in a URL's query: with it the URL is all that is needed.
    fn queries(&self, found: &mut Vec<Range<usize>>) {
        let line = &self.text[self.line.clone()];
        for (at, _) in line.match_indices(['?', '&', ';']) {
            let Some((name, value)) = line[at + 1..].split_once('=') else { continue };
            let name_is = |known: &str| name.eq_ignore_ascii_case(known);
            if !["sig", "signature", "x-amz-signature", "x-goog-signature"].into_iter().any(name_is) {
                continue;
            }
            let ends = |c: char| c.is_whitespace() || matches!(c, '&' | '#' | '"' | '\'' | '`' | ';');
            let length = value.find(ends).unwrap_or(value.len());
            let start = self.line.start + at + 1 + name.len() + 1;
            self.add(start..start + length, found);
        }
    }

    /// `<password>…</password>`.
    fn elements(&self, found: &mut Vec<Range<usize>>) {
        let line = &self.text[self.line.clone()];
        let mut covered = 0;
        for (at, _) in line.match_indices('<') {
            let name = &line[at + 1..];
            let name = &name[..name.len() - name.trim_start_matches(|c| is_name(c) || c == ':').len()];
            let start = at + 1 + name.len() + 1;
            if start <= covered || !line[start - 1..].starts_with('>') || sense(name) != Sense::Secret {
                continue;
            }
            let end = line[start..].find("</").map_or(line.len(), |end| start + end);
            covered = end;
            self.add(self.line.start + start..self.line.start + end, found);
        }
    }

    /// The passwords of well-known commands: `mysql -p…`, `curl -u user:…`, `sshpass -p …`.
    fn commands(&self, found: &mut Vec<Range<usize>>) {
        let words = self.words();
        let mut command = "";
        for (at, word) in words.iter().enumerate() {
            let text = &self.text[word.clone()];
            let name =
                text.trim_start_matches(['"', '\'', '`', '(', '$']).rsplit('/').next().unwrap_or_default();
            if COMMANDS.split(' ').any(|known| known == name) {
                command = name;
                continue;
            }
            let next = || words.get(at + 1).map(|next| next.start);
            let start = match command {
                "" => continue,
                "curl" | "wget" => match text {
                    "-u" | "--user" | "-U" | "--proxy-user" => next(),
                    _ if text.starts_with("--user=") => Some(word.start + "--user=".len()),
                    _ if text.starts_with("-u") => Some(word.start + 2),
                    _ => None,
                },
                "sshpass" if text == "-p" => next(),
                _ if text.starts_with("-p") && text.len() > 2 => Some(word.start + 2),
                _ => None,
            };
            let Some(start) = start else { continue };
            let argument = self.argument(start);
            if !matches!(command, "curl" | "wget") {
                self.add(argument, found);
            } else if let Some((user, password)) = self.text[argument.clone()].split_once(':')
                && !password.starts_with("//")
                && !user.contains('<')
            {
                self.add(argument.start + user.len() + 1..argument.end, found);
            }
        }
    }

    /// The argument that begins here: a word, or what stands between quotes.
    fn argument(&self, start: usize) -> Range<usize> {
        let rest = &self.text[start..self.line.end];
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        if let Some(quote) = quote {
            let length = closing(&rest[1..], quote).unwrap_or(rest.len() - 1);
            return start + 1..start + 1 + length;
        }
        start..start + rest.find(char::is_whitespace).unwrap_or(rest.len())
    }

    /// `password` or `password:` alone on a line, and one word alone on the next.
    fn next_line(&self, found: &mut Vec<Range<usize>>) {
        let name = self.text[self.line.clone()].trim();
        let name = name.strip_suffix(':').unwrap_or(name);
        if name.ends_with(['s', 'S']) || !name.chars().all(is_name) || sense(name) != Sense::Secret {
            return;
        }
        let Some(below) = self.text.get(self.line.end + 1..) else { return };
        let line = below.split('\n').next().unwrap_or_default();
        let word = line.trim();
        let start = self.line.end + 1 + line.len() - line.trim_start().len();
        if word.contains(char::is_alphanumeric)
            && !word.contains(char::is_whitespace)
            && !word.ends_with([':', '{', '['])
        {
            self.add(start..start + word.len(), found);
        }
    }

    /// Adds what is not redacted yet.
    fn add(&self, secret: Range<usize>, found: &mut Vec<Range<usize>>) {
        if !secret.is_empty() && !self.text[secret.clone()].contains("<redacted:") {
            found.push(secret);
        }
    }

    fn words(&self) -> Vec<Range<usize>> {
        let offset = self.line.start;
        words(&self.text[self.line.clone()]).map(|word| word.start + offset..word.end + offset).collect()
    }

    /// Past blanks and line ends behind a backslash.
    fn skip_blanks(&self, start: usize) -> usize {
        let rest = &self.text[start..self.line.end];
        let mut skipped = rest.trim_start_matches([' ', '\t']);
        while let Some(next) = skipped.strip_prefix("\\\n") {
            skipped = next.trim_start_matches([' ', '\t']);
        }
        self.line.end - skipped.len()
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// The words of a line; a backslash that continues it is none.
fn words(line: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + line[at..].find(|c: char| !c.is_whitespace())?;
        at = line[start..].find(char::is_whitespace).map_or(line.len(), |end| start + end);
        Some(start..at)
    })
    .filter(move |word| &line[word.clone()] != "\\")
}

/// Whether a text begins with `name=`.
fn begins_assignment(text: &str) -> bool {
    let after = text.trim_start_matches(is_name);
    after.len() < text.len() && after.starts_with('=')
}

/// Where the quote closes that was opened before this text.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    let found = text.char_indices().find(|(_, c)| {
        let closes = *c == quote && !escaped;
        escaped = *c == '\\' && !escaped && quote == '"';
        closes
    });
    found.map(|(at, _)| at)
}
