//! The patches of real documents, applied by other programs: PyPI's jsonpatch and json-merge-patch.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rig_config::diff::nest::nested;
use rig_config::diff::patch::{json_patch, merge_patch};
use rig_config::{FlatConfig, Format, Limits, Policy, RedactionKey, Redactor, parse};
use serde_json::{Value, json};

use crate::harness::workspace;

/// Reads `[old, new, json patch, merge patch]` a line; a merge patch cannot say null, so there nulls are no difference.
const SCRIPT: &str = "
import json, sys, jsonpatch, json_merge_patch
def without_nulls(value):
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return value
for line in sys.stdin:
    old, new, patch, merge = json.loads(line)
    assert jsonpatch.apply_patch(old, patch) == new, patch
    assert without_nulls(json_merge_patch.merge(old, merge)) == without_nulls(new), merge
    print('same')
";

#[test]
fn other_programs_apply_the_patches_of_every_pair() {
    if std::env::var_os("RIG_NO_SERVICES").is_some() {
        println!("left out: RIG_NO_SERVICES is set");
        return;
    }
    let data = workspace().join("../shared/data/traefik-values");
    if !data.is_dir() {
        println!("left out: {} is not there", data.display());
        return;
    }
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop/python/bin/python");
    assert!(python.is_file(), "{} is missing; `cargo xtask services` makes it", python.display());
    let policy = Policy::default();
    let redactor = Redactor::new(RedactionKey::new("k1", [1; 32]).unwrap(), &policy);
    let versions: Vec<FlatConfig> = (1..)
        .map_while(|n| std::fs::read(data.join(format!("{n:03}.yaml"))).ok())
        .map(|bytes| {
            let mut document = parse(bytes, Format::Yaml, &Limits::default()).unwrap();
            redactor.redact(&mut document);
            document.config
        })
        .collect();
    let line = |pair: &[FlatConfig]| {
        let [old, new] = pair else { panic!("two of them") };
        let patches = (json_patch(old, new, &policy), merge_patch(old, new).0);
        json!([nested(old), nested(new), patches.0, patches.1])
    };
    let lines: Vec<Value> = versions.windows(2).map(line).collect();
    assert_eq!(lines.len(), 119);
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || lines.iter().for_each(|line| writeln!(stdin, "{line}").unwrap()));
    let said = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    assert_eq!(String::from_utf8_lossy(&said.stdout).lines().count(), 119);
}
