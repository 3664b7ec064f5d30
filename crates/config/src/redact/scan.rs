//! A line that is looked through, and what is found in it.

use std::ops::Range;

use super::marker::begins_with_marker;
use crate::grammar::{Word, is_placeholder};
use crate::secrets::{Found, NAMED};

/// Which shapes to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shapes {
    /// All, for configuration text.
    All,
    /// Only those with a sign between name and value, for a string that may be prose.
    Assignments,
    /// For what programs print: only what is known by its looks, and values with a sign whose name and looks say it.
    Log,
}

/// One logical line of a text.
pub(super) struct Scan<'a> {
    pub(super) text: &'a str,
    pub(super) line: Range<usize>,
    pub(super) words: Vec<Word>,
    pub(super) shapes: Shapes,
    /// Set if the text has the logins of Docker's registries in it.
    pub(super) has_docker_auths: bool,
}

impl<'a> Scan<'a> {
    /// Returns the line.
    pub(super) fn content(&self) -> &'a str {
        &self.text[self.line.clone()]
    }

    /// Returns a word without punctuation and quotes; nothing if there is none.
    pub(super) fn word(&self, at: usize) -> &'a str {
        self.words.get(at).map_or("", |word| &self.text[word.inner.clone()])
    }

    /// Adds a secret, unless it is nothing or was replaced before.
    pub(super) fn add(&self, range: Range<usize>, kind: &'static str, found: &mut Vec<Found>) {
        let secret = &self.text[range.clone()];
        if !is_placeholder(secret) && !secret.is_empty() && !secret.contains("<redacted:") {
            found.push(Found { range, kind });
        }
    }
}

/// Joins overlapping ranges and drops what is redacted already or is nothing.
pub(super) fn disjoint(text: &str, mut found: Vec<Found>) -> Vec<Found> {
    found.sort_by_key(|one| (one.range.start, one.range.end));
    let mut joined = Vec::<Found>::new();
    for one in found {
        match joined.last_mut() {
            Some(last) if one.range.start < last.range.end => {
                // The name of a maker or a family says more than that the field is called a password.
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
pub(super) fn is_padding(c: char) -> bool {
    c.is_whitespace() || matches!(c, ';' | ',' | '\\')
}
