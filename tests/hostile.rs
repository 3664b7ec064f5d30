//! Wrong input: each is answered with its place, leaves a record without its content, and the hub lives on.

use std::io::Write as _;
use std::net::Shutdown;

use serde_json::Value;

use crate::harness::{Hub, Running, answer, fixture, folder, run};

/// The one event that a refused document leaves, which must not hold `content`.
fn rejected(hub: &Hub, content: &str) -> Value {
    let said = run(0, &["tail", &hub.main(), "--no-follow", "--json"]);
    assert!(content.is_empty() || !said.stdout.contains(content), "{}", said.stdout);
    let events = said.lines();
    let last = events.iter().rfind(|event| event["type"] != "log.sealed").expect("an event").clone();
    assert_eq!(last["type"], "snapshot.rejected", "{last}");
    last
}

/// A document is refused with `code`, at `line` where there is one.
fn check(hub: &Hub, query: &str, document: &[u8], expected: (u16, &str, Option<u64>)) {
    let (status, code, line) = expected;
    let (got, problem) = hub.capture(query, document);
    assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{problem}");
    assert_eq!(problem["line"].as_u64(), line, "{problem}");
    let event = rejected(hub, "hunter2");
    assert_eq!(event["code"], code, "{event}");
    assert_eq!(event["line"].as_u64(), line, "{event}");
}

#[test]
fn documents_that_cannot_be_read() {
    let hub = Hub::in_memory();
    check(&hub, "service=a&format=yaml", b"a: 1\nb: [hunter2\n", (422, "malformed-document", Some(3)));
    check(
        &hub,
        "service=a&format=json",
        b"{\"a\": 1,\n \"password\": hunter2}",
        (422, "malformed-document", Some(2)),
    );
    check(&hub, "service=a&format=toml", b"a = 1\nb = hunter2\n", (422, "malformed-document", Some(2)));
    check(&hub, "service=a&format=jsonc", b"{ // c\n hunter2", (422, "malformed-document", Some(2)));
    check(&hub, "service=a&format=hcl", b"a = 1\nb = hunter2 x\n", (422, "malformed-document", Some(2)));
    check(&hub, "service=a&format=xml", b"<a>\nhunter2</b>", (422, "malformed-document", Some(2)));
    let entities = b"<!DOCTYPE a [<!ENTITY x \"hunter2\"><!ENTITY y \"&x;&x;\">]>\n<a>&y;</a>";
    check(&hub, "service=a&format=xml", entities, (422, "malformed-document", Some(2)));
    check(&hub, "service=a&format=hocon", b"a = hunter2", (422, "unknown-format", None));
    check(&hub, "service=a", b"hunter2 and no word of what it is", (422, "unknown-format", None));
    check(&hub, "service=a&format=json", b"{\"a\": 1,\n\"a\": \"hunter2\"}", (422, "duplicate-key", Some(2)));
    check(&hub, "service=a&format=yaml", b"a: 1\na: hunter2\n", (422, "duplicate-key", Some(2)));
    check(&hub, "service=a&format=yaml", b"a: 1\nb: hunter2\xff\n", (422, "invalid-utf8", Some(2)));

    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    check(&hub, "service=a&format=yaml", deep.as_bytes(), (422, "too-deep", Some(1)));
    check(&hub, "service=a&format=json", deep.as_bytes(), (422, "too-deep", Some(1)));

    // It was alive all the time, and nothing was lost.
    let (status, _) = hub.capture("service=a&format=yaml", b"a: 1\n");
    assert_eq!(status, 201);
    let types = hub.types();
    assert_eq!(types.iter().filter(|t| *t == "snapshot.rejected").count(), types.len() - 1);
}

#[test]
fn a_billion_laughs_are_refused_in_little_memory() {
    let hub = Hub::in_memory();
    let mut bomb =
        "a0: &a0 [hunter2, hunter2, hunter2, hunter2, hunter2, hunter2, hunter2, hunter2, hunter2]\n"
            .to_owned();
    for n in 1..30 {
        let before = format!("*a{}", n - 1);
        bomb.push_str(&format!("a{n}: &a{n} [{}]\n", [before.as_str(); 9].join(", ")));
    }
    let (status, problem) = hub.capture("service=a&format=yaml", bomb.as_bytes());
    assert!(status == 422 || status == 413, "{problem}");
    rejected(&hub, "hunter2");
    let (status, problem) = hub.capture("service=a&format=yaml", b"a: &a [1, *a]\n");
    assert_eq!(status, 422, "{problem}");
    let peak = hub.running.peak_memory().unwrap_or(0);
    assert!(peak < 512, "{peak} MiB");
}

#[test]
fn a_document_over_the_limit_is_refused_before_it_is_sent() {
    let hub = Hub::in_memory();
    let mut socket = hub.socket();
    let head = "POST /v1/streams/main/snapshots?service=a&format=text HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                content-length: 104857601\r\n\r\n";
    socket.write_all(head.as_bytes()).unwrap();
    let (status, problem) = answer(socket);
    assert_eq!((status, problem["code"].as_str()), (413, Some("too-large")));
    assert_eq!(rejected(&hub, "")["code"], "too-large");
}

