//! pytest, with xdist, rerunfailures, subtests, sugar and timeout.

use rig_event::test::TestKind;

use crate::case::{Case, Fill as _, Verdict};
use crate::identity;
use crate::place::{Project, leading};
use crate::sheet::{Block, Runner, Sheet, Sheets};
use crate::text::{Line, groups, patterns, titled};

patterns! {
    COUNTS = r"^(?:=+ )?((?:\d+ [a-z]+(?:, )?)+|no tests ran) in \d[\d.]*s?(?: \(\d+:\d\d:\d\d\))?(?: =+)?$";
    COLLECTED = r"^(?:collected (\d+) items?|\d+ workers \[(\d+) items?\])";
    SELECTED = r" / (\d+) selected";
    PROGRESS = r"^(?:\S+\.py )?([.FEsxXRuU,-]+)(?: +\[ *\d+%\])?$";
    VERBOSE = r"^(?:\[gw\d+\] \[ *\d+%\] )?(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS|RERUN) (\S+\.py::.+?) *$";
    VERBOSE_END = r"^(\S+\.py::.+?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS|RERUN)(?: \((.*)\))?(?: +\[ *\d+%\])?$";
    SHORT = r"^(SUBFAILED|SUBFAIL|FAILED|ERROR|SKIPPED|XFAIL|XPASS|RERUN)(.*)$";
    STACK = r#"^  File "([^"]+)", line (\d+), in (\S+)"#;
}

/// Part of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Progress,
    /// Failures in full.
    Failures,
    /// Output of a failing test.
    Captured,
    Summary,
    Other,
}

/// A failure in full.
#[derive(Debug, Default)]
struct Failure {
    head: String,
    errored: bool,
    /// At the teardown of a test: what it did itself is another matter.
    teardown: bool,
    used: bool,
    block: Block,
}

/// Most failures in full that wait for the list at the end.
const FAILURES: usize = 2_000;

/// Reads pytest's output.
pub struct Pytest {
    sheets: Sheets,
    part: Part,
    failures: Vec<Failure>,
    /// A test that is being stopped because it took too long.
    hanging: Option<Block>,
    hanging_name: String,
    /// Tests that passed after a failed try; their names are not said.
    flaky: u64,
}

impl Pytest {
    /// Begins.
    pub fn new() -> Pytest {
        Pytest {
            sheets: Sheets::new("pytest"),
            part: Part::Progress,
            failures: Vec::new(),
            hanging: None,
            hanging_name: String::new(),
            flaky: 0,
        }
    }

    fn begin(&mut self, line: &Line<'_>, project: &Project) {
        self.end(project, false);
        self.sheets.now(line);
    }

    fn end(&mut self, project: &Project, whole: bool) {
        if let Some(sheet) = self.sheets.open() {
            // Failures that the list does not have, which can be switched off.
            let rest: Vec<Failure> = self.failures.drain(..).filter(|failure| !failure.used).collect();
            for failure in rest {
                let place = failure.block.last_own(None);
                let file = place.as_ref().map(|place| place.file.clone()).unwrap_or_default();
                let (mut suite, name) = dotted(&failure.head);
                suite.insert(0, file);
                let known = sheet.cases.iter_mut().find(|case| {
                    case.test.name == name
                        && case.test.suite.get(1..) == suite.get(1..)
                        && case.verdict == Verdict::Failed
                });
                let kind = if failure.errored { TestKind::Errored } else { TestKind::Failed };
                match known {
                    Some(case) => failure.block.fill(case, place),
                    None => {
                        if let Some(case) = sheet.fail(&suite, &name, kind) {
                            failure.block.fill(case, place);
                        }
                    }
                }
            }
            if let Some(block) = self.hanging.take() {
                let place = block.last_own(None);
                let file = place.as_ref().map(|place| place.file.clone()).unwrap_or_default();
                let name = std::mem::take(&mut self.hanging_name);
                let name = if name.is_empty() { "a test that took too long".to_owned() } else { name };
                if let Some(case) = sheet.fail(&[file], &name, TestKind::Timeout) {
                    case.test.say("Timeout");
                    block.fill(case, place);
                }
            }
            let _ = project;
        }
        self.failures.clear();
        self.part = Part::Progress;
        self.sheets.end(whole);
    }

