//! The results of one run of a runner, as they are gathered from its text.

use std::collections::HashMap;

use rig_event::test::TestKind;

use crate::case::{Case, DETAIL, Fill as _, Verdict};
use crate::place::{Place, Project, innermost};
use crate::text::{self, Line, Stream};

/// Most tests of a run that are kept by name; more are counted.
const TESTS: usize = 50_000;

/// Most frames of a failure that are looked at.
const FRAMES: usize = 64;

/// Numbers that a runner printed of its run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tests that were announced.
    pub announced: Option<u64>,
    /// All tests.
    pub total: Option<u64>,
    /// Tests that passed.
    pub passed: Option<u64>,
    /// Tests that failed, for whatever reason.
    pub failed: Option<u64>,
    /// Tests that were skipped, for whatever reason.
    pub skipped: Option<u64>,
}

/// The results of one run of a runner.
#[derive(Debug, Default)]
pub struct Sheet {
    /// The runner's name.
    pub runner: &'static str,
    /// `output` for text; `tap` and `json` for forms that are meant for machines.
    pub source: &'static str,
    /// Its tests, in the order in which they were seen.
    pub cases: Vec<Case>,
    /// Its own numbers.
    pub counts: Counts,
    /// True if the run said that it was at its end.
    pub ended: bool,
    /// The first and the last of its lines.
    pub lines: Option<(u64, u64)>,
    /// The stream that most of it came from.
    pub stream: Stream,
    /// Tests that were too many to be kept.
    pub dropped: u64,
    index: HashMap<String, usize>,
}

impl Sheet {
    /// Returns an empty sheet of a runner.
    pub fn new(runner: &'static str) -> Sheet {
        Sheet { runner, source: "output", ..Sheet::default() }
    }

    /// Notes that a line belongs to the run.
    pub fn saw(&mut self, line: &Line<'_>) {
        if self.lines.is_none() {
            self.stream = line.stream;
        }
        let (first, _) = self.lines.unwrap_or((line.at, line.at));
        self.lines = Some((first, line.at));
    }

    /// Returns true if nothing was found.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty() && self.counts == Counts::default()
    }

    /// Returns the case of a test, made where it is new.
    pub fn case<S: AsRef<str>>(&mut self, suite: &[S], name: &str) -> Option<&mut Case> {
        let mut key = String::new();
        for part in suite.iter().map(AsRef::as_ref).filter(|part| !part.is_empty()).chain([name]) {
            key.push_str(part.trim());
            key.push('\0');
        }
        let at = match self.index.get(&key) {
            Some(at) => *at,
            None if self.cases.len() >= TESTS => {
                self.dropped += 1;
                return None;
            }
            None => {
                self.cases.push(Case::new(suite, name));
                self.index.insert(key, self.cases.len() - 1);
                self.cases.len() - 1
            }
        };
        self.cases.get_mut(at)
    }

    /// Sets the verdict of a test. A failure stays one.
    pub fn verdict<S: AsRef<str>>(
        &mut self,
        suite: &[S],
        name: &str,
        verdict: Verdict,
        kind: Option<TestKind>,
    ) -> Option<&mut Case> {
        let case = self.case(suite, name)?;
        if verdict >= case.verdict {
            case.verdict = verdict;
            case.test.kind = kind.or(case.test.kind);
        }
        Some(case)
    }

    /// Fails a test.
    pub fn fail<S: AsRef<str>>(&mut self, suite: &[S], name: &str, kind: TestKind) -> Option<&mut Case> {
        let case = self.verdict(suite, name, Verdict::Failed, None)?;
        // What is more than a failed expectation says more.
        case.test.kind = match case.test.kind {
            Some(old @ (TestKind::Errored | TestKind::Timeout | TestKind::Crashed)) => Some(old),
            _ => Some(kind),
        };
        Some(case)
    }

    /// Adds a case that is not looked up again.
    pub fn push(&mut self, case: Case) {
        if self.cases.len() < TESTS {
            self.cases.push(case);
        } else {
            self.dropped += 1;
        }
    }

    /// Returns how many tests have that verdict; parts of a test do not count.
    pub fn number(&self, verdict: Verdict) -> u64 {
        let those = self.cases.iter().filter(|case| case.verdict == verdict && case.test.parent.is_none());
        those.map(Case::count).sum()
    }

    /// Adds what the runner counted and did not name, and what was announced and did not end.
    pub fn close(&mut self) {
        let by = |verdict| move |sheet: &Sheet| sheet.number(verdict);
        for (verdict, counted) in [
            (Verdict::Passed, self.counts.passed),
            (Verdict::Skipped, self.counts.skipped),
            (Verdict::Failed, self.counts.failed),
        ] {
            let missing = counted.unwrap_or(0).saturating_sub(by(verdict)(self));
            if missing > 0 {
                let mut case = Case::new::<&str>(&[], "").is(verdict, None);
                case.test.count = Some(missing);
                if verdict == Verdict::Failed {
                    case.test.kind = Some(TestKind::Failed);
                    case = case.say("the output does not name what failed");
                }
                self.cases.push(case);
            }
        }
        let all = [Verdict::Started, Verdict::Passed, Verdict::Skipped, Verdict::Failed];
        let known: u64 = all.into_iter().map(|verdict| self.number(verdict)).sum();
        let missing = self.counts.announced.unwrap_or(0).saturating_sub(known);
        if missing > 0 && self.counts.total.is_none() {
            let mut case = Case::new::<&str>(&[], "");
            case.test.count = Some(missing);
            self.cases.push(case);
        }
        for case in &mut self.cases {
            case.test.runner = self.runner.to_owned();
            case.test.source = self.source.to_owned();
        }
    }
}

