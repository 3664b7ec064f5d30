//! The results of a recorded command's tests: read from its output as it comes, and from the result files that it writes.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use globset::{GlobBuilder, GlobMatcher};
use rig_event::session::Outcome;
use rig_event::{Envelope, Event, Seq, ServiceName};
use rig_hub::{READ_BYTES, Stream};
use rig_results::formats::{LARGEST, form_of};
use rig_results::{Case, Exit, Project, Reader, read_file};

use super::ended::Ended;
use crate::output;

/// Most result files that are read.
const FILES: usize = 200;

/// Most files and folders of the project that are looked at.
const ENTRIES: usize = 100_000;

/// The deepest folder that is looked into.
const DEEPEST: usize = 12;

/// Bytes of a file by which it is known for a result file.
const HEAD: usize = 4_096;

/// The clock of a file system may be this much behind.
const BEHIND: Duration = Duration::from_millis(50);

/// Folders that hold no results of this run.
const PASSED_OVER: [&str; 8] =
    ["node_modules", ".git", "vendor", ".venv", "deps", "incremental", "site-packages", "__pycache__"];

/// Which result files to read, and the variables that make runners write them.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    patterns: Vec<GlobMatcher>,
    /// Variables for the command.
    pub(super) env: Vec<(&'static str, OsString)>,
    /// Where those files go. Removed with everything in it.
    folder: Option<tempfile::TempDir>,
}

impl Wanted {
    /// Takes the values of `--results` apart.
    ///
    /// # Errors
    /// If one is not a pattern.
    pub(super) fn of(values: &[String], command: &[OsString]) -> Result<Wanted, String> {
        let mut wanted = Wanted::default();
        for value in values {
            if value == "auto" {
                wanted.set_up(command);
                continue;
            }
            let glob = GlobBuilder::new(value.trim_start_matches("./")).literal_separator(true).build();
            let glob = glob.map_err(|error| format!("--results {}: {error}", output::plain(value)))?;
            wanted.patterns.push(glob.compile_matcher());
        }
        Ok(wanted)
    }

    /// Makes runners write result files, by variables that change nothing else.
    fn set_up(&mut self, command: &[OsString]) {
        let Ok(folder) = tempfile::Builder::new().prefix("rig-results-").tempdir() else { return };
        let path = folder.path().to_owned();
        let addopts = std::env::var("PYTEST_ADDOPTS").unwrap_or_default();
        let says = |word: &str| {
            addopts.contains(word) || command.iter().any(|arg| arg.to_string_lossy().contains(word))
        };
        if !says("--junitxml") && !says("--junit-xml") && !says("no:junitxml") {
            let file = path.join("pytest.xml");
            let options = format!("{addopts} --junitxml={} -o junit_family=xunit1", file.display());
            self.env.push(("PYTEST_ADDOPTS", options.trim().into()));
        }
        let unset = |name: &str| std::env::var_os(name).is_none();
        if unset("GTEST_OUTPUT") {
            let mut value = OsString::from("xml:");
            value.push(path.join("gtest"));
            value.push("/");
            self.env.push(("GTEST_OUTPUT", value));
        }
        if unset("PERL_TEST_HARNESS_DUMP_TAP") {
            self.env.push(("PERL_TEST_HARNESS_DUMP_TAP", path.join("tap").into()));
        }
        if unset("JEST_JUNIT_REPORT_TEST_SUITE_ERRORS") {
            self.env.push(("JEST_JUNIT_REPORT_TEST_SUITE_ERRORS", "true".into()));
        }
        let names: Vec<&str> = self.env.iter().map(|(name, _)| *name).collect();
        output::note(format!("rig: sets {} for result files", names.join(", ")));
        self.folder = Some(folder);
    }
}

/// Reads results while a command runs.
pub(super) struct Tests {
    reader: Reader,
    wanted: Wanted,
    /// Lines of the log so far.
    lines: u64,
    began: SystemTime,
    dir: PathBuf,
}

