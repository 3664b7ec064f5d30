//! node's own test runner, in its `spec` form. Its TAP is read with all other TAP.

use rig_event::test::TestKind;

use crate::case::{Fill as _, Verdict};
use crate::place::{Place, Project, frame, is_foreign, leading};
use crate::sheet::{Block, Runner, Sheet, Sheets};
use crate::text::{Line, groups, patterns};

patterns! {
    LISTED = r"^( *)(✔|✖|▶|﹣|⚠) (.+?)(?: \([\d.]+ms\))?((?: # (?:SKIP|TODO|skip|todo).*)?)$";
    COUNT = r"^ℹ (tests|suites|pass|fail|cancelled|skipped|todo) (\d+)$";
}

/// A line of the list: suites, name, verdict and kind.
type Listed = (Vec<String>, String, Verdict, Option<TestKind>);

/// Reads the `spec` form.
pub struct Node {
    sheets: Sheets,
    /// Open suites, by indentation.
    stack: Vec<(usize, String)>,
    /// Names of suites and parents that ended, whose failures are their children's.
    waiting: Vec<Listed>,
    failing: bool,
    place: Option<Place>,
    failure: Option<(String, Block)>,
    /// An error that ended a file, which stands apart from the results; and the files that it names.
    error: String,
    errors: Vec<(String, String)>,
}

impl Node {
    /// Begins.
    pub fn new() -> Node {
        Node {
            sheets: Sheets::new("node-test"),
            stack: Vec::new(),
            waiting: Vec::new(),
            failing: false,
            place: None,
            failure: None,
            error: String::new(),
            errors: Vec::new(),
        }
    }

    fn listed(&mut self, line: &Line<'_>, [indent, mark, name, after]: [&str; 4]) {
        let depth = indent.len();
        if mark == "▶" {
            let closes = self.stack.last().is_some_and(|(at, open)| *at == depth && open == name);
            while self.stack.last().is_some_and(|(at, _)| *at >= depth) {
                self.stack.pop();
            }
            if !closes && self.stack.len() < 32 {
                self.stack.push((depth, name.to_owned()));
            }
            return;
        }
        // A suite ends with a mark at its own depth.
        let closes = self.stack.iter().any(|(at, open)| *at == depth && open == name);
        while self.stack.last().is_some_and(|(at, _)| *at >= depth) {
            self.stack.pop();
        }
        if closes {
            return;
        }
        let (verdict, kind) = match (mark, after) {
            (_, after) if after.to_ascii_uppercase().contains("# TODO") => {
                (Verdict::Skipped, Some(TestKind::Todo))
            }
            ("✔", "") => (Verdict::Passed, None),
            ("✖", "") => (Verdict::Failed, Some(TestKind::Failed)),
            _ => (Verdict::Skipped, Some(TestKind::Skipped)),
        };
        let suite: Vec<String> = self.stack.iter().map(|(_, name)| name.clone()).collect();
        let _ = line;
        if self.waiting.len() < 50_000 {
            self.waiting.push((suite, name.to_owned(), verdict, kind));
        }
    }

    fn close(&mut self, project: &Project) {
        let Some((name, block)) = self.failure.take() else { return };
        let declared = self.place.take();
        let Some(sheet) = self.sheets.last() else { return };
        let of_children = block.message.trim_matches('\'').ends_with("failed")
            && (block.message.contains("subtest failed") || block.message.contains("subtests failed"));
        if of_children {
            return;
        }
        let plain = project.relative(&name);
        let case = sheet.cases.iter_mut().find(|case| {
            case.verdict == Verdict::Failed
                && (case.test.name == name || case.test.name == plain)
                && case.test.message.is_empty()
        });
        let message = block.message.trim_matches('\'').to_owned();
        let place = block.first_own(declared.as_ref().map(|place| place.file.as_str()));
        let case = match case {
            Some(case) => Some(case),
            None => sheet.fail::<&str>(&[], &name, TestKind::Failed),
        };
        let Some(case) = case else { return };
        case.test.name = project.relative(&case.test.name);
        if message.contains("test timed out after") {
            case.test.kind = Some(TestKind::Timeout);
        }
        let mut message = message;
        if message == "test failed" {
            case.test.kind = Some(TestKind::Errored);
            if let Some((_, error)) = self.errors.iter().find(|(file, _)| file.ends_with(&case.test.name)) {
                error.clone_into(&mut message);
            }
        }
        case.test.say(&message);
        let own = place.clone().or(declared);
        case.test.declared = place.is_none();
        block.fill(case, own);
        case.test.declared = place.is_none();
    }
}

impl Runner for Node {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if text.contains("Error")
            && !text.starts_with(' ')
            && text.split([':', ' ']).next().is_some_and(|word| word.ends_with("Error"))
        {
            self.error = crate::text::cut(text, 500);
        } else if !self.error.is_empty()
            && text.starts_with("    at ")
            && self.errors.len() < 1_000
            && let Some(place) = frame(text, project).filter(|place| !is_foreign(&place.file))
        {
            self.errors.push((place.file, std::mem::take(&mut self.error)));
        }
        if self.sheets.open().is_some_and(|sheet| sheet.stream != line.stream) {
            return;
        }
        if let Some([what, number]) = groups(&COUNT, text) {
            let number = number.parse::<u64>().ok();
            let waiting = std::mem::take(&mut self.waiting);
            self.stack.clear();
            let sheet = self.sheets.now(line);
            for (suite, name, verdict, kind) in waiting {
                let name = if suite.is_empty() { project.relative(&name) } else { name };
                sheet.verdict(&suite, &name, verdict, kind);
            }
            match what {
                "tests" => sheet.counts.total = number,
                "skipped" | "todo" => *sheet.counts.skipped.get_or_insert(0) += number.unwrap_or(0),
                _ => {}
            }
            sheet.ended = true;
            return;
        }
        if text == "✖ failing tests:" && self.sheets.is_open() {
            self.failing = true;
            return;
        }
        if self.failing {
            if let Some(at) = text.strip_prefix("test at ") {
                self.close(project);
                self.place =
                    leading(at).and_then(|(file, line, column, _)| project.place(file, line, column));
                self.sheets.now(line);
            } else if let Some([_, "✖", name, _]) = groups(&LISTED, text) {
                self.close_at_head(project);
                self.failure = Some((name.to_owned(), Block::default()));
            } else if let Some((_, block)) = &mut self.failure {
                block.saw(line);
                let said = text.trim();
                if said.starts_with("at ") {
                    block.frame(frame(text, project).filter(|place| !place.file.starts_with("node:")));
                } else if !said.is_empty() {
                    block.say(said.trim_start_matches("[").trim_end_matches(" {"));
                }
            }
            return;
        }
        if text.trim_start().starts_with(['✔', '✖', '▶', '﹣', '⚠'])
            && let Some(parts) = groups::<4>(&LISTED, text)
        {
            self.listed(line, parts);
        }
    }

    fn finish(mut self: Box<Self>, project: &Project) -> Vec<Sheet> {
        self.close(project);
        let mut sheets = self.sheets.finish();
        sheets.retain(|sheet| sheet.ended);
        sheets
    }
}

impl Node {
    /// Ends a failure where the next has no place of its own.
    fn close_at_head(&mut self, project: &Project) {
        if self.failure.is_some() {
            let place = self.place.take();
            self.close(project);
            self.place = place;
        }
    }
}
