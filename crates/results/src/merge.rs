//! The same test from several sources becomes one.
//!
//! The verdict is that of the source with the highest rank, and place, message and output come from whichever has them.
//! An absence counts for nothing: a failure that one source has and another has not, or has as passed or skipped, stays.

use std::collections::HashMap;

use crate::case::{Case, Verdict};
use crate::identity::canonical;

/// Most candidates that are compared with a test.
const CANDIDATES: usize = 200;

/// The tests of a source, as they are looked up.
struct Index {
    exact: HashMap<(String, u64), usize>,
    /// By their last word, since sources cut suites and names differently.
    last: HashMap<(String, u64), Vec<usize>>,
    words: Vec<String>,
}

fn words(case: &Case) -> String {
    canonical(&case.test.suite, &crate::identity::steady(case))
}

fn last_word(words: &str) -> String {
    words.rsplit(' ').next().unwrap_or_default().to_owned()
}

impl Index {
    fn of(cases: &[Case]) -> Index {
        let mut index =
            Index { exact: HashMap::new(), last: HashMap::new(), words: Vec::with_capacity(cases.len()) };
        for (at, case) in cases.iter().enumerate() {
            let words = words(case);
            let attempt = case.test.attempt.unwrap_or(1);
            if case.test.count.is_none() {
                index.exact.entry((words.clone(), attempt)).or_insert(at);
                let same = index.last.entry((last_word(&words), attempt)).or_default();
                if same.len() < CANDIDATES {
                    same.push(at);
                }
            }
            index.words.push(words);
        }
        index
    }

    fn find(&self, case: &Case, taken: &[bool]) -> Option<usize> {
        let sought = words(case);
        let attempt = case.test.attempt.unwrap_or(1);
        if let Some(at) = self.exact.get(&(sought.clone(), attempt))
            && !taken[*at]
        {
            return Some(*at);
        }
        let candidates = self.last.get(&(last_word(&sought), attempt))?;
        let mut fits = candidates.iter().filter(|at| !taken[**at] && ends(&self.words[**at], &sought));
        let first = fits.next()?;
        // Of several none is the one.
        fits.next().is_none().then_some(*first)
    }
}

/// Returns true if one ends in the other, at a word.
fn ends(one: &str, other: &str) -> bool {
    let (long, short) = if one.len() >= other.len() { (one, other) } else { (other, one) };
    long.strip_suffix(short).is_some_and(|rest| rest.is_empty() || rest.ends_with(' '))
}

/// Brings sources together, the highest rank first.
pub fn merge(sources: Vec<Vec<Case>>) -> Vec<Case> {
    let mut sources = sources.into_iter().filter(|cases| !cases.is_empty());
    let Some(mut all) = sources.next() else { return Vec::new() };
    for lower in sources {
        let index = Index::of(&all);
        let known = all.len();
        let mut taken = vec![false; known];
        let counted: Vec<(Verdict, u64)> =
            [Verdict::Passed, Verdict::Skipped, Verdict::Failed, Verdict::Started]
                .map(|verdict| (verdict, number(&lower, verdict)))
                .into();
        let (unnamed, named): (Vec<Case>, Vec<Case>) =
            lower.into_iter().partition(|case| case.test.count.is_some());
        for case in named {
            match index.find(&case, &taken) {
                Some(at) => {
                    taken[at] = true;
                    combine(&mut all[at], case);
                }
                None => all.push(case),
            }
        }
        // What a source only counts is not counted twice.
        for mut case in unnamed {
            let total =
                counted.iter().find(|(verdict, _)| *verdict == case.verdict).map_or(0, |(_, total)| *total);
            let missing = total.saturating_sub(number(&all, case.verdict));
            if missing > 0 && case.count() > 0 {
                case.test.count = Some(missing.min(case.count()));
                all.push(case);
            }
        }
    }
    all
}

