//! googletest and Catch2.

use rig_event::test::TestKind;

use crate::case::{Fill as _, Verdict};
use crate::place::{Project, leading};
use crate::sheet::{Block, Runner, Sheet, Sheets};
use crate::text::{Line, groups, patterns};

patterns! {
    BEGIN = r"^\[==========\] Running (\d+) tests? from \d+ test (?:suite|case)s?\.";
    END = r"^\[==========\] (\d+) tests? from \d+ test (?:suite|case)s? ran\.";
    STATUS = r"^\[( RUN      |       OK |  FAILED  |  SKIPPED | DISABLED )\] ([^ ,]+)(?:, where .*?)?(?: \((\d+) ms\))?$";
    FAILURE = r"^(unknown file|.+?)(?::(\d+))?: (?:Failure|error)$";
    MSVC = r"^(.+)\((\d+)\): error: (.*)$";
    CATCH = r"is a Catch2? v\d";
    CATCH_PLACE = r"^(.+?)[:(](\d+)\)?$";
    CATCH_FAILED = r"^(.+?)[:(](\d+)\)?: FAILED:$";
    CATCH_CASES = r"^test cases: (.+)$";
    CATCH_FINE = r"^All tests passed \(.* in (\d+) test cases?\)$";
}

/// Reads googletest's output.
pub struct GoogleTest {
    sheets: Sheets,
    now: Option<(String, String, Block)>,
    due: bool,
    over: bool,
}

impl GoogleTest {
    /// Begins.
    pub fn new() -> GoogleTest {
        GoogleTest { sheets: Sheets::new("googletest"), now: None, due: false, over: false }
    }
}

impl Runner for GoogleTest {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if text.starts_with('[') {
            if BEGIN.is_match(text) {
                self.sheets.end(false);
                self.sheets.now(line);
                self.over = false;
                return;
            }
            if !self.sheets.is_open() {
                return;
            }
            if END.is_match(text) {
                self.over = true;
                let sheet = self.sheets.now(line);
                sheet.ended = true;
                lend_files(sheet);
                self.now = None;
                self.sheets.end(true);
                return;
            }
            let Some([word, name, millis]) = groups(&STATUS, text) else { return };
            let Some((suite, name)) = name.split_once('.') else { return };
            let (verdict, kind) = match word.trim() {
                "RUN" => (Verdict::Started, None),
                "OK" => (Verdict::Passed, None),
                "SKIPPED" => (Verdict::Skipped, Some(TestKind::Skipped)),
                "DISABLED" => (Verdict::Skipped, Some(TestKind::Disabled)),
                _ => (Verdict::Failed, Some(TestKind::Failed)),
            };
            let sheet = self.sheets.now(line);
            let Some(case) = sheet.verdict(&[suite], name, verdict, kind) else { return };
            if verdict == Verdict::Started {
                self.now = Some((suite.to_owned(), name.to_owned(), Block::default()));
                self.due = false;
                return;
            }
            if let Ok(millis) = millis.parse::<u64>() {
                case.test.micros(millis.saturating_mul(1000));
            }
            if let Some((_, _, block)) = self.now.take()
                && verdict != Verdict::Passed
            {
                let place = block.frames.first().cloned();
                block.fill(case, place);
            }
            return;
        }
        let Some((_, _, block)) = &mut self.now else { return };
        block.saw(line);
        if let Some([file, at, said]) = groups(&MSVC, text) {
            block.frame(project.place(file, at, ""));
            block.say(said);
        } else if let Some([file, at]) = groups(&FAILURE, text) {
            if file != "unknown file" {
                block.frame(project.place(file, at, ""));
            }
            self.due = true;
        } else if text.ends_with(": Skipped") {
            if let Some((file, at, _, _)) = leading(text) {
                block.frame(project.place(file, at, ""));
            }
            self.due = true;
        } else if std::mem::take(&mut self.due) {
            block.say(text);
        }
    }

    fn finish(self: Box<Self>, _: &Project) -> Vec<Sheet> {
        self.sheets.finish()
    }
}

