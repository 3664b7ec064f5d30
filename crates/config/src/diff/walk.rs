//! One walk over two flat configurations that are sorted by path, with the lists on the way matched as a whole.
//!
//! A list's fields stand together in the sorted order, and so do an element's. Nothing is built of them: an element is
//! a stretch of the fields and a length of path to skip.

use std::cmp::Ordering;
use std::collections::HashMap;

use rig_event::{Change, FlatConfig, Op};
use serde_json::Value;

use super::fields::{Entry, Fields, bracket, elements, entry};
use super::lists::{self, Matched};
use super::{Diff, rekeyed};
use crate::path::lenient;
use crate::path::{Segment, print_keyed};
use crate::{Policy, Severity};

/// Where the walk is: the same element's path in the old and in the new configuration.
#[derive(Clone, Default)]
struct At {
    old: String,
    new: String,
    /// In the new one by indexes alone, where pairs are noted.
    index: String,
}

impl At {
    fn join(&self, rest: &str) -> At {
        At { old: join(&self.old, rest), new: join(&self.new, rest), index: join(&self.index, rest) }
    }
}

/// The walk, and what it found.
pub(super) struct Walk<'p> {
    pub policy: &'p Policy,
    pub diff: Diff,
    /// For each list whose elements are not matched by position, by its path in the new configuration: which old element
    /// each new one was. Noted where asked for.
    pub pairs: Option<HashMap<String, Vec<Option<usize>>>>,
}

