//! `cargo xtask fuzz`: every parser against input that nobody meant, with coverage to steer by.
//!
//! `fuzz/` is one program for all targets, linked with libFuzzer, which the crate `libfuzzer-sys` brings as C++ source. The
//! compiler's flags are set here, so it needs neither cargo-fuzz nor a nightly compiler; only a C++ compiler. No address
//! sanitizer: rig's own code is safe Rust, and what is looked for are panics, broken promises and lost time.
//!
//! Inputs worth keeping stay in `target/fuzz/corpus`, so the next run begins where this one ended; the first
//! one begins with `fuzz/seeds` and the documents in `fixtures`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// The targets, as `fuzz/src/targets.rs` has them, and how the fixtures end that are first inputs of one.
const TARGETS: &[(&str, &[&str])] = &[
    ("json", &["json"]),
    ("jsonc", &["jsonc", "json"]),
    ("yaml", &["yaml"]),
    ("toml", &["toml"]),
    ("ini", &["ini"]),
    ("env", &["env"]),
    ("properties", &["properties"]),
    ("hcl", &["hcl"]),
    ("xml", &["xml"]),
    ("text", &["rsc"]),
    ("text-diff", &[]),
    ("path", &[]),
    ("pattern", &[]),
    ("policy", &["toml"]),
    ("redact", &["rsc", "yaml", "env"]),
    ("event", &["jsonl"]),
    ("session", &["jsonl"]),
    ("rigd", &["jsonl"]),
    ("sse", &[]),
];

/// No input may take longer than this, with all the counting that is compiled in.
const SECONDS_AN_INPUT: u64 = 10;

/// The time that a target runs without `--seconds`.
const SECONDS: u32 = 600;

/// `cargo xtask fuzz [--seconds N] [--seed S] [TARGET…]`.
pub fn run(root: &Path, options: &[&str]) -> Result<()> {
    let (mut time, mut names) = (Time { seconds: SECONDS, seed: 0 }, Vec::new());
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let mut number = || {
            let value = options.next().with_context(|| format!("{option} takes a number"))?;
            value.parse::<u32>().with_context(|| format!("{option} takes a number, not {value}"))
        };
        match *option {
            "--seconds" => time.seconds = number()?,
            "--seed" => time.seed = number()?,
            name => names.push(name),
        }
    }
    for name in &names {
        if !TARGETS.iter().any(|(known, _)| known == name) {
            let known: Vec<&str> = TARGETS.iter().map(|(known, _)| *known).collect();
            bail!("there is no target `{name}`; there are {}", known.join(" "));
        }
    }
    let wanted = TARGETS.iter().filter(|(name, _)| names.is_empty() || names.contains(name));
    fuzz(root, "release", time, &wanted.map(|(name, _)| *name).collect::<Vec<_>>())
}

/// All targets for so many seconds each, as a part of `cargo xtask test`.
pub fn all(root: &Path, seconds: u32) -> Result<()> {
    fuzz(root, "quick", Time { seconds, seed: 0 }, &TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>())
}

/// The time that a target runs, and from which seed; 0 is another one each time.
#[derive(Clone, Copy)]
struct Time {
    seconds: u32,
    seed: u32,
}

/// Returns what is missing to build it, if anything is.
pub fn missing() -> Option<&'static str> {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let there = Command::new(compiler).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let fine = there.is_ok_and(|status| status.success());
    (!fine).then_some("there is no C++ compiler for libFuzzer; `apt-get install g++` gets one")
}

fn fuzz(root: &Path, profile: &str, time: Time, names: &[&'static str]) -> Result<()> {
    if let Some(missing) = missing() {
        bail!("{missing}");
    }
    let program = build(root, profile)?;
    let folder = root.join("target/fuzz");
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    let mut waiting = names.iter().rev().copied().collect::<Vec<_>>();
    let mut running = Vec::<Running>::new();
    let mut failed = Vec::new();
    while !waiting.is_empty() || !running.is_empty() {
        while running.len() < at_once
            && let Some(name) = waiting.pop()
        {
            running.push(Running::start(root, &program, &folder, name, time)?);
        }
        std::thread::sleep(Duration::from_millis(100));
        let mut still = Vec::new();
        for mut run in running {
            match run.child.try_wait()? {
                None => still.push(run),
                Some(status) => {
                    println!("   {}", run.told());
                    if !status.success() {
                        failed.push(run.failure());
                    }
                }
            }
        }
        running = still;
    }
    if !failed.is_empty() {
        bail!("something does not hold:\n{}", failed.join("\n"));
    }
    Ok(())
}

/// Builds the program with counters at every edge and returns where it lies.
fn build(root: &Path, profile: &str) -> Result<PathBuf> {
    const COVERAGE: &[&str] = &[
        "-Cpasses=sancov-module",
        "-Cllvm-args=-sanitizer-coverage-level=4",
        "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
        "-Cllvm-args=-sanitizer-coverage-pc-table",
        "-Cllvm-args=-sanitizer-coverage-trace-compares",
        "--cfg",
        "fuzzing",
    ];
    // A named target keeps the flags away from build scripts and procedural macros.
    let host = host()?;
    let folder = root.join("target/fuzz/build");
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--profile",
            profile,
            "--locked",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--target",
            &host,
        ])
        .arg("--target-dir")
        .arg(&folder)
        .current_dir(root)
        .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\u{1f}"))
        .status()
        .context("cargo could not be started")?;
    if !status.success() {
        bail!("building fuzz/ ended with {status}");
    }
    Ok(folder.join(host).join(profile).join("rig-fuzz"))
}

