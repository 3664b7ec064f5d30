//! Checks licences and duplicate versions of everything that can be linked against `deny.toml`.
//!
//! `cargo deny check` reads the same file and checks more, but it takes minutes to build. Sources are among the house rules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use toml::Table;

/// Checks every package and names every breach.
pub fn check(root: &Path) -> Result<()> {
    let text = std::fs::read_to_string(root.join("deny.toml")).context("cannot read deny.toml")?;
    let rules = Rules::read(&text).context("deny.toml has a form that this check does not know")?;
    let tree = tree(root)?;
    let packages = packages(&tree).context("cargo tree has a form that this check does not know")?;
    let mut breaches = rules.licences(&packages);
    breaches.extend(rules.duplicates(&packages));
    println!("   {} packages, {} breaches", packages.len(), breaches.len());
    if breaches.is_empty() {
        return Ok(());
    }
    bail!("not as deny.toml wants it:\n  {}", breaches.join("\n  "));
}

/// The rules of `deny.toml`, as far as they are checked here.
struct Rules {
    /// Licences that every package may have.
    allowed: Vec<String>,
    /// Package, and a licence that only it may have.
    exceptions: Vec<(String, String)>,
    /// `NAME` or `NAME@VERSION` of packages whose dependencies may be there twice.
    trees: Vec<String>,
    /// The same of packages that may be there twice themselves.
    skipped: Vec<String>,
}

impl Rules {
    fn read(text: &str) -> Result<Rules> {
        let file: Table = text.parse()?;
        let list = |section: &str, name: &str| {
            let values = file.get(section).and_then(|section| section.get(name)?.as_array());
            values.cloned().with_context(|| format!("[{section}] has no list `{name}`"))
        };
        let text = |value: &toml::Value| value.as_str().map(str::to_owned).context("a text is expected");
        let krate = |entry: &toml::Value| text(entry.get("crate").context("an entry without `crate`")?);
        let krates = |name: &str| list("bans", name)?.iter().map(krate).collect::<Result<Vec<_>>>();
        let mut exceptions = Vec::new();
        for entry in list("licenses", "exceptions")? {
            for licence in entry.get("allow").and_then(toml::Value::as_array).into_iter().flatten() {
                exceptions.push((krate(&entry)?, text(licence)?));
            }
        }
        Ok(Rules {
            allowed: list("licenses", "allow")?.iter().map(text).collect::<Result<_>>()?,
            exceptions,
            trees: krates("skip-tree")?,
            skipped: krates("skip")?,
        })
    }

    fn licences(&self, packages: &BTreeMap<Id, Package>) -> Vec<String> {
        let refused = packages.iter().filter(|((name, _), package)| {
            let may = |licence: &str| {
                self.allowed.iter().any(|allowed| allowed == licence)
                    || self.exceptions.iter().any(|(only, its)| only == name && its == licence)
            };
            !satisfied(package.licence, &may)
        });
        let say = |((name, version), package): (&Id, &Package)| {
            format!("{name} {version} is under {:?}", package.licence)
        };
        refused.map(say).collect()
    }

    fn duplicates(&self, packages: &BTreeMap<Id, Package>) -> Vec<String> {
        let mut free = BTreeSet::new();
        let mut next: Vec<Id> = packages.keys().copied().filter(|id| is_among(*id, &self.trees)).collect();
        while let Some(id) = next.pop() {
            if free.insert(id) {
                next.extend(packages.get(&id).into_iter().flat_map(|package| &package.uses));
            }
        }
        let mut versions = BTreeMap::<&str, Vec<&str>>::new();
        for id in packages.keys() {
            if !free.contains(id) && !is_among(*id, &self.skipped) {
                versions.entry(id.0).or_default().push(id.1);
            }
        }
        versions.retain(|_, versions| versions.len() > 1);
        versions.iter().map(|(name, found)| format!("{name} is there as {}", found.join(" and "))).collect()
    }
}

/// The name and the version of a package.
type Id<'a> = (&'a str, &'a str);

/// A package that some build links.
#[derive(Default)]
struct Package<'a> {
    licence: &'a str,
    /// Its dependencies.
    uses: BTreeSet<Id<'a>>,
}

/// Returns true if a list has `NAME` or `NAME@VERSION` of a package; `@0.9` means every `0.9.x`.
fn is_among((name, version): Id, list: &[String]) -> bool {
    list.iter().any(|wanted| match wanted.split_once('@') {
        None => wanted == name,
        Some((wanted, its)) => {
            let rest = version.strip_prefix(its);
            wanted == name && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        }
    })
}

/// Returns the output of `cargo tree` for every feature on every system. `cargo metadata` would also name what no feature brings.
fn tree(root: &Path) -> Result<String> {
    let out = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--workspace", "--all-features", "--target", "all"])
        .args(["--edges", "normal,build,dev", "--prefix", "depth", "--format", " {p}|{l}|"])
        .current_dir(root)
        .output()
        .context("cargo could not be started")?;
    if !out.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(String::from_utf8(out.stdout)?)
}