/// The sheets of a runner: a run may follow a run.
#[derive(Debug)]
pub struct Sheets {
    runner: &'static str,
    open: Option<Sheet>,
    done: Vec<Sheet>,
}

/// Most runs of a runner in one recording that are told apart.
const RUNS: usize = 10_000;

impl Sheets {
    /// Returns no sheets yet.
    pub fn new(runner: &'static str) -> Sheets {
        Sheets { runner, open: None, done: Vec::new() }
    }

    /// Returns true if a run has begun.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Returns the sheet of the run, begun where there is none.
    pub fn now(&mut self, line: &Line<'_>) -> &mut Sheet {
        let sheet = self.open.get_or_insert_with(|| Sheet::new(self.runner));
        sheet.saw(line);
        sheet
    }

    /// Returns the open sheet.
    pub fn open(&mut self) -> Option<&mut Sheet> {
        self.open.as_mut()
    }

    /// Returns the open sheet, or else the last that was closed: a few lines still belong to it.
    pub fn last(&mut self) -> Option<&mut Sheet> {
        self.open.as_mut().or(self.done.last_mut())
    }

    /// Ends the run.
    pub fn end(&mut self, whole: bool) {
        if let Some(mut sheet) = self.open.take() {
            sheet.ended |= whole;
            if self.done.len() < RUNS {
                self.done.push(sheet);
            }
        }
    }

    /// Returns all sheets, closed.
    pub fn finish(mut self) -> Vec<Sheet> {
        self.end(false);
        self.done.iter_mut().for_each(Sheet::close);
        self.done.retain(|sheet| !sheet.is_empty());
        self.done
    }
}

/// The lines below the head of a failure: message, detail, frames.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// The first line that says what is wrong.
    pub message: String,
    /// Everything, within limits.
    pub detail: String,
    /// Places, from the outermost frame to the innermost.
    pub frames: Vec<Place>,
    /// The lines that it was read from.
    pub lines: Option<(u64, u64)>,
}

impl Block {
    /// Takes a line into the detail.
    pub fn saw(&mut self, line: &Line<'_>) {
        self.lines = Some((self.lines.map_or(line.at, |(first, _)| first), line.at));
        if !(line.text.trim().is_empty() && self.detail.is_empty()) {
            text::grow(&mut self.detail, line.text, DETAIL);
        }
    }

    /// Sets the message where there is none.
    pub fn say(&mut self, message: &str) {
        if self.message.is_empty() {
            self.message = message.trim().to_owned();
        }
    }

    /// Adds a frame.
    pub fn frame(&mut self, place: Option<Place>) {
        if self.frames.len() < FRAMES {
            self.frames.extend(place);
        }
    }

    /// Returns the frame to show: the first, where the innermost comes first.
    pub fn first_own(&self, file: Option<&str>) -> Option<Place> {
        innermost(self.frames.iter().rev(), file)
    }

    /// Returns the frame to show where the innermost comes last.
    pub fn last_own(&self, file: Option<&str>) -> Option<Place> {
        innermost(self.frames.iter(), file)
    }

    /// Puts message, detail, place and lines into a case, where the case has none.
    pub fn fill(self, case: &mut Case, place: Option<Place>) {
        if case.test.message.is_empty() {
            case.test.say(&self.message);
        }
        if case.test.detail.is_empty() && self.detail.trim() != case.test.message {
            case.test.detail = text::cut(self.detail.trim_matches('\n'), DETAIL);
        }
        if case.test.file.is_none() || case.test.declared {
            case.test.put(place);
        }
        case.test.output = case.test.output.or(self.lines);
    }
}

/// A recogniser of what one family of runners prints.
pub trait Runner: Send {
    /// Takes a line.
    fn line(&mut self, line: &Line<'_>, project: &Project);
    /// Returns what was found.
    fn finish(self: Box<Self>, project: &Project) -> Vec<Sheet>;
}
