//! `rig backup`, `rig restore` and `rig doctor` on the data directory of a real hub.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Hub, finish, folder, rig, run, text};

/// A hub that was spoken to.
fn spoken_to(data: &Path) -> Hub {
    let hub = Hub::on(data);
    for n in 0..20 {
        assert_eq!(hub.capture("service=api", format!("{{\"n\":{n}}}").as_bytes()).0, 201);
    }
    hub
}

fn doctor(code: i32, data: &Path, more: &[&str]) -> Value {
    run(code, &[&["doctor", text(data), "--json"], more].concat()).json()
}

/// What the doctor found there, as far as it ends with that.
fn found<'a>(report: &'a Value, end: &str) -> Vec<&'a Value> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings.filter(|finding| finding["path"].as_str().unwrap().ends_with(end)).collect()
}

#[test]
fn a_running_hub_is_backed_up_and_restored() {
    let folder = folder();
    let (data, back) = (folder.path().join("data"), folder.path().join("back"));
    let file = folder.path().join("rig.backup");
    let hub = spoken_to(&data);
    let said = run(0, &["backup", "--data", text(&data), "-o", text(&file), "--with-keys"]);
    assert!(said.stderr.contains("holds the hub's keys"), "{said:?}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let state = |hub: &Hub, at: u64| hub.http("GET", &format!("/v1/streams/main/state?at={at}"), &[], b"").1;
    // It is not written over, and not restored over what is there.
    assert!(
        run(2, &["backup", "--data", text(&data), "-o", text(&file)]).stderr.contains("is there already")
    );
    assert!(run(2, &["restore", text(&file), "--data", text(&data)]).stderr.contains("is not empty"));

    let told = run(0, &["restore", text(&file), "--data", text(&back), "--json"]).json();
    let main = told["streams"].as_array().unwrap().iter().find(|copied| copied["stream"] == "main").unwrap();
    let last = main["last_seq"].as_u64().unwrap();
    assert!(last >= 39, "{told}");
    let restored = Hub::on(&back);
    assert_eq!(state(&restored, last), state(&hub, last));
    restored.running.signal("TERM");
    assert_eq!(restored.running.wait(), 0);
    assert_eq!(doctor(0, &back, &[])["fine"], true);

    // Without its keys it is refused, in words.
    let (file, bare) = (folder.path().join("bare.backup"), folder.path().join("bare"));
    let said = run(0, &["backup", "--data", text(&data), "-o", text(&file)]);
    assert!(said.stderr.contains("the keys are not in it"), "{said:?}");
    assert!(run(0, &["restore", text(&file), "--data", text(&bare)]).stderr.contains("put them into"));
    let refused = run(2, &["hub", "--data", text(&bare), "--listen", "127.0.0.1:0"]);
    assert!(refused.stderr.contains("restore it from a backup"), "{refused:?}");
    let report = doctor(1, &bare, &[]);
    assert_eq!(found(&report, "keys/redaction")[0]["level"], "error", "{report}");
}

#[test]
fn a_doctor_looks_at_a_hub_that_runs_too() {
    let folder = folder();
    let data = folder.path().join("data");
    let _hub = spoken_to(&data);
    let report = doctor(0, &data, &["--repair"]);
    assert_eq!((&report["running"], &report["fine"]), (&true.into(), &true.into()), "{report}");
    let names: Vec<&str> =
        report["streams"].as_array().unwrap().iter().map(|sound| sound["stream"].as_str().unwrap()).collect();
    assert_eq!(names, ["_hub", "main"]);
    assert!(report["streams"][1]["last_seq"].as_u64().unwrap() >= 39, "{report}");
}

#[test]
fn a_doctor_tells_what_is_wrong_and_repairs_what_can_be() {
    let folder = folder();
    let data = folder.path().join("data");
    let hub = spoken_to(&data);
    hub.running.signal("TERM");
    assert_eq!(hub.running.wait(), 0);
    let report = doctor(0, &data, &[]);
    assert_eq!(report["running"], false);
    let main = report["streams"].as_array().unwrap().iter().find(|sound| sound["stream"] == "main").unwrap();
    assert!(main["seals"].as_u64().unwrap() >= 1 && main["signed_upto"].as_u64().unwrap() >= 39, "{report}");

    // Nothing is changed unless that is asked for.
    let key = data.join("keys/redaction");
    let mode = || key.metadata().unwrap().permissions().mode() & 0o777;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let report = doctor(1, &data, &[]);
    assert_eq!(found(&report, "keys/redaction")[0]["level"], "error", "{report}");
    assert_eq!(mode(), 0o644);
    let report = doctor(0, &data, &["--repair"]);
    assert_eq!(found(&report, "keys/redaction")[0]["repaired"], true, "{report}");
    assert_eq!(mode(), 0o600);

    // An index that does not open can be spared.
    let index = data.join("index");
    for file in
        std::fs::read_dir(&index).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    {
        std::fs::write(file, b"no sled has this").unwrap();
    }
    assert_eq!(found(&doctor(1, &data, &[]), "index")[0]["level"], "warning");
    assert!(index.exists());
    doctor(0, &data, &["--repair"]);
    assert!(!index.exists());

    // A torn tail is nobody's loss; a changed line is.
    let segment = data.join("streams/main/00000000000000000001.jsonl");
    let whole = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, [&whole[..], b"{\"seq\":"].concat()).unwrap();
    assert_eq!(found(&doctor(0, &data, &[]), ".jsonl")[0]["level"], "note");
    let text = String::from_utf8(whole).unwrap();
    assert!(text.contains("\"after\":7"));
    std::fs::write(&segment, text.replace("\"after\":7", "\"after\":8")).unwrap();
    let report = doctor(1, &data, &[]);
    let damage = found(&report, "streams/main");
    assert_eq!(damage[0]["level"], "error", "{report}");
    assert!(damage[0]["what"].as_str().unwrap().contains("seq 1"), "{report}");

    // Settings are looked at too, and a folder that is not there is trouble.
    let settings = crate::harness::file(folder.path(), "hub.toml", "nonsense = 1\n");
    let report = doctor(1, &data, &["--config", &settings]);
    assert!(found(&report, "hub.toml")[0]["what"].as_str().unwrap().contains("nonsense"), "{report}");
    finish(2, rig(&["doctor", "/nowhere/at/all"]), b"");
}