    /// Reads a line of the list at the end.
    fn short(&mut self, line: &Line<'_>, project: &Project) {
        let Some([word, rest]) = groups(&SHORT, line.text) else { return };
        let part_of = word.starts_with("SUBFAIL");
        if part_of {
            // `[msg] (k=v) node - message`
            let Some(at) = rest.rfind("::").and_then(|at| rest[..at].rfind(' ')) else { return };
            let (sub, node) = (rest[..at].trim(), &rest[at + 1..]);
            let (suite, name, message) = node_of(node, project);
            let parent = identity::id("", &suite, &name);
            let head = format!("{} {sub}", tail(&suite, &name));
            let mut all = suite.clone();
            all.push(name);
            let sheet = self.sheets.now(line);
            if let Some(case) = sheet.fail(&all, sub, TestKind::Failed) {
                case.test.parent = Some(parent);
                case.test.say(&message);
                take(&mut self.failures, &head, suite.first().map_or("", String::as_str), case, false);
            }
            return;
        }
        let Some(node) = rest.strip_prefix(' ').filter(|node| node.contains(".py") || node.contains("::"))
        else {
            return;
        };
        if word == "SKIPPED" {
            return;
        }
        let (suite, name, message) = node_of(node, project);
        let file = suite.first().cloned().unwrap_or_else(|| name.clone());
        let head = tail(&suite, &name);
        let sheet = self.sheets.now(line);
        match word {
            "FAILED" | "ERROR" => {
                let kind = if word == "ERROR" { TestKind::Errored } else { TestKind::Failed };
                let Some(case) = sheet.fail(&suite, &name, kind) else { return };
                if case.test.message.is_empty()
                    || !case.test.message.starts_with(message.trim_end_matches("..."))
                {
                    case.test.say(&message);
                }
                case.test.file.get_or_insert_with(|| file.clone());
                case.test.declared = case.test.line.is_none();
                // A worker that died has the file for a head.
                let head = if message.starts_with("worker '") { file.clone() } else { head };
                if message.starts_with("worker '") {
                    case.test.kind = Some(TestKind::Crashed);
                }
                take(&mut self.failures, &head, &file, case, kind == TestKind::Errored);
            }
            "XFAIL" => {
                sheet.verdict(&suite, &name, Verdict::Skipped, Some(TestKind::ExpectedFailure));
            }
            "RERUN" => {
                let mut case = Case::failed(&suite, &name, TestKind::Failed).say(&message);
                let tries = sheet
                    .cases
                    .iter()
                    .filter(|one| one.test.name == case.test.name && one.test.attempt.is_some());
                case.test.attempt = Some(tries.count() as u64 + 1);
                sheet.push(case);
            }
            _ => {}
        }
    }

    fn counts(&mut self, line: &Line<'_>, said: &str) {
        let failures = &self.failures;
        let sheet = self.sheets.now(line);
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        for one in said.split(", ") {
            let Some((number, what)) = one.split_once(' ') else { continue };
            let number: u64 = number.parse().unwrap_or(0);
            match what {
                "passed" | "xpassed" => passed += number,
                "failed" => failed += number,
                "error" | "errors" => failed += number,
                "skipped" | "xfailed" => skipped += number,
                _ => {}
            }
        }
        let parts = sheet.cases.iter().filter(|case| case.test.parent.is_some()).count() as u64;
        // A test may pass and fail at its teardown: it is counted twice.
        let torn = failures.iter().filter(|failure| failure.teardown).count() as u64;
        let flaky = std::mem::take(&mut self.flaky).min(passed);
        if flaky > 0 {
            let mut case = Case::new::<&str>(&[], "").is(Verdict::Passed, None);
            (case.test.count, case.test.attempt) = (Some(flaky), Some(2));
            sheet.push(case);
        }
        sheet.counts.passed = Some(passed.saturating_sub(torn));
        // Failed tests are named: what is counted beyond them are parts and second failures of one test.
        sheet.counts.failed =
            Some(failed.saturating_sub(parts)).filter(|_| sheet.number(Verdict::Failed) == 0);
        sheet.counts.skipped = Some(skipped);
        sheet.counts.total = Some(passed + failed + skipped);
    }

