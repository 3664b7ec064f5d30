//! Result files, one module a form.

pub(crate) mod failure;
pub(crate) mod jest_json;
pub(crate) mod junit;
pub(crate) mod trx;

use crate::case::Case;
use crate::place::Project;
use crate::runners::{go, libtest, tap};
use crate::sheet::Runner;
use crate::text::{Line, Stream, clean};

/// Largest result file that is read.
pub const LARGEST: usize = 30 << 20;

/// The results of a file.
#[derive(Debug, Default)]
pub struct FileRead {
    /// `junit`, `trx`, `tap` or `json`.
    pub form: &'static str,
    /// Its tests.
    pub cases: Vec<Case>,
    /// Why it could not be read to its end.
    pub error: Option<String>,
}

/// Returns the form of a result file, by its first bytes, or nothing if it is none.
pub fn form_of(name: &str, head: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(&head[..head.len().min(4096)]);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with('<') {
        // Declarations and comments come before the root.
        let root = |name: &str| {
            text.find(&format!("<{name}")).is_some_and(|at| {
                let after = text[at + 1 + name.len()..].chars().next();
                after.is_none_or(|c| c.is_whitespace() || matches!(c, '>' | '/'))
            })
        };
        return match () {
            () if root("testsuites") || root("testsuite") => Some("junit"),
            () if root("TestRun") => Some("trx"),
            () => None,
        };
    }
    if text.starts_with('{') {
        let is_lines = text.lines().next().is_some_and(|line| {
            line.contains("\"Action\":") || (line.contains("\"type\"") && line.contains("\"event\""))
        });
        let is_jest = text.contains("\"numTotalTestSuites\"") || text.contains("\"numFailedTestSuites\"");
        return (is_lines || is_jest).then_some("json");
    }
    let is_tap = text.starts_with("TAP version ")
        || (name.ends_with(".tap") && (text.contains("1..") || text.contains("ok ")));
    is_tap.then_some("tap")
}

/// Reads a result file. A damaged one gives what was read, and an error.
pub fn read_file(name: &str, bytes: &[u8], project: &Project) -> FileRead {
    let bytes = &bytes[..bytes.len().min(LARGEST)];
    let Some(form) = form_of(name, bytes) else {
        return FileRead {
            error: Some("it is no result file of a known form".to_owned()),
            ..FileRead::default()
        };
    };
    let (mut cases, error) = match form {
        "junit" => junit::read(bytes, project),
        "trx" => trx::read(bytes, project),
        "tap" => (lines(bytes, Box::new(tap::Tap::new()), project), None),
        _ => match serde_json::from_slice(bytes) {
            Ok(value) if jest_json::is(&value) => (jest_json::read(&value, project), None),
            Ok(_) | Err(_) => {
                let mut cases = lines(bytes, Box::new(go::Go::new()), project);
                cases.extend(lines(bytes, Box::new(libtest::Libtest::new()), project));
                let error = cases.is_empty().then(|| "it has no results".to_owned());
                (cases, error)
            }
        },
    };
    for case in &mut cases {
        form.clone_into(&mut case.test.source);
        case.test.report = Some(name.to_owned());
        case.test.output = None;
    }
    FileRead { form, cases, error }
}

/// Reads a file of lines as the runner's output is read.
fn lines(bytes: &[u8], mut runner: Box<dyn Runner>, project: &Project) -> Vec<Case> {
    let text = String::from_utf8_lossy(bytes);
    for (at, line) in text.lines().enumerate() {
        // A line of JSON is cut only where it says nothing that is needed.
        let text = if line.starts_with('{') { line.into() } else { clean(line) };
        runner.line(&Line { text: &text, stream: Stream::Stdout, at: at as u64 }, project);
    }
    runner.finish(project).into_iter().flat_map(|sheet| sheet.cases).collect()
}
