//! Secrets in lines of text, found by what stands before them.
//!
//! Three shapes cover RouterOS, Cisco-like, nginx and shell-like text: `name=value` and `name: value` (also quoted,
//! also continued on the next line by a backslash), `name value` to the end of the line, and what [`values`] knows by
//! its looks. Where it is not clear where a secret ends, more is taken rather than less.

use std::ops::Range;

use super::commands;
use super::fields::is_reference;
use super::marker::begins_with_marker;
use super::names::{Sense, sense};
use super::triggers::{Hit, hits};
use super::values::{Found, among, is_placeholder};

/// Which shapes to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shapes {
    /// All, for configuration text.
    All,
    /// Only those with a sign between name and value, for a string that may be prose.
    Assignments,
    /// For what programs print: those of configuration text, but `name value` only where the value is no word.
    Log,
}

/// Where the secrets stand in a text, from left to right, without overlap.
pub(super) fn find(text: &str, shapes: Shapes) -> Vec<Found> {
    let hits = hits(text);
    if hits.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    among(text, &hits, &mut found);
    let has_docker_auths = text.contains("\"auths\"");
    let places = |wanted: &[Hit]| -> Vec<usize> {
        hits.iter().filter(|(_, hit)| wanted.contains(hit)).map(|(at, _)| *at).collect()
    };
    let (names, commands) = (places(&[Hit::Name, Hit::Command]), places(&[Hit::Command]));
    let mut in_snmp_community = false;
    let (mut at, mut next) = (0, 0);
    while at < text.len() {
        // Straight to the next line with a name in it, unless all below a RouterOS section's heading counts.
        if !in_snmp_community {
            next += names[next..].iter().take_while(|name| **name < at).count();
            let Some(name) = names.get(next) else { break };
            at = line_start(text, at, *name);
        }
        let line = at..logical_line_end(text, at);
        at = line.end + 1;
        let content = &text[line.clone()];
        if content.starts_with('/') {
            in_snmp_community = content.starts_with("/snmp community");
        }
        let scan = Scan { text, line, in_snmp_community, has_docker_auths, shapes };
        let earlier = found.len();
        scan.assignments(&mut found);
        scan.queries(&mut found);
        scan.elements(&mut found);
        let next_command = commands.partition_point(|command| *command < scan.line.start);
        if commands.get(next_command).is_some_and(|command| *command < scan.line.end) {
            scan.commands(&mut found);
        }
        scan.told(&mut found);
        match shapes {
            Shapes::All => {
                scan.directives(&mut found);
                scan.next_line(&mut found);
            }
            Shapes::Log => {
                scan.directives(&mut found);
                scan.options(&mut found);
            }
            Shapes::Assignments => scan.options(&mut found),
        }
        // What a block scalar took need not be read again.
        at = found[earlier..].iter().map(|one| one.range.end).fold(at, usize::max);
        at += text[at.min(text.len())..].bytes().take_while(|byte| *byte & 0xc0 == 0x80).count();
    }
    disjoint(text, found)
}

