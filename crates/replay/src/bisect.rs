//! Which change broke it: the first of many states that fails a check, and the smallest set of changes that makes it fail.
//!
//! The check is a function of the caller; nothing here knows how it is done. Both searches count and bound how often it is called.

use std::collections::BTreeMap;
use std::sync::Arc;

use rig_config::{Policy, config_digest, diff};
use rig_event::event::family;
use rig_event::{Change, ServiceName};
use serde::Serialize;

use crate::{Service, State, Timeline};

/// What a check says of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is as it should be.
    Good,
    /// It is not.
    Bad,
    /// It cannot be said of this one.
    Skip,
}

/// What a search among states found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Search {
    /// The state that is the first bad one, and the last good one before it. What lies between them could not be checked.
    Found {
        /// The last that was seen to be good.
        good: usize,
        /// The first that was seen to be bad.
        bad: usize,
        /// One that was seen to be bad before `good`, or good after `bad`: it did not break just once.
        contradicted_by: Option<usize>,
    },
    /// The last state is good: nothing broke.
    NeverBad,
    /// The first state is bad already.
    BadFromStart,
    /// The first or the last state cannot be checked.
    EndSkipped {
        /// Which.
        which: usize,
    },
    /// The checks that were allowed were used up.
    Exhausted {
        /// The last that was seen to be good.
        good: usize,
        /// The first that was seen to be bad.
        bad: usize,
    },
}

/// What says of a state whether it is good.
type Check<'a, E> = Box<dyn FnMut(&State) -> Result<Verdict, E> + 'a>;

/// A check that counts.
pub struct Checks<'a, E> {
    check: Check<'a, E>,
    /// How often it was done.
    pub done: u64,
    /// How often it may be done.
    pub most: u64,
}

impl<'a, E> Checks<'a, E> {
    /// At most `most` calls of `check`.
    pub fn new(most: u64, check: impl FnMut(&State) -> Result<Verdict, E> + 'a) -> Checks<'a, E> {
        Checks { check: Box::new(check), done: 0, most }
    }

    fn ask(&mut self, state: &State) -> Result<Option<Verdict>, E> {
        if self.done >= self.most {
            return Ok(None);
        }
        self.done += 1;
        (self.check)(state).map(Some)
    }
}

/// The numbers of events after which some config, or a verdict on one, is not what it was before, first the number `from`, up to
/// `to`; each names a state that [`Timeline::state`] gives. What one capture led to counts as one change.
///
/// # Errors
/// As [`Timeline::state`].
pub fn candidates(timeline: &Timeline, from: usize, to: usize) -> crate::Result<Vec<usize>> {
    let mut cursor = crate::timeline::Cursor::new(timeline)?;
    cursor.seek(timeline, from)?;
    let mut found = vec![from];
    let mut before = cursor.state().services.clone();
    for at in from..to.min(timeline.len()) {
        let entry = timeline.entry(at);
        let is_verdict = matches!(family(entry.type_name), "drift" | "baseline");
        if !is_verdict && !matches!(entry.type_name, "snapshot.captured" | "diff.computed") {
            continue;
        }
        cursor.seek(timeline, at + 1)?;
        let Some(name) = entry.service else { continue };
        let config =
            |services: &BTreeMap<ServiceName, Arc<Service>>| services.get(name).map(|s| s.config.clone());
        let (old, new) = (config(&before), config(&cursor.state().services));
        if !is_verdict && old.as_ref().map(Arc::as_ptr) == new.as_ref().map(Arc::as_ptr) {
            continue;
        }
        let same_append = at > from && found.last() == Some(&at) && found.len() > 1 && {
            let last = timeline.entry(at - 1);
            entry.type_name != "snapshot.captured" && last.ts == entry.ts && last.service == entry.service
        };
        if same_append {
            found.pop();
        }
        found.push(at + 1);
        before = cursor.state().services.clone();
    }
    Ok(found)
}

/// Looks for the first of `len` states that is bad, of which the first should be good and the last bad.
///
/// It halves what lies between; a state that cannot be checked is passed over for its neighbours. Then it looks at a few others to
/// see whether it broke just once: a search by halves says nothing of what it did not look at.
///
/// # Errors
/// The first error of `state` or of the check.
pub fn search<E>(
    len: usize,
    mut state: impl FnMut(usize) -> Result<State, E>,
    checks: &mut Checks<'_, E>,
) -> Result<Search, E> {
    let Some(last) = len.checked_sub(1) else { return Ok(Search::NeverBad) };
    let mut known: Vec<Option<Verdict>> = vec![None; len];
    let mut ask = |i: usize, checks: &mut Checks<'_, E>| -> Result<Option<Verdict>, E> {
        if known[i].is_none() {
            known[i] = checks.ask(&state(i)?)?;
        }
        Ok(known[i])
    };
    let exhausted = Search::Exhausted { good: 0, bad: last };
    match ask(last, checks)? {
        Some(Verdict::Bad) => {}
        Some(Verdict::Good) => return Ok(Search::NeverBad),
        Some(Verdict::Skip) => return Ok(Search::EndSkipped { which: last }),
        None => return Ok(exhausted),
    }
    match ask(0, checks)? {
        Some(Verdict::Good) => {}
        Some(Verdict::Bad) => return Ok(Search::BadFromStart),
        Some(Verdict::Skip) => return Ok(Search::EndSkipped { which: 0 }),
        None => return Ok(exhausted),
    }
    let (mut good, mut bad) = (0, last);
    'halves: while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        // The nearest to the middle that can be checked.
        let mut order: Vec<usize> = (good + 1..bad).collect();
        order.sort_by_key(|i| i.abs_diff(middle));
        for i in order {
            match ask(i, checks)? {
                Some(Verdict::Good) => good = i,
                Some(Verdict::Bad) => bad = i,
                Some(Verdict::Skip) => continue,
                None => return Ok(Search::Exhausted { good, bad }),
            }
            continue 'halves;
        }
        // Nothing between them can be checked.
        break;
    }
    let mut contradicted_by = None;
    let samples = [(good / 2, Verdict::Bad), (good / 4, Verdict::Bad), (good * 3 / 4, Verdict::Bad)]
        .into_iter()
        .chain([2, 4].into_iter().map(|part| (bad + (last - bad) / part, Verdict::Good)));
    for (i, wrong) in samples {
        if i != good && i != bad && ask(i, checks)? == Some(wrong) {
            contradicted_by = Some(i);
            break;
        }
    }
    Ok(Search::Found { good, bad, contradicted_by })
}

