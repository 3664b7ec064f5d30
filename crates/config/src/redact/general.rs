//! The general rules for lines: a name that announces a secret, and the value behind it.
//!
//! They hold in every text. The value of a name is what its notation makes it: what is between quotes, the rest of the line where a
//! line is one name and its value (`name = a value`), one word everywhere else.

use std::ops::Range;

use super::scan::{Scan, Shapes, is_padding};
use crate::grammar::{closing, is_placeholder};
use crate::secrets::looks::{is_code, is_in, is_mode, is_odd, is_prose, is_reference};
use crate::secrets::names::{self, Sense, sense};
use crate::secrets::{ARGUMENT, Found, NAMED};

/// The most bytes of a value in quotes.
const FAR: usize = 64 << 10;

/// Words between a name and its secret: how it is written.
const TYPES: &str = "encrypted cipher ciphertext simple plain plaintext plain-text cleartext clear-text clear hash hashed md5 sha sha1 \
    sha-1 sha256 sha-256 sha512 sha-512 ascii ascii-text hex hexadecimal bcrypt scrypt pbkdf2 irreversible-cipher irreversible \
    enc localized unencrypted encrypted-password plaintext-password encrypt level type-7 aes des = := is";

/// Words that follow a name in a line that only talks about secrets.
const FOLLOWERS: &str = "policy policies encryption aging age history recovery length min-length minimum-length max-length \
    complexity strength strength-check prompt expire expires expiry expiration type format mode method authentication required \
    protected protection control manager change changes changed reset retry retries attempts lifetime timeout storage sync file files \
    path name names id index for from in of on to with and or the a an must was were has have had will would should cannot can not \
    be been as at by if then when check checks checking database hash-algorithm validation rotation management server servers group \
    groups list lists chain based using via are is rules rule field fields value values only per than that this your you we it its \
    sharing into access login auth settings configuration config options option hint holder generator store vault less warning notice \
    update updates verification usage used needed set-up provider providers provisioning generic tls docker-registry add remove create \
    created delete deleted print get show rotate revoke renew expired invalid refresh refreshed found missing accepted rejected refused \
    sent received issued returned but error failed mismatch reset-token does do undeclared unused defined undefined expression";

pub(super) fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// Finds `name=value`, `name: value`, `name => value` and their kin.
pub(super) fn assignments(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let line = scan.content();
    let mut covered = 0;
    for (at, sign) in line.match_indices(['=', ':', ',']) {
        let sign = sign.as_bytes()[0];
        let after = &line[at + 1..];
        let before = &line[..at];
        if scan.line.start + at < covered || !is_sign(before, sign, after) {
            continue;
        }
        let Some((name, is_first)) = name_before(before) else { continue };
        // `define('NAME', '…')`, `{name, "…"}`
        if sign == b',' && !before.trim_end().ends_with(['"', '\'']) && !before.trim_start().starts_with('{')
        {
            continue;
        }
        // The result of a test.
        if name == "PASS" && sign == b':' {
            continue;
        }
        let docker = scan.has_docker_auths && name == "auth";
        let sense = if docker { Sense::Secret } else { sense(name) };
        if sense == Sense::Innocent || (sense == Sense::Mentions && scan.shapes == Shapes::Log) {
            continue;
        }
        let start = scan.line.start + at + 1 + usize::from(sign == b'=' && after.starts_with('>'));
        let Some(Value { range, is_quoted }) = value(scan, start, sign, is_first && !name.starts_with('-'))
        else {
            continue;
        };
        let text = &scan.text[range.clone()];
        let is_code = sign == b',' && !is_quoted;
        let is_adjacent = sign == b':' && !after.starts_with([' ', '\t', '"', '\'', '\\']);
        let fine = match scan.shapes {
            Shapes::Assignments if is_adjacent => is_odd(text),
            Shapes::Log => is_told(text, is_quoted, sign, after),
            // In what may be a sentence, a colon and a blank are punctuation.
            Shapes::Assignments if sign == b':' && !is_quoted && after.starts_with(' ') => is_odd(text),
            _ => sense == Sense::Secret || is_odd(text),
        };
        // What a row of a grammar found in it is more exact.
        let is_found = found
            .iter()
            .rev()
            .take(16)
            .any(|one| range.start <= one.range.start && one.range.end <= range.end);
        if fine && !is_code && !is_found && is_secret_value(text, is_quoted) {
            covered = range.end;
            scan.add(range, NAMED, found);
        }
    }
}

