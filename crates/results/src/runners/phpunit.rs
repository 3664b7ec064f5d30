//! PHPUnit, and Pest where it prints the same.

use rig_event::test::TestKind;

use crate::place::{Project, leading};
use crate::sheet::{Block, Runner, Sheet, Sheets};
use crate::text::{Line, groups, patterns};

patterns! {
    BANNER = r"^PHPUnit \d+\.\S* by ";
    SECTION = r"^There (?:was|were) (\d+) (.+):$";
    HEAD = r"^(\d+)\) (\S+?)::(.+)$";
    VALUES = r"^(.+ with data set (?:#\d+|.+?)) \(.*\)$";
    COUNTS = r"^(?:Tests: (\d+), Assertions: \d+(.*)\.|OK \((\d+) tests?, .*\))$";
}

/// Reads PHPUnit's output.
pub struct Phpunit {
    sheets: Sheets,
    section: Option<TestKind>,
    now: Option<(String, String, TestKind, Block)>,
}

impl Phpunit {
    /// Begins.
    pub fn new() -> Phpunit {
        Phpunit { sheets: Sheets::new("phpunit"), section: None, now: None }
    }

    fn close(&mut self) {
        let Some((class, name, kind, block)) = self.now.take() else { return };
        let Some(sheet) = self.sheets.last() else { return };
        if let Some(case) = sheet.fail(&[class], &name, kind) {
            let place = block.first_own(None);
            block.fill(case, place);
        }
    }
}

impl Runner for Phpunit {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if text.starts_with("PHPUnit ") && BANNER.is_match(text) {
            self.close();
            self.sheets.end(false);
            self.sheets.now(line);
            self.section = None;
            return;
        }
        if !self.sheets.is_open() {
            return;
        }
        if let Some([_, what]) = groups(&SECTION, text) {
            self.close();
            self.section = match what {
                "error" | "errors" => Some(TestKind::Errored),
                "failure" | "failures" => Some(TestKind::Failed),
                _ => None,
            };
            return;
        }
        if let Some([total, rest, fine]) = groups(&COUNTS, text) {
            self.close();
            let number = |key: &str| {
                let found = rest
                    .split(", ")
                    .find_map(|part| part.strip_prefix(key)?.strip_prefix(": ")?.parse::<u64>().ok());
                found.unwrap_or(0)
            };
            let total: u64 = total.parse().or(fine.parse()).unwrap_or(0);
            let wrong = number("Errors") + number("Failures");
            let skipped = number("Skipped") + number("Incomplete");
            let sheet = self.sheets.now(line);
            sheet.counts.total = Some(total);
            sheet.counts.failed = Some(wrong);
            sheet.counts.skipped = Some(skipped);
            sheet.counts.passed = Some(total.saturating_sub(wrong + skipped + number("Risky")));
            let risky = number("Risky");
            if risky > 0 {
                let mut case = crate::case::Case::new::<&str>(&[], "")
                    .is(crate::case::Verdict::Passed, None)
                    .say("risky");
                case.test.count = Some(risky);
                *sheet.counts.passed.get_or_insert(0) += risky;
                sheet.push(case);
            }
            self.sheets.end(true);
            return;
        }
        if let Some(kind) = self.section
            && let Some([_, class, name]) = groups(&HEAD, text)
        {
            self.close();
            let name = groups::<1>(&VALUES, name).map_or(name, |[name]| name);
            self.now = Some((class.to_owned(), name.to_owned(), kind, Block::default()));
            self.sheets.now(line);
            return;
        }
        if text == "--" {
            return self.close();
        }
        let Some((_, _, _, block)) = &mut self.now else { return };
        block.saw(line);
        match leading(text) {
            Some((file, at, _, "")) if !text.contains(' ') => block.frame(project.place(file, at, "")),
            _ if !text.trim().is_empty() => block.say(text),
            _ => {}
        }
    }

    fn finish(mut self: Box<Self>, _: &Project) -> Vec<Sheet> {
        self.close();
        self.sheets.finish()
    }
}
