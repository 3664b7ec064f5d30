//! Passwords on command lines: which options of which commands take one.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use super::scan::Scan;
use crate::grammar::closing;
use crate::secrets::names::{COMMANDS, Command, Sense, sense};
use crate::secrets::{ARGUMENT, Found};

/// The command that a word names, whatever folder it lies in.
pub(super) fn known(word: &str) -> Option<&'static Command> {
    let name =
        word.trim_start_matches(['"', '\'', '`', '(', '$', ';', '|', '&', '[', ',']).rsplit('/').next()?;
    let name = name.trim_end_matches(['"', '\'', ',', ']']);
    BY_NAME.get(name).copied()
}

/// Every string of every document is asked for.
static BY_NAME: LazyLock<HashMap<&str, &Command>> = LazyLock::new(|| {
    let names =
        |command: &'static Command| command.names.split_ascii_whitespace().map(move |name| (name, command));
    COMMANDS.iter().rev().flat_map(names).collect()
});

fn is_in(list: &str, word: &str) -> bool {
    !word.is_empty() && list.split(' ').any(|listed| listed == word)
}

/// Where in an option the secret stands that is written in the same word.
pub(super) fn within(command: Option<&Command>, word: &str) -> Option<Range<usize>> {
    if word.starts_with('-')
        && let Some((name, value)) = word.split_once('=')
        && sense(name) == Sense::Secret
    {
        return (!value.is_empty() && !is_placeholder(value)).then(|| name.len() + 1..word.len());
    }
    let command = command?;
    let attached = |option: &&str| word.starts_with(*option) && word.len() > option.len();
    if let Some(option) = command.attached.split(' ').filter(|option| !option.is_empty()).find(attached) {
        let value = word[option.len()..].strip_prefix('=').unwrap_or(&word[option.len()..]);
        let start = word.len() - value.len();
        return (!value.is_empty() && !is_placeholder(value)).then_some(start..word.len());
    }
    let (options, sign) = command.login;
    // `-uuser:password` and `--user=user:password`
    let joined = options.split(' ').filter(|option| !option.is_empty()).find_map(|option| {
        let rest = word.strip_prefix(option).filter(|rest| !rest.is_empty())?;
        if option.starts_with("--") { rest.strip_prefix('=') } else { Some(rest) }
    })?;
    let password = password_of(joined, sign)?;
    let offset = word.len() - joined.len();
    Some(offset + password.start..offset + password.end)
}

/// Where the secret stands in the argument behind an option.
pub(super) fn behind(command: Option<&Command>, option: &str, argument: &str) -> Option<Range<usize>> {
    let whole = || (!argument.is_empty() && !is_placeholder(argument)).then_some(0..argument.len());
    if let Some(command) = command {
        if is_in(command.login.0, option) {
            return password_of(argument, command.login.1);
        }
        if is_in(command.next, option) {
            let start = argument.strip_prefix("pass:").map_or(0, |rest| argument.len() - rest.len());
            let elsewhere = ["file:", "env:", "fd:", "stdin"].iter().any(|from| argument.starts_with(from));
            return whole().map(|all| start..all.end).filter(|_| !elsewhere);
        }
    }
    let name = option.trim_start_matches('-');
    let named = option.starts_with('-')
        && !option.contains(['=', ' ', '"', '\'', '$'])
        && sense(name) == Sense::Secret;
    if named && !argument.starts_with("--") { whole() } else { None }
}

/// Returns true if the argument is not a secret: a variable's name, or a marker of an earlier redaction.
fn is_placeholder(argument: &str) -> bool {
    // `-p 8080:80` gives ports.
    let argument = argument.trim_matches(['"', '\'']);
    let is_port = argument.bytes().all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'-'))
        && argument.contains(':');
    crate::grammar::is_placeholder(argument) || argument.starts_with("<redacted:") || is_port
}

/// The password in `user:password`.
fn password_of(login: &str, sign: char) -> Option<Range<usize>> {
    let (user, password) = login.split_once(sign)?;
    let fine = !password.is_empty()
        && !password.starts_with("//")
        && !user.contains('<')
        && !is_placeholder(password);
    fine.then(|| user.len() + sign.len_utf8()..login.len())
}

