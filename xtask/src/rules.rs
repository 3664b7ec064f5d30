//! The house rules that a compiler does not know: sizes, openings, walls, and what must not stand in a tracked file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::circles::{self, Sources};
use crate::{edges, english};

const LONGEST_SOURCE: usize = 800;
const LONGEST_ARCHITECTURE: usize = 150;
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Folders of the machines this is written on. Spelled in two pieces, or this file would break its own rule.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/tm", "p/wt")];

/// Checks every rule and names every breach.
pub fn check(root: &Path) -> Result<()> {
    let files = tracked(root)?;
    let mut breaches = edges::broken(&metadata(root)?)?;
    for path in &files {
        let Ok(bytes) = std::fs::read(root.join(path)) else { continue };
        breaches.extend(in_file(path, &String::from_utf8_lossy(&bytes)));
    }
    let sources = sources(root, &files);
    breaches.extend(circles::broken(&sources, &read(root, circles::LIST)?)?);
    breaches.extend(english::broken(&sources, &read(root, english::LIST)?)?);
    println!("   {} files, {} breaches", files.len(), breaches.len());
    if breaches.is_empty() {
        return Ok(());
    }
    bail!("the house rules are broken:\n  {}", breaches.join("\n  "));
}

/// The breaches of one file.
fn in_file(path: &Path, text: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    let at = |line: usize, what: &str| format!("{}:{line}: {what}", path.display());
    let lines = text.lines().count();
    if path.extension().is_some_and(|ext| ext == "rs") {
        if lines > LONGEST_SOURCE {
            breaches.push(at(lines, &format!("more than {LONGEST_SOURCE} lines; split it along a seam")));
        }
        if !text.starts_with("//!") {
            breaches.push(at(1, "open with a `//!` sentence that says what the file is for"));
        }
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.trim_start();
            if !code.starts_with("//") && UNSAFE.iter().any(|form| code.contains(form)) {
                breaches.push(at(number, "unsafe code"));
            }
        }
    }
    if path == Path::new("ARCHITECTURE.md") && lines > LONGEST_ARCHITECTURE {
        breaches.push(at(lines, &format!("more than {LONGEST_ARCHITECTURE} lines")));
    }
    if path == Path::new("Cargo.lock") {
        for (number, line) in (1..).zip(text.lines()) {
            let source = line.strip_prefix("source = ").map(|source| source.trim_matches('"'));
            if source.is_some_and(|source| source != CRATES_IO) {
                breaches.push(at(number, "a package that is not from crates.io"));
            }
        }
    }
    let member = path.file_name().is_some_and(|name| name == "Cargo.toml") && path != Path::new("Cargo.toml");
    if member && !text.contains("[lints]\nworkspace = true") {
        breaches.push(at(1, "the workspace lints are not switched on: `[lints]` `workspace = true`"));
    }
    if path == Path::new("Cargo.toml") && !text.contains("unsafe_code = \"forbid\"") {
        breaches.push(at(1, "the workspace lints do not forbid unsafe code"));
    }
    for (number, line) in (1..).zip(text.lines()) {
        if MACHINE_PATHS.iter().any(|machine| line.contains(machine)) {
            breaches.push(at(number, "a path of one machine"));
        }
    }
    breaches
}

const UNSAFE: &[&str] = &[
    concat!("uns", "afe {"),
    concat!("uns", "afe fn"),
    concat!("uns", "afe impl"),
    concat!("allow(uns", "afe_code"),
    concat!("expect(uns", "afe_code"),
];

/// Prints every loop of files, as `circles.toml` would list it, and the shortest way around it; of a folder that is
/// named, every tie.
pub fn print_circles(root: &Path, folder: Option<&str>) -> Result<()> {
    for found in circles::find(&sources(root, &tracked(root)?))? {
        if folder.is_none() {
            println!(
                "{}# {}\n",
                found.entry(),
                found.shortest(&BTreeSet::new()).to_string().replace('\n', "\n#")
            );
        } else if folder.is_some_and(|folder| found.folder == Path::new(folder)) {
            found.ties().for_each(|tie| println!("{tie}"));
        }
    }
    Ok(())
}

/// Lowers the numbers in `english.toml` to what is reached.
pub fn lower_english(root: &Path) -> Result<()> {
    let lowered = english::lowered(&sources(root, &tracked(root)?), &read(root, english::LIST)?)?;
    std::fs::write(root.join(english::LIST), lowered)
        .with_context(|| format!("{} cannot be written", english::LIST))
}

/// Reads the Rust files.
fn sources(root: &Path, files: &[PathBuf]) -> Sources {
    let sources = files.iter().filter(|path| path.extension().is_some_and(|ext| ext == "rs"));
    sources.filter_map(|path| Some((path.clone(), std::fs::read_to_string(root.join(path)).ok()?))).collect()
}

fn read(root: &Path, path: &str) -> Result<String> {
    std::fs::read_to_string(root.join(path)).with_context(|| format!("{path} cannot be read"))
}

/// Tracked files and those that are about to be: new and not ignored.
fn tracked(root: &Path) -> Result<Vec<PathBuf>> {
    let out = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git could not be started")?;
    if !out.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    let names = String::from_utf8(out.stdout).context("a file name is not UTF-8")?;
    Ok(names.split_terminator('\0').map(PathBuf::from).collect())
}

fn metadata(root: &Path) -> Result<Vec<u8>> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()
        .context("cargo could not be started")?;
    if !out.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(out.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn breaches(path: &str, text: &str, expected: &[&str]) {
        let found = in_file(Path::new(path), text);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} should say {expected}");
        }
    }

    #[test]
    fn a_source_file_opens_with_its_purpose_and_stays_short() {
        breaches("a.rs", "//! Purpose.\nfn a() {}\n", &[]);
        breaches("a.rs", "fn a() {}\n", &["a.rs:1: open with"]);
        breaches("a.rs", &format!("//! Long.\n{}", "\n".repeat(800)), &["a.rs:801: more than 800"]);
        breaches("a.rs", concat!("//! P.\n// uns", "afe {\nuns", "afe { x() }\n"), &["a.rs:3: unsafe"]);
    }

    #[test]
    fn the_architecture_stays_a_page_or_two() {
        breaches("ARCHITECTURE.md", &"line\n".repeat(150), &[]);
        breaches("ARCHITECTURE.md", &"line\n".repeat(151), &["more than 150"]);
    }

    #[test]
    fn only_crates_io_and_no_machine_paths() {
        breaches("Cargo.lock", "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n", &[]);
        breaches("Cargo.lock", "source = \"registry+https://example.org/index\"\n", &["not from crates.io"]);
        breaches("README.md", concat!("see /wo", "rk/main\n"), &["README.md:1: a path"]);
    }

    #[test]
    fn every_member_takes_the_workspace_lints() {
        breaches("crates/a/Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n", &[]);
        breaches("crates/a/Cargo.toml", "[package]\n", &["workspace lints"]);
        breaches("Cargo.toml", "[workspace.lints.rust]\nunsafe_code = \"forbid\"\n", &[]);
    }
}
