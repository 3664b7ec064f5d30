//! Drift, baselines and policies, with the real programs.

use crate::harness::{
    Hub, Running, Said, file, finish, fixture, folder, rig, rig_diff, run, text, workspace,
};

const KEY: &str = "k1 hmac-sha256 0101010101010101010101010101010101010101010101010101010101010101\n";
const NEXT: &str = "k2 hmac-sha256 0202020202020202020202020202020202020202020202020202020202020202\n";

fn capture(hub: &Hub, service: &str, yaml: &str) {
    let (main, stdin) = (hub.main(), yaml.as_bytes());
    finish(0, rig(&["snapshot", service, "-", "--hub", &main, "--format", "yaml"]), stdin);
}

/// A time that comes while a test waits for it.
fn in_a_moment() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    rig_event::Timestamp::from_micros(now.as_micros() as i64 + 5_000_000).to_string()
}

#[track_caller]
fn signature(code: i32, args: &[&str]) -> String {
    let said = run(code, &[&["baseline", "verify"], args, &["--json"]].concat()).json();
    said["signature"].as_str().unwrap_or("none").to_owned()
}

#[test]
fn a_signed_baseline_says_what_its_signature_is_worth() {
    let (hub, folder) = (Hub::in_memory(), folder());
    let main = hub.main();
    let keys = file(folder.path(), "keys", KEY);
    let rotated = file(folder.path(), "rotated", format!("{KEY}{NEXT}"));
    let next = file(folder.path(), "next", NEXT);
    capture(&hub, "api", "port: 8080\nrate: 1e3\npassword: hunter2\n");

    // Nobody signed it: with keys that is a failure, without them nobody asked.
    run(0, &["baseline", "approve", &main, "api"]);
    run(0, &["baseline", "verify", &main, "api"]);
    assert_eq!(signature(1, &[&main, "api", "--keys", &keys]), "unsigned");
    assert!(run(2, &["baseline", "show", &main, "api", "--out", &next]).stderr.contains("--sign"));

    let approve =
        ["baseline", "approve", &main, "api", "--reason", "release 4.2", "--actor", "ana", "--sign"];
    assert!(run(2, &approve).stderr.contains("RIG_BASELINE_KEYS"), "a key is needed");
    run(0, &[&approve[..], &["--keys", &keys]].concat());
    assert_eq!(signature(0, &[&main, "api", "--keys", &keys]), "valid");
    assert_eq!(signature(0, &[&main, "api", "--keys", &rotated]), "valid");
    assert_eq!(signature(1, &[&main, "api", "--keys", &next]), "unknown-key");
    assert!(run(0, &["baseline", "show", &main, "api"]).stdout.contains("with key k1"));
    // Out of the environment, where no list of processes shows it.
    let mut by_environment = rig(&["baseline", "verify", &main, "api", "--json"]);
    by_environment.env("RIG_BASELINE_KEYS", KEY.trim());
    assert_eq!(finish(0, by_environment, b"").json()["signature"], "valid");

    // After the rotation the new key signs.
    run(0, &[&approve[..], &["--keys", &rotated]].concat());
    assert_eq!(signature(0, &[&main, "api", "--keys", &next]), "valid");
    assert_eq!(signature(1, &[&main, "api", "--keys", &keys]), "unknown-key");

    // The recording can be checked without the hub, and whoever changed a line of it is found out.
    let lines = run(0, &["tail", &main, "--no-follow", "--json"]).stdout;
    assert!(!lines.contains("hunter2"));
    let log = file(folder.path(), "main.jsonl", &lines);
    assert_eq!(signature(0, &[&log, "api", "--keys", &rotated]), "valid");
    for (from, to) in [("release 4.2", "release 4.3"), ("\"ana\"", "\"eve\""), ("8080", "8081")] {
        let altered = file(folder.path(), "main.jsonl", lines.replace(from, to));
        assert_eq!(signature(1, &[&altered, "api", "--keys", &rotated]), "altered", "{from}");
    }

    // As a file, for those who keep it beside the code.
    let kept = text(&folder.path().join("api.baseline.json")).to_owned();
    run(0, &["baseline", "show", &main, "api", "--out", &kept]);
    assert_eq!(signature(0, &[&main, "api", "--baseline", &kept, "--keys", &next]), "valid");
    let content = std::fs::read_to_string(&kept).unwrap();
    let altered = file(folder.path(), "altered.json", content.replace("8080", "8081"));
    assert_eq!(signature(1, &[&main, "api", "--baseline", &altered, "--keys", &next]), "altered");
    let more = file(folder.path(), "more.json", content.replacen('{', "{\"note\": 1,", 1));
    run(2, &["baseline", "verify", &main, "api", "--baseline", &more, "--keys", &next]);
    capture(&hub, "api", "port: 8081\npassword: hunter2\n");
    assert_eq!(signature(1, &[&main, "api", "--baseline", &kept, "--keys", &next]), "valid");

    let bad = file(folder.path(), "bad", "k1 hmac-sha256 zz\n");
    assert!(run(2, &["baseline", "verify", &main, "api", "--keys", &bad]).stderr.contains("line 1"));
}