/// Where secrets stand in a list of arguments: which argument, and where in it. `before` is what stands elsewhere and
/// comes first, as Kubernetes' `command` does before its `args`.
pub(super) fn in_arguments(before: &[&str], arguments: &[&str]) -> Vec<(usize, Range<usize>)> {
    let mut found = Vec::new();
    let mut command = before.iter().rev().find_map(|word| known(word));
    for (at, word) in arguments.iter().enumerate() {
        if let Some(named) = known(word) {
            command = Some(named);
            continue;
        }
        if let Some(range) = within(command, word) {
            found.push((at, range));
        } else if let Some(next) = arguments.get(at + 1)
            && let Some(range) = behind(command, word, next)
        {
            found.push((at + 1, range));
        }
    }
    found
}

/// Finds the passwords of well-known commands in a line: `mysql -p…`, `curl -u user:…`, `sshpass -p …`.
pub(super) fn in_line(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let mut command = None;
    for (at, word) in scan.words.iter().enumerate() {
        let text = &scan.text[word.outer.clone()];
        if let Some(known) = known(text) {
            command = Some(known);
            continue;
        }
        if command.is_none() {
            continue;
        }
        // An argument in quotes may have blanks in it, so it is measured anew.
        let own = argument(scan, word.outer.start);
        let mut range = within(command, &scan.text[own.clone()]).map(|range| (own.start, range));
        if range.is_none()
            && let Some(next) = scan.words.get(at + 1)
        {
            let next = argument(scan, next.outer.start);
            let behind = behind(command, text, &scan.text[next.clone()]);
            range = behind.map(|range| (next.start, range));
        }
        if let Some((start, range)) = range {
            let secret = &scan.text[start + range.start..start + range.end];
            let quotes = |c| matches!(c, '"' | '\'');
            let inner = secret.trim_start_matches(quotes);
            let from = start + range.end - inner.len();
            // `-p'a b'`: from the quote on to the one that closes it.
            let end = match secret.chars().next().filter(|c| quotes(*c)) {
                Some(_) => argument(scan, start + range.start).end,
                None => from + inner.trim_end_matches(quotes).len(),
            };
            scan.add(from..end.max(from), ARGUMENT, found);
        }
    }
}

/// Returns the argument that begins at an offset: a word, or what stands between quotes.
fn argument(scan: &Scan<'_>, start: usize) -> Range<usize> {
    let rest = &scan.text[start..scan.line.end];
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
    if let Some(quote) = quote {
        let length = closing(&rest[1..], quote).unwrap_or(rest.len() - 1);
        return start + 1..start + 1 + length;
    }
    start..start + rest.find(char::is_whitespace).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_lists_of_arguments_are_found() {
        let check = |arguments: &[&str], expected: &[&str]| {
            let found = in_arguments(&[], arguments);
            let found: Vec<_> = found.into_iter().map(|(at, range)| &arguments[at][range]).collect();
            assert_eq!(found, expected, "{arguments:?}");
        };
        check(&["mysql", "-u", "root", "-phunter2"], &["hunter2"]);
        check(&["/usr/bin/redis-cli", "-a", "hunter2", "ping"], &["hunter2"]);
        check(&["server", "--password", "hunter2", "--port", "1"], &["hunter2"]);
        check(&["server", "--db-password=hunter2"], &["hunter2"]);
        check(&["curl", "-u", "me:hunter2", "https://h"], &["hunter2"]);
        check(&["curl", "-ume:hunter2"], &["hunter2"]);
        check(&["smbclient", "//h/s", "-U", "me%hunter2"], &["hunter2"]);
        check(&["openssl", "rsa", "-passin", "pass:hunter2"], &["hunter2"]);
        check(&["openssl", "rsa", "-passin", "file:/x"], &[]);
        check(&["mkdir", "-pX", "-p", "x"], &[]);
        check(&["server", "--password", "${DB_PASSWORD}", "--token-file", "/x"], &[]);
        assert_eq!(in_arguments(&["mysql"], &["-phunter2"]), [(0, 2..9)]);
    }
}
