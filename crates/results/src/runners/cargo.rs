//! `cargo test`, and a test binary of Rust by itself.

use std::collections::VecDeque;

use rig_event::test::TestKind;

use super::rust::Panics;
use crate::case::{Case, Fill as _, Verdict};
use crate::place::{Place, Project};
use crate::sheet::{Runner, Sheet, Sheets};
use crate::text::{Line, Stream, groups, patterns};

patterns! {
    BINARY = r"^     Running (?:unittests )?(.*?) ?\(?(?:[^()]*[/\\])?([^/\\()]+)-[0-9a-f]{16}(?:\.exe)?\)?$";
    DOC = r"^   Doc-tests (\S+)$";
    RUNNING = r"^running (\d+) tests?$";
    TEST = r"^test (.+?) \.\.\. (.*)$";
    QUIET = r"^(\S+) --- FAILED$";
    HEAD = r"^---- (.+?) (?:stdout|stderr) ----$";
    RESULT = r"^test result: (?:ok|FAILED)\. (\d+) passed; (\d+) failed; (\d+) ignored; ";
    RERUN = r"^error: (?:doc)?test failed, to rerun pass `(.+)`$";
    ERROR = r"^error(?:\[E\d+\])?: (.+)$";
    ARROW = r"^ *--> (.+):(\d+):(\d+)$";
    BUILD = r"^error: could not compile `([^`]+)`";
    LINE = r"^(.+?) - .*\(line (\d+)\)$";
}

/// A program with tests.
#[derive(Clone, Debug, Default)]
struct Binary {
    suite: Vec<String>,
    /// Its source: `tests/api.rs`.
    source: String,
    stream: Stream,
}

/// Reads the output of `cargo test`.
pub struct Cargo {
    sheets: Sheets,
    /// Programs that were started; what they print comes on the other stream.
    started: VecDeque<Binary>,
    sources: Vec<Binary>,
    package: String,
    now: Binary,
    /// Tests of the current program that have still to end.
    announced: u64,
    running: bool,
    /// A test whose verdict is yet to come, behind what it prints.
    open: Option<String>,
    failure: Option<(String, Panics)>,
    /// The program that ended with an error.
    rerun: Option<String>,
    error: Option<(String, Option<Place>)>,
}

impl Cargo {
    /// Begins.
    pub fn new() -> Cargo {
        Cargo {
            sheets: Sheets::new("cargo-test"),
            started: VecDeque::new(),
            sources: Vec::new(),
            package: String::new(),
            now: Binary::default(),
            announced: 0,
            running: false,
            open: None,
            failure: None,
            rerun: None,
            error: None,
        }
    }

    fn started(&mut self, binary: Binary) {
        if self.started.len() < 1_000 {
            self.started.push_back(binary.clone());
        }
        if self.sources.len() < 1_000 {
            self.sources.push(binary);
        }
    }

    /// Ends the current program; what was announced and did not come is unfinished.
    fn ended(&mut self, line: &Line<'_>, whole: bool) {
        self.close_failure();
        if self.running && !whole && self.announced > 0 {
            let mut case = Case::new(&self.now.suite, "");
            case.test.count = Some(self.announced);
            self.sheets.now(line).push(case);
        }
        self.running = false;
        self.open = None;
    }

    fn close_failure(&mut self) {
        let Some((name, panics)) = self.failure.take() else { return };
        let (message, mut place) = panics.read();
        if let Some([file, at]) = groups(&LINE, &name) {
            // The line of a doctest's panic is one of a generated file.
            place = Some(Place { file: file.to_owned(), line: at.parse().ok(), column: None });
        }
        if let Some(sheet) = self.sheets.last()
            && let Some(case) = sheet.fail(&self.now.suite, &name, TestKind::Failed)
        {
            if !message.is_empty() {
                case.test.say(&message);
            }
            panics.block.fill(case, place);
        }
    }

    fn verdict(&mut self, line: &Line<'_>, name: &str, said: &str) -> bool {
        let (verdict, kind, why) = match said.split([',', ' ', '<']).next().unwrap_or_default() {
            "ok" => (Verdict::Passed, None, ""),
            "FAILED" => (Verdict::Failed, Some(TestKind::Failed), ""),
            "ignored" => {
                (Verdict::Skipped, Some(TestKind::Skipped), said.split_once(", ").map_or("", |(_, why)| why))
            }
            "bench:" => (Verdict::Passed, None, ""),
            _ => return false,
        };
        self.announced = self.announced.saturating_sub(1);
        let (suite, sheet) = (self.now.suite.clone(), self.sheets.now(line));
        if let Some(case) = sheet.verdict(&suite, plain(name), verdict, kind) {
            if verdict == Verdict::Skipped {
                case.test.say(why);
            }
            if let Some(seconds) = said.rsplit_once('<').and_then(|(_, time)| time.strip_suffix("s>")) {
                case.test.seconds(seconds);
            }
        }
        true
    }

