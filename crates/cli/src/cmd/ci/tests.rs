//! The tests of a recording in a JUnit report: a suite for each class, a case for each test.

use std::collections::{BTreeMap, HashSet};

use rig_event::test::{Test, TestKind};
use rig_replay::tests::{Standing, Tested, Tests};

use super::suite::{Case, Suite, Wrong};

/// Names that are in the report: readers keep the first of two equal ones and pass over the rest.
pub(super) type Seen = HashSet<(String, String)>;

/// The suites of a recording's tests.
pub(super) fn suites(recording: &str, tests: &Tests, seen: &mut Seen) -> Vec<Suite> {
    let mut by_class: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for tested in &tests.all {
        let class = class_of(tested);
        let case = case(tested, &class, recording, seen);
        by_class.entry(class).or_default().push(case);
    }
    let suite = |(class, cases): (String, Vec<Case>)| Suite {
        name: format!("{recording}: {class}"),
        milliseconds: cases.iter().filter_map(|case| case.micros).sum::<u64>() / 1000,
        cases,
        stderr: String::new(),
    };
    by_class.into_iter().map(suite).collect()
}

/// The suites' names joined; of a test without suites its file, its runner or the command.
fn class_of(tested: &Tested) -> String {
    let test = &tested.test;
    let joined = test.suite.join(".");
    let file = test.file.as_deref().unwrap_or_default();
    let service = tested.service.as_deref().unwrap_or_default();
    let names = [joined.as_str(), file, test.runner.as_str(), service, "tests"];
    names.into_iter().find(|name| !name.is_empty()).unwrap_or("tests").to_owned()
}

fn case(tested: &Tested, class: &str, recording: &str, seen: &mut Seen) -> Case {
    let test = &tested.test;
    let name = match test.count {
        Some(count) if test.name.is_empty() => {
            format!("{} without a name ({})", crate::output::count(count, "test"), word(tested.standing))
        }
        _ => test.name.clone(),
    };
    let mut unique = name.clone();
    let mut number = 1;
    while !seen.insert((class.to_owned(), unique.clone())) {
        number += 1;
        unique = if number == 2 {
            format!("{name} ({recording})")
        } else {
            format!("{name} ({recording} {number})")
        };
    }
    let file = test.file.clone().map(|file| (file, test.line));
    let mut case = Case::new(class.to_owned(), unique, file);
    case.micros = test.duration_ms.as_ref().and_then(|ms| rig_replay::traffic::micros(&ms.to_string()));
    let kind = test.kind.map_or("failed", TestKind::as_str);
    match tested.standing {
        Standing::Passed => {}
        Standing::Skipped => {
            let kind = test.kind.unwrap_or(TestKind::Skipped).as_str();
            case.skipped = Some(if test.message.is_empty() { kind } else { &test.message }.to_owned());
        }
        Standing::Flaky if test.message.is_empty() => {}
        Standing::Flaky => case.wrong.push(wrong("flakyFailure", kind, tested)),
        Standing::Unfinished => {
            case.wrong.push(Wrong {
                element: "error",
                kind: "unfinished".to_owned(),
                text: format!(
                    "it began or was announced, and nothing said how it ended (seq {})",
                    tested.seq
                ),
            });
        }
        Standing::Failed => {
            let element = match test.kind {
                Some(TestKind::Errored | TestKind::Crashed) => "error",
                _ => "failure",
            };
            case.wrong.push(wrong(element, kind, tested));
        }
    }
    case
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Passed => "passed",
        Standing::Flaky => "flaky",
        Standing::Skipped => "skipped",
        Standing::Unfinished => "unfinished",
        Standing::Failed => "failed",
    }
}

/// A failure: its text repeats the message, and ends in a frame, since readers take one or the other.
fn wrong(element: &'static str, kind: &str, tested: &Tested) -> Wrong {
    let test = &tested.test;
    let mut text = test.message.clone();
    if !test.detail.is_empty() && test.detail != test.message {
        text.push_str("\n\n");
        text.push_str(&test.detail);
    }
    text.push_str(&format!("\n(seq {})", tested.seq));
    text.push_str(&frame(test).unwrap_or_default());
    Wrong { element, kind: kind.to_owned(), text }
}

fn frame(test: &Test) -> Option<String> {
    let (file, line) = (test.file.as_ref()?, test.line?);
    Some(format!("\n    at {} ({file}:{line}:{})", test.name, test.column.unwrap_or(1)))
}
