//! Which element of a list is which of another version of it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::ops::Range;

use serde_json::Value;
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::fields::{Entry, Fields};
use super::likeness::{self, KEYS, Share, value};
use crate::Policy;
use crate::identity::ElementKey;
use crate::path::lenient;
use crate::policy::Matching;

/// The pairs of elements in two versions of a list.
pub(super) struct Matched<'a> {
    /// The key that names the elements, where one does.
    pub key: Option<Key<'a>>,
    /// For each new element the old one that it was.
    pub pairs: Vec<Option<usize>>,
    /// For each new element whether its place among those that stayed is another.
    pub moved: Vec<bool>,
    /// True if the order of the list is significant.
    pub ordered: bool,
}

/// A key that tells the elements apart in both versions, with its value in each element.
pub(super) struct Key<'a> {
    pub name: &'a str,
    pub old: Vec<Cow<'a, str>>,
    pub new: Vec<Cow<'a, str>>,
    /// For each new element the old one with the same value.
    pub pairs: Vec<Option<usize>>,
}

/// Matches the elements of the list at a path.
pub(super) fn matched<'a>(
    old: &[Fields<'a>],
    new: &[Fields<'a>],
    path: &str,
    policy: &'a Policy,
    share: Share,
) -> Matched<'a> {
    let rule = rule(path, policy);
    match (key(old, new, rule), rule) {
        (Some(key), Some(Matching::Key { ordered, .. })) => by_key(key, *ordered),
        (Some(key), _) => by_key(key, true),
        (None, Some(Matching::Index)) => by_index(old.len(), new.len()),
        (None, Some(Matching::Set)) => as_set(old, new, path, policy),
        (None, Some(Matching::Sequence)) => as_sequence(old, new, path, policy),
        (None, _) => by_likeness(old, new, path, policy, share),
    }
}

/// Returns the policy's rule for the list at a path.
pub(super) fn rule<'a>(path: &str, policy: &'a Policy) -> Option<&'a Matching> {
    if policy.list.is_empty() { None } else { policy.matching(&lenient(path).0) }
}

/// The key by which the elements are matched, if they are matched by one.
pub(super) fn key<'a>(old: &[Fields<'a>], new: &[Fields<'a>], rule: Option<&'a Matching>) -> Option<Key<'a>> {
    match rule {
        Some(Matching::Key { key, .. }) => keyed(old, new, key),
        Some(_) => None,
        None => KEYS.iter().find_map(|key| keyed(old, new, key)),
    }
}

fn by_index(old: usize, new: usize) -> Matched<'static> {
    let pairs = (0..new).map(|index| (index < old).then_some(index)).collect();
    Matched { key: None, pairs, moved: vec![false; new], ordered: true }
}

/// The values of a key, if it has one of its own in every element of both versions.
fn keyed<'a>(old: &[Fields<'a>], new: &[Fields<'a>], name: &'a str) -> Option<Key<'a>> {
    let key = ElementKey::new(name);
    let values = |elements: &[Fields<'a>]| -> Option<Vec<Cow<'a, str>>> {
        elements.iter().map(|element| value(element, &key)).collect()
    };
    let (old, new) = (values(old)?, values(new)?);
    let mut places = HashMap::with_capacity(old.len());
    let distinct =
        old.iter().enumerate().all(|(index, value)| places.insert(value.as_ref(), index).is_none());
    let mut taken = vec![false; old.len()];
    let mut unknown = HashSet::new();
    let mut pairs = Vec::with_capacity(new.len());
    for value in new.iter().filter(|_| distinct) {
        let before = places.get(value.as_ref()).copied();
        let twice = match before {
            Some(index) => std::mem::replace(&mut taken[index], true),
            None => !unknown.insert(value.as_ref()),
        };
        if twice {
            return None;
        }
        pairs.push(before);
    }
    distinct.then_some(Key { name, old, new, pairs })
}

