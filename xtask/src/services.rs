//! Programs that the tests need besides Rust: found, installed if allowed, or asked for in words.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// A program that some test starts for itself.
pub struct Service {
    /// A name for it, or the program itself.
    pub name: &'static str,
    /// A command that works where it is there: for most of them the program alone, which is looked for and not run.
    pub sign: &'static [&'static str],
    /// The Debian package that has it.
    pub package: &'static str,
}

/// The programs that the tests in tests/proof and in crates/{hub,ingest}/tests/it start.
pub const SERVICES: &[Service] = &[
    Service { name: "nginx", sign: &["nginx"], package: "nginx-light" },
    Service { name: "chromium", sign: &["chromium"], package: "chromium" },
    Service { name: "nats-server", sign: &["nats-server"], package: "nats-server" },
    Service { name: "sshd", sign: &["sshd"], package: "openssh-server" },
    Service { name: "curl", sign: &["curl"], package: "curl" },
    Service { name: "promtool", sign: &["promtool"], package: "prometheus" },
    Service { name: "node", sign: &["node"], package: "nodejs" },
    Service { name: "npm", sign: &["npm"], package: "npm" },
    Service {
        name: "Python's venv",
        sign: &["python3", "-c", "import venv, ensurepip"],
        package: "python3-venv",
    },
];

/// Sees to it that everything is there that the tests need.
pub fn all(root: &Path) -> Result<()> {
    require(SERVICES)?;
    packages(root)
}

/// Sees to it that all of `services` are there: as root on Debian it installs what is missing.
fn require(services: &[Service]) -> Result<()> {
    let missing: Vec<&Service> = services.iter().filter(|service| !is_here(service)).collect();
    if missing.is_empty() {
        println!("   {} needed, all here", services.len());
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|service| service.name).collect();
    let packages: Vec<&str> = missing.iter().map(|service| service.package).collect();
    let install = format!("apt-get install --yes --no-install-recommends {}", packages.join(" "));
    if !Path::new("/etc/debian_version").exists() || !is_root() {
        bail!(
            "{} is missing; on Debian run `sudo {install}`, or leave those tests out with --no-services",
            names.join(", ")
        );
    }
    shell(&format!("apt-get update --quiet && DEBIAN_FRONTEND=noninteractive {install} --quiet"))?;
    match missing.iter().find(|service| !is_here(service)) {
        None => Ok(()),
        _ => bail!("`{install}` did not bring {}; run it by hand to see why", names.join(", ")),
    }
}

/// The packages of PyPI and npm that the tests need, in folders below the target folder.
fn packages(root: &Path) -> Result<()> {
    let lists = root.join("tests/proof/interop");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
    let to = target.join("tmp/interop");
    let install = |kind: &str, list: &str, script: &str| -> Result<()> {
        let (folder, list) = (to.join(kind), lists.join(list));
        let (done, wanted) = (folder.join("installed"), std::fs::read(&list)?);
        if std::fs::read(&done).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        std::fs::create_dir_all(&folder)?;
        shell(&script.replace("FOLDER", &quoted(&folder)).replace("LIST", &quoted(&list)))?;
        Ok(std::fs::write(done, wanted)?)
    };
    install(
        "python",
        "requirements.txt",
        "python3 -m venv --clear FOLDER && FOLDER/bin/pip install --quiet --disable-pip-version-check -r LIST",
    )?;
    install(
        "node",
        "package.json",
        "cp LIST FOLDER && cd FOLDER && npm install --silent --no-audit --no-fund --ignore-scripts --no-package-lock",
    )
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

fn shell(script: &str) -> Result<()> {
    println!("   {script}");
    let status = Command::new("sh").args(["-c", script]).status().context("sh could not be started")?;
    if !status.success() {
        bail!("`{script}` ended with {status}");
    }
    Ok(())
}

fn is_here(service: &Service) -> bool {
    match service.sign {
        [binary] => on_path(binary),
        [program, arguments @ ..] => {
            Command::new(program).args(arguments).output().is_ok_and(|out| out.status.success())
        }
        [] => false,
    }
}

fn on_path(binary: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers in sbin, which is not on everybody's path.
    let more = ["/usr/sbin", "/sbin"].map(std::path::PathBuf::from);
    std::env::split_paths(&path).chain(more).any(|folder| folder.join(binary).is_file())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_here_is_found() {
        let shell = Service { name: "a shell", sign: &["sh"], package: "dash" };
        let true_shell = Service { name: "a shell", sign: &["sh", "-c", "true"], package: "dash" };
        require(&[shell, true_shell]).unwrap();
        assert!(!is_here(&Service { name: "none", sign: &["no-such-program-of-rig"], package: "none" }));
        assert!(!is_here(&Service { name: "none", sign: &["sh", "-c", "false"], package: "none" }));
    }
}
