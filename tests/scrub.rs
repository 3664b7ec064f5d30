//! `rig scrub`: what a recording holds is found, listed without its value, and gone from the copy.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Hub, file, finish, fixture, folder, rig, run, text, verify};

const TOKEN: &str = concat!("ghp", "_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8");

/// A recording of a hub, as lines.
fn recorded(folder: &Path) -> Vec<String> {
    let hub = Hub::on(&folder.join("data"));
    for name in ["api-prod-1.yaml", "api-prod-2.yaml"] {
        run(0, &["snapshot", "api", &fixture(name), "--hub", &hub.main()]);
    }
    let events =
        r#"[{"type":"service.ready","service":"api"},{"type":"service.log","service":"api","data":"HERE"}]"#;
    assert_eq!(
        hub.http("POST", "/v1/streams/main/events", &["content-type: application/json"], events.as_bytes()).0,
        201
    );
    let session = folder.join("s.jsonl");
    run(0, &["record", &hub.main(), "-o", text(&session), "--until-caught-up"]);
    hub.running.signal("TERM");
    assert_eq!(hub.running.wait(), 0);
    std::fs::read_to_string(session).unwrap().lines().map(str::to_owned).collect()
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_clean_recording_is_copied_byte_for_byte() {
    let folder = folder();
    let session = file(folder.path(), "clean.jsonl", joined(&recorded(folder.path())));
    let copy = folder.path().join("copy.jsonl");
    let said = run(0, &["scrub", &session, "-o", text(&copy)]);
    assert!(said.stdout.starts_with("nothing found in "), "{said:?}");
    assert_eq!(std::fs::read(&copy).unwrap(), std::fs::read(&session).unwrap());
    // Compressed and back it is the same text; compressed twice, the same bytes.
    let (zst, again, plain) =
        (folder.path().join("a.jsonl.zst"), folder.path().join("b.jsonl.zst"), folder.path().join("c.jsonl"));
    run(0, &["scrub", &session, "-o", text(&zst)]);
    run(0, &["scrub", text(&zst), "-o", text(&again)]);
    run(0, &["scrub", text(&zst), "-o", text(&plain)]);
    assert_eq!(std::fs::read(&zst).unwrap(), std::fs::read(&again).unwrap());
    assert_eq!(std::fs::read(&plain).unwrap(), std::fs::read(&session).unwrap());
    // Nothing is overwritten unasked, nor the recording itself.
    run(2, &["scrub", &session, "-o", text(&copy)]);
    run(2, &["scrub", &session, "-o", &session, "--force"]);
}

#[test]
fn a_check_sums_up_each_stream_and_changes_nothing() {
    let folder = folder();
    let lines = recorded(folder.path());
    let clean = file(folder.path(), "clean.jsonl", joined(&lines));
    assert!(run(0, &["scrub", "--check", &clean]).stdout.contains("nothing found in"));
    let old = lines.iter().map(|line| line.replace("HERE", TOKEN)).collect::<Vec<_>>();
    let old = file(folder.path(), "old.jsonl", joined(&old));
    let before = std::fs::read(&old).unwrap();
    let said = run(1, &["scrub", "--check", &old, "--json"]).json();
    let sum = &said["streams"][0];
    assert_eq!((&sum["kinds"], &sum["changed"]), (&json!({"github-token": 1}), &json!(1)), "{said}");
    assert_eq!(sum["first_seqs"].as_array().unwrap().len(), 1, "{said}");
    assert!(run(1, &["scrub", "--check", &old]).stdout.contains("first at seq"));
    assert_eq!(std::fs::read(&old).unwrap(), before);
    // All streams of a hub.
    let hub = Hub::in_memory();
    run(0, &["snapshot", "api", &fixture("api-prod-1.yaml"), "--hub", &hub.main()]);
    let said = run(0, &["scrub", "--check", hub.main().trim_end_matches("/main")]).stdout;
    assert!(said.contains("/main: nothing found in"), "{said}");
}

#[test]
fn what_is_found_is_listed_and_gone_and_the_copy_says_so() {
    let folder = folder();
    let mut lines = recorded(folder.path());
    let at = lines.iter().position(|line| line.contains("\"HERE\"")).unwrap();
    let seq = serde_json::from_str::<Value>(&lines[at]).unwrap()["seq"].clone();
    lines[at] = lines[at].replace("HERE", &format!("pushing with {TOKEN}"));
    let session = file(folder.path(), "leaky.jsonl", joined(&lines));
    for name in ["copy.jsonl", "copy.jsonl.zst"] {
        let copy = folder.path().join(name);
        let said = run(1, &["scrub", &session, "-o", text(&copy), "--json"]);
        assert_eq!(
            said.json()["found"],
            json!([{"seq": seq, "line": at + 1, "path": "data", "kind": "github-token"}])
        );
        assert!(!format!("{said:?}").contains(TOKEN), "{said:?}");
        // The copy is whole in itself, and is not taken for what was recorded.
        assert_eq!(verify(text(&copy), None), "altered");
        let said = finish(1, rig(&["verify", text(&copy)]), b"");
        assert!(said.stdout.contains("scrubbed copy") && !said.stdout.contains("since"), "{said:?}");
        assert_eq!(run(0, &["state", text(&copy), "--json"]).json()["services"]["api"]["status"], "ready");
        // A second time there is nothing left.
        run(0, &["scrub", text(&copy)]);
    }
    let copy = std::fs::read_to_string(folder.path().join("copy.jsonl")).unwrap();
    assert!(!copy.contains(TOKEN));
    let header: Value = serde_json::from_str(copy.lines().next().unwrap()).unwrap();
    assert_eq!(header["scrubbed"]["changed"], json!([seq]));
    // Before the change the lines are those of the recording, behind it none states its chain.
    let intact = header["scrubbed"]["intact_upto"].as_u64().unwrap() as usize;
    let copied: Vec<&str> = copy.lines().collect();
    assert!(intact > 0 && copied[1..=intact] == lines[1..=intact], "{intact}");
    let footer: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert!(!copy.contains(footer["chain"].as_str().unwrap()));
    // Changed once more, it is told.
    let forged = file(folder.path(), "forged.jsonl", copy.replace("pushing with", "pulling with"));
    assert!(finish(1, rig(&["verify", &forged]), b"").stdout.contains("changed since"));
}

#[test]
fn a_secret_in_a_config_takes_its_plain_digest_along() {
    let folder = folder();
    let mut lines = recorded(folder.path());
    let at = lines.iter().position(|line| line.contains("\"config\":{")).unwrap();
    lines[at] = lines[at].replace("\"config\":{", &format!("\"config\":{{\"aaa.note\":\"{TOKEN}\","));
    let digest =
        serde_json::from_str::<Value>(&lines[at]).unwrap()["config_digest"].as_str().unwrap().to_owned();
    let session = file(folder.path(), "leaky.jsonl", joined(&lines));
    let copy = folder.path().join("copy.jsonl");
    let said = run(1, &["scrub", &session, "-o", text(&copy), "--json"]).json();
    assert_eq!(said["found"][0]["path"], "config: aaa.note");
    let copied = std::fs::read_to_string(&copy).unwrap();
    assert!(!copied.contains(TOKEN) && !copied.contains(&digest));
    assert!(copied.contains("\"config_digest\":\"hmac:scrub:"));
    let config = run(0, &["state", text(&copy), "--json"]).json()["services"]["api"]["config"].clone();
    assert!(rig_config::redact::is_redacted(&config["aaa.note"]), "{config}");
}

#[test]
fn a_random_key_below_what_lists_secrets_leaves_every_path() {
    const KEY: &str = "9fK2mQ7xhunter2Rt5Lp8Zc";
    let folder = folder();
    let event = |seq: u64, rest: Value| {
        let Value::Object(mut event) = rest else { panic!("an object") };
        event.extend([("seq".to_owned(), json!(seq)), ("ts".to_owned(), json!("2026-02-23T10:00:00Z"))]);
        format!("{}\n", Value::Object(event))
    };
    let path = format!("api_keys.{KEY}.owner");
    let digest = format!("sha256:{}", "0".repeat(64));
    let lines = [
        event(
            1,
            json!({"type": "snapshot.captured", "service": "api", "digest": "hmac:k1:0", "config_digest": digest, "format": "json",
            "bytes": 9, "fields": 1, "config": {&path: "ana"}, "provenance": {&path: "file:a.json"}}),
        ),
        event(
            2,
            json!({"type": "snapshot.captured", "service": "api", "digest": "hmac:k1:1", "config_digest": digest, "format": "json",
            "bytes": 9, "fields": 1}),
        ),
        event(
            3,
            json!({"type": "diff.computed", "service": "api", "from": 1, "to": 2, "added": 0, "removed": 0, "changed": 1,
            "changes": [{"op": "changed", "path": &path, "before": "ana", "after": "ben", "severity": "low"}]}),
        ),
    ];
    let session = file(folder.path(), "leaky.jsonl", lines.concat());
    let copy = folder.path().join("copy.jsonl");
    let said = run(1, &["scrub", &session, "-o", text(&copy), "--json"]);
    assert!(!format!("{said:?}").contains("hunter2"), "{said:?}");
    assert!(!std::fs::read_to_string(&copy).unwrap().contains("hunter2"));
    // Every path became the same one, so that the copy still folds.
    let state = run(0, &["state", text(&copy), "--json"]).json();
    let config = state["services"]["api"]["config"].as_object().unwrap();
    let [(path, value)] = config.iter().collect::<Vec<_>>()[..] else { panic!("{config:?}") };
    assert!(path.starts_with("api_keys.<redacted:hmac:scrub:") && value == "ben", "{config:?}");
    run(0, &["scrub", text(&copy)]);
}

#[test]
fn logs_of_rigd_torn_lines_and_standard_input_are_looked_through() {
    use std::fmt::Write as _;
    let body = "eyJ1c2VyIjoiYW5hIiwicGFzc3dvcmQiOiJodW50ZXIyIn0=";
    let mut log = String::from(
        "{\"type\":\"log.header\",\"environment\":\"e\",\"outcome\":\"passed\",\"services\":[]}\n",
    );
    let request = json!({"source": "a", "target": "b", "method": "POST", "path": "/login?token=hunter2", "status_code": 200,
        "latency_ms": 1.5, "request_headers": {"Authorization": ["Bearer hunter2hunter2"]}, "request_body": body});
    let event = json!({"seq": 1, "type": "request.completed", "timestamp": "2026-02-23T10:00:02.000Z", "request": request});
    writeln!(log, "{event}").unwrap();
    writeln!(
        log,
        "{}",
        json!({"seq": 2, "type": "service.log", "service": "a", "timestamp": "2026-02-23T10:00:03Z",
        "log": {"stream": "stdout", "data": "db password=hunter2"}})
    )
    .unwrap();
    log.push_str("{\"seq\":3,\"type\":\"service.log\",\"log\":{\"data\":\"password=hunter2");
    let folder = folder();
    let copy = folder.path().join("copy.jsonl");
    let said = finish(1, rig(&["scrub", "-", "-o", text(&copy), "--json"]), log.as_bytes());
    let paths: Vec<String> =
        said.json()["found"].as_array().unwrap().iter().map(|one| one["path"].to_string()).collect();
    assert_eq!(paths.len(), 5, "{said:?}");
    let copied = std::fs::read_to_string(&copy).unwrap();
    assert!(!copied.contains("hunter2") && !copied.contains(body), "{copied}");
    assert!(copied.lines().next().unwrap().contains("\"scrubbed\":{"), "{copied}");
    assert!(copied.contains("/login?token=<redacted:") && copied.lines().count() == 4, "{copied}");
    run(0, &["ls", text(&copy)]);
    // Without -o it only looks.
    assert!(finish(1, rig(&["scrub", "-"]), log.as_bytes()).stdout.contains("request.request_body"));
    run(2, &["scrub", "nowhere.jsonl"]);
}
