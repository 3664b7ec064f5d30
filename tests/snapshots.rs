//! Layers with the source of each field, and snapshot files: written, rotated, read.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Hub, Said, file, files, finish, folder, rig, rig_diff, run, text};

const BASE: &str =
    "database:\n  host: localhost\n  port: 5432\n  password: hunter2-hunter2\nservers:\n  - a\n  - b\n";
const PROD: &str = "servers = [\"c\"]\n\n[database]\nhost = \"db1\"\n";

/// Two layers and a folder for what is written.
struct Layers {
    folder: tempfile::TempDir,
    base: String,
    prod: String,
}

fn layers() -> Layers {
    let folder = folder();
    let base = file(folder.path(), "base.yaml", BASE);
    let prod = file(folder.path(), "prod.toml", PROD);
    Layers { folder, base, prod }
}

impl Layers {
    /// A template below the folder.
    fn out(&self, name: &str) -> String {
        text(&self.folder.path().join("out").join(name)).to_owned()
    }

    /// `rig snapshot api base.yaml --out …`
    #[track_caller]
    fn write(&self, code: i32, out: &str, more: &[&str]) -> Said {
        run(code, &[&["snapshot", "api", &self.base, "--out", out, "--json"], more].concat())
    }

    fn written(&self) -> Vec<String> {
        let out = self.folder.path().join("out");
        let mut names: Vec<String> = if out.is_dir() {
            files(&out).iter().map(|path| text(path.strip_prefix(&out).unwrap()).to_owned()).collect()
        } else {
            Vec::new()
        };
        names.sort();
        names
    }
}

