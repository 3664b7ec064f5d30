//! `cargo xtask bench build`: what the README's first command costs on a fresh machine, beside an earlier revision.
//!
//! Each of the two revisions is built once, with nothing built before, by `cargo run --release`. Everything is downloaded
//! before the clock runs. What counts are the ratios: the machine and its load are the same for both, or nearly so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// The processor time of this tree's build, beside the base's.
const CPU_BAR: f64 = 0.65;
/// The same of the time on the clock.
const WALL_BAR: f64 = 0.55;
/// The largest program that may be shipped, in MB.
const SIZE_BAR: f64 = 25.0;

/// The build of the README's first command, without the demo: the program only says its version.
const FIRST_COMMAND: &[&str] = &["run", "--release", "--locked", "--", "--version"];

/// One cold build.
struct Build {
    what: String,
    cpu: f64,
    wall: f64,
    size: f64,
}

/// Runs it; the option is `--base REV`, by default the last revision whose releases were linked with LTO.
pub fn run(root: &Path, options: &[&str]) -> Result<()> {
    let base = match options {
        [] => before_dist(root)?,
        ["--base", base] => git(root, &["rev-parse", "--verify", &format!("{base}^{{commit}}")])?,
        _ => bail!("the only option is --base REV"),
    };
    let folder = std::env::temp_dir().join(format!("rig-bench-build-{}", std::process::id()));
    fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let result = both(root, &base, &folder);
    let tree = folder.join("base");
    if tree.exists() {
        git(root, &["worktree", "remove", "--force", &tree.to_string_lossy()])?;
    }
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    report(root, &base, &result?)
}

/// Builds the base, this tree, and this tree as it is shipped.
fn both(root: &Path, base: &str, folder: &Path) -> Result<[Build; 3]> {
    let tree = folder.join("base");
    git(root, &["worktree", "add", "--detach", &tree.to_string_lossy(), base])?;
    for root in [root, &tree] {
        let fetched = Command::new(env!("CARGO")).args(["fetch", "--locked"]).current_dir(root).status()?;
        if !fetched.success() {
            bail!("`cargo fetch --locked` ended with {fetched}");
        }
    }
    let short = &base[..base.len().min(9)];
    Ok([
        cold(&tree, folder, FIRST_COMMAND, "release", format!("{short}, release"))?,
        cold(root, folder, FIRST_COMMAND, "release", "this tree, release".to_owned())?,
        cold(
            root,
            folder,
            &["build", "--locked", "--profile", "dist", "--package", "rig", "--bin", "rig"],
            "dist",
            "this tree, dist".to_owned(),
        )?,
    ])
}

/// Builds from nothing, and deletes what was built.
fn cold(tree: &Path, folder: &Path, args: &[&str], profile: &str, what: String) -> Result<Build> {
    let target = folder.join("target");
    println!("\n== {what}: cargo {}", args.join(" "));
    let begun = Instant::now();
    // The shell adds up what its children, and theirs, took of the processors.
    let out = Command::new("sh")
        .args(["-c", "\"$@\" >&2; code=$?; times; exit $code", "sh", env!("CARGO")])
        .args(args)
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", &target)
        .stderr(Stdio::inherit())
        .output()
        .context("sh could not be started")?;
    let wall = begun.elapsed().as_secs_f64();
    if !out.status.success() {
        bail!("`cargo {}` ended with {}", args.join(" "), out.status);
    }
    let times = String::from_utf8_lossy(&out.stdout);
    let cpu = children(&times).with_context(|| format!("`times` of sh says {times:?}"))?;
    let program = target.join(profile).join("rig");
    let size =
        fs::metadata(&program).with_context(|| format!("no {}", program.display()))?.len() as f64 / 1e6;
    fs::remove_dir_all(&target).with_context(|| format!("cannot remove {}", target.display()))?;
    Ok(Build { what, cpu, wall, size })
}

/// User and system seconds of all children, from what the shell's `times` prints: `1m2.34s 0m5.67s` in its second line.
fn children(times: &str) -> Option<f64> {
    let seconds = |text: &str| {
        let (minutes, seconds) = text.strip_suffix('s')?.split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    };
    let (user, system) = times.lines().nth(1)?.split_once(' ')?;
    Some(seconds(user)? + seconds(system.trim())?)
}

/// Prints the table and writes `target/bench/build.json`.
fn report(root: &Path, base: &str, builds: &[Build; 3]) -> Result<()> {
    let [before, now, dist] = builds;
    println!("\n  {:<22}{:>8}{:>8}{:>8}", "cold build", "CPU s", "wall s", "MB");
    for build in builds {
        println!("  {:<22}{:>8.0}{:>8.0}{:>8.1}", build.what, build.cpu, build.wall, build.size);
    }
    let bars: Vec<Value> = [
        ("processor time beside the base", CPU_BAR, now.cpu / before.cpu),
        ("time on the clock beside the base", WALL_BAR, now.wall / before.wall),
        ("MB of the shipped program", SIZE_BAR, dist.size),
    ]
    .into_iter()
    .map(|(what, bar, found)| {
        let met = found <= bar;
        println!("  bar: {what}: {found:.2} (≤ {bar}): {}", if met { "met" } else { "MISSED" });
        json!({"what": what, "bar": format!("≤ {bar}"), "found": found, "met": met})
    })
    .collect();
    let rows: Vec<Value> = builds
        .iter()
        .map(|build| json!({"build": build.what, "CPU s": build.cpu, "wall s": build.wall, "MB": build.size}))
        .collect();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let all = json!({
        "bench": "build", "machine": {"cores": cores}, "base": base,
        "parts": {"cold build": rows}, "bars": bars,
    });
    let path = bench_folder(root)?.join("build.json");
    fs::write(&path, serde_json::to_string_pretty(&all)? + "\n")
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!("\nwritten to {}", path.display());
    Ok(())
}

/// Makes the folder for the figures of benches.
fn bench_folder(root: &Path) -> Result<PathBuf> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
    let folder = target.join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// The parent of the commit that brought the profile `dist`.
fn before_dist(root: &Path) -> Result<String> {
    let commits = git(root, &["log", "--format=%H", "-S[profile.dist]", "--", "Cargo.toml"])?;
    let first = commits.lines().last().unwrap_or_default();
    git(root, &["rev-parse", "--verify", &format!("{first}^")])
        .context("the history does not reach back to the profile `dist`; say --base REV")
}

fn git(root: &Path, args: &[&str]) -> Result<String> {
    let out =
        Command::new("git").args(args).current_dir(root).output().context("git could not be started")?;
    if !out.status.success() {
        bail!("git {}: {}", args.join(" "), String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(String::from_utf8(out.stdout)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_children_of_a_shell_are_added_up() {
        assert_eq!(children("0m0.00s 0m0.01s\n11m2.50s 0m30.25s\n"), Some(692.75));
        assert_eq!(children("0m0.000s\t0m0.010s\n"), None);
        assert_eq!(children(""), None);
    }

    #[test]
    fn the_shell_of_this_machine_prints_what_is_read() {
        let out = Command::new("sh").args(["-c", "true; times"]).output().unwrap();
        assert!(children(&String::from_utf8_lossy(&out.stdout)).is_some());
    }
}
