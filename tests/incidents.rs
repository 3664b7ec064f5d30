//! Reading an incident: explain, traffic, logs and ls on recordings, whole and damaged.

use std::fmt::Write as _;

use crate::harness::{self, Running, file, finish, folder, rig, run, text, workspace};
use crate::player::Pty;

fn fixture() -> String {
    text(&workspace().join("fixtures/rigd/incident.jsonl")).to_owned()
}

#[test]
fn explain_says_what_broke_as_text_json_and_markdown() {
    let page = run(1, &["explain", &fixture()]);
    for part in [
        "TestCheckout: failed, ",
        "checkout_test.go:42: expected 201, got 500",
        "db: service.failed exit status 2",
        "4 binary bytes: 00ff1b5b",
        "giving up",
        "api: starting, waits for db",
        "startup 270ms",
    ] {
        assert!(page.stdout.contains(part), "{part}: {}", page.stdout);
    }
    assert!(
        page.stderr.contains("3 places could not be read as they stand, first: line 18"),
        "{}",
        page.stderr
    );
    let json = run(1, &["explain", &fixture(), "--json"]);
    assert_eq!(json.json()["first_failure"]["seq"], 15);
    assert_eq!(json.stdout, run(1, &["explain", &fixture(), "--json"]).stdout, "the order never varies");
    let markdown = run(1, &["explain", &fixture(), "--markdown"]).stdout;
    assert!(
        markdown.starts_with("## `TestCheckout`: `failed`") && markdown.contains("\n### Failing requests\n")
    );
    run(2, &["explain", &fixture(), "--strict"]);
}

#[test]
fn traffic_is_aligned_by_what_a_terminal_shows() {
    let said = run(0, &["traffic", &fixture()]);
    let mut lines = said.stdout.lines();
    let title = lines.next().unwrap();
    let column = title.find("METHOD").unwrap();
    let mut rows = 0;
    for line in lines {
        let method: String = line.chars().skip(column).take(4).collect();
        assert!(["GET ", "POST", "gRPC", "KAFK", "TCP "].contains(&method.as_str()), "{line}");
        rows += 1;
    }
    assert_eq!(rows, 8);
    assert!(said.stdout.contains("1.00s") && !said.stdout.contains("1000ms"), "{}", said.stdout);
}

#[test]
fn traffic_is_filtered() {
    let seqs = |args: &[&str]| -> Vec<u64> {
        let file = fixture();
        let all = [&["traffic", &file, "--json"], args].concat();
        run(0, &all).lines().iter().map(|row| row["seq"].as_u64().unwrap()).collect()
    };
    assert_eq!(seqs(&["--edge", "~test->api", "--status", "5xx"]), [6, 16, 25]);
    assert_eq!(seqs(&["--edge", "->größe→x"]), [13]);
    assert_eq!(seqs(&["--status", "failed"]), [6, 13, 15, 16, 25]);
    assert_eq!(seqs(&["--status", "UNAVAILABLE"]), [15]);
    assert_eq!(seqs(&["--latency", ">100ms"]), [12]);
    assert_eq!(seqs(&["--protocol", "kafka"]), [18]);
    assert_eq!(seqs(&["--service", "db", "--protocol", "tcp"]), [19]);
    assert_eq!(seqs(&["--text", "/healthz"]), [6]);
    for bad in [["--latency", "100"], ["--edge", "a"], ["--status", "!"], ["--protocol", "smtp"]] {
        run(2, &[&["traffic", &fixture()], &bad[..]].concat());
    }
}

