//! One walk over two flat configurations that are sorted by path, with the lists on the way matched as a whole.
//!
//! A list's fields stand together in the sorted order, and so do an element's. Nothing is built of them: an element is
//! a stretch of the fields and a length of path to skip.

use std::cmp::Ordering;
use std::collections::HashMap;

use rig_event::{Change, FlatConfig, Op};
use serde_json::Value;

use super::fields::{Entry, Fields, bracket, elements, entry};
use super::likeness::Share;
use super::lists::{self, Matched};
use super::{entries, rekeyed, single};
use crate::number::same_number;
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
    /// The changes so far.
    pub changes: Vec<Change>,
    /// For each list whose elements are not matched by position, by its path in the new configuration: which old element
    /// each new one was. Noted where asked for.
    pub pairs: Option<HashMap<String, Vec<Option<usize>>>>,
    /// True if the old configuration is a declaration of some fields.
    pub declared: bool,
}

/// The walk came to a list of several elements that is a single one on the other side.
struct Single;

impl<'p> Walk<'p> {
    /// Begins a walk of two whole configurations.
    pub fn new(policy: &'p Policy) -> Self {
        Walk { policy, changes: Vec::new(), pairs: None, declared: false }
    }

    /// Compares whole configurations. Only lists are gathered; all else is passed by.
    pub fn run(&mut self, old: &FlatConfig, new: &FlatConfig) {
        if self.declared || self.pass(old, new).is_err() {
            self.changes.clear();
            let (old, new) = (entries(old), entries(new));
            let (old, new) = (Fields { entries: &old, skip: 0 }, Fields { entries: &new, skip: 0 });
            self.fields(old, new, &At::default(), true);
        }
    }

    fn pass(&mut self, old: &FlatConfig, new: &FlatConfig) -> Result<(), Single> {
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
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            let first = if order.is_le() { olds.peek() } else { news.peek() };
            let Some((path, _)) = first.copied() else { return Ok(()) };
            if let Some(open) = bracket(path) {
                let list = &path[..=open];
                let inside = |field: &(&String, &Value)| field.0.starts_with(list);
                let a: Vec<Entry<'_>> = std::iter::from_fn(|| olds.next_if(inside)).map(entry).collect();
                let b: Vec<Entry<'_>> = std::iter::from_fn(|| news.next_if(inside)).map(entry).collect();
                if (b.is_empty() && single::is_in(new, &path[..open]) && single::are_several(&a, list))
                    || (a.is_empty() && single::is_in(old, &path[..open]) && single::are_several(&b, list))
                {
                    return Err(Single);
                }
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
        let before = self.changes.len();
        if self.side_by_side(old, new, at, lists).is_ok() {
            return;
        }
        // Again, with what is single here and several there as lists on both sides.
        self.changes.truncate(before);
        let (olds, news) = (single::lists(old, new), single::lists(new, old));
        let place = |path: String, before: Value, after: Value| Change {
            op: Op::Placed,
            path,
            before: Some(before),
            after: Some(after),
            severity: Severity::Low,
        };
        if !self.declared {
            self.changes.extend(olds.iter().map(|l| place(join(&at.old, l), Value::Null, 0.into())));
            self.changes.extend(news.iter().map(|l| place(join(&at.new, l), 0.into(), Value::Null)));
        }
        let (olds, news) = (single::as_lists(old, &olds), single::as_lists(new, &news));
        let a: Vec<Entry<'_>> = olds.iter().map(|(path, value)| (path.as_str(), *value)).collect();
        let b: Vec<Entry<'_>> = news.iter().map(|(path, value)| (path.as_str(), *value)).collect();
        let (a, b) = (Fields { entries: &a, skip: old.skip }, Fields { entries: &b, skip: new.skip });
        // Both are lists now, so nothing of that kind is met again at this level.
        let _ = self.side_by_side(a, b, at, lists);
    }

    fn side_by_side(&mut self, old: Fields<'_>, new: Fields<'_>, at: &At, lists: bool) -> Result<(), Single> {
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
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            let (before, after) = (
                if order.is_le() { old.get(i) } else { None },
                if order.is_ge() { new.get(j) } else { None },
            );
            let Some((rest, _)) = before.or(after) else { return Ok(()) };
            // All that sorts between two fields of a list is in it: where both sides have it, both stand at it now.
            if lists && let Some(open) = bracket(rest) {
                let list = &rest[..=open];
                let (olds, news) = (old.run(i, list), new.run(j, list));
                let starts =
                    |fields: Fields<'_>, at| fields.get(at).is_some_and(|(r, _)| r.starts_with(list));
                let (in_old, in_new) = (starts(old, i), starts(new, j));
                if in_old && in_new {
                    let (a, b) = (old.slice(i..i + olds, open), new.slice(j..j + news, open));
                    if !a.same(&b) {
                        self.list(a, b, &at.join(&rest[..open]));
                    }
                    (i, j) = (i + olds, j + news);
                    continue;
                }
                let (many, run, one) = if in_old { (old, i..i + olds, new) } else { (new, j..j + news, old) };
                if single::has(&one, &rest[..open]) && single::several(&many.slice(run, 0), list) {
                    return Err(Single);
                }
            }
            i += usize::from(before.is_some());
            j += usize::from(after.is_some());
            if self.declared && self.is_met(&old, &new, rest, before.map(|(_, value)| value)) {
                continue;
            }
            self.leaf(rest, before.map(|(_, value)| value), after.map(|(_, value)| value), at);
        }
    }

