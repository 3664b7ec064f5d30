//! Plain English in documentation: few doc lines begin with *Whether*, *What*, *Who*, *Whoever* or *How*.
//!
//! A summary says more when it begins with a verb (*Returns*, *Reads*, *Writes*) or a noun. At most 2 % of a file's doc
//! lines may begin with one of these words. `english.toml` lists the files that have not been rewritten yet, with the number of
//! such lines in each, and the share of all doc lines in the project; all these numbers may only fall.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::circles::Sources;

/// The list, from the workspace's folder.
pub const LIST: &str = "xtask/english.toml";

const WORDS: [&str; 5] = ["Whether", "What", "Who", "Whoever", "How"];

/// The most such lines in a file that is not listed, of a hundred.
const PERCENT: usize = 2;

const HEADER: &str = "\
# Documentation that is still to be rewritten in plain English (house rule, xtask/src/english.rs): of each file, the number of doc lines
# that begin with Whether, What, Who, Whoever or How. The numbers may only fall, and a file that is not listed has at most 2 % of such
# lines. `cargo xtask english` lowers the numbers and drops the files that are done; a file that moves takes its line along.
";

/// The doc lines of a file or of all files.
#[derive(Clone, Copy, Default)]
struct Count {
    lines: usize,
    asking: usize,
}

impl Count {
    fn of(text: &str) -> Count {
        let mut count = Count::default();
        for line in text.lines().map(|line| line.trim_start_matches(' ')) {
            let Some(doc) = line.strip_prefix("/// ").or_else(|| line.strip_prefix("//! ")) else { continue };
            count.lines += 1;
            let first = doc.split_once(' ').map(|(first, _)| first);
            count.asking += usize::from(first.is_some_and(|first| WORDS.contains(&first)));
        }
        count
    }

    fn is_plain(self) -> bool {
        self.asking * 100 <= self.lines * PERCENT
    }

    /// Returns the share of such lines in thousandths, rounded up.
    fn per_mille(self) -> usize {
        (self.asking * 1000).div_ceil(self.lines.max(1))
    }
}

/// The numbers that are checked in.
struct Listed {
    per_mille: usize,
    files: BTreeMap<PathBuf, usize>,
}

impl Listed {
    fn read(list: &str) -> Result<Listed> {
        let table: toml::Table = list.parse().with_context(|| format!("{LIST} is not TOML"))?;
        let number = |value: &toml::Value| usize::try_from(value.as_integer()?).ok();
        let per_mille = table.get("per_mille").and_then(number);
        let files = table.get("files").and_then(toml::Value::as_table);
        let files = files.into_iter().flatten().map(|(path, value)| {
            let allowed = number(value).with_context(|| format!("{LIST}: {path} is no number"))?;
            Ok((PathBuf::from(path), allowed))
        });
        Ok(Listed {
            per_mille: per_mille.with_context(|| format!("{LIST}: `per_mille` is missing"))?,
            files: files.collect::<Result<_>>()?,
        })
    }

    fn write(&self) -> String {
        let mut text = format!("{HEADER}\nper_mille = {}\n\n[files]\n", self.per_mille);
        for (path, allowed) in &self.files {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{:?} = {allowed}", path.display().to_string());
        }
        text
    }
}

/// Compares the documentation with the list; every difference, in words.
pub fn broken(sources: &Sources, list: &str) -> Result<Vec<String>> {
    let listed = Listed::read(list)?;
    let (counts, all) = counted(sources);
    let mut broken = Vec::new();
    for (path, count) in &counts {
        let Count { lines, asking } = *count;
        let shown = path.display();
        let many = format!("{shown}: {asking} of {lines} doc lines begin with {}", WORDS.join(", "));
        match listed.files.get(*path) {
            None if !count.is_plain() => broken.push(format!("{many}; at most {PERCENT} % may")),
            Some(allowed) if asking > *allowed => broken.push(format!("{many}; {LIST} allows {allowed}")),
            Some(allowed) if asking < *allowed || count.is_plain() => {
                broken.push(format!(
                    "{LIST}: {shown} has become better than listed; run `cargo xtask english`"
                ));
            }
            _ => {}
        }
    }
    for path in listed.files.keys().filter(|path| !counts.contains_key(path.as_path())) {
        broken.push(format!("{LIST}: {} is gone; if it moved, move its line", path.display()));
    }
    let share = all.per_mille();
    if share > listed.per_mille {
        broken.push(format!(
            "{share} ‰ of all doc lines begin with {}; {LIST} allows {}",
            WORDS.join(", "),
            listed.per_mille
        ));
    } else if share < listed.per_mille {
        println!(
            "   {LIST} allows {} ‰, and {share} ‰ is reached; run `cargo xtask english`",
            listed.per_mille
        );
    }
    Ok(broken)
}

