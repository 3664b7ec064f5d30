//! No loops of files: in every folder, siblings import each other without a circle.
//!
//! A file and the folder of its child modules count as one among their siblings, and what a child takes from its parent
//! does not count. Imports are followed through `pub use` and type aliases to the file that declares what is used;
//! tests are left out. `circles.toml` lists the loops that remain, and may only shrink.

mod loops;
mod names;
mod tree;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

pub use self::loops::Loop;
use self::tree::Crate;
pub use self::tree::Sources;

/// The loops that remain, from the workspace's folder.
pub const LIST: &str = "xtask/circles.toml";

/// Finds the loops of every crate whose root is among the files.
pub fn find(sources: &Sources) -> Result<Vec<Loop>> {
    let mut found = Vec::new();
    for root in sources.keys().filter(|path| is_root(path)) {
        let krate = Crate::read(root, sources)?;
        found.extend(loops::find(&krate, &names::ties(&krate)));
    }
    Ok(found)
}

/// Compares the loops with those listed; every difference, in words.
pub fn broken(sources: &Sources, list: &str) -> Result<Vec<String>> {
    let listed = read(list)?;
    let mut seen = BTreeSet::new();
    let mut broken = Vec::new();
    for found in find(sources)? {
        let overlaps =
            |(folder, members): &Listed| *folder == found.folder && !members.is_disjoint(&found.members);
        let known: Vec<&Listed> = listed.iter().filter(|known| overlaps(known)).collect();
        seen.extend(known.iter().copied());
        if known.iter().any(|(_, members)| *members == found.members) {
            continue;
        }
        let known: BTreeSet<String> = known.into_iter().flat_map(|(_, members)| members).cloned().collect();
        let new: BTreeSet<String> = found.members.difference(&known).cloned().collect();
        let folder = found.folder.display();
        if new.is_empty() {
            broken.push(format!(
                "{LIST}: a loop in {folder} has become smaller; what is left of it:\n{}",
                found.entry()
            ));
        } else {
            broken.push(format!("{folder}: a loop of files: {}", found.shortest(&new)));
        }
    }
    for (folder, members) in listed.iter().filter(|listed| !seen.contains(listed)) {
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        broken.push(format!("{LIST}: no longer a loop: {}: {}", folder.display(), members.join(", ")));
    }
    Ok(broken)
}

/// Returns true for the file that a crate begins with.
fn is_root(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(Path::new(""));
    folder.ends_with("src/bin")
        || folder.ends_with("src") && (path.ends_with("lib.rs") || path.ends_with("main.rs"))
}

/// The folder and the members of a loop in the list.
type Listed = (PathBuf, BTreeSet<String>);

