//! The program that cargo calls instead of `rustc` for the crates of this workspace: clippy, which compiles as it lints, and then rustdoc.
//!
//! `cargo clippy`, `cargo doc` and `cargo test` would each go through four hundred dependencies in a way of its own. With this
//! as `RUSTC_WORKSPACE_WRAPPER` the build of the tests is the only one: a third of the time of CI.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

/// The variable that makes this program the wrapper. Its value is the folder for the documentation.
const DOCS: &str = "RIG_WRAPPER_DOCS";

/// Makes a call of cargo lint and document what it compiles, with warnings as errors.
pub fn wrap(command: &mut Command, root: &Path) -> Result<()> {
    let program = std::env::current_exe().context("cannot find this program")?;
    command.env("RUSTC_WORKSPACE_WRAPPER", program).env(DOCS, root.join("target/doc"));
    // The arguments that `cargo clippy -- -D warnings` would give.
    command.env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
    Ok(())
}

/// Stands in for the compiler if cargo calls it as that; nothing if this is a call of its own.
pub fn stood_in() -> Option<ExitCode> {
    let docs = std::env::var_os(DOCS)?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rustc =
        args.first().filter(|first| Path::new(first).file_stem().is_some_and(|stem| stem == "rustc"))?;
    let compiled = Command::new("clippy-driver").args(&args).status();
    let documented = match compiled {
        Ok(status) if status.success() && is_library(&args) => {
            let rustdoc = Path::new(rustc).with_file_name("rustdoc");
            Command::new(rustdoc).args(for_rustdoc(&args[1..])).arg("--out-dir").arg(docs).status()
        }
        compiled => compiled,
    };
    let code = documented.ok().and_then(|status| status.code()).unwrap_or(1);
    Some(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Returns true if a library is compiled to be used, not its tests.
fn is_library(args: &[String]) -> bool {
    args.windows(2).any(|pair| pair == ["--crate-type", "lib"]) && !args.iter().any(|arg| arg == "--test")
}

/// Returns the arguments of the compiler that rustdoc has too: the source, and what it can see of its dependencies.
fn for_rustdoc(args: &[String]) -> Vec<String> {
    const TAKEN: &[&str] = &["--crate-name", "--cfg", "--check-cfg", "--extern", "-L", "--cap-lints"];
    let mut kept = vec!["-Dwarnings".to_owned()];
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-C" | "--crate-type" | "--out-dir" => drop(args.next()),
            taken if TAKEN.contains(&taken) => {
                kept.extend([arg.clone()].into_iter().chain(args.next().cloned()))
            }
            _ if ["--edition", "--error-format", "--json"].iter().any(|taken| arg.starts_with(taken)) => {
                kept.push(arg.clone());
            }
            _ if !arg.starts_with('-') && arg.ends_with(".rs") => kept.push(arg.clone()),
            _ => {}
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rustdoc_gets_the_source_and_its_dependencies() {
        let args = "--crate-name a --edition=2024 crates/a/src/lib.rs --error-format=json --json=diagnostic-rendered-ansi \
            --crate-type lib --emit=dep-info,metadata,link -C embed-bitcode=no --warn=missing_docs --cfg feature=\"x\" \
            --check-cfg cfg(docsrs,test) -C metadata=1 --out-dir target/debug/deps -L dependency=target/debug/deps \
            --extern b=target/debug/deps/libb.rmeta";
        let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
        assert!(is_library(&args));
        let expected = "-Dwarnings --crate-name a --edition=2024 crates/a/src/lib.rs --error-format=json \
            --json=diagnostic-rendered-ansi --cfg feature=\"x\" --check-cfg cfg(docsrs,test) -L dependency=target/debug/deps \
            --extern b=target/debug/deps/libb.rmeta";
        assert_eq!(for_rustdoc(&args).join(" "), expected.split_whitespace().collect::<Vec<_>>().join(" "));
        assert!(!is_library(&["--test".to_owned(), "--crate-type".to_owned(), "lib".to_owned()]));
    }
}
