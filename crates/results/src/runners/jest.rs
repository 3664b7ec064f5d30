//! jest.

use rig_event::test::TestKind;

use crate::case::Verdict;
use crate::place::{Project, frame};
use crate::sheet::{Block, Runner, Sheet, Sheets};
use crate::text::{Line, groups, patterns};

patterns! {
    FILE = r"^(PASS|FAIL) +(?:\S+ +)?(\S+?)(?: \([\d.]+ m?s\))?$";
    HEAD = r"^  ● (.+)$";
    LISTED = r"^( +)(✓|✕|○|✎|√|×) (?:skipped |todo )?(.+?)(?: \([\d.]+ m?s\))?$";
    TESTS = r"^Tests: +(.+)$";
    SUITES = r"^Test Suites: +.*total$";
}

/// Reads jest's output.
pub struct Jest {
    sheets: Sheets,
    file: String,
    failure: Option<(Vec<String>, String, TestKind, Block)>,
    /// Suites of the list, by indentation.
    stack: Vec<(usize, String)>,
    /// In what a test printed.
    console: bool,
    again: bool,
}

impl Jest {
    /// Begins.
    pub fn new() -> Jest {
        Jest {
            sheets: Sheets::new("jest"),
            file: String::new(),
            failure: None,
            stack: Vec::new(),
            console: false,
            again: false,
        }
    }

    fn close(&mut self) {
        let Some((suite, name, kind, block)) = self.failure.take() else { return };
        let Some(sheet) = self.sheets.last() else { return };
        if let Some(case) = sheet.fail(&suite, &name, kind) {
            let place = block.first_own(None);
            block.fill(case, place);
        }
    }
}

impl Runner for Jest {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if let Some([_, file]) = groups(&FILE, text).filter(|[_, file]| file.contains('.')) {
            self.close();
            self.file = project.relative(file);
            self.stack.clear();
            self.console = false;
            self.sheets.now(line);
            return;
        }
        if !self.sheets.is_open() {
            return;
        }
        if text.starts_with("Summary of all failing tests") {
            self.close();
            self.again = true;
            return;
        }
        if let Some([counts]) = groups(&TESTS, text) {
            self.close();
            self.again = false;
            let sheet = self.sheets.now(line);
            let number = |what: &str| {
                counts.split(", ").find_map(|part| part.strip_suffix(what)?.trim().parse::<u64>().ok())
            };
            sheet.counts.total = number("total");
            sheet.counts.passed = number("passed");
            // Suites that did not load are no tests.
            sheet.counts.failed = None;
            let skipped = number("skipped").unwrap_or(0) + number("todo").unwrap_or(0);
            sheet.counts.skipped = Some(skipped);
            return;
        }
        if text.starts_with("Ran all test suites") || text.starts_with("Time:  ") {
            self.close();
            self.sheets.end(true);
            return;
        }
        if SUITES.is_match(text) {
            self.close();
            return;
        }
        if let Some([head]) = groups(&HEAD, text) {
            self.close();
            self.console = head == "Console";
            if self.console {
                return;
            }
            let (suite, name, kind) = if head == "Test suite failed to run" {
                (Vec::new(), self.file.clone(), TestKind::Errored)
            } else {
                let mut parts: Vec<String> = head.split(" › ").map(str::to_owned).collect();
                let name = parts.pop().unwrap_or_default();
                parts.insert(0, self.file.clone());
                (parts, name, TestKind::Failed)
            };
            self.sheets.now(line);
            self.failure = Some((suite, name, kind, Block::default()));
            return;
        }
        if let Some((_, _, kind, block)) = &mut self.failure {
            block.saw(line);
            let said = text.trim();
            if said.starts_with("at ") {
                block.frame(frame(text, project));
            } else if !said.is_empty() {
                if block.message.is_empty() && said.contains("Exceeded timeout of") {
                    *kind = TestKind::Timeout;
                }
                block.say(said);
                if *kind == TestKind::Errored
                    && let Some(place) = said.strip_prefix('>').and(None)
                {
                    block.frame(place);
                }
            }
            return;
        }
        if self.console {
            return;
        }
        if let Some([indent, mark, name]) = groups(&LISTED, text) {
            let depth = indent.len();
            while self.stack.last().is_some_and(|(at, _)| *at >= depth) {
                self.stack.pop();
            }
            let mut suite = vec![self.file.clone()];
            suite.extend(self.stack.iter().map(|(_, name)| name.clone()));
            let (verdict, kind) = match mark {
                "✓" | "√" => (Verdict::Passed, None),
                "✕" | "×" => (Verdict::Failed, Some(TestKind::Failed)),
                "✎" => (Verdict::Skipped, Some(TestKind::Todo)),
                _ => (Verdict::Skipped, Some(TestKind::Skipped)),
            };
            self.sheets.now(line).verdict(&suite, name, verdict, kind);
        } else if text.starts_with("  ") && !text.trim().is_empty() {
            let depth = text.len() - text.trim_start().len();
            while self.stack.last().is_some_and(|(at, _)| *at >= depth) {
                self.stack.pop();
            }
            if self.stack.len() < 16 {
                self.stack.push((depth, text.trim().to_owned()));
            }
        }
    }

    fn finish(mut self: Box<Self>, _: &Project) -> Vec<Sheet> {
        self.close();
        self.sheets.finish()
    }
}
