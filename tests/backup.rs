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

    // An empty folder may be one that nothing can take the place of: a mounted disk, or a link.
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    std::fs::create_dir_all(real.join("lost+found")).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    std::fs::write(folder.path().join("cut.backup"), &std::fs::read(&file).unwrap()[..1000]).unwrap();
    run(2, &["restore", text(&folder.path().join("cut.backup")), "--data", text(&link)]);
    assert_eq!(std::fs::read_dir(&real).unwrap().count(), 1);
    run(0, &["restore", text(&file), "--data", text(&link)]);
    assert!(real.join("keys/blobs").exists() && real.join("streams/main/stream.json").exists());
    assert_eq!(std::fs::read_dir(&real).unwrap().count(), 3);
    run(2, &["restore", text(&file), "--data", text(&link)]);

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

#[test]
fn a_doctor_opens_every_original() {
    let folder = folder();
    let data = folder.path().join("data");
    let hub = spoken_to(&data);
    hub.running.signal("TERM");
    assert_eq!(hub.running.wait(), 0);
    let blobs = data.join("streams/main/blobs");
    let originals: Vec<_> = crate::harness::files(&blobs);
    let main = |report: &Value| report["streams"][1].clone();
    let report = doctor(0, &data, &[]);
    assert_eq!((&main(&report)["originals"], &main(&report)["unnamed"]), (&20.into(), &0.into()), "{report}");

    // What no event names goes by itself; what is no original is nobody's business, and in no backup.
    std::fs::create_dir_all(blobs.join("00/folder")).unwrap();
    let backup = folder.path().join("rig.backup");
    run(0, &["backup", "--data", text(&data), "-o", text(&backup)]);
    let name = format!("00{}", &originals[0].file_name().unwrap().to_str().unwrap()[2..]);
    let stray = blobs.join("00").join(name);
    std::fs::copy(&originals[0], &stray).unwrap();
    let report = doctor(1, &data, &[]);
    assert_eq!((&main(&report)["originals"], &main(&report)["unnamed"]), (&20.into(), &1.into()), "{report}");
    assert_eq!(found(&report, text(&stray))[0]["level"], "error", "{report}");
    std::fs::remove_file(stray).unwrap();

    // A byte that was changed, an original that is gone.
    let whole = std::fs::read(&originals[0]).unwrap();
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(&originals[0], changed).unwrap();
    let report = doctor(1, &data, &["--repair"]);
    assert_eq!(main(&report)["originals"], 19);
    assert!(found(&report, text(&originals[0]))[0]["what"].as_str().unwrap().contains("damaged"), "{report}");
    std::fs::remove_file(&originals[0]).unwrap();
    let report = doctor(1, &data, &[]);
    assert!(found(&report, "main/blobs")[0]["what"].as_str().unwrap().contains("not there: 1,"), "{report}");
    std::fs::write(&originals[0], whole).unwrap();
    doctor(0, &data, &[]);

    // Without the key none opens, and that is told once.
    std::fs::write(data.join("keys/blobs"), format!("b9:{}\n", "0f".repeat(32))).unwrap();
    let report = doctor(1, &data, &[]);
    let told = found(&report, "main/blobs");
    assert_eq!((main(&report)["originals"].as_u64(), told.len()), (Some(0), 1), "{report}");
    assert!(told[0]["what"].as_str().unwrap().ends_with("does not hold: 20"), "{report}");
}