    fn in_failures(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        let head = titled(text, '_').filter(|_| text.starts_with("__")).or_else(|| titled(text, '―'));
        if let Some(head) = head {
            let mut failure = Failure::default();
            let (head, errored) = match head {
                head if head.starts_with("ERROR collecting ") => (&head["ERROR collecting ".len()..], true),
                head if head.starts_with("ERROR at ") => {
                    failure.teardown = head.starts_with("ERROR at teardown");
                    (head.split_once(" of ").map_or(head, |(_, name)| name), true)
                }
                head => (head, false),
            };
            failure.head = head.to_owned();
            failure.errored = errored;
            if self.failures.len() < FAILURES {
                self.failures.push(failure);
            }
            self.part = Part::Failures;
            return;
        }
        if text.starts_with("-----") && titled(text, '-').is_some_and(|title| title.starts_with("Captured "))
        {
            self.part = Part::Captured;
        }
        if self.part == Part::Captured {
            return;
        }
        let Some(failure) = self.failures.last_mut() else { return };
        let block = &mut failure.block;
        block.saw(line);
        if let Some(said) = text.strip_prefix("E ") {
            block.say(said);
        } else if text.starts_with("During handling of the above")
            || text.starts_with("The above exception was")
        {
            block.message.clear();
        } else if text.starts_with("[XPASS") || text.starts_with("contains ") || text.starts_with("worker '")
        {
            block.say(text);
        } else if let Some([file, at, _]) = groups(&STACK, text) {
            block.frame(project.place(file, at, ""));
        } else if let Some((file, at, _, rest)) = leading(text)
            && rest.starts_with(':')
            && !file.starts_with([' ', '>', 'E'])
        {
            block.frame(project.place(file, at, ""));
            // `--tb=line` has all in one.
            if !rest[1..].trim().is_empty()
                && block.frames.len() == 1
                && rest.contains(": ")
                && failure.head.is_empty()
            {
                block.say(&rest[1..]);
            }
        }
    }

    fn in_progress(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if let Some([first, second]) = groups(&COLLECTED, text) {
            let number = [first, second].into_iter().find_map(|number| number.parse().ok());
            let selected = groups::<1>(&SELECTED, text).and_then(|[number]| number.parse().ok());
            self.sheets.now(line).counts.announced = selected.or(number);
            return;
        }
        let verbose = groups::<2>(&VERBOSE, text)
            .map(|[word, node]| (word, node, ""))
            .or_else(|| groups::<3>(&VERBOSE_END, text).map(|[node, word, reason]| (word, node, reason)));
        if let Some((word, node, reason)) = verbose {
            let (suite, name, _) = node_of(node, project);
            let sheet = self.sheets.now(line);
            let (verdict, kind) = match word {
                "PASSED" | "XPASS" => (Verdict::Passed, None),
                "SKIPPED" => (Verdict::Skipped, Some(TestKind::Skipped)),
                "XFAIL" => (Verdict::Skipped, Some(TestKind::ExpectedFailure)),
                "ERROR" => (Verdict::Failed, Some(TestKind::Errored)),
                "RERUN" => return,
                _ => (Verdict::Failed, Some(TestKind::Failed)),
            };
            if let Some(case) = sheet.verdict(&suite, &name, verdict, kind)
                && verdict == Verdict::Skipped
                && case.test.message.is_empty()
            {
                case.test.say(reason);
            }
        } else if text.contains("+ Timeout +") && titled(text, '+').is_some() {
            self.hanging.get_or_insert_default();
        } else if let Some(block) = &mut self.hanging {
            block.saw(line);
            if titled(text, '~').is_some_and(|title| title.starts_with("Stack of ")) {
                block.frames.clear();
            } else if let Some([file, at, function]) = groups(&STACK, text) {
                block.frame(project.place(file, at, ""));
                if function.starts_with("test") {
                    function.clone_into(&mut self.hanging_name);
                }
            }
        }
    }
}