impl Tests {
    /// Begins, in the working directory.
    pub(super) fn begin(wanted: Wanted) -> Tests {
        let dir = std::env::current_dir().unwrap_or_default();
        let began = SystemTime::now() - BEHIND;
        Tests { reader: Reader::new(project(&dir)), wanted, lines: 0, began, dir }
    }

    /// Takes a text that the log gets as one event.
    pub(super) fn text(&mut self, stream: rig_results::Stream, text: &str) {
        self.lines += 1;
        for line in text.split('\n') {
            self.reader.line(stream, line, self.lines);
        }
    }

    /// Ends: the cases, whose output is numbered by lines of the log.
    pub(super) fn finish(self, command: &str, ended: &Ended) -> Vec<Case> {
        let signal =
            (ended.outcome == Outcome::Crashed && ended.code > 128).then(|| i32::from(ended.code) - 128);
        let code = if signal.is_some() { None } else { Some(i32::from(ended.code)) };
        let exit = Exit { command: command.to_owned(), code, signal };
        let mut sources = Vec::new();
        let (given, found) = self.files();
        for (path, is_given) in
            given.into_iter().map(|path| (path, true)).chain(found.into_iter().map(|path| (path, false)))
        {
            let shown = path.strip_prefix(&self.dir).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            let Ok(bytes) = fs::read(&path) else {
                output::note(format!("rig: the result file {} cannot be read", output::plain(&shown)));
                continue;
            };
            let read = read_file(&shown, &bytes, self.reader.project());
            // What was only found may be anything; a cut file is one that the run was to write.
            if let Some(error) =
                read.error.filter(|_| is_given || !read.cases.is_empty() || !bytes.is_empty())
            {
                output::note(format!("rig: the result file {}: {error}", output::plain(&shown)));
            }
            sources.push(read.cases);
        }
        let results = self.reader.finish(sources, &exit);
        for note in &results.notes {
            output::note(format!("rig: {note}"));
        }
        results.cases
    }

    /// Result files that the run wrote: those that were asked for, and those that are found.
    fn files(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let (mut given, mut found, mut left_out) = (Vec::new(), Vec::new(), 0);
        // Everything in the folder that the runners were told to write to.
        let own = self.wanted.folder.as_ref().map(|folder| walk(folder.path())).unwrap_or_default();
        given.extend(own.into_iter().map(|(path, ..)| path));
        let is_root = self.dir.parent().is_none();
        for (path, len, written) in if is_root { Vec::new() } else { walk(&self.dir) } {
            let relative = path.strip_prefix(&self.dir).unwrap_or(&path);
            let is_given =
                self.wanted.patterns.iter().any(|glob| glob.is_match(relative) || glob.is_match(&path));
            if !is_given && (written < self.began || !may_be_result(relative)) {
                continue;
            }
            if is_given && written < self.began {
                let shown = output::plain(&relative.to_string_lossy());
                output::note(format!("rig: the result file {shown} is older than the run, and is not read"));
                continue;
            }
            if !is_given && !is_result(&path) {
                continue;
            }
            if len > LARGEST as u64 || given.len() + found.len() >= FILES {
                left_out += 1;
                continue;
            }
            if is_given { given.push(path) } else { found.push(path) }
        }
        if left_out > 0 {
            let count = output::count(left_out, "result file");
            output::note(format!("rig: {count} left out: too large, or too many"));
        }
        (given, found)
    }
}

/// The files below a folder with their length and the time they were written, the folders in order.
fn walk(folder: &Path) -> Vec<(PathBuf, u64, SystemTime)> {
    let (mut files, mut folders, mut seen) = (Vec::new(), vec![(folder.to_owned(), 0)], 0);
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            seen += 1;
            if seen > ENTRIES {
                return files;
            }
            let Ok(kind) = entry.file_type() else { continue };
            let name = entry.file_name();
            if kind.is_dir() {
                if depth < DEEPEST && !PASSED_OVER.iter().any(|passed| name == *passed) {
                    folders.push((entry.path(), depth + 1));
                }
            } else if kind.is_file()
                && let Ok(meta) = entry.metadata()
            {
                files.push((entry.path(), meta.len(), meta.modified().unwrap_or(SystemTime::UNIX_EPOCH)));
            }
        }
    }
    files.sort();
    files
}

