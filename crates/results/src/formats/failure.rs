//! The text of a failure in a result file: its first line that says something, and the place that it names.

use crate::place::{Place, Project, frame, innermost, is_foreign, leading};
use crate::runners::{java, rust::Panics};
use crate::text::{Line, Stream, clean, groups, patterns};

patterns! {
    PYTHON = r#"^\s+File "([^"]+)", line (\d+)"#;
    RUBY = r"^\s*(?:# )?(\S+\.rb):(\d+)";
    ERLANG = r"\((\S+\.[eh]rl), line (\d+)\)";
    TITLE = r"^(?:\[[^\]]+\] )?› (\S+?):(\d+):(\d+) › ";
    DOTNET = r" in (.+):line (\d+)";
}

/// Messages that say nothing.
const EMPTY: [&str; 6] = ["", "failed", "test failure", "failure", "error", "test failed"];

/// Returns true if a message says nothing.
pub fn is_empty(message: &str) -> bool {
    EMPTY.contains(&message.to_ascii_lowercase().trim_end_matches('.'))
}

/// Chooses the message: the attribute, or the first line of the text that says more.
pub fn message(attribute: &str, text: &str, test: &str, project: &Project) -> String {
    let lines = || attribute.lines().map(str::trim);
    let says = |line: &&str| {
        !line.starts_with("::in function")
            && !line.starts_with("in call from")
            && !is_empty(line)
            && !is_place(line)
            && *line != "unknown file"
    };
    // A panic's message is on its second line.
    let begins = |start: &str| attribute.starts_with(start) || text.trim_start().starts_with(start);
    if begins("thread '") || begins("note: ") {
        let (said, _) = panic(if text.trim().is_empty() { attribute } else { text }, test, project);
        if !said.is_empty() {
            return said;
        }
    }
    if let Some(line) = lines().find(says) {
        return full(line, text);
    }
    let mut after_trace = false;
    let found = text.lines().map(str::trim).find(|line| {
        // Go's own verdict is no message, and testify's has a name.
        let go = line.starts_with("=== ") || line.starts_with("--- ");
        after_trace |= line.starts_with("Error Trace:");
        says(line) && !go && !line.starts_with("Error Trace:") && !line.starts_with("Traceback (most recent")
    });
    let found = found.unwrap_or_default();
    let found = found.strip_prefix("**").unwrap_or(found);
    if let Some((_, _, _, rest)) = leading(found).filter(|(.., rest)| rest.starts_with(": ")) {
        return rest[2..].to_owned();
    }
    if found.starts_with("File \"") {
        let last = text.lines().rfind(|line| !line.starts_with(' ') && !line.trim().is_empty());
        return last.unwrap_or(found).trim().to_owned();
    }
    full(found.strip_prefix("Error: ").filter(|_| after_trace).unwrap_or(found), text)
}

/// The line of the text that has the message with its type before it.
fn full(message: &str, text: &str) -> String {
    let end = format!(": {message}");
    let typed = text.lines().map(str::trim).take(200).find(|line| {
        line.ends_with(&end)
            && line.len() < message.len() + 100
            && !line.starts_with("E ")
            && line.split([':', ' ']).next().is_some_and(|word| word.ends_with("Error"))
    });
    typed.unwrap_or(message).to_owned()
}

/// Returns true if a line is a place and nothing else.
fn is_place(line: &str) -> bool {
    leading(line).is_some_and(|(path, _, _, rest)| rest.is_empty() && !path.contains(' '))
}

fn panic(text: &str, test: &str, project: &Project) -> (String, Option<Place>) {
    let mut panics = Panics::of(test);
    for text in text.lines() {
        panics.line(&Line { text, stream: Stream::Stdout, at: 0 }, text, project);
    }
    panics.read()
}

/// Finds the place of a failure in its text. `file` is where the test is, `class` what it is called.
pub fn place(text: &str, test: &str, file: Option<&str>, class: &str, project: &Project) -> Option<Place> {
    if text.contains("panicked at") || text.contains("did not panic as expected at") {
        return panic(text, test, project).1;
    }
    let mut titled = None;
    let (mut python, mut script, mut java, mut leads) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for line in text.lines().take(2_000) {
        let line = clean(line);
        let trimmed = line.trim_start();
        if let Some([file, at]) = groups::<2>(&PYTHON, &line) {
            python.extend(project.place(file, at, ""));
        } else if let Some([file, at, column]) = groups::<3>(&TITLE, trimmed) {
            titled = titled.or_else(|| project.place(file, at, column));
        } else if trimmed.starts_with("at ") {
            if let Some(found) = java::frame(&line, project) {
                java.push(found);
            } else if let Some([file, at]) = groups::<2>(&DOTNET, &line) {
                script.extend(project.place(file, at, ""));
            } else {
                script.extend(frame(&line, project));
            }
        } else if trimmed.starts_with('❯') || (trimmed.contains("(file:///") && trimmed.ends_with(')')) {
            script.extend(frame(&line, project));
        } else if let Some([file, at]) = groups::<2>(&RUBY, &line) {
            script.extend(project.place(file, at, ""));
        } else if let Some([file, at]) = groups::<2>(&ERLANG, &line) {
            leads.extend(project.place(file, at, ""));
        } else if let Some((path, at, column, rest)) = leading(trimmed)
            && (rest.is_empty() || rest.starts_with(':'))
            && !trimmed.starts_with(['>', '+', '|'])
            && path.contains('.')
            && !path.contains(['(', '"', '\''])
        {
            leads.extend(project.place(path, at, column));
        }
    }
    let own = |place: &&Place| !is_foreign(&place.file);
    if !java.is_empty() {
        return java::choose(&java, class);
    }
    if !python.is_empty() {
        return innermost(python.iter(), file);
    }
    if script.iter().any(|place| own(&place)) {
        return innermost(script.iter().rev(), file);
    }
    // pytest's frames end with the innermost; elsewhere the first says it.
    let is_pytest = leads.iter().any(|place| place.file.ends_with(".py"));
    let found = if is_pytest { innermost(leads.iter(), file) } else { leads.iter().find(own).cloned() };
    found.or(titled)
}
