//! JUnit's XML, as some twenty programs write it.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use rig_event::test::TestKind;

use super::failure;
use crate::case::{Case, DETAIL, Fill as _, Verdict};
use crate::place::Project;
use crate::runners::{go, java};
use crate::text::{groups, grow, patterns};

patterns! {
    EUNIT = r"^(\w+):(?:\d+) (\S.*)$";
    MODULE = r"^module '(.+)'$";
}

/// Most cases of a file.
const CASES: usize = 200_000;

/// Deepest nesting of suites.
const DEPTH: usize = 64;

/// A failure, an error or a further try.
#[derive(Debug, Default)]
struct Wrong {
    element: String,
    message: String,
    kind: String,
    text: String,
}

/// A test case that is being read.
#[derive(Debug, Default)]
struct Open {
    name: String,
    class: String,
    file: String,
    line: String,
    time: String,
    status: String,
    result: String,
    wrong: Vec<Wrong>,
    skipped: Option<(String, String)>,
    output: String,
    suites: Vec<String>,
}

/// Where text goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Into {
    Nothing,
    Wrong,
    Output,
    Skipped,
}

/// Reads a file. One that is damaged gives what was read, and an error.
pub fn read(bytes: &[u8], project: &Project) -> (Vec<Case>, Option<String>) {
    let text = String::from_utf8_lossy(bytes);
    let mut xml = Reader::from_str(&text);
    xml.config_mut().check_end_names = false;
    xml.config_mut().allow_unmatched_ends = true;
    xml.config_mut().allow_dangling_amp = true;
    let mut state = State { runner: "junit", ..State::default() };
    let mut elements = 0;
    loop {
        match xml.read_event() {
            Ok(Event::Start(element)) => {
                elements += 1;
                state.start(&element, false);
            }
            Ok(Event::Empty(element)) => {
                state.start(&element, true);
                let name = element.local_name();
                state.end(&String::from_utf8_lossy(name.as_ref()), project);
            }
            Ok(Event::End(element)) => {
                let name = element.local_name();
                state.end(&String::from_utf8_lossy(name.as_ref()), project);
            }
            Ok(Event::Text(text)) => state.text(&String::from_utf8_lossy(&text)),
            Ok(Event::CData(text)) => state.text(&String::from_utf8_lossy(&text)),
            Ok(Event::GeneralRef(reference)) => {
                let name = String::from_utf8_lossy(&reference).into_owned();
                state.text(&entity(&name));
            }
            Ok(Event::Eof) => {
                let cut = state.open.is_some() || !state.suites.is_empty();
                let error = (cut || elements == 0).then(|| "it ends in the middle".to_owned());
                if state.open.is_some() {
                    state.end("testcase", project);
                }
                return (state.finish(project), error);
            }
            Ok(_) => {}
            Err(error) => {
                if state.open.is_some() {
                    state.end("testcase", project);
                }
                let at = xml.error_position();
                return (
                    state.finish(project),
                    Some(format!("it is damaged at byte {at}: {}", reason(&error))),
                );
            }
        }
        if state.cases.len() >= CASES {
            return (
                state.finish(project),
                Some(format!("it has more than {CASES} tests; the others are left out")),
            );
        }
    }
}

/// The error without what it quotes of the file.
fn reason(error: &quick_xml::Error) -> &'static str {
    match error {
        quick_xml::Error::Syntax(_) => "a tag does not end",
        quick_xml::Error::IllFormed(_) => "its tags do not fit",
        _ => "it cannot be read",
    }
}

/// The text that an entity stands for.
fn entity(name: &str) -> String {
    let escaped = format!("&{name};");
    quick_xml::escape::unescape(&escaped).map(|text| text.into_owned()).unwrap_or(escaped)
}

#[derive(Default)]
struct State {
    suites: Vec<String>,
    open: Option<Open>,
    into: Option<Into>,
    cases: Vec<Case>,
    runner: &'static str,
    /// In `system-out` of a further try.
    nested: bool,
}

