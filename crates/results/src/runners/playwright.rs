//! Playwright's `list`, `line` and `dot` reporters.

use rig_event::test::TestKind;

use crate::case::{Case, Verdict};
use crate::place::{Place, Project, frame};
use crate::sheet::{Block, Runner, Sheet, Sheets};
use crate::text::{Line, groups, patterns};

patterns! {
    BANNER = r"^Running (\d+) tests? using \d+ workers?";
    HEAD = r"^  (\d+)\) (.+?)(?: [─=]+)?$";
    PATH = r"^(?:\[([^\]]+)\] › )?(\S.*?\.\w+):(\d+):(\d+) › (.+)$";
    LISTED = r"^ +(✓|✔|ok|-|✘|x) +\d+ (.+?)(?: \(retry #(\d+)\))?(?: \([\d.]+m?s\))?$";
    RETRY = r"^    Retry #(\d+) [─-]+$";
    COUNT = r"^  (\d+) (failed|flaky|skipped|passed|did not run|interrupted)(?: \(.+\))?$";
}

/// Reads Playwright's output.
pub struct Playwright {
    sheets: Sheets,
    /// The failing test, and its tries.
    now: Option<Named>,
    attempt: u64,
    block: Block,
    tries: Vec<(u64, Block)>,
    flaky: bool,
    failed: bool,
    flaky_names: Vec<Named>,
}

/// A test: suites, name, place of its declaration.
type Named = (Vec<String>, String, Option<Place>);

fn named(path: &str, project: &Project) -> Option<Named> {
    let [browser, file, line, column, names] = groups(&PATH, path)?;
    let mut suite: Vec<String> = vec![browser.to_owned(), project.relative(file)];
    let mut parts: Vec<&str> = names.split(" › ").collect();
    let name = parts.pop()?.trim().to_owned();
    suite.extend(parts.into_iter().map(str::to_owned));
    suite.retain(|part| !part.is_empty());
    Some((suite, name, project.place(file, line, column)))
}

impl Playwright {
    /// Begins.
    pub fn new() -> Playwright {
        Playwright {
            sheets: Sheets::new("playwright"),
            now: None,
            attempt: 1,
            block: Block::default(),
            tries: Vec::new(),
            flaky: false,
            failed: false,
            flaky_names: Vec::new(),
        }
    }

    fn next_try(&mut self, attempt: u64) {
        let block = std::mem::take(&mut self.block);
        if self.now.is_some() && self.tries.len() < 100 {
            self.tries.push((self.attempt, block));
        }
        self.attempt = attempt;
    }

    fn close(&mut self) {
        self.next_try(1);
        let Some((mut suite, mut name, declared)) = self.now.take() else {
            self.tries.clear();
            return;
        };
        let Some(sheet) = self.sheets.last() else { return };
        // The name of a failed step stands behind the test's.
        if let Some((last, outer)) = suite.split_last()
            && sheet.cases.iter().any(|case| case.test.name == *last && case.test.suite == outer)
        {
            (suite, name) = (outer.to_vec(), last.clone());
        }
        let several = self.tries.len() > 1;
        // The list above has each of its tries once more, by their marks alone.
        sheet.cases.retain(|case| {
            case.test.name != name || case.test.suite != suite || case.verdict != Verdict::Failed
        });
        for (attempt, block) in self.tries.drain(..) {
            let timeout = block.message.contains("timeout of") && block.message.contains("exceeded");
            let kind = if timeout { TestKind::Timeout } else { TestKind::Failed };
            let mut case = Case::failed(&suite, &name, kind);
            case.test.attempt = several.then_some(attempt);
            let place = block.first_own(declared.as_ref().map(|place| place.file.as_str()));
            let is_declared = place.is_none();
            block.fill(&mut case, place.or(declared.clone()));
            case.test.declared = is_declared;
            sheet.push(case);
        }
    }
}

