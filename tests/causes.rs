//! `blame`, `why`, `compare`, `bisect` and `serve` on recordings with a known cause (fixtures/sessions/causes).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};

use crate::harness::{Hub, Running, file, finish, folder, rig, run, text, workspace};

fn cause(name: &str) -> String {
    text(&workspace().join("fixtures/sessions/causes").join(name)).to_owned()
}

#[test]
fn blame_tells_who_when_and_from_what() {
    let session = cause("combination.jsonl");
    let said = run(0, &["blame", &session, "api", "log.level", "--all"]);
    assert!(said.stdout.starts_with("log.level = \"warn\"\n      11  "), "{}", said.stdout);
    assert!(said.stdout.contains("\"debug\" -> \"warn\"  by ben"), "{}", said.stdout);
    let json = run(0, &["blame", &session, "api", "database.*", "--at", "4", "--json"]).json();
    assert_eq!(json["fields"][0]["value"], 20);
    let json = run(0, &["blame", &session, "api", "database.*", "--json"]).json();
    let set = &json["fields"][0]["changes"][0];
    assert_eq!(
        (set["seq"].as_u64(), set["snapshot"].as_u64(), set["actor"].as_str()),
        (Some(5), Some(4), Some("ana"))
    );
    // Nothing to tell is trouble, and says what there is.
    assert!(run(2, &["blame", &session, "api", "pool"]).stderr.contains("perhaps database.pool"));
    assert!(run(2, &["blame", &session, "nobody", "x"]).stderr.contains("api, web"));
    assert!(run(2, &["blame", &session, "api", "x", "--at", "99"]).stderr.contains("there is no 99"));
}