fn attributes(element: &BytesStart<'_>) -> HashMap<String, String> {
    let mut pairs = element.html_attributes();
    pairs
        .with_checks(false)
        .flatten()
        .take(64)
        .map(|pair| {
            let raw = String::from_utf8_lossy(&pair.value);
            let value = quick_xml::escape::unescape(&raw)
                .map_or_else(|_| raw.to_string(), |value| value.into_owned());
            let key = String::from_utf8_lossy(pair.key.local_name().as_ref()).into_owned();
            (key, crate::text::clean_all(&value))
        })
        .collect()
}

impl State {
    fn start(&mut self, element: &BytesStart<'_>, empty: bool) {
        let name = String::from_utf8_lossy(element.local_name().as_ref()).into_owned();
        match name.as_str() {
            "testsuites" | "testsuite" => {
                let mut attributes = attributes(element);
                let title = attributes.remove("name").unwrap_or_default();
                if self.runner == "junit" {
                    self.runner = runner(&title, &attributes);
                }
                if name == "testsuite" && !empty && self.suites.len() < DEPTH {
                    self.suites.push(title);
                }
            }
            "testcase" => {
                let mut of = attributes(element);
                let mut get = |key: &str| of.remove(key).unwrap_or_default();
                self.open = Some(Open {
                    name: get("name"),
                    class: get("classname"),
                    file: get("file"),
                    line: get("line"),
                    time: get("time"),
                    status: get("status"),
                    result: get("result"),
                    suites: self.suites.clone(),
                    ..Open::default()
                });
            }
            "failure" | "error" | "rerunFailure" | "rerunError" | "flakyFailure" | "flakyError" => {
                if let Some(open) = &mut self.open
                    && open.wrong.len() < 200
                {
                    let mut of = attributes(element);
                    self.nested = name.starts_with('r') || name.starts_with("fl");
                    open.wrong.push(Wrong {
                        element: name,
                        message: of.remove("message").unwrap_or_default(),
                        kind: of.remove("type").unwrap_or_default(),
                        ..Wrong::default()
                    });
                    self.into = Some(Into::Wrong);
                }
            }
            "skipped" => {
                if let Some(open) = &mut self.open {
                    let mut of = attributes(element);
                    open.skipped = Some((
                        of.remove("message").unwrap_or_default(),
                        of.remove("type").unwrap_or_default(),
                    ));
                    self.into = Some(Into::Skipped);
                }
            }
            "system-out" | "system-err" => {
                self.into = Some(if self.nested { Into::Nothing } else { Into::Output })
            }
            "property" if attributes(element).get("name").is_some_and(|name| name == "go.version") => {
                self.runner = "go-test"
            }
            "stackTrace" => {}
            _ => self.into = Some(Into::Nothing),
        }
    }

    fn text(&mut self, text: &str) {
        let Some(open) = &mut self.open else { return };
        match self.into {
            Some(Into::Wrong) => {
                if let Some(wrong) = open.wrong.last_mut()
                    && wrong.text.len() < 4 * DETAIL
                {
                    wrong.text.push_str(text);
                }
            }
            Some(Into::Output) => {
                if open.output.len() < 8 * DETAIL {
                    open.output.push_str(text);
                }
            }
            Some(Into::Skipped) => {
                if let Some((message, _)) = &mut open.skipped
                    && message.is_empty()
                    && !text.trim().is_empty()
                {
                    text.trim().clone_into(message);
                }
            }
            Some(Into::Nothing) | None => {}
        }
    }

    fn end(&mut self, name: &str, project: &Project) {
        match name {
            "testsuite" => {
                self.suites.pop();
            }
            "testcase" => {
                if let Some(open) = self.open.take() {
                    self.case(open, project);
                }
                (self.into, self.nested) = (None, false);
            }
            "rerunFailure" | "rerunError" | "flakyFailure" | "flakyError" => {
                (self.into, self.nested) = (None, false)
            }
            "system-out" | "system-err" | "stackTrace" if self.nested => self.into = Some(Into::Nothing),
            _ => self.into = None,
        }
    }