/// Returns the list with every number lowered to what is reached; no number rises, and no file is added.
pub fn lowered(sources: &Sources, list: &str) -> Result<String> {
    let mut listed = Listed::read(list)?;
    let (counts, all) = counted(sources);
    listed.per_mille = listed.per_mille.min(all.per_mille());
    listed.files.retain(|path, allowed| {
        let Some(count) = counts.get(path.as_path()) else { return false };
        *allowed = count.asking.min(*allowed);
        !count.is_plain()
    });
    Ok(listed.write())
}

fn counted(sources: &Sources) -> (BTreeMap<&Path, Count>, Count) {
    let counts: BTreeMap<&Path, Count> =
        sources.iter().map(|(path, text)| (path.as_path(), Count::of(text))).collect();
    let all = counts.values().fold(Count::default(), |all, one| Count {
        lines: all.lines + one.lines,
        asking: all.asking + one.asking,
    });
    (counts, all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(files: &[(&str, usize, usize)]) -> Sources {
        let text =
            |asking, plain| "/// Whether it is.\n".repeat(asking) + &"    //! Returns it.\n".repeat(plain);
        files.iter().map(|(path, asking, plain)| (PathBuf::from(path), text(*asking, *plain))).collect()
    }

    #[test]
    fn doc_lines_are_counted_and_nothing_else() {
        let text = "//! How.\n//! How it is.\n    /// Whoever comes.\n/// Whatever.\n// What it is.\n////! What\n///\nfn what() {}\n";
        let count = Count::of(text);
        assert_eq!((count.lines, count.asking), (4, 2));
    }

    #[test]
    fn a_file_that_is_not_listed_is_plain() {
        let broken = |files: &[(&str, usize, usize)]| broken(&sources(files), "per_mille = 20\n").unwrap();
        assert_eq!(broken(&[("a.rs", 1, 49), ("b.rs", 0, 1), ("c.rs", 0, 0)]), Vec::<String>::new());
        let found = broken(&[("a.rs", 1, 48), ("b.rs", 0, 100)]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("a.rs: 1 of 49 doc lines begin with Whether, "), "{found:?}");
    }

    #[test]
    fn the_numbers_may_only_fall() {
        let files = sources(&[("a.rs", 10, 10), ("b.rs", 0, 80)]);
        let broken = |per_mille, allowed: &str| {
            broken(&files, &format!("per_mille = {per_mille}\n[files]\n{allowed}")).unwrap().join("\n")
        };
        assert_eq!(broken(100, "\"a.rs\" = 10"), "");
        assert_eq!(broken(130, "\"a.rs\" = 10"), "");
        assert!(broken(99, "\"a.rs\" = 10").starts_with("100 ‰ of all doc lines"));
        assert!(broken(100, "\"a.rs\" = 9").contains("allows 9"));
        assert!(broken(100, "\"a.rs\" = 11").contains("better than listed"));
        assert!(broken(100, "\"a.rs\" = 10\n\"b.rs\" = 0").contains("b.rs has become better"));
        assert!(broken(100, "\"a.rs\" = 10\n\"c.rs\" = 1").contains("c.rs is gone"));
    }

    #[test]
    fn lowering_drops_what_is_done_and_adds_nothing() {
        let files = sources(&[("a.rs", 5, 5), ("b.rs", 0, 80), ("c.rs", 9, 1), ("d.rs", 7, 0)]);
        let list = "per_mille = 500\n[files]\n\"a.rs\" = 8\n\"b.rs\" = 1\n\"c.rs\" = 3\n\"gone.rs\" = 3\n";
        let lowered = lowered(&files, list).unwrap();
        let written: toml::Table = lowered.parse().unwrap();
        let expected: toml::Table = "per_mille = 197\n[files]\n\"a.rs\" = 5\n\"c.rs\" = 3\n".parse().unwrap();
        assert_eq!(written, expected);
        assert!(lowered.starts_with(HEADER));
    }
}
