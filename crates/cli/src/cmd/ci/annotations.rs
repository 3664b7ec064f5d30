//! Workflow commands of GitHub that point at what failed.

use rig_replay::explain::Explanation;

use super::Report;

/// GitHub shows no more of them from one step.
pub(super) const MOST: usize = 10;

/// The longest message, in characters.
const LONGEST: usize = 1_000;

/// A thing to point at.
struct Point {
    file: Option<String>,
    line: Option<u64>,
    title: String,
    message: String,
}

/// At most ten commands, the failed assertions first.
pub(super) fn lines(reports: &[Report]) -> Vec<String> {
    let mut points = Vec::new();
    let mut all = 0;
    for report in reports {
        if let Ok(it) = &report.explained {
            all += it.failed_tests.total();
            for tested in &it.failed_tests.items {
                let test = &tested.test;
                points.push(Point {
                    file: test.file.clone(),
                    line: test.line,
                    title: crate::output::short(&test.full_name(), 200),
                    message: format!("{} (seq {} of {})", test.message, tested.seq, report.name),
                });
            }
            all += it.assertions.total();
            for assertion in &it.assertions.items {
                points.push(Point {
                    file: assertion.file.clone(),
                    line: assertion.line,
                    title: format!("{}: failed assertion", it.stream),
                    message: format!("{} (seq {} of {})", assertion.message, assertion.seq, report.name),
                });
            }
        }
    }
    for report in reports {
        match &report.explained {
            Ok(it) => {
                all += it.crashes.total();
                for crash in &it.crashes.items {
                    let who = crash.service.as_deref().unwrap_or(&it.stream);
                    points.push(Point {
                        file: None,
                        line: None,
                        title: format!("{who}: {}", crash.type_name),
                        message: format!("{} (seq {} of {})", crash.error, crash.seq, report.name),
                    });
                }
                if it.failed_tests.items.is_empty()
                    && it.assertions.items.is_empty()
                    && it.crashes.items.is_empty()
                    && it.is_failure()
                {
                    all += 1;
                    points.push(Point {
                        file: None,
                        line: None,
                        title: format!("{}: {}", it.stream, it.outcome),
                        message: first_failure(it, report),
                    });
                }
            }
            Err(error) => {
                all += 1;
                let title = "a recording that cannot be read".to_owned();
                points.push(Point {
                    file: None,
                    line: None,
                    title,
                    message: format!("{}: {error}", report.name),
                });
            }
        }
    }
    let fits = if all > MOST { MOST - 1 } else { MOST };
    let mut lines: Vec<String> = points.iter().take(fits).map(Point::command).collect();
    if all > lines.len() {
        lines.push(format!("::error::{} more failures, see the summary", all - lines.len()));
    }
    lines
}

fn first_failure(it: &Explanation, report: &Report) -> String {
    match &it.first_failure {
        Some(first) => format!("first failure: {} at seq {} of {}", first.type_name, first.seq, report.name),
        None => format!("{} ended as {}", report.name, it.outcome),
    }
}

impl Point {
    fn command(&self) -> String {
        let mut properties = Vec::new();
        if let Some(file) = &self.file {
            properties.push(format!("file={}", property(file)));
        }
        if let Some(line) = self.line {
            properties.push(format!("line={line}"));
        }
        properties.push(format!("title={}", property(&self.title)));
        format!("::error {}::{}", properties.join(","), data(&crate::output::short(&self.message, LONGEST)))
    }
}

/// What GitHub's own toolkit escapes in a message.
fn data(text: &str) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    // Other control characters, and what turns a line around, would only disturb the log.
    text.chars().filter(|c| !c.is_control() && !crate::output::steers(*c)).collect()
}

/// What it escapes in a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_end_a_property_or_begin_a_command() {
        let point = Point {
            file: Some("a,b:c.go".into()),
            line: Some(7),
            title: "x::y,z".into(),
            message: "100%\n::set-env name=PATH::evil\r\u{1b}[2J\u{202e}".into(),
        };
        assert_eq!(
            point.command(),
            "::error file=a%2Cb%3Ac.go,line=7,title=x%3A%3Ay%2Cz::100%25%0A::set-env name=PATH::evil%0D[2J"
        );
    }
}