#[test]
fn a_hub_with_keys_takes_no_approval_that_they_did_not_sign() {
    let folder = folder();
    let keys = file(folder.path(), "keys", KEY);
    let other = file(folder.path(), "other", NEXT);
    let forged = file(folder.path(), "forged", NEXT.replace("k2", "k1"));
    let hub = Hub::start(&["--memory", "--baseline-keys", &keys]);
    let main = hub.main();
    capture(&hub, "api", "port: 8080\n");
    let approve = |code: i32, how: &[&str]| {
        run(code, &[&["baseline", "approve", &main, "api", "--actor", "eve"], how].concat()).stderr
    };
    assert!(approve(2, &[]).contains("unsigned"));
    assert!(approve(2, &["--sign", "--keys", &other]).contains("unknown-key"));
    assert!(approve(2, &["--sign", "--keys", &forged]).contains("altered"));
    assert!(run(0, &["drift", &main]).stdout.contains("no baseline"));
    approve(0, &["--sign", "--keys", &keys]);
    let events = run(0, &["tail", &main, "--no-follow", "--json", "--types", "baseline.*"]).lines();
    let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["baseline.rejected", "baseline.rejected", "baseline.rejected", "baseline.approved"]);
    assert_eq!(events[0]["actor"], "eve");
}

#[test]
fn a_signature_that_cannot_hold_is_refused() {
    let hub = Hub::in_memory();
    capture(&hub, "api", "port: 8080\n");
    let put =
        |query: &str| hub.http("PUT", &format!("/v1/streams/main/services/api/baseline?{query}"), &[], b"");
    let good = format!("key_id=k1&signed=2026-11-20T10:00:00Z&signature={}", "ab".repeat(32));
    for query in [
        good.clone(),
        "digest=x&key_id=k1".to_owned(),
        format!("digest=x&{}", good.replace("abab", "zz")),
        format!("digest=x&{}", good.replace("k1", "k%201")),
        format!("digest=x&{good}&reason=password=hunter2secret"),
    ] {
        let (status, problem) = put(&query);
        assert_eq!((status, problem["code"].as_str()), (400, Some("bad-signature")), "{query}");
    }
    assert_eq!(put(&format!("digest=x&{good}")).1["code"], "digest-mismatch");
}

#[test]
fn rules_that_do_nothing_are_told_and_expired_ones_named() {
    let (hub, folder) = (Hub::in_memory(), folder());
    let main = hub.main();
    capture(&hub, "api", "a: 1\nb: 1\n");
    run(0, &["baseline", "approve", &main, "api"]);
    capture(&hub, "api", "a: 2\nb: 1\n");
    let policy = file(
        folder.path(),
        "rig.toml",
        "[[ignore]]\npath = \"a\"\nexpires = \"2020-01-31\"\n[[ignore]]\npath = \"gone\"\n",
    );
    let said = run(1, &["drift", &main, "--policy", &policy]);
    assert!(said.stdout.contains("by [[ignore]] a has expired"), "{said:?}");
    assert!(said.stderr.contains("[[ignore]] a has expired"), "{said:?}");
    assert!(said.stderr.contains("[[ignore]] gone never matched"), "{said:?}");
    let said = run(1, &["drift", &main, "--policy", &policy, "--json"]).json();
    assert_eq!(said["idle_rules"].as_array().unwrap().len(), 2, "{said}");
    let malformed = file(folder.path(), "bad.toml", "[[ignore]]\npath = \"a\"\nexpires = \"31.1.2020\"\n");
    assert!(run(2, &["drift", &main, "--policy", &malformed]).stderr.contains("line 3"));
}