    fn cargo_line(&mut self, line: &Line<'_>, project: &Project) -> bool {
        let text = line.text;
        if let Some([source, name]) = groups(&BINARY, text) {
            let source = source.trim_end_matches(['(', ' ']);
            let unit = text.contains("Running unittests");
            if unit {
                name.clone_into(&mut self.package);
            }
            let mut suite = vec![self.package.clone(), name.to_owned()];
            suite.dedup();
            self.started(Binary { suite, source: project.relative(source), stream: line.stream });
        } else if let Some([name]) = groups(&DOC, text) {
            self.started(Binary { suite: vec![name.to_owned()], source: String::new(), stream: line.stream });
        } else if let Some([rerun]) = groups(&RERUN, text) {
            self.rerun = Some(rerun.to_owned());
        } else if let Some(how) = text.strip_prefix("  process didn't exit successfully: ") {
            let Some(rerun) = self.rerun.take() else { return true };
            let name = rerun.rsplit(' ').next().unwrap_or_default();
            let name = if name == "--lib" { self.package.as_str() } else { name.trim_start_matches('-') };
            let name = name.to_owned();
            let binary = self.sources.iter().rfind(|binary| binary.suite.last() == Some(&name));
            let file = binary.map(|binary| binary.source.clone()).filter(|source| !source.is_empty());
            if let Some(case) = self.sheets.now(line).fail(&[&self.package], &name, TestKind::Crashed) {
                case.test.say(&format!("process didn't exit successfully: {how}"));
                case.test.declared = file.is_some();
                case.test.file = file;
            }
        } else if let Some([name]) = groups(&BUILD, text) {
            let error = self.error.take();
            let sheet = self.sheets.now(line);
            if let Some(case) = sheet.fail(&[name], "[build]", TestKind::Errored)
                && let Some((message, place)) = error
            {
                case.test.say(&message);
                case.test.put(place);
            }
        } else if let Some([message]) = groups(&ERROR, text) {
            if self.error.is_none() {
                self.error = Some((message.to_owned(), None));
            }
        } else if let Some([file, at, column]) = groups(&ARROW, text) {
            if let Some((_, place @ None)) = &mut self.error {
                *place = project.place(file, at, column);
            }
        } else {
            return false;
        }
        true
    }
}

/// A name without what the harness adds.
fn plain(name: &str) -> &str {
    [" - should panic", " - compile fail", " - compile"]
        .into_iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name)
}

impl Runner for Cargo {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if text.is_empty() && self.failure.is_none() {
            return;
        }
        // What a failing test printed is on standard output; cargo's own lines are on standard error, or between programs.
        let inside = self.failure.is_some() && line.stream == self.now.stream;
        if !inside && self.cargo_line(line, project) {
            return;
        }
        if let Some([number]) = groups(&RUNNING, text) {
            self.ended(line, false);
            let same = self.started.back().is_some_and(|binary| binary.stream == line.stream);
            let binary = if same { self.started.pop_back() } else { self.started.pop_front() };
            if same {
                self.started.clear();
            }
            self.now = binary.unwrap_or_default();
            self.now.stream = line.stream;
            self.announced = number.parse().unwrap_or(0);
            self.running = true;
            self.sheets.now(line);
            return;
        }
        if !self.running || line.stream != self.now.stream {
            return;
        }
        if let Some([_, failed, _]) = groups(&RESULT, text) {
            let _ = failed;
            self.ended(line, true);
            self.sheets.now(line).ended = true;
            return;
        }
        if let Some([name]) = groups(&HEAD, text) {
            self.close_failure();
            let name = plain(name);
            self.failure = Some((name.to_owned(), Panics::of(name)));
            return;
        }
        if let Some((_, panics)) = &mut self.failure {
            if text == "failures:" {
                self.close_failure();
            } else {
                panics.line(line, text, project);
            }
            return;
        }
        if let Some([name, said]) = groups(&TEST, text) {
            if !self.verdict(line, name, said) {
                self.open = Some(name.to_owned());
            }
        } else if let Some([name]) = groups(&QUIET, text) {
            self.verdict(line, name, "FAILED");
        } else if let Some(name) = self.open.take()
            && !self.verdict(line, &name, text.rsplit(' ').next().unwrap_or(text))
        {
            self.open = Some(name);
        }
    }

    fn finish(mut self: Box<Self>, _: &Project) -> Vec<Sheet> {
        let end = Line {
            text: "",
            stream: self.now.stream,
            at: self.sheets.last().and_then(|sheet| sheet.lines).map_or(0, |(_, last)| last),
        };
        if self.running {
            self.ended(&end, false);
        }
        self.sheets.finish()
    }
}
