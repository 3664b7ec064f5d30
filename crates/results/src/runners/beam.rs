//! ExUnit and EUnit.

use rig_event::test::TestKind;

use crate::case::Fill as _;
use crate::place::{Place, Project, leading};
use crate::sheet::{Block, Runner, Sheet, Sheets};
use crate::text::{Line, groups, patterns};

patterns! {
    HEAD = r"^  \d+\) (.+) \(([\w.]+)\)$";
    SETUP = r"^  \d+\) ([\w.]+): failure on setup_all callback";
    FRAME = r"^ +(?:\([^)]+\) )?(\S+\.exs?):(\d+)(?:: .*)?$";
    COUNTS = r"^(?:\d+ doctests?, )?(\d+) tests?, (\d+) failures?(.*)$";
    FINISHED = r"^Finished in [\d.]+ seconds";
    EUNIT = r"^(\S+?):(?:(\d+):)? ?(\S+?)(?: \(.*\))?\.\.\.(?:\[[\d.]+ s\] )?\*failed\*$";
    IN_FUNCTION = r"^in (?:function|call from) (\S+) \((\S+), line (\d+)\)";
    EUNIT_COUNTS = r"^  Failed: (\d+)\.  Skipped: (\d+)\.  Passed: (\d+)\.$";
    EUNIT_FINE = r"^  (?:All (\d+) tests|Test) passed\.$";
}

/// A failure: suites, name, kind, what is said, the declaration, and whether its stack has begun.
type Failure = (Vec<String>, String, TestKind, Block, Option<Place>, bool);

/// Reads ExUnit's output.
pub struct Exunit {
    sheets: Sheets,
    now: Option<Failure>,
    waiting: Vec<Failure>,
}

impl Exunit {
    /// Begins.
    pub fn new() -> Exunit {
        Exunit { sheets: Sheets::new("exunit"), now: None, waiting: Vec::new() }
    }

    fn close(&mut self) {
        if let Some(now) = self.now.take()
            && self.waiting.len() < 5_000
        {
            self.waiting.push(now);
        }
    }
}

impl Runner for Exunit {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if let Some([module]) = groups(&SETUP, text) {
            self.close();
            self.now =
                Some((Vec::new(), module.to_owned(), TestKind::Errored, Block::default(), None, false));
            return;
        }
        if let Some([name, module]) = groups(&HEAD, text) {
            self.close();
            self.now = Some((
                vec![module.to_owned()],
                name.to_owned(),
                TestKind::Failed,
                Block::default(),
                None,
                false,
            ));
            return;
        }
        if FINISHED.is_match(text) {
            self.close();
            return;
        }
        if let Some([total, failed, rest]) = groups(&COUNTS, text) {
            self.close();
            let waiting = std::mem::take(&mut self.waiting);
            let number = |what: &str| {
                rest.split(", ")
                    .find_map(|part| part.strip_suffix(what)?.trim().parse::<u64>().ok())
                    .unwrap_or(0)
            };
            let (invalid, skipped) = (number("invalid"), number("skipped") + number("excluded"));
            let sheet = self.sheets.now(line);
            for (suite, name, kind, block, declared, _) in waiting {
                if let Some(case) = sheet.fail(&suite, &name, kind) {
                    let file = declared.as_ref().map(|place| place.file.clone());
                    let place = block.first_own(file.as_deref());
                    let is_declared = place.is_none();
                    block.fill(case, place.or(declared));
                    case.test.declared = is_declared;
                }
            }
            let total: u64 = total.parse().unwrap_or(0);
            let failed: u64 = failed.parse().unwrap_or(0);
            sheet.counts.total = Some(total);
            sheet.counts.skipped = Some(skipped);
            sheet.counts.passed = Some(total.saturating_sub(failed + invalid + skipped));
            self.sheets.end(true);
            return;
        }
        let Some((_, _, _, block, declared, stack)) = &mut self.now else { return };
        let said = text.trim();
        if text.len() - text.trim_start().len() < 4 && !said.is_empty() && block.message.is_empty() {
            return;
        }
        block.saw(line);
        if said == "stacktrace:" {
            *stack = true;
        } else if let Some([file, at]) = groups(&FRAME, text) {
            let place = project.place(file, at, "");
            if *stack {
                block.frame(place);
            } else if declared.is_none() {
                *declared = place;
            }
        } else if !said.is_empty() && !*stack {
            block.say(said);
        }
        let _ = leading;
    }

    fn finish(self: Box<Self>, _: &Project) -> Vec<Sheet> {
        self.sheets.finish()
    }
}

/// Reads EUnit's output.
pub struct Eunit {
    sheets: Sheets,
    now: Option<(String, String, Block)>,
}

impl Eunit {
    /// Begins.
    pub fn new() -> Eunit {
        Eunit { sheets: Sheets::new("eunit"), now: None }
    }

    fn close(&mut self) {
        let Some((module, name, block)) = self.now.take() else { return };
        let Some(sheet) = self.sheets.last() else { return };
        if let Some(case) = sheet.fail(&[module], &name, TestKind::Failed) {
            let place = block.frames.first().cloned();
            block.fill(case, place);
        }
    }
}

impl Runner for Eunit {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if text.contains("*failed*")
            && let Some([module, _, name]) = groups(&EUNIT, text.trim_start())
        {
            self.close();
            self.sheets.now(line);
            self.now = Some((module.to_owned(), name.to_owned(), Block::default()));
            return;
        }
        if let Some([failed, skipped, passed]) = groups(&EUNIT_COUNTS, text) {
            self.close();
            let sheet = self.sheets.now(line);
            sheet.counts.failed = failed.parse().ok();
            sheet.counts.skipped = skipped.parse().ok();
            sheet.counts.passed = passed.parse().ok();
            self.sheets.end(true);
            return;
        }
        if let Some([number]) = groups(&EUNIT_FINE, text) {
            self.close();
            self.sheets.now(line).counts.passed = Some(number.parse().unwrap_or(1));
            self.sheets.end(true);
            return;
        }
        let Some((_, _, block)) = &mut self.now else { return };
        block.saw(line);
        if let Some([_, file, at]) = groups(&IN_FUNCTION, text.trim()) {
            block.frame(project.place(file, at, ""));
        } else if let Some(error) = text.trim().strip_prefix("**") {
            block.say(error);
        } else if text.is_empty() && !block.message.is_empty() {
            self.close();
        }
    }

    fn finish(mut self: Box<Self>, _: &Project) -> Vec<Sheet> {
        self.close();
        let mut sheets = self.sheets.finish();
        for case in sheets.iter_mut().flat_map(|sheet| &mut sheet.cases) {
            let detail = case.test.detail.clone();
            if case.test.message.is_empty() {
                case.test.say(&detail);
            }
        }
        sheets
    }
}