#[test]
fn ignore_rules_are_written_for_what_drifts_now() {
    let (hub, folder) = (Hub::in_memory(), folder());
    let main = hub.main();
    let field = |value: u32| (0..700).map(|i| format!("f{i}: {value}\n")).collect::<String>();
    capture(&hub, "api", &format!("{}\"a.b*\": {{\"x y\": 1}}\n", field(1)));
    run(0, &["snapshot", "router", &fixture("router-1.rsc"), "--hub", &main]);
    run(0, &["baseline", "approve", &main, "api"]);
    run(0, &["baseline", "approve", &main, "router"]);
    // More than one event lists.
    capture(&hub, "api", &format!("{}\"a.b*\": {{\"x y\": 2}}\n", field(2)));
    run(0, &["snapshot", "router", &fixture("router-2.rsc"), "--hub", &main]);
    run(1, &["drift", &main]);

    let policy = file(folder.path(), "rig.toml", "# ours\n[drift]\nfail_on = \"low\" # strict\n");
    let write =
        ["drift", &main, "--write-ignore", &policy, "--reason", "the \"old\" world", "--owner", "ops"];
    let write = [&write[..], &["--expires", "2099-01-31"]].concat();
    let said = run(0, &write);
    assert!(said.stderr.contains("ignore rules written"), "{said:?}");
    let text = std::fs::read_to_string(&policy).unwrap();
    assert!(text.starts_with("# ours\n[drift]\nfail_on = \"low\" # strict\n"), "{text}");
    assert!(text.matches("[[ignore]]").count() > 701 && text.contains("owner = \"ops\""), "{text}");
    run(0, &["drift", &main, "--policy", &policy]);
    assert!(run(0, &write).stderr.contains("0 ignore rules written"));
    assert_eq!(std::fs::read_to_string(&policy).unwrap(), text);
    // What drifts later is none of the old world.
    capture(&hub, "api", "f0: 3\nlater: 1\n");
    run(1, &["drift", &main, "--policy", &policy]);

    let new = folder.path().join("new.toml");
    let to = |date: &'static str| {
        run(2, &["drift", &main, "--write-ignore", crate::harness::text(&new), "--expires", date])
    };
    assert!(to("2020-01-31").stderr.contains("in the past"));
    to("31.1.2099");
    assert!(!new.exists());
}

#[test]
fn a_declared_file_is_held_against_what_it_names() {
    let (hub, folder) = (Hub::in_memory(), folder());
    let main = hub.main();
    capture(&hub, "api", "http: {port: 8080, host: h}\nrate: 1e3\nreplicas: 3\n");
    let declared = |name: &str, content: &str| file(folder.path(), name, content);
    let drift = |code: i32, args: &[&str]| run(code, &[&["drift", &main], args].concat());
    drift(0, &["--declared", &declared("a.yaml", "http: {port: 8080.0}\nrate: 1000\nlabels: null\n")]);
    let other = declared("b.yaml", "http: {port: 8081}\nzone: eu\n");
    let said = drift(1, &["--declared", &other]).stdout;
    assert!(said.contains("http.port: 8081 -> 8080") && said.contains("- zone"), "{said}");
    assert!(said.contains("(declared)") && !said.contains("replicas"), "{said}");
    let policy = file(
        folder.path(),
        "rig.toml",
        "[[default]]\npath = \"zone\"\nvalue = \"eu\"\n[[ignore]]\npath = \"http.port\"\n",
    );
    drift(0, &["--declared", &other, "--policy", &policy]);
    // Secrets under a key of this run cannot be compared, and that is said.
    capture(&hub, "api", "http: {port: 8080}\npassword: hunter2\n");
    let said = drift(0, &["--declared", &declared("c.yaml", "password: hunter3\n")]).stdout;
    assert!(said.contains("not compared") && !said.contains("hunter"), "{said}");
    capture(&hub, "web", "a: 1\n");
    assert!(drift(2, &["--declared", &other]).stderr.contains("--service"));
    drift(1, &["--declared", &other, "--service", "api"]);
}