impl Runner for Playwright {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if let Some([number]) = groups(&BANNER, text) {
            self.close();
            self.sheets.end(false);
            (self.flaky, self.failed) = (false, false);
            self.sheets.now(line).counts.announced = number.parse().ok();
            return;
        }
        if !self.sheets.is_open() {
            return;
        }
        if let Some([number, what]) = groups(&COUNT, text) {
            self.close();
            let number: u64 = number.parse().unwrap_or(0);
            (self.flaky, self.failed) = (what == "flaky", what == "failed");
            let sheet = self.sheets.now(line);
            sheet.counts.total = Some(0);
            sheet.ended = true;
            match what {
                "passed" => {
                    sheet.counts.passed = Some(number + self.flaky_names.len() as u64);
                    for (suite, name, _) in self.flaky_names.drain(..) {
                        let last = sheet
                            .cases
                            .iter()
                            .rev()
                            .find(|case| case.test.name == name && case.test.suite == suite);
                        let known = last.is_some_and(|case| case.verdict == Verdict::Passed);
                        let tries = last.and_then(|case| case.test.attempt).unwrap_or(1);
                        if !known {
                            for case in sheet
                                .cases
                                .iter_mut()
                                .filter(|case| case.test.name == name && case.test.suite == suite)
                            {
                                case.test.attempt.get_or_insert(1);
                            }
                            let mut case = Case::new(&suite, &name).is(Verdict::Passed, None);
                            case.test.attempt = Some(tries + 1);
                            sheet.push(case);
                        }
                    }
                }
                "skipped" => sheet.counts.skipped = Some(number),
                "did not run" | "interrupted" => {
                    let mut case = Case::new::<&str>(&[], "");
                    case.test.count = Some(number);
                    sheet.push(case);
                }
                _ => {}
            }
            return;
        }
        if let Some([_, path]) = groups(&HEAD, text)
            && let Some(named) = named(path, project)
        {
            self.close();
            self.sheets.now(line);
            self.now = Some(named);
            return;
        }
        if self.flaky || self.failed {
            let Some(named) = named(text.trim().trim_end_matches(['─', ' ']), project) else { return };
            if self.flaky {
                self.flaky_names.push(named);
            } else if let Some(sheet) = self.sheets.open() {
                // Here the test has its name without that of the step.
                let mut whole = named.0.clone();
                whole.push(named.1.clone());
                for case in sheet.cases.iter_mut().filter(|case| case.test.suite == whole) {
                    (case.test.suite, case.test.name) = (named.0.clone(), named.1.clone());
                }
            }
            return;
        }
        if self.now.is_some() {
            if let Some([number]) = groups(&RETRY, text) {
                self.next_try(number.parse::<u64>().unwrap_or(1) + 1);
                return;
            }
            self.block.saw(line);
            let said = text.trim();
            if said.starts_with("at ") {
                self.block.frame(frame(text, project));
            } else if !said.is_empty() {
                self.block.say(said);
            }
            return;
        }
        if let Some([mark, path, retry]) = groups(&LISTED, text)
            && let Some((suite, name, declared)) = named(path, project)
        {
            let sheet = self.sheets.now(line);
            let verdict = match mark {
                "✓" | "✔" | "ok" => Verdict::Passed,
                "-" => Verdict::Skipped,
                _ => Verdict::Failed,
            };
            let kind = match verdict {
                Verdict::Failed => Some(TestKind::Failed),
                Verdict::Skipped => Some(TestKind::Skipped),
                _ => None,
            };
            let mut case = Case::new(&suite, &name).is(verdict, kind).at(declared);
            case.test.declared = true;
            case.test.attempt = retry.parse::<u64>().ok().map(|retry| retry + 1);
            sheet.push(case);
        }
    }

    fn finish(mut self: Box<Self>, _: &Project) -> Vec<Sheet> {
        self.close();
        self.sheets.finish()
    }
}
