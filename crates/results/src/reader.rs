//! Takes a command's output as it comes and says at the end which tests ran, and how they ended.

use rig_event::test::TestKind;

use crate::case::{Case, DETAIL, Fill as _, Verdict};
use crate::identity;
use crate::merge::merge;
use crate::place::Project;
use crate::runners::{self, diagnostics::Diagnostics, guess::Guess};
use crate::sheet::{Runner, Sheet};
use crate::text::{Line, Stream, clean, groups, grow, patterns};

patterns! {
    ENTERS = r"^(?:g?make(?:\[\d+\])?): (Entering|Leaving) directory ['`](.+)'$";
}

/// Lines of the end of the output that are kept.
const LAST: usize = 10;

/// The end of the command.
#[derive(Clone, Debug, Default)]
pub struct Exit {
    /// The command's name, for a failure that no test has.
    pub command: String,
    /// Its exit status, if it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl Exit {
    /// Returns true if the command did not succeed.
    pub fn is_failure(&self) -> bool {
        self.code != Some(0)
    }
}

/// The results of the run.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// The tests; those without verdict come last.
    pub cases: Vec<Case>,
    /// Notes for people on how they were read.
    pub notes: Vec<String>,
}

impl Results {
    /// Returns true if a test failed, counting only the last try of each.
    pub fn has_failure(&self) -> bool {
        self.cases.iter().any(|case| case.verdict == Verdict::Failed && !self.is_flaky(case))
    }

    /// Returns true if a later try of a failed one passed.
    fn is_flaky(&self, case: &Case) -> bool {
        case.test.attempt.is_some()
            && self
                .cases
                .iter()
                .any(|other| other.test.id == case.test.id && other.verdict == Verdict::Passed)
    }
}

/// Reads a command's output.
pub struct Reader {
    project: Project,
    streams: [Vec<Box<dyn Runner>>; 2],
    both: Vec<Box<dyn Runner>>,
    guesses: [Guess; 2],
    diagnostics: [Diagnostics; 2],
    last: std::collections::VecDeque<String>,
    folders: Vec<String>,
    /// A result file that is printed instead of being written.
    printed: Option<String>,
    from_print: Vec<Vec<Case>>,
}

/// Largest result file that is read from the output.
const PRINTED: usize = 4 << 20;

impl Reader {
    /// Begins to read the output of a command in a project.
    pub fn new(project: Project) -> Reader {
        Reader {
            project,
            streams: [runners::of_a_stream(), runners::of_a_stream()],
            both: runners::of_both_streams(),
            guesses: Default::default(),
            diagnostics: Default::default(),
            last: std::collections::VecDeque::new(),
            folders: Vec::new(),
            printed: None,
            from_print: Vec::new(),
        }
    }

    /// Takes a line of a result file that a runner prints.
    fn printed(&mut self, text: &str) {
        let start = text.trim_start_matches('\u{feff}');
        let begins =
            start.starts_with("<?xml ") || start.starts_with("<testsuite") || start.starts_with("{\"num");
        if begins && self.printed.is_none() && self.from_print.len() < 100 {
            self.printed = Some(String::new());
        }
        let Some(printed) = &mut self.printed else { return };
        if printed.len() + text.len() > PRINTED {
            self.printed = None;
            return;
        }
        printed.push_str(text);
        printed.push('\n');
        let is_json = printed.starts_with("{\"num");
        let ends = is_json
            || text.contains("</testsuites>")
            || (text.contains("</testsuite>") && !printed.contains("<testsuites"));
        if ends && let Some(printed) = self.printed.take() {
            let mut read = crate::formats::read_file("", printed.as_bytes(), &self.project);
            read.cases.iter_mut().for_each(|case| case.test.report = None);
            self.from_print.push(read.cases);
        }
    }

    /// Returns the project.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// Takes a line, with its number among all lines.
    pub fn line(&mut self, stream: Stream, text: &str, at: u64) {
        // JSON has what is long behind what is needed, and is cut by nobody.
        let text = if text.starts_with('{') { text.trim_end().into() } else { clean(text) };
        let line = Line { text: &text, stream, at };
        if text.contains("ing directory")
            && let Some([word, folder]) = groups(&ENTERS, &text)
        {
            self.enter(word == "Entering", folder);
        }
        if !text.trim().is_empty() {
            if self.last.len() == LAST {
                self.last.pop_front();
            }
            self.last.push_back(crate::text::cut(&text, 500));
        }
        if self.printed.is_some() || text.starts_with(['<', '{', '\u{feff}']) {
            self.printed(&text);
        }
        let of = usize::from(stream == Stream::Stderr);
        for runner in self.streams[of].iter_mut().chain(&mut self.both) {
            runner.line(&line, &self.project);
        }
        self.guesses[of].line(&line, &self.project);
        self.diagnostics[of].line(&line, &self.project);
    }

