//! Secrets in XML and HCL that are read as text.

use super::general::is_name;
use super::scan::Scan;
use crate::grammar::closing;
use crate::secrets::looks::{is_mode, is_reference};
use crate::secrets::names::{Sense, is_own_name, sense};
use crate::secrets::{Found, NAMED};

/// Elements that hold a secret, and whose name says it only where they are used.
const ELEMENTS: &str =
    "phash prv psk rocommunity rwcommunity bcrypt-hash nt-hash md5-hash sha512-hash authpwd privpwd";

/// The most bytes of a block that are looked through.
const FAR: usize = 16 << 10;

/// Returns the start of a text.
fn near(text: &str) -> &str {
    &text[..text.floor_char_boundary(FAR)]
}

/// Finds `<password>…</password>`.
pub(super) fn elements(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let line = scan.content();
    let mut covered = 0;
    for (at, _) in line.match_indices('<') {
        let name = &line[at + 1..];
        let name = &name[..name.len() - name.trim_start_matches(|c| is_name(c) || c == ':').len()];
        let start = at + 1 + name.len() + 1;
        // pfSense's static key, in base 64.
        let is_long = || {
            name == "tls"
                && line[start.min(line.len())..].split('<').next().is_some_and(|text| text.len() >= 40)
        };
        let says =
            || is_long() || ELEMENTS.split(' ').any(|known| known == name) || sense(name) == Sense::Secret;
        if start <= covered || !line[start - 1..].starts_with('>') || !says() {
            continue;
        }
        let end = line[start..].find('<').map_or(line.len(), |end| start + end);
        covered = end;
        let content = line[start..end].trim();
        // An element alone on its line may close on another.
        let is_alone =
            end == line.len() && line[..at].trim().is_empty() && !content.contains(char::is_whitespace);
        let closes = line[end..].starts_with("</") || is_alone;
        if closes
            && !content.is_empty()
            && !is_reference(content)
            && !is_mode(content)
            && !is_own_name(content)
        {
            let from = start + line[start..end].len() - line[start..end].trim_start().len();
            scan.add(scan.line.start + from..scan.line.start + from + content.len(), NAMED, found);
        }
    }
}

/// Finds `name="…password" … value="…"`, and `<property name="accessKey"><value>…</value></property>`.
pub(super) fn attributes(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let line = scan.content();
    let mut covered = 0;
    for attribute in ["name=\"", "key=\"", "Name=\"", "Key=\""] {
        for (at, _) in line.match_indices(attribute) {
            let name = line[at + attribute.len()..].split('"').next().unwrap_or_default();
            if at < covered || sense(name) != Sense::Secret {
                continue;
            }
            let rest = at + attribute.len() + name.len();
            let end = line[rest..].find('>').map_or(line.len(), |end| rest + end);
            let value = line[rest..end].to_ascii_lowercase().find("value=\"").map(|value| rest + value + 7);
            if let Some(start) = value {
                let length = closing(&line[start..end], '"').unwrap_or(end - start);
                scan.add(scan.line.start + start..scan.line.start + start + length, NAMED, found);
            } else if let Some(inner) = line[end..].strip_prefix('>').filter(|_| !line[..end].ends_with('/'))
            {
                let content = inner.trim_start();
                let content = ["<value>", "<string>"]
                    .iter()
                    .find_map(|open| content.strip_prefix(open))
                    .unwrap_or(content);
                let length = content.find('<').unwrap_or(content.len());
                let start = scan.line.start + line.len() - content.len();
                scan.add(start..start + content[..length].trim_end().len(), NAMED, found);
            }
            covered = end;
        }
    }
}

/// Finds the `default` of a Terraform variable whose name says that it is a secret, or that is marked as sensitive.
pub(super) fn variables(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let content = scan.content();
    // Bicep: `@secure()` above `param name string = 'value'`.
    let below = scan.text.get(scan.line.end + 1..).unwrap_or_default();
    let next = below.split('\n').next().unwrap_or_default();
    if content.trim() == "@secure()"
        && next.trim_start().starts_with("param ")
        && let Some(open) = next.find('\'')
        && let Some(length) = closing(&next[open + 1..], '\'')
    {
        let start = scan.line.end + 1 + open + 1;
        scan.add(start..start + length, NAMED, found);
    }
    // `sensitive = true` in a block above or below whose `default` stands.
    let is_marked = content
        .split_once('=')
        .is_some_and(|(name, value)| name.trim() == "sensitive" && value.trim() == "true");
    let start = scan.text.floor_char_boundary(scan.line.start.saturating_sub(FAR));
    let above = if is_marked { &scan.text[start..scan.line.start] } else { "" };
    let head = above.rfind("variable \"").filter(|at| !above[*at..].contains("\n}")).map(|at| start + at);
    if let Some(head) = head {
        let block = near(&scan.text[head..]).split("\n}").next().unwrap_or_default();
        if let Some(open) = block.find("default").and_then(|at| Some(at + block[at..].find('"')? + 1))
            && let Some(length) = closing(&block[open..], '"')
        {
            scan.add(head + open..head + open + length, NAMED, found);
        }
    }
    let Some(rest) = content.trim_start().strip_prefix("variable \"") else { return };
    let name = rest.split('"').next().unwrap_or_default();
    let block = near(below).split("\n}").next().unwrap_or_default();
    let marked = || {
        block.lines().any(|line| {
            line.split_once('=')
                .is_some_and(|(name, value)| name.trim() == "sensitive" && value.trim() == "true")
        })
    };
    let default = block.find("default").filter(|_| sense(name) == Sense::Secret || marked());
    if let Some(open) = default.and_then(|at| Some(at + block[at..].find('"')? + 1)) {
        let start = scan.line.end + 1 + open;
        let length = closing(&block[open..], '"').unwrap_or(block.len() - open);
        scan.add(start..start + length, NAMED, found);
    }
}