    fn case(&mut self, open: Open, project: &Project) {
        let (suite, name, params) = self.named(&open);
        let file = self.file(&open, project);
        let mut base = Case::new(&suite, &name);
        base.test.runner = self.runner.to_owned();
        base.test.params = params.or(base.test.params);
        base.test.seconds(&open.time);
        if let Some(file) = &file {
            base.test.file = Some(file.clone());
            base.test.line = open.line.parse::<u64>().ok().map(|line| {
                // pytest counts from 0.
                if self.runner == "pytest" { line + 1 } else { line }
            });
            base.test.line = base.test.line.filter(|line| *line > 0);
            base.test.declared = true;
        }
        let is_try = |wrong: &&Wrong| !matches!(wrong.element.as_str(), "failure" | "error");
        let tries: Vec<&Wrong> = open.wrong.iter().filter(is_try).collect();
        let wrong: Vec<&Wrong> = open.wrong.iter().filter(|wrong| !is_try(wrong)).collect();
        let fail = |wrong: &Wrong, base: &Case| {
            let mut case = base.clone();
            case.verdict = Verdict::Failed;
            case.test.kind = Some(kind(wrong));
            let output = if wrong.text.trim().is_empty() { &open.output } else { &wrong.text };
            let repeated = format!("{}::{}", open.class, open.name);
            let text = wrong.text.trim_start();
            // PHPUnit begins with the name.
            let text = if text.starts_with(&repeated) {
                text.split_once('\n').map_or("", |(_, rest)| rest)
            } else {
                &wrong.text
            };
            // What the harness says of a panic stands in the output.
            let noted = format!("{}\n{}", wrong.text, open.output);
            let text = if self.runner == "cargo-nextest" && open.output.contains("note: panic did not") {
                &noted
            } else {
                text
            };
            let go = (self.runner == "go-test").then(|| go::of_text(&name, &wrong.text, project));
            let message = failure::message(&wrong.message, text, &name, project);
            let message = go.as_ref().map_or(message, |(message, _)| message.clone());
            let message = if message.is_empty() && self.runner != "ctest" {
                failure::message("", output, &name, project)
            } else {
                message
            };
            case.test.say(&message);
            let class =
                if open.class.is_empty() { suite.first().map_or("", String::as_str) } else { &open.class };
            let whole = format!("{}\n{}", wrong.message, wrong.text);
            let place = failure::place(&whole, &name, file.as_deref(), class, project);
            case.test.put(go.map_or(place, |(_, place)| place));
            let mut detail = String::new();
            for line in
                (if wrong.text.trim().is_empty() { &wrong.message } else { &wrong.text }).trim().lines()
            {
                grow(&mut detail, line, DETAIL);
            }
            if detail != case.test.message {
                case.test.detail = detail;
            }
            case
        };
        let numbered = |mut case: Case, attempt: usize, of: usize| {
            (case.test.attempt, case.test.of) = (Some(attempt as u64), Some(of as u64));
            case
        };
        let missing = open
            .skipped
            .as_ref()
            .is_some_and(|(message, _)| message.starts_with("Unable to find executable"));
        if let Some((message, of)) = open.skipped.as_ref().filter(|_| !missing) {
            let kind = match of.as_str() {
                "pytest.xfail" => TestKind::ExpectedFailure,
                _ if !wrong.is_empty() => TestKind::ExpectedFailure,
                _ if message.eq_ignore_ascii_case("todo") || of == "todo" => TestKind::Todo,
                _ => TestKind::Skipped,
            };
            self.cases.push(base.is(Verdict::Skipped, Some(kind)).say(message));
        } else if wrong.iter().any(|wrong| wrong.kind.ends_with("RiskyTestError")) {
            self.cases.push(base.is(Verdict::Passed, None).say("risky"));
        } else if let Some(first) = wrong.first() {
            let all = tries.len() + 1;
            let case = fail(first, &base);
            if tries.is_empty() {
                self.cases.push(case);
            } else {
                self.cases.push(numbered(case, 1, all));
                for (at, one) in tries.iter().enumerate() {
                    self.cases.push(numbered(fail(one, &base), at + 2, all));
                }
            }
        } else if missing {
            let message = open.skipped.map(|(message, _)| message).unwrap_or_default();
            self.cases.push(base.is(Verdict::Failed, Some(TestKind::Errored)).say(&message));
        } else if !tries.is_empty() {
            let all = tries.len() + 1;
            for (at, one) in tries.iter().enumerate() {
                self.cases.push(numbered(fail(one, &base), at + 1, all));
            }
            self.cases.push(numbered(base.is(Verdict::Passed, None), all, all));
        } else {
            let off = open.status == "disabled" || open.result == "suppressed" || open.status == "notrun";
            self.cases.push(match () {
                () if off => base.is(Verdict::Skipped, Some(TestKind::Disabled)),
                () if open.result == "skipped" || open.status == "skipped" => {
                    base.is(Verdict::Skipped, Some(TestKind::Skipped))
                }
                () if matches!(open.status.as_str(), "fail" | "failed" | "FAILED") => {
                    base.is(Verdict::Failed, Some(TestKind::Failed))
                }
                () => base.is(Verdict::Passed, None),
            });
        }
    }

