//! Tests in a recording: each with its tries, and how it stands after the last.

use std::collections::HashMap;

use rig_event::test::Test;
use rig_event::{Envelope, Event, Seq, Timestamp};
use serde::Serialize;

use crate::timeline::Timeline;
use crate::{Error, Result};

/// Most tries that are read.
const MOST: usize = 500_000;

/// The standing of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It passed.
    Passed,
    /// It failed, and passed when it was tried again.
    Flaky,
    /// It was left out.
    Skipped,
    /// It began, or was announced, and nothing said how it ended.
    Unfinished,
    /// It failed.
    Failed,
}

/// A test, with the event that says most of it: of a failed or flaky one, its last failure.
#[derive(Clone, Debug, Serialize)]
pub struct Tested {
    /// The event.
    pub seq: Seq,
    /// Its time.
    pub ts: Timestamp,
    /// The recorded command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Its standing.
    pub standing: Standing,
    /// The number of its tries.
    pub tries: u64,
    /// Everything that is known of it.
    #[serde(flatten)]
    pub test: Test,
}

/// The numbers of tests by their standing. Parts of tests are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TestCounts {
    /// All of them.
    pub total: u64,
    /// Those that passed at once.
    pub passed: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that failed first and passed then.
    pub flaky: u64,
    /// Those that were left out.
    pub skipped: u64,
    /// Those without an end.
    pub unfinished: u64,
}

/// The tests of a recording.
#[derive(Clone, Debug, Default)]
pub struct Tests {
    /// In the order of their first events.
    pub all: Vec<Tested>,
    /// Their numbers.
    pub counts: TestCounts,
    /// Events that were too many to be read.
    pub left_out: u64,
}

impl Tests {
    /// Returns those that stand so.
    pub fn that(&self, standing: Standing) -> impl Iterator<Item = &Tested> {
        self.all.iter().filter(move |test| test.standing == standing)
    }
}

/// The payload of a test event.
pub fn test_of(event: &Event) -> Option<(Standing, &Test)> {
    Some(match event {
        Event::TestStarted(e) => (Standing::Unfinished, &e.test),
        Event::TestPassed(e) => (Standing::Passed, &e.test),
        Event::TestSkipped(e) => (Standing::Skipped, &e.test),
        Event::TestFailed(e) => (Standing::Failed, &e.test),
        _ => return None,
    })
}

/// Collects the tests of a recording.
///
/// # Errors
/// If its bytes cannot be read.
pub fn tests(timeline: &Timeline) -> Result<Tests> {
    let is_test = |at: &usize| {
        matches!(
            timeline.entry(*at).type_name,
            "test.started" | "test.passed" | "test.failed" | "test.skipped"
        )
    };
    let events: Vec<usize> = (0..timeline.len()).filter(is_test).collect();
    let mut found = Tests { left_out: events.len().saturating_sub(MOST) as u64, ..Tests::default() };
    let mut known: HashMap<(String, String), usize> = HashMap::new();
    timeline.visit(events.into_iter().take(MOST), |_, line| {
        let Ok(envelope) = Envelope::parse(line) else { return Ok(()) };
        let Some((standing, test)) = test_of(&envelope.event) else { return Ok(()) };
        let service = envelope.service.as_ref().map(|name| name.as_str().to_owned());
        let tested = Tested {
            seq: envelope.seq,
            ts: envelope.ts,
            service,
            standing,
            tries: test.attempt.unwrap_or(1),
            test: test.clone(),
        };
        // What is only counted has no identity; nor has what others post under these names.
        let name = if test.id.is_empty() { test.full_name() } else { test.id.clone() };
        if name.is_empty() {
            found.all.push(only_counted(tested));
            return Ok(());
        }
        let key = (tested.service.clone().unwrap_or_default(), name);
        match known.get(&key) {
            Some(at) => again(&mut found.all[*at], tested),
            None => {
                known.insert(key, found.all.len());
                found.all.push(tested);
            }
        }
        Ok::<_, Error>(())
    })?;
    found.counts = count(&found.all);
    Ok(found)
}