#[test]
fn a_body_that_breaks_off() {
    let hub = Hub::in_memory();
    let mut socket = hub.socket();
    let head = "POST /v1/streams/main/snapshots?service=a&format=yaml HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                content-length: 1000\r\n\r\npassword: hunter2";
    socket.write_all(head.as_bytes()).unwrap();
    // Said to the hub: nothing more will come. It may still answer.
    socket.shutdown(Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    let _ = std::io::Read::read_to_end(&mut socket, &mut rest);
    assert_eq!(hub.capture("service=b&format=yaml", b"a: 1\n").0, 201);
    let tail = run(0, &["tail", &hub.main(), "--no-follow", "--json"]);
    assert!(!tail.stdout.contains("hunter2"), "{}", tail.stdout);
    assert!(tail.stdout.contains("snapshot.rejected"), "{}", tail.stdout);
}

#[test]
fn requests_that_make_no_sense() {
    let hub = Hub::in_memory();
    let main = "/v1/streams/main";
    let check = |method: &str, path: &str, headers: &[&str], body: &str, expected: (u16, &str)| {
        let (status, problem) = hub.http(method, path, headers, body.as_bytes());
        assert_eq!(
            (status, problem["code"].as_str()),
            (expected.0, Some(expected.1)),
            "{method} {path}: {problem}"
        );
    };
    let sse = "accept: text/event-stream";
    check("GET", "/v1/streams/nowhere/events", &[sse], "", (404, "unknown-stream"));
    check("GET", "/v1/streams/nowhere/state", &[], "", (404, "unknown-stream"));
    check("PUT", "/v1/streams/.hidden", &[], "", (400, "bad-stream-name"));
    check("GET", &format!("{main}/events?from=x"), &[sse], "", (400, "bad-cursor"));
    check("GET", &format!("{main}/events"), &[sse, "last-event-id: not:a:cursor"], "", (400, "bad-cursor"));
    check("GET", &format!("{main}/state?at=-1"), &[], "", (400, "bad-cursor"));
    check("POST", &format!("{main}/snapshots?service="), &[], "a: 1", (400, "bad-service-name"));
    let wrong = "content-type: image/png";
    check("POST", &format!("{main}/snapshots?service=a"), &[wrong], "x", (415, "wrong-media-type"));
    check("POST", &format!("{main}/events"), &[wrong], "x", (415, "wrong-media-type"));
    check("GET", &format!("{main}/services/none/config"), &[], "", (404, "no-snapshot"));
    let (status, _) = hub.http("GET", "/v1/nothing/here", &[], b"");
    assert_eq!(status, 404);
    let (status, _) = hub.http("POST", "/healthz", &[], b"");
    assert_eq!(status, 405);
    assert_eq!(hub.http("GET", "/readyz", &[], b"").0, 200);
}

#[test]
fn an_append_at_the_wrong_head_is_told_the_right_one() {
    let hub = Hub::in_memory();
    let json = "content-type: application/json";
    let path = "/v1/streams/main/events?expected_seq=";
    let event = br#"{"type":"service.ready","service":"api"}"#;
    assert_eq!(hub.http("POST", &format!("{path}0"), &[json], event).0, 201);
    let (status, problem) = hub.http("POST", &format!("{path}0"), &[json], event);
    assert_eq!(
        (status, problem["code"].as_str(), problem["head"].as_u64() >= Some(1)),
        (409, Some("expected-seq"), true)
    );
    let (status, problem) = hub.http("POST", "/v1/streams/main/events", &[json], br#"{"type":"log.sealed"}"#);
    assert_eq!(status, 400, "{problem}");
}

#[test]
fn the_program_says_the_place_too() {
    let hub = Hub::in_memory();
    let folder = crate::harness::folder();
    let bad = crate::harness::file(folder.path(), "bad.yaml", "a: 1\nb: [hunter2\n");
    let said = run(2, &["snapshot", "api", &bad, "--hub", &hub.url]);
    assert!(said.stderr.contains("line 3") && said.stderr.contains("malformed-document"), "{said:?}");
    assert!(!said.stderr.contains("hunter2"), "{said:?}");
    run(2, &["snapshot", "api", &fixture("web-1.env"), "--hub", &hub.url, "--format", "hocon"]);
}

/// A log that cannot open its next file takes no more events until the hub is started again.
#[cfg(unix)]
#[test]
fn neither_connections_nor_streams_take_the_files_that_a_log_needs() {
    const EVENT: &[u8] = br#"{"type":"a.b"}"#;
    let data = folder();
    let mut command = std::process::Command::new("sh");
    command.args([
        "-c",
        "ulimit -n 256 && exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_rig"),
        "hub",
        "--listen",
        "127.0.0.1:0",
        "--data",
    ]);
    command.arg(data.path());
    let running = Running::start(command);
    let hub = Hub { url: running.line(), running };
    let made: Vec<(u16, Value)> =
        (0..40).map(|n| hub.http("PUT", &format!("/v1/streams/s{n}"), &[], b"")).collect();
    let refused: Vec<&Value> =
        made.iter().filter(|(status, _)| *status != 201).map(|(_, problem)| problem).collect();
    assert!(
        refused.len() < 20 && refused.iter().all(|problem| problem["code"] == "too-many-streams"),
        "{refused:?}"
    );
    assert!(!refused.is_empty());
    // A crowd that says nothing gives its places to who says something, in every stream.
    let crowd: Vec<_> = (0..300).map(|_| hub.socket()).collect();
    for stream in ["main", "s1", "s20"] {
        let path = format!("/v1/streams/{stream}/events");
        let (status, said) = hub.http("POST", &path, &[], EVENT);
        assert_eq!(status, 201, "{stream}: {said}");
    }
    drop(crowd);
    assert_eq!(hub.http("POST", "/v1/streams/main/events", &[], EVENT).0, 201);
}