impl Walk<'_> {
    /// Compares whole configurations. Only lists are gathered; all else is passed by.
    pub fn run(&mut self, old: &FlatConfig, new: &FlatConfig) {
        let at = At::default();
        let (mut olds, mut news) = (old.iter().peekable(), new.iter().peekable());
        loop {
            // Nearly every field of nearly every comparison: nothing is built for it, and nothing looked at twice.
            if let (Some((a, old)), Some((b, new))) = (olds.peek(), news.peek())
                && a == b
                && old == new
                && memchr::memchr(b'[', a.as_bytes()).is_none()
            {
                olds.next();
                news.next();
                continue;
            }
            let order = match (olds.peek(), news.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            let first = if order.is_le() { olds.peek() } else { news.peek() };
            let Some((path, _)) = first.copied() else { return };
            if let Some(open) = bracket(path) {
                let list = &path[..=open];
                let inside = |field: &(&String, &Value)| field.0.starts_with(list);
                let a: Vec<Entry<'_>> = std::iter::from_fn(|| olds.next_if(inside)).map(entry).collect();
                let b: Vec<Entry<'_>> = std::iter::from_fn(|| news.next_if(inside)).map(entry).collect();
                self.fields(Fields { entries: &a, skip: 0 }, Fields { entries: &b, skip: 0 }, &at, true);
                continue;
            }
            let before = if order.is_le() { olds.next() } else { None };
            let after = if order.is_ge() { news.next() } else { None };
            self.leaf(path, before.map(|(_, value)| value), after.map(|(_, value)| value), &at);
        }
    }

    /// Compares the fields of two maps, or of what became of one. `lists`: whether lists are matched as such.
    fn fields(&mut self, old: Fields<'_>, new: Fields<'_>, at: &At, lists: bool) {
        let (mut i, mut j) = (0, 0);
        loop {
            if let (Some((a, old)), Some((b, new))) = (old.get(i), new.get(j))
                && a == b
                && old == new
                && !(lists && memchr::memchr(b'[', a.as_bytes()).is_some())
            {
                (i, j) = (i + 1, j + 1);
                continue;
            }
            let order = match (old.get(i), new.get(j)) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            let (before, after) = (
                if order.is_le() { old.get(i) } else { None },
                if order.is_ge() { new.get(j) } else { None },
            );
            let Some((rest, _)) = before.or(after) else { return };
            // All that sorts between two fields of a list is in it: where both sides have it, both stand at it now.
            if lists && let Some(open) = bracket(rest) {
                let list = &rest[..=open];
                let (olds, news) = (old.run(i, list), new.run(j, list));
                let starts =
                    |fields: Fields<'_>, at| fields.get(at).is_some_and(|(r, _)| r.starts_with(list));
                if starts(old, i) && starts(new, j) {
                    let (a, b) = (old.slice(i..i + olds, open), new.slice(j..j + news, open));
                    if !a.same(&b) {
                        self.list(a, b, &at.join(&rest[..open]));
                    }
                    (i, j) = (i + olds, j + news);
                    continue;
                }
            }
            i += usize::from(before.is_some());
            j += usize::from(after.is_some());
            self.leaf(rest, before.map(|(_, value)| value), after.map(|(_, value)| value), at);
        }
    }

    fn leaf(&mut self, rest: &str, before: Option<&Value>, after: Option<&Value>, at: &At) {
        let op = match (before, after) {
            (Some(old), Some(new)) if old == new => return,
            (Some(_), Some(_)) => Op::Changed,
            (Some(_), None) => Op::Removed,
            _ => Op::Added,
        };
        let base = if op == Op::Removed { &at.old } else { &at.new };
        let path = join(base, rest);
        let rule = || {
            let covered = self.policy.comparison(&lenient(&path).0)?;
            covered.equal(before?, after?).then_some(Op::Equivalent)
        };
        let op = if op == Op::Changed && !self.policy.compare.is_empty() { rule().unwrap_or(op) } else { op };
        self.push(op, path, before.cloned(), after.cloned());
    }

    fn push(&mut self, op: Op, path: String, before: Option<Value>, after: Option<Value>) {
        let severity = if !op.is_difference() || rekeyed(before.as_ref(), after.as_ref()) {
            Severity::Low
        } else {
            self.policy.severity_of_change(op, &path, before.as_ref(), after.as_ref())
        };
        let change = Change { op, path, before, after, severity };
        self.diff.count(&change);
        self.diff.changes.push(change);
    }

    /// Compares two lists that are not the same.
    fn list(&mut self, old: Fields<'_>, new: Fields<'_>, at: &At) {
        let (Some(olds), Some(news)) = (elements(old), elements(new)) else {
            // Not as a document's fields are: a list with gaps, or one whose elements were named by a key.
            return self.fields(old, new, at, false);
        };
        let policy = self.policy;
        let Matched { key, pairs, moved, ordered } = lists::matched(&olds, &news, &at.new, policy);
        let named = |base: &str, index: usize, of_new: bool| {
            let mut path = String::with_capacity(base.len() + 32);
            path.push_str(base);
            match &key {
                Some(key) => {
                    let values = if of_new { &key.new } else { &key.old };
                    print_keyed(&mut path, key.name, &values[index]);
                }
                None => Segment::Index(index).print(&mut path),
            }
            path
        };
        let mut stays = vec![false; olds.len()];
        pairs.iter().flatten().for_each(|&index| stays[index] = true);
        // Where only the end of the list is longer or shorter, indexes say it all.
        let common = olds.len().min(news.len());
        let in_place = pairs.iter().enumerate().all(|(n, old)| *old == (n < common).then_some(n));
        let placed = key.is_some() || !in_place;
        if let Some(noted) = self.pairs.as_mut().filter(|_| !in_place) {
            noted.insert(at.index.clone(), pairs.clone());
        }

        for (index, element) in olds.iter().enumerate().filter(|(index, _)| !stays[*index]) {
            let gone = At { old: named(&at.old, index, false), ..At::default() };
            element.iter().for_each(|(rest, value)| self.leaf(rest, Some(value), None, &gone));
            if placed {
                self.push(Op::Placed, gone.old, Some(index.into()), None);
            }
        }
        for (index, (element, pair)) in news.iter().zip(&pairs).enumerate() {
            let Some(before) = *pair else {
                let come = At { new: named(&at.new, index, true), ..At::default() };
                if placed {
                    self.push(Op::Placed, come.new.clone(), None, Some(index.into()));
                }
                element.iter().for_each(|(rest, value)| self.leaf(rest, None, Some(value), &come));
                continue;
            };
            if !element.same(&olds[before]) {
                let here = At {
                    old: named(&at.old, before, false),
                    new: named(&at.new, index, true),
                    index: if self.pairs.is_some() {
                        format!("{}[{index}]", at.index)
                    } else {
                        String::new()
                    },
                };
                self.fields(olds[before], *element, &here, true);
            }
            if moved[index] {
                let op = if ordered { Op::Moved } else { Op::Placed };
                self.push(op, named(&at.new, index, true), Some(before.into()), Some(index.into()));
            }
        }
    }
}

pub(super) fn join(base: &str, rest: &str) -> String {
    let mut path = String::with_capacity(base.len() + rest.len());
    path.push_str(base);
    path.push_str(rest);
    path
}