#[test]
fn what_is_declared_at_the_hub_is_watched_and_recorded() {
    let (hub, folder) = (Hub::in_memory(), folder());
    let main = hub.main();
    capture(&hub, "api", "port: 8080\nrate: 1000\npassword: hunter2\n");
    let declared = file(folder.path(), "api.yaml", "port: 8080\nrate: 1e3\npassword: hunter2\n");
    let declare =
        ["baseline", "declare", &main, "api", &declared, "--actor", "ci", "--reason", "commit 4f2c"];
    assert!(run(0, &declare).stdout.contains("baseline.declared"));
    assert!(run(0, &declare).stderr.contains("nothing is new"), "once is enough");
    capture(&hub, "api", "port: 8081\nrate: 1e3\npassword: hunter2\nmore: 1\n");
    let said = run(1, &["drift", &main]).stdout;
    assert!(
        said.contains("(declared)") && said.contains("port: 8080 -> 8081") && !said.contains("more"),
        "{said}"
    );
    // Under the hub's own key a rotated secret shows.
    capture(&hub, "api", "port: 8080\nrate: 1e3\npassword: hunter3\n");
    assert!(run(1, &["drift", &main]).stdout.contains("~ password"));
    capture(&hub, "api", "port: 8080\nrate: 1e3\npassword: hunter2\n");
    run(0, &["drift", &main]);
    let events = run(0, &["tail", &main, "--no-follow", "--json", "--types", "drift.*,baseline.*"]).lines();
    let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["baseline.declared", "drift.detected", "drift.changed", "drift.resolved"]);
    assert_eq!(events[1]["against"], "declared");
    assert_eq!(events[1]["baseline"]["seq"], events[0]["seq"]);
    assert_eq!(events[1]["baseline"]["config_digest"], events[0]["config_digest"]);

    let shown = hub.http("GET", "/v1/streams/main/services/api/declared", &[], b"").1;
    assert_eq!(shown["declared"]["drift"]["verdict"], "in-sync", "{shown}");
    assert!(!shown.to_string().contains("hunter2"));
    // The recording says the same without the hub.
    let session = file(folder.path(), "main.jsonl", run(0, &["tail", &main, "--no-follow", "--json"]).stdout);
    let state = |source: &str| run(0, &["state", source, "--json"]).json()["hash"].clone();
    assert_eq!(state(&session), state(&main));
    run(0, &["baseline", "withdraw", &main, "api"]);
    assert!(run(2, &["baseline", "withdraw", &main, "api"]).stderr.contains("no-declaration"));
    assert_eq!(hub.http("GET", "/v1/streams/main/services/api/declared", &[], b"").0, 404);
    let bad = file(folder.path(), "bad.yaml", "a: [\n");
    assert!(run(2, &["baseline", "declare", &main, "api", &bad]).stderr.contains("line"));
}

#[test]
fn a_history_is_judged_again_and_what_would_flip_is_shown() {
    let (hub, folder) = (Hub::in_memory(), folder());
    let main = hub.main();
    capture(&hub, "api", "a: 1\nb: 1\n");
    run(0, &["baseline", "approve", &main, "api"]);
    capture(&hub, "api", "a: 2\nb: 1\n");
    capture(&hub, "api", "a: 2\nb: 2\n");
    capture(&hub, "api", "a: 1\nb: 1\n");
    let session = file(folder.path(), "main.jsonl", run(0, &["tail", &main, "--no-follow", "--json"]).stdout);
    let same = file(folder.path(), "same.toml", "");
    let ignore = file(folder.path(), "ignore.toml", "[[ignore]]\npath = \"a\"\n");
    let severe = file(
        folder.path(),
        "severe.toml",
        "[[severity]]\npath = \"b\"\nop = \"changed\"\nvalue_matches = \"^2$\"\nlevel = \"critical\"\n",
    );
    for source in [&session, &main] {
        let judge = |code: i32, policy: &str| -> Said { run(code, &["judge", source, "--policy", policy]) };
        assert!(judge(0, &same).stdout.contains("0 would flip of 4 decisions"));
        let said = judge(1, &ignore).stdout;
        assert!(
            said.contains("1 would flip of 4 decisions") && said.contains("drifted (medium) -> in-sync"),
            "{said}"
        );
        let said = judge(1, &severe).stdout;
        assert!(said.contains("drifted (medium) -> drifted (critical)"), "{said}");
        let said = run(1, &["judge", source, "--policy", &severe, "--json", "--all"]).json();
        assert_eq!((said["flips"].as_u64(), said["decisions"].as_u64()), (Some(1), Some(4)));
        let flipped: Vec<bool> =
            said["shown"].as_array().unwrap().iter().map(|d| d["flips"].as_bool().unwrap()).collect();
        assert_eq!(flipped, [false, false, true, false]);
        assert_eq!(said["shown"][2]["judged"]["severity"], "critical");
        run(0, &["judge", source, "--policy", &severe, "--service", "web"]);
    }
    run(2, &["judge", &session]);
    run(2, &["judge", &session, "--policy", "missing.toml"]);
}

