//! mocha, and jasmine.

use rig_event::test::TestKind;

use crate::case::{Fill as _, Verdict};
use crate::place::{Project, frame};
use crate::sheet::{Block, Runner, Sheet, Sheets};
use crate::text::{Line, groups, patterns};

patterns! {
    LISTED = r"^( +)(✔|✓|√|-) (.+?)(?: \(\d+ms\))?$";
    BROKE = r"^ +\d+\) .+$";
    PASSING = r"^  (\d+) passing \(.+\)$";
    OTHERS = r"^  (\d+) (pending|failing)$";
    HEAD = r"^  (\d+)\) (.+)$";
    ONLY_FILE = r"\((/\S+\.\w+)\)$";
    JASMINE = r"^(\d+) specs?, (\d+) failures?(?:, (\d+) pending specs?)?$";
    JASMINE_HEAD = r"^(\d+)\) (.+)$";
}

/// Most tests that wait for the line that says that they are mocha's.
const WAITING: usize = 10_000;

/// Reads mocha's output.
pub struct Mocha {
    sheets: Sheets,
    stack: Vec<(usize, String)>,
    waiting: Vec<(Vec<String>, String, Verdict)>,
    reading: bool,
    head: Vec<String>,
    in_head: bool,
    block: Block,
    jasmine: bool,
}

impl Mocha {
    /// Begins.
    pub fn new() -> Mocha {
        Mocha {
            sheets: Sheets::new("mocha"),
            stack: Vec::new(),
            waiting: Vec::new(),
            reading: false,
            head: Vec::new(),
            in_head: false,
            block: Block::default(),
            jasmine: false,
        }
    }

    fn close(&mut self, project: &Project) {
        let block = std::mem::take(&mut self.block);
        let mut suite = std::mem::take(&mut self.head);
        self.in_head = false;
        let Some(name) = suite.pop() else { return };
        let kind = if block.message.contains("Timeout of ") { TestKind::Timeout } else { TestKind::Failed };
        let kind = if name.contains("\" hook") { TestKind::Errored } else { kind };
        let Some(sheet) = self.sheets.last() else { return };
        if let Some(case) = sheet.fail(&suite, &name, kind) {
            let mut place = block.first_own(None);
            if place.is_none()
                && let Some([file]) = groups(&ONLY_FILE, &block.message)
            {
                place = project.place(file, "", "");
            }
            let message = block.message.clone();
            block.fill(case, place);
            case.test.say(&message);
        }
    }

    fn failure(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        let head = if self.jasmine { groups::<2>(&JASMINE_HEAD, text) } else { groups::<2>(&HEAD, text) };
        if let Some([_, name]) = head {
            self.close(project);
            self.in_head = !name.ends_with(':') && !self.jasmine;
            self.head = vec![name.trim_end_matches(':').to_owned()];
            self.sheets.now(line);
            return;
        }
        if self.head.is_empty() {
            return;
        }
        let said = text.trim();
        if self.in_head {
            if said.is_empty() {
                self.in_head = false;
            } else if self.head.len() < 32 {
                self.in_head = !said.ends_with(':');
                self.head.push(said.trim_end_matches(':').to_owned());
            }
            return;
        }
        self.block.saw(line);
        if said.starts_with("at ") {
            self.block.frame(frame(text, project));
        } else if !said.is_empty() && said != "Message:" && said != "Stack:" {
            self.block.say(said);
        }
    }
}

impl Runner for Mocha {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if let Some([number]) = groups(&PASSING, text) {
            self.close(project);
            self.sheets.end(true);
            let waiting = std::mem::take(&mut self.waiting);
            let sheet = self.sheets.now(line);
            for (suite, name, verdict) in waiting {
                sheet.verdict(
                    &suite,
                    &name,
                    verdict,
                    (verdict == Verdict::Skipped).then_some(TestKind::Skipped),
                );
            }
            sheet.counts.passed = number.parse().ok();
            sheet.counts.total = Some(0);
            sheet.ended = true;
            self.reading = false;
            return;
        }
        if let Some([total, failed, pending]) = groups(&JASMINE, text) {
            self.close(project);
            if let Some(sheet) = self.sheets.open() {
                sheet.runner = "jasmine";
                let number = |text: &str| text.parse::<u64>().unwrap_or(0);
                sheet.counts.total = Some(number(total));
                sheet.counts.skipped = Some(number(pending));
                sheet.counts.passed = Some(number(total).saturating_sub(number(failed) + number(pending)));
            }
            self.sheets.end(true);
            (self.reading, self.jasmine) = (false, false);
            return;
        }
        if text == "Failures:" && !self.reading {
            // jasmine's, where no other runner has begun with it: its heads stand at the margin.
            self.jasmine = true;
            self.reading = true;
            return;
        }
        if let Some([number, what]) = groups(&OTHERS, text).filter(|_| self.sheets.is_open()) {
            let sheet = self.sheets.now(line);
            if what == "pending" {
                sheet.counts.skipped = number.parse().ok();
            }
            self.reading = what == "failing";
            return;
        }
        if self.reading {
            return self.failure(line, project);
        }
        if !text.starts_with("  ") {
            return;
        }
        let depth = text.len() - text.trim_start().len();
        if depth == text.len() {
            return;
        }
        while self.stack.last().is_some_and(|(at, _)| *at >= depth) {
            self.stack.pop();
        }
        if let Some([_, mark, name]) = groups(&LISTED, text) {
            if self.waiting.len() < WAITING {
                let verdict = if mark == "-" { Verdict::Skipped } else { Verdict::Passed };
                let suite = self.stack.iter().map(|(_, name)| name.clone()).collect();
                self.waiting.push((suite, name.to_owned(), verdict));
            }
        } else if !BROKE.is_match(text) && self.stack.len() < 16 {
            self.stack.push((depth, crate::text::cut(text.trim(), 300)));
        }
    }

    fn finish(mut self: Box<Self>, project: &Project) -> Vec<Sheet> {
        if self.jasmine && !self.sheets.is_open() {
            return self.sheets.finish();
        }
        self.close(project);
        let mut sheets = self.sheets.finish();
        sheets.retain(|sheet| sheet.ended);
        sheets
    }
}
