//! The example runs, and does what it says.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The example beside this test's own binary, where cargo builds both.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let name = format!("service{}", std::env::consts::EXE_SUFFIX);
    test.parent().and_then(Path::parent).unwrap().join("examples").join(name)
}

fn run(folder: &Path) -> String {
    let example = example();
    assert!(
        example.is_file(),
        "`cargo test -p rig-client` builds it; `--test it` alone does not: {}",
        example.display()
    );
    let said = Command::new(example)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/shop.yaml"))
        .arg(folder)
        .env("SHOP_DATABASE__HOST", "db1")
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{text}");
    assert!(!text.contains("only-for-this-example"), "{text}");
    text
}

#[test]
fn the_example_writes_a_snapshot_and_tells_drift_from_a_baseline() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(folder.path());
    let written = said.lines().find_map(|line| line.strip_prefix("wrote ")).unwrap();
    let snapshot: serde_json::Value = serde_json::from_slice(&std::fs::read(written).unwrap()).unwrap();
    assert_eq!(snapshot["config"]["database.host"], "db1");
    assert_eq!(snapshot["config"]["database.password"], "***redacted***");
    assert_eq!(snapshot["config"]["workers"], 4);
    let sources: Vec<String> = snapshot["provenance"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let source = entry["SourceName"].as_str().unwrap().rsplit('/').next().unwrap();
            format!("{} {source} {} {}", entry["KeyPath"].as_str().unwrap(), entry["Line"], entry["Secret"])
        })
        .collect();
    assert_eq!(
        sources,
        [
            "database.host env:SHOP_DATABASE__HOST null false",
            "database.password shop.yaml 5 true",
            "database.port shop.yaml 4 false",
            "listen shop.yaml 1 false",
            "workers default null false"
        ]
    );
    let baseline = folder.path().join("baseline.json");
    std::fs::copy(written, &baseline).unwrap();
    assert!(!run(folder.path()).contains("not as approved"));
    let text = std::fs::read_to_string(&baseline).unwrap();
    std::fs::write(&baseline, text.replace("\"db1\"", "\"db0\"")).unwrap();
    assert!(run(folder.path()).contains("not as approved: database.host\n"));
}
