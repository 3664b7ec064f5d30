//! Outputs of a small project in each of some runners: one test passes, one fails, one is skipped.

use rig_results::{Exit, Project, Reader, Stream, Verdict};

/// Sample, runner, failing test, its place, a part of its message.
const SAMPLES: &[(&str, &str, &str, &str, &str)] = &[
    (
        include_str!("../samples/pytest.txt"),
        "pytest",
        "test_total",
        "test_calc.py:4",
        "3 != 4 : the total differs",
    ),
    (
        include_str!("../samples/unittest.txt"),
        "unittest",
        "test_total",
        "test_calc.py:4",
        "3 != 4 : the total differs",
    ),
    (include_str!("../samples/node-test.txt"), "node-test", "total", "calc.test.js:3", "3 == 4"),
    (include_str!("../samples/cargo-test.txt"), "cargo-test", "total", "src/lib.rs:2", "the total differs"),
    (
        include_str!("../samples/cargo-nextest.txt"),
        "cargo-nextest",
        "total",
        "src/lib.rs:2",
        "the total differs",
    ),
];

#[test]
fn one_test_of_each_kind_is_found_in_every_sample() {
    for (sample, runner, name, place, message) in SAMPLES {
        let mut reader = Reader::new(Project::at("/src/app"));
        for (at, line) in sample.lines().enumerate() {
            reader.line(Stream::Stdout, line, at as u64);
        }
        let exit = Exit { command: "test".into(), code: Some(1), signal: None };
        let results = reader.finish(Vec::new(), &exit);
        let number = |verdict| {
            results
                .cases
                .iter()
                .filter(|case| case.verdict == verdict)
                .map(rig_results::Case::count)
                .sum::<u64>()
        };
        assert_eq!([Verdict::Passed, Verdict::Failed, Verdict::Skipped].map(number), [1, 1, 1], "{runner}");
        let failed = results.cases.iter().find(|case| case.verdict == Verdict::Failed).unwrap();
        assert_eq!((failed.test.runner.as_str(), failed.test.name.as_str()), (*runner, *name));
        assert_eq!(failed.test.place().as_deref(), Some(*place), "{runner}");
        assert!(failed.test.message.contains(message), "{runner}: {}", failed.test.message);
    }
}

#[test]
fn started_and_not_ended_is_unfinished_and_the_command_has_a_failure() {
    let mut reader = Reader::new(Project::default());
    let text = "== test session starts ==\ncollected 3 items\n\ntests/test_crash.py .";
    text.lines().enumerate().for_each(|(at, line)| reader.line(Stream::Stdout, line, at as u64));
    let exit = Exit { command: "pytest".into(), code: Some(3), signal: None };
    let results = reader.finish(Vec::new(), &exit);
    let number = |verdict| {
        results.cases.iter().filter(|case| case.verdict == verdict).map(rig_results::Case::count).sum::<u64>()
    };
    assert_eq!((number(Verdict::Passed), number(Verdict::Started), number(Verdict::Failed)), (1, 2, 1));
    // Exit status 0 and failing tests: the run passed, and that is said.
    let mut reader = Reader::new(Project::default());
    let text = "running 1 test\ntest a ... FAILED\n\ntest result: FAILED. 0 passed; 1 failed; 0 ignored; ";
    text.lines().enumerate().for_each(|(at, line)| reader.line(Stream::Stdout, line, at as u64));
    let results = reader.finish(Vec::new(), &Exit { code: Some(0), ..Exit::default() });
    assert!(results.has_failure() && results.notes.len() == 1, "{results:?}");
}

#[test]
fn text_that_quotes_failures_makes_none() {
    let mut reader = Reader::new(Project::default());
    let text = "FAILED: see notes\nsrc/a.py:3: here\n= FAILURES =\n2 failed\nok 1 then\nerror: none\n";
    text.lines().enumerate().for_each(|(at, line)| reader.line(Stream::Stdout, line, at as u64));
    let results = reader.finish(Vec::new(), &Exit { code: Some(0), ..Exit::default() });
    assert!(results.cases.is_empty(), "{results:?}");
}

#[test]
fn any_lines_are_read_without_a_panic() {
    let all: Vec<&str> = SAMPLES.iter().flat_map(|(sample, ..)| sample.lines()).collect();
    let mut reader = Reader::new(Project::default());
    // In an order that no runner would print, and cut at odd places.
    for at in 0..4_000_usize {
        let line = all[at * 7_919 % all.len()];
        let end = (at * 31 % (line.len() + 1)..=line.len()).find(|end| line.is_char_boundary(*end)).unwrap();
        let stream = if at % 3 == 0 { Stream::Stderr } else { Stream::Stdout };
        reader.line(stream, &line[..end], at as u64);
    }
    reader.finish(Vec::new(), &Exit { code: Some(1), ..Exit::default() });
}