    /// Returns true if a declaration says nothing of a field, or is met by what stands there though nothing has the
    /// field's own path: a declared `{}` is met by any map.
    fn is_met(
        &self,
        declared: &Fields<'_>,
        current: &Fields<'_>,
        rest: &str,
        before: Option<&Value>,
    ) -> bool {
        match before {
            // What is added counts only where an empty list was declared.
            None => !bracket(rest).is_some_and(|open| {
                let list = &rest[..open];
                let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
                declared.value(list).is_some_and(is_empty) && current.value(list).is_none()
            }),
            Some(Value::Object(map)) if map.is_empty() => {
                current.value(rest).is_none() && single::has_below(current, rest, '.')
            }
            Some(Value::Array(list)) if list.is_empty() => {
                current.value(rest).is_none() && single::has_below(current, rest, '[')
            }
            Some(_) => false,
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
        if self.declared && self.is_declared_so(&path, before, after) {
            return;
        }
        let op = if self.policy.holds_equal(&path, before, after) { Op::Equivalent } else { op };
        self.push(op, path, before.cloned(), after.cloned());
    }

    /// Returns true if a declared value is met by another spelling of a number, or by its absence: a declared null, and what
    /// a `[[default]]` rule says.
    fn is_declared_so(&self, path: &str, declared: Option<&Value>, current: Option<&Value>) -> bool {
        let Some(declared) = declared else { return false };
        let same = |value: &Value| match (declared, value) {
            (Value::Number(a), Value::Number(b)) => same_number(a, b),
            (a, b) => a == b,
        };
        match current {
            Some(current) => same(current),
            None => declared.is_null() || self.policy.default_of(path).is_some_and(same),
        }
    }

    fn push(&mut self, op: Op, path: String, before: Option<Value>, after: Option<Value>) {
        let severity = if !op.is_difference() || rekeyed(before.as_ref(), after.as_ref()) {
            Severity::Low
        } else {
            self.policy.severity_of_change(op, &path, before.as_ref(), after.as_ref())
        };
        self.changes.push(Change { op, path, before, after, severity });
    }

    /// Compares two lists that are not the same.
    fn list(&mut self, old: Fields<'_>, new: Fields<'_>, at: &At) {
        let (Some(olds), Some(news)) = (elements(old), elements(new)) else {
            // Not as a document's fields are: a list with gaps, or one whose elements were named by a key.
            return self.fields(old, new, at, false);
        };
        let policy = self.policy;
        let share = if self.declared { Share::Old } else { Share::Both };
        let Matched { key, pairs, moved, ordered } = lists::matched(&olds, &news, &at.new, policy, share);
        // A declaration names the elements of a keyed list, and not their order.
        let ordered = ordered && !(self.declared && key.is_some());
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
        // Where only the end of a list of values is longer or shorter, indexes say it all; of a list of maps the place also
        // says that the element is new as a whole.
        let common = olds.len().min(news.len());
        let in_place = pairs.iter().enumerate().all(|(n, old)| *old == (n < common).then_some(n));
        let is_map = |element: &Fields<'_>| element.get(0).is_some_and(|(rest, _)| !rest.is_empty());
        let ends_in_maps = olds.iter().skip(common).chain(news.iter().skip(common)).any(is_map);
        let placed = key.is_some() || !in_place || ends_in_maps;
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
                if self.declared {
                    continue;
                }
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

fn join(base: &str, rest: &str) -> String {
    let mut path = String::with_capacity(base.len() + rest.len());
    path.push_str(base);
    path.push_str(rest);
    path
}
