//! The JSON of jest, which vitest writes too.

use rig_event::test::TestKind;
use serde_json::Value;

use super::failure;
use crate::case::{Case, DETAIL, Fill as _, Verdict};
use crate::place::Project;
use crate::text::{clean_all, cut};

/// Returns true if a document is of that form.
pub fn is(value: &Value) -> bool {
    value.get("testResults").is_some_and(Value::is_array) && value.get("numTotalTests").is_some()
}

/// Reads a document.
pub fn read(value: &Value, project: &Project) -> Vec<Case> {
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(clean_all).unwrap_or_default();
    let mut cases = Vec::new();
    for file in value.get("testResults").and_then(Value::as_array).into_iter().flatten() {
        let name = project.relative(&text(file, "name"));
        let tests =
            file.get("assertionResults").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if tests.is_empty() && text(file, "status") == "failed" {
            let said = text(file, "message");
            let mut case = Case::failed::<&str>(&[], &name, TestKind::Errored);
            let message = said
                .lines()
                .map(str::trim)
                .find(|line| !line.is_empty() && !line.contains("Test suite failed to run"));
            case.test.say(message.unwrap_or_default());
            case.test.detail = cut(said.trim(), DETAIL);
            case.test.put(failure::place(&said, "", Some(&name), "", project));
            if case.test.file.is_none() {
                (case.test.file, case.test.declared) = (Some(name.clone()), true);
            }
            cases.push(case);
        }
        for test in tests {
            let titles = test.get("ancestorTitles").and_then(Value::as_array).into_iter().flatten();
            let mut suite = vec![name.clone()];
            suite.extend(titles.filter_map(Value::as_str).map(str::to_owned));
            let (verdict, kind) = match text(test, "status").as_str() {
                "passed" => (Verdict::Passed, None),
                "failed" => (Verdict::Failed, Some(TestKind::Failed)),
                "todo" => (Verdict::Skipped, Some(TestKind::Todo)),
                _ => (Verdict::Skipped, Some(TestKind::Skipped)),
            };
            let mut case = Case::new(&suite, &text(test, "title")).is(verdict, kind);
            if let Some(millis) = test.get("duration").and_then(Value::as_f64) {
                case.test.seconds(&(millis / 1000.0).to_string());
            }
            if verdict == Verdict::Failed {
                let said = test.get("failureMessages").and_then(Value::as_array).into_iter().flatten();
                let said: Vec<String> = said.filter_map(Value::as_str).map(clean_all).collect();
                let said = said.join("\n");
                case.test.say(said.lines().next().unwrap_or_default());
                if said.contains("Exceeded timeout of") || said.contains("Test timed out in") {
                    case.test.kind = Some(TestKind::Timeout);
                }
                case.test.detail = cut(&said, DETAIL);
                case.test.put(failure::place(&said, "", Some(&name), "", project));
            }
            if case.test.file.is_none() {
                case.test.file = Some(name.clone());
                case.test.line = test.pointer("/location/line").and_then(Value::as_u64);
                case.test.declared = true;
            }
            cases.push(case);
        }
    }
    for (case, tries) in cases.iter_mut().zip(tries(value)) {
        if let Some(tries) = tries.filter(|tries| *tries > 1) {
            (case.test.attempt, case.test.of) = (Some(tries), Some(tries));
        }
    }
    cases.iter_mut().for_each(|case| "jest".clone_into(&mut case.test.runner));
    cases
}

/// The number of tries of each case, where every file has tests.
fn tries(value: &Value) -> Vec<Option<u64>> {
    let files = value.get("testResults").and_then(Value::as_array).into_iter().flatten();
    let mut all = Vec::new();
    for file in files {
        let tests =
            file.get("assertionResults").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if tests.is_empty() {
            all.push(None);
        }
        all.extend(tests.iter().map(|test| test.get("invocations").and_then(Value::as_u64)));
    }
    all
}