    fn enter(&mut self, enters: bool, folder: &str) {
        if enters && self.folders.len() < 64 {
            self.project.folder.clear();
            let folder = self.project.relative(folder);
            let outside = folder.starts_with('/') || folder.is_empty();
            self.folders.push(if outside { String::new() } else { folder });
        } else {
            self.folders.pop();
        }
        self.project.folder = self.folders.last().cloned().unwrap_or_default();
    }

    /// Ends: brings the output together with result files, those with the highest rank first, and with the exit status.
    pub fn finish(self, files: Vec<Vec<Case>>, exit: &Exit) -> Results {
        let Reader { project, streams, both, guesses, diagnostics, last, from_print, .. } = self;
        let all = streams.into_iter().flatten().chain(both);
        let mut sheets: Vec<Sheet> = all.flat_map(|runner| runner.finish(&project)).collect();
        drop_quoted(&mut sheets);
        sheets.sort_by_key(|sheet| sheet.lines);
        let mut notes = Vec::new();
        let dropped: u64 = sheets.iter().map(|sheet| sheet.dropped).sum();
        if dropped > 0 {
            notes.push(format!("{dropped} tests of the output were too many to be kept"));
        }
        let (machine, text): (Vec<Sheet>, Vec<Sheet>) =
            sheets.into_iter().partition(|sheet| sheet.source != "output");
        let cases =
            |sheets: Vec<Sheet>| sheets.into_iter().flat_map(|sheet| sheet.cases).collect::<Vec<Case>>();
        let whole = text.iter().chain(&machine).all(|sheet| sheet.ended);
        let mut sources = files;
        sources.extend(from_print);
        sources.push(cases(machine));
        sources.push(cases(text));
        let mut found = merge(sources);
        if found.is_empty() {
            found = guesses.into_iter().flat_map(|guess| guess.finish(exit.is_failure())).collect();
        }
        identity::assign(&mut found, &project.folder);
        let mut results = Results { cases: found, notes };
        let tested = !results.cases.is_empty();
        let error = diagnostics.into_iter().flat_map(|diagnostics| diagnostics.found).next();
        if exit.is_failure() && !results.has_failure() && (tested || error.is_some()) {
            results.cases.push(unexplained(exit, whole, error, &last, &results));
        }
        if !exit.is_failure() && results.has_failure() {
            results
                .notes
                .push("tests failed, and the command ended with exit status 0: the run passed".to_owned());
        }
        // Stable: what has no verdict comes last, the rest stays in its order.
        results.cases.sort_by_key(|case| case.verdict == Verdict::Started);
        results
    }
}

/// Takes out what a failing test of another runner printed, and that runner quoted.
fn drop_quoted(sheets: &mut Vec<Sheet>) {
    let around: Vec<_> = sheets
        .iter()
        .filter(|sheet| sheet.ended && sheet.runner != "ctest")
        .filter_map(|sheet| Some((sheet.runner, sheet.stream, sheet.lines?)))
        .collect();
    sheets.retain(|sheet| {
        let Some((first, last)) = sheet.lines else { return true };
        !around.iter().any(|(runner, stream, (from, to))| {
            *runner != sheet.runner && *stream == sheet.stream && *from < first && last < *to
        })
    });
}

/// A failure that no test has: named after the command.
fn unexplained(
    exit: &Exit,
    whole: bool,
    error: Option<runners::diagnostics::Diagnostic>,
    last: &std::collections::VecDeque<String>,
    results: &Results,
) -> Case {
    let how = match (exit.signal, exit.code) {
        (Some(signal), _) => format!("ended by signal {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "it did not end".to_owned(),
    };
    let open: u64 =
        results.cases.iter().filter(|case| case.verdict == Verdict::Started).map(Case::count).sum();
    let kind =
        if exit.signal.is_some() || open > 0 || !whole { TestKind::Crashed } else { TestKind::Errored };
    let mut case = Case::failed::<&str>(&[], &exit.command, kind);
    "command".clone_into(&mut case.test.runner);
    "output".clone_into(&mut case.test.source);
    match error.filter(|_| exit.signal.is_none() && open == 0) {
        Some(error) => {
            case.test.say(&error.message);
            case.test.put(error.place);
        }
        None if open > 0 => case.test.say(&format!("{how}, and {open} of its tests did not end")),
        None => case.test.say(&format!("{how}, and no test of it failed")),
    }
    let mut detail = String::new();
    last.iter().for_each(|line| grow(&mut detail, line, DETAIL));
    case.test.detail = detail;
    case.test.id = identity::id("", &[], &exit.command);
    case
}
