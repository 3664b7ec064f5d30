//! RSpec and minitest.

use rig_event::test::TestKind;

use crate::case::{Fill as _, Verdict};
use crate::place::{Place, Project, is_foreign, leading};
use crate::sheet::{Block, Runner, Sheet, Sheets};
use crate::text::{Line, groups, patterns};

patterns! {
    HEAD = r"^  \d+\) (.+)$";
    PLACE = r"^ +# (\S+?):(\d+)(?::in .*)?$";
    COUNTS = r"^(\d+) examples?, (\d+) failures?(?:, (\d+) pending)?(?:, (\d+) errors? occurred outside of examples)?$";
    AGAIN = r"^rspec (\S+?)(?::(\d+)|\[[\d:]+\])? # (.+)$";
    OUTSIDE = r"^An error occurred (?:while loading (\S+?)\.?|in .*)$";
    MINI = r"^(\d+) (?:runs|tests), \d+ assertions, (\d+) failures, (\d+) errors, (\d+) (?:skips|pendings|omissions).*$";
    MINI_HEAD = r"^  \d+\) (Failure|Error|Skipped):$|^(Failure|Error):$";
    MINI_NAME = r"^(\S+?)#(.+?)(?: \[(.+):(\d+)\])?:$";
    MINI_FRAME = r"^ {4,}(\S.*?):(\d+):in .*$";
}

/// Reads RSpec's output.
pub struct Rspec {
    sheets: Sheets,
    failures: bool,
    now: Option<(String, Block, Vec<Place>)>,
    /// Behind `Failure/Error:` stands code, up to an empty line.
    code: bool,
    outside: Option<(String, Block)>,
    waiting: Vec<(String, Block, Vec<Place>)>,
}

impl Rspec {
    /// Begins.
    pub fn new() -> Rspec {
        Rspec {
            sheets: Sheets::new("rspec"),
            failures: false,
            now: None,
            code: false,
            outside: None,
            waiting: Vec::new(),
        }
    }

    fn close(&mut self) {
        if let Some(now) = self.now.take()
            && self.waiting.len() < 5_000
        {
            self.waiting.push(now);
        }
    }
}

impl Runner for Rspec {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if let Some([total, failed, pending, outside]) = groups(&COUNTS, text) {
            self.close();
            let number = |text: &str| text.parse::<u64>().unwrap_or(0);
            let waiting = std::mem::take(&mut self.waiting);
            let broken = self.outside.take();
            let sheet = self.sheets.now(line);
            for (name, block, places) in waiting {
                let place = places.iter().find(|place| !is_foreign(&place.file)).or(places.first()).cloned();
                if let Some(case) = sheet.fail::<&str>(&[], &name, TestKind::Failed) {
                    block.fill(case, place);
                }
            }
            if let Some((file, block)) = broken {
                let name =
                    if file.is_empty() { "outside of examples".to_owned() } else { project.relative(&file) };
                if let Some(case) = sheet.fail::<&str>(&[], &name, TestKind::Errored) {
                    let place = block.first_own(Some(&name));
                    block.fill(case, place);
                }
            }
            sheet.counts.total = Some(number(total));
            sheet.counts.skipped = Some(number(pending));
            sheet.counts.failed = Some(number(failed) + number(outside).min(1));
            sheet.counts.passed = Some(number(total).saturating_sub(number(failed) + number(pending)));
            self.sheets.end(true);
            self.failures = false;
            return;
        }
        if let Some([file, at, name]) = groups(&AGAIN, text) {
            if let Some(sheet) = self.sheets.last()
                && let Some(case) = sheet.fail::<&str>(&[], name, TestKind::Failed)
                && case.test.file.is_none()
            {
                case.test.put(project.place(file, at, ""));
                case.test.declared = true;
            }
            return;
        }
        if let Some([file]) = groups(&OUTSIDE, text) {
            self.close();
            self.outside = Some((file.to_owned(), Block::default()));
            self.code = false;
            return;
        }
        match text {
            "Failures:" => {
                self.failures = true;
                return;
            }
            "Pending:" | "Failed examples:" => {
                self.close();
                self.failures = false;
                return;
            }
            _ => {}
        }
        if self.failures
            && let Some([name]) = groups(&HEAD, text)
        {
            self.close();
            self.now = Some((name.to_owned(), Block::default(), Vec::new()));
            self.code = false;
            return;
        }
        let said = text.trim();
        if let Some((_, block)) = &mut self.outside {
            block.saw(line);
            if let Some([file, at]) = groups(&PLACE, text) {
                block.frame(project.place(file, at, ""));
            } else if said.starts_with("Failure/Error:") {
                self.code = true;
            } else if said.is_empty() {
                self.code = false;
            } else if !self.code {
                note(block, said);
            }
            return;
        }
        let Some((_, block, places)) = &mut self.now else { return };
        block.saw(line);
        if let Some([file, at]) = groups(&PLACE, text) {
            if places.len() < 64 {
                places.extend(project.place(file, at, ""));
            }
        } else if said.starts_with("Failure/Error:") {
            self.code = true;
        } else if said.is_empty() {
            self.code = false;
        } else if !self.code && !said.starts_with("# ") && places.is_empty() {
            note(block, said);
        }
    }

    fn finish(self: Box<Self>, _: &Project) -> Vec<Sheet> {
        self.sheets.finish()
    }
}

