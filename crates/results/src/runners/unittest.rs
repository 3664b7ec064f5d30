//! unittest, nose2, stestr and doctest.

use rig_event::test::TestKind;

use crate::case::{Case, Fill as _, Verdict};
use crate::identity;
use crate::place::Project;
use crate::sheet::{Block, Runner, Sheet, Sheets};
use crate::text::{Line, groups, patterns};

patterns! {
    HEAD = r"^(FAIL|ERROR): (.+)$";
    RAN = r"^Ran (\d+) tests? in ";
    LISTED = r"^ *(\S+ \([\w.]+\)(?: [\[(].*)?) \.\.\. *(ok|FAIL|ERROR|expected failure|unexpected success|skipped .*)?$";
    NAMED = r"^ *\S+ \([\w.]+\)$";
    LATER = r"^.+ \.\.\. (ok|FAIL|ERROR|expected failure|unexpected success|skipped .*)$";
    STESTR = r"^\{\d+\} (\S+) (?:\[([\d.]+)s\] )?\.\.\. (ok|FAILED|SKIPPED)";
    ENDS = r"^(?:OK|FAILED|NO TESTS RAN)(?: \((.*)\))?$";
    STACK = r#"^ +File "([^"]+)", line (\d+), in (\S+)"#;
    DOCTEST = r#"^File "([^"]+)", line (\d+), in (.+)$"#;
    ITEM = r"^ +(\d+) of +(\d+) in (\S+)$";
}

/// Reads unittest's output.
pub struct Unittest {
    sheets: Sheets,
    /// A rule of `=` was the last line.
    ruled: bool,
    /// The failure that is being read.
    failure: Option<(Named, TestKind, Block, bool)>,
    listed: Option<Named>,
    ended: bool,
}

/// A test as unittest writes it.
#[derive(Clone, Debug, PartialEq)]
struct Named {
    suite: Vec<String>,
    name: String,
    /// `(i=1)` of a subtest.
    part: String,
}

/// Takes `test (module.Class.test) (i=1)` apart.
fn named(text: &str) -> Named {
    let Some((name, rest)) = text.split_once(" (") else {
        let (suite, name) = text.rsplit_once('.').unwrap_or(("", text));
        return Named { suite: dots(suite), name: name.to_owned(), part: String::new() };
    };
    let (path, part) = rest.split_once(')').unwrap_or((rest, ""));
    let path = path.strip_prefix("unittest.loader.").unwrap_or(path);
    let path = path.strip_suffix(name).map_or(path, |path| path.trim_end_matches('.'));
    let suite = if path.ends_with("_ErrorHolder") || path == "_FailedTest" { Vec::new() } else { dots(path) };
    Named { suite, name: name.to_owned(), part: part.trim().to_owned() }
}

/// `a.b.Class` is the module `a.b` and the class.
fn dots(path: &str) -> Vec<String> {
    match path.rsplit_once('.') {
        Some((module, class)) => vec![module.to_owned(), class.to_owned()],
        None if path.is_empty() => Vec::new(),
        None => vec![path.to_owned()],
    }
}

impl Unittest {
    /// Begins.
    pub fn new() -> Unittest {
        Unittest { sheets: Sheets::new("unittest"), ruled: false, failure: None, listed: None, ended: false }
    }

    fn close(&mut self) {
        let Some((named, kind, block, doctest)) = self.failure.take() else { return };
        let Some(sheet) = self.sheets.last() else { return };
        if doctest {
            let place = block.frames.first().cloned();
            if let Some(case) = sheet.fail(&named.suite, &named.name, kind) {
                block.fill(case, place);
            }
            return;
        }
        let name =
            if named.part.is_empty() { named.name.clone() } else { format!("{} {}", named.name, named.part) };
        if let Some(case) = sheet.fail(&named.suite, &name, kind) {
            if !named.part.is_empty() {
                case.test.parent = Some(identity::id("", &named.suite, &named.name));
            }
            let place = block.last_own(None);
            block.fill(case, place);
        }
    }

    fn list(&mut self, line: &Line<'_>, named: &Named, word: &str) {
        let (verdict, kind) = match word.split(' ').next().unwrap_or_default() {
            "ok" => (Verdict::Passed, None),
            "expected" => (Verdict::Skipped, Some(TestKind::ExpectedFailure)),
            "skipped" | "SKIPPED" => (Verdict::Skipped, Some(TestKind::Skipped)),
            "ERROR" => (Verdict::Failed, Some(TestKind::Errored)),
            _ => (Verdict::Failed, Some(TestKind::Failed)),
        };
        let name =
            if named.part.is_empty() { named.name.clone() } else { format!("{} {}", named.name, named.part) };
        let sheet = self.sheets.now(line);
        if let Some(case) = sheet.verdict(&named.suite, &name, verdict, kind) {
            if !named.part.is_empty() {
                case.test.parent = Some(identity::id("", &named.suite, &named.name));
            }
            if let Some(why) = word.strip_prefix("skipped ") {
                case.test.say(why.trim_matches(['\'', '"']));
            }
        }
    }