#[test]
fn one_exchange_is_shown_in_detail() {
    let page = run(0, &["traffic", &fixture(), "--detail", "12"]).stdout;
    for part in [
        "~test -> api",
        "POST /orders",
        "status   201",
        "latency  1.00s",
        "Content-Type: application/json",
        r#"{"item":1}"#,
        r#"{"id":7}"#,
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let json = run(0, &["traffic", &fixture(), "--detail", "16", "--json"]).json();
    assert_eq!(
        (json["request_body"]["binary"].as_bool(), json["status"].as_str()),
        (Some(true), Some("500"))
    );
    assert!(run(2, &["traffic", &fixture(), "--detail", "11"]).stderr.contains("no traffic but service.log"));
    assert!(run(2, &["traffic", &fixture(), "--detail", "99"]).stderr.contains("no event 99"));
}

#[test]
fn logs_are_filtered_and_every_line_is_named() {
    let lines = |args: &[&str]| run(0, &[&["logs", &fixture()], args].concat()).stdout;
    assert_eq!(lines(&[]).lines().count(), 4);
    let stderr = lines(&["--service", "api", "--stderr"]);
    assert_eq!(stderr.lines().filter(|line| line.contains("api ! ")).count(), 3, "{stderr}");
    assert_eq!(lines(&["--text", "GIVING", "-i"]).lines().count(), 1);
    assert_eq!(lines(&["--text", "GIVING"]), "");
    assert!(lines(&["--last", "1"]).contains("giving up"));
    let row = &run(0, &["logs", &fixture(), "--stdout", "--json"]).lines()[0];
    assert_eq!((row["service"].as_str(), row["data"].as_str()), (Some("api"), Some("listening\n")));
}

#[test]
fn ls_finds_failures_and_texts() {
    let seqs = |args: &[&str]| -> Vec<u64> {
        let file = fixture();
        let all = [&["ls", &file, "--json"], args].concat();
        run(0, &all).lines().iter().map(|row| row["seq"].as_u64().unwrap()).collect()
    };
    assert_eq!(seqs(&["--failures"]), [6, 15, 16, 20, 21, 23, 25]);
    assert_eq!(seqs(&["--text", "exit status"]), [20]);
    assert_eq!(seqs(&["--types", "service.*", "--service", "db"]), [4, 8, 20, 21]);
    assert_eq!(seqs(&["--edge", "~test->api", "--status", "5xx"]), [6, 16, 25]);
    assert_eq!(seqs(&["--latency", ">100ms"]), [12]);
    assert_eq!(seqs(&["--protocol", "tcp", "--failures"]), [0; 0]);
    assert_eq!(seqs(&["--status", "UNAVAILABLE", "--text", "upstream"]), [15]);
}

#[test]
fn any_event_is_shown_in_detail() {
    let page = |args: &[&str]| run(0, &[&["ls", &fixture(), "--detail"], args].concat()).stdout;
    assert_eq!(page(&["12"]), run(0, &["traffic", &fixture(), "--detail", "12"]).stdout);
    let stall = page(&["7"]);
    for part in ["progress.stall", "\"stalled_for\": \"10s\"", "\"waiting_on\": ["] {
        assert!(stall.contains(part), "{part}: {stall}");
    }
    let line = std::fs::read_to_string(fixture()).unwrap().lines().nth(7).unwrap().to_owned();
    assert_eq!(page(&["7", "--json"]), line + "\n");
    // Numbers are spelled as they were.
    let spelled = r#"{"seq":1,"ts":"2026-11-20T10:30:05Z","type":"a.b","n":1e3}"#;
    assert!(finish(0, rig(&["ls", "-", "--detail", "1"]), spelled.as_bytes()).stdout.contains("\"n\": 1e3"));
    assert!(run(2, &["ls", &fixture(), "--detail", "99"]).stderr.contains("no event 99"));

    let output = run(0, &["logs", &fixture(), "--detail", "14"]).stdout;
    assert!(output.lines().count() > 1 && output.contains("goroutine 7"), "{output}");
    assert!(run(2, &["logs", &fixture(), "--detail", "7"]).stderr.contains("no output but progress.stall"));
}

#[test]
fn a_stream_is_indexed_while_it_is_loaded() {
    let folder = folder();
    let line = |seq| format!("{{\"seq\":{seq},\"ts\":\"2026-11-20T10:30:05Z\",\"type\":\"a.b\"}}\n");
    let log = file(folder.path(), "long.jsonl", (1..=150_000).map(line).collect::<String>());
    let running = Running::start(rig(&["serve", &log, "--listen", "127.0.0.1:0", "--speed", "max"]));
    let said = run(0, &["ls", &format!("{}/long", running.line()), "--types", "none"]);
    assert!(said.stderr.contains("events so far"), "{}", said.stderr);
}

/// As a program reads it, and on a terminal.
#[test]
fn recorded_lines_are_bytes_to_a_program_and_safe_on_a_terminal() {
    let folder = folder();
    let line = "{\"seq\":1,\"ts\":\"2026-11-20T10:30:05Z\",\t\"type\":\"a.b\",\"x\":\"\u{9b}2J\u{202e}\u{7f}\"}  \r\n";
    let log = file(folder.path(), "c1.jsonl", line);
    for command in [&["ls", "--json"][..], &["tail", "--json"], &["ls", "--json", "--detail", "1"]] {
        let command = [&[command[0], &log], &command[1..]].concat();
        assert_eq!(run(0, &command).stdout, line, "{command:?}");
        let mut pty = Pty::start(rig(&command), 200, 24);
        pty.see(r#""x":"\u009b2J\u202e\u007f"}"#);
        assert!(!String::from_utf8_lossy(&pty.raw).contains(['\u{9b}', '\u{202e}', '\u{7f}']), "{command:?}");
    }
}

#[test]
fn lines_that_are_damaged_or_endless_stop_nothing_and_are_counted() {
    let long = "x".repeat(3 << 20);
    let mut log = String::new();
    for seq in 1..=9 {
        let _ = match seq {
            3 => writeln!(log, "{{\"seq\":3,\"type\":\"request.completed\"}}"),
            5 => writeln!(
                log,
                r#"{{"seq":5,"type":"service.log","service":"a","log":{{"stream":"stdout","data":"{long}"}},"timestamp":"2026-02-23T10:00:02Z"}}"#
            ),
            6 => writeln!(log, "{{\"seq\":6,"),
            seq => writeln!(
                log,
                r#"{{"seq":{seq},"type":"request.completed","request":{{"source":"a","target":"b","status_code":200}},"timestamp":"2026-02-23T10:00:02Z"}}"#
            ),
        };
    }
    let traffic = finish(0, rig(&["traffic", "-"]), log.as_bytes());
    assert_eq!(traffic.stdout.lines().count(), 7, "{}", traffic.stdout);
    assert!(
        traffic.stderr.contains("4 places could not be read as they stand, first: line 3"),
        "{}",
        traffic.stderr
    );
    let logs = finish(0, rig(&["logs", "-"]), log.as_bytes());
    assert!(logs.stdout.len() > long.len());
    finish(2, rig(&["traffic", "-", "--strict"]), log.as_bytes());
}

#[test]
fn a_damaged_session_is_readable_up_to_the_damage_which_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let hello = std::fs::read_to_string(workspace().join("fixtures/sessions/v1/hello.jsonl")).unwrap();
    let file = folder.path().join("damaged.jsonl");
    std::fs::write(&file, hello.replace("\"seq\":4,", "\"seq\":9,")).unwrap();
    let said = run(0, &["ls", text(&file)]);
    assert_eq!(said.stdout.lines().count(), 3);
    assert!(said.stderr.contains("damaged") && said.stderr.contains("after seq 3"), "{}", said.stderr);
    assert!(run(2, &["ls", text(&file), "--strict"]).stderr.contains("after seq 3"));
    // What is missing may have failed.
    for (command, code) in [("explain", 2), ("traffic", 0), ("logs", 0)] {
        assert!(run(code, &[command, text(&file)]).stderr.contains("after seq 3"), "{command}");
        run(2, &[command, text(&file), "--strict"]);
    }
}

#[test]
fn a_byte_order_mark_costs_no_event() {
    let folder = folder();
    for (name, keys, at) in
        [("bare.jsonl", None, "3"), ("rigd.jsonl", None, "3"), ("sealed.jsonl.zst", Some("keys"), "18")]
    {
        let v1 = |name: &str| text(&workspace().join("fixtures/sessions/v1").join(name)).to_owned();
        let lines = zstd::decode_all(&std::fs::read(v1(name)).unwrap()[..]);
        let lines = lines.unwrap_or_else(|_| std::fs::read(v1(name)).unwrap());
        let marked =
            file(folder.path(), name.trim_end_matches(".zst"), [b"\xef\xbb\xbf", &lines[..]].concat());
        for command in
            [&["ls"][..], &["tail", "--json"], &["state", "--json"], &["state", "--json", "--at", at]]
        {
            let said = |file: &str| {
                let said = run(0, &[&command[..1], &[file], &command[1..]].concat());
                assert!(!said.stderr.contains("could not be read"), "{command:?}: {}", said.stderr);
                said.stdout
            };
            assert_eq!(said(&marked), said(&v1(name)), "{command:?}");
        }
        assert_eq!(
            harness::verify(&marked, keys.map(v1).as_deref()),
            harness::verify(&v1(name), keys.map(v1).as_deref())
        );
    }
}

#[test]
fn a_recording_that_was_cut_anywhere_opens_as_far_as_it_goes() {
    let folder = folder();
    for name in ["sealed.jsonl.zst", "hello.jsonl"] {
        let whole = std::fs::read(workspace().join("fixtures/sessions/v1").join(name)).unwrap();
        for cut in [1, 3, 4, 5, 9, 60, whole.len() / 2, whole.len() - 7] {
            let cut = file(folder.path(), name, &whole[..cut]);
            for command in [&["ls"][..], &["tail", "--json"], &["state", "--json"], &["replay", "--json"]] {
                let said = run(0, &[&command[..1], &[&cut], &command[1..]].concat());
                let named = ["decompressed to its end", "no whole line", "unfinished"];
                assert!(named.iter().any(|what| said.stderr.contains(what)), "{command:?}: {}", said.stderr);
            }
            assert_eq!(harness::verify(&cut, None), "truncated");
        }
        // A job of which nothing was kept is no job that passed.
        let said = run(2, &["ci", &file(folder.path(), name, &whole[..9])]);
        assert!(said.stderr.contains("could not be read"), "{}", said.stderr);
        // Cut within a line, which is damage.
        let said = run(2, &["ls", "--strict", &file(folder.path(), name, &whole[..60])]);
        assert!(
            said.stderr.contains("decompressed") || said.stderr.contains("no whole line"),
            "{}",
            said.stderr
        );
    }
    // What never was a recording is none for being short.
    for other in [&b""[..], b"hello", b"{\"a\":", b"(\xb5/\xfdhello"] {
        run(2, &["ls", &file(folder.path(), "other", other)]);
        run(2, &["state", &file(folder.path(), "other", other)]);
    }
}

#[test]
fn foreign_text_cannot_steer_the_terminal() {
    let log = r#"{"seq":1,"type":"service.log","service":"a","log":{"stream":"stderr","data":"\u001b[2Jgone\r\nnext"},"timestamp":"2026-02-23T10:00:02Z"}
{"seq":2,"type":"request.completed","request":{"source":"\u001b]0;x","target":"b","method":"GET","path":"/\u202e","status_code":500},"timestamp":"2026-02-23T10:00:02Z"}
{"seq":3,"type":"test.note","error":"\u001b[31mred","timestamp":"2026-02-23T10:00:02Z"}
"#;
    for command in ["logs", "traffic", "ls", "explain"] {
        let said = finish(None, rig(&[command, "-"]), log.as_bytes());
        assert!(!said.stdout.contains(['\u{1b}', '\u{202e}', '\r']), "{command}: {}", said.stdout);
    }
    // C1 controls and marks that turn the line around are no control characters to JSON.
    let c1 = "{\"seq\":1,\"type\":\"service.log\",\"service\":\"a\",\"log\":{\"stream\":\"stderr\",\"data\":\"\u{9b}2J\u{202e}\u{2028}\u{7f}\"},\"timestamp\":\"2026-02-23T10:00:02Z\"}\n{\"seq\":2,\"type\":\"request.completed\",\"request\":{\"source\":\"\u{9b}0;x\",\"target\":\"b\",\"method\":\"GET\",\"path\":\"/\u{202e}\",\"status_code\":500},\"timestamp\":\"2026-02-23T10:00:02Z\"}\n";
    for args in [
        &["explain", "-", "--json"][..],
        &["state", "-", "--json"],
        &["logs", "-", "--json"],
        &["traffic", "-", "--json"],
        &["explain", "-"],
        &["logs", "-"],
    ] {
        let said = finish(None, rig(args), c1.as_bytes());
        let steering = ['\u{9b}', '\u{202e}', '\u{2028}', '\u{7f}'];
        assert!(!said.stdout.contains(steering), "{args:?}: {:?}", said.stdout);
        if args.contains(&"--json") {
            assert!(said.json().is_object(), "escaped, and JSON still");
        }
    }
    let markdown = finish(None, rig(&["explain", "-", "--markdown"]), log.as_bytes()).stdout;
    assert!(!markdown.contains('\u{1b}'));
}

#[test]
fn explain_shows_what_broke_and_the_change_before_it_on_one_screen() {
    let mut log = String::from(
        r#"{"seq":1,"ts":"2026-02-23T10:00:00Z","type":"snapshot.captured","service":"api","digest":"sha256:0","config_digest":"sha256:0","format":"json","bytes":1,"fields":1,"config":{"db.timeout":30}}
{"seq":2,"ts":"2026-02-23T10:00:01Z","type":"snapshot.captured","service":"api","digest":"sha256:1","config_digest":"sha256:1","format":"json","bytes":1,"fields":1,"actor":"ana"}
{"seq":3,"ts":"2026-02-23T10:00:01Z","type":"diff.computed","service":"api","from":1,"to":2,"added":0,"removed":0,"changed":1,"changes":[{"op":"changed","path":"db.timeout","before":30,"after":1,"severity":"high"}]}
"#,
    );
    for n in 0..100 {
        let seq = 4 + 2 * n;
        let _ = write!(
            log,
            r#"{{"seq":{seq},"ts":"2026-02-23T10:00:02Z","type":"request.completed","source":"web{}","target":"api","method":"GET","path":"/{n}","status":500,"response_body":"late"}}
{{"seq":{},"ts":"2026-02-23T10:00:02Z","type":"service.log","service":"api","stream":"stderr","data":"timeout {n}"}}
"#,
            n % 30,
            seq + 1
        );
    }
    let said = finish(Some(1), rig(&["explain", "-"]), log.as_bytes());
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert!(lines.len() <= 50, "{} lines: {}", lines.len(), said.stdout);
    let change = lines.iter().position(|line| line.contains("db.timeout: 30 -> 1")).unwrap();
    let request = lines.iter().position(|line| line.contains("GET /0")).unwrap();
    assert!(change < request && change < 10, "{}", said.stdout);
    assert!(said.stdout.contains("… and 95 more failing requests"), "{}", said.stdout);
}

#[test]
fn changes_of_others_do_not_hide_the_change_of_the_service_that_failed() {
    let capture = |seq: u64, service: &str| {
        format!(
            r#"{{"seq":{seq},"ts":"2026-02-23T10:00:00Z","type":"snapshot.captured","service":"{service}","digest":"sha256:0","config_digest":"sha256:0","format":"json","bytes":1,"fields":1,"config":{{"a":1}}}}"#
        )
    };
    let mut log = vec![capture(1, "api"), capture(2, "billing")];
    log.push(r#"{"seq":3,"ts":"2026-02-23T10:00:01Z","type":"diff.computed","service":"api","from":1,"to":1,"added":0,"removed":0,"changed":1,"changes":[{"op":"changed","path":"a","before":1,"after":7,"severity":"low"}]}"#.to_owned());
    let many: Vec<String> =
        (0..30).map(|n| format!(r#"{{"op":"added","path":"n{n}","after":1,"severity":"high"}}"#)).collect();
    log.push(format!(r#"{{"seq":4,"ts":"2026-02-23T10:00:02Z","type":"diff.computed","service":"billing","from":2,"to":2,"added":30,"removed":0,"changed":0,"changes":[{}]}}"#, many.join(",")));
    log.extend((5..15).map(|seq| capture(seq, &format!("late{seq}"))));
    log.push(r#"{"seq":15,"ts":"2026-02-23T10:00:03Z","type":"request.completed","source":"web","target":"api","method":"GET","path":"/","status":500}"#.to_owned());
    let said = finish(Some(1), rig(&["explain", "-"]), (log.join("\n") + "\n").as_bytes());
    assert!(said.stdout.contains("[3]*api a: 1 -> 7"), "{}", said.stdout);
    assert!(said.stdout.contains("[4] billing n0: 1 added"), "{}", said.stdout);
}
