//! Hidden parts are compared as such: equal, different, or not comparable, and then counted, in every command alike.

use serde_json::{Value, json};

use crate::harness::{Hub, file, finish, folder, rig_diff, run, text};

const URL: &str = r#"{"u":"redis://u:hunter2hunter2@h/0","port":1}"#;

/// A snapshot file with these fields.
fn snapshot(config: Value) -> String {
    json!({"version": "1.0", "timestamp": "2026-01-15T10:30:00Z", "config": config, "provenance": null})
        .to_string()
}

fn keys() -> String {
    format!("k1 hmac-sha256 {}\n", "ab".repeat(32))
}

#[test]
fn a_password_in_a_url_matches_its_own_baseline() {
    let folder = folder();
    let config = file(folder.path(), "a.json", URL);
    let keys = file(folder.path(), "keys", keys());
    let approved = folder.path().join("approved.json");
    let baseline = ["--baseline", text(&approved), "--keys", &keys];
    finish(0, rig_diff(&[&baseline[..], &["--sign", &config]].concat()), b"");
    let said = finish(0, rig_diff(&[&baseline[..], &["--verify", &config, "--json"]].concat()), b"");
    assert_eq!(said.json()["not_compared_paths"], json!(["u"]), "{said:?}");
    assert!(said.stderr.contains("1 secret not compared") && !said.stderr.contains("hunter2"), "{said:?}");
    // What is shown of it is compared.
    let moved = file(folder.path(), "b.json", URL.replace("@h/0", "@h/1"));
    finish(1, rig_diff(&[&baseline[..], &["--verify", &moved]].concat()), b"");
    // Through a snapshot file and back.
    let out = folder.path().join("out.json");
    run(0, &["snapshot", "api", &config, "--out", text(&out)]);
    let said = run(0, &["diff", &config, text(&out), "--json"]).json();
    assert_eq!(said["not_compared"], 1, "{said}");
    // A text too.
    let router =
        file(folder.path(), "r.rsc", "/user\nadd name=a password=hunter2hunter2\n/ip dns\nset a=1\n");
    finish(0, rig_diff(&[&baseline[..], &["--sign", &router]].concat()), b"");
    let said = finish(0, rig_diff(&[&baseline[..], &["--verify", &router, "--json"]].concat()), b"").json();
    assert_eq!((&said["not_compared"], &said["not_compared_lines"]), (&json!(1), &json!([2])), "{said}");
}

#[test]
fn what_the_hub_captured_is_what_its_snapshot_file_holds() {
    let (hub, folder) = (Hub::in_memory(), folder());
    let main = hub.main();
    for (name, content) in [
        ("plain", snapshot(json!({"u": "redis://u:hunter2hunter2@h/0", "tags": ["a", "b"]}))),
        ("blank", snapshot(json!({"u": "redis://u:***redacted***@h/0", "password": "***redacted***"}))),
    ] {
        let file = file(folder.path(), &format!("{name}.json"), content);
        run(0, &["snapshot", name, &file, "--hub", &main]);
        let said = run(0, &["baseline", "approve", &main, name, "--snapshot", &file]);
        assert!(said.stderr.contains("not compared") && said.stderr.contains(": "), "{said:?}");
        let said = run(0, &["baseline", "verify", &main, name, "--baseline", &file, "--json"]).json();
        assert_eq!(said["same"], true, "{said}");
        assert!(said["not_compared"].as_u64().unwrap() >= 1, "{said}");
    }
    // The same configuration, its secret hidden by who sends it: no drift, and no all-clear.
    let blank = file(
        folder.path(),
        "p.json",
        snapshot(json!({"u": "redis://u:***redacted***@h/0", "tags": ["a", "b"]})),
    );
    run(0, &["snapshot", "plain", &blank, "--hub", &main]);
    let said = run(0, &["drift", &main, "--service", "plain"]).stdout;
    assert!(said.contains("in-sync") && said.contains("1 not compared: u"), "{said}");
    let said = run(0, &["drift", &main, "--service", "plain", "--json"]).json();
    assert_eq!(said["services"]["plain"]["not_compared"], json!(["u"]), "{said}");
    let said = run(0, &["baseline", "verify", &main, "plain"]);
    assert!(said.stdout.contains("is what was approved") && said.stderr.contains("not compared"), "{said:?}");
}

#[test]
fn a_foreign_marker_is_never_compared_and_always_counted() {
    let folder = folder();
    let one = file(
        folder.path(),
        "1.json",
        snapshot(json!({"password": "***redacted***", "a": 1, "s": [{"token": "***redacted***"}]})),
    );
    let live = file(
        folder.path(),
        "2.json",
        r#"{"password": "hunter2hunter2", "a": 1, "s": [{"token": "hunter3hunter3"}]}"#,
    );
    for (old, new) in [(&one, &one), (&one, &live), (&live, &one)] {
        let said = finish(0, rig_diff(&[old, new, "--json"]), b"").json();
        assert_eq!((&said["not_compared"], &said["changed"]), (&json!(2), &json!(0)), "{said}");
        assert_eq!(said["not_compared_paths"], json!(["password", "s[0].token"]), "{said}");
        for format in ["text", "unified", "markdown", "json-patch", "merge-patch"] {
            let said = finish(0, rig_diff(&[old, new, "--format", format]), b"");
            assert!(said.stderr.contains("2 secrets not compared"), "{format}: {said:?}");
            assert!(!said.stdout.contains("No difference."), "{format}: {said:?}");
        }
        // What is left out is not counted either.
        let said = finish(0, rig_diff(&[old, new, "--json", "--exclude", "password"]), b"").json();
        assert_eq!(said["not_compared_paths"], json!(["s[0].token"]), "{said}");
    }
}