#[test]
fn without_a_policy_the_built_in_severities_decide_and_a_rule_turns_them_off() {
    let (hub, folder) = (Hub::in_memory(), folder());
    let main = hub.main();
    capture(&hub, "api", "tls: {enabled: true}\n");
    run(0, &["baseline", "approve", &main, "api"]);
    capture(&hub, "api", "tls: {enabled: false}\n");
    let said = run(1, &["drift", &main, "--fail-on", "critical", "--json"]).json();
    assert_eq!(said["services"]["api"]["drift"]["severity"], "critical", "{said}");
    let rule = said["services"]["api"]["drift"]["rules"][0].as_str().unwrap();
    assert!(rule.starts_with("built-in [[severity]] **.*tls*.enabled "), "{rule}");
    let off = file(folder.path(), "off.toml", "[[severity]]\npath = \"**\"\nlevel = \"medium\"\n");
    run(0, &["drift", &main, "--fail-on", "critical", "--policy", &off]);
    let said = run(1, &["judge", &main, "--policy", &off]).stdout;
    assert!(said.contains("drifted (critical) -> drifted (medium)"), "{said}");
    let old = file(folder.path(), "old.yaml", "tls: {enabled: true}\n");
    let new = file(folder.path(), "new.yaml", "tls: {enabled: false}\n");
    run(1, &["diff", &old, &new, "--fail-on", "critical"]);
    run(0, &["diff", &old, &new, "--fail-on", "critical", "--policy", &off]);
}

#[test]
fn a_hub_that_begins_with_another_policy_judges_what_stands() {
    let folder = folder();
    let data = folder.path().join("data");
    let policy = file(folder.path(), "rig.toml", "");
    let start = || Hub::start(&["--data", text(&data), "--policy", &policy]);
    // It comes by itself: nobody captures anything.
    let drifts = |hub: &Hub, count: usize| -> Vec<String> {
        let tail = rig(&["tail", &hub.main(), "--from", "1", "--types", "drift.*", "--json"]);
        let tail = Running::start(tail);
        let next = || -> serde_json::Value { serde_json::from_str(&tail.line()).unwrap() };
        (0..count).map(|_| next()["type"].as_str().unwrap().to_owned()).collect()
    };
    let hub = start();
    capture(&hub, "api", "a: 1\n");
    run(0, &["baseline", "approve", &hub.main(), "api"]);
    capture(&hub, "api", "a: 2\n");
    run(1, &["drift", &hub.main()]);
    drop(hub);
    std::fs::write(&policy, "[[ignore]]\npath = \"a\"\n").unwrap();
    let hub = start();
    assert_eq!(drifts(&hub, 2), ["drift.detected", "drift.resolved"]);
    drop(hub);
    std::fs::write(&policy, "[[ignore]]\npath = \"a\"\nexpires = \"2020-01-31\"\n").unwrap();
    let hub = start();
    assert_eq!(drifts(&hub, 3), ["drift.detected", "drift.resolved", "drift.detected"]);
    let said = run(1, &["drift", &hub.main()]).stdout;
    assert!(said.contains("[[ignore]] a has expired"), "{said}");

    // So does the end of an acceptance.
    let soon = in_a_moment();
    run(0, &["accept", &hub.main(), "api", "--reason", "test", "--until", &soon]);
    assert_eq!(drifts(&hub, 5)[3..], ["drift.accepted", "drift.expired"]);
    run(1, &["drift", &hub.main()]);
}

