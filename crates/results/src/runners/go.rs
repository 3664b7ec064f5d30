//! `go test`, its `-v` and its JSON, and gotestsum.

use std::collections::HashMap;

use rig_event::test::TestKind;
use serde_json::Value;

use crate::case::{Case, Fill as _, Verdict};
use crate::place::{Place, Project, is_foreign, leading};
use crate::sheet::{Block, Runner, Sheet, Sheets};
use crate::text::{Line, groups, patterns};

patterns! {
    VERDICT = r"^( *)--- (PASS|FAIL|SKIP): (.+?) \(([\d.]+)s\)$";
    RUN = r"^=== (RUN|NAME|CONT|PAUSE) +(\S.*)$";
    PACKAGE = r"^(ok  |FAIL|\?   )\t(\S+)(?:\t| )(.*)$";
    GOTESTSUM = r"^=== (FAIL|SKIP): (\S+) (\S+) \(([\d.]+)s\)$";
    FRAME = r"^\t(\S.*\.go):(\d+)(?: \+0x[0-9a-f]+)?$";
    RUNNING = r"^\t\t(\S+) \([\d.]+m?s?.*\)$";
    PLACED = r"^(\S+\.go):(\d+)(?::(\d+))?: ?(.*)$";
}

/// Most tests of a package that wait for its name.
const TESTS: usize = 20_000;

/// A test whose package is not known yet.
#[derive(Debug, Default)]
struct Found {
    name: String,
    verdict: Verdict,
    kind: Option<TestKind>,
    seconds: String,
    block: Block,
    /// The message goes on in the next lines: testify sets it below.
    due: bool,
    /// The message is known to be one of a failure.
    certain: bool,
}

impl Found {
    /// Takes a line that belongs to the test.
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text.trim();
        self.block.saw(line);
        if let Some([file, at, column, said]) = groups(&PLACED, text) {
            // What is logged comes before what fails; JSON says which is which.
            if self.certain {
                return;
            }
            self.block.frames.clear();
            self.block.frame(project.place(file, at, column));
            said.clone_into(&mut self.block.message);
            self.due = said.is_empty();
        } else if self.due {
            if let Some(said) = text.strip_prefix("Error:") {
                self.block.say(said);
                self.due = false;
            } else if !text.starts_with("Error Trace:") && !text.is_empty() && !text.contains(".go:") {
                self.block.say(text);
                self.due = false;
            }
        }
    }
}

/// Reads one package's tests.
#[derive(Debug, Default)]
struct Package {
    found: Vec<Found>,
    index: HashMap<String, usize>,
    /// The test that lines belong to.
    now: Option<usize>,
    verbose: bool,
    /// The panic that ended the program: its message and its place.
    panic: Option<Block>,
    timed_out: bool,
    running: Vec<String>,
    /// Errors of the build, and the first lines that go with no test.
    build: Block,
}

