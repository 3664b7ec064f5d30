//! Patterns for files: paths with wildcards.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::Error;

/// The most steps that a path may have.
pub(super) const MAX_DEPTH: usize = 64;

/// A pattern for files: a path whose steps may contain `*`, `?`, `[a-z]` and `{a,b}`, and in which `**` stands for any number of
/// folders. Patterns match dotfiles only if they spell out the dot.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The path at which the steps begin: the root.
    pub(super) base: PathBuf,
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Name(OsString),
    Glob(GlobMatcher),
    /// Any number of folders.
    Any,
}

impl Pattern {
    /// Parses a pattern. A relative one begins in the current folder. The path of an existing file stands for that file, even
    /// with wildcards in it.
    ///
    /// # Errors
    /// [`Error::Pattern`], if a step cannot be parsed.
    pub fn new(pattern: &str) -> Result<Pattern, Error> {
        let bad = |why: String| Error::Pattern { pattern: pattern.escape_debug().to_string(), why };
        let path = std::path::absolute(pattern).map_err(|e| bad(e.to_string()))?;
        let literal = path.exists();
        let (mut base, mut steps) = (PathBuf::new(), Vec::new());
        for component in path.components() {
            let Component::Normal(name) = component else {
                match component {
                    Component::ParentDir => steps.push(Step::Name("..".into())),
                    root => base.push(root),
                }
                continue;
            };
            let text = name.to_str().filter(|text| !literal && text.contains(['*', '?', '[', '{']));
            match text {
                None => steps.push(Step::Name(name.to_owned())),
                Some("**") if matches!(steps.last(), Some(Step::Any)) => {}
                Some("**") => steps.push(Step::Any),
                Some(text) => {
                    let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
                    steps.push(Step::Glob(glob.map_err(|e| bad(e.kind().to_string()))?.compile_matcher()));
                }
            }
        }
        if matches!(steps.last(), Some(Step::Any)) {
            return Err(bad("it ends with **; say which files, as in **/*.yaml".to_owned()));
        }
        if steps.is_empty() || steps.len() > MAX_DEPTH {
            return Err(bad(format!("it must have 1 to {MAX_DEPTH} steps")));
        }
        if steps.iter().filter(|step| matches!(step, Step::Any)).count() > 3 {
            return Err(bad("it has ** more than three times".to_owned()));
        }
        Ok(Pattern { base, steps })
    }

    /// Returns the one file that the pattern stands for, if it has no wildcards.
    pub fn literal(&self) -> Option<PathBuf> {
        let names = self.steps.iter().map(|step| match step {
            Step::Name(name) => Some(name),
            _ => None,
        });
        let names = names.collect::<Option<PathBuf>>()?;
        Some(self.base.join(names))
    }

    /// Returns the folder in which everything lies that the pattern may match; `None` for one file, which was named by itself.
    pub(super) fn root(&self) -> Option<PathBuf> {
        let names = self.steps.iter().map_while(|step| match step {
            Step::Name(name) => Some(name),
            _ => None,
        });
        let names: Vec<_> = names.collect();
        (names.len() < self.steps.len()).then(|| self.base.join(names.into_iter().collect::<PathBuf>()))
    }

    /// Compares `path` with the pattern.
    pub(super) fn reach(&self, path: &Path) -> Reach {
        let Ok(rest) = path.strip_prefix(&self.base) else { return Reach::Beside };
        reach(&self.steps, &rest.iter().collect::<Vec<_>>())
    }
}

/// The relation of a path to a pattern.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    Beside,
    /// If it is a folder, matching files may be below it.
    Above,
    Meant,
}

fn reach(steps: &[Step], names: &[&OsStr]) -> Reach {
    match (steps, names) {
        ([], []) => Reach::Meant,
        ([], _) => Reach::Beside,
        (_, []) => Reach::Above,
        ([Step::Any, rest @ ..], [name, deeper @ ..]) => {
            let into = if is_hidden(name) { Reach::Beside } else { reach(steps, deeper) };
            reach(rest, names).max(into)
        }
        ([step, rest @ ..], [name, deeper @ ..]) => {
            if step.is_match(name) {
                reach(rest, deeper)
            } else {
                Reach::Beside
            }
        }
    }
}

impl Step {
    pub(super) fn is_match(&self, name: &OsStr) -> bool {
        match self {
            Step::Name(wanted) => wanted == name,
            Step::Glob(glob) => {
                glob.is_match(name) && (!is_hidden(name) || glob.glob().glob().starts_with('.'))
            }
            Step::Any => !is_hidden(name),
        }
    }
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_say_which_files_are_meant() {
        let table = [
            ("/etc/app/*.yaml", "/etc/app/a.yaml", Reach::Meant),
            ("/etc/app/*.yaml", "/etc/app/.a.yaml", Reach::Beside),
            ("/etc/app/.*.yaml", "/etc/app/.a.yaml", Reach::Meant),
            ("/etc/app/*.yaml", "/etc/app/x/a.yaml", Reach::Beside),
            ("/etc/app/*.yaml", "/etc/app", Reach::Above),
            ("/etc/app/*.yaml", "/etc/other", Reach::Beside),
            ("/etc/**/*.{yaml,toml}", "/etc/a.toml", Reach::Meant),
            ("/etc/**/*.{yaml,toml}", "/etc/a/b/c.yaml", Reach::Meant),
            ("/etc/**/*.{yaml,toml}", "/etc/a/b/c.json", Reach::Above),
            ("/etc/**/*.{yaml,toml}", "/etc/..data/c.yaml", Reach::Beside),
            ("/etc/**/conf/*", "/etc/a/conf/x", Reach::Meant),
            ("/srv/[ab]/x", "/srv/c/x", Reach::Beside),
        ];
        for (pattern, path, wanted) in table {
            assert!(Pattern::new(pattern).unwrap().reach(Path::new(path)) == wanted, "{pattern} {path}");
        }
        for bad in ["/etc/**", "/etc/[a", "/etc/{a", "/", "/**/a/**/b/**/c/**/d"] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
    }
}