/// A field's change, and whose.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Delta {
    /// The service.
    pub service: ServiceName,
    /// The field.
    #[serde(flatten)]
    pub change: Change,
}

/// How the configs of one state become those of another.
pub fn deltas(from: &State, to: &State) -> Vec<Delta> {
    let policy = Policy::default();
    let names: std::collections::BTreeSet<_> = from.services.keys().chain(to.services.keys()).collect();
    let config = |state: &State, name: &ServiceName| {
        state.services.get(name).map(|s| s.config.clone()).unwrap_or_default()
    };
    let of = |name: &ServiceName| diff(&config(from, name), &config(to, name), &policy).changes;
    names
        .into_iter()
        .flat_map(|name| of(name).into_iter().map(|change| Delta { service: name.clone(), change }))
        .collect()
}

/// `from` with some of the changes that lead to `to`. What is not config (status, drift, edges) is as in `to`.
pub fn with(from: &State, to: &State, chosen: &[&Delta]) -> State {
    let mut state = to.clone();
    for (name, service) in &mut state.services {
        let mut config = from.services.get(name).map(|s| s.config.as_ref().clone()).unwrap_or_default();
        for delta in chosen.iter().filter(|delta| delta.service == *name) {
            match &delta.change.after {
                Some(value) => config.insert(delta.change.path.clone(), value.clone()),
                None => config.remove(&delta.change.path),
            };
        }
        if config != *service.config {
            let service = Arc::make_mut(service);
            service.touch();
            service.config_digest = config_digest(&config);
            service.config = Arc::new(config);
        }
    }
    state
}

/// The smallest set that a search found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Smallest<T> {
    /// What is in it.
    pub set: Vec<T>,
    /// Whether leaving out any one of it makes the check pass: nothing in it is superfluous. It is not so when the checks that
    /// were allowed ran out before.
    pub minimal: bool,
}