fn by_key(mut key: Key<'_>, ordered: bool) -> Matched<'_> {
    let pairs = std::mem::take(&mut key.pairs);
    let moved = moved(&pairs);
    Matched { key: Some(key), pairs, moved, ordered }
}

/// Which elements have to move when as many as possible stay: those outside a longest rising subsequence.
pub(super) fn moved(pairs: &[Option<usize>]) -> Vec<bool> {
    // By length, the new index at which a rising run of that length ends lowest; and what comes before each.
    let mut ends: Vec<usize> = Vec::new();
    let mut previous: Vec<Option<usize>> = vec![None; pairs.len()];
    for (index, old) in pairs.iter().enumerate().filter(|(_, old)| old.is_some()) {
        let at = ends.partition_point(|end| pairs[*end] < *old);
        previous[index] = at.checked_sub(1).map(|before| ends[before]);
        if at == ends.len() {
            ends.push(index);
        } else {
            ends[at] = index;
        }
    }
    let mut moved: Vec<bool> = pairs.iter().map(Option::is_some).collect();
    let mut next = ends.last().copied();
    while let Some(index) = next {
        moved[index] = false;
        next = previous[index];
    }
    moved
}

/// A longest common subsequence of whole elements; what stands in the place of others is paired with them in turn.
fn as_sequence(old: &[Fields<'_>], new: &[Fields<'_>], path: &str, policy: &Policy) -> Matched<'static> {
    let (olds, news) = ids(old, new, path, policy);
    let mut pairs = vec![None; new.len()];
    for op in capture_diff_slices(Algorithm::Myers, &olds, &news) {
        let (old, new) = (op.old_range(), op.new_range());
        if matches!(op, DiffOp::Equal { .. } | DiffOp::Replace { .. }) {
            new.zip(old).for_each(|(index, before)| pairs[index] = Some(before));
        }
    }
    Matched { key: None, moved: vec![false; new.len()], pairs, ordered: true }
}

/// Equal elements that stand in the same order, then equal ones that moved, then those that are alike; a value that
/// stands where another stood is a change of it.
fn by_likeness(
    old: &[Fields<'_>],
    new: &[Fields<'_>],
    path: &str,
    policy: &Policy,
    share: Share,
) -> Matched<'static> {
    let (olds, news) = ids(old, new, path, policy);
    let mut pairs = vec![None; new.len()];
    let mut gaps: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, &olds, &news) {
        let (old, new) = (op.old_range(), op.new_range());
        match op {
            DiffOp::Equal { .. } => new.zip(old).for_each(|(index, before)| pairs[index] = Some(before)),
            // What follows on something taken out is put in at the same place.
            _ => match gaps.last_mut() {
                Some((olds, news)) if olds.end == old.start && news.end == new.start => {
                    (olds.end, news.end) = (old.end, new.end);
                }
                _ => gaps.push((old, new)),
            },
        }
    }
    if !gaps.is_empty() {
        let mut left: HashMap<u32, Vec<usize>> = HashMap::new();
        let stretches = gaps.iter().rev().flat_map(|(old, _)| old.clone().rev());
        stretches.for_each(|index| left.entry(olds[index]).or_default().push(index));
        for index in gaps.iter().flat_map(|(_, new)| new.clone()) {
            pairs[index] = left.get_mut(&news[index]).and_then(Vec::pop);
        }
        alike(old, new, &mut pairs, share, (path, policy));
        by_stem(old, new, &mut pairs);
        in_place(old, new, &mut pairs, &gaps);
    }
    Matched { key: None, moved: moved(&pairs), pairs, ordered: true }
}

/// Pairs texts that say something of the same name, `A=1` and `A=5`, wherever they stand.
fn by_stem(old: &[Fields<'_>], new: &[Fields<'_>], pairs: &mut [Option<usize>]) {
    let mut paired = vec![false; old.len()];
    pairs.iter().flatten().for_each(|&index| paired[index] = true);
    let mut named: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, element) in old.iter().enumerate().rev().filter(|(index, _)| !paired[*index]) {
        if let Some(stem) = single(element).and_then(likeness::stem) {
            named.entry(stem).or_default().push(index);
        }
    }
    for (element, pair) in new.iter().zip(pairs).filter(|(_, pair)| pair.is_none()) {
        let stem = single(element).and_then(likeness::stem);
        *pair = stem.and_then(|stem| named.get_mut(stem)).and_then(Vec::pop);
    }
}

/// The value of an element that is nothing but a value.
fn single<'a>(element: &Fields<'a>) -> Option<&'a Value> {
    element.get(0).filter(|(rest, _)| rest.is_empty()).map(|(_, value)| value)
}