impl Runner for Pytest {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if text.is_empty() {
            return;
        }
        if text.starts_with('=') {
            match titled(text, '=') {
                Some("test session starts") => return self.begin(line, project),
                Some("FAILURES" | "ERRORS") => {
                    self.sheets.now(line);
                    self.part = Part::Failures;
                    return;
                }
                Some("short test summary info") => {
                    self.sheets.now(line);
                    self.part = Part::Summary;
                    return;
                }
                Some("PASSES" | "warnings summary" | "XFAILURES" | "XPASSES" | "slowest durations") => {
                    self.part = Part::Other;
                    return;
                }
                _ => {}
            }
        }
        // Not begun: with `-q` the first line is one of progress.
        if !self.sheets.is_open() {
            let begins = text.ends_with("%]") && groups::<1>(&PROGRESS, text).is_some();
            if begins {
                self.sheets.now(line);
            } else {
                return;
            }
        }
        if let Some([said]) = groups(&COUNTS, text) {
            self.counts(line, said);
            return self.end(project, true);
        }
        if let Some([marks]) =
            groups(&PROGRESS, text).filter(|_| self.part == Part::Progress && self.hanging.is_none())
        {
            let tries = marks.as_bytes().windows(2);
            self.flaky += tries.filter(|pair| *pair == b"R.").count() as u64;
            let passed = marks.bytes().filter(|mark| *mark == b'.').count() as u64;
            let sheet = self.sheets.now(line);
            sheet.counts.passed = Some(sheet.counts.passed.unwrap_or(0) + passed);
            return;
        }
        if self.part == Part::Progress && self.hanging.is_none() {
            // The process ended, or the test is stopped, in the middle of a line.
            if let Some((before, _)) =
                text.split_once("+++++ Timeout +").or_else(|| text.split_once("+++ Timeout +"))
                && let Some([marks]) = groups(&PROGRESS, before.trim_end_matches('+'))
            {
                let passed = marks.bytes().filter(|mark| *mark == b'.').count() as u64;
                let sheet = self.sheets.now(line);
                sheet.counts.passed = Some(sheet.counts.passed.unwrap_or(0) + passed);
                self.hanging = Some(Block::default());
                return;
            }
        }
        match self.part {
            Part::Progress => self.in_progress(line, project),
            Part::Failures | Part::Captured => self.in_failures(line, project),
            Part::Summary => self.short(line, project),
            Part::Other => {}
        }
    }

    fn finish(mut self: Box<Self>, project: &Project) -> Vec<Sheet> {
        self.end(project, false);
        self.sheets.finish()
    }
}

/// Gives a failure in full to a case: the first of that head which is not taken, rather one of that file.
fn take(failures: &mut [Failure], head: &str, file: &str, case: &mut Case, errored: bool) {
    let fits = |failure: &Failure| !failure.used && failure.head == head;
    let of_file = |failure: &Failure| failure.block.frames.iter().any(|frame| frame.file == file);
    let found = failures
        .iter()
        .position(|failure| fits(failure) && failure.errored == errored && of_file(failure))
        .or_else(|| failures.iter().position(|failure| fits(failure) && of_file(failure)))
        .or_else(|| failures.iter().position(fits));
    let Some(failure) = found.and_then(|at| failures.get_mut(at)) else { return };
    failure.used = true;
    let mut block = std::mem::take(&mut failure.block);
    let place = block.last_own(Some(file));
    if !block.message.is_empty() {
        let message = std::mem::take(&mut block.message);
        case.test.say(&message);
    }
    case.test.detail.clear();
    block.fill(case, place);
}

/// `TestX.test_y` of suite and name.
fn tail(suite: &[String], name: &str) -> String {
    let parts = suite.iter().skip(1).map(String::as_str).chain([name]);
    parts.collect::<Vec<_>>().join(".")
}

/// `TestX.test_y` taken apart.
fn dotted(head: &str) -> (Vec<String>, String) {
    let plain = head.find('[').unwrap_or(head.len());
    match head[..plain].rfind('.') {
        Some(at) if !head.contains(".py") => {
            (head[..at].split('.').map(str::to_owned).collect(), head[at + 1..].to_owned())
        }
        _ => (Vec::new(), head.to_owned()),
    }
}

/// `path::A::b[x] - message` taken apart.
fn node_of(node: &str, project: &Project) -> (Vec<String>, String, String) {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = node;
    // Parameters may hold anything, `::` and ` - ` too.
    let end = {
        let after = rest.find("::").map_or(0, |at| at + 2);
        let dash = rest[after..].find(" - ").map(|at| after + at);
        match rest.find('[').filter(|at| dash.is_none_or(|dash| *at < dash)) {
            Some(open) => rest[open..]
                .find("] - ")
                .map(|at| open + at + 1)
                .or_else(|| rest.ends_with(']').then_some(rest.len()))
                .or(dash),
            None => dash,
        }
    };
    let (whole, message) = match end {
        Some(end) if end < rest.len() => (&rest[..end], rest[end..].trim_start_matches(" - ")),
        _ => (rest, ""),
    };
    rest = whole.trim();
    let open = rest.find('[').unwrap_or(rest.len());
    let mut head = &rest[..open];
    while let Some((part, after)) = head.split_once("::") {
        parts.push(part.to_owned());
        head = after;
    }
    let name = format!("{head}{}", &rest[open..]);
    if let Some(file) = parts.first_mut() {
        *file = project.relative(file);
    }
    let name = if parts.is_empty() { project.relative(&name) } else { name };
    (parts, name, message.to_owned())
}
