//! General rules for runners that are not known: a verdict and a name, and a place below them.

use rig_event::test::TestKind;

use crate::case::{Case, Fill as _};
use crate::place::{Project, find, is_foreign};
use crate::text::{Line, groups, patterns};

patterns! {
    VERDICT = r"^\W*(?:(?:\[|\()?(FAIL|FAILED|FAILURE|ERROR)(?:\]|\))?:? +|(✗|✘|×|✖|not ok) +)(.+?)\W*$";
    BEHIND = r"^(\S.*?)[ .:]+(?:\[|\()?(FAIL|FAILED|ERROR)(?:\]|\))?(?: .*)?$";
    SUREFIRE = r"^(\S.*?) +<<< (?:FAILURE|ERROR)!$";
    COUNTS = r"(?i)\b\d+ (?:tests? |specs? |examples? |checks? |cases? |scenarios? )?(?:failed|failures?|failing|passed|errors?)\b|\b(?:failed|failures|passed|errors?): *\d+\b";
    DURATION = r" *[(\[]?\d[\d.,]* ?(?:ms|s|sec|seconds)[)\]]?$";
}

/// Lines below a verdict in which its place may stand.
const REACH: usize = 30;

/// Most failures that are kept.
const MOST: usize = 1_000;

/// A failure that has no place yet.
#[derive(Debug)]
struct Open {
    name: String,
    at: u64,
    left: usize,
    message: String,
}

/// Looks for results of unknown runners.
#[derive(Debug, Default)]
pub struct Guess {
    open: Option<Open>,
    cases: Vec<Case>,
}

impl Guess {
    /// Takes a line.
    pub fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if text.trim().is_empty() {
            return;
        }
        let has_word = ["FAIL", "ERROR", "✗", "✘", "×", "✖", "not ok"].iter().any(|word| text.contains(word));
        if has_word && let Some(name) = name_of(text) {
            let is_counts = COUNTS.is_match(&name) || name.bytes().all(|byte| !byte.is_ascii_alphabetic());
            if !is_counts {
                self.open = Some(Open { name, at: line.at, left: REACH, message: String::new() });
                let here = find(text, project).filter(|place| project.has(&place.file));
                if here.is_some() {
                    self.placed(line, here, String::new());
                }
                return;
            }
        }
        let Some(open) = &mut self.open else { return };
        open.left -= 1;
        let place = find(text, project).filter(|place| !is_foreign(&place.file) && project.has(&place.file));
        if place.is_some() {
            let said = crate::place::leading(text.trim())
                .map(|(.., rest)| rest.trim_start_matches([':', ' ']).to_owned());
            self.placed(line, place, said.unwrap_or_default());
            return;
        }
        if open.message.is_empty() {
            text.trim().clone_into(&mut open.message);
        }
        if open.left == 0 {
            self.open = None;
        }
    }

    fn placed(&mut self, line: &Line<'_>, place: Option<crate::place::Place>, said: String) {
        let Some(open) = self.open.take() else { return };
        if self.cases.len() >= MOST {
            return;
        }
        let message = if open.message.is_empty() { said } else { open.message };
        let mut case = Case::failed::<&str>(&[], &open.name, TestKind::Failed).say(&message);
        case.test.put(place);
        case.test.guessed = true;
        case.test.runner = "unknown".to_owned();
        case.test.source = "output".to_owned();
        case.test.output = Some((open.at, line.at));
        self.cases.push(case);
    }

    /// Returns the failures, if the exit status says that there are some.
    pub fn finish(self, failed: bool) -> Vec<Case> {
        // Text that quotes such lines is no failure where the run passed.
        if failed { self.cases } else { Vec::new() }
    }
}

/// The name beside a verdict.
fn name_of(text: &str) -> Option<String> {
    let name = if let Some([_, _, name]) = groups::<3>(&VERDICT, text.trim_start()) {
        name
    } else if let Some([name]) = groups::<1>(&SUREFIRE, text) {
        name
    } else if let Some([name, _]) = groups::<2>(&BEHIND, text.trim()) {
        name
    } else {
        return None;
    };
    let name = DURATION.replace(name.trim(), "");
    let name = name.trim().trim_end_matches([':', '.', ' ']);
    (name.len() > 1 && name.len() < 300).then(|| name.to_owned())
}
