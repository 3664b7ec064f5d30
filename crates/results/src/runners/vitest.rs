//! vitest.

use rig_event::test::TestKind;

use crate::case::{Case, Verdict};
use crate::place::{Project, frame};
use crate::sheet::{Block, Runner, Sheet, Sheets};
use crate::text::{Line, groups, patterns};

patterns! {
    BANNER = r"^ *(?:RUN|DEV) +v\d+\.\d+";
    HEAD = r"^ *FAIL +(?:\|[^|]+\| )?(\S+\.\w+)(?: \[ .* \]| > (.+))?$";
    TESTS = r"^ *Tests +(.+) \(\d+\)$";
    FILES = r"^ *Test Files +.*\(\d+\)$";
    RETRIED = r"^ +[✓√] (.+?)(?: \d+m?s)? \(retry x(\d+)\)$";
}

/// Reads vitest's output.
pub struct Vitest {
    sheets: Sheets,
    failure: Option<(Vec<String>, String, TestKind, Block)>,
    /// Several heads over one failure: they share it.
    heads: Vec<(Vec<String>, String)>,
}

impl Vitest {
    /// Begins.
    pub fn new() -> Vitest {
        Vitest { sheets: Sheets::new("vitest"), failure: None, heads: Vec::new() }
    }

    fn close(&mut self) {
        let Some((suite, name, kind, block)) = self.failure.take() else { return };
        let Some(sheet) = self.sheets.last() else { return };
        for (suite, name) in std::iter::once((suite, name)).chain(self.heads.drain(..)) {
            if let Some(case) = sheet.fail(&suite, &name, kind) {
                let place = block.first_own(None);
                block.clone().fill(case, place);
            }
        }
    }
}

impl Runner for Vitest {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if BANNER.is_match(text) {
            self.close();
            self.sheets.end(false);
            self.sheets.now(line);
            return;
        }
        if !self.sheets.is_open() {
            return;
        }
        if let Some([file, path]) = groups(&HEAD, text) {
            let file = project.relative(file);
            let (suite, name, kind) = if path.is_empty() {
                (Vec::new(), file, TestKind::Errored)
            } else {
                let mut parts: Vec<String> = path.split(" > ").map(str::to_owned).collect();
                let name = parts.pop().unwrap_or_default();
                parts.insert(0, file);
                (parts, name, TestKind::Failed)
            };
            self.sheets.now(line);
            match &mut self.failure {
                Some((_, _, _, block)) if block.message.is_empty() && self.heads.len() < 100 => {
                    self.heads.push((suite, name))
                }
                _ => {
                    self.close();
                    self.failure = Some((suite, name, kind, Block::default()));
                }
            }
            return;
        }
        if text.starts_with("⎯⎯⎯") {
            self.close();
            return;
        }
        if let Some((_, _, kind, block)) = &mut self.failure {
            // The list, which is on the other stream, may come between.
            block.saw(line);
            let said = text.trim();
            if said.starts_with('❯') {
                block.frame(frame(text, project));
            } else if !said.is_empty() {
                if block.message.is_empty() && said.contains("timed out in") {
                    *kind = TestKind::Timeout;
                }
                block.say(said);
            }
            return;
        }
        if let Some([counts]) = groups(&TESTS, text) {
            let sheet = self.sheets.now(line);
            let number = |what: &str| {
                counts.split(" | ").find_map(|part| part.strip_suffix(what)?.trim().parse::<u64>().ok())
            };
            sheet.counts.passed = Some(number("passed").unwrap_or(0));
            sheet.counts.skipped = Some(number("skipped").unwrap_or(0) + number("todo").unwrap_or(0));
            sheet.counts.total = Some(0);
            sheet.ended = true;
        } else if FILES.is_match(text) {
            self.sheets.now(line).ended = true;
        } else if let Some([name, retries]) = groups(&RETRIED, text) {
            let retries: u64 = retries.parse().unwrap_or(1);
            let sheet = self.sheets.now(line);
            for attempt in 1..=retries.min(20) {
                let mut case = Case::failed::<&str>(&[], name, TestKind::Failed);
                case.test.attempt = Some(attempt);
                sheet.push(case);
            }
            let mut case = Case::new::<&str>(&[], name).is(Verdict::Passed, None);
            case.test.attempt = Some(retries.min(20) + 1);
            sheet.push(case);
        }
    }

    fn finish(mut self: Box<Self>, _: &Project) -> Vec<Sheet> {
        self.close();
        self.sheets.finish()
    }
}
