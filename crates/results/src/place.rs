//! Places in files as runners write them, and which files are the project's.

use crate::text::{groups, patterns};

/// A file, and where in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file, relative to the working directory where it lies below it, with `/` between folders.
    pub file: String,
    /// Line, from 1.
    pub line: Option<u64>,
    /// Column, from 1.
    pub column: Option<u64>,
}

/// Finds a file of the project by the end of its path.
type Find = Box<dyn Fn(&str) -> Option<String> + Send>;

/// Asks for a file of the project.
type IsFile = Box<dyn Fn(&str) -> bool + Send>;

/// The facts about the project that is tested.
#[derive(Default)]
pub struct Project {
    /// The working directory, absolute, with `/` between folders.
    pub dir: String,
    /// The folder below `dir` that the command is in at the moment: `make` and others say where they go.
    pub folder: String,
    /// The path of the Go module, where one is there.
    pub go_module: Option<String>,
    /// Returns the path of the file below `dir` whose path ends in the one given, if it is the only one.
    pub find: Option<Find>,
    /// Returns true if there is a file of that path below `dir`.
    pub is_file: Option<IsFile>,
}

impl Project {
    /// Returns a project in a folder of which nothing else is known.
    pub fn at(dir: &str) -> Project {
        Project { dir: dir.to_owned(), ..Project::default() }
    }

    /// Returns a path relative to the working directory.
    pub fn relative(&self, path: &str) -> String {
        let path = path.trim().trim_start_matches("file://").replace('\\', "/");
        let dir = self.dir.trim_end_matches('/');
        let path = match path.strip_prefix(dir).and_then(|rest| rest.strip_prefix('/')) {
            Some(rest) if !dir.is_empty() => rest.to_owned(),
            _ => path,
        };
        let path = path.trim_start_matches("./");
        let is_inside =
            path.starts_with('/') || has_drive(path) || path.starts_with("node:") || path.starts_with('<');
        match path.strip_prefix(&self.folder) {
            _ if self.folder.is_empty() || is_inside => path.to_owned(),
            Some(rest) if rest.starts_with('/') => path.to_owned(),
            _ => format!("{}/{path}", self.folder),
        }
    }

    /// Returns the place with its path relative.
    pub fn place(&self, file: &str, line: &str, column: &str) -> Option<Place> {
        let file = self.relative(file);
        let number = |text: &str| text.parse().ok().filter(|n| *n > 0);
        (!file.is_empty() && !file.starts_with('<')).then(|| Place {
            file,
            line: number(line),
            column: number(column),
        })
    }

    /// Returns the file of the project whose path ends so, or nothing.
    pub fn find(&self, end: &str) -> Option<String> {
        self.find.as_ref()?(end)
    }

    /// Returns true if a file is known to be there.
    pub fn has(&self, file: &str) -> bool {
        self.is_file.as_ref().is_some_and(|is_file| is_file(file))
    }
}

/// Returns true if a path is that of a library, a runtime or a tool, and not of the project.
pub fn is_foreign(path: &str) -> bool {
    const PARTS: [&str; 9] = [
        "node_modules/",
        "site-packages/",
        "dist-packages/",
        "/vendor/",
        "/.cargo/registry/",
        "/rustc/",
        "/.rustup/",
        "/usr/lib",
        "/gems/",
    ];
    const STARTS: [&str; 6] = ["node:", "<", "/usr/local/lib/", "/usr/include/", "internal/", "vendor/"];
    PARTS.iter().any(|part| path.contains(part)) || STARTS.iter().any(|start| path.starts_with(start))
}

/// Chooses among the frames of a failure, given from the outermost to the innermost: the last in the test's file, or the
/// last in the project, or none.
pub fn innermost<'a>(
    frames: impl DoubleEndedIterator<Item = &'a Place> + Clone,
    file: Option<&str>,
) -> Option<Place> {
    let own = |place: &&Place| !is_foreign(&place.file);
    let inside = |place: &&Place| own(place) && !place.file.starts_with('/') && !has_drive(&place.file);
    frames
        .clone()
        .rev()
        .find(|place| Some(place.file.as_str()) == file)
        .or_else(|| frames.clone().rev().find(inside))
        .or_else(|| frames.clone().rev().find(own))
        .cloned()
}

/// Returns true if a path begins with a drive letter.
fn has_drive(path: &str) -> bool {
    let bytes = path.as_bytes();
    bytes.len() > 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' && matches!(bytes[2], b'/' | b'\\')
}