/// Returns the target that the compiler builds for by itself.
pub fn host() -> Result<String> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let out = Command::new(rustc).arg("-vV").output().context("rustc could not be started")?;
    let text = String::from_utf8_lossy(&out.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say its host")
}

/// A target that runs.
struct Running {
    name: &'static str,
    child: Child,
    log: PathBuf,
    found: PathBuf,
    begun: Instant,
}

impl Running {
    fn start(root: &Path, program: &Path, folder: &Path, name: &'static str, time: Time) -> Result<Running> {
        let (corpus, found) = (folder.join("corpus").join(name), folder.join("found").join(name));
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(&found)?;
        seed(root, name, &corpus)?;
        let log = folder.join(format!("{name}.log"));
        let out = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new(program)
            .arg(format!("-max_total_time={}", time.seconds))
            .arg(format!("-seed={}", time.seed))
            .arg(format!("-timeout={SECONDS_AN_INPUT}"))
            .args(["-rss_limit_mb=2048", "-max_len=16384", "-print_final_stats=1"])
            .arg(format!("-artifact_prefix={}/", found.display()))
            .arg(&corpus)
            .env("RIG_FUZZ_TARGET", name)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .context("the fuzzer could not be started")?;
        Ok(Running { name, child, log, found, begun: Instant::now() })
    }

    /// Returns what its log says of the run, in one line.
    fn told(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let after = |what: &str| {
            let rest = log.rsplit_once(what).map(|(_, rest)| rest.trim_start());
            rest.and_then(|rest| rest.split_whitespace().next()).unwrap_or("?").to_owned()
        };
        format!(
            "{:<11} {:>4} s, {:>9} inputs, {:>5} edges, seed {}",
            self.name,
            self.begun.elapsed().as_secs(),
            after("stat::number_of_executed_units:"),
            after("cov: "),
            after("INFO: Seed: ")
        )
    }

    fn failure(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let panic = log.lines().skip_while(|line| !line.contains("panicked at")).take(3).collect::<Vec<_>>();
        format!(
            "  {}: {}\n    the input lies in {}, the whole log is {}",
            self.name,
            if panic.is_empty() { "it ended badly".to_owned() } else { panic.join("\n    ") },
            self.found.display(),
            self.log.display()
        )
    }
}

/// Copies the first inputs of a target into its corpus. A session's lines are inputs one by one.
fn seed(root: &Path, name: &str, corpus: &Path) -> Result<()> {
    let endings = TARGETS.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, endings)| *endings);
    let mut files = Vec::new();
    for folder in ["fixtures/demo", "fixtures/sessions/v1"] {
        let known =
            |path: &Path| path.extension().is_some_and(|end| endings.iter().any(|known| end == *known));
        files.extend(entries(&root.join(folder)).into_iter().filter(|path| known(path)));
    }
    files.extend(entries(&root.join("fuzz/seeds").join(name)));
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let stem = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if file.extension().is_some_and(|end| end == "jsonl") {
            for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
                fs::write(corpus.join(format!("seed-{stem}-{number}")), line)?;
            }
        } else {
            fs::write(corpus.join(format!("seed-{stem}")), bytes)?;
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_of_the_program_is_run() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let source = fs::read_to_string(root.join("fuzz/src/targets.rs")).unwrap();
        let begin = source.find("pub const ALL").unwrap();
        let list = &source[begin..begin + source[begin..].find("];").unwrap()];
        let there: Vec<&str> = list.split("(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let known: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
        assert_eq!(there, known);
    }

    #[test]
    fn an_unknown_target_is_named() {
        let error = run(Path::new("."), &["--seconds", "1", "json", "jsom"]).unwrap_err().to_string();
        assert!(error.starts_with("there is no target `jsom`; there are json "), "{error}");
        assert!(run(Path::new("."), &["--seconds", "x"]).is_err());
    }
}