impl Package {
    fn test(&mut self, name: &str) -> Option<usize> {
        if let Some(at) = self.index.get(name) {
            return Some(*at);
        }
        if self.found.len() >= TESTS {
            return None;
        }
        self.found.push(Found { name: name.to_owned(), ..Found::default() });
        self.index.insert(name.to_owned(), self.found.len() - 1);
        Some(self.found.len() - 1)
    }

    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if let Some(panic) = &mut self.panic {
            panic.saw(line);
            if let Some([file, at]) = groups(&FRAME, text) {
                if !is_foreign(file)
                    && !file.contains("/go/src/")
                    && !file.contains("/src/testing/")
                    && !file.contains("/src/runtime/")
                {
                    panic.frame(project.place(file, at, ""));
                }
            } else if let Some([name]) = groups(&RUNNING, text) {
                self.running.push(name.to_owned());
            }
            return;
        }
        if let Some(said) = text.strip_prefix("panic: ").or_else(|| text.strip_prefix("fatal error: ")) {
            let mut panic = Block::default();
            panic.saw(line);
            panic.say(text);
            self.timed_out = said.starts_with("test timed out");
            self.panic = Some(panic);
        } else if let Some([word, name]) = groups(&RUN, text) {
            self.verbose = true;
            let at = self.test(name);
            if word != "PAUSE" {
                self.now = at;
            }
        } else if let Some([_, word, name, seconds]) = groups(&VERDICT, text) {
            let at = self.test(name);
            if let Some(found) = at.and_then(|at| self.found.get_mut(at)) {
                (found.verdict, found.kind) = match word {
                    "PASS" => (Verdict::Passed, None),
                    "SKIP" => (Verdict::Skipped, Some(TestKind::Skipped)),
                    _ => (Verdict::Failed, Some(TestKind::Failed)),
                };
                seconds.clone_into(&mut found.seconds);
            }
            self.now = at;
        } else if let Some(found) = self.now.and_then(|at| self.found.get_mut(at)) {
            if text.starts_with("    ") {
                found.line(line, project);
            } else if found.name.starts_with("Example")
                && found.verdict == Verdict::Failed
                && !text.is_empty()
            {
                // An example's output is not indented.
                found.block.saw(line);
                let said = &mut found.block.message;
                if said.len() < 300 && text != "FAIL" {
                    *said = format!("{said} {text}").trim().to_owned();
                }
            }
        }
    }

    /// Closes the package: what it is called is known now.
    fn close(self, package: &str, said: &str, failed: bool, folder: &str, sheet: &mut Sheet) {
        let prefix = |mut place: Place| {
            if !place.file.contains('/') && !folder.is_empty() {
                place.file = format!("{folder}/{}", place.file);
            }
            place
        };
        let names: Vec<String> = self
            .found
            .iter()
            .filter(|found| found.verdict == Verdict::Failed)
            .map(|found| found.name.clone())
            .collect();
        let last_failed = self.found.iter().rposition(|found| found.verdict == Verdict::Failed);
        let mut blamed = false;
        let mut panic = self.panic;
        for (at, mut found) in self.found.into_iter().enumerate() {
            let hung = self.timed_out && self.running.contains(&found.name);
            if let Some(block) =
                panic.take_if(|_| hung || (!self.timed_out && Some(at) == last_failed && panic_fits(&found)))
            {
                blamed = true;
                (found.verdict, found.kind) =
                    (Verdict::Failed, Some(if hung { TestKind::Timeout } else { TestKind::Errored }));
                found.block = block;
            }
            // A parent that fails only through its children is no failure of its own.
            let through = format!("{}/", found.name);
            if found.verdict == Verdict::Failed
                && found.block.message.is_empty()
                && names.iter().any(|name| name.starts_with(&through))
            {
                continue;
            }
            if found.verdict == Verdict::Passed
                && self.index.keys().any(|name| name.starts_with(&through))
                && self.index.len() < 500
            {
                continue;
            }
            let Some(case) = sheet.verdict(&[package], &found.name, found.verdict, found.kind) else {
                continue;
            };
            case.test.seconds(&found.seconds);
            let place = if found.kind == Some(TestKind::Errored) || found.kind == Some(TestKind::Timeout) {
                test_frame(&found.block)
            } else {
                found.block.frames.first().cloned()
            };
            if found.verdict != Verdict::Passed {
                found.block.fill(case, place.map(prefix));
            }
        }
        if let Some(block) = panic {
            let kind = if self.timed_out { TestKind::Timeout } else { TestKind::Crashed };
            let place = test_frame(&block).map(prefix);
            let name = self.running.first().cloned();
            let suite = [package];
            let case = match &name {
                Some(name) => sheet.fail(&suite, name, kind),
                None => sheet.fail::<&str>(&[], package, kind),
            };
            if let Some(case) = case {
                block.fill(case, place);
            }
        } else if failed && !blamed && (names.is_empty() || said.contains("failed]")) {
            let name = if said.contains("failed]") || !self.build.message.is_empty() {
                "[build]"
            } else {
                "[package]"
            };
            if let Some(case) = sheet.fail(&[package], name, TestKind::Errored) {
                let place = self.build.frames.first().cloned();
                if self.build.message.is_empty() {
                    let said = said.trim_matches(['[', ']', ' ']);
                    case.test.say(if said.contains("failed") { said } else { "the package failed" });
                }
                self.build.fill(case, place);
            }
        }
    }
}

/// A panic stands behind the verdict of the test that it ended.
fn panic_fits(found: &Found) -> bool {
    found.block.message.is_empty()
}

/// The frame of a test's file, else the first of the project.
fn test_frame(block: &Block) -> Option<Place> {
    block.frames.iter().find(|frame| frame.file.ends_with("_test.go")).or(block.frames.first()).cloned()
}

/// Reads the output of `go test`.
pub struct Go {
    sheets: Sheets,
    package: Package,
    packages: HashMap<String, Package>,
    /// Errors of builds by package, or by folder where the package is not said.
    builds: HashMap<String, Block>,
    building: Option<String>,
    names: Vec<String>,
    /// Packages of the sheet, closed when all are known: folders follow from what they have in common.
    closed: Vec<(String, String, bool, Package)>,
    at: u64,
}