/// An exception has no place: its file is that of the other failures of its suite, where they have one.
fn lend_files(sheet: &mut Sheet) {
    let mut files: std::collections::BTreeMap<Vec<String>, Option<String>> =
        std::collections::BTreeMap::new();
    for test in sheet.cases.iter().map(|case| &case.test).filter(|test| test.file.is_some()) {
        let file = files.entry(test.suite.clone()).or_insert_with(|| test.file.clone());
        if *file != test.file {
            *file = None;
        }
    }
    for case in
        sheet.cases.iter_mut().filter(|case| case.verdict == Verdict::Failed && case.test.file.is_none())
    {
        case.test.file = files.get(&case.test.suite).cloned().flatten();
        case.test.declared = case.test.file.is_some();
    }
}

/// Reads Catch2's output.
pub struct Catch {
    sheets: Sheets,
    head: Vec<(usize, String)>,
    in_head: bool,
    block: Option<Block>,
    known: bool,
}

impl Catch {
    /// Begins.
    pub fn new() -> Catch {
        Catch { sheets: Sheets::new("catch2"), head: Vec::new(), in_head: false, block: None, known: false }
    }

    fn close(&mut self) {
        let Some(block) = self.block.take() else { return };
        let names: Vec<String> = self.head.iter().map(|(_, name)| name.clone()).collect();
        let Some((name, sections)) = names.split_first() else { return };
        let Some(sheet) = self.sheets.last() else { return };
        let kind = if block.detail.contains("unexpected exception") {
            TestKind::Errored
        } else if block.detail.contains("fatal error condition") {
            TestKind::Crashed
        } else {
            TestKind::Failed
        };
        let whole = crate::identity::id("", &[], name);
        // A section is a part of its case, and bears its name.
        if let Some(case) = sheet.fail(sections, name, kind) {
            case.test.parent = (!sections.is_empty()).then_some(whole);
            let place = block.frames.first().cloned();
            block.fill(case, place);
        }
    }
}

impl Runner for Catch {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if !self.known {
            if CATCH.is_match(text) {
                self.known = true;
                self.sheets.now(line);
            }
            return;
        }
        let rule = |mark: u8| text.len() >= 70 && text.bytes().all(|byte| byte == mark);
        if rule(b'-') {
            self.close();
            self.in_head = !self.in_head;
            if self.in_head {
                self.head.clear();
            }
            return;
        }
        if rule(b'.') || text.is_empty() {
            return;
        }
        if rule(b'=') {
            self.close();
            return;
        }
        if let Some([counts]) = groups(&CATCH_CASES, text) {
            self.close();
            let number = |what: &str| {
                let found = counts
                    .split('|')
                    .find_map(|part| part.trim().strip_suffix(what)?.trim().parse::<u64>().ok());
                found.unwrap_or(0)
            };
            let sheet = self.sheets.now(line);
            sheet.counts.passed = Some(number("passed"));
            sheet.counts.skipped = Some(number("failed as expected") + number("skipped"));
            // Which of them was expected to fail is not said: the last that fit no other count.
            let mut failed: Vec<String> = Vec::new();
            for case in &sheet.cases {
                let key = case.test.parent.clone().unwrap_or_else(|| case.test.full_name());
                if case.verdict == Verdict::Failed && !failed.contains(&key) && failed.len() < 10_000 {
                    failed.push(key);
                }
            }
            sheet.counts.total = Some(failed.len() as u64);
            self.sheets.end(true);
            self.known = false;
            return;
        }
        if let Some([number]) = groups(&CATCH_FINE, text) {
            self.sheets.now(line).counts.passed = number.parse().ok();
            self.sheets.end(true);
            self.known = false;
            return;
        }
        if self.in_head {
            let depth = text.len() - text.trim_start().len();
            if self.head.len() < 16 {
                self.head.push((depth, text.trim().to_owned()));
            }
            return;
        }
        if let Some([file, at]) = groups(&CATCH_FAILED, text) {
            self.close();
            self.sheets.now(line);
            let mut block = Block::default();
            block.saw(line);
            block.frame(project.place(file, at, ""));
            self.block = Some(block);
        } else if let Some(block) = &mut self.block {
            block.saw(line);
            let said = text.trim();
            if !said.starts_with("due to ") {
                block.say(said);
            }
        }
        let _ = &CATCH_PLACE;
    }

    fn finish(mut self: Box<Self>, _: &Project) -> Vec<Sheet> {
        self.close();
        self.sheets.finish()
    }
}
