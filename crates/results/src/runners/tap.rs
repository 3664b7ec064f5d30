//! TAP: node's, ava's, tape's, Bats', Test::More's and everybody else's.

use rig_event::test::TestKind;

use crate::case::{Case, Fill as _, Verdict};
use crate::place::{Place, Project, find, frame, is_foreign};
use crate::sheet::{Block, Runner, Sheet, Sheets};
use crate::text::{Line, groups, grow, patterns};

patterns! {
    POINT = r"^( *)(not )?ok\b(?: +(\d+))?(?: +-)? *(.*?)(?: +# *((?i:skip|todo)\S*)(?: +(.*))?)?$";
    PLAN = r"^( *)1\.\.(\d+)(?: *# *(.*))?$";
    KEY = r"^ *'?([A-Za-z_]+)'?: *(.*)$";
    BATS = r"^# +\(?(?:from function .* )?in (?:test )?file (\S+), line (\d+)[,)]";
    MORE = r"^# +at (\S+) line (\d+)\.";
    DURATION = r" in (\d+)ms$";
}

/// The lines below a point.
#[derive(Debug, Default)]
struct Diagnostic {
    block: Block,
    /// In the YAML block, whose lines are indented by so much.
    yaml: Option<usize>,
    key: String,
    key_depth: usize,
    error: String,
    name: String,
    stack: Vec<Place>,
    location: Option<Place>,
    failure_type: String,
    is_suite: bool,
    operator: String,
    exit: String,
    millis: String,
}

/// A point that may be followed by diagnostics.
#[derive(Debug)]
struct Open {
    case: Case,
    depth: usize,
    diagnostic: Diagnostic,
}

/// Reads TAP.
pub struct Tap {
    sheets: Sheets,
    /// A version line or a plan was seen.
    known: bool,
    version: bool,
    open: Option<Open>,
    /// Names of subtests, by depth.
    subtests: Vec<(usize, String)>,
    /// tape's `# name` before its assertions.
    title: String,
    /// Errors in comments before a point.
    said: String,
    /// Points before the plan, at the end of which it may stand.
    waiting: u64,
    plan: Option<u64>,
    seen: u64,
    runner: Option<&'static str>,
}

impl Tap {
    /// Begins.
    pub fn new() -> Tap {
        Tap {
            sheets: Sheets::new("tap"),
            known: false,
            version: false,
            open: None,
            subtests: Vec::new(),
            title: String::new(),
            said: String::new(),
            waiting: 0,
            plan: None,
            seen: 0,
            runner: None,
        }
    }

    fn point(&mut self, line: &Line<'_>, project: &Project) -> bool {
        let Some([indent, not, number, name, directive, why]) = groups::<6>(&POINT, line.text) else {
            return false;
        };
        // Without a number or a version line it may be anybody's sentence.
        if number.is_empty() && !self.version {
            return false;
        }
        let depth = indent.len();
        self.close(project);
        if depth == 0 {
            self.seen += 1;
        }
        let subtest = self.subtests.iter().rposition(|(at, _)| *at == depth);
        let suite: Vec<String> = self.subtests[..subtest.unwrap_or(self.subtests.len())]
            .iter()
            .filter(|(at, _)| *at < depth)
            .map(|(_, name)| name.clone())
            .collect();
        let millis = groups::<1>(&DURATION, name).map(|[millis]| millis.to_owned()).unwrap_or_default();
        let name = name.trim_start_matches("- ");
        let name = DURATION.replace(name, "");
        let name = if name.is_empty() { number } else { &name };
        let name = name.to_owned();
        let mut suite = suite;
        if !self.title.is_empty() && suite.is_empty() && self.runner != Some("bats") {
            suite.push(self.title.clone());
        }
        let (verdict, kind) =
            match (directive.get(..4).unwrap_or_default().to_ascii_lowercase().as_str(), not) {
                ("skip", _) => (Verdict::Skipped, Some(TestKind::Skipped)),
                ("todo", _) => (Verdict::Skipped, Some(TestKind::Todo)),
                (_, "") => (Verdict::Passed, None),
                _ => (Verdict::Failed, Some(TestKind::Failed)),
            };
        let mut case = Case::new(&suite, &name.replace("\\#", "#")).is(verdict, kind);
        if verdict == Verdict::Skipped {
            case.test.say(why);
        }
        if let Ok(millis) = millis.parse::<u64>() {
            case.test.micros(millis.saturating_mul(1000));
        }
        case.test.output = Some((line.at, line.at));
        self.subtests.truncate(subtest.unwrap_or(self.subtests.len()));
        self.subtests.retain(|(at, _)| *at < depth);
        let diagnostic = Diagnostic { error: String::new(), ..Diagnostic::default() };
        self.open = Some(Open { case, depth, diagnostic });
        self.waiting += 1;
        true
    }