/// Returns true if a sign stands between a name and its value: not in a comparison, a path or a URL.
fn is_sign(before: &str, sign: u8, after: &str) -> bool {
    match sign {
        b'=' => {
            let compares = before.ends_with(['=', '!', '<', '>', '~']) || after.starts_with(['=', '~']);
            !compares
        }
        b':' => !after.starts_with("//") && !after.starts_with([':', '=']) && !before.ends_with(':'),
        _ => true,
    }
}

/// Returns the name that ends before a sign, and true if the line begins with it.
fn name_before(before: &str) -> Option<(&str, bool)> {
    let closed = before.trim_end_matches([':', '+']).trim_end_matches([' ', '\t']);
    let closed = closed.trim_end_matches(['"', '\'', ']', '`', '}', '\\']);
    let start = closed.trim_end_matches(is_name).len();
    let name = &closed[start..];
    // The user of a URL is not a name, nor is what a marker holds.
    if name.is_empty()
        || closed[..start].ends_with("<redacted:hmac:")
        || closed[..start].ends_with("://")
        || closed[..start].ends_with("${")
        || closed[..start].ends_with('!')
    {
        return None;
    }
    const LEADS: &str = "export set setenv declare -x local readonly env arg param - + # ; // ! $ option default const let var \
        static final public private protected global";
    let lead = closed[..start].trim_end_matches(['"', '\'', '[', '`']);
    let is_first = lead
        .split_ascii_whitespace()
        .all(|word| is_in(LEADS, word.trim_start_matches(['#', ';'])) || word.is_empty())
        || lead.trim_start().trim_start_matches(['#', ';', '!', '/', ' ']).is_empty();
    Some((name, is_first))
}

/// A value, and whether it stands in quotes.
struct Value {
    range: Range<usize>,
    is_quoted: bool,
}

/// Returns the value that begins after a sign. With `is_whole`, the line is one name and its value.
fn value(scan: &Scan<'_>, start: usize, sign: u8, is_whole: bool) -> Option<Value> {
    let start = skip_blanks(scan, start);
    let rest = &scan.text[start..scan.line.end];
    if sign == b':' && matches!(rest.trim_end(), "|" | ">" | "|-" | ">-" | "|+" | ">+") {
        return block(scan).map(|range| Value { range, is_quoted: true });
    }
    // What stands before a string: Erlang's `<<`, Python's and C#'s prefixes, a map's or a list's opening.
    let opened = rest.trim_start_matches("<<").trim_start_matches(['@', '$', '&', '%', '(', '[', '{', ' ']);
    let bare = opened.trim_start_matches(['b', 'u', 'r', 'f', 'L', 'N', 'E']);
    let bare = if bare.starts_with(['"', '\'', '`']) { bare } else { rest };
    // A quote in a string that is in quotes itself.
    let bare = bare.strip_prefix('\\').filter(|rest| rest.starts_with(['"', '\''])).unwrap_or(bare);
    let escaped = bare.len() < rest.len() && rest[..rest.len() - bare.len()].ends_with('\\');
    if let Some(quote) = bare.chars().next().filter(|c| matches!(c, '"' | '\'' | '`')) {
        let from = start + rest.len() - bare.len();
        let triple: String = std::iter::repeat_n(quote, 3).collect();
        let (open, length) = if bare.starts_with(&triple) {
            (3, scan.text[from + 3..scan.text.floor_char_boundary(from + FAR)].find(&triple))
        } else if escaped {
            (1, bare[1..bare.floor_char_boundary(FAR)].find(&format!("\\{quote}")))
        } else {
            (1, closing(&bare[1..bare.floor_char_boundary(FAR)], quote))
        };
        if let Some(length) = length {
            return Some(Value { range: from + open..from + open + length, is_quoted: true });
        }
        // It closes what was opened before the name: `"Password: "`.
        let before = scan.text.floor_char_boundary(start.saturating_sub(1024)).max(scan.line.start);
        if scan.text[before..start].matches(quote).count() % 2 == 1 {
            return None;
        }
        // It closes on a line below, or never: the rest of this line belongs to it.
        let text = bare[1..].trim_end_matches(is_padding);
        return (!text.is_empty()).then(|| Value { range: from + 1..from + 1 + text.len(), is_quoted: true });
    }
    // `NAME=value command`, as a shell has it: what is adjacent is one word.
    let is_shell = sign == b'=' && !rest.is_empty() && scan.text[..start].ends_with('=') && {
        let name = scan.text[scan.line.start..start - 1]
            .trim_end()
            .rsplit(|c: char| !is_name(c))
            .next()
            .unwrap_or_default();
        !name.bytes().any(|b| b.is_ascii_lowercase())
    };
    let is_whole = is_whole && !is_shell && scan.shapes != Shapes::Log;
    let text = if is_whole { whole(rest, sign) } else { word(rest) };
    (!text.is_empty()).then(|| Value { range: start..start + text.len(), is_quoted: false })
}

