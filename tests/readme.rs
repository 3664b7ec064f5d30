//! The tour in the README is true: its commands run as they stand, one after the other, against one hub.

use std::process::Command;

use crate::harness::{Hub, finish, folder, workspace};

/// The blocks that begin with "```sh tour", each with what stands behind that.
fn blocks(readme: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut rest = readme;
    while let Some(at) = rest.find("```sh tour") {
        let (fence, body) = rest[at + "```sh tour".len()..].split_once('\n').unwrap();
        let (body, after) = body.split_once("```").unwrap();
        blocks.push((fence.trim().to_owned(), body.to_owned()));
        rest = after;
    }
    blocks
}

#[test]
fn the_tour_of_the_readme_runs_as_it_stands() {
    let readme = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    let folder = folder();
    let hub = Hub::on(&folder.path().join("data"));
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_rig")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let blocks = blocks(&readme);
    assert!(blocks.len() >= 4, "the tour has lost its marks");
    let mut told = String::new();
    for (mark, commands) in blocks {
        if mark == "values" {
            let history = workspace().join("../shared/data/traefik-values");
            let values = folder.path().join("values");
            std::fs::create_dir(&values).unwrap();
            for n in 1..=12 {
                let name = format!("{n:03}.yaml");
                if std::fs::copy(history.join(&name), values.join(&name)).is_err() {
                    println!("left out: there is no real history at ../shared/data/traefik-values");
                    break;
                }
            }
            if !values.join("012.yaml").exists() {
                continue;
            }
        }
        let mut shell = Command::new("sh");
        shell.args(["-euc", &commands]).env("HUB", &hub.url).env("PATH", &path).current_dir(&folder);
        told += &finish(mark.parse().unwrap_or(0), shell, b"").stdout;
    }
    for said in [
        "baseline.approved",
        "drift.detected",
        "snapshot.unchanged",
        "accepted",
        "verified",
        "~ database.host",
    ] {
        assert!(told.contains(said), "{said} is missing:\n{told}");
    }
    assert!(!told.contains("correct-horse"));
}
