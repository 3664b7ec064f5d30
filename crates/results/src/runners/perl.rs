//! `prove`, and Test::More on standard error.

use rig_event::test::TestKind;

use crate::case::{Fill as _, Verdict};
use crate::place::{Project, find};
use crate::sheet::{Block, Runner, Sheet, Sheets};
use crate::text::{Line, groups, patterns};

patterns! {
    FAILED = r"^ *# +Failed test (?:'(.*)'|at (.+)|\(.*)$";
    AT = r"^ *# +at (\S+) line (\d+)\.?$";
    IN_LINE = r"^ *# +Failed test (?:'(.*)' )?(?:in|at) (\S+) (?:at )?line (\d+)\.?$";
    SCRIPT = r"^(\S+\.t) \.+ *(.*)$";
    FILES = r"^Files=\d+, Tests=(\d+),";
    SUMMARY = r"^(\S+\.t) +\(Wstat: (\d+)(?: \(.*?\))? Tests: (\d+) Failed: (\d+)\)$";
    SUBTESTS = r"^(\d+) subtests? skipped|skipped: (.+)$";
    SKIPPED = r"^\t\(less (\d+) skipped subtests?: ";
    UNFINISHED = r"You planned (\d+) tests? but ran (\d+)\.";
}

/// Reads prove's output.
pub struct Perl {
    sheets: Sheets,
    now: Option<(String, Block)>,
    failed: u64,
    /// Scripts that were bad without a failed test: they died.
    dead: Vec<(String, String)>,
    script: String,
    is_inner: bool,
    inner: Option<Block>,
}

impl Perl {
    /// Begins.
    pub fn new() -> Perl {
        Perl {
            sheets: Sheets::new("prove"),
            now: None,
            failed: 0,
            dead: Vec::new(),
            script: String::new(),
            is_inner: false,
            inner: None,
        }
    }

    fn close(&mut self) {
        let Some((name, mut block)) = self.now.take() else { return };
        // What failed in a subtest is why the test around it did.
        if std::mem::take(&mut self.is_inner) {
            if self.inner.is_none() {
                block.message = format!("{name}: {}", block.message);
                self.inner = Some(block);
            }
            return;
        }
        if let Some(inner) = self.inner.take() {
            block.message = inner.message;
            block.detail = inner.detail;
        }
        let place = block.frames.first().cloned();
        let suite: Vec<String> = place.iter().map(|place| place.file.clone()).collect();
        let Some(sheet) = self.sheets.last() else { return };
        if let Some(case) = sheet.fail(&suite, &name, TestKind::Failed) {
            let mut block = block;
            if block.message.is_empty() {
                block.message = format!("Failed test '{name}'");
            }
            block.fill(case, place);
        }
    }
}

impl Runner for Perl {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if let Some([script, said]) = groups(&SCRIPT, text) {
            self.sheets.now(line);
            script.clone_into(&mut self.script);
            if let Some([_, why]) = groups(&SUBTESTS, said).filter(|[_, why]| !why.is_empty()) {
                let sheet = self.sheets.now(line);
                if let Some(case) =
                    sheet.verdict::<&str>(&[], script, Verdict::Skipped, Some(TestKind::Skipped))
                {
                    case.test.say(why);
                }
            }
            return;
        }
        if let Some([script, status, _, failed]) = groups(&SUMMARY, text) {
            self.close();
            self.sheets.now(line);
            self.failed += failed.parse::<u64>().unwrap_or(0);
            if failed == "0" && status != "0" && self.dead.len() < 1_000 {
                self.dead.push((script.to_owned(), format!("wait status {status}")));
            }
            return;
        }
        if let Some([total]) = groups(&FILES, text) {
            self.close();
            let dead = std::mem::take(&mut self.dead);
            let failed = std::mem::take(&mut self.failed);
            let sheet = self.sheets.now(line);
            for (script, how) in dead {
                if let Some(case) = sheet.fail::<&str>(&[], &script, TestKind::Crashed) {
                    case.test.say(&how);
                    case.test.file = Some(script);
                    case.test.declared = true;
                }
            }
            let total: u64 = total.parse().unwrap_or(0);
            sheet.counts.total = Some(total);
            sheet.counts.failed = Some(failed);
            sheet.counts.passed = Some(total.saturating_sub(failed + sheet.counts.skipped.unwrap_or(0)));
            self.sheets.end(true);
            return;
        }
        if let Some([planned, ran]) = groups(&UNFINISHED, text).filter(|_| self.sheets.is_open()) {
            let number = |text: &str| text.parse::<u64>().unwrap_or(0);
            let mut case = crate::case::Case::new::<&str>(&[], "");
            case.test.count = Some(number(planned).saturating_sub(number(ran)));
            self.sheets.now(line).push(case);
            return;
        }
        if let Some([number]) = groups(&SKIPPED, text) {
            if self.sheets.is_open() {
                let sheet = self.sheets.now(line);
                *sheet.counts.skipped.get_or_insert(0) += number.parse::<u64>().unwrap_or(0);
            }
            return;
        }
        if !text.trim_start().starts_with('#') {
            return;
        }
        if text.contains("Failed (TODO)") {
            return self.close();
        }
        if let Some([name, file, at]) = groups(&IN_LINE, text) {
            self.close();
            let mut block = Block::default();
            block.frame(project.place(file, at, ""));
            self.sheets.now(line);
            let name = if name.is_empty() { format!("line {at}") } else { name.to_owned() };
            self.is_inner = text.starts_with("    ");
            self.now = Some((name, block));
        } else if let Some([name, place]) = groups(&FAILED, text) {
            self.close();
            let mut block = Block::default();
            if !place.is_empty() {
                block.frame(find(place, project));
            }
            self.sheets.now(line);
            self.is_inner = text.starts_with("    ");
            self.now = Some((name.to_owned(), block));
        } else if text.contains("# Looks like you") {
            self.close();
        } else if let Some((_, block)) = &mut self.now {
            if let Some([file, at]) = groups(&AT, text).filter(|_| block.frames.is_empty()) {
                block.frame(project.place(file, at, ""));
                return;
            }
            let said = text.trim_start().trim_start_matches('#');
            block.saw(&Line { text: said, ..*line });
            block.say(said);
        }
    }

    fn finish(mut self: Box<Self>, _: &Project) -> Vec<Sheet> {
        self.close();
        let mut sheets = self.sheets.finish();
        // Without a script or a summary it is the comments of a TAP that is read elsewhere.
        sheets.retain(|sheet| sheet.counts.total.is_some());
        sheets
    }
}