/// Most packages of a run.
const PACKAGES: usize = 5_000;

impl Go {
    /// Begins.
    pub fn new() -> Go {
        Go {
            sheets: Sheets::new("go-test"),
            package: Package::default(),
            packages: HashMap::new(),
            builds: HashMap::new(),
            building: None,
            names: Vec::new(),
            closed: Vec::new(),
            at: 0,
        }
    }

    fn json(&mut self, line: &Line<'_>, project: &Project) -> Option<()> {
        let value: Value = serde_json::from_str(line.text).ok()?;
        let said = |key: &str| value.get(key).and_then(Value::as_str);
        let action = said("Action")?;
        if let Some(import) = said("ImportPath") {
            let import = import.split(' ').next().unwrap_or_default();
            if let Some(output) = said("Output") {
                self.build_line(import, &Line { text: output.trim_end(), ..*line }, project);
            }
            return Some(());
        }
        let package = said("Package")?.to_owned();
        self.sheets.now(line).source = "json";
        if self.packages.len() >= PACKAGES && !self.packages.contains_key(&package) {
            return None;
        }
        let tests = self.packages.entry(package.clone()).or_default();
        let test = said("Test");
        match (action, test) {
            ("output", _) => {
                let output = said("Output").unwrap_or_default();
                let output = crate::text::clean(output);
                let line = Line { text: &output, ..*line };
                if let Some(name) = test
                    && tests.panic.is_none()
                    && !output.starts_with("panic: ")
                {
                    let at = tests.test(name)?;
                    let found = tests.found.get_mut(at)?;
                    if said("OutputType") == Some("error") && !found.certain {
                        found.line(&line, project);
                        found.certain = !found.due && !found.block.message.is_empty();
                    } else if output.starts_with("    ") && !VERDICT.is_match(&output) {
                        found.line(&line, project);
                    } else if name.starts_with("Example") || VERDICT.is_match(&output) {
                        tests.now = Some(at);
                        tests.line(&line, project);
                    }
                } else {
                    tests.line(&line, project);
                }
            }
            ("run", Some(name)) => {
                tests.test(name)?;
            }
            ("pass" | "fail" | "skip", Some(name)) => {
                let at = tests.test(name)?;
                let found = tests.found.get_mut(at)?;
                (found.verdict, found.kind) = match action {
                    "pass" => (Verdict::Passed, None),
                    "skip" => (Verdict::Skipped, Some(TestKind::Skipped)),
                    _ => (Verdict::Failed, Some(TestKind::Failed)),
                };
                found.seconds = value.get("Elapsed").map(ToString::to_string).unwrap_or_default();
            }
            ("pass" | "fail" | "skip", None) => {
                let tests = self.packages.remove(&package)?;
                let said = if said("FailedBuild").is_some() { "[build failed]" } else { "" };
                self.end_package(&package, said, action == "fail", tests);
            }
            _ => {}
        }
        Some(())
    }

    fn build_line(&mut self, package: &str, line: &Line<'_>, project: &Project) {
        if self.builds.len() >= PACKAGES {
            return;
        }
        let block = self.builds.entry(package.to_owned()).or_default();
        if line.text.starts_with("# ") {
            return;
        }
        block.saw(line);
        if let Some((file, at, column, rest)) = leading(line.text)
            && file.ends_with(".go")
        {
            if block.message.is_empty() {
                block.say(rest.trim_start_matches(": "));
            }
            block.frame(project.place(file.trim_start_matches("vet: "), at, column));
        }
    }

    fn end_package(&mut self, name: &str, said: &str, failed: bool, mut package: Package) {
        if let Some(build) = self.builds.remove(name).or_else(|| self.builds.remove(&format!("{name}_test")))
        {
            package.build = build;
        }
        if self.closed.len() < PACKAGES {
            self.names.push(name.to_owned());
            self.closed.push((name.to_owned(), said.to_owned(), failed, package));
        }
    }

    fn flush(&mut self, project: &Project) {
        let module = project.go_module.clone().unwrap_or_else(|| common(&self.names));
        let Some(sheet) = self.sheets.last() else { return };
        for (name, said, failed, package) in self.closed.drain(..) {
            let folder = match name.strip_prefix(&module) {
                Some(rest) if !module.is_empty() => rest.trim_start_matches('/').to_owned(),
                _ => String::new(),
            };
            package.close(&name, &said, failed, &folder, sheet);
        }
        sheet.ended = true;
    }
}