#[test]
fn policy_values_can_be_set_in_the_environment() {
    let hub = Hub::in_memory();
    let main = hub.main();
    capture(&hub, "api", "a: 1\n");
    run(0, &["baseline", "approve", &main, "api"]);
    capture(&hub, "api", "a: 2\n");
    let drift = |code: i32, name: &str, value: &str| {
        let mut command = rig(&["drift", &main]);
        command.env(name, value);
        finish(code, command, b"")
    };
    drift(1, "RIG_DRIFT_FAIL_ON", "medium");
    drift(0, "RIG_DRIFT_FAIL_ON", "high");
    assert!(drift(2, "RIG_DRIFT_FAILON", "high").stderr.contains("RIG_DRIFT_FAILON"));
    assert!(drift(2, "RIG_RETENTION_MAX_AGE", "90").stderr.contains("RIG_RETENTION_MAX_AGE"));
    let mut hub = rig(&["hub", "--memory", "--listen", "127.0.0.1:0"]);
    hub.env("RIG_RETENTION_KEEP", "many");
    assert!(finish(2, hub, b"").stderr.contains("RIG_RETENTION_KEEP"));
}

#[test]
fn the_policies_of_the_docs_are_policies() {
    let docs = std::fs::read_to_string(workspace().join("docs/policy.md")).unwrap();
    let folder = folder();
    let blocks: Vec<&str> = docs
        .split("```toml")
        .skip(1)
        .map(|rest| rest.split_once('\n').unwrap().1.split("```").next().unwrap())
        .collect();
    assert_eq!(blocks.len(), 2);
    for block in &blocks {
        let policy = file(folder.path(), "rig.toml", block);
        let old = file(
            folder.path(),
            "old.yaml",
            "a: 1\nlisten: 127.0.0.1\ntls: {verify: true}\ndebug: false\nlogging: {level: info}\n",
        );
        run(0, &["diff", &old, &old, "--policy", &policy]);
    }
    let policy = file(folder.path(), "rig.toml", blocks[1]);
    let old = file(
        folder.path(),
        "old.yaml",
        "a: 1\nlisten: 127.0.0.1\ntls: {verify: true}\ndebug: false\nlogging: {level: info}\n",
    );
    let new = file(
        folder.path(),
        "new.yaml",
        "listen: 0.0.0.0:80\ntls: {verify: false}\ndebug: true\nlogging: {level: debug}\n",
    );
    let said = run(1, &["diff", &old, &new, "--policy", &policy, "--json"]).json();
    let severities: Vec<(&str, &str)> = said["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| (change["path"].as_str().unwrap(), change["severity"].as_str().unwrap()))
        .collect();
    assert_eq!(
        severities,
        [
            ("a", "high"),
            ("debug", "high"),
            ("listen", "high"),
            ("logging.level", "low"),
            ("tls.verify", "critical")
        ]
    );
}

#[test]
fn a_diff_tells_rules_that_do_nothing_too() {
    let folder = folder();
    let old = file(folder.path(), "old.yaml", "a: 1\nservers: [{name: x, port: 1}]\n");
    let new = file(folder.path(), "new.yaml", "a: 2\nservers: [{name: x, port: 1}]\n");
    let policy = file(
        folder.path(),
        "rig.toml",
        "[[severity]]\npath = \"b\"\nlevel = \"low\"\n[[ignore]]\npath = \"servers[name=x].port\"\n[[ignore]]\npath = \"a\"\nexpires = \"2020-01-31\"\n",
    );
    for command in
        [rig(&["diff", &old, &new, "--policy", &policy]), rig_diff(&[&old, &new, "--policy", &policy])]
    {
        let said = finish(1, command, b"").stderr;
        assert!(
            said.contains("[[severity]] b never matched") && said.contains("[[ignore]] a has expired"),
            "{said}"
        );
        assert!(!said.contains("servers"), "{said}");
    }
}

#[test]
fn a_move_has_a_severity_of_its_own() {
    let folder = folder();
    let old = file(folder.path(), "old.yaml", "rules: [{name: a}, {name: b}, {name: c}]\n");
    let new = file(folder.path(), "new.yaml", "rules: [{name: c}, {name: a}, {name: b}]\n");
    let policy = file(
        folder.path(),
        "rig.toml",
        "[[severity]]\npath = \"rules**\"\nop = \"moved\"\nlevel = \"critical\"\n[[severity]]\npath = \"**.rules[*]\"\nop = [\"moved\"]\nlevel = \"critical\"\n",
    );
    let said = run(1, &["diff", &old, &new, "--policy", &policy, "--json"]).json();
    assert_eq!((said["moved"].as_u64(), said["severity"].as_str()), (Some(1), Some("critical")), "{said}");
}