/// Where the logical line begins that an offset lies in, no earlier than `from`, where one begins.
fn line_start(text: &str, from: usize, at: usize) -> usize {
    let mut start = at;
    loop {
        start = text[from..start].rfind('\n').map_or(from, |feed| from + feed + 1);
        // A line behind a backslash is no line of its own.
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

/// Joins overlapping ranges and drops what is redacted already or is nothing.
pub(super) fn disjoint(text: &str, mut found: Vec<Found>) -> Vec<Found> {
    found.sort_by_key(|one| (one.range.start, one.range.end));
    let mut joined = Vec::<Found>::new();
    for one in found {
        match joined.last_mut() {
            Some(last) if one.range.start < last.range.end => {
                // A maker's name says more than that the field is called a password.
                if last.kind == NAMED {
                    last.kind = one.kind;
                }
                last.range.end = last.range.end.max(one.range.end);
            }
            _ => joined.push(one),
        }
    }
    joined.retain(|one| {
        let secret = text[one.range.clone()].trim_matches(|c: char| is_padding(c) || c == '"' || c == '\'');
        !secret.is_empty() && !begins_with_marker(secret)
    });
    joined
}

/// Returns true for characters around a value that are not part of it.
fn is_padding(c: char) -> bool {
    c.is_whitespace() || matches!(c, ';' | ',' | '\\')
}

/// The kind of a secret that is found by the name before it.
pub(super) const NAMED: &str = "named-secret";

fn named(range: Range<usize>) -> Found {
    Found { range, kind: NAMED }
}

/// One logical line of a text.
struct Scan<'a> {
    text: &'a str,
    line: Range<usize>,
    in_snmp_community: bool,
    has_docker_auths: bool,
    shapes: Shapes,
}

impl Scan<'_> {
    /// `name=value` and `name: value`.
    fn assignments(&self, found: &mut Vec<Found>) {
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
            let boolean =
                ["true", "false", "yes", "no", "none", "null", "nil", "undefined", "~", "{}", "[]", "{", "["];
            let boolean =
                boolean.iter().any(|word| text.trim_end_matches([',', ';']).eq_ignore_ascii_case(word));
            if !(boolean || (number && sense == Sense::Mentions) || is_reference(text)) {
                covered = value.end;
                found.push(named(value));
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
    fn directives(&self, found: &mut Vec<Found>) {
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
                let end = match self.shapes {
                    Shapes::Log if sense(name) == Sense::Secret => match odd_word(value) {
                        Some(end) => end,
                        None => continue,
                    },
                    _ => value.len(),
                };
                if !assigned && !value.is_empty() && !is_reference(value) {
                    found.push(named(first.start..first.start + end));
                }
            }
        }
    }

    /// Returns true if the words after this one are a secret.
    fn announces(&self, words: &[Range<usize>], at: usize, name: &str) -> bool {
        let word = |at: usize| words.get(at).map_or("", |word| &self.text[word.clone()]);
        let first = word(0);
        match name {
            "pass" | "bearer" | "Bearer" => false,
            _ if !name.chars().all(is_name) => false,
            "community" | "rocommunity" | "rwcommunity" => {
                at == 0 || first.starts_with("snmp") || word(at - 1) == "snmp"
            }
            "auth" | "priv" => first == "snmp-server" && at > 1,
            "authentication" | "privacy" => first == "snmp-server" && at > 1,
            // `/ppp secret` is a place in RouterOS' menu.
            "secret" if at > 0 && word(at - 1).ends_with("ppp") => false,
            "md5" => at > 0 && word(at - 1).bytes().all(|b| b.is_ascii_digit()),
            "key" => {
                let typed = word(at + 1).len() == 1 && word(at + 1).bytes().all(|b| b.is_ascii_digit());
                let server = ["tacacs", "radius"].iter().any(|server| first.starts_with(server));
                let below_server = at == 0 && self.is_below(&["tacacs", "radius"]);
                server
                    || below_server
                    || word(at.wrapping_sub(1)) == "isakmp"
                    || (typed && at + 2 < words.len())
            }
            // The command, not what is behind it.
            _ if commands::known(name).is_some() => false,
            _ => sense(name) == Sense::Secret,
        }
    }

    /// Returns true if this line is indented below a line, not far above, that begins with one of these
    /// words.
    fn is_below(&self, words: &[&str]) -> bool {
        let indent = |line: &str| line.len() - line.trim_start().len();
        let own = indent(&self.text[self.line.clone()]);
        let above = self.text[..self.line.start].rsplit('\n').skip(1).take(16);
        own > 0
            && above
                .filter(|line| !line.trim().is_empty())
                .find(|line| indent(line) < own)
                .is_some_and(|line| words.iter().any(|word| line.trim_start().starts_with(word)))
    }

    /// `name="…password" … value="…"` in XML, and the `default` of a Terraform variable whose name says it.
    fn told(&self, found: &mut Vec<Found>) {
        let line = &self.text[self.line.clone()];
        let trimmed = line.trim_start();
        if let Some(rest) = trimmed.strip_prefix("variable \"") {
            let name = rest.split('"').next().unwrap_or_default();
            let below = self.text.get(self.line.end + 1..).unwrap_or_default();
            let block = below.split("\n}").next().unwrap_or_default();
            let default = block.find("default").filter(|_| sense(name) == Sense::Secret);
            if let Some(open) = default.and_then(|at| Some(at + block[at..].find('"')? + 1)) {
                let start = self.line.end + 1 + open;
                let length = closing(&block[open..], '"').unwrap_or(block.len() - open);
                self.add(start..start + length, NAMED, found);
            }
        }
        let mut covered = 0;
        for attribute in ["name=\"", "key=\"", "Name=\"", "Key=\""] {
            for (at, _) in line.match_indices(attribute) {
                let name = line[at + attribute.len()..].split('"').next().unwrap_or_default();
                if at < covered || sense(name) != Sense::Secret {
                    continue;
                }
                let rest = at + attribute.len() + name.len();
                let end = line[rest..].find('>').map_or(line.len(), |end| rest + end);
                let value =
                    line[rest..end].to_ascii_lowercase().find("value=\"").map(|value| rest + value + 7);
                if let Some(start) = value {
                    let length = closing(&line[start..end], '"').unwrap_or(end - start);
                    self.add(self.line.start + start..self.line.start + start + length, NAMED, found);
                } else if let Some(inner) =
                    line[end..].strip_prefix('>').filter(|_| !line[..end].ends_with('/'))
                {
                    // `<property name="accessKey"><value>…</value></property>`
                    let content = inner.trim_start();
                    let content = content
                        .strip_prefix("<value>")
                        .or_else(|| content.strip_prefix("<string>"))
                        .unwrap_or(content);
                    let length = content.find('<').unwrap_or(content.len());
                    let start = self.line.start + line.len() - content.len();
                    self.add(start..start + content[..length].trim_end().len(), NAMED, found);
                }
                covered = end;
            }
        }
    }

    /// `--name value` on a command line inside a string.
    fn options(&self, found: &mut Vec<Found>) {
        let words = self.words();
        for pair in words.windows(2) {
            let [name, value] = pair else { continue };
            let name = &self.text[name.clone()];
            if name.starts_with('-') && name.chars().all(is_name) && sense(name) == Sense::Secret {
                let argument = &self.text[value.clone()];
                if !argument.starts_with("--") && !is_placeholder(argument) {
                    found.push(Found { range: value.clone(), kind: "command-line" });
                }
            }
        }
    }

    /// The signature in a URL's query: with it the URL is all that is needed.
    fn queries(&self, found: &mut Vec<Found>) {
        let line = &self.text[self.line.clone()];
        let mut covered = 0;
        for (at, _) in line.match_indices(['?', '&', ';']) {
            let Some((name, value)) = line[at + 1..].split_once('=') else { continue };
            let name_is = |known: &str| name.eq_ignore_ascii_case(known);
            if at < covered
                || !["sig", "signature", "x-amz-signature", "x-goog-signature"].into_iter().any(name_is)
            {
                continue;
            }
            let ends = |c: char| c.is_whitespace() || matches!(c, '&' | '#' | '"' | '\'' | '`' | ';');
            let length = value.find(ends).unwrap_or(value.len());
            covered = at + 1 + name.len() + 1 + length;
            let start = covered - length + self.line.start;
            self.add(start..start + length, "url-signature", found);
        }
    }

    /// `<password>…</password>`.
    fn elements(&self, found: &mut Vec<Found>) {
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
            if !is_reference(&line[start..end]) {
                self.add(self.line.start + start..self.line.start + end, NAMED, found);
            }
        }
    }

    /// The passwords of well-known commands: `mysql -p…`, `curl -u user:…`, `sshpass -p …`.
    fn commands(&self, found: &mut Vec<Found>) {
        let words = self.words();
        let mut command = None;
        for (at, word) in words.iter().enumerate() {
            let text = &self.text[word.clone()];
            if let Some(known) = commands::known(text) {
                command = Some(known);
                continue;
            }
            if command.is_none() {
                continue;
            }
            // An argument in quotes may have blanks in it, so it is measured anew.
            let own = self.argument(word.start);
            let mut range =
                commands::within(command, &self.text[own.clone()]).map(|range| (own.start, range));
            if range.is_none()
                && let Some(next) = words.get(at + 1)
            {
                let next = self.argument(next.start);
                let behind = commands::behind(command, text, &self.text[next.clone()]);
                range = behind.map(|range| (next.start, range));
            }
            if let Some((start, range)) = range {
                let secret = &self.text[start + range.start..start + range.end];
                let quotes = |c| matches!(c, '"' | '\'');
                let inner = secret.trim_start_matches(quotes);
                let from = start + range.end - inner.len();
                // `-p'a b'`: from the quote on to the one that closes it.
                let end = match secret.chars().next().filter(|c| quotes(*c)) {
                    Some(_) => self.argument(start + range.start).end,
                    None => from + inner.trim_end_matches(quotes).len(),
                };
                self.add(from..end.max(from), "command-line", found);
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
    fn next_line(&self, found: &mut Vec<Found>) {
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
            self.add(start..start + word.len(), NAMED, found);
        }
    }

    /// Adds what is not redacted yet.
    fn add(&self, secret: Range<usize>, kind: &'static str, found: &mut Vec<Found>) {
        if !secret.is_empty() && !self.text[secret.clone()].contains("<redacted:") {
            found.push(Found { range: secret, kind });
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

/// The end of the first word that is no word of prose: it has a digit, a sign or capitals in it. A few small words may
/// stand before it: `password is …`.
fn odd_word(value: &str) -> Option<usize> {
    for word in words(value).take(3) {
        let text = value[word.clone()]
            .trim_matches(|c: char| matches!(c, '"' | '\'' | '`' | ',' | '.' | ';' | '(' | ')' | ':'));
        if matches!(text, "is" | "was" | "are" | "to" | "value" | "set" | "now" | "as" | "=" | "->" | "") {
            continue;
        }
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let signs = text.bytes().any(|b| b"!#$%^&*+=~@".contains(&b));
        let humps = text.chars().skip(1).any(char::is_uppercase) && text.chars().any(char::is_lowercase);
        let odd = text.len() >= 4 && digits < text.len() && (digits > 0 || signs || humps);
        return (odd && !is_placeholder(text)).then_some(word.end);
    }
    None
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

/// Returns true if the text begins with `name=`.
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
