//! The commands one after another, as a person would use them, with their exit codes.

use crate::harness::{Hub, Running, file, finish, fixture, folder, rig, rig_diff, run, text, verify};

#[test]
fn snapshot_tells_what_it_led_to() {
    let (hub, folder) = (Hub::in_memory(), folder());
    let at = ["--hub", &hub.url];
    let first = file(folder.path(), "api.yaml", "port: 1\n");
    let said = run(0, &[&["snapshot", "api", &first], &at[..]].concat());
    assert!(said.stdout.contains("snapshot.captured"), "{said:?}");

    std::fs::write(&first, "port: 2 # changed\n").unwrap();
    let meta = ["--meta", "git_sha=4f2c9e1", "--actor", "ana", "--json"];
    let said = run(0, &[&["snapshot", "api", &first], &at[..], &meta[..]].concat()).json();
    assert_eq!(said["events"][0]["meta"]["git_sha"], "4f2c9e1");
    assert_eq!(said["events"][0]["actor"], "ana");
    assert_eq!(said["events"][1]["type"], "diff.computed");
    assert_eq!(said["first_seq"].as_u64().map(|seq| seq + 1), said["last_seq"].as_u64());

    // From standard input, where nothing but --format tells the format.
    let said = finish(
        0,
        rig(&["snapshot", "api", "-", "--hub", &hub.main(), "--format", "yaml"]),
        b"port: 2 # changed\n",
    );
    assert!(said.stdout.contains("snapshot.unchanged"), "{said:?}");
}

#[test]
fn a_capture_sent_twice_under_one_id_is_one() {
    let hub = Hub::in_memory();
    let (prod, main) = (fixture("api-prod-1.yaml"), hub.main());
    let args = ["snapshot", "api", &prod, "--hub", &main, "--id", "run-1", "--json"];
    let (first, second) = (run(0, &args).json(), run(0, &args).json());
    assert_eq!(first, second);
    assert_eq!(hub.types(), ["snapshot.captured"]);
}

