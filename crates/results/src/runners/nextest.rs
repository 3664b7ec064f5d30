//! `cargo nextest run`.

use rig_event::test::TestKind;

use super::rust::Panics;
use crate::case::{Case, Fill as _, Verdict};
use crate::place::Project;
use crate::sheet::{Runner, Sheet, Sheets};
use crate::text::{Line, groups, patterns};

patterns! {
    STARTING = r"^ *Starting (\d+) tests? across \d+ binar";
    STATUS = r"^ *(?:TRY (\d+) )?(PASS|FAIL|ABORT|ABRT|SIG[A-Z]+|TIMEOUT|TMT|LEAK|LEAK-FAIL|XFAIL|EXECFAIL|SKIP|SLOW|FLAKY (\d+)/\d+) \[ *>?\s*([\d.]*)s?\] (?:\([^)]*\) )?(\S+) (.+)$";
    OLD_HEAD = r"^(?:--- |─+ ?)(?:TRY \d+ )?STD(?:OUT|ERR):";
}

/// Reads nextest's output.
pub struct Nextest {
    sheets: Sheets,
    now: Option<(String, String, u64)>,
    panics: Panics,
    summary: bool,
    indented: bool,
}

impl Nextest {
    /// Begins.
    pub fn new() -> Nextest {
        Nextest {
            sheets: Sheets::new("cargo-nextest"),
            now: None,
            panics: Panics::default(),
            summary: false,
            indented: false,
        }
    }

    /// Ends what a failed try printed.
    fn close(&mut self) {
        let Some((binary, name, attempt)) = self.now.take() else { return };
        let panics = std::mem::take(&mut self.panics);
        let (message, place) = panics.read();
        let Some(sheet) = self.sheets.last() else { return };
        let case = sheet.cases.iter_mut().rfind(|case| {
            case.test.name == name
                && case.test.suite.first() == Some(&binary)
                && case.test.attempt.unwrap_or(1) == attempt
        });
        if let Some(case) = case {
            if !message.is_empty() && case.test.message.is_empty() {
                case.test.say(&message);
            }
            panics.block.fill(case, place);
        }
    }
}

impl Runner for Nextest {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if let Some([number]) = groups(&STARTING, text) {
            self.close();
            self.sheets.end(false);
            self.summary = false;
            self.sheets.now(line).counts.announced = number.parse().ok();
            return;
        }
        if self.sheets.last().is_none() {
            return;
        }
        let trimmed = text.trim_start();
        if trimmed.starts_with("Summary [") {
            self.close();
            self.summary = true;
            let sheet = self.sheets.now(line);
            sheet.ended = true;
            let skipped = trimmed.rsplit(", ").find_map(|part| part.strip_suffix(" skipped"));
            sheet.counts.skipped = skipped.and_then(|number| number.rsplit(' ').next()?.parse().ok());
            self.sheets.end(true);
            return;
        }
        if self.summary {
            return;
        }
        if let Some([attempt, word, flaky, seconds, binary, name]) = groups(&STATUS, text) {
            self.close();
            let name = name.trim();
            let attempt: Option<u64> = attempt.parse().ok().or(flaky.parse().ok());
            let (verdict, kind) = match word {
                "SLOW" => return,
                "PASS" | "LEAK" => (Verdict::Passed, None),
                "SKIP" => (Verdict::Skipped, Some(TestKind::Skipped)),
                "TIMEOUT" | "TMT" => (Verdict::Failed, Some(TestKind::Timeout)),
                "FAIL" | "LEAK-FAIL" | "XFAIL" => (Verdict::Failed, Some(TestKind::Failed)),
                "EXECFAIL" => (Verdict::Failed, Some(TestKind::Errored)),
                word if word.starts_with("FLAKY") => (Verdict::Passed, None),
                _ => (Verdict::Failed, Some(TestKind::Crashed)),
            };
            let sheet = self.sheets.now(line);
            let known = sheet.cases.iter_mut().rfind(|case| {
                case.test.name == name
                    && case.test.suite.first().is_some_and(|suite| suite == binary)
                    && case.test.attempt == attempt
            });
            if let Some(known) = known {
                known.verdict = known.verdict.max(verdict);
                return;
            }
            let mut case = Case::new(&[binary], name).is(verdict, kind);
            case.test.attempt = attempt;
            case.test.seconds(seconds);
            if kind == Some(TestKind::Crashed) {
                case.test.message = format!("ended by {word}");
            }
            if kind == Some(TestKind::Timeout) {
                case.test.message = "timed out".to_owned();
            }
            case.test.output = Some((line.at, line.at));
            sheet.push(case);
            if verdict == Verdict::Failed {
                self.now = Some((binary.to_owned(), name.to_owned(), attempt.unwrap_or(1)));
                self.panics = Panics::of(name);
                self.indented = true;
            }
        } else if OLD_HEAD.is_match(text) {
            self.indented = false;
        } else if self.now.is_some() {
            let inner = if self.indented { text.strip_prefix("    ").unwrap_or(text) } else { text };
            self.panics.line(line, inner, project);
        }
    }

    fn finish(mut self: Box<Self>, _: &Project) -> Vec<Sheet> {
        self.close();
        self.sheets.finish()
    }
}