/// Splits `path:LINE` or `path:LINE:COLUMN` at the start of a text from the rest. A drive letter's colon ends nothing.
pub fn leading(text: &str) -> Option<(&str, &str, &str, &str)> {
    let mut from = if has_drive(text) { 2 } else { 0 };
    loop {
        let colon = from + text.get(from..)?.find(':')?;
        let after = &text[colon + 1..];
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let ends = after[digits..].chars().next().is_none_or(|c| matches!(c, ':' | ' ' | ')' | ',' | '\t'));
        if digits > 0 && digits < 9 && ends && colon > 0 {
            let (line, rest) = after.split_at(digits);
            let column =
                rest.strip_prefix(':').map(|rest| rest.bytes().take_while(u8::is_ascii_digit).count());
            let (column, rest) = match column {
                Some(count) if count > 0 => (&rest[1..=count], &rest[count + 1..]),
                _ => ("", rest),
            };
            return Some((&text[..colon], line, column, rest));
        }
        from = colon + 1;
    }
}

patterns! {
    QUOTED = r#"File "([^"]+)", line (\d+)"#;
    ROUND = r"([^\s()]+\.\w+)\((\d+)(?:,(\d+))?\)";
    WORDS = r"\(?(?:in test file |file )?([^\s(),]+\.\w+), line (\d+)";
    COLONS = r#"((?:[A-Za-z]:)?[^\s:()"'<>\[\],]+\.\w+):(\d+)(?::(\d+))?"#;
    FRAME = r"^\s*(?:at |❯ |› |[-–] )?(?:async )?(?:.*\()?((?:file://|[A-Za-z]:[\\/])?[^():]*[^():\s]):(\d+):(\d+)\)?\s*$";
}

/// Finds the first place in a text, in any of the usual forms.
pub fn find(text: &str, project: &Project) -> Option<Place> {
    if !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    [&*QUOTED, &ROUND, &WORDS, &COLONS].into_iter().find_map(|pattern| {
        let [file, line, column] = groups(pattern, text)?;
        project.place(file, line, column)
    })
}

/// Reads a frame of a JavaScript stack: `at name (file:L:C)`, `at file:L:C`, `❯ file:L:C`, `name (file:L:C)`.
pub fn frame(text: &str, project: &Project) -> Option<Place> {
    if !text.contains(':') {
        return None;
    }
    let [file, line, column] = groups(&FRAME, text)?;
    let file = file.rsplit_once("(").map_or(file, |(_, file)| file);
    project.place(file.trim(), line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_their_usual_forms() {
        let project = Project::at("/src/app");
        let found = |text: &str| {
            let place = find(text, &project).unwrap();
            format!("{}:{}:{}", place.file, place.line.unwrap(), place.column.unwrap_or(0))
        };
        assert_eq!(found(r#"  File "/src/app/a b.py", line 20, in test_error"#), "a b.py:20:0");
        assert_eq!(found("src\\a.ts(2,9): error TS2322"), "src/a.ts:2:9");
        assert_eq!(found("(in test file orders.bats, line 7)"), "orders.bats:7:0");
        assert_eq!(found("./x/y.rs:3:4: bad"), "x/y.rs:3:4");
        assert_eq!(found("C:\\src\\a.py:12: x"), "C:/src/a.py:12:0");
        assert_eq!(find("at 12:30:05", &project), None);
    }

    #[test]
    fn a_leading_place_ends_at_its_number() {
        assert_eq!(leading("C:\\a b.py:12: bad"), Some(("C:\\a b.py", "12", "", ": bad")));
        assert_eq!(leading("a.rs:3:4: x"), Some(("a.rs", "3", "4", ": x")));
        assert_eq!((leading("a: b"), leading(":3:")), (None, None));
    }

    #[test]
    fn frames_of_javascript() {
        let project = Project::at("/w");
        let file = |text: &str| frame(text, &project).map(|place| (place.file, place.line.unwrap()));
        assert_eq!(file("    at Object.<anonymous> (/w/a.test.js:8:35)"), Some(("a.test.js".into(), 8)));
        assert_eq!(file("    at /w/a b/x.js:1:2"), Some(("a b/x.js".into(), 1)));
        assert_eq!(file(" ❯ orders.test.js:8:36"), Some(("orders.test.js".into(), 8)));
        assert_eq!(file("TestContext.<anonymous> (file:///w/t.js:21:46)"), Some(("t.js".into(), 21)));
        assert_eq!(file("    at Array.map (<anonymous>)"), None);
    }
}