#[test]
fn diff_tells_0_from_1_from_2() {
    let folder = folder();
    let old = file(folder.path(), "old.yaml", "a: 1\nb: {c: x}\nserver: {Host: h}\n");
    let new = file(folder.path(), "new.json", r#"{"a": 2, "b": {"c": "x"}, "server": {"Host": "i"}}"#);
    assert_eq!(run(0, &["diff", &old, &old]).stdout, "");
    let said = run(1, &["diff", &old, &new]);
    assert!(said.stdout.starts_with("~ a: 1 -> 2  (medium)\n"), "{said:?}");
    let said = run(1, &["diff", &old, &new, "--exclude", "a", "--json"]).json();
    assert_eq!(said["changes"].as_array().unwrap().len(), 1);
    assert_eq!(said["left_out"], 1);
    run(0, &["diff", &old, &new, "--exclude", "a", "--exclude", "SERVER.*"]);

    let bad = file(folder.path(), "bad.yaml", "a: 1\nb: [\n");
    let said = run(2, &["diff", &old, &bad]);
    assert!(said.stderr.contains("bad.yaml") && said.stderr.contains("line"), "{said:?}");
    assert!(run(2, &["diff", &old, "missing.yaml"]).stderr.contains("missing.yaml"));
    assert!(run(2, &["diff", &old, &new, "--format", "xml"]).stderr.contains("xml"));
    run(2, &["diff", &old]);
    run(2, &["diff", "-", "-"]);

    let said = finish(1, rig_diff(&[&old, "-"]), br#"{"a": 1}"#);
    assert!(said.stdout.contains("- b.c: \"x\""), "{said:?}");
}

#[test]
fn a_policy_gives_severities_and_matches_lists_by_key() {
    let folder = folder();
    let old = file(folder.path(), "old.yaml", "hosts:\n- {name: a, port: 1}\n- {name: b, port: 2}\n");
    let new = file(folder.path(), "new.yaml", "hosts:\n- {name: b, port: 3}\n- {name: a, port: 1}\n");
    let rules = "[[list]]\npath = \"hosts\"\nkey = \"name\"\n[[severity]]\npath = \"**.port\"\nlevel = \"critical\"\n";
    let policy = file(folder.path(), "rig.toml", rules);
    let said = run(1, &["diff", &old, &new, "--policy", &policy]);
    assert!(said.stdout.starts_with("~ hosts[name=b].port: 2 -> 3  (critical)\n"), "{said:?}");
    let broken = file(folder.path(), "broken.toml", "[[secrets]]\npath = \"a\"\n");
    assert!(run(2, &["diff", &old, &new, "--policy", &broken]).stderr.contains("secrets"));
}

#[test]
fn a_difference_is_printed_as_whoever_reads_it_wants_it() {
    let folder = folder();
    let old = file(folder.path(), "old.yaml", "s: [{name: a, port: '1'}, {name: b}]\npassword: hunter2\n");
    let new = file(folder.path(), "new.yaml", "s: [{name: b}, {name: a, port: 1}]\npassword: hunter3\n");
    let said = |format: &str| finish(1, rig_diff(&[&old, &new, "--format", format]), b"");
    let text = said("text").stdout;
    assert!(text.contains("~ s[name=a].port: \"1\" -> 1  (string -> number)"), "{text}");
    assert!(
        text.contains("> s[name=b]: moved from [1] to [0]") || text.contains("> s[name=a]: moved"),
        "{text}"
    );
    assert!(said("unified").stdout.contains("\n-s[0].name: \"a\"\n"));
    assert!(said("markdown").stdout.contains("| ✏️ | `s[name=a].port` | `\"1\"` | `1` (string → number) |"));
    let patch = said("json-patch").json();
    let kinds: Vec<&str> = patch.as_array().unwrap().iter().map(|o| o["op"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["replace", "move", "replace"], "{patch}");
    assert_eq!(said("merge-patch").json()["s"][1]["port"], 1);
    assert_eq!(said("json").json()["changes"].as_array().unwrap().len(), 3);
    for format in ["text", "unified", "markdown", "json", "json-patch", "merge-patch"] {
        let said = said(format);
        assert!(!said.stdout.contains("hunter") && !said.stderr.contains("hunter"), "{format}: {said:?}");
        assert!(!said.stdout.contains('\u{1b}'), "no colours in a pipe: {said:?}");
    }
    // What is left out is in no patch either.
    let said = finish(
        1,
        rig_diff(&[&old, &new, "--format", "json-patch", "--exclude", "s[*]", "--exclude", "S[*].PORT"]),
        b"",
    );
    assert_eq!(said.json().as_array().unwrap().len(), 1, "{said:?}");
    let said = finish(1, rig_diff(&[&old, &new, "--ignore-redacted", "--json"]), b"").json();
    assert_eq!((said["left_out"].as_u64(), said["changed"].as_u64()), (Some(1), Some(1)), "{said}");
    finish(0, rig_diff(&[&old, &new, "--fail-on", "critical"]), b"");
}

#[test]
fn texts_that_differ_in_secrets_only_are_equal_without_redacted() {
    let folder = folder();
    let old = file(folder.path(), "old.cfg", "hostname a\nenable secret 5 hunter2hunter2\nend\n");
    let new = file(folder.path(), "new.cfg", "hostname a\nenable secret 5 hunter3hunter3\nend\n");
    let other = file(folder.path(), "other.cfg", "hostname b\nenable secret 9 hunter3hunter3\nend\n");
    finish(1, rig_diff(&[&old, &new]), b"");
    for format in ["text", "unified", "markdown", "json"] {
        let said = finish(0, rig_diff(&[&old, &new, "--ignore-redacted", "--format", format]), b"");
        assert!(!said.stdout.contains("redacted:"), "{format}: {said:?}");
        assert!(said.stderr.contains("1 difference left out, as asked"), "{format}: {said:?}");
    }
    // What stands beside the secret counts.
    let said = finish(1, rig_diff(&[&old, &other, "--ignore-redacted", "--format", "unified"]), b"").stdout;
    assert!(said.contains("+enable secret 9 <redacted:") && said.contains("+hostname b"), "{said}");
    // A part of a field too.
    let old = file(folder.path(), "old.yaml", "url: postgres://a:hunter2hunter2@h/d\n");
    let new = file(folder.path(), "new.yaml", "url: postgres://a:hunter3hunter3@h/d\n");
    finish(1, rig_diff(&[&old, &new]), b"");
    finish(0, rig_diff(&[&old, &new, "--ignore-redacted"]), b"");
}

#[test]
fn a_baseline_is_signed_checked_and_compared_with() {
    let folder = folder();
    let key = |id: &str, byte: &str| format!("{id} hmac-sha256 {}\n", byte.repeat(32));
    let keys = file(folder.path(), "keys", key("k1", "ab"));
    let rotated = file(folder.path(), "rotated", key("k1", "ab") + &key("k2", "cd"));
    let other = file(folder.path(), "other", key("k3", "ef"));
    let old = file(folder.path(), "old.yaml", "port: 1\npassword: hunter2\n");
    let new = file(folder.path(), "new.yaml", "port: 2\npassword: hunter3\n");
    let approved = folder.path().join("approved.json");
    let approved = text(&approved);
    let said = |code, args: &[&str]| finish(code, rig_diff(&[&["--baseline", approved], args].concat()), b"");
    assert!(said(2, &["--sign", &old]).stderr.contains("--keys"));
    said(0, &["--sign", &old, "--keys", &keys]);
    let written = std::fs::read_to_string(approved).unwrap();
    assert!(!written.contains("hunter"), "{written}");
    said(0, &["--verify", &old, "--keys", &keys]);
    let found = said(1, &["--verify", &new, "--keys", &rotated]);
    assert!(found.stdout.contains("~ port: 1 -> 2"), "{found:?}");
    assert!(found.stderr.contains("1 secret not compared"), "{found:?}");
    assert!(said(1, &[&new]).stderr.contains("not verified"));
    assert!(said(2, &["--verify", &new, "--keys", &other]).stderr.contains("not among these"));
    std::fs::write(approved, written.replace("\"port\": 1", "\"port\": 2")).unwrap();
    assert!(said(2, &["--verify", &new, "--keys", &keys]).stderr.contains("not what was signed"));
    let unsigned = written.split(",\n  \"signature\"").next().unwrap().to_owned() + "\n}\n";
    std::fs::write(approved, unsigned).unwrap();
    assert!(said(2, &["--verify", &old, "--keys", &keys]).stderr.contains("nobody signed"));
}

#[test]
fn texts_are_compared_line_by_line() {
    let said = run(1, &["diff", &fixture("router-1.rsc"), &fixture("router-2.rsc")]);
    assert!(said.stdout.contains("\n@@ -"), "{said:?}");
    assert!(said.stdout.contains("ip/firewall/filter: Added 2 firewall filter rules"), "{said:?}");
    assert!(!said.stdout.contains("by RouterOS"), "the header is no change: {said:?}");
    run(2, &["diff", &fixture("router-1.rsc"), &fixture("api-prod-1.yaml")]);
}

#[test]
fn a_drift_is_found_accepted_and_found_again() {
    let hub = Hub::in_memory();
    let main = hub.main();
    let api = |version: &str| run(0, &["snapshot", "api", &fixture(version), "--hub", &main]);
    api("api-prod-1.yaml");
    assert!(run(0, &["drift", &main]).stdout.contains("no baseline"));
    assert!(run(2, &["baseline", "verify", &main, "api"]).stderr.contains("no baseline"));
    run(0, &["baseline", "approve", &main, "api", "--reason", "release 4.1", "--actor", "ana"]);
    assert!(run(0, &["baseline", "show", &main, "api"]).stdout.contains("release 4.1"));
    run(0, &["baseline", "verify", &main, "api"]);
    run(0, &["drift", &main]);

    api("api-prod-2.yaml");
    assert!(run(1, &["drift", &main]).stdout.contains("database.pool.max: 50 -> 80"));
    run(0, &["drift", &main, "--fail-on", "critical"]);
    let folder = folder();
    let lenient = file(folder.path(), "rig.toml", "[drift]\nfail_on = \"critical\"\n");
    run(0, &["drift", &main, "--policy", &lenient]);
    run(1, &["drift", &main, "--policy", &lenient, "--fail-on", "medium"]);
    run(1, &["baseline", "verify", &main, "api"]);

    run(2, &["accept", &main, "api", "--until", "2030-01-31"]);
    run(2, &["accept", &main, "api", "nothing.here", "--reason", "test"]);
    run(0, &["accept", &main, "api", "--reason", "load test", "--until", "2099-01-31"]);
    let said = run(0, &["drift", &main, "--json"]).json();
    assert_eq!(said["services"]["api"]["drift"]["verdict"], "accepted");

    // Another value in an accepted field is a drift again.
    finish(
        0,
        rig(&["snapshot", "api", "-", "--hub", &main, "--format", "yaml"]),
        b"database: {pool: {max: 81}}\n",
    );
    run(1, &["drift", &main, "--service", "api"]);
    run(2, &["drift", &main, "--service", "apu"]);
    run(0, &["baseline", "revoke", &main, "api"]);
    run(0, &["drift", &main]);
}

#[test]
fn state_replay_and_ls_read_hub_and_file_alike() {
    let (hub, folder) = (Hub::in_memory(), folder());
    let main = hub.main();
    for version in ["worker-1.toml", "worker-2.toml"] {
        run(0, &["snapshot", "worker", &fixture(version), "--hub", &main]);
    }
    for name in ["s.jsonl", "s.jsonl.zst"] {
        let session = folder.path().join(name);
        let session = text(&session);
        run(0, &["record", &main, "-o", session, "--until-caught-up"]);
        for at in ["1", "2", "3"] {
            let hub = run(0, &["state", &main, "--at", at, "--json"]).stdout;
            assert_eq!(run(0, &["state", session, "--at", at, "--json"]).stdout, hub);
            assert_eq!(run(0, &["replay", session, "--to", at, "--json"]).stdout, hub);
            assert_eq!(run(0, &["replay", &main, "--to", at, "--json"]).stdout, hub);
        }
        for too_far in [&main, session] {
            let said = run(2, &["state", too_far, "--at", "1000"]);
            assert!(said.stderr.contains("1000"), "{said:?}");
            run(2, &["replay", too_far, "--to", "1000"]);
        }
        // The hub may have set a seal since.
        assert!(run(0, &["ls", &main]).stdout.starts_with(&run(0, &["ls", session]).stdout));
        assert_eq!(run(0, &["tail", session, "--types", "diff.*"]).stdout.lines().count(), 1);
        assert!(run(0, &["replay", session, "--speed", "1000x"]).stdout.contains("diff.computed"));
        let said = run(1, &["diff", &format!("{session}@1"), &format!("{session}#worker")]);
        assert!(said.stdout.contains("~ concurrency: 8 -> 12"), "{said:?}");
        assert!(run(0, &["state", session, "--service", "worker"]).stdout.contains("mail.smtp"));
        assert_eq!(verify(session, None), "unsigned", "a hub in memory has no keys");
    }
    // A stream that is piped in.
    let lines = run(0, &["tail", &main, "--no-follow", "--json"]).stdout;
    let said = finish(0, rig(&["state", "-", "--json"]), lines.as_bytes()).json();
    assert_eq!(said["hash"], run(0, &["state", &main, "--json"]).json()["hash"]);
}

#[test]
fn a_rigd_log_is_a_source() {
    let folder = folder();
    let log = concat!(
        r#"{"type":"log.header","environment":"TestShop","outcome":"failed","services":["order"],"duration_ms":5}"#,
        "\n",
        r#"{"seq":1,"type":"service.ready","service":"order","environment":"TestShop","timestamp":"2026-02-23T10:00:00Z"}"#,
        "\n",
        r#"{"seq":2,"type":"request.completed","request":{"source":"~test","target":"order","method":"GET","path":"/","status_code":500,"latency_ms":1.5},"timestamp":"2026-02-23T10:00:01Z"}"#,
        "\n",
    );
    let log = file(folder.path(), "shop.jsonl", log);
    let state = run(0, &["state", &log, "--json"]).json();
    assert_eq!((state["stream"].as_str(), state["seq"].as_u64()), (Some("TestShop"), Some(2)));
    assert_eq!(state["edges"]["~test"]["order"]["failures"], 1);
    run(0, &["ls", &log]);
    assert_eq!(verify(&log, None), "truncated", "nothing says where it ends");
}

#[test]
fn watch_captures_on_start_and_on_every_change() {
    let (hub, folder) = (Hub::in_memory(), folder());
    let api = file(folder.path(), "api.yaml", "port: 1\n");
    let watch = Running::start(rig(&["watch", "api", &api, "--hub", &hub.url, "--json"]));
    // The answers are indented JSON; one key tells them apart.
    let until = |wanted: &str| while !watch.line().contains(wanted) {};
    until("snapshot.captured");
    // Replaced by renaming, as editors and configuration management do.
    let next = file(folder.path(), "api.yaml.new", "port: 2\n");
    std::fs::rename(&next, &api).unwrap();
    until("diff.computed");
    std::fs::write(&api, "port: [\n").unwrap();
    std::fs::write(&api, "port: 3\n").unwrap();
    until("diff.computed");
    watch.signal("INT");
    assert_eq!(watch.wait(), 0);
    assert_eq!(run(0, &["state", &hub.main(), "--json"]).json()["services"]["api"]["config"]["port"], 3);
}

#[test]
fn watch_takes_patterns_and_sees_files_that_come_later() {
    let (hub, folder) = (Hub::in_memory(), folder());
    std::fs::create_dir(folder.path().join("conf")).unwrap();
    file(folder.path(), "conf/one.toml", "a = 1\n");
    file(folder.path(), "conf/.hidden.toml", "a = 1\n");
    let pattern = format!("{}/conf/**/*.{{toml,env}}", text(folder.path()));
    let watch = Running::start(rig(&["watch", "edge", &pattern, "--hub", &hub.url, "--json"]));
    let until = |wanted: &str| while !watch.line().contains(wanted) {};
    until("edge/one.toml");
    std::fs::create_dir(folder.path().join("conf/more")).unwrap();
    file(folder.path(), "conf/more/two.env", "A=1\n");
    until("edge/two.env");
    watch.signal("INT");
    assert_eq!(watch.wait(), 0);
    let state = run(0, &["state", &hub.main(), "--json"]).json();
    let names: Vec<&String> = state["services"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["edge/one.toml", "edge/two.env"]);
}

#[test]
fn watch_once_names_services_by_file() {
    let (hub, folder) = (Hub::in_memory(), folder());
    let one = file(folder.path(), "one.toml", "a = 1\n");
    let two = file(folder.path(), "two.env", "A=1\n");
    run(0, &["watch", "edge", &one, &two, "--hub", &hub.url, "--once"]);
    let state = run(0, &["state", &hub.main(), "--json"]).json();
    let names: Vec<&String> = state["services"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["edge/one.toml", "edge/two.env"]);
    run(2, &["watch", "edge", "missing.toml", "--hub", &hub.url, "--once"]);
}

#[test]
fn tail_follows_with_filters_and_ends_on_interrupt() {
    let hub = Hub::in_memory();
    let main = hub.main();
    let tail = Running::start(rig(&[
        "tail",
        &main,
        "--from",
        "1",
        "--types",
        "diff.*",
        "--service",
        "web",
        "--json",
    ]));
    for version in ["web-1.env", "web-2.env"] {
        run(0, &["snapshot", "web", &fixture(version), "--hub", &main]);
    }
    let event: serde_json::Value = serde_json::from_str(&tail.line()).unwrap();
    assert_eq!(event["type"], "diff.computed");
    tail.signal("INT");
    assert_eq!(tail.wait(), 0);
}

#[test]
fn a_pipe_that_closes_is_no_failure() {
    let hub = Hub::in_memory();
    run(0, &["snapshot", "web", &fixture("web-1.env"), "--hub", &hub.url]);
    let mut command = rig(&["ls", &hub.main()]);
    let mut child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn trouble_says_what_to_do() {
    // A port that was free a moment ago, so that nobody answers there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = run(2, &["tail", &format!("http://{free}/main")]);
    assert!(said.stderr.contains("rig hub"), "{said:?}");
    let said = run(2, &["hub", "--memory", "--listen", "0.0.0.0:0"]);
    assert!(said.stderr.contains("without tokens"), "{said:?}");
    assert!(run(2, &["hub", "--memory", "--durability", "sometimes"]).stderr.contains("durability"));
    assert!(run(2, &["state", "no-such-file.jsonl"]).stderr.contains("no-such-file.jsonl"));
    run(2, &["frobnicate"]);

    let hub = Hub::in_memory();
    let said = run(2, &["tail", &format!("{}/nowhere", hub.url)]);
    assert!(said.stderr.contains("nowhere") && said.stderr.contains("unknown-stream"), "{said:?}");
    run(2, &["record", "session.jsonl", "-o", "x.jsonl"]);
    run(2, &["baseline", "approve", "session.jsonl", "api"]);
}

#[test]
fn colours_are_for_terminals_only() {
    let hub = Hub::in_memory();
    run(0, &["snapshot", "web", &fixture("web-1.env"), "--hub", &hub.url]);
    assert!(!run(0, &["ls", &hub.main()]).stdout.contains('\x1b'));
}