    fn close(&mut self, project: &Project) {
        let said = std::mem::take(&mut self.said);
        let Some(Open { mut case, diagnostic, depth }) = self.open.take() else {
            self.said = said;
            return;
        };
        let _ = depth;
        if diagnostic.is_suite || diagnostic.failure_type == "subtestsFailed" {
            return;
        }
        if self.has_children(&case) {
            return;
        }
        if !diagnostic.failure_type.is_empty() || diagnostic.location.is_some() {
            self.runner = Some("node-test");
        }
        if let Ok(millis) = diagnostic.millis.parse::<f64>() {
            case.test.seconds(&(millis / 1000.0).to_string());
        }
        if case.test.suite.is_empty() {
            case.test.name = project.relative(&case.test.name);
        }
        if case.verdict == Verdict::Failed {
            let Diagnostic { mut block, error, stack, location, failure_type, operator, .. } = diagnostic;
            let own = stack.iter().find(|place| !is_foreign(&place.file) && !place.file.starts_with("node:"));
            let declared = own.is_none() && block.frames.is_empty() && location.is_some();
            let place = own.cloned().or_else(|| block.frames.last().cloned()).or(location);
            let error = error.trim().trim_matches('\'').to_owned();
            if failure_type == "testTimeoutFailure" {
                case.test.kind = Some(TestKind::Timeout);
            }
            // The program left: its only test is the file.
            if error == "test failed" {
                case.test.kind = Some(TestKind::Errored);
            }
            let mut declared_place = declared;
            if error == "test failed" && !said.is_empty() {
                case.test.say(&said);
            } else if !error.is_empty() {
                case.test.say(&error);
            } else if block.message.is_empty() && !operator.is_empty() {
                block.say(&operator);
            }
            if block.message.is_empty() && case.test.message.is_empty() {
                let first =
                    block.detail.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned);
                let _ = first;
                declared_place = declared;
            }
            block.fill(&mut case, place);
            case.test.declared = declared_place;
        }
        if let Some(sheet) = self.sheets.last() {
            sheet.push(case);
        }
    }

    /// A subtest ended that had points of its own.
    fn has_children(&mut self, case: &Case) -> bool {
        let mut path = case.test.suite.clone();
        path.push(case.test.name.clone());
        self.sheets.last().is_some_and(|sheet| {
            sheet.cases.iter().rev().take(1_000).any(|child| {
                child.test.suite.len() >= path.len() && child.test.suite[..path.len()] == path[..]
            })
        })
    }

    fn comment(&mut self, line: &Line<'_>, said: &str, depth: usize, project: &Project) {
        if let Some(name) = said.strip_prefix("Subtest: ") {
            self.close(project);
            self.title.clear();
            self.subtests.retain(|(at, _)| *at < depth);
            if self.subtests.len() < 32 {
                self.subtests.push((depth, name.to_owned()));
            }
            return;
        }
        let text = line.text;
        if let Some(open) = &mut self.open {
            open.diagnostic.block.saw(line);
            let block = &mut open.diagnostic.block;
            if let Some([file, at]) = groups(&BATS, text) {
                self.runner = Some("bats");
                block.frames.clear();
                block.frame(project.place(file, at, ""));
            } else if let Some([file, at]) = groups(&MORE, text) {
                block.frame(project.place(file, at, ""));
            } else if let Some(inner) = text.strip_prefix("#  in test file ") {
                let place = find(&format!("file {inner}"), project);
                block.frames.clear();
                block.frame(place);
            } else if !said.is_empty()
                && !said.starts_with("Failed test")
                && !said.starts_with("(from function")
                && !said.starts_with("Looks like")
                && open.case.verdict == Verdict::Failed
            {
                block.say(said);
            }
        }
        let is_error =
            said.split([':', ' ']).next().is_some_and(|word| word.ends_with("Error") && word.len() < 60);
        if is_error
            && said.contains(": ")
            && self.said.is_empty()
            && self.open.as_ref().is_none_or(|open| open.diagnostic.yaml.is_none())
        {
            self.said = said.to_owned();
        }
        // tape's title: directly at the margin, before points.
        let counts = [
            "tests ",
            "pass ",
            "fail ",
            "ok",
            "suites ",
            "skip ",
            "skipped ",
            "todo ",
            "cancelled ",
            "duration_ms ",
            "failed ",
            "passed ",
        ];
        if text.starts_with("# ")
            && !text.starts_with("#  ")
            && self.version
            && !counts.iter().any(|start| said.starts_with(start))
        {
            let is_title = self.runner.is_none()
                && self.open.as_ref().is_none_or(|open| {
                    open.case.verdict != Verdict::Failed || open.diagnostic.yaml == Some(usize::MAX)
                });
            if is_title {
                self.close(project);
                self.title = crate::text::cut(said, 300);
            }
        }
    }

    fn yaml(&mut self, line: &Line<'_>, depth: usize, project: &Project) {
        let Some(open) = &mut self.open else { return };
        let diagnostic = &mut open.diagnostic;
        diagnostic.block.saw(line);
        let text = line.text;
        if let Some([key, value]) = groups(&KEY, text)
            && (diagnostic.key.is_empty() || depth <= diagnostic.key_depth)
        {
            diagnostic.key = key.to_owned();
            diagnostic.key_depth = depth;
            let plain = value.trim_matches(['\'', '"']);
            let block = matches!(value, "|-" | "|" | ">-" | ">" | "|2-" | "" | "|+" | ">+");
            match key {
                "error" | "message" if !block && diagnostic.error.is_empty() => {
                    diagnostic.error = plain.to_owned()
                }
                "location" | "at" if !block => {
                    diagnostic.location =
                        frame(plain, project).or_else(|| find(plain, project)).or(diagnostic.location.take());
                    if is_foreign_place(diagnostic.location.as_ref()) {
                        diagnostic.location = None;
                    }
                }
                "failureType" => diagnostic.failure_type = plain.to_owned(),
                "type" => diagnostic.is_suite = plain == "suite",
                "name" => diagnostic.name = plain.to_owned(),
                "operator" => diagnostic.operator = plain.to_owned(),
                "exitCode" => diagnostic.exit = plain.to_owned(),
                "duration_ms" => diagnostic.millis = plain.to_owned(),
                _ => {}
            }
            return;
        }
        match diagnostic.key.as_str() {
            "error" | "message" => grow(&mut diagnostic.error, text.trim(), crate::case::DETAIL),
            "stack" | "at" | "location" => {
                if diagnostic.stack.len() < 64
                    && let Some(place) = frame(text, project)
                {
                    diagnostic.stack.push(place);
                } else if diagnostic.key != "stack" {
                    // `at:` with `file:` and `line:` below it.
                    if let Some([key, value]) = groups(&KEY, text) {
                        let place = diagnostic.location.get_or_insert_default();
                        match key {
                            "file" | "fileName" => {
                                place.file = project.relative(value.trim_matches(['\'', '"']))
                            }
                            "line" | "lineNumber" => place.line = value.parse().ok(),
                            "column" | "columnNumber" => place.column = value.parse().ok(),
                            _ => {}
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

/// Returns true if a place is a library's.
fn is_foreign_place(place: Option<&Place>) -> bool {
    place.is_some_and(|place| is_foreign(&place.file))
}

impl Runner for Tap {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        let trimmed = text.trim_start();
        let depth = text.len() - trimmed.len();
        let in_yaml = self
            .open
            .as_ref()
            .is_some_and(|open| matches!(open.diagnostic.yaml, Some(at) if at != usize::MAX));
        if in_yaml {
            if trimmed == "..." {
                if let Some(open) = &mut self.open
                    && open.diagnostic.yaml == Some(depth)
                {
                    open.diagnostic.yaml = Some(usize::MAX);
                }
            } else {
                self.yaml(line, depth, project);
            }
            return;
        }
        if trimmed == "---" {
            if let Some(open) = &mut self.open
                && depth > open.depth
            {
                open.diagnostic.yaml = Some(depth);
            }
            return;
        }
        if text.starts_with("TAP version ") {
            self.close(project);
            self.sheets.end(false);
            (self.known, self.version, self.plan, self.seen) = (true, true, None, 0);
            self.title.clear();
            self.sheets.now(line).source = "tap";
            return;
        }
        if trimmed.starts_with("1..")
            && let Some([indent, number, why]) = groups(&PLAN, text)
        {
            if indent.is_empty() {
                if !self.version && self.plan.is_some() {
                    self.close(project);
                    self.sheets.end(false);
                    self.seen = 0;
                }
                self.known = true;
                self.plan = number.parse().ok();
                let sheet = self.sheets.now(line);
                sheet.source = "tap";
                sheet.counts.announced = None;
                if number == "0" && !why.is_empty() {
                    let case = Case::new::<&str>(&[], why).is(Verdict::Skipped, Some(TestKind::Skipped));
                    sheet.push(case);
                }
            }
            return;
        }
        if (trimmed.starts_with("ok") || trimmed.starts_with("not ok")) && (depth == 0 || self.known) {
            // A plan may stand at the end.
            self.sheets.now(line).source = "tap";
            if self.point(line, project) {
                return;
            }
        }
        if text.starts_with("Bail out!") && self.known {
            self.close(project);
            let case = Case::failed::<&str>(&[], "Bail out!", TestKind::Crashed).say(text);
            self.sheets.now(line).push(case);
            return;
        }
        if self.sheets.is_open()
            && let Some(said) = trimmed.strip_prefix('#')
        {
            self.comment(line, said.trim(), depth, project);
        }
    }

    fn finish(mut self: Box<Self>, project: &Project) -> Vec<Sheet> {
        self.close(project);
        let (runner, known, plan, seen) = (self.runner, self.known, self.plan, self.seen);
        if let Some(sheet) = self.sheets.open() {
            if let Some(runner) = runner {
                sheet.runner = runner;
            }
            let missing = plan.unwrap_or(0).saturating_sub(seen);
            sheet.ended = plan.is_some() && missing == 0;
            if missing > 0 {
                let mut case = Case::new::<&str>(&[], "");
                case.test.count = Some(missing);
                sheet.push(case);
            }
        }
        // Lines that begin with `ok` and a number prove nothing without a plan.
        if known { self.sheets.finish() } else { Vec::new() }
    }
}
