//! `rig demo` tells the whole story, and its file is what it says.

use crate::harness::{finish, folder, rig, run, text, verify};

#[test]
fn the_demo_ends_well_and_leaves_a_session() {
    let folder = folder();
    let keep = folder.path().join("kept");
    let said = finish(0, rig(&["demo", "--keep", text(&keep)]), b"");
    assert!(!said.stdout.contains("demo-Secret"), "{}", said.stdout);
    assert_eq!(said.stdout.matches(" = file sha256:").count(), 3, "{}", said.stdout);
    for told in
        ["snapshot.captured", "diff.computed", "baseline.approved", "drift.detected", "drift.accepted"]
    {
        assert!(said.stdout.contains(told), "{told} is missing: {}", said.stdout);
    }
    let session = keep.join("demo.jsonl");
    assert_eq!(verify(text(&session), Some(text(&keep.join("demo.keys")))), "verified");
    let drift = run(0, &["drift", text(&session), "--json"]).json();
    assert_eq!(drift["services"]["api-prod"]["drift"]["verdict"], "accepted");
}
