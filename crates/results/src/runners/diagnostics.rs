//! Errors of compilers and linters. They are no tests: a build that failed takes the first for its message and place.

use crate::place::{Place, Project};
use crate::text::{Line, groups, patterns};

patterns! {
    RUSTC = r"^error(?:\[E\d+\])?: (.+)$";
    RUFF = r"^([A-Z]{1,4}\d{3,4})(?: \[\*\])? (.+)$";
    ARROW = r"^ *--> (.+?):(\d+):(\d+)$";
    COLONS = r"^((?:[A-Za-z]:)?[^\s:][^:]*):(\d+):(?:(\d+):)? (?:fatal )?error:? (.+)$";
    TSC = r"^(\S.*)\((\d+),(\d+)\): error (?:TS\d+: )?(.+)$";
    TSC_PRETTY = r"^(\S.*):(\d+):(\d+) - error (?:TS\d+: )(.+)$";
    CODED = r"^((?:[A-Za-z]:)?[^\s:][^:]*\.\w+):(\d+):(\d+): ([A-Z]{1,4}\d{3,5}:? .+)$";
    ESLINT_FILE = r"^(?:/|[A-Za-z]:[\\/]|\./)\S.*\.\w+$";
    ESLINT = r"^ +(\d+):(\d+) +error +(.+?)(?:  +(\S+))?$";
    GO = r"^(?:vet: )?((?:\./)?\S+\.go):(\d+):(\d+): (.+)$";
}

/// An error of a compiler or a linter.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// The error in words.
    pub message: String,
    /// Where.
    pub place: Option<Place>,
}

/// Most that are kept.
const MOST: usize = 100;

/// Collects errors.
#[derive(Debug, Default)]
pub struct Diagnostics {
    /// The first of them.
    pub found: Vec<Diagnostic>,
    /// A message whose place comes next.
    open: Option<String>,
    file: String,
}

impl Diagnostics {
    /// Takes a line.
    pub fn line(&mut self, line: &Line<'_>, project: &Project) {
        if self.found.len() >= MOST {
            return;
        }
        let text = line.text;
        let mut add = |message: &str, place: Option<Place>| {
            self.found.push(Diagnostic { message: message.trim().to_owned(), place });
        };
        if let Some(message) = self.open.as_ref().filter(|_| text.contains("--> ")) {
            if let Some([file, at, column]) = groups(&ARROW, text) {
                add(message, project.place(file, at, column));
                self.open = None;
            }
            return;
        }
        if !text.contains("error")
            && !text.contains(':')
            && !text.contains(['/', '\\'])
            && !text.starts_with(|c: char| c.is_ascii_uppercase())
        {
            return;
        }
        if let Some([message]) = groups(&RUSTC, text) {
            self.open = Some(message.to_owned());
        } else if let Some([file, at, column, message]) = groups(&COLONS, text) {
            add(message, project.place(file, at, column));
        } else if let Some([file, at, column, message]) = groups(&TSC, text)
            .or_else(|| groups(&TSC_PRETTY, text))
            .or_else(|| groups(&CODED, text))
            .or_else(|| groups(&GO, text))
        {
            add(message, project.place(file, at, column));
        } else if let Some([at, column, message, _]) = groups(&ESLINT, text).filter(|_| !self.file.is_empty())
        {
            add(message, project.place(&self.file, at, column));
        } else if ESLINT_FILE.is_match(text) {
            text.clone_into(&mut self.file);
        } else if let Some([code, message]) = groups(&RUFF, text) {
            self.open = Some(format!("{code} {message}"));
        }
    }
}
