//! The release archive: packed from the program that is tested, installed into an empty folder, and run.

#[path = "../xtask/src/dist/pack.rs"]
mod pack;

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;

use crate::harness::{clean, finish, folder, text, workspace};

#[test]
fn what_is_installed_from_the_archive_runs_and_says_what_it_is_made_of() {
    // The script that installs it names this target.
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let (releases, empty) = (folder(), folder());
    let out = releases.path().join("latest/download");
    let program = Path::new(env!("CARGO_BIN_EXE_rig"));
    let archive =
        pack::pack(&workspace(), &pack::Parts { program, asked: program, target: &target, out: &out })
            .unwrap();
    assert_eq!(archive.file_name().unwrap(), format!("rig-{target}.tar.gz").as_str());

    // Installed as the action does it.
    let install = text(&workspace().join("deploy/ci/install.sh")).to_owned();
    let installed = |code: i32| {
        let mut command = clean(Command::new("bash"), &[&install, text(&empty.path().join("bin"))]);
        command
            .env("RIG_RELEASES", format!("file://{}", releases.path().display()))
            .env("RIG_REPOSITORY", "owner/rig");
        finish(code, command, b"")
    };
    assert!(installed(0).stdout.contains("rig is installed: rig "));
    let rig = empty.path().join("bin/rig");
    let demo = finish(0, clean(Command::new(&rig), &["demo"]), b"");
    assert!(!demo.stdout.is_empty());
    assert!(
        finish(0, clean(Command::new(empty.path().join("bin/rig-diff")), &["--help"]), b"")
            .stdout
            .contains("rig-diff")
    );

    // What is beside it.
    let unpacked = empty.path().join("all");
    std::fs::create_dir(&unpacked).unwrap();
    assert!(
        Command::new("tar").args(["-xzf", text(&archive), "-C", text(&unpacked)]).status().unwrap().success()
    );
    let inside =
        |path: &str| std::fs::read_to_string(unpacked.join(format!("rig-{target}")).join(path)).unwrap();
    assert!(
        inside("completions/rig.bash").contains("record")
            && inside("completions/_rig").contains("#compdef rig")
    );
    assert!(
        inside("man/man1/rig.1").contains(".TH rig 1") && inside("man/man1/rig-record.1").contains("rotate")
    );
    let licences = inside("LICENSES.md");
    assert!(
        licences.contains("| serde |") && licences.contains("MIT License") && !licences.contains("| insta |"),
        "{}",
        licences.len()
    );
    let bill: serde_json::Value = serde_json::from_str(&inside("sbom.cdx.json")).unwrap();
    let components = bill["components"].as_array().unwrap();
    let serde = components.iter().find(|component| component["name"] == "serde").unwrap();
    assert_eq!(
        (bill["bomFormat"].as_str(), serde["hashes"][0]["alg"].as_str()),
        (Some("CycloneDX"), Some("SHA-256"))
    );
    assert!(
        components
            .iter()
            .all(|component| !component["licenses"][0]["expression"].as_str().unwrap().is_empty())
    );

    // An archive that is not the one that was summed up is not installed.
    let mut bytes = Vec::new();
    std::fs::File::open(&archive).unwrap().read_to_end(&mut bytes).unwrap();
    std::fs::File::options().append(true).open(&archive).unwrap().write_all(b"x").unwrap();
    assert!(installed(2).stderr.contains("is wrong"));
}
