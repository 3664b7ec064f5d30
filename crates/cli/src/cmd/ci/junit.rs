//! A JUnit report: suites for each recording, with a case for each test, passed ones too, and for each other thing that failed.

use std::fmt::Write as _;

use rig_replay::explain::Explanation;

use super::Report;
use super::tests::{self, Seen};

/// The report.
pub(super) fn report(reports: &[Report]) -> String {
    let mut seen = Seen::new();
    let suites: Vec<Suite> = reports.iter().flat_map(|report| Suite::of(report, &mut seen)).collect();
    let sum = |count: fn(&Suite) -> usize| suites.iter().map(count).sum::<usize>();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuites tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">",
        sum(|suite| suite.cases.len()),
        sum(|suite| suite.number("failure")),
        sum(|suite| suite.number("error")),
        sum(Suite::skipped),
    );
    suites.iter().for_each(|suite| suite.write(&mut xml));
    xml.push_str("</testsuites>\n");
    xml
}

/// A suite of the report.
pub(super) struct Suite {
    pub(super) name: String,
    pub(super) milliseconds: u64,
    pub(super) cases: Vec<Case>,
    pub(super) stderr: String,
}

/// A case of the report.
pub(super) struct Case {
    class: String,
    name: String,
    file: Option<(String, Option<u64>)>,
    /// How long it took, in microseconds.
    pub(super) micros: Option<u64>,
    /// Why it was left out.
    pub(super) skipped: Option<String>,
    /// What went wrong.
    pub(super) wrong: Vec<Wrong>,
}

/// A failure, an error, or an earlier try that failed.
pub(super) struct Wrong {
    /// `failure`, `error` or `flakyFailure`.
    pub(super) element: &'static str,
    /// Its type.
    pub(super) kind: String,
    /// What it says, its message on the first line.
    pub(super) text: String,
}

impl Case {
    /// Returns a case that passed.
    pub(super) fn new(class: String, name: String, file: Option<(String, Option<u64>)>) -> Case {
        Case { class, name, file, micros: None, skipped: None, wrong: Vec::new() }
    }

    fn wrong(mut self, element: &'static str, kind: &str, text: String) -> Case {
        self.wrong.push(Wrong { element, kind: kind.to_owned(), text });
        self
    }

    fn write(&self, xml: &mut String) {
        let micros = self.micros.unwrap_or(0);
        let _ = write!(
            xml,
            "    <testcase classname=\"{}\" name=\"{}\" time=\"{}.{:06}\"",
            escaped(&self.class),
            escaped(&self.name),
            micros / 1_000_000,
            micros % 1_000_000
        );
        if let Some((file, line)) = &self.file {
            let _ = write!(xml, " file=\"{}\"", escaped(file));
            if let Some(line) = line {
                let _ = write!(xml, " line=\"{line}\"");
            }
        }
        if self.wrong.is_empty() && self.skipped.is_none() {
            xml.push_str("/>\n");
            return;
        }
        xml.push_str(">\n");
        if let Some(why) = &self.skipped {
            let _ =
                writeln!(xml, "      <skipped message=\"{}\"/>", escaped(&crate::output::short(why, 300)));
        }
        for Wrong { element, kind, text } in &self.wrong {
            let first = text.lines().next().unwrap_or_default();
            let (kind, first) = (escaped(kind), escaped(&crate::output::short(first, 300)));
            let _ = writeln!(
                xml,
                "      <{element} type=\"{kind}\" message=\"{first}\">{}</{element}>",
                escaped(text)
            );
        }
        xml.push_str("    </testcase>\n");
    }
}