fn json_of(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_hub_knows_file_line_and_variable_of_every_field() {
    let (hub, layers) = (Hub::in_memory(), layers());
    let capture = |value: &str| {
        let mut rig = rig(&[
            "snapshot",
            "api",
            &layers.base,
            &layers.prod,
            "--env",
            "APP_",
            "--hub",
            &hub.url,
            "--json",
        ]);
        rig.env("APP_DATABASE__PORT", value).env("APP_NEW__KEY", "x");
        finish(0, rig, b"").json()
    };
    let first = capture("6000");
    let event = &first["events"][0];
    let (base, prod) = (&layers.base, &layers.prod);
    let sources = json!({
        "database.host": format!("file:{prod}:4"),
        "database.password": format!("file:{base}:4"),
        "database.port": "env:APP_DATABASE__PORT",
        "new.key": "env:APP_NEW__KEY",
        "servers[0]": format!("file:{prod}:1"),
    });
    assert_eq!(event["provenance"], sources, "{event}");
    assert_eq!(event["config"]["database.port"], 6000);
    assert_eq!(event["config"]["servers[0]"], "c");
    assert!(event["meta"]["tool"].as_str().unwrap().starts_with("rig "), "{event}");
    assert!(!first.to_string().contains("hunter2"));
    assert_eq!(capture("6000")["events"][0]["type"], "snapshot.unchanged");
    // Only a value changes: its source is known already.
    let second = capture("6001");
    assert_eq!(second["events"][1]["type"], "diff.computed");
    assert_eq!(second["events"][0]["provenance"], Value::Null);
    let state = run(0, &["state", &hub.main(), "--json"]).json();
    assert_eq!(state["services"]["api"]["provenance"], sources);
    // A recording replays to it, in the same state.
    let session = text(&layers.folder.path().join("s.jsonl")).to_owned();
    run(0, &["record", &hub.main(), "-o", &session, "--until-caught-up"]);
    let replayed = run(0, &["state", &session, "--json"]).json();
    assert_eq!(replayed["services"]["api"]["provenance"], sources);
}

#[test]
fn a_mistake_in_a_layer_is_named_and_no_value_told() {
    let (hub, layers) = (Hub::in_memory(), layers());
    let at = ["--hub", hub.url.as_str()];
    let mut variable = rig(&["snapshot", "api", &layers.base, "--env", "APP_", "--hub", &hub.url]);
    variable.env("APP_DATABASE____HOST", "hunter2");
    let said = finish(2, variable, b"");
    assert!(said.stderr.contains("APP_DATABASE____HOST") && !said.stderr.contains("hunter2"), "{said:?}");
    let plain = file(layers.folder.path(), "a.txt", "hello");
    let said = run(2, &[&["snapshot", "api", &layers.base, &plain], &at[..]].concat());
    assert!(said.stderr.contains("plain text"), "{said:?}");
    let broken = file(layers.folder.path(), "b.json", "{\"a\": hunter2");
    let said = run(2, &[&["snapshot", "api", &layers.base, &broken], &at[..]].concat());
    assert!(said.stderr.contains("b.json") && !said.stderr.contains("hunter2"), "{said:?}");
    run(2, &[&["snapshot", "api", "-", "-"], &at[..]].concat());
    run(2, &["snapshot", "api", "--hub", &hub.url]);
}

#[test]
fn a_snapshot_file_has_the_format_of_rigging_and_no_secret() {
    let layers = layers();
    let out = layers.out("deep/{{service}}-{{timestamp}}-{{hostname}}.json");
    let mut rig = rig(&[
        "snapshot",
        "shop/api",
        &layers.base,
        &layers.prod,
        "--out",
        &out,
        "--json",
        "--meta",
        "deployment=d7",
        "--env",
        "APP_",
    ]);
    rig.env("APP_DATABASE__PORT", "6000").env("RIG_OPERATOR", "ana");
    let said = finish(0, rig, b"").json();
    let written = said["written"].as_str().unwrap();
    let name = written.rsplit('/').next().unwrap();
    let digits: String = name.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert!(digits.starts_with("shop_api-00000000-000000-"), "{name}");
    let snapshot = json_of(written);
    assert_eq!(snapshot["version"], "1.0");
    assert_eq!(
        snapshot["config"],
        json!({"database.host": "db1", "database.password": "***redacted***", "database.port": 6000, "servers[0]": "c"})
    );
    let port =
        snapshot["provenance"].as_array().unwrap().iter().find(|p| p["KeyPath"] == "database.port").unwrap();
    assert_eq!(
        *port,
        json!({"FieldPath": "database.port", "KeyPath": "database.port", "SourceName": "env:APP_DATABASE__PORT", "Secret": false})
    );
    let password = snapshot["provenance"].as_array().unwrap().iter().find(|p| p["Secret"] == true).unwrap();
    assert_eq!(
        (&password["SourceName"], &password["Line"]),
        (&json!(format!("file:{}", layers.base)), &json!(4))
    );
    let audit = &snapshot["audit"];
    assert_eq!(
        (&audit["service"], &audit["operator"], &audit["deployment"]),
        (&json!("shop/api"), &json!("ana"), &json!("d7"))
    );
    assert!(audit["hostname"].is_string() && audit["tool"].as_str().unwrap().starts_with("rig "), "{audit}");
    assert!(!std::fs::read_to_string(written).unwrap().contains("hunter2"));
    assert_eq!(said["redacted"], 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(Path::new(written)), 0o600);
        for folder in Path::new(written).ancestors().skip(1).take(2) {
            assert_eq!(mode(folder), 0o700, "{}", folder.display());
        }
    }
    // No temporary file is left behind.
    assert_eq!(layers.written().len(), 1, "{:?}", layers.written());
}

