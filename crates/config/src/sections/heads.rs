//! Lines that open a section, each by itself.

use std::borrow::Cow;

/// Words that open a section of HAProxy's configuration at the beginning of a line.
pub(super) const HAPROXY: [&str; 16] = [
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
pub(super) const SSH: [&str; 2] = ["Host", "Match"];

/// Words that a line of commands begins with.
pub(super) const VERBS: [&str; 6] = ["set", "delete", "deactivate", "activate", "protect", "unprotect"];

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