fn read(list: &str) -> Result<Vec<Listed>> {
    let table: toml::Table = list.parse().with_context(|| format!("{LIST} is not TOML"))?;
    let entries = table.get("loop").and_then(toml::Value::as_array).map_or(&[] as &[_], Vec::as_slice);
    let entry = |entry: &toml::Value| {
        let folder = entry.get("folder")?.as_str()?;
        let members = entry.get("members")?.as_array()?;
        let members: Option<BTreeSet<String>> =
            members.iter().map(|member| member.as_str().map(str::to_owned)).collect();
        Some((PathBuf::from(folder), members?))
    };
    entries
        .iter()
        .map(|value| entry(value).with_context(|| format!("{LIST}: a loop has `folder` and `members`")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crate in memory: the name of each file under `src`, and its text.
    fn sources(files: &[(&str, &str)]) -> Sources {
        files.iter().map(|(path, text)| (Path::new("src").join(path), (*text).to_owned())).collect()
    }

    /// Compares the loops with `FOLDER: SHORTEST WAY` of each, names left out.
    #[track_caller]
    fn loops(files: &[(&str, &str)], expected: &[&str]) {
        let found: Vec<String> = find(&sources(files))
            .unwrap()
            .iter()
            .map(|found| {
                let circle = found.shortest(&BTreeSet::new()).to_string();
                format!("{}: {}", found.folder.display(), circle.lines().next().unwrap_or_default())
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn siblings_that_import_each_other_are_a_loop() {
        let root = ("lib.rs", "mod a; mod b; mod c;");
        loops(
            &[root, ("a.rs", "use crate::b::B;"), ("b.rs", "pub struct B;"), ("c.rs", "use super::b;")],
            &[],
        );
        let a = ("a.rs", "pub struct A; fn f() { crate::b::g() }");
        loops(&[root, a, ("b.rs", "use super::a::A; pub fn g() {}"), ("c.rs", "")], &["src: a → b → a"]);
        let b = ("b.rs", "use super::c::{self, C as D}; pub fn g() -> D { c::new() }");
        loops(&[root, a, b, ("c.rs", "pub fn new() { super::a::A; }")], &["src: a → b → c → a"]);
    }

    #[test]
    fn re_exports_are_followed_to_the_file_that_declares() {
        let root = "mod a; mod b; pub use a::A; pub(crate) use self::b::inner::*;";
        let b = ("b.rs", "pub mod inner; use crate::A;");
        let inner = ("b/inner.rs", "pub struct B;");
        loops(
            &[("lib.rs", root), ("a.rs", "pub struct A; fn f(_: crate::B) {}"), b, inner],
            &["src: a → b → a"],
        );
        loops(&[("lib.rs", root), ("a.rs", "pub struct A; use crate::missing;"), b, inner], &[]);
        // A name that a macro declares is in no list, but stands where the path says.
        let a = ("a.rs", "types! { A }");
        loops(&[("lib.rs", "mod a; mod b; pub use a::A;"), a, ("b.rs", "use crate::A;")], &[]);
        let a = ("a.rs", "types! { A } use crate::b::X;");
        loops(
            &[("lib.rs", "mod a; mod b; pub use a::A;"), a, ("b.rs", "use crate::A;")],
            &["src: a → b → a"],
        );
    }

    #[test]
    fn type_aliases_are_followed_to_what_they_stand_for() {
        let files = |a| {
            [
                ("lib.rs", "mod a; mod hub; type Shared = std::sync::Arc<hub::Hub>;"),
                ("a.rs", a),
                ("hub.rs", "use crate::a::A; pub struct Hub;"),
            ]
        };
        loops(&files("pub struct A; fn f(shared: &crate::Shared) {}"), &["src: a → hub → a"]);
        loops(&files("pub struct A; use crate::Shared;"), &["src: a → hub → a"]);
        loops(&files("pub struct A; fn f(shared: &crate::Other) {}"), &[]);
        let found = find(&sources(&files("pub struct A; use super::Shared;"))).unwrap();
        assert_eq!(
            found[0].shortest(&BTreeSet::new()).to_string(),
            "a → hub → a\n      a.rs → hub.rs: Hub as Shared\n      hub.rs → a.rs: A"
        );
    }

    #[test]
    fn tests_are_left_out() {
        let b = ("b.rs", "use crate::a::A; pub struct B;");
        for a in [
            "pub struct A; #[cfg(test)] mod tests { use crate::b::B; }",
            "pub struct A; #[cfg(test)] use crate::b::B;",
            "pub struct A; #[cfg(all(test, unix))] mod tests { use crate::b::B; }",
            "pub struct A; impl A { #[cfg(test)] fn f(_: crate::b::B) {} }",
            "pub struct A; #[cfg(test)] mod tests;",
        ] {
            loops(&[("lib.rs", "mod a; mod b;"), ("a.rs", a), b, ("a/tests.rs", "use crate::b::B;")], &[]);
        }
        let a = "pub struct A; #[cfg(any(test, unix))] mod shown { use crate::b::B; }";
        loops(&[("lib.rs", "mod a; mod b;"), ("a.rs", a), b], &["src: a → b → a"]);
        loops(&[("tests/it/main.rs", "mod a; mod b;")], &[]);
    }

    #[test]
    fn a_parent_and_its_children_count_as_one() {
        let root = ("lib.rs", "mod a; mod b; pub struct Options;");
        let child = ("a/child.rs", "use super::{Limit, other::Other}; use crate::Options;");
        let other = ("a/other.rs", "pub struct Other; fn f(_: super::Limit) {}");
        let a = ("a/mod.rs", "mod child; mod other; pub struct Limit; use self::child::Child;");
        loops(&[root, a, child, other, ("b.rs", "use crate::a::Limit;")], &[]);
        // Among their own siblings they are one with their parent, whichever of them it is.
        let b = ("b.rs", "use crate::a::Limit; pub struct B;");
        let importing = ("a/other.rs", "pub struct Other; use crate::b::B;");
        loops(&[root, a, child, importing, b], &["src: a → b → a"]);
        // And the children have a folder of their own.
        let other = ("a/other.rs", "pub struct Other; use super::child::Child;");
        let a = ("a.rs", "mod child; mod other; pub struct Limit;");
        loops(&[root, a, child, other, ("b.rs", "")], &["src/a: child → other → child"]);
    }

    #[test]
    fn paths_count_wherever_they_stand() {
        let b = ("b.rs", "use crate::a::A; pub struct B;");
        for a in [
            "pub struct A; fn f() { println!(\"{}\", crate::b::B::new(1)); }",
            "pub struct A; fn f() { use crate::b; b::run(); }",
            "pub struct A; impl crate::b::Trait for A {}",
            "pub struct A; #[derive(D)] struct S { #[serde(with = \"crate::b::spelled\")] field: u8 }",
            "pub struct A; #[utoipa::path(responses((status = 200, body = crate::b::B)))] fn f() {}",
            "pub struct A; mod inline { pub fn f() -> Vec<super::super::b::B> {} }",
            "pub struct A; fn f() { match x { crate::b::B::One => (), _ => () } }",
        ] {
            loops(&[("lib.rs", "mod a; mod b;"), ("a.rs", a), b], &["src: a → b → a"]);
        }
        for a in [
            "pub struct A; /// See [`crate::b::B`].\nfn f() {}",
            "pub struct A; pub(in crate::b) struct S;",
            "pub struct A; fn f(b: u8) { b.max(b); format!(\"{}\", b.len()); }",
            "pub struct A; use ::b::B; use other::b;",
        ] {
            loops(&[("lib.rs", "mod a; mod b;"), ("a.rs", a), b], &[]);
        }
    }

    #[test]
    fn a_module_and_a_function_of_one_name_are_told_apart() {
        let root = ("lib.rs", "mod diff; pub use diff::{diff, rules::Rule};");
        let diff = ("diff/mod.rs", "pub mod rules; mod walk; pub use walk::diff;");
        let walk = ("diff/walk.rs", "use super::rules::Rule; pub fn diff() {}");
        loops(&[root, diff, walk, ("diff/rules.rs", "use crate::diff::walk_of; pub struct Rule;")], &[]);
        let calling = ("diff/rules.rs", "pub struct Rule; fn f() { crate::diff() }");
        loops(&[root, diff, walk, calling], &["src/diff: rules → walk → rules"]);
    }

    #[test]
    fn the_shortest_way_around_is_shown() {
        let a = "use crate::b::B; pub struct A;";
        let b = "use crate::c::C; pub struct B;";
        let c = "use crate::{a::A, d::D}; pub struct C;";
        let files = [
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", a),
            ("b.rs", b),
            ("c.rs", c),
            ("d.rs", "use super::c::C; pub struct D;"),
        ];
        loops(&files, &["src: c → d → c"]);
        let found = find(&sources(&files)).unwrap();
        let through = BTreeSet::from(["a".to_owned()]);
        assert!(found[0].shortest(&through).to_string().starts_with("a → b → c → a\n"));
    }

    #[test]
    fn the_list_may_only_shrink() {
        let files = sources(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "use crate::a::A; pub struct B;"),
            ("c.rs", "pub struct C;"),
        ]);
        let list = |members: &str| format!("[[loop]]\nfolder = \"src\"\nmembers = [{members}]\n");
        let broken = |list: &str| broken(&files, list).unwrap();
        assert_eq!(broken(&list("\"a\", \"b\"")), Vec::<String>::new());
        let new = broken("");
        assert!(new[0].starts_with("src: a loop of files: a → b → a\n"), "{new:?}");
        assert_eq!(new.len(), 1);
        let smaller = broken(&list("\"a\", \"b\", \"c\""));
        assert!(
            smaller[0].contains("has become smaller") && smaller[0].contains("[\"a\", \"b\"]"),
            "{smaller:?}"
        );
        let gone = broken(&[list("\"a\", \"b\""), list("\"c\", \"d\"")].concat());
        assert_eq!(gone, ["xtask/circles.toml: no longer a loop: src: c, d"]);
        assert!(super::broken(&files, "[[loop]]\n").is_err());
    }
}
