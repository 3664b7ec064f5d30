//! Likeness: which element of a list became which, where no key says so.
//!
//! Two elements are alike by the fields they share, as in Dice's coefficient, 2·|A∩B| / (|A|+|B|), with which GumTree
//! (Falleri et al., *Fine-grained and Accurate Source Code Differencing*, ASE 2014) matches what has no anchor, and with
//! its threshold of one half. A field counts the more the fewer elements have it (inverse document frequency, Spärck
//! Jones 1972): `containerPort: 443` tells elements apart and `protocol: TCP` does not. A long text counts by its lines
//! or words. The best pair is taken first, and what is alike to nothing came or went: a pair of two unlike elements
//! would tell one object as another.
//!
//! The work is bounded: fields are compared from the rarest to the most frequent, and after [`MOST`] comparisons in
//! a list, and fewer in a short one, the rest of them counts for nothing. The weights are integers, so that the answer is the same on every machine.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

use super::fields::Fields;
use crate::identity::{ElementKey, OBJECT, text_of};
use crate::redact::{RIGGING, marker_key};

/// The keys that tell elements apart where no rule says anything, in the order they are tried. Those with `@` are
/// attributes in XML.
pub(super) const KEYS: [&str; 7] = ["name", "id", "key", "@name", "@id", "@key", OBJECT];

/// Maximum number of comparisons of a field in one list.
const MOST: usize = 1 << 20;

/// Maximum number of comparisons for each element, beside those that any list may have: a document of many long lists must not
/// take longer than one list.
const MOST_OF_ONE: usize = 128;

/// Number of comparisons that any list may have.
const LEAST: usize = 1 << 14;

/// The weight of a field that one element alone has.
const WHOLE: u64 = 1 << 20;

/// A text longer than this counts by its parts.
const LONG: usize = 60;

/// The weight of a long text, in fields.
const TEXT: u64 = 3;

/// The side of a comparison that a share is taken of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// Both: what one has and the other has not makes them less alike.
    Both,
    /// The old one: a declaration says nothing of what it leaves out.
    Old,
}

/// Pairs the elements that have no partner yet with those that they are most alike to.
pub(super) fn pair(old: &[Fields<'_>], new: &[Fields<'_>], pairs: &mut [Option<usize>], share: Share) {
    let mut paired = vec![false; old.len()];
    pairs.iter().flatten().for_each(|&index| paired[index] = true);
    let is_map = |element: &Fields<'_>| element.get(0).is_some_and(|(rest, _)| !rest.is_empty());
    let left = |elements: &[Fields<'_>], free: &dyn Fn(usize) -> bool| -> Vec<bool> {
        elements.iter().enumerate().map(|(n, element)| free(n) && is_map(element)).collect()
    };
    let olds_left = left(old, &|n| !paired[n]);
    let news_left = left(new, &|n| pairs[n].is_none());
    if !(olds_left.contains(&true) && news_left.contains(&true)) {
        return;
    }
    let mut known = Known::default();
    let olds: Vec<Vec<Piece>> = old.iter().map(|element| known.pieces(element, Side::Old)).collect();
    let news: Vec<Vec<Piece>> = new.iter().map(|element| known.pieces(element, Side::New)).collect();
    let total = |pieces: &[Piece]| pieces.iter().map(|piece| known.weight(piece)).sum::<u64>();
    let old_totals: Vec<u64> = olds.iter().map(|pieces| total(pieces)).collect();
    let new_totals: Vec<u64> = news.iter().map(|pieces| total(pieces)).collect();
    let shared = shared(&known, (&olds, &olds_left), (&news, &news_left));

    let (old_names, new_names) = (names(old, &olds_left), names(new, &news_left));
    let mut found: Vec<(u64, usize, usize, usize)> = Vec::new();
    for ((before, after), common) in shared {
        let whole = match share {
            Share::Both => old_totals[before] + new_totals[after],
            Share::Old => old_totals[before] * 2,
        };
        if whole == 0 || common * 4 < whole || differ(&old_names[before], &new_names[after]) {
            continue;
        }
        let likeness = (u128::from(common) * 2_000_000 / u128::from(whole)) as u64;
        found.push((likeness, before.abs_diff(after), before, after));
    }
    // The most alike first, then those that stand nearest to each other.
    found.sort_unstable_by_key(|&(likeness, apart, before, after)| {
        (std::cmp::Reverse(likeness), apart, before, after)
    });
    for (_, _, before, after) in found {
        if !paired[before] && pairs[after].is_none() {
            paired[before] = true;
            pairs[after] = Some(before);
        }
    }
}

/// The weight that each two elements without a partner have in common.
fn shared(
    known: &Known<'_>,
    (olds, olds_left): (&[Vec<Piece>], &[bool]),
    (news, news_left): (&[Vec<Piece>], &[bool]),
) -> HashMap<(usize, usize), u64> {
    let mut places: Vec<(Vec<usize>, Vec<usize>)> = vec![Default::default(); known.counts.len()];
    for (index, pieces) in olds.iter().enumerate().filter(|(index, _)| olds_left[*index]) {
        pieces.iter().for_each(|piece| places[piece.id].0.push(index));
    }
    for (index, pieces) in news.iter().enumerate().filter(|(index, _)| news_left[*index]) {
        pieces.iter().for_each(|piece| places[piece.id].1.push(index));
    }
    let mut order: Vec<usize> = (0..places.len()).collect();
    let work = |id: usize| places[id].0.len() * places[id].1.len();
    order.retain(|id| work(*id) > 0);
    order.sort_by_key(|id| work(*id));
    let mut shared: HashMap<(usize, usize), u64> = HashMap::new();
    let mut left = MOST.min(LEAST + MOST_OF_ONE * (olds.len() + news.len()));
    for id in order {
        let Some(rest) = left.checked_sub(work(id)) else { break };
        left = rest;
        for &before in &places[id].0 {
            for &after in &places[id].1 {
                *shared.entry((before, after)).or_default() += known.weight_of(id);
            }
        }
    }
    shared
}