/// Returns the value of a line that is one name and its value: to the end of the line, but for a comment and for what is
/// another assignment.
fn whole(rest: &str, sign: u8) -> &str {
    let mut end = rest.len();
    let mut at = 0;
    for (number, word) in rest.split_inclusive(char::is_whitespace).enumerate() {
        let bare = word.trim_end();
        // What is in it was found more exactly.
        if bare.starts_with("<redacted:hmac:") {
            return "";
        }
        let ends = matches!(bare, "#" | ";" | "//" | "--" | "\\" | "!")
            || bare.starts_with("--")
            || (sign == b'=' && begins_assignment(bare))
            || (sign == b':'
                && bare.len() > 1
                && bare.ends_with(':')
                && !bare[..bare.len() - 1].contains(':'));
        if number > 0 && ends {
            end = at;
            break;
        }
        at += word.len();
    }
    let whole = rest[..end].trim_end_matches(is_padding);
    // `{a: secret}`, `f(a=secret)`: what closes was opened before.
    if whole.contains(char::is_whitespace) { whole } else { word(whole) }
}

/// Returns the word that a text begins with.
fn word(rest: &str) -> &str {
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`')).unwrap_or(rest.len());
    let mut word = &rest[..end];
    // `a=1&password=x&b=2`, `Password=x;Database=y`
    for sign in ['&', ';', ','] {
        if let Some((first, rest)) = word.split_once(sign)
            && (rest.is_empty() || begins_assignment(rest))
        {
            word = first;
        }
    }
    for (open, close) in [('(', ')'), ('[', ']'), ('{', '}'), ('<', '>')] {
        while word.ends_with(close) && word.matches(close).count() > word.matches(open).count() {
            word = &word[..word.len() - 1];
        }
    }
    word.trim_end_matches(is_padding)
}

/// Returns true if the text begins with `name=`.
fn begins_assignment(text: &str) -> bool {
    let after = text.trim_start_matches(is_name);
    after.len() < text.len() && after.starts_with('=')
}

/// Returns the offset behind blanks and line ends behind a backslash.
fn skip_blanks(scan: &Scan<'_>, start: usize) -> usize {
    let rest = &scan.text[start..scan.line.end];
    let mut skipped = rest.trim_start_matches([' ', '\t']);
    while let Some(next) = skipped.strip_prefix("\\\n") {
        skipped = next.trim_start_matches([' ', '\t']);
    }
    scan.line.end - skipped.len()
}

/// Returns the lines below this one that are indented deeper: the value of a YAML block scalar.
fn block(scan: &Scan<'_>) -> Option<Range<usize>> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let depth = indent(scan.content());
    let below = scan.text.get(scan.line.end + 1..)?;
    let mut length = 0;
    for line in below.split_inclusive('\n') {
        if !line.trim().is_empty() && indent(line) <= depth {
            break;
        }
        length += line.len();
    }
    let content = below[..length].trim();
    let start = scan.line.end + 1 + indent(&below[..length]);
    (!content.is_empty()).then(|| start..start + content.len())
}

/// Returns true if a value may be a secret at all.
fn is_secret_value(text: &str, is_quoted: bool) -> bool {
    let bare = text.trim_end_matches([',', ';']);
    if bare.is_empty() || is_reference(bare) || (is_mode(bare) && !bare.contains(char::is_whitespace)) {
        return false;
    }
    if bare.contains("<redacted:")
        || names::is_version(bare)
        || is_cipher_list(bare)
        || names::is_own_name(bare)
    {
        return false;
    }
    let is_scheme = is_in("bearer basic digest token negotiate apikey hawk", bare);
    let is_small_number = bare.len() < 4 && bare.bytes().all(|b| b.is_ascii_digit());
    if is_scheme || is_small_number || bare.starts_with(['<', '#', '}']) && !is_quoted {
        return false;
    }
    if !is_quoted && bare.ends_with('(') {
        return false;
    }
    is_quoted && !bare.contains(char::is_whitespace) || !(is_code(bare) || is_prose(bare))
}

/// Returns true if the text is a list of ciphers, `HIGH:!aNULL:!PSK`.
fn is_cipher_list(text: &str) -> bool {
    text.contains(":!") || text.contains(":-") || text.starts_with("!")
}

/// Returns true if a value in what a program printed is one: it looks like no word, and its name is close to it.
fn is_told(text: &str, is_quoted: bool, sign: u8, after: &str) -> bool {
    let is_close = match sign {
        b'=' => !after.starts_with([' ', '\t', '>']) || is_quoted && after.starts_with('>'),
        b':' => is_quoted || after.starts_with(' '),
        _ => false,
    };
    let fine = |b: u8| b.is_ascii_graphic() && !matches!(b, b'(' | b')' | b'<' | b'>' | b'{' | b'}' | b'|');
    // `&quot;` belongs to the text around it, `TestLogin/case` is a path.
    let is_text = ["&quot", "&gt", "&lt", "&amp"].iter().any(|mark| text.contains(mark))
        || text.contains("&#")
        || text.contains('/') && !is_quoted && sign == b':';
    is_close && is_odd(text) && text.len() >= 6 && text.bytes().all(fine) && !text.contains("::") && !is_text
}

/// Finds `name value`, where the value is one word.
pub(super) fn directives(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let first = scan.word(0);
    let is_comment =
        first.starts_with(['!', '#', '*', '%']) || first.starts_with("//") || first.starts_with("--");
    let is_prose = is_prose(scan.content());
    let mut at = 0;
    while at < scan.words.len() {
        let name = scan.word(at);
        at += 1;
        if !announces(scan, at - 1, name) {
            continue;
        }
        let mut value = at;
        while is_in(TYPES, scan.word(value)) || is_type(scan.word(value)) && value + 1 < scan.words.len() {
            value += 1;
        }
        let Some(word) = scan.words.get(value) else { continue };
        let text = &scan.text[word.inner.clone()];
        let is_quoted = word.outer.len() >= word.inner.len() + 2;
        // `psk NAME {` opens a block, `a, b` is a list.
        let next = scan.words.get(value + 1).map_or("", |next| &scan.text[next.outer.clone()]);
        let opens = next == "{"
            || scan.text[word.outer.clone()].ends_with('{')
            || scan.text[word.outer.clone()].ends_with(',');
        let begins =
            opens || text.starts_with(['=', ':', '(', '>', '{', '[', '|', '-', '}', ')']) && !is_quoted;
        let talks = (is_in(FOLLOWERS, text) || is_mode(text)) && !is_quoted;
        let plain = (is_comment || is_prose) && !is_odd(text);
        if !(begins || talks || plain || text.ends_with(':')) && is_secret_value(text, is_quoted) {
            scan.add(word.inner.clone(), NAMED, found);
            at = value + 1;
        }
    }
}

/// Returns true if the word is the number of the way that a secret is written in: `password 7 …`.
fn is_type(word: &str) -> bool {
    !word.is_empty() && word.len() <= 2 && word.bytes().all(|b| b.is_ascii_digit())
}

/// Returns true if the word behind this one is a secret.
fn announces(scan: &Scan<'_>, at: usize, name: &str) -> bool {
    let before = at.checked_sub(1).map_or("", |before| scan.word(before));
    let outer = scan.words.get(at).map_or("", |word| &scan.text[word.outer.clone()]);
    if name.ends_with('.') || outer.ends_with([',', ';', '{']) || !name.chars().all(is_name) {
        return false;
    }
    if ["cookie", "cookies", "authorization", "authentication"]
        .iter()
        .any(|end| name.to_ascii_lowercase().ends_with(end))
    {
        return false;
    }
    match name {
        "pass" | "bearer" | "Bearer" | "jwt" | "tokens" | "secrets" | "passwords" | "credentials"
        | "credential" | "keys" => false,
        // Who speaks of a password does not give it.
        _ if is_in(
            "the a an no not your this that with without of for and or by new wrong invalid which any each",
            before,
        ) =>
        {
            false
        }
        _ if super::commands::known(name).is_some() => false,
        _ => sense(name) == Sense::Secret,
    }
}

/// Finds `user:password` as the value of a directive whose name says login.
pub(super) fn logins(scan: &Scan<'_>, found: &mut Vec<Found>) {
    for at in 0..scan.words.len() {
        let word = &scan.words[at];
        let text = &scan.text[word.inner.clone()];
        let (name, login, start) = match text.split_once('=') {
            Some((name, login)) => (name, login, word.inner.end - login.len()),
            None => (at.checked_sub(1).map_or("", |before| scan.word(before)), text, word.inner.start),
        };
        let name = name.trim_end_matches([':', '=']);
        if names::is_login(name)
            && let Some(password) = password_of(login)
        {
            scan.add(start + password.start..start + password.end, NAMED, found);
        }
    }
}

/// Returns where the password stands in `user:password`; nothing if the text is something else with a colon in it.
pub(super) fn password_of(login: &str) -> Option<Range<usize>> {
    let (user, password) = login.split_once(':')?;
    let password = password.split('@').next().unwrap_or_default().trim_end_matches([';', ',', '"', '\'']);
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'@' | b'\\' | b'+');
    let is_user = !user.is_empty()
        && user.len() <= 64
        && user.bytes().all(fine)
        && user.bytes().any(|b| b.is_ascii_alphabetic());
    let is_scheme = is_in(
        "sha1 sha256 sha512 md5 hash file env vault hmac http https ldap tcp udp unix ssl tls http2 arn urn basic",
        user,
    );
    let is_port = password.bytes().all(|b| b.is_ascii_digit()) && password.len() <= 5;
    let is_other = password.starts_with(['/', ':', '!']) || is_mode(password) || is_reference(password);
    (is_user && !is_scheme && !is_port && !is_other && password.len() >= 3)
        .then(|| user.len() + 1..user.len() + 1 + password.len())
}

/// Returns the password in `user:password`, the value of a field whose name says login.
pub(super) fn login(path: &str, text: &str) -> Option<Found> {
    // `basic.auth.user.info` ends in two words.
    let start = path.rmatch_indices('.').nth(1).map_or(0, |(dot, _)| dot + 1);
    let name = path[start..].split('[').next().unwrap_or_default();
    let range = password_of(text).filter(|_| names::is_login(name))?;
    Some(Found { range, kind: NAMED })
}

/// Finds `--name value` on a command line inside a string.
pub(super) fn options(scan: &Scan<'_>, found: &mut Vec<Found>) {
    for at in 1..scan.words.len() {
        let (name, argument) = (scan.word(at - 1), scan.word(at));
        if name.starts_with('-') && name.chars().all(is_name) && sense(name) == Sense::Secret {
            let fine = !argument.starts_with('-')
                && !is_placeholder(argument)
                && !is_mode(argument)
                && !is_in(FOLLOWERS, argument);
            if fine && (scan.shapes != Shapes::Log || !is_prose(scan.content())) {
                scan.add(scan.words[at].inner.clone(), ARGUMENT, found);
            }
        }
    }
}

/// Finds the signature in a URL's query: with it the URL is all that is needed.
pub(super) fn queries(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let line = scan.content();
    let mut covered = 0;
    for (at, _) in line.match_indices(['?', '&', ';']) {
        let Some((name, value)) = line[at + 1..].split_once('=') else { continue };
        let name_is = |known: &str| name.eq_ignore_ascii_case(known);
        let in_url = line[..at].contains("://");
        const SIGNATURES: [&str; 4] = ["sig", "signature", "x-amz-signature", "x-goog-signature"];
        if at < covered || !(SIGNATURES.into_iter().any(name_is) || in_url && name_is("auth")) {
            continue;
        }
        let ends = |c: char| c.is_whitespace() || matches!(c, '&' | '#' | '"' | '\'' | '`' | ';');
        let length = value.find(ends).unwrap_or(value.len());
        covered = at + 1 + name.len() + 1 + length;
        let start = covered - length + scan.line.start;
        scan.add(start..start + length, "url-signature", found);
    }
}