/// Reads the text that a result file has of a failing test: its message, and its place without the folder.
pub fn of_text(name: &str, text: &str, project: &Project) -> (String, Option<Place>) {
    let mut package = Package::default();
    for text in text.lines() {
        package.line(&Line { text, stream: crate::text::Stream::Stdout, at: 0 }, project);
    }
    if let Some(panic) = &package.panic {
        return (panic.message.clone(), test_frame(panic));
    }
    let found = package.index.get(name).and_then(|at| package.found.get(*at)).or(package.found.first());
    found.map(|found| (found.block.message.clone(), found.block.frames.first().cloned())).unwrap_or_default()
}

/// The common start of the names of packages: the path of their module, at best.
pub fn common(names: &[String]) -> String {
    let Some(first) = names.first() else { return String::new() };
    let same =
        |name: &String| first.split('/').zip(name.split('/')).take_while(|(one, other)| one == other).count();
    let mut parts = names.iter().map(same).min().unwrap_or(0);
    let all = first.split('/').count();
    // A single package: a host has a dot and is followed by two parts.
    if names.iter().all(|name| name == first) && all > 1 {
        parts = if first.split('/').next().is_some_and(|host| host.contains('.')) {
            (all - 1).clamp(1, 3)
        } else {
            1
        };
    }
    first.split('/').take(parts).collect::<Vec<_>>().join("/")
}

impl Runner for Go {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        self.at = line.at;
        if text.starts_with("{\"") {
            if text.contains("\"Action\":\"") {
                self.json(line, project);
            }
            return;
        }
        if let Some([word, name, said]) = groups(&PACKAGE, text) {
            self.building = None;
            self.sheets.now(line);
            let package = std::mem::take(&mut self.package);
            if word != "?   " {
                self.end_package(name, said, word == "FAIL", package);
            }
            return;
        }
        if let Some([word, package, name, seconds]) = groups(&GOTESTSUM, text) {
            self.sheets.now(line);
            let mut tests = Package::default();
            if let Some(found) = tests.test(name).and_then(|at| tests.found.get_mut(at)) {
                found.seconds = seconds.to_owned();
                (found.verdict, found.kind) = match word {
                    "SKIP" => (Verdict::Skipped, Some(TestKind::Skipped)),
                    _ => (Verdict::Failed, Some(TestKind::Failed)),
                };
            }
            tests.now = Some(0);
            self.end_package(package, "", false, tests);
            return;
        }
        if let Some(name) = text.strip_prefix("# ").filter(|name| name.contains('/') || !name.contains(' ')) {
            self.building = Some(name.split(' ').next().unwrap_or_default().to_owned());
            return;
        }
        if let Some(name) = &self.building {
            if text.contains(".go:") {
                let name = name.clone();
                self.build_line(&name, line, project);
                return;
            }
            self.building = None;
        }
        let example = self
            .package
            .now
            .and_then(|at| self.package.found.get(at))
            .is_some_and(|found| found.name.starts_with("Example"));
        let known = self.sheets.is_open() || !self.package.found.is_empty() || self.package.panic.is_some();
        if text.starts_with("=== ") || text.trim_start().starts_with("--- ") {
            if RUN.is_match(text) || VERDICT.is_match(text) {
                self.package.line(line, project);
            }
        } else if text.starts_with("panic: test timed out")
            || (known && text.starts_with("panic: "))
            || self.package.panic.is_some()
        {
            self.package.line(line, project);
        } else if example || (known && text.starts_with("    ")) {
            match self.closed.last_mut() {
                // gotestsum's lists have the package first.
                Some((_, _, _, package))
                    if package.now == Some(0)
                        && self.package.found.is_empty()
                        && !package.found.is_empty() =>
                {
                    package.line(line, project);
                }
                _ => self.package.line(line, project),
            }
        }
    }

    fn finish(mut self: Box<Self>, project: &Project) -> Vec<Sheet> {
        // The program ended before its package did.
        let end = Line { text: "", stream: crate::text::Stream::Stdout, at: self.at };
        let rest: Vec<_> = self.packages.drain().collect();
        for (name, package) in rest {
            self.end_package(&name, "", false, package);
        }
        if self.package.found.iter().any(|found| !found.name.is_empty()) {
            let package = std::mem::take(&mut self.package);
            self.sheets.now(&end);
            self.end_package("", "", false, package);
        }
        self.flush(project);
        let mut sheets = self.sheets.finish();
        sheets.iter_mut().for_each(|sheet| {
            sheet.cases.retain(|case: &Case| !case.test.name.is_empty() || case.test.count.is_some())
        });
        sheets
    }
}