/// A field, or a part of a long text, as a number; the same for equal ones.
struct Piece {
    id: usize,
}

#[derive(Clone, Copy)]
enum Side {
    Old,
    New,
}

/// A field less the indexes in its path, and a part of its value.
#[derive(PartialEq, Eq, Hash)]
enum Content<'a> {
    Field(Cow<'a, str>, &'a Value),
    Part(Cow<'a, str>, &'a str),
}

#[derive(Default)]
struct Known<'a> {
    ids: HashMap<Content<'a>, usize>,
    /// For each, in how many old and new elements it is, and its weight where one element has it.
    counts: Vec<(u64, u64, u64)>,
}

impl<'a> Known<'a> {
    fn weight_of(&self, id: usize) -> u64 {
        let (old, new, weight) = self.counts[id];
        weight / old.max(new).max(1)
    }

    fn weight(&self, piece: &Piece) -> u64 {
        self.weight_of(piece.id)
    }

    fn pieces(&mut self, element: &Fields<'a>, side: Side) -> Vec<Piece> {
        let mut ids = Vec::new();
        for (rest, value) in element.iter() {
            let rest = without_indexes(rest);
            match value {
                // A secret says that there is one; which it is may not be known.
                _ if is_hidden(value) => ids.push(self.id(Content::Field(rest, &Value::Null), WHOLE / 4)),
                Value::String(text) if text.len() > LONG || text.contains('\n') => {
                    let parts: Vec<&str> = if text.trim_end().contains('\n') {
                        text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
                    } else {
                        text.split_whitespace().collect()
                    };
                    let weight = TEXT * WHOLE / parts.len().max(1) as u64;
                    ids.extend(
                        parts.into_iter().map(|part| self.id(Content::Part(rest.clone(), part), weight)),
                    );
                }
                // That a switch is on tells little, and so does what is empty.
                Value::Bool(_) | Value::Null | Value::Array(_) => {
                    ids.push(self.id(Content::Field(rest, value), WHOLE / 4));
                }
                _ => {
                    if let Some(stem) = stem(value) {
                        ids.push(self.id(Content::Part(rest.clone(), stem), WHOLE));
                    }
                    ids.push(self.id(Content::Field(rest, value), WHOLE));
                }
            }
        }
        ids.sort_unstable();
        ids.dedup();
        for id in &ids {
            let (old, new, _) = &mut self.counts[*id];
            *(match side {
                Side::Old => old,
                Side::New => new,
            }) += 1;
        }
        ids.into_iter().map(|id| Piece { id }).collect()
    }

    fn id(&mut self, content: Content<'a>, weight: u64) -> usize {
        let next = self.counts.len();
        let id = *self.ids.entry(content).or_insert(next);
        if id == next {
            self.counts.push((0, 0, weight));
        }
        id
    }
}

/// Returns true for what stands in the place of a secret, whoever hid it.
fn is_hidden(value: &Value) -> bool {
    marker_key(value).is_some() || value.as_str() == Some(RIGGING)
}

/// The name in a text that says something of it: `A` of `A=1`, `actions/checkout` of `actions/checkout@v4`, `nginx` of
/// `nginx:1.25`.
pub(super) fn stem(value: &Value) -> Option<&str> {
    let text = value.as_str()?;
    let at = text.find(['=', '@', ':', ' ', '<', '>', '"', ',', '?', '*'])?;
    let (name, rest) = text.split_at(at);
    let is_name = name.bytes().any(|b| b.is_ascii_alphabetic());
    (is_name && rest.len() > 1 && rest.starts_with(['=', '@', ':']) && !rest.starts_with("://"))
        .then_some(name)
}

/// A path in which the elements of inner lists stand without their indexes: one more of them renames no other.
fn without_indexes(rest: &str) -> Cow<'_, str> {
    if memchr::memchr(b'[', rest.as_bytes()).is_none() {
        return Cow::Borrowed(rest);
    }
    Cow::Owned(rest.chars().filter(|c| !c.is_ascii_digit()).collect())
}

/// For each element the first of the known keys that it has, with its value.
fn names<'a>(elements: &[Fields<'a>], wanted: &[bool]) -> Vec<Option<(usize, Cow<'a, str>)>> {
    let keys: Vec<ElementKey> = KEYS.iter().map(|key| ElementKey::new(key)).collect();
    let name =
        |element: &Fields<'a>| keys.iter().enumerate().find_map(|(n, key)| Some((n, value(element, key)?)));
    elements.iter().zip(wanted).map(|(element, wanted)| if *wanted { name(element) } else { None }).collect()
}

/// Returns true if both elements have a name under the same key, and not the same one.
fn differ(old: &Option<(usize, Cow<'_, str>)>, new: &Option<(usize, Cow<'_, str>)>) -> bool {
    match (old, new) {
        (Some((key, old)), Some((other, new))) => key == other && old != new,
        _ => false,
    }
}

/// The value of a key in an element.
pub(super) fn value<'a>(element: &Fields<'a>, key: &ElementKey) -> Option<Cow<'a, str>> {
    key.value(|way| text_of(element.value(&way.rest)?))
}
