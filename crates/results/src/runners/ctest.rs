//! ctest.

use rig_event::test::TestKind;

use crate::case::{Fill as _, Verdict};
use crate::place::Project;
use crate::sheet::{Runner, Sheet, Sheets};
use crate::text::{Line, groups, patterns};

patterns! {
    BANNER = r"^Test project (\S.*)$";
    START = r"^ +Start +\d+: (.+)$";
    STATUS = r"^ *\d+/\d+ Test +#\d+: (.+?) \.*(?: +Passed|\*\*\*(.+?)) +([\d.]+) sec *$";
    FAILED = r"^\t *\d+ - (.+) \(([^()]+)\)(?: +\S.*)?$";
}

/// Reads ctest's output.
pub struct Ctest {
    sheets: Sheets,
    listing: bool,
}

impl Ctest {
    /// Begins.
    pub fn new() -> Ctest {
        Ctest { sheets: Sheets::new("ctest"), listing: false }
    }
}

impl Runner for Ctest {
    fn line(&mut self, line: &Line<'_>, _: &Project) {
        let text = line.text;
        if BANNER.is_match(text) {
            self.sheets.end(false);
            self.sheets.now(line);
            self.listing = false;
            return;
        }
        if !self.sheets.is_open() {
            return;
        }
        if let Some([name]) = groups(&START, text) {
            self.sheets.now(line).case::<&str>(&[], name);
        } else if let Some([name, how, seconds]) = groups(&STATUS, text) {
            let how = how.trim();
            let (verdict, kind) = match how {
                "" => (Verdict::Passed, None),
                "Skipped" => (Verdict::Skipped, Some(TestKind::Skipped)),
                how if how.starts_with("Not Run (Disabled") => (Verdict::Skipped, Some(TestKind::Disabled)),
                how if how.starts_with("Not Run") => (Verdict::Failed, Some(TestKind::Errored)),
                "Timeout" => (Verdict::Failed, Some(TestKind::Timeout)),
                how if how.starts_with("Exception") => (Verdict::Failed, Some(TestKind::Crashed)),
                _ => (Verdict::Failed, Some(TestKind::Failed)),
            };
            if let Some(case) = self.sheets.now(line).verdict::<&str>(&[], name, verdict, kind) {
                case.test.seconds(seconds);
                case.test.say(how);
                case.test.output = case.test.output.or(Some((line.at, line.at)));
            }
        } else if text == "The following tests FAILED:" {
            self.listing = true;
            self.sheets.now(line).ended = true;
        } else if text.contains("% tests passed, ") {
            self.sheets.now(line).ended = true;
        } else if self.listing {
            let Some([name, how]) = groups(&FAILED, text) else { return };
            let kind = match how {
                "Timeout" => TestKind::Timeout,
                "Not Run" => TestKind::Errored,
                "Failed" => TestKind::Failed,
                _ => TestKind::Crashed,
            };
            if let Some(case) = self.sheets.now(line).fail::<&str>(&[], name, kind) {
                case.test.say(how);
            }
        }
    }

    fn finish(self: Box<Self>, _: &Project) -> Vec<Sheet> {
        self.sheets.finish()
    }
}