    /// Suites, name and parameters of a case, as the text of its runner would have them.
    fn named(&self, open: &Open) -> (Vec<String>, String, Option<String>) {
        let name = open.name.trim();
        let class = open.class.trim();
        let stack = || {
            open.suites
                .iter()
                .map(|suite| suite.trim().to_owned())
                .filter(|suite| !suite.is_empty())
                .collect::<Vec<_>>()
        };
        match self.runner {
            "surefire" => {
                let (name, params) = java::plain(name);
                return (vec![class.to_owned()], name, params);
            }
            "eunit" => {
                let module =
                    stack().last().and_then(|title| Some(groups::<1>(&MODULE, title)?[0].to_owned()));
                let (module, name) = match groups::<2>(&EUNIT, name) {
                    Some([module, name]) => (Some(module.to_owned()), name),
                    None => (module, name),
                };
                return (module.into_iter().collect(), name.to_owned(), None);
            }
            "playwright" => {
                let mut parts: Vec<String> = vec![class.to_owned()];
                let mut names: Vec<&str> = name.split(" › ").collect();
                let last = names.pop().unwrap_or(name).to_owned();
                parts.extend(names.into_iter().map(str::to_owned));
                return (parts, last, None);
            }
            "vitest" => {
                let mut parts: Vec<String> = vec![class.to_owned()];
                let mut names: Vec<&str> = name.split(" > ").collect();
                let last = names.pop().unwrap_or(name).to_owned();
                parts.extend(names.into_iter().map(str::to_owned));
                return (parts, last, None);
            }
            _ => {}
        }
        // node's constant, and classes that repeat the name, say nothing.
        let suite = if class == "test" && self.runner == "node-test" {
            stack()
        } else if class == name || class.is_empty() {
            Vec::new()
        } else {
            vec![class.to_owned()]
        };
        (suite, name.to_owned(), None)
    }

    /// The file of a test: its attribute, or what its class says of it.
    fn file(&self, open: &Open, project: &Project) -> Option<String> {
        if !open.file.is_empty() {
            return Some(project.relative(&open.file));
        }
        match self.runner {
            "pytest" => {
                let parts: Vec<&str> = open.class.split('.').collect();
                let modules: Vec<&str> = parts
                    .iter()
                    .copied()
                    .take_while(|part| !part.starts_with(|c: char| c.is_ascii_uppercase()))
                    .collect();
                (!modules.is_empty()).then(|| format!("{}.py", modules.join("/")))
            }
            "playwright" | "vitest" => Some(project.relative(&open.class)),
            _ => None,
        }
    }