/// The packages of a tree with a line for each, `DEPTH NAME vVERSION …|LICENCE|…`.
fn packages(tree: &str) -> Option<BTreeMap<Id<'_>, Package<'_>>> {
    let mut packages = BTreeMap::<Id, Package>::new();
    let mut above = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let (depth, rest) = line.split_once(' ')?;
        let (package, rest) = rest.split_once('|')?;
        let (licence, _) = rest.rsplit_once('|')?;
        let mut words = package.split(' ');
        let id = (words.next()?, words.next()?.strip_prefix('v')?);
        above.truncate(depth.parse().ok()?);
        if let Some(user) = above.last().and_then(|user| packages.get_mut(user)) {
            user.uses.insert(id);
        }
        above.push(id);
        packages.entry(id).or_default().licence = licence;
    }
    Some(packages)
}

/// Returns true if an SPDX expression can be kept with the licences that `may` accepts. `A/B` is an old form of `A OR B`.
fn satisfied(expression: &str, may: &impl Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let all = either(&mut words, may);
    all && words.peek().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(words: &mut Words, may: &impl Fn(&str) -> bool) -> bool {
    let mut one = both(words, may);
    while words.next_if_eq(&"OR").is_some() {
        // Both sides are read, whatever the first one came to.
        one |= both(words, may);
    }
    one
}

fn both(words: &mut Words, may: &impl Fn(&str) -> bool) -> bool {
    let mut all = single(words, may);
    while words.next_if_eq(&"AND").is_some() {
        all &= single(words, may);
    }
    all
}

fn single(words: &mut Words, may: &impl Fn(&str) -> bool) -> bool {
    match words.next() {
        Some("(") => {
            let inner = either(words, may);
            inner & words.next_if_eq(&")").is_some()
        }
        Some(licence) if words.next_if_eq(&"WITH").is_some() => {
            words.next().is_some_and(|exception| may(&format!("{licence} WITH {exception}")))
        }
        Some(licence) => may(licence),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENY: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0"]
        exceptions = [{ allow = ["Zlib"], crate = "hash" }]
        [bans]
        skip-tree = [{ crate = "old", reason = "why" }]
        skip = [{ crate = "twice@0.2", reason = "why" }]
    "#;

    #[track_caller]
    fn breaches(tree: &str, expected: &[&str]) {
        let (rules, packages) = (Rules::read(DENY).unwrap(), packages(tree).unwrap());
        let mut found = rules.licences(&packages);
        found.extend(rules.duplicates(&packages));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_licence_must_be_allowed() {
        breaches("0 a v1.0.0 (proc-macro)|MIT OR Apache-2.0|\n1 hash v1.0.0|Zlib| (*)\n", &[]);
        breaches("0 a v1.0.0|GPL-3.0|\n", &["a 1.0.0 is under \"GPL-3.0\""]);
        breaches("0 a v1.0.0|Zlib|\n", &["a 1.0.0 is under \"Zlib\""]);
        breaches("0 a v1.0.0||\n", &["a 1.0.0 is under \"\""]);
    }

    #[test]
    fn a_second_version_needs_a_reason() {
        breaches("0 a v1.0.0|MIT|\n1 a v2.0.0|MIT|\n", &["a is there as 1.0.0 and 2.0.0"]);
        breaches("0 twice v0.2.1|MIT|\n0 twice v0.3.0|MIT|\n", &[]);
        let other = "0 twice v0.20.1|MIT|\n0 twice v0.3.0|MIT|\n";
        breaches(other, &["twice is there as 0.20.1 and 0.3.0"]);
        // What stands below `old` may, and only that.
        let tree =
            "0 top v1.0.0|MIT|\n1 old v1.0.0|MIT|\n2 b v1.0.0|MIT|\n3 a v1.0.0|MIT|\n1 a v2.0.0|MIT|\n";
        breaches(tree, &[]);
        breaches(&tree.replace("old", "new"), &["a is there as 1.0.0 and 2.0.0"]);
        assert!(packages("0 a 1.0.0|MIT|\n").is_none());
    }

    #[test]
    fn expressions_are_read_as_spdx_has_them() {
        let may = |licence: &str| matches!(licence, "MIT" | "ISC" | "Apache-2.0");
        for fine in [
            "MIT",
            "GPL-3.0 OR MIT",
            "MIT/Apache-2.0",
            "MIT AND ISC",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
            "ISC AND (GPL-3.0 OR MIT)",
            "GPL-3.0 AND ISC OR MIT",
        ] {
            assert!(satisfied(fine, &may), "{fine}");
        }
        for not in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "MIT WITH x",
            "(MIT",
            "MIT)",
            "MIT MIT",
            "ISC AND (GPL-3.0 OR X)",
        ] {
            assert!(!satisfied(not, &may), "{not}");
        }
    }

    #[test]
    fn a_file_of_another_form_is_no_permission() {
        assert!(Rules::read("[licenses]\nallow = []\nexceptions = []\n").is_err());
        assert!(
            Rules::read("[licenses]\nallow = [1]\nexceptions = []\n[bans]\nskip = []\nskip-tree = []\n")
                .is_err()
        );
    }
}