/// A number of tests that passed in a later try: the runner says no more.
fn only_counted(mut tested: Tested) -> Tested {
    if tested.standing == Standing::Passed && tested.tries > 1 {
        tested.standing = Standing::Flaky;
    }
    tested
}

/// Another event of a test that is known.
fn again(known: &mut Tested, other: Tested) {
    let is_later = other.test.attempt > known.test.attempt || other.tries > known.tries;
    let tries = known.tries.max(other.tries);
    let (was, is) = (known.standing, other.standing);
    let standing = match (was, is) {
        (Standing::Unfinished, is) => is,
        (was, Standing::Unfinished) => was,
        (Standing::Failed | Standing::Flaky, Standing::Passed) if is_later => Standing::Flaky,
        // In whichever order they stand in the recording.
        (Standing::Passed, Standing::Failed) if other.tries < known.tries => Standing::Flaky,
        // A failure is not undone by another word of the same try.
        (Standing::Failed, _) | (_, Standing::Failed) => Standing::Failed,
        (was, is) => was.max(is),
    };
    // The failure says more than that it passed then.
    if is == Standing::Failed
        || was == Standing::Unfinished
        || (is == standing && was != Standing::Failed && was != Standing::Flaky)
    {
        *known = other;
    }
    (known.standing, known.tries) = (standing, tries);
}

fn count(all: &[Tested]) -> TestCounts {
    let mut counts = TestCounts::default();
    let ids: std::collections::HashSet<&str> = all.iter().map(|tested| tested.test.id.as_str()).collect();
    let mut parents = std::collections::HashSet::new();
    for tested in all {
        if let Some(parent) = &tested.test.parent {
            // A test that fails through its parts has no event of its own: it counts once, by them.
            let own = ids.contains(parent.as_str());
            if own || tested.standing != Standing::Failed || !parents.insert(parent.as_str()) {
                continue;
            }
        }
        let number = tested.test.count.unwrap_or(1);
        counts.total += number;
        *match tested.standing {
            Standing::Passed => &mut counts.passed,
            Standing::Flaky => &mut counts.flaky,
            Standing::Skipped => &mut counts.skipped,
            Standing::Unfinished => &mut counts.unfinished,
            Standing::Failed => &mut counts.failed,
        } += number;
    }
    counts
}

#[cfg(test)]
mod unit {
    use super::*;

    fn tested(standing: Standing, id: &str, attempt: u64) -> Tested {
        Tested {
            seq: attempt,
            ts: Timestamp::default(),
            service: None,
            standing,
            tries: attempt,
            test: Test { id: id.into(), attempt: Some(attempt), ..Test::default() },
        }
    }

    #[test]
    fn a_test_that_passed_when_tried_again_is_flaky_and_shows_its_failure() {
        let mut test = tested(Standing::Failed, "a", 1);
        again(&mut test, tested(Standing::Failed, "a", 2));
        again(&mut test, tested(Standing::Passed, "a", 3));
        assert_eq!((test.standing, test.tries, test.seq), (Standing::Flaky, 3, 2));
        // A file may be greener than the run: of one try the failure stands.
        let mut test = tested(Standing::Failed, "a", 1);
        again(&mut test, tested(Standing::Passed, "a", 1));
        assert_eq!(test.standing, Standing::Failed);
    }

    #[test]
    fn parts_of_a_test_count_once() {
        let part = |parent: &str| {
            let mut part = tested(Standing::Failed, "p", 1);
            part.test.parent = Some(parent.into());
            part
        };
        let counts = count(&[
            part("a"),
            part("a"),
            part("b"),
            tested(Standing::Failed, "b", 1),
            tested(Standing::Passed, "c", 1),
        ]);
        assert_eq!((counts.total, counts.failed, counts.passed), (3, 2, 1));
    }
}
