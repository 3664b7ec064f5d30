//! Suites and cases of a JUnit report, and how they stand in XML.

use std::fmt::Write as _;

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
    /// Its duration, in microseconds.
    pub(super) micros: Option<u64>,
    /// The reason it was left out.
    pub(super) skipped: Option<String>,
    /// The failures and errors of it.
    pub(super) wrong: Vec<Wrong>,
}

/// A failure, an error, or an earlier try that failed.
pub(super) struct Wrong {
    /// `failure`, `error` or `flakyFailure`.
    pub(super) element: &'static str,
    /// Its type.
    pub(super) kind: String,
    /// The text, its message on the first line.
    pub(super) text: String,
}

impl Case {
    /// Returns a case that passed.
    pub(super) fn new(class: String, name: String, file: Option<(String, Option<u64>)>) -> Case {
        Case { class, name, file, micros: None, skipped: None, wrong: Vec::new() }
    }

    /// Adds what went wrong.
    pub(super) fn wrong(mut self, element: &'static str, kind: &str, text: String) -> Case {
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
    /// The number of cases with such an element.
    pub(super) fn number(&self, element: &str) -> usize {
        self.cases.iter().filter(|case| case.wrong.iter().any(|wrong| wrong.element == element)).count()
    }

    /// The number of cases that were left out.
    pub(super) fn skipped(&self) -> usize {
        self.cases.iter().filter(|case| case.skipped.is_some()).count()
    }

    /// Appends it to the report.
    pub(super) fn write(&self, xml: &mut String) {
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
