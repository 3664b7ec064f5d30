//! A JUnit report: suites for each recording, with a case for each test, passed ones too, and for each other thing that failed.

use std::fmt::Write as _;

use rig_replay::explain::Explanation;

use super::Report;
use super::suite::{Case, Suite};
use super::tests::{self, Seen};

/// The report.
pub(super) fn report(reports: &[Report]) -> String {
    let mut seen = Seen::new();
    let suites: Vec<Suite> = reports.iter().flat_map(|report| suites(report, &mut seen)).collect();
    let sum = |count: fn(&Suite) -> usize| suites.iter().map(count).sum::<usize>();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuites tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">",
        sum(|suite| suite.cases.len()),
        sum(|suite| suite.number("failure")),
        sum(|suite| suite.number("error")),
        sum(Suite::skipped),
    );
    suites.iter().for_each(|suite| suite.write(&mut xml));
    xml.push_str("</testsuites>\n");
    xml
}

/// The suites of a recording: what failed beside its tests, and its tests.
fn suites(report: &Report, seen: &mut Seen) -> Vec<Suite> {
    let name = report.name.clone();
    let it = match &report.explained {
        Ok(it) => it,
        Err(error) => {
            let case = Case::new(name.clone(), "recording".to_owned(), None);
            let cases = vec![case.wrong("error", "unreadable", error.clone())];
            return vec![Suite { name, milliseconds: 0, cases, stderr: String::new() }];
        }
    };
    let stderr = it.stderr.items.iter().fold(String::new(), |mut text, piece| {
        let _ = writeln!(text, "{}: {}", piece.service, piece.text.trim_end());
        text
    });
    let tests = report.tests.as_ref().map(|all| tests::suites(&name, all, seen)).unwrap_or_default();
    let mut cases = cases(it);
    if let Some(doubt) = &report.doubt {
        let case = Case::new(it.stream.clone(), "read to the end".to_owned(), None);
        cases.push(case.wrong("error", "incomplete", doubt.clone()));
    }
    if cases.is_empty() && tests.is_empty() {
        let case = Case::new(it.stream.clone(), "recording".to_owned(), None);
        cases.push(match it.is_failure() {
            true => case.wrong("failure", "outcome", format!("it ended as {}", it.outcome)),
            false => case,
        });
    }
    let mut suites = Vec::new();
    if !cases.is_empty() {
        suites.push(Suite { name, milliseconds: it.duration_ms, cases, stderr });
    }
    suites.extend(tests);
    suites
}

/// The cases of everything that failed beside the tests.
fn cases(it: &Explanation) -> Vec<Case> {
    let failure = |name: String, file: Option<(String, Option<u64>)>, kind: &str, text: String| {
        Case::new(it.stream.clone(), name, file).wrong("failure", kind, text)
    };
    let mut cases = Vec::new();
    for assertion in &it.assertions.items {
        let file = assertion.file.clone().zip(assertion.line);
        let place =
            file.as_ref().map_or_else(|| "assertion".to_owned(), |(file, line)| format!("{file}:{line}"));
        let file = file.map(|(file, line)| (file, Some(line)));
        cases.push(failure(
            place,
            file,
            "assertion",
            format!("{}\n(seq {})", assertion.message, assertion.seq),
        ));
    }
    for crash in &it.crashes.items {
        let who = crash.service.as_deref().unwrap_or("environment");
        cases.push(failure(
            format!("{who} {}", crash.type_name),
            None,
            &crash.type_name,
            format!("{}\n(seq {})", crash.error, crash.seq),
        ));
    }
    for failing in &it.failing.items {
        // That it was refused may be what the test wants.
        if failing.status != "4xx" {
            let text = format!("{} × {}, first at seq {}", failing.count, failing.status, failing.first_seq);
            cases.push(failure(
                format!("requests from {} to {}", failing.source, failing.target),
                None,
                "request",
                text,
            ));
        }
    }
    let more = it.assertions.more + it.crashes.more + it.failing.more;
    if more > 0 {
        cases.push(failure("more".to_owned(), None, "more", format!("{more} more failures")));
    }
    cases
}
