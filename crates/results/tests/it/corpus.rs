//! A collection of outputs that lies beside the repository, where it is there: what of it is found.

use std::path::{Path, PathBuf};

use rig_results::identity::canonical;
use rig_results::{Case, Exit, Project, Reader, Stream, Verdict, read_file};
use serde_json::Value;

/// The folder with the collection, if it is there.
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("RIG_TEST_OUTPUT").map(PathBuf::from);
    let folder = folder
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/test-output"));
    folder.join("index.jsonl").is_file().then_some(folder)
}

/// Reads a sample as it would come: a result file, or the output of a command.
fn results(folder: &Path, sample: &Value) -> Vec<Case> {
    let text = |key: &str| sample[key].as_str().unwrap().to_owned();
    let name = text("file");
    let bytes = std::fs::read(folder.join(&name)).unwrap();
    let project = Project::at(&text("cwd"));
    let exit = Exit {
        command: text("command").split(' ').next().unwrap().to_owned(),
        code: sample["exit_code"].as_i64().map(|code| code as i32),
        signal: None,
    };
    let is_output = text("what").starts_with("stdout") && !name.ends_with(".xml");
    let mut files = Vec::new();
    let mut reader = Reader::new(project);
    if is_output {
        for (at, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            reader.line(Stream::Stdout, line, at as u64);
        }
    } else {
        let read = read_file(&name, &bytes, reader.project());
        assert_eq!(read.error, None, "{name}");
        files.push(read.cases);
    }
    reader.finish(files, &exit).cases
}

/// The parts of an expected failure that are not found; empty where all is there.
fn missing(expected: &Value, cases: &[Case]) -> Vec<String> {
    let words = |text: &str| canonical(&[], text);
    let name = expected["name"].as_str().unwrap();
    let suite = expected["suite"].as_str().unwrap_or_default();
    let fits = |case: &&Case| {
        // A name may have the suites before it.
        let whole = canonical(&case.test.suite, &case.test.name);
        let is_named = words(&case.test.name) == words(name) || (suite.is_empty() && whole == words(name));
        let is_in = canonical(&case.test.suite, "").ends_with(&canonical(&[suite.to_owned()], ""));
        case.verdict == Verdict::Failed && is_named && is_in
    };
    let places: Vec<(String, Option<u64>)> = expected["also"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|also| also.as_str()?.rsplit_once(':'))
        .map(|(file, line)| (file.to_owned(), line.parse().ok()))
        .chain(expected["file"].as_str().map(|file| (file.to_owned(), expected["line"].as_u64())))
        .collect();
    let found: Vec<&Case> = cases.iter().filter(fits).collect();
    if found.is_empty() {
        return vec!["name".to_owned()];
    }
    let wrong = |case: &&Case| {
        let mut wrong = Vec::new();
        let file = case.test.file.as_deref().unwrap_or_default();
        let is_file = |path: &str| file == path || file.ends_with(&format!("/{path}"));
        if !places.is_empty()
            && !places.iter().any(|(path, line)| is_file(path) && (line.is_none() || case.test.line == *line))
        {
            wrong.push(format!("place {:?}, found {:?}", places, case.test.place()));
        }
        let message = expected["message"].as_str().unwrap_or_default();
        if !case.test.message.contains(message) {
            wrong.push(format!("message {message:?}, found {:?}", case.test.message));
        }
        wrong
    };
    found.iter().map(wrong).min_by_key(Vec::len).unwrap()
}

#[test]
fn failing_tests_of_real_runners_are_named_with_their_place_and_message() {
    let Some(folder) = folder() else {
        println!("skipped: the collection of outputs is not beside the repository");
        return;
    };
    let (mut all, mut right, mut samples, mut whole) = (0, 0, 0, 0);
    let mut told = String::new();
    for line in std::fs::read_to_string(folder.join("index.jsonl")).unwrap().lines() {
        let sample: Value = serde_json::from_str(line).unwrap();
        let name = sample["file"].as_str().unwrap();
        if std::env::var("RIG_SAMPLE").is_ok_and(|only| !only.split(',').any(|only| name.starts_with(only))) {
            continue;
        }
        let expect = std::fs::read(folder.join(sample["expect"].as_str().unwrap())).unwrap();
        let expect: Value = serde_json::from_slice(&expect).unwrap();
        let cases = results(&folder, &sample);
        let failing = expect["failing"].as_array().unwrap();
        let mut fine = true;
        for one in failing {
            let wrong = missing(one, &cases);
            all += 1;
            right += usize::from(wrong.is_empty());
            if !wrong.is_empty() {
                fine = false;
                told.push_str(&format!("{name}: {}: {}\n", one["name"], wrong.join("; ")));
            }
        }
        let failed: Vec<&Case> = cases
            .iter()
            .filter(|case| case.verdict == Verdict::Failed && case.test.runner != "command")
            .collect();
        let flaky = |case: &&&Case| {
            !cases.iter().any(|other| other.test.id == case.test.id && other.verdict == Verdict::Passed)
        };
        let mut names: Vec<String> = failed.iter().filter(flaky).map(|case| case.test.id.clone()).collect();
        names.sort();
        names.dedup();
        if names.len() > failing.len() {
            fine = false;
            let names: Vec<_> = failed.iter().filter(flaky).map(|case| case.test.full_name()).collect();
            told.push_str(&format!("{name}: {} fail, {} should: {names:?}\n", names.len(), failing.len()));
        }
        let count = |verdict| {
            let those = cases.iter().filter(|case| {
                case.verdict == verdict
                    && case.test.parent.is_none()
                    && case.test.attempt.is_none_or(|attempt| attempt == 1)
            });
            those.map(Case::count).sum::<u64>()
        };
        let counts = &expect["counts"];
        let number = |keys: &[&str]| keys.iter().filter_map(|key| counts[key].as_u64()).sum::<u64>();
        let skipped = number(&["skipped", "todo", "expected_failures", "disabled"]);
        let passed = number(&["passed", "risky"]);
        if counts["tests"].is_u64()
            && (count(Verdict::Passed) != passed || count(Verdict::Skipped) != skipped)
        {
            fine = false;
            told.push_str(&format!(
                "{name}: {} passed, {} skipped; should be {passed} and {skipped}\n",
                count(Verdict::Passed),
                count(Verdict::Skipped)
            ));
        }
        samples += 1;
        whole += usize::from(fine);
    }
    println!("{told}{right} of {all} failing tests, {whole} of {samples} samples in every respect");
    assert!(right * 100 >= all * 97, "{right} of {all}");
}