    fn finish(self, project: &Project) -> Vec<Case> {
        let mut cases = self.cases;
        match self.runner {
            "pytest" => twins(&mut cases),
            "go-test" => packages(&mut cases, project),
            _ => {}
        }
        cases
    }
}

/// Go's files are named without their folder, which the package has; and a parent fails through its children alone.
fn packages(cases: &mut Vec<Case>, project: &Project) {
    let names: Vec<String> = cases.iter().filter_map(|case| case.test.suite.first().cloned()).collect();
    let module = project.go_module.clone().unwrap_or_else(|| go::common(&names));
    for case in cases.iter_mut() {
        let package = case.test.suite.first().map_or("", String::as_str);
        let folder = package.strip_prefix(&module).unwrap_or_default().trim_matches('/');
        if let Some(file) = case.test.file.as_mut().filter(|file| !file.contains('/') && !folder.is_empty()) {
            *file = format!("{folder}/{file}");
        }
    }
    let inner: std::collections::BTreeSet<(Vec<String>, String)> = cases
        .iter()
        .filter(|case| case.verdict == Verdict::Failed)
        .filter_map(|case| {
            Some((
                case.test.suite.clone(),
                case.test.name.split('/').next()?.to_owned(),
                case.test.name.contains('/'),
            ))
        })
        .filter_map(|(suite, name, inner)| inner.then_some((suite, name)))
        .collect();
    cases.retain(|case| {
        let through = case.verdict == Verdict::Failed && case.test.message.is_empty();
        !(through && inner.contains(&(case.test.suite.clone(), case.test.name.clone())))
    });
}

/// pytest-rerunfailures writes earlier tries as passed twins: a failed case makes the others its tries.
fn twins(cases: &mut [Case]) {
    let mut by_name: HashMap<(Vec<String>, String), Vec<usize>> = HashMap::new();
    for (at, case) in cases.iter().enumerate() {
        by_name.entry((case.test.suite.clone(), case.test.name.clone())).or_default().push(at);
    }
    for places in by_name.into_values().filter(|places| places.len() > 1) {
        // pytest gives each set of parameters a name of its own: two of a name are tries.
        let of = places.len();
        for (number, at) in places.into_iter().enumerate() {
            let case = &mut cases[at];
            if number + 1 < of {
                case.verdict = Verdict::Failed;
                case.test.kind = case.test.kind.or(Some(TestKind::Failed));
            }
            (case.test.attempt, case.test.of) = (Some(number as u64 + 1), Some(of as u64));
        }
    }
}

/// The kind of a failure.
fn kind(wrong: &Wrong) -> TestKind {
    let said = format!("{} {}", wrong.message, wrong.kind).to_ascii_lowercase();
    if said.contains("timed out") || said.contains("timeout") {
        TestKind::Timeout
    } else if said.contains("signal") || said.contains("crashed") {
        TestKind::Crashed
    } else if wrong.element.ends_with("rror") {
        TestKind::Errored
    } else {
        TestKind::Failed
    }
}

/// The program that wrote the file, by what it calls things.
fn runner(title: &str, attributes: &HashMap<String, String>) -> &'static str {
    match title {
        "pytest tests" | "pytest" => "pytest",
        "nextest-run" => "cargo-nextest",
        "Mocha Tests" => "mocha",
        "jest tests" => "jest",
        "vitest tests" => "vitest",
        "AllTests" => "googletest",
        "nose2-junit" => "nose2",
        title if title.starts_with("module '") => "eunit",
        "(empty)" => "ctest",
        _ if attributes.contains_key("noNamespaceSchemaLocation") => "surefire",
        title
            if attributes
                .get("hostname")
                .is_some_and(|_| title.ends_with(".spec.ts") || title.ends_with(".spec.js")) =>
        {
            "playwright"
        }
        _ => "junit",
    }
}