/// Pairs single values that are left between the same neighbours, in their order; not two that are of different names.
fn in_place(
    old: &[Fields<'_>],
    new: &[Fields<'_>],
    pairs: &mut [Option<usize>],
    gaps: &[(Range<usize>, Range<usize>)],
) {
    // Elements with a name were looked for everywhere.
    let is_nameless =
        |element: &Fields<'_>| single(element).is_some_and(|value| likeness::stem(value).is_none());
    let mut paired = vec![false; old.len()];
    pairs.iter().flatten().for_each(|&index| paired[index] = true);
    for (olds, news) in gaps {
        let mut free = olds.clone().filter(|&index| !paired[index] && is_nameless(&old[index]));
        let waiting = news.clone().filter(|&index| is_nameless(&new[index]));
        for index in waiting.filter(|&index| pairs[index].is_none()).collect::<Vec<_>>() {
            pairs[index] = free.next();
        }
    }
}

/// Equal elements, the first with the first.
fn as_set(old: &[Fields<'_>], new: &[Fields<'_>], path: &str, policy: &Policy) -> Matched<'static> {
    let (olds, news) = ids(old, new, path, policy);
    let mut places: HashMap<u32, Vec<usize>> = HashMap::new();
    olds.iter().enumerate().rev().for_each(|(index, id)| places.entry(*id).or_default().push(index));
    let pairs: Vec<Option<usize>> = news.iter().map(|id| places.get_mut(id)?.pop()).collect();
    Matched { key: None, moved: moved(&pairs), pairs, ordered: false }
}

/// A number for each element, the same for those that are equal.
fn ids(old: &[Fields<'_>], new: &[Fields<'_>], path: &str, policy: &Policy) -> (Vec<u32>, Vec<u32>) {
    if !policy.compares() {
        return numbered(old.iter().map(Content), new.iter().map(Content));
    }
    numbered(normalised(old, path, policy).into_iter(), normalised(new, path, policy).into_iter())
}

/// The fields of each element, each value in the spelling that stands for all those that the policy holds equal.
fn normalised(elements: &[Fields<'_>], path: &str, policy: &Policy) -> Vec<Vec<(String, Value)>> {
    let element = |(index, element): (usize, &Fields<'_>)| {
        let field = |(rest, value): (&str, &Value)| {
            let path = lenient(&format!("{path}[{index}]{rest}"));
            let rule = policy.comparison(&path.0);
            (rest.to_owned(), rule.map_or_else(|| value.clone(), |rule| rule.normalised(value)))
        };
        element.iter().map(field).collect()
    };
    elements.iter().enumerate().map(element).collect()
}

/// Pairs elements by likeness, with values that the policy holds equal as one.
fn alike(
    old: &[Fields<'_>],
    new: &[Fields<'_>],
    pairs: &mut [Option<usize>],
    share: Share,
    (path, policy): (&str, &Policy),
) {
    if !policy.compares() {
        return likeness::pair(old, new, pairs, share);
    }
    let (old, new) = (normalised(old, path, policy), normalised(new, path, policy));
    fn entries(elements: &[Vec<(String, Value)>]) -> Vec<Vec<Entry<'_>>> {
        elements
            .iter()
            .map(|fields| fields.iter().map(|(rest, value)| (rest.as_str(), value)).collect())
            .collect()
    }
    let (old, new) = (entries(&old), entries(&new));
    let olds: Vec<Fields<'_>> = old.iter().map(|entries| Fields { entries, skip: 0 }).collect();
    let news: Vec<Fields<'_>> = new.iter().map(|entries| Fields { entries, skip: 0 }).collect();
    likeness::pair(&olds, &news, pairs, share);
}

fn numbered<T: Hash + Eq>(
    old: impl Iterator<Item = T>,
    new: impl Iterator<Item = T>,
) -> (Vec<u32>, Vec<u32>) {
    let mut known: HashMap<T, u32> = HashMap::new();
    let mut number = |content: T| {
        let next = known.len() as u32;
        *known.entry(content).or_insert(next)
    };
    (old.map(&mut number).collect(), new.map(&mut number).collect())
}

/// An element by what is in it.
struct Content<'a, 'b>(&'b Fields<'a>);

impl PartialEq for Content<'_, '_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.same(other.0)
    }
}

impl Eq for Content<'_, '_> {}

impl Hash for Content<'_, '_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|field| field.hash(state));
    }
}