/// Takes a message; `TypeError:` has what it says on the next line.
fn note(block: &mut Block, said: &str) {
    if block.message.ends_with("Error:") && !block.message.contains(' ') {
        let whole = format!("{} {said}", block.message);
        block.message = whole;
    } else {
        block.say(said);
    }
}

/// Reads minitest's output, and test-unit's.
pub struct Minitest {
    sheets: Sheets,
    kind: Option<TestKind>,
    skipped: bool,
    due: bool,
    now: Option<(String, String, TestKind, Block)>,
    waiting: Vec<(String, String, TestKind, Block)>,
}

impl Minitest {
    /// Begins.
    pub fn new() -> Minitest {
        Minitest {
            sheets: Sheets::new("minitest"),
            kind: None,
            skipped: false,
            due: false,
            now: None,
            waiting: Vec::new(),
        }
    }

    fn close(&mut self) {
        if let Some(now) = self.now.take()
            && self.waiting.len() < 5_000
        {
            self.waiting.push(now);
        }
    }
}

impl Runner for Minitest {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if let Some([word, other]) = groups(&MINI_HEAD, text) {
            self.close();
            self.due = true;
            self.skipped = word == "Skipped";
            self.kind =
                Some(if word == "Error" || other == "Error" { TestKind::Errored } else { TestKind::Failed });
            return;
        }
        if let Some([runs, failures, errors, skips]) = groups(&MINI, text) {
            self.close();
            let number = |text: &str| text.parse::<u64>().unwrap_or(0);
            let waiting = std::mem::take(&mut self.waiting);
            let sheet = self.sheets.now(line);
            for (class, name, kind, block) in waiting {
                if let Some(case) = sheet.fail(&[class], &name, kind) {
                    let place = if kind == TestKind::Errored {
                        block.first_own(None)
                    } else {
                        block.frames.first().cloned()
                    };
                    block.fill(case, place);
                }
            }
            let wrong = number(failures) + number(errors);
            sheet.counts.total = Some(number(runs));
            sheet.counts.failed = Some(wrong);
            sheet.counts.skipped = Some(number(skips));
            sheet.counts.passed = Some(number(runs).saturating_sub(wrong + number(skips)));
            self.sheets.end(true);
            return;
        }
        if std::mem::take(&mut self.due) {
            if let Some([class, name, file, at]) = groups(&MINI_NAME, text)
                && !self.skipped
            {
                let mut block = Block::default();
                block.frame(project.place(file, at, ""));
                block.saw(line);
                self.now =
                    Some((class.to_owned(), name.to_owned(), self.kind.unwrap_or(TestKind::Failed), block));
            }
            return;
        }
        let Some((_, _, _, block)) = &mut self.now else { return };
        if text.is_empty() {
            if !block.message.is_empty() && block.frames.len() > 1 {
                self.close();
            }
            return;
        }
        block.saw(line);
        if let Some([file, at]) = groups(&MINI_FRAME, text) {
            block.frame(project.place(file, at, ""));
        } else {
            note(block, text.trim());
        }
        let _ = leading;
    }

    fn finish(mut self: Box<Self>, _: &Project) -> Vec<Sheet> {
        self.close();
        let sheets = self.sheets.finish();
        debug_assert!(sheets.iter().all(|sheet| sheet.number(Verdict::Started) == 0));
        sheets
    }
}