/// Finds a name alone on a line and its value alone on the next, as `CONFIG GET` and other dumps print them.
pub(super) fn next_line(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let name = unnumbered(scan.content());
    let name = name.strip_suffix(':').unwrap_or(name);
    if names::is_plural(name) || !name.chars().all(is_name) || sense(name) != Sense::Secret {
        return;
    }
    let Some(below) = scan.text.get(scan.line.end + 1..) else { return };
    let line = below.split('\n').next().unwrap_or_default();
    let value = unnumbered(line);
    let is_value = value.contains(char::is_alphanumeric)
        && !value.contains(char::is_whitespace)
        && !value.ends_with([':', '{', '['])
        && sense(value) != Sense::Secret
        && is_secret_value(value, false);
    if is_value {
        let start = scan.line.end + 1 + (value.as_ptr() as usize - line.as_ptr() as usize);
        scan.add(start..start + value.len(), NAMED, found);
    }
}

/// Returns what a line holds without the number and the quotes that `redis-cli` gives it: `1) "name"`.
fn unnumbered(line: &str) -> &str {
    let line = line.trim();
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let line = rest.strip_prefix(") ").filter(|_| rest.len() < line.len()).map_or(line, str::trim);
    line.strip_prefix('"').and_then(|line| line.strip_suffix('"')).unwrap_or(line)
}