#[test]
fn a_snapshot_file_is_read_wherever_a_document_is() {
    let (hub, layers) = (Hub::in_memory(), layers());
    let (first, second) = (layers.out("1.json"), layers.out("2.json"));
    layers.write(0, &first, &[]);
    run(0, &["snapshot", "api", &layers.base, &layers.prod, "--out", &second]);
    let diff = run(1, &["diff", &first, &second, "--json"]).json();
    let paths: Vec<&str> =
        diff["changes"].as_array().unwrap().iter().map(|c| c["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["database.host", "servers[1]", "servers[0]"]);
    let event = run(0, &["snapshot", "api", &first, "--hub", &hub.url, "--json"]).json()["events"][0].clone();
    assert_eq!(event["format"], "snapshot");
    assert_eq!(event["provenance"]["database.host"], format!("file:{}:2", layers.base));
    assert_eq!(event["config"]["database.password"], "***redacted***");
    // As a layer, with what comes above it.
    let event =
        run(0, &["snapshot", "api", &first, &layers.prod, "--hub", &hub.url, "--json"]).json()["events"][0]
            .clone();
    assert_eq!(event["provenance"]["database.host"], format!("file:{}:4", layers.prod));
    // What Go's encoder escapes is the same after reading.
    let go = file(
        layers.folder.path(),
        "go.json",
        r#"{"version":"1.0","timestamp":"2026-01-01T00:00:00.123456789Z","config":{"a":"\u003cb\u003e \u0026 c"},"provenance":null}"#,
    );
    let plain = file(layers.folder.path(), "plain.json", r#"{"a":"<b> & c"}"#);
    run(0, &["diff", &go, &plain]);
    let newer = file(
        layers.folder.path(),
        "newer.json",
        r#"{"version":"2.0","timestamp":"2026-01-01T00:00:00Z","config":{}}"#,
    );
    assert!(run(2, &["diff", &newer, &plain]).stderr.contains("version 2.0"));
}

#[test]
fn with_a_key_a_rotated_secret_shows_as_changed() {
    let layers = layers();
    let key = file(layers.folder.path(), "key", format!("k1:{}\n", "ab".repeat(32)));
    let with_key = |name: &str| {
        let out = layers.out(name);
        layers.write(0, &out, &["--redaction-key", &key]);
        out
    };
    let first = with_key("1.json");
    let marker = json_of(&first)["config"]["database.password"].clone();
    assert!(marker["redacted"].as_str().unwrap().starts_with("hmac:k1:"), "{marker}");
    run(0, &["diff", &first, &with_key("2.json")]);
    std::fs::write(&layers.base, BASE.replace("hunter2-hunter2", "hunter3-hunter3")).unwrap();
    let said = run(1, &["diff", &first, &with_key("3.json")]);
    assert!(said.stdout.contains("database.password") && !said.stdout.contains("hunter"), "{said:?}");
    let bad = file(layers.folder.path(), "bad", "hunter2");
    let said = layers.write(2, &layers.out("4.json"), &["--redaction-key", &bad]);
    assert!(said.stderr.contains("ID:HEX") && !said.stderr.contains("hunter2"), "{said:?}");
}

#[test]
fn fields_can_be_left_out_ignoring_case() {
    let layers = layers();
    let out = layers.out("1.json");
    layers.write(0, &out, &["--exclude", "DATABASE.P*", "--exclude", "Servers"]);
    assert_eq!(json_of(&out)["config"], json!({"database.host": "localhost"}));
}

#[test]
fn sections_of_a_text_can_be_left_out() {
    let folder = folder();
    let old =
        file(folder.path(), "old.rsc", "/ip dns\nset a=1\n/ip firewall filter\nadd b=1\n/user\nadd c=1\n");
    let new =
        file(folder.path(), "new.rsc", "/ip dns\nset a=1\n/ip firewall filter\nadd b=2\n/user\nadd c=1\n");
    let kept = "/ip dns\nset a=1\n/user\nadd c=1\n";
    let out = folder.path().join("router.json");
    let exclude = ["--exclude", "IP/Firewall"];
    let said = run(0, &[&["snapshot", "router", &old, "--out", text(&out)], &exclude[..]].concat());
    assert!(said.stderr.contains("1 section left out"), "{said:?}");
    assert_eq!(json_of(text(&out))["config"]["text"], kept);
    let hub = Hub::in_memory();
    run(0, &[&["snapshot", "router", &old, "--hub", &hub.main()], &exclude[..]].concat());
    let state = run(0, &["state", &hub.main(), "--json"]).json();
    assert_eq!(state["services"]["router"]["config"]["text"], kept);
    run(1, &["diff", &old, &new]);
    run(0, &[&["diff", &old, &new], &exclude[..]].concat());
    assert!(run(1, &["diff", &old, &new, "--exclude", "user"]).stderr.contains("1 section left out"));
    // Where nothing has a name, nothing is left out by mistake.
    let plain = file(folder.path(), "motd.txt", "welcome\n");
    assert!(run(2, &["diff", &plain, &plain, "--exclude", "a"]).stderr.contains("names sections"));
    let said = run(2, &["snapshot", "motd", &plain, "--out", text(&out), "--exclude", "a"]);
    assert!(said.stderr.contains("names sections"), "{said:?}");
}

#[test]
fn a_config_is_approved_if_it_is_what_a_snapshot_file_holds() {
    let (hub, folder) = (Hub::in_memory(), folder());
    let main = hub.main();
    let config = file(folder.path(), "api.yaml", "port: 1\npassword: hunter2\n");
    let reviewed = folder.path().join("reviewed.json");
    run(0, &["snapshot", "api", &config, "--out", text(&reviewed)]);
    run(0, &["snapshot", "api", &config, "--hub", &main]);
    let approve =
        |code: i32| run(code, &["baseline", "approve", &main, "api", "--snapshot", text(&reviewed)]);
    let said = approve(0);
    assert!(
        said.stdout.contains("baseline.approved") && said.stderr.contains("1 secret not compared"),
        "{said:?}"
    );
    let moved = file(folder.path(), "api.yaml", "port: 2\npassword: hunter2\n");
    run(0, &["snapshot", "api", &moved, "--hub", &main]);
    let said = approve(1);
    assert!(said.stdout.contains("~ port: 1 -> 2") && said.stderr.contains("was not approved"), "{said:?}");
    run(1, &["drift", &main]);
    // A file with the secret as it was, from another tool: it is neither compared nor shown.
    let foreign = file(
        folder.path(),
        "foreign.json",
        "{\"version\":\"1.0\",\"timestamp\":\"2026-01-15T10:30:00Z\",\"config\":{\"port\":2,\"password\":\"hunter3\"}}",
    );
    let said = run(0, &["baseline", "approve", &main, "api", "--snapshot", &foreign]);
    assert!(!format!("{said:?}").contains("hunter"), "{said:?}");
    run(0, &["drift", &main]);
    let router = file(folder.path(), "r.rsc", "/user\nadd name=a password=hunter2\n");
    let reviewed = folder.path().join("router.json");
    run(0, &["snapshot", "router", &router, "--out", text(&reviewed)]);
    run(0, &["snapshot", "router", &router, "--hub", &main]);
    run(0, &["baseline", "approve", &main, "router", "--snapshot", text(&reviewed)]);
}

#[test]
fn a_template_that_does_not_expand_writes_nothing() {
    let layers = layers();
    for (template, word) in [
        ("{{time}}.json", "timestamp"),
        ("{{timestamp.json", "not closed"),
        ("{{deployment}}.json", "--meta deployment"),
    ] {
        let said = layers.write(2, &layers.out(template), &[]);
        assert!(said.stderr.contains(word), "{said:?}");
    }
    assert!(layers.written().is_empty());
    let said = layers.write(2, "ftp://ana:hunter2@host/x.json", &[]);
    assert!(said.stderr.contains("s3://") && !said.stderr.contains("hunter2"), "{said:?}");
}

#[test]
fn rotation_deletes_only_what_rig_wrote_of_that_service_here() {
    let layers = layers();
    let out = layers.out("api-{{timestamp}}.json");
    let one = layers.write(0, &out, &[]).json()["written"].as_str().unwrap().to_owned();
    let ours = std::fs::read_to_string(&one).unwrap();
    let at = |name: &str| layers.folder.path().join("out").join(name);
    // Two old ones of ours, and everything that only looks so.
    for (name, content) in [
        ("api-20200101-000000.json", ours.clone()),
        ("api-20200102-000000.json", ours.clone()),
        ("api-20200103-000000.json", "{\"mine\": 1}".to_owned()),
        ("api-20200104-000000.json", ours.replace("\"service\": \"api\"", "\"service\": \"web\"")),
        ("api-20200105-000000.json", ours.replace("\"tool\": \"rig ", "\"tool\": \"gir ")),
        ("api-20200106-000000.json", ours.replace("\"hostname\": \"", "\"hostname\": \"not-")),
        ("api-20200107-000000.json.bak", ours.clone()),
        ("xapi-20200108-000000.json", ours.clone()),
        ("api-20200109-0000.json", ours.clone()),
    ] {
        std::fs::write(at(name), content).unwrap();
    }
    let elsewhere = file(layers.folder.path(), "elsewhere.json", &ours);
    #[cfg(unix)]
    std::os::unix::fs::symlink(&elsewhere, at("api-20200110-000000.json")).unwrap();
    std::fs::create_dir(at("api-20200111-000000.json")).unwrap();
    let before = layers.written();
    let said = layers.write(0, &out, &["--keep", "1"]).json();
    let removed: Vec<&str> = said["removed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_str().unwrap().rsplit('/').next().unwrap())
        .collect();
    let new = said["written"].as_str().unwrap();
    let mut expected = vec!["api-20200102-000000.json", "api-20200101-000000.json"];
    let first = one.rsplit('/').next().unwrap();
    if one != new {
        expected.insert(0, first);
    }
    assert_eq!(removed, expected);
    assert!(Path::new(new).is_file() && Path::new(&elsewhere).is_file());
    let kept = layers.written();
    for name in before.iter().filter(|name| !expected.contains(&name.as_str())) {
        assert!(kept.contains(name), "{name} of {kept:?}");
    }
}

#[test]
fn rotation_by_age_goes_by_the_time_in_the_file() {
    let layers = layers();
    let out = layers.out("{{service}}/{{timestamp}}.json");
    let one = layers.write(0, &out, &[]).json()["written"].as_str().unwrap().to_owned();
    let ours = std::fs::read_to_string(&one).unwrap();
    let stamp =
        ours.split('"').find(|word| word.starts_with("20") && word.ends_with('Z')).unwrap().to_owned();
    let old = ours.replace(&stamp, "2020-01-01T00:00:00.000000Z");
    let at = |name: &str| layers.folder.path().join("out/api").join(name);
    std::fs::write(at("20200101-000000.json"), old).unwrap();
    std::fs::write(at("20200102-000000.json"), &ours).unwrap();
    let said = layers.write(0, &out, &["--max-age", "30d"]).json();
    assert_eq!(said["removed"].as_array().unwrap().len(), 1, "{said}");
    assert!(!at("20200101-000000.json").exists() && at("20200102-000000.json").exists());
    layers.write(2, &out, &["--max-age", "30 days"]);
}

#[test]
fn nothing_of_others_is_overwritten() {
    let layers = layers();
    let out = layers.out("latest.json");
    layers.write(0, &out, &[]);
    layers.write(0, &out, &[]);
    let said = run(2, &["snapshot", "web", &layers.base, "--out", &out]);
    assert!(said.stderr.contains("not written by rig for this service"), "{said:?}");
    std::fs::write(&out, "mine").unwrap();
    layers.write(2, &out, &[]);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "mine");
    #[cfg(unix)]
    {
        let link = layers.out("link.json");
        layers.write(0, &layers.out("target.json"), &[]);
        std::os::unix::fs::symlink(layers.out("target.json"), &link).unwrap();
        layers.write(2, &link, &[]);
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        let pipe = layers.out("pipe.json");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(layers.write(2, &pipe, &[]).stderr.contains("no plain file"));
    }
}

#[test]
fn a_snapshot_over_the_limit_is_not_written() {
    let layers = layers();
    let said = layers.write(2, &layers.out("1.json"), &["--max-bytes", "300"]);
    assert!(said.stderr.contains("300 bytes"), "{said:?}");
    assert!(layers.written().is_empty());
}

#[test]
fn a_text_is_written_as_one_field_without_its_secrets() {
    let folder = folder();
    let export = file(folder.path(), "router.rsc", "/user\nadd name=ana password=hunter2-hunter2\n");
    let out = text(&folder.path().join("router.json")).to_owned();
    run(0, &["snapshot", "router", &export, "--out", &out]);
    let snapshot = json_of(&out);
    let text = snapshot["config"]["text"].as_str().unwrap();
    assert!(text.contains("name=ana password=***redacted***"), "{text}");
}

#[test]
fn the_commit_of_the_repository_goes_with_a_snapshot() {
    let layers = layers();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    std::fs::create_dir(layers.folder.path().join(".git")).unwrap();
    file(&layers.folder.path().join(".git"), "HEAD", format!("{commit}\n"));
    let out = layers.out("{{git_sha}}.json");
    let written = layers.write(0, &out, &[]).json()["written"].as_str().unwrap().to_owned();
    assert!(written.ends_with(&format!("{commit}.json")), "{written}");
    let hub = Hub::in_memory();
    let event =
        run(0, &["snapshot", "api", &layers.base, "--hub", &hub.url, "--json"]).json()["events"][0].clone();
    assert_eq!(event["meta"]["git_sha"], commit);
    let event =
        run(0, &["snapshot", "web", &layers.base, "--hub", &hub.url, "--json", "--meta", "git_sha=mine"])
            .json()["events"][0]
            .clone();
    assert_eq!(event["meta"]["git_sha"], "mine");
}

#[cfg(not(feature = "cloud"))]
#[test]
fn a_program_without_cloud_says_so() {
    let folder = folder();
    let document = file(folder.path(), "api.yaml", "port: 1\n");
    for place in ["s3://bucket/a.json", "gs://bucket/a.json", "az://container/a.json"] {
        let said = run(2, &["snapshot", "api", &document, "--out", place]).stderr;
        assert!(said.contains(place) && said.contains("built without `cloud`"), "{said}");
        let said = run(2, &["diff", place, &document]).stderr;
        assert!(said.contains(place) && said.contains("built without `cloud`"), "{said}");
    }
}

#[test]
fn a_file_of_rigging_comes_through_as_it_is() {
    let folder = folder();
    let go = r#"{
  "version": "1.0",
  "timestamp": "2026-01-15T10:30:00.123456789Z",
  "config": {
    "labels.with space": "a\u003cb",
    "log": "info",
    "log.level": "debug",
    "tags": [
      "a",
      "b"
    ]
  },
  "provenance": [
    {
      "FieldPath": "Log.Level",
      "KeyPath": "log.level",
      "SourceName": "override (cli)",
      "Secret": false
    }
  ],
  "extra": 1
}"#;
    let go = file(folder.path(), "go.json", go);
    let out = folder.path().join("out.json");
    let said = run(0, &["snapshot", "api", &go, "--out", text(&out)]);
    assert!(said.stderr.contains("extra") && said.stdout.contains("0 redacted"), "{said:?}");
    let (before, after) = (std::fs::read_to_string(&go).unwrap(), std::fs::read_to_string(&out).unwrap());
    let from = |text: &str| text[text.find("  \"config\"").unwrap()..].to_owned();
    assert_eq!(from(&before), from(&after));
    let audit = &json_of(text(&out))["audit"];
    assert_eq!(audit["snapshot.timestamp"], "2026-01-15T10:30:00.123456Z");
    // A hub takes it, and knows the word of its source.
    let hub = Hub::in_memory();
    let event = run(0, &["snapshot", "api", &go, "--hub", &hub.url, "--json"]).json()["events"][0].clone();
    assert_eq!(event["provenance"], json!({"log.level": "override (cli)"}), "{event}");
    assert_eq!((&event["config"]["log"], &event["config"]["log.level"]), (&json!("info"), &json!("debug")));
}

#[test]
fn a_file_without_a_time_or_with_more_in_it_is_a_snapshot_file() {
    let folder = folder();
    let plain = file(folder.path(), "plain.json", r#"{"a":1}"#);
    for (name, content) in [
        ("more", r#"{"version":"1.0","timestamp":"2026-01-15T10:30:00Z","config":{"a":1},"more":{"b":2}}"#),
        ("timeless", r#"{"version":"1.0","config":{"a":1},"provenance":null}"#),
    ] {
        let file = file(folder.path(), &format!("{name}.json"), content);
        let said = finish(0, rig_diff(&[&file, &plain]), b"");
        assert!(said.stderr.contains(if name == "more" { "more" } else { "when it was taken" }), "{said:?}");
        run(0, &["snapshot", name, &file, "--out", &folder.path().join("out.json").display().to_string()]);
        std::fs::remove_file(folder.path().join("out.json")).unwrap();
    }
    // Any JSON may have a version and a config; told that it is one, it is read as one.
    let odd = file(folder.path(), "odd.json", r#"{"version":"1.0","config":{"a":1},"name":"x"}"#);
    finish(1, rig_diff(&[&odd, &plain]), b"");
    finish(2, rig_diff(&[&odd, &plain, "--input-format", "snapshot"]), b"");
    finish(0, rig_diff(&[&odd, &odd, "--input-format", "snapshot"]), b"");
}

#[test]
fn to_leave_out_a_list_means_the_same_everywhere() {
    let folder = folder();
    let old = file(folder.path(), "old.json", r#"{"tags":["a","b"],"s":{"tags":[{"x":1}]},"a":1}"#);
    let new = file(folder.path(), "new.json", r#"{"tags":["a","c"],"s":{"tags":[{"x":2}]},"a":1}"#);
    let exclude = ["--exclude", "Tags", "--exclude", "s.tags[*].x"];
    let said = finish(0, rig_diff(&[&[old.as_str(), &new, "--json"], &exclude[..]].concat()), b"").json();
    // One field changed; two elements that have nothing in common came and went.
    assert_eq!(said["left_out"], 3, "{said}");
    let out = folder.path().join("out.json");
    run(0, &[&["snapshot", "api", &old, "--out", text(&out)], &exclude[..]].concat());
    assert_eq!(json_of(text(&out))["config"], json!({"a": 1}));
}

#[test]
fn files_dated_in_the_future_go_first_and_the_new_one_stays() {
    let layers = layers();
    let out = layers.out("api-{{timestamp}}.json");
    let one = layers.write(0, &out, &[]).json()["written"].as_str().unwrap().to_owned();
    let ours = std::fs::read_to_string(&one).unwrap();
    let at = |name: &str| layers.folder.path().join("out").join(name);
    for name in ["api-20990101-000000.json", "api-20990102-000000.json"] {
        std::fs::write(at(name), &ours).unwrap();
    }
    std::fs::write(at("api-20200101-000000.json"), &ours).unwrap();
    let said = layers.write(0, &out, &["--keep", "2"]);
    assert!(said.stderr.contains("2 snapshots ahead of the clock"), "{said:?}");
    let said = said.json();
    assert_eq!(said["ahead"].as_array().unwrap().len(), 2, "{said}");
    let written = said["written"].as_str().unwrap();
    assert!(Path::new(written).exists());
    // Of those written with a wrong clock the files say when: on this disk they are as new as the first.
    let removed = said["removed"].to_string();
    assert!(removed.contains("api-20200101") && !removed.contains(written), "{said}");
    for _ in 0..2 {
        let written = layers.write(0, &out, &["--keep", "1"]).json()["written"].as_str().unwrap().to_owned();
        assert!(Path::new(&written).exists());
        assert_eq!(layers.written().len(), 1, "{:?}", layers.written());
    }
}

#[test]
fn what_killed_writers_left_behind_is_cleared_and_empty_folders_too() {
    let layers = layers();
    let out = layers.out("{{git_sha}}/api-{{timestamp}}.json");
    let commit = |sha: &'static str| ["--meta", sha, "--keep", "1"];
    let first = layers.write(0, &out, &commit("git_sha=aaa")).json()["written"].as_str().unwrap().to_owned();
    let old = layers.folder.path().join("out/aaa/api-20200101-000000.json");
    std::fs::rename(&first, &old).unwrap();
    let temporary = |name: &str| layers.folder.path().join("out/bbb").join(name);
    std::fs::create_dir(layers.folder.path().join("out/bbb")).unwrap();
    let day_and_more = std::time::SystemTime::now() - std::time::Duration::from_secs(25 * 60 * 60);
    for (name, is_old) in
        [(".rig-0123456789abcdef.tmp", true), (".rig-fedcba9876543210.tmp", false), (".rig-mine.tmp", true)]
    {
        let file = std::fs::File::create(temporary(name)).unwrap();
        if is_old {
            file.set_modified(day_and_more).unwrap();
        }
    }
    layers.write(0, &out, &commit("git_sha=bbb"));
    assert!(!layers.folder.path().join("out/aaa").exists(), "{:?}", layers.written());
    assert!(!temporary(".rig-0123456789abcdef.tmp").exists());
    assert!(temporary(".rig-fedcba9876543210.tmp").exists() && temporary(".rig-mine.tmp").exists());
    // A write that fails leaves no folder either.
    layers.write(2, &out, &["--meta", "git_sha=ccc", "--max-bytes", "300"]);
    assert!(!layers.folder.path().join("out/ccc").exists());
}

#[test]
fn each_operation_leaves_a_line_in_the_log() {
    let layers = layers();
    let out = layers.out("api-{{timestamp}}.json");
    let mut rig = rig(&["snapshot", "api", &layers.base, "--out", &out, "--keep", "3"]);
    rig.env("RIG_LOG", "info").env("RIG_LOG_FORMAT", "json");
    let said = finish(0, rig, b"");
    let lines: Vec<Value> = said.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let write = lines.iter().find(|line| line["operation"] == "write").unwrap_or_else(|| panic!("{said:?}"));
    assert_eq!((&write["outcome"], &write["attempt"]), (&json!("ok"), &json!(1)), "{write}");
    assert!(write["bytes"].as_u64().unwrap() > 100 && write["duration_ms"].is_u64(), "{write}");
    assert!(write["path"].as_str().unwrap().contains("/out/api-"), "{write}");
    assert!(lines.iter().any(|line| line["operation"] == "list"), "{said:?}");
    assert!(!said.stderr.contains("hunter2"));
    let said = layers.write(0, &layers.out("quiet.json"), &[]);
    assert!(said.stderr.is_empty(), "{said:?}");
}

#[test]
fn a_value_may_be_as_long_as_the_file() {
    let folder = folder();
    let long = file(folder.path(), "long.json", json!({"a": "x".repeat(500_000)}).to_string());
    let out = folder.path().join("out.json");
    run(0, &["snapshot", "api", &long, "--out", text(&out)]);
    finish(0, rig_diff(&[text(&out), text(&out)]), b"");
}

#[test]
fn as_many_are_said_to_be_redacted_as_were() {
    let folder = folder();
    let config = file(
        folder.path(),
        "a.json",
        r#"{"url": "redis://u:hunter2hunter2@h/0?password=hunter3hunter3", "password": "hunter4hunter4", "blank": "***redacted***"}"#,
    );
    let out = folder.path().join("out.json");
    let said = run(0, &["snapshot", "api", &config, "--out", text(&out), "--json"]).json();
    let written = std::fs::read_to_string(&out).unwrap();
    assert_eq!(
        written.matches("***redacted***").count() as u64 - 1,
        said["redacted"].as_u64().unwrap(),
        "{written}"
    );
}

#[test]
fn one_signed_baseline_is_read_by_the_command_line_and_the_hub() {
    let folder = folder();
    let config = file(folder.path(), "api.json", r#"{"port": 1, "password": "hunter2hunter2"}"#);
    let keys = file(folder.path(), "keys", format!("k1 hmac-sha256 {}\n", "ab".repeat(32)));
    let hub = Hub::in_memory();
    let main = hub.main();
    run(0, &["snapshot", "api", &config, "--hub", &main]);
    run(
        0,
        &[
            "baseline", "approve", &main, "api", "--sign", "--keys", &keys, "--reason", "release", "--actor",
            "ana",
        ],
    );
    let signed = folder.path().join("signed.json");
    run(0, &["baseline", "show", &main, "api", "--out", text(&signed)]);
    let verify = ["--baseline", text(&signed), "--verify", "--keys", &keys];
    let said = finish(0, rig_diff(&[&verify[..], &[config.as_str(), "--json"]].concat()), b"").json();
    assert_eq!(
        (&said["sides"]["old"]["operator"], &said["not_compared"]),
        (&json!("ana"), &json!(1)),
        "{said}"
    );
    run(0, &["baseline", "revoke", &main, "api"]);
    run(0, &["baseline", "approve", &main, "api", "--signed", text(&signed)]);
    let said = run(0, &["baseline", "verify", &main, "api", "--keys", &keys]).stdout;
    assert!(said.contains("valid: signed with key k1"), "{said}");
    let moved = file(folder.path(), "api.json", r#"{"port": 2, "password": "hunter2hunter2"}"#);
    run(0, &["snapshot", "api", &moved, "--hub", &main]);
    assert!(
        run(2, &["baseline", "approve", &main, "api", "--signed", text(&signed)]).stderr.contains("moved on")
    );
    finish(1, rig_diff(&[&verify[..], &[moved.as_str()]].concat()), b"");
}
