//! Where a field came from: a file and line, an environment variable, a default.
//!
//! A source has one spelling, in snapshot files, over HTTP and in events: `file:config.yaml:12` (the line may be missing),
//! `env:APP_DATABASE__HOST`, `default`, and words of other programs such as `flag:--port`. It is a name and never a value:
//! what does not look like a name, or looks like a secret, is read as `unknown`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::secrets;

/// The longest name of a source, in bytes.
pub const MAX_SOURCE: usize = 512;

/// Where a value was written down.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A file, and the line in it where it is known.
    File {
        /// The name as the program was given it.
        name: Arc<str>,
        /// From 1.
        line: Option<u32>,
    },
    /// An environment variable, by its whole name.
    Variable(Arc<str>),
    /// Nobody wrote it: the program's own value.
    Default,
    /// Another program's name for it.
    Other(Arc<str>),
    /// Not known, or not fit to be repeated.
    Unknown,
}

/// Where a field came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its source.
    pub source: Source,
    /// True if the program's author marked the field as a secret.
    pub secret: bool,
}

/// The origin of each field that has one, by flat path.
pub type Provenance = BTreeMap<String, Origin>;

impl Source {
    /// A file, with the line where it is known.
    pub fn file(name: &str, line: Option<u32>) -> Source {
        if is_name(name) { Source::File { name: name.into(), line } } else { Source::Unknown }
    }

    /// An environment variable.
    pub fn variable(name: &str) -> Source {
        let fine = is_name(name) && !name.contains('=');
        if fine { Source::Variable(name.into()) } else { Source::Unknown }
    }

    /// The line, where the source is a file and it is known.
    pub fn line(&self) -> Option<u32> {
        match self {
            Source::File { line, .. } => *line,
            _ => None,
        }
    }

    /// The source without its line, as Rigging names it.
    pub fn name(&self) -> String {
        match self {
            Source::File { name, .. } => format!("file:{name}"),
            other => other.to_string(),
        }
    }
}

impl From<Source> for Origin {
    fn from(source: Source) -> Origin {
        Origin { source, secret: false }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File { name, line: Some(line) } => write!(f, "file:{name}:{line}"),
            // Line 0 keeps a name that ends like one from being taken for a line.
            Source::File { name, line: None } if split_line(name).1.is_some() => write!(f, "file:{name}:0"),
            Source::File { name, line: None } => write!(f, "file:{name}"),
            Source::Variable(name) => write!(f, "env:{name}"),
            Source::Default => f.write_str("default"),
            Source::Other(name) => f.write_str(name),
            Source::Unknown => f.write_str("unknown"),
        }
    }
}

impl FromStr for Source {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        if let Some(file) = text.strip_prefix("file:") {
            let (name, line) = split_line(file);
            return Ok(Source::file(name, line.filter(|line| *line > 0)));
        }
        if let Some(name) = text.strip_prefix("env:") {
            return Ok(Source::variable(name));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || " _-./:#()[],+".contains(c);
        Ok(match text {
            "default" => Source::Default,
            "unknown" => Source::Unknown,
            other if is_name(other) && other.chars().all(plain) => Source::Other(other.into()),
            _ => Source::Unknown,
        })
    }
}

/// A name and the line behind it, if there is one.
fn split_line(file: &str) -> (&str, Option<u32>) {
    let line =
        |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    match file.rsplit_once(':') {
        Some((name, digits)) if !name.is_empty() => match line(digits) {
            Some(line) => (name, Some(line)),
            None => (file, None),
        },
        _ => (file, None),
    }
}

/// Returns true if the text can be kept as a name.
fn is_name(text: &str) -> bool {
    (1..=MAX_SOURCE).contains(&text.len())
        && !text.contains(char::is_control)
        && !secrets::is_secret_key(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_reads_back_as_it_was_written() {
        for text in [
            "file:a.yaml:12",
            "file:a.yaml",
            "file:a:7:0",
            "file:C:\\conf\\app.ini:3",
            "file:dir with blanks/ü.toml",
            "env:APP_DATABASE__HOST",
            "default",
            "unknown",
            "flag:--port",
            "override (cli)",
            "profile[prod], layer 2",
        ] {
            let source: Source = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
        }
        let odd = Source::file("a:7", None);
        assert_eq!(odd.to_string().parse(), Ok(odd));
        assert_eq!(Source::file("a.yaml", Some(12)).name(), "file:a.yaml");
    }

    #[test]
    fn what_is_no_name_or_looks_like_a_secret_is_not_kept() {
        let long = "x".repeat(MAX_SOURCE + 1);
        for text in [
            "file:",
            "env:",
            "env:A=hunter2",
            "file:a\nb",
            "file:ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "postgres://app:hunter2@db/x",
            "what {is} this",
            "",
            &long,
        ] {
            assert_eq!(text.parse(), Ok(Source::Unknown), "{text}");
        }
    }
}