impl Suite {
    /// The suites of a recording: what failed beside its tests, and its tests.
    fn of(report: &Report, seen: &mut Seen) -> Vec<Suite> {
        let name = report.name.clone();
        let it = match &report.explained {
            Ok(it) => it,
            Err(error) => {
                let case = Case::new(name.clone(), "recording".to_owned(), None);
                let cases = vec![case.wrong("error", "unreadable", error.clone())];
                return vec![Suite { name, milliseconds: 0, cases, stderr: String::new() }];
            }
        };
        let stderr = it.stderr.items.iter().fold(String::new(), |mut text, piece| {
            let _ = writeln!(text, "{}: {}", piece.service, piece.text.trim_end());
            text
        });
        let tests = report.tests.as_ref().map(|all| tests::suites(&name, all, seen)).unwrap_or_default();
        let mut cases = cases(it);
        if let Some(doubt) = &report.doubt {
            let case = Case::new(it.stream.clone(), "read to the end".to_owned(), None);
            cases.push(case.wrong("error", "incomplete", doubt.clone()));
        }
        if cases.is_empty() && tests.is_empty() {
            let case = Case::new(it.stream.clone(), "recording".to_owned(), None);
            cases.push(match it.is_failure() {
                true => case.wrong("failure", "outcome", format!("it ended as {}", it.outcome)),
                false => case,
            });
        }
        let mut suites = Vec::new();
        if !cases.is_empty() {
            suites.push(Suite { name, milliseconds: it.duration_ms, cases, stderr });
        }
        suites.extend(tests);
        suites
    }

    /// The number of cases with such an element.
    fn number(&self, element: &str) -> usize {
        self.cases.iter().filter(|case| case.wrong.iter().any(|wrong| wrong.element == element)).count()
    }

    fn skipped(&self) -> usize {
        self.cases.iter().filter(|case| case.skipped.is_some()).count()
    }

    fn write(&self, xml: &mut String) {
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{}.{:03}\">",
            escaped(&self.name),
            self.cases.len(),
            self.number("failure"),
            self.number("error"),
            self.skipped(),
            self.milliseconds / 1000,
            self.milliseconds % 1000
        );
        self.cases.iter().for_each(|case| case.write(xml));
        if !self.stderr.is_empty() {
            let _ = writeln!(xml, "    <system-err>{}</system-err>", escaped(&self.stderr));
        }
        xml.push_str("  </testsuite>\n");
    }
}

/// What failed beside the tests.
fn cases(it: &Explanation) -> Vec<Case> {
    let failure = |name: String, file: Option<(String, Option<u64>)>, kind: &str, text: String| {
        Case::new(it.stream.clone(), name, file).wrong("failure", kind, text)
    };
    let mut cases = Vec::new();
    for assertion in &it.assertions.items {
        let file = assertion.file.clone().zip(assertion.line);
        let place =
            file.as_ref().map_or_else(|| "assertion".to_owned(), |(file, line)| format!("{file}:{line}"));
        let file = file.map(|(file, line)| (file, Some(line)));
        cases.push(failure(
            place,
            file,
            "assertion",
            format!("{}\n(seq {})", assertion.message, assertion.seq),
        ));
    }
    for crash in &it.crashes.items {
        let who = crash.service.as_deref().unwrap_or("environment");
        cases.push(failure(
            format!("{who} {}", crash.type_name),
            None,
            &crash.type_name,
            format!("{}\n(seq {})", crash.error, crash.seq),
        ));
    }
    for failing in &it.failing.items {
        // That it was refused may be what the test wants.
        if failing.status != "4xx" {
            let text = format!("{} × {}, first at seq {}", failing.count, failing.status, failing.first_seq);
            cases.push(failure(
                format!("requests from {} to {}", failing.source, failing.target),
                None,
                "request",
                text,
            ));
        }
    }
    let more = it.assertions.more + it.crashes.more + it.failing.more;
    if more > 0 {
        cases.push(failure("more".to_owned(), None, "more", format!("{more} more failures")));
    }
    cases
}

/// Text in XML 1.0, of which it cannot hold every character at all.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&apos;"),
            '\n' => safe.push_str("&#10;"),
            '\t' => safe.push('\t'),
            '\r' => safe.push_str("&#13;"),
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            c if c < ' ' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn any_text_can_stand_in_xml() {
        assert_eq!(
            escaped("a<b> & \"c\"\u{0}\u{1b}\n]]>"),
            "a&lt;b&gt; &amp; &quot;c&quot;\u{fffd}\u{fffd}&#10;]]&gt;"
        );
    }
}