    fn ends(&mut self, line: &Line<'_>, said: &str) {
        self.close();
        let sheet = self.sheets.now(line);
        let number = |key: &str| {
            let found = said
                .split(", ")
                .find_map(|part| part.strip_prefix(key)?.strip_prefix('=')?.parse::<u64>().ok());
            found.unwrap_or(0)
        };
        let skipped = number("skipped") + number("expected failures");
        let total = sheet.counts.total.unwrap_or(0);
        // Class and module set-ups are not among the tests that ran; several failing parts are one test.
        let mut failed: Vec<String> = sheet
            .cases
            .iter()
            .filter(|case| case.verdict == Verdict::Failed && !case.test.name.starts_with("setUp"))
            .map(|case| case.test.parent.clone().unwrap_or_else(|| case.test.full_name()))
            .collect();
        failed.sort();
        failed.dedup();
        sheet.counts.skipped = Some(skipped);
        sheet.counts.passed = Some(total.saturating_sub(skipped + failed.len() as u64));
        self.sheets.end(true);
        self.ended = false;
    }
}

impl Runner for Unittest {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        let was_ruled =
            std::mem::replace(&mut self.ruled, text.len() == 70 && text.bytes().all(|byte| byte == b'='));
        if self.ruled {
            self.close();
            return;
        }
        if was_ruled && let Some([word, head]) = groups(&HEAD, text) {
            let kind = if word == "ERROR" { TestKind::Errored } else { TestKind::Failed };
            self.sheets.now(line);
            self.failure = Some((named(head), kind, Block::default(), false));
            return;
        }
        if text.len() == 70 && text.bytes().all(|byte| byte == b'*') {
            self.close();
            return;
        }
        if let Some([file, at, name]) = groups(&DOCTEST, text) {
            let mut block = Block::default();
            block.frame(project.place(file, at, ""));
            block.saw(line);
            let named = Named { suite: Vec::new(), name: name.to_owned(), part: String::new() };
            self.failure = Some((named, TestKind::Failed, block, true));
            return;
        }
        if let Some([failed, all, _]) = groups(&ITEM, text) {
            if let Some(sheet) = self.sheets.open() {
                let number = |text: &str| text.parse::<u64>().unwrap_or(0);
                *sheet.counts.passed.get_or_insert(0) += number(all).saturating_sub(number(failed));
            }
            return;
        }
        if text.starts_with("***Test Failed***") {
            self.close();
            self.sheets.end(true);
            return;
        }
        if let Some([number]) = groups(&RAN, text) {
            self.close();
            self.sheets.now(line).counts.total = number.parse().ok();
            self.ended = true;
            return;
        }
        if self.ended
            && let Some([said]) = groups(&ENDS, text)
        {
            return self.ends(line, said);
        }
        if let Some((named, _, block, doctest)) = &mut self.failure {
            block.saw(line);
            if *doctest {
                // `Expected: 5 Got: 4` on one line; an exception says it all in its last.
                if text == "Failed example:" {
                    self.sheets.now(line);
                } else if matches!(text, "Expected:" | "Got:" | "Exception raised:" | "Expected nothing") {
                    block.message = format!("{} {text}", block.message).trim().to_owned();
                } else if !block.message.is_empty() && !text.trim().is_empty() && block.message.len() < 300 {
                    block.message = format!("{} {}", block.message, text.trim());
                }
                return;
            }
            if let Some([file, at, function]) = groups(&STACK, text) {
                let _ = (function, &named);
                block.frame(project.place(file, at, ""));
            } else if !text.starts_with(' ')
                && !text.is_empty()
                && !text.starts_with("Traceback (most")
                && !text.starts_with("----")
                && !block.frames.is_empty()
            {
                // The last exception of a chain, and its first line.
                if block.message.is_empty() {
                    block.say(text);
                }
            }
            if text.starts_with("During handling of") || text.starts_with("The above exception was") {
                block.message.clear();
            }
            if text == "Stdout:" || text == "Stderr:" {
                block.frame(None);
            }
            return;
        }
        if let Some([test, seconds, word]) = groups(&STESTR, text) {
            let (suite, name) = test.rsplit_once('.').unwrap_or(("", test));
            let named = Named { suite: dots(suite), name: name.to_owned(), part: String::new() };
            self.list(line, &named, word);
            if let Some(case) = self.sheets.now(line).case(&named.suite, &named.name) {
                case.test.seconds(seconds);
            }
        } else if text.contains(" ... ") || text.ends_with(" ...") {
            if let Some([test, word]) = groups(&LISTED, text) {
                let named = named(test);
                if word.is_empty() {
                    self.listed = Some(named);
                } else {
                    self.list(line, &named, word);
                }
            } else if let Some(named) = self.listed.take()
                && let Some([word]) = groups(&LATER, text)
            {
                self.list(line, &named, word);
            }
        } else if text.ends_with(')') && NAMED.is_match(text) {
            self.listed = Some(named(text.trim()));
        } else if let Some(named) = &self.listed
            && matches!(text, "ok" | "FAIL" | "ERROR" | "expected failure")
        {
            let named = named.clone();
            self.listed = None;
            self.list(line, &named, text);
        }
    }

    fn finish(mut self: Box<Self>, _: &Project) -> Vec<Sheet> {
        self.close();
        let mut sheets = self.sheets.finish();
        // Without a closing line the list alone proves little.
        sheets.retain(|sheet| {
            sheet.ended || sheet.cases.iter().any(|case: &Case| !case.test.detail.is_empty())
        });
        sheets
    }
}
