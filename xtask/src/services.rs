//! What the tests need beyond Rust: found, installed where that may be done, or asked for in words.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// A program that some test starts for itself.
pub struct Service {
    /// What it is.
    pub name: &'static str,
    /// The program to look for on the path.
    pub binary: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
}

/// Nothing so far: every test runs on what cargo builds.
pub const SERVICES: &[Service] = &[];

/// Sees to it that all of `services` are there: as root on Debian it installs what is missing.
pub fn require(services: &[Service]) -> Result<()> {
    let missing: Vec<&Service> = services.iter().filter(|service| !on_path(service.binary)).collect();
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
    println!("   {install}");
    let status = Command::new("sh")
        .args(["-c", &format!("apt-get update --quiet && DEBIAN_FRONTEND=noninteractive {install} --quiet")])
        .status()
        .context("apt-get could not be started")?;
    match missing.iter().find(|service| !on_path(service.binary)) {
        None if status.success() => Ok(()),
        _ => bail!("`{install}` did not bring {}; run it by hand to see why", names.join(", ")),
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
        let shell = Service { name: "a shell", binary: "sh", package: "dash" };
        require(&[shell]).unwrap();
        assert!(!on_path("no-such-program-of-rig"));
    }
}