/// Zeller and Hildebrandt's `ddmin`: a subset of `all`, which fails as a whole, that still fails, and from which nothing can be
/// left out. What cannot be checked counts as passing.
///
/// It needs about `2 * log2(n)` checks where one change is to blame, and at most `n * (n + 3)`.
///
/// # Errors
/// The first error of `fails`, which says `None` when it may not be asked any more.
pub fn ddmin<T: Clone, E>(
    all: &[T],
    mut fails: impl FnMut(&[T]) -> Result<Option<bool>, E>,
) -> Result<Smallest<T>, E> {
    let (mut set, mut parts) = (all.to_vec(), 2);
    while set.len() > 1 {
        let pieces = cut(set.len(), parts);
        let mut smaller = None;
        for (subset, next) in [(true, 2), (false, (parts - 1).max(2))] {
            // With two parts, each is the complement of the other.
            if !subset && parts == 2 {
                continue;
            }
            for piece in &pieces {
                let keep = |i: &usize| piece.contains(i) == subset;
                let candidate: Vec<T> = (0..set.len()).filter(keep).map(|i| set[i].clone()).collect();
                match fails(&candidate)? {
                    Some(true) => {
                        smaller = Some((candidate, next));
                        break;
                    }
                    Some(false) => {}
                    None => return Ok(Smallest { set, minimal: false }),
                }
            }
            if smaller.is_some() {
                break;
            }
        }
        match smaller {
            Some((candidate, next)) => (set, parts) = (candidate, next),
            None if parts >= set.len() => break,
            None => parts = (parts * 2).min(set.len()),
        }
        parts = parts.min(set.len()).max(2);
    }
    Ok(Smallest { set, minimal: true })
}

/// `len` places in so many parts of about the same size.
fn cut(len: usize, parts: usize) -> Vec<std::ops::Range<usize>> {
    (0..parts).map(|i| i * len / parts..(i + 1) * len / parts).filter(|range| !range.is_empty()).collect()
}

/// What made a state fail.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Culprits {
    /// Changes between the last good state and the first bad one that are needed for it to fail.
    pub changes: Vec<Delta>,
    /// Changes before those, since the first state, without which it would not fail: only together do they break it.
    pub together_with: Vec<Delta>,
    /// Whether nothing in either is superfluous.
    pub minimal: bool,
    /// Whether the changes of configs explain the failure at all; else it fails for something else in the state.
    pub explained: bool,
}

/// Which of the changes that lead from `good` to `bad` make it fail, and whether they need some of those that lead from `base` to
/// `good`.
///
/// # Errors
/// The first error of the check.
pub fn culprits<E>(
    base: &State,
    good: &State,
    bad: &State,
    checks: &mut Checks<'_, E>,
) -> Result<Culprits, E> {
    let news = deltas(good, bad);
    let mut fails = |from: &State, chosen: &[&Delta]| -> Result<Option<bool>, E> {
        Ok(checks.ask(&with(from, bad, chosen))?.map(|verdict| verdict == Verdict::Bad))
    };
    if news.is_empty() || fails(good, &[])? == Some(true) {
        return Ok(Culprits {
            changes: Vec::new(),
            together_with: Vec::new(),
            minimal: false,
            explained: false,
        });
    }
    let refs: Vec<&Delta> = news.iter().collect();
    let smallest = if refs.len() > 1 {
        ddmin(&refs, |chosen| fails(good, chosen))?
    } else {
        Smallest { set: refs, minimal: true }
    };
    let mut minimal = smallest.minimal;
    // The same changes alone, without what came before them.
    let olds = deltas(base, good);
    let mut together = Vec::new();
    if !olds.is_empty() {
        match fails(base, &smallest.set)? {
            Some(true) => {}
            Some(false) => {
                // A field that was changed before and again: the last one counts.
                let older: Vec<&Delta> = olds.iter().collect();
                let needed = ddmin(&older, |chosen| fails(base, &[chosen, &smallest.set].concat()))?;
                minimal &= needed.minimal;
                together = needed.set.into_iter().cloned().collect();
            }
            None => minimal = false,
        }
    }
    Ok(Culprits {
        changes: smallest.set.into_iter().cloned().collect(),
        together_with: together,
        minimal,
        explained: true,
    })
}