/// Returns how many tests have a verdict; parts of a test do not count.
fn number(cases: &[Case], verdict: Verdict) -> u64 {
    cases.iter().filter(|case| case.verdict == verdict && case.test.parent.is_none()).map(Case::count).sum()
}

/// Adds what a lower source knows of a test.
fn combine(case: &mut Case, lower: Case) {
    let (mine, other) = (&mut case.test, lower.test);
    if lower.verdict == Verdict::Failed && case.verdict != Verdict::Failed {
        case.verdict = Verdict::Failed;
        mine.kind = other.kind;
        mine.message.clear();
        mine.detail.clear();
    } else if case.verdict == Verdict::Started {
        case.verdict = lower.verdict;
        mine.kind = other.kind;
    }
    if other.suite.len() > mine.suite.len() {
        (mine.suite, mine.name) = (other.suite, other.name);
        mine.params = other.params;
    }
    let has_place = other.file.is_some() && (other.line.is_some() || mine.file.is_none());
    if has_place && (mine.file.is_none() || mine.line.is_none() || (mine.declared && !other.declared)) {
        (mine.file, mine.line, mine.column, mine.declared) =
            (other.file, other.line, other.column, other.declared);
    }
    if crate::formats::failure::is_empty(&mine.message) && !other.message.is_empty() {
        mine.message = other.message;
    }
    if mine.detail.is_empty() {
        mine.detail = other.detail;
    }
    mine.kind = mine.kind.or(other.kind);
    mine.output = mine.output.or(other.output);
    mine.duration_ms = mine.duration_ms.take().or(other.duration_ms);
    mine.parent = mine.parent.take().or(other.parent);
    mine.of = mine.of.or(other.of);
    if mine.runner == "junit" || mine.runner.is_empty() {
        mine.runner = other.runner;
    }
}

#[cfg(test)]
mod tests {
    use rig_event::test::TestKind;

    use super::*;

    #[test]
    fn a_failure_wins_and_an_absence_counts_for_nothing() {
        let file = vec![
            Case::new(&["token is refused"], "x").is(Verdict::Passed, None),
            Case::new::<&str>(&[], "missing").is(Verdict::Skipped, Some(TestKind::Skipped)),
        ];
        let text = vec![
            Case::failed::<&str>(&[], "missing", TestKind::Errored).say("Not Run"),
            Case::failed::<&str>(&[], "broken.test.js", TestKind::Errored),
        ];
        let all = merge(vec![file, text]);
        let failed: Vec<_> = all
            .iter()
            .filter(|case| case.verdict == Verdict::Failed)
            .map(|case| case.test.name.clone())
            .collect();
        assert_eq!(failed, ["missing", "broken.test.js"]);
        assert_eq!(all[1].test.message, "Not Run");
    }

    #[test]
    fn what_is_only_counted_is_not_counted_twice() {
        let file = vec![
            Case::new::<&str>(&[], "a").is(Verdict::Passed, None),
            Case::new::<&str>(&[], "b").is(Verdict::Passed, None),
        ];
        let mut unnamed = Case::new::<&str>(&[], "").is(Verdict::Passed, None);
        unnamed.test.count = Some(2);
        assert_eq!(merge(vec![file.clone(), vec![unnamed.clone()]]).len(), 2);
        unnamed.test.count = Some(3);
        let all = merge(vec![file, vec![unnamed]]);
        assert_eq!((all.len(), all[2].test.count), (3, Some(1)));
    }

    #[test]
    fn suites_cut_differently_are_one_test() {
        let file = vec![Case::failed::<&str>(&[], "token is refused", TestKind::Failed)];
        let mut text = Case::failed(&["jest/orders.test.js", "token"], "is refused", TestKind::Failed);
        text.test.line = Some(8);
        text.test.file = Some("jest/orders.test.js".into());
        let all = merge(vec![file, vec![text]]);
        assert_eq!((all.len(), all[0].test.line, all[0].test.suite.len()), (1, Some(8), 2));
    }
}