#[test]
fn blame_of_a_hub_says_what_the_client_said() {
    let hub = Hub::in_memory();
    hub.capture("service=api&format=json&meta.git_sha=4f2c1aa&actor=ana", br#"{"a":1,"secret":"x"}"#);
    hub.capture("service=api&format=json&meta.git_sha=77aa0bb&actor=ben", br#"{"a":2,"secret":"x"}"#);
    let said = run(0, &["blame", &hub.main(), "api", "a"]).stdout;
    assert!(said.contains("~ 1 -> 2  by ben, git_sha=77aa0bb"), "{said}");
}

#[test]
fn why_begins_with_what_was_changed_before_it_broke() {
    let session = cause("timeout.jsonl");
    let json = run(0, &["why", &session, "--json"]).json();
    assert_eq!(json["reasons"][0]["changes"][0]["path"], "payments.timeout_ms");
    assert_eq!(json["reasons"][0]["actor"], "ben");
    let seq = json["seq"].to_string();
    let said = run(0, &["why", &session, &seq, "--limit", "1"]).stdout;
    assert!(said.contains("5000 -> 50") && said.contains("less likely"), "{said}");
    assert!(run(2, &["why", &session, "9999"]).stderr.contains("there is no 9999"));
    let quiet = cause("../v1/bare.jsonl");
    assert!(run(2, &["why", &cause("../v1/parts.jsonl.zst")]).stderr.contains("nothing failed"));
    run(0, &["why", &quiet]);
}

#[test]
fn compare_names_the_failure_and_the_config_behind_it() {
    let (good, bad) = (cause("flaky-good.jsonl"), cause("flaky-bad.jsonl"));
    let json = run(1, &["compare", &good, &bad, "--json"]).json();
    assert_eq!(
        (json["divergence"]["lane"].as_str(), json["divergence"]["failure"].as_bool()),
        (Some("api -> payments"), Some(true))
    );
    assert_eq!(
        (json["config"].as_array().unwrap().len(), json["config"][0]["path"].as_str()),
        (1, Some("workers"))
    );
    let said = run(1, &["compare", &good, &bad]).stdout;
    assert!(said.contains("/charge 500") && said.contains("payments workers: ~ 4 -> 2"), "{said}");
    for same in [&good, &bad] {
        let said = run(0, &["compare", same, same]).stdout;
        assert!(said.contains("the same in both"), "{said}");
    }
}

#[test]
fn bisect_finds_the_combination_by_condition_and_by_program() {
    let session = cause("combination.jsonl");
    let program = "test -f \"$RIG_STATE\" && cmp -s - \"$RIG_STATE\" && grep -q '\"database.pool\":10' \"$RIG_STATE\" && ! grep -q '\"workers\":8' \"$RIG_STATE\" && exit 1; exit 0";
    for how in [["--where", "api:workers > @api:database.pool"], ["--check", program]] {
        let json = run(1, &["bisect", &session, how[0], how[1], "--json"]).json();
        assert_eq!(
            (json["answer"].as_str(), json["bad"].as_u64(), json["good"].as_u64()),
            (Some("found"), Some(11), Some(9)),
            "{json}"
        );
        let smallest = &json["smallest"];
        assert_eq!(smallest["minimal"], true);
        let paths = |key: &str| -> Vec<String> {
            smallest[key]
                .as_array()
                .unwrap()
                .iter()
                .map(|delta| delta["path"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(
            (paths("changes"), paths("together_with")),
            (vec!["workers".into()], vec!["database.pool".into()]),
            "{json}"
        );
    }
    let said = run(1, &["bisect", &session, "--where", "api:workers > @api:database.pool"]).stdout;
    assert!(said.contains("workers: ~ 8 -> 16  set at 11 by ben"), "{said}");
    assert!(said.contains("database.pool: ~ 20 -> 10  set at 5 by ana"), "{said}");
}

#[test]
fn bisect_finds_where_it_drifted() {
    let drift = cause("../v1/drift.jsonl");
    let first = run(0, &["tail", &drift, "--json"])
        .lines()
        .into_iter()
        .find(|event| event["type"] == "drift.detected");
    let seq = first.expect("it drifts there")["seq"].as_u64().unwrap();
    let json = run(1, &["bisect", &drift, "--drifted", "--bad", &seq.to_string(), "--json"]).json();
    assert_eq!((json["answer"].as_str(), json["bad"].as_u64()), (Some("found"), Some(seq)), "{json}");
    let smallest = json["smallest"]["changes"].as_array().unwrap();
    assert_eq!((smallest.len(), json["smallest"]["minimal"].as_bool()), (1, Some(true)), "{json}");
}

#[test]
fn bisect_names_the_field_that_drifts_and_not_all_that_changed() {
    let hub = Hub::in_memory();
    let capture = |config: &str| hub.capture("service=api&format=json", config.as_bytes());
    capture(r#"{"a":1,"b":1,"c":1,"d":1}"#);
    hub.http("PUT", "/v1/streams/main/services/api/baseline?reason=ok&actor=ana", &[], b"");
    capture(r#"{"a":2,"b":2,"c":1,"d":2}"#);
    let folder = folder();
    let session = folder.path().join("drift.jsonl");
    run(0, &["record", &hub.main(), "-o", text(&session), "--until-caught-up"]);
    let fields = |more: &[&str]| -> Vec<String> {
        let json = run(1, &[&["bisect", text(&session), "--drifted", "--json"], more].concat()).json();
        assert_eq!(json["smallest"]["minimal"], true, "{json}");
        let changes = json["smallest"]["changes"].as_array().unwrap().clone();
        changes.iter().map(|change| change["path"].as_str().unwrap().to_owned()).collect()
    };
    // Any one of the three would do.
    assert_eq!(fields(&[]).len(), 1);
    let ignoring = "[[ignore]]\npath = \"a\"\n[[ignore]]\npath = \"d\"\n";
    let policy = file(folder.path(), "rig.toml", ignoring);
    assert_eq!(fields(&["--policy", &policy]), ["b"]);
    let all = file(folder.path(), "all.toml", "[[ignore]]\npath = \"**\"\n");
    let said = run(1, &["bisect", text(&session), "--drifted", "--policy", &all]);
    assert!(said.stderr.contains("has not drifted there"), "{}", said.stderr);
}

#[test]
fn a_number_that_is_spelled_otherwise_is_a_change_and_of_the_same_size() {
    let folder = folder();
    let log = |name: &str, values: &[&str]| {
        let line = |(n, value): (usize, &&str)| {
            let seq = n + 1;
            format!(
                "{{\"seq\":{seq},\"ts\":\"2026-11-20T10:30:05Z\",\"type\":\"snapshot.captured\",\"service\":\"a\",\"digest\":\"d{value}\",\
                 \"config_digest\":\"c{value}\",\"format\":\"json\",\"bytes\":1,\"fields\":1,\"config\":{{\"n\":{value}}}}}\n"
            )
        };
        file(folder.path(), name, values.iter().enumerate().map(line).collect::<String>())
    };
    let compared = run(1, &["compare", &log("good", &["1000"]), &log("bad", &["1e3"])]).stdout;
    assert!(compared.contains("n: ~ 1000 -> 1e3"), "{compared}");
    let changed = log("changed", &["1000", "1e3", "2e3"]);
    let found = run(1, &["bisect", &changed, "--check", "grep -q 1000"]).stdout;
    assert!(found.contains("n: ~ 1000 -> 1e3"), "{found}");
    let found = run(1, &["bisect", &changed, "--where", "a:n > 1000"]).stdout;
    assert!(found.contains("n: ~ 1e3 -> 2e3"), "{found}");
}

#[test]
fn bisect_says_what_it_cannot_say() {
    let session = cause("combination.jsonl");
    let bisect = |code: i32, rest: &[&str]| run(code, &[&["bisect", session.as_str()], rest].concat());
    assert!(bisect(0, &["--where", "api:workers > 100"]).stdout.contains("nothing broke"));
    assert!(bisect(1, &["--where", "api:workers"]).stdout.contains("bad already"));
    assert!(bisect(2, &["--check", "exit 125"]).stderr.contains("cannot say"));
    assert!(bisect(2, &["--check", "no-such-program-here"]).stderr.contains("cannot be run"));
    assert!(bisect(2, &["--check", "kill -9 $$"]).stderr.contains("signal 9"));
    assert!(
        bisect(2, &["--check", "sleep 60 & wait", "--timeout", "50ms"]).stdout.contains("1 took too long")
    );
    assert!(
        bisect(2, &["--check", "test $RIG_SEQ -lt 10", "--max-checks", "2"]).stderr.contains("--max-checks")
    );
    assert!(bisect(2, &["--where", "nonsense"]).stderr.contains("SERVICE:PATH"));
    assert!(bisect(2, &[]).stderr.contains("--check"));
    // The good one cannot come after the bad one.
    assert!(bisect(2, &["--where", "api:workers", "--good", "9", "--bad", "5"]).stderr.contains("--good"));
    // What a check looks at need not be a config.
    assert!(bisect(1, &["--check", "! grep -q '\"status\":\"failed\"'"]).stdout.contains("something else"));
    // It broke, and was mended, and broke again.
    let flickering: String = (0..40)
        .map(|n| {
            let config = if (10..20).contains(&n) || n > 25 { "bad" } else { "good" };
            format!(
                "{{\"seq\":{},\"ts\":\"2026-11-20T10:30:05Z\",\"type\":\"snapshot.captured\",\"service\":\"a\",\"digest\":\"d{n}\",\
                 \"config_digest\":\"c{n}\",\"format\":\"json\",\"bytes\":1,\"fields\":2,\"config\":{{\"is\":\"{config}\",\"n\":{n}}}}}\n",
                n + 1
            )
        })
        .collect();
    let folder = folder();
    let flickering = file(folder.path(), "flickering.jsonl", flickering);
    assert!(run(1, &["bisect", &flickering, "--where", "a:is = bad"]).stdout.contains("more than once"));
}

/// `rig serve` of a recording, and what it says first.
fn serve(session: &str, args: &[&str]) -> Hub {
    let running = Running::start(rig(&[&["serve", session, "--listen", "127.0.0.1:0"], args].concat()));
    let url = running.line();
    Hub { running, url }
}

fn fixture(name: &str) -> String {
    cause(&format!("../v1/{name}"))
}

#[test]
fn a_recording_of_a_recording_that_is_served_has_the_same_lines() {
    let folder = folder();
    for (name, speed) in [
        ("hello.jsonl", "max"),
        ("hello.jsonl", "1000x"),
        ("drift.jsonl", "max"),
        ("sealed.jsonl.zst", "max"),
    ] {
        let hub = serve(&fixture(name), &["--speed", speed]);
        let copy = folder.path().join(format!("{speed}-{name}"));
        let lines = |path: &str| run(0, &["tail", path, "--json"]).stdout;
        let original = lines(&fixture(name));
        if speed == "max" {
            run(0, &["record", &hub.main(), "-o", text(&copy), "--until-caught-up"]);
            assert_eq!(lines(text(&copy)), original, "{name}");
        }
        let mut tail = Running::start(rig(&["tail", &hub.main(), "--from", "1", "--json"]));
        for line in original.lines() {
            assert_eq!(tail.line(), line);
        }
        tail.signal("TERM");
        if let Some(diff) = original.lines().find(|line| line.contains("diff.computed")) {
            let types = ["tail", &hub.main(), "--from", "1", "--types", "diff.*", "--json"];
            tail = Running::start(rig(&types));
            assert_eq!(tail.line(), diff);
        }
        hub.running.signal("TERM");
        assert_eq!(hub.running.wait(), 0);
    }
}

#[test]
fn a_recording_that_is_served_has_its_epoch_its_states_and_its_session() {
    let hub = serve(&fixture("drift.jsonl"), &["--speed", "max"]);
    for at in ["3", "9", "15"] {
        let here = run(0, &["state", &hub.main(), "--at", at, "--json"]).json();
        assert_eq!(
            here["hash"],
            run(0, &["state", &fixture("drift.jsonl"), "--at", at, "--json"]).json()["hash"],
            "{at}"
        );
    }
    let (status, about) = hub.http("GET", "/v1/streams/main", &[], b"");
    assert_eq!((status, about["epoch"].as_str(), about["head"].as_u64()), (200, Some("yxzqev53"), Some(15)));
    // SSE frames carry the ids of the recording, and a cursor of it is understood.
    let mut socket = hub.socket();
    let head = "GET /v1/streams/main/events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\nlast-event-id: yxzqev53:14\r\n\r\n";
    socket.write_all(head.as_bytes()).unwrap();
    let frames: Vec<String> = BufReader::new(&mut socket)
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.starts_with("event: caught-up"))
        .filter(|line| line.starts_with("id: "))
        .collect();
    assert_eq!(frames, ["id: yxzqev53:15"]);
    let mut rest = [0; 1];
    socket.read_exact(&mut rest).unwrap_or_default();
    // The session that it gives away fits the original's chain.
    let folder = folder();
    let copy = folder.path().join("copy.jsonl");
    run(0, &["record", &hub.main(), "-o", text(&copy), "--until-caught-up"]);
    let footer = |path: &str| -> serde_json::Value {
        serde_json::from_str(std::fs::read_to_string(path).unwrap().lines().last().unwrap()).unwrap()
    };
    assert_eq!(footer(text(&copy))["chain"], footer(&fixture("drift.jsonl"))["chain"]);
}

#[test]
fn nothing_can_be_added_to_a_recording_that_is_served() {
    let hub = serve(&fixture("hello.jsonl"), &["--speed", "max"]);
    for (method, path) in [
        ("POST", "/v1/streams/main/events"),
        ("POST", "/v1/streams/main/snapshots?service=api&format=json"),
        ("PUT", "/v1/streams/other"),
        ("DELETE", "/v1/streams/main"),
        ("PUT", "/v1/streams/main/services/api/baseline"),
        ("DELETE", "/v1/streams/main/services/api/baseline"),
    ] {
        let body: &[u8] = if path.ends_with("events") { br#"{"type":"a.b"}"# } else { b"{}" };
        let (status, problem) = hub.http(method, path, &["content-type: application/json"], body);
        assert_eq!(
            (status, problem["code"].as_str()),
            (403, Some("read-only")),
            "{method} {path}: {problem}"
        );
    }
    let (status, about) = hub.http("GET", "/v1/streams/main", &[], b"");
    assert_eq!((status, about["head"].as_u64()), (200, Some(5)));
}

#[test]
fn a_recording_is_served_from_where_one_wants_and_only_as_far_as_it_has_happened() {
    // So slow that nothing more happens while this test runs.
    let hub = serve(&cause("timeout.jsonl"), &["--speed", "0.001x", "--from", "100"]);
    let (status, about) = hub.http("GET", "/v1/streams/timeout", &[], b"");
    let head = about["head"].as_u64().unwrap();
    assert!(status == 200 && (99..150).contains(&head), "{about}");
    let (status, problem) = hub.http("GET", "/v1/streams/timeout/state?at=200", &[], b"");
    assert_eq!((status, problem["code"].as_str()), (404, Some("past-head")));
    assert_eq!(hub.http("GET", "/v1/streams/timeout/state?at=50", &[], b"").1["seq"], 50);
    // What has not what a stream must have is refused.
    let folder = folder();
    let lines = std::fs::read_to_string(cause("timeout.jsonl")).unwrap();
    let middle: String = lines.lines().skip(4).map(|line| format!("{line}\n")).collect();
    let middle = file(folder.path(), "middle.jsonl", middle);
    let said = run(2, &["serve", &middle, "--listen", "127.0.0.1:0"]);
    assert!(said.stderr.contains("has not the state before it"), "{}", said.stderr);
    assert!(
        run(2, &["serve", &fixture("hello.jsonl"), "--from", "99", "--listen", "127.0.0.1:0"])
            .stderr
            .contains("no 99")
    );
    assert!(run(2, &["serve", &fixture("hello.jsonl"), "--speed", "fast"]).stderr.contains("10x"));
}

#[test]
fn a_log_of_rigd_is_served_as_it_stands() {
    let log = format!("{}/../../fixtures/rigd/incident.jsonl", env!("CARGO_MANIFEST_DIR"));
    let hub = serve(&log, &["--speed", "max"]);
    let stream =
        hub.http("GET", "/v1/streams", &[], b"").1["streams"][0]["stream"].as_str().unwrap().to_owned();
    let url = format!("{}/{stream}", hub.url);
    let lines = std::fs::read_to_string(&log).unwrap();
    // A request that says nothing, and a line that is no event: rigd's own commands break off there.
    let readable = |line: &&str| line.starts_with("{\"seq") && !line.starts_with("{\"seq\":17,");
    let events: Vec<&str> = lines.lines().filter(readable).collect();
    // Every event comes with its seq and its type, and can be filtered by it and by its service.
    let tail = |more: &[&str]| run(0, &[&["tail", &url, "--no-follow", "--json"], more].concat()).stdout;
    let all = run(0, &["tail", &url, "--no-follow", "--json"]);
    assert_eq!(all.stdout.lines().collect::<Vec<_>>(), events);
    assert!(all.stderr.contains("events 17 to 17 are missing"), "{}", all.stderr);
    let of = |what: &str| events.iter().filter(|line| line.contains(what)).count();
    assert!(of(r#""type":"service."#) > 0 && of(r#""service":"api""#) > 0);
    assert_eq!(tail(&["--types", "service.*"]).lines().count(), of(r#""type":"service."#));
    let (status, about) = hub.http("GET", &format!("/v1/streams/{stream}"), &[], b"");
    assert_eq!((status, about["head"].as_u64()), (200, Some(26)));
    // Whatever a command says of the file, it says of the stream.
    for command in [
        &["state", "--json"][..],
        &["state", "--json", "--at", "20"],
        &["logs", "--json"],
        &["traffic", "--json"],
        &["ls"],
        &["explain", "--json"],
        &["replay", "--json"],
    ] {
        let said = |source: &str| {
            let all = [&command[..1], &[source], &command[1..]].concat();
            let mut said = finish(None, rig(&all), b"").stdout;
            if let Ok(mut value) = serde_json::from_str::<serde_json::Value>(&said)
                && let Some(map) = value.as_object_mut()
            {
                for of_the_source in ["source", "stream", "passed_over"] {
                    map.remove(of_the_source);
                }
                said = value.to_string();
            }
            said
        };
        assert!(said(&log).len() > 10, "{command:?}");
        assert_eq!(said(&url), said(&log), "{command:?}");
    }
    // From the middle on it promises less, and says from where.
    let folder = folder();
    let middle = lines.lines().skip(11).map(|line| format!("{line}\n")).collect::<String>();
    let middle = file(folder.path(), "middle.jsonl", middle);
    let rest = serve(&middle, &["--speed", "max"]);
    assert_eq!(run(0, &["ls", &format!("{}/middle", rest.url)]).stdout, run(0, &["ls", &middle]).stdout);
    let (status, problem) = rest.http("GET", "/v1/streams/middle/session?from=1", &[], b"");
    assert_eq!((status, problem["code"].as_str()), (410, Some("pruned")), "{problem}");
    // What only snapshots can answer is not there, and that is all.
    for path in ["config", "history", "blame?path=a", "baseline", "declared"] {
        let (status, answer) =
            hub.http("GET", &format!("/v1/streams/{stream}/services/api/{path}"), &[], b"");
        assert!(status == 404 || status == 200, "{path}: {answer}");
    }
    let copy = folder.path().join("copy.jsonl");
    let refused = run(2, &["record", &url, "-o", text(&copy), "--until-caught-up"]);
    assert!(refused.stderr.contains("log of rigd"), "{}", refused.stderr);
}

#[test]
fn a_recording_that_is_paused_waits_for_enter() {
    for speed in ["max", "1000x"] {
        let args =
            ["serve", &fixture("hello.jsonl"), "--listen", "127.0.0.1:0", "--paused", "--speed", speed];
        let (running, stdin) = Running::with_stdin(rig(&args), std::process::Stdio::piped());
        let hub = Hub { url: running.line(), running };
        assert_eq!(hub.http("GET", "/v1/streams/main", &[], b"").1["head"], 0);
        let tail = Running::start(rig(&["tail", &hub.main(), "--from", "1", "--json"]));
        stdin.unwrap().write_all(b"\n").unwrap();
        for seq in 1..=5 {
            assert!(tail.line().starts_with(&format!("{{\"seq\":{seq},")));
        }
    }
}

#[test]
fn a_recording_from_the_middle_of_a_stream_is_served_with_the_state_before_it() {
    let hub = Hub::in_memory();
    for n in 0..5 {
        hub.capture("service=api&format=json", format!("{{\"n\":{n}}}").as_bytes());
    }
    let folder = folder();
    let middle = folder.path().join("middle.jsonl");
    run(0, &["record", &hub.main(), "-o", text(&middle), "--from", "5", "--until-caught-up"]);
    let served = serve(text(&middle), &["--speed", "max"]);
    let state = |hub: &Hub, at: u64| {
        hub.http("GET", &format!("/v1/streams/main/state?at={at}"), &[], b"").1["hash"].clone()
    };
    for at in [4, 5, 7] {
        assert_eq!(state(&served, at), state(&hub, at), "{at}");
    }
    let (status, problem) = served.http("GET", "/v1/streams/main/state?at=2", &[], b"");
    assert_eq!((status, problem["code"].as_str()), (410, Some("pruned")), "{problem}");
    let (status, problem) = served.http("GET", "/v1/streams/main/events?from=1", &[], b"");
    assert_eq!((status, problem["code"].as_str()), (410, Some("pruned")), "{problem}");
    let copy = folder.path().join("copy.jsonl");
    run(0, &["record", &served.main(), "-o", text(&copy), "--until-caught-up"]);
    let lines = |path: &str| run(0, &["tail", path, "--json"]).stdout;
    assert_eq!(lines(text(&copy)), lines(text(&middle)));
}
