//! A JUnit report: a suite a recording, a case for each thing that failed, or one that says that nothing did.

use std::fmt::Write as _;

use rig_replay::explain::Explanation;

use super::Report;

/// The report.
pub(super) fn report(reports: &[Report]) -> String {
    let suites: Vec<Suite> = reports.iter().map(Suite::of).collect();
    let sum = |count: fn(&Suite) -> usize| suites.iter().map(count).sum::<usize>();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuites tests=\"{}\" failures=\"{}\" errors=\"{}\">",
        sum(|suite| suite.cases.len()),
        sum(Suite::failures),
        sum(Suite::errors)
    );
    suites.iter().for_each(|suite| suite.write(&mut xml));
    xml.push_str("</testsuites>\n");
    xml
}

struct Suite {
    name: String,
    milliseconds: u64,
    cases: Vec<Case>,
    stderr: String,
}

struct Case {
    class: String,
    name: String,
    file: Option<(String, u64)>,
    /// `failure` or `error`, its type, and what it says.
    wrong: Option<(&'static str, String, String)>,
}

impl Suite {
    fn of(report: &Report) -> Suite {
        let name = report.name.clone();
        match &report.explained {
            Ok(it) => {
                let stderr = it.stderr.items.iter().fold(String::new(), |mut text, piece| {
                    let _ = writeln!(text, "{}: {}", piece.service, piece.text.trim_end());
                    text
                });
                let mut cases = cases(it);
                if let Some(doubt) = &report.doubt {
                    let wrong = Some(("error", "incomplete".to_owned(), doubt.clone()));
                    let name = "read to the end".to_owned();
                    cases.push(Case { class: it.stream.clone(), name, file: None, wrong });
                }
                Suite { name, milliseconds: it.duration_ms, cases, stderr }
            }
            Err(error) => {
                let wrong = Some(("error", "unreadable".to_owned(), error.clone()));
                let case = Case { class: name.clone(), name: "recording".to_owned(), file: None, wrong };
                Suite { name, milliseconds: 0, cases: vec![case], stderr: String::new() }
            }
        }
    }

    fn failures(&self) -> usize {
        self.cases.iter().filter(|case| matches!(case.wrong, Some(("failure", ..)))).count()
    }

    fn errors(&self) -> usize {
        self.cases.iter().filter(|case| matches!(case.wrong, Some(("error", ..)))).count()
    }

    fn write(&self, xml: &mut String) {
        let _ = write!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"0\" time=\"{}.{:03}\"",
            escaped(&self.name),
            self.cases.len(),
            self.failures(),
            self.errors(),
            self.milliseconds / 1000,
            self.milliseconds % 1000
        );
        xml.push_str(">\n");
        for case in &self.cases {
            let _ = write!(
                xml,
                "    <testcase classname=\"{}\" name=\"{}\" time=\"0\"",
                escaped(&case.class),
                escaped(&case.name)
            );
            if let Some((file, line)) = &case.file {
                let _ = write!(xml, " file=\"{}\" line=\"{line}\"", escaped(file));
            }
            match &case.wrong {
                None => xml.push_str("/>\n"),
                Some((kind, what, text)) => {
                    let first = text.lines().next().unwrap_or_default();
                    let (what, first) = (escaped(what), escaped(&crate::output::short(first, 300)));
                    let _ = writeln!(
                        xml,
                        ">\n      <{kind} type=\"{what}\" message=\"{first}\">{}</{kind}>\n    </testcase>",
                        escaped(text)
                    );
                }
            }
        }
        if !self.stderr.is_empty() {
            let _ = writeln!(xml, "    <system-err>{}</system-err>", escaped(&self.stderr));
        }
        xml.push_str("  </testsuite>\n");
    }
}

fn cases(it: &Explanation) -> Vec<Case> {
    let failure = |name: String, file: Option<(String, u64)>, what: &str, text: String| Case {
        class: it.stream.clone(),
        name,
        file,
        wrong: Some(("failure", what.to_owned(), text)),
    };
    let mut cases = Vec::new();
    for assertion in &it.assertions.items {
        let file = assertion.file.clone().zip(assertion.line);
        let place =
            file.as_ref().map_or_else(|| "assertion".to_owned(), |(file, line)| format!("{file}:{line}"));
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
    if cases.is_empty() {
        let wrong =
            it.is_failure().then(|| ("failure", "outcome".to_owned(), format!("it ended as {}", it.outcome)));
        cases.push(Case { class: it.stream.clone(), name: "recording".to_owned(), file: None, wrong });
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