/// Returns true if a file's name is one that results may have.
fn may_be_result(path: &Path) -> bool {
    let end = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    matches!(end, "xml" | "trx" | "tap" | "json" | "jsonl")
}

/// Returns true if a file begins as results do.
fn is_result(path: &Path) -> bool {
    use std::io::Read as _;
    let mut head = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(HEAD as u64).read_to_end(&mut head));
    read.is_ok() && form_of(&path.to_string_lossy(), &head).is_some()
}

/// The facts about the project in a folder.
fn project(dir: &Path) -> Project {
    let mut project = Project::at(&dir.to_string_lossy().replace('\\', "/"));
    project.go_module = go_module(dir);
    let (here, known) = (dir.to_owned(), OnceCell::new());
    project.find = Some(Box::new(move |end: &str| {
        let name = end.rsplit('/').next().unwrap_or(end);
        let names: &HashMap<String, Vec<String>> = known.get_or_init(|| names(&here));
        let mut fits = names
            .get(name)?
            .iter()
            .filter(|path| path.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('/')));
        let first = fits.next()?;
        fits.next().is_none().then(|| first.clone())
    }));
    let here = dir.to_owned();
    project.is_file = Some(Box::new(move |path: &str| {
        !path.starts_with('/') && !path.contains("..") && here.join(path).is_file()
    }));
    project
}

/// The project's files by their names, relative to its folder.
fn names(dir: &Path) -> HashMap<String, Vec<String>> {
    let mut names: HashMap<String, Vec<String>> = HashMap::new();
    for (path, ..) in walk(dir) {
        let Ok(relative) = path.strip_prefix(dir) else { continue };
        let relative = relative.to_string_lossy().replace('\\', "/");
        let name = relative.rsplit('/').next().unwrap_or(&relative).to_owned();
        names.entry(name).or_default().push(relative);
    }
    names
}

/// The path of the Go module that a folder belongs to, down to the folder.
fn go_module(dir: &Path) -> Option<String> {
    let (root, text) =
        dir.ancestors().take(8).find_map(|at| Some((at, fs::read_to_string(at.join("go.mod")).ok()?)))?;
    let module = text.lines().find_map(|line| line.trim().strip_prefix("module "))?.trim();
    let below = dir.strip_prefix(root).ok()?.to_string_lossy().replace('\\', "/");
    Some(if below.is_empty() { module.to_owned() } else { format!("{module}/{below}") })
}

/// Replaces numbers of lines by the seqs of the events that hold them.
pub(super) async fn place(cases: &mut [Case], stream: &Stream, service: &ServiceName) {
    let mut wanted: HashMap<u64, Seq> = HashMap::new();
    for (first, last) in cases.iter().filter_map(|case| case.test.output) {
        wanted.extend([(first, 0), (last, 0)]);
    }
    let head = stream.head();
    let (mut next, mut line_number) = (1, 0);
    while !wanted.is_empty() && next <= head {
        let Ok(lines) = stream.read(next, head, READ_BYTES).await else { break };
        if lines.is_empty() {
            break;
        }
        for (seq, line) in lines.iter() {
            if rig_event::type_of(line) == b"service.log"
                && let Ok(Envelope { event: Event::ServiceLog(_), service: Some(of), .. }) =
                    Envelope::parse(line)
                && of == *service
            {
                line_number += 1;
                if let Some(place) = wanted.get_mut(&line_number) {
                    *place = seq;
                }
            }
            next = seq + 1;
        }
    }
    for case in cases {
        let seq = |line: u64| wanted.get(&line).copied().filter(|seq| *seq > 0);
        case.test.output = case.test.output.and_then(|(first, last)| Some((seq(first)?, seq(last)?)));
    }
}
