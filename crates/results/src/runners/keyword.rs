//! Robot Framework and behave.

use rig_event::test::TestKind;

use crate::case::{Fill as _, Verdict};
use crate::place::{Project, leading};
use crate::sheet::{Runner, Sheet, Sheets};
use crate::text::{Line, groups, patterns};

patterns! {
    ROBOT = r"^(\S.*?) +\| (PASS|FAIL|SKIP) \|$";
    ROBOT_COUNTS = r"^(\d+) tests?, (\d+) passed, (\d+) failed(?:, (\d+) skipped)?$";
    SCENARIO = r"^ +Scenario(?: Outline)?: (.+?)(?: +# (\S+):(\d+))?$";
    STEP = r"^ +(?:Given|When|Then|And|But|\*) .* # (\S+):(\d+)(?: .*)?$";
    FAILING = r"^  (\S+\.feature):(\d+)  (.+)$";
    BEHAVE_COUNTS = r"^(\d+) scenarios? passed, (\d+) failed(?:, \d+ error)?, (\d+) skipped(?:, \d+ untested)?$";
}

/// Reads Robot Framework's output.
pub struct Robot {
    sheets: Sheets,
    /// The suites, each with its rule of `=` before it.
    suite: String,
    ruled: bool,
    now: Option<(String, TestKind, String)>,
}

impl Robot {
    /// Begins.
    pub fn new() -> Robot {
        Robot { sheets: Sheets::new("robot"), suite: String::new(), ruled: false, now: None }
    }

    fn close(&mut self) {
        let Some((name, kind, said)) = self.now.take() else { return };
        let suite = self.suite.clone();
        if let Some(case) = self.sheets.last().and_then(|sheet| sheet.fail(&[suite], &name, kind)) {
            case.test.say(&said);
        }
    }
}

impl Runner for Robot {
    fn line(&mut self, line: &Line<'_>, _: &Project) {
        let text = line.text;
        if text.len() > 70 && text.bytes().all(|byte| byte == b'=') {
            self.close();
            self.ruled = true;
            return;
        }
        if text.len() > 70 && text.bytes().all(|byte| byte == b'-') {
            return self.close();
        }
        if let Some([name, word]) = groups(&ROBOT, text) {
            self.close();
            self.ruled = false;
            let name = name.split(" :: ").next().unwrap_or(name).trim();
            if name == self.suite || self.suite.starts_with(&format!("{name} ")) {
                return;
            }
            let suite = self.suite.clone();
            let sheet = self.sheets.now(line);
            match word {
                "PASS" => {
                    sheet.verdict(&[suite], name, Verdict::Passed, None);
                }
                "SKIP" => {
                    sheet.verdict(&[suite], name, Verdict::Skipped, Some(TestKind::Skipped));
                }
                _ => self.now = Some((name.to_owned(), TestKind::Failed, String::new())),
            }
            return;
        }
        if let Some([total, passed, failed, skipped]) = groups(&ROBOT_COUNTS, text) {
            if let Some(sheet) = self.sheets.open() {
                sheet.counts.total = total.parse().ok();
                let _ = (passed, failed, skipped);
                sheet.ended = true;
            }
            return;
        }
        if let Some((_, _, said)) = &mut self.now {
            crate::text::grow(said, text, crate::case::DETAIL);
        } else if std::mem::take(&mut self.ruled) {
            self.suite = text.split(" :: ").next().unwrap_or(text).trim().to_owned();
        }
    }

    fn finish(mut self: Box<Self>, _: &Project) -> Vec<Sheet> {
        self.close();
        // The suites themselves have such lines too: those that contain tests are not counted.
        let mut sheets = self.sheets.finish();
        for sheet in &mut sheets {
            let suites: Vec<String> = sheet.cases.iter().flat_map(|case| case.test.suite.clone()).collect();
            sheet.cases.retain(|case| {
                !suites
                    .iter()
                    .any(|suite| suite == &case.test.name || suite.ends_with(&format!(".{}", case.test.name)))
            });
        }
        sheets.retain(|sheet| sheet.ended);
        sheets
    }
}

/// Reads behave's output.
pub struct Behave {
    sheets: Sheets,
    scenario: Option<(String, String, String)>,
    said: String,
    failing: bool,
    messages: Vec<(String, String)>,
}

impl Behave {
    /// Begins.
    pub fn new() -> Behave {
        Behave {
            sheets: Sheets::new("behave"),
            scenario: None,
            said: String::new(),
            failing: false,
            messages: Vec::new(),
        }
    }
}

impl Runner for Behave {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if let Some([name, file, at]) = groups(&SCENARIO, text) {
            self.scenario = Some((name.to_owned(), file.to_owned(), at.to_owned()));
            self.said.clear();
            return;
        }
        if text == "Failing scenarios:" || text == "Errored scenarios:" {
            self.failing = true;
            return;
        }
        if let Some([passed, failed, skipped]) = groups(&BEHAVE_COUNTS, text) {
            let sheet = self.sheets.now(line);
            sheet.counts.passed = passed.parse().ok();
            sheet.counts.failed = failed.parse().ok();
            sheet.counts.skipped = skipped.parse().ok();
            sheet.counts.total = Some(0);
            self.failing = false;
            self.sheets.end(true);
            return;
        }
        if self.failing {
            if let Some([file, at, name]) = groups(&FAILING, text) {
                let said = self.messages.iter().find(|(of, _)| of == name).map(|(_, said)| said.clone());
                let place = project.place(file, at, "");
                let sheet = self.sheets.now(line);
                if let Some(case) = sheet.fail(&[project.relative(file)], name, TestKind::Failed) {
                    case.test.put(place);
                    case.test.declared = true;
                    case.test.say(&said.unwrap_or_default());
                }
            }
            return;
        }
        if let Some((name, _, _)) = &self.scenario {
            let said = text.trim();
            let is_error = said.starts_with("Assertion Failed:")
                || said.starts_with("ASSERT FAILED:")
                || (!text.starts_with(' ') || !STEP.is_match(text))
                    && said
                        .split([':', ' '])
                        .next()
                        .is_some_and(|word| word.ends_with("Error") && said.contains(':'));
            if is_error
                && self.messages.len() < 5_000
                && self.messages.last().is_none_or(|(of, _)| of != name)
            {
                self.messages.push((name.clone(), said.to_owned()));
            }
        }
        let _ = leading;
    }

    fn finish(self: Box<Self>, _: &Project) -> Vec<Sheet> {
        self.sheets.finish()
    }
}
