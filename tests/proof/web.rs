//! The dashboard in a real Chromium, against a real hub: web/test/browser has what is tried.

use std::process::Command;

use serde_json::json;

use crate::harness::{Hub, finish, folder, rig, run, text};
use crate::interop::{left_out, packages, program};

/// Appends events, and captures what stands in between: a story with a failure and the change before it.
fn story(hub: &Hub) {
    let capture = |service: &str, document: &str| {
        let query = format!("service={service}&format=yaml&actor=ana&meta.commit=9f31c2");
        assert_eq!(hub.capture(&query, document.as_bytes()).0, 201);
    };
    let append = |events: serde_json::Value| {
        let (status, said) = hub.http(
            "POST",
            "/v1/streams/main/events",
            &["content-type: application/json"],
            events.to_string().as_bytes(),
        );
        assert_eq!(status, 201, "{said}");
    };
    let request = |n: u32, status: u32| {
        json!({
            "type": "request.completed", "source": "web", "target": "orders", "method": "GET",
            "path": format!("/orders/{n}"), "status": status, "latency_ms": 3 + n % 50,
            "request_headers": { "accept": ["application/json"] },
        })
    };
    let fields = |pool: u32| {
        let more: String = (0..40).map(|n| format!("limit{n:02}: {n}\n")).collect();
        format!("database:\n  pool: {pool}\n  password: demo-Secret-1\n{more}")
    };
    capture("orders", &fields(20));
    append(json!([
        {"type": "service.starting", "service": "orders"},
        {"type": "service.ready", "service": "orders"},
        {"type": "service.ready", "service": "web"},
    ]));
    assert_eq!(hub.http("PUT", "/v1/streams/main/services/orders/baseline?reason=release", &[], b"").0, 200);
    append((0..300).map(|n| request(n, 200)).collect());
    capture("orders", &fields(5));
    append((300..330).map(|n| request(n, if n % 3 == 0 { 503 } else { 200 })).collect());
    // What was recorded is hostile.
    append(json!([
        {"type": "service.log", "service": "orders", "stream": "stderr", "data": "\u{1b}[31mpool timeout\u{1b}[0m <img src=x onerror=alert(1)>\n"},
        {"type": "service.log", "service": "orders", "stream": "stdout", "data": "<script>window.hacked=1</script>\u{202e}evil\u{200b}\u{0}"},
        {"type": "request.completed", "source": "<b>web</b>", "target": "\"><svg onload=alert(1)>", "method": "GET",
         "path": "/<img src=x onerror=window.hacked=1>", "status": 500, "latency_ms": 1,
         "response_body": "PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg=="},
        {"type": "x.y", "note": "<iframe srcdoc='<script>parent.hacked=1</script>'>"},
    ]));
}

#[test]
fn the_page_works_in_a_browser() {
    if left_out() {
        return;
    }
    let (hub, files) = (Hub::in_memory(), folder());
    story(&hub);
    let session = files.path().join("broke.jsonl");
    run(0, &["record", &hub.main(), "--until-caught-up", "--output", text(&session)]);
    let mut serve = rig(&["serve", text(&session), "--speed", "max", "--listen", "127.0.0.1:0"]);
    serve.env_remove("RIG_LISTEN");
    let recorded = crate::harness::Running::start(serve);
    let mut node = Command::new(program("node"));
    node.arg(crate::harness::workspace().join("web/test/browser/page.mjs"));
    node.env("RIG_HUB", &hub.url).env("RIG_RECORDED", recorded.line()).env("RIG_PACKAGES", packages("node"));
    node.env("RIG_CHROMIUM", program("chromium"));
    finish(0, node, b"");
}

#[test]
fn pure_modules() {
    if left_out() {
        return;
    }
    let tests = crate::harness::workspace().join("web/test");
    let mut node = Command::new(program("node"));
    node.arg("--test").arg(tests.join("columns.test.js")).arg(tests.join("pure.test.js"));
    finish(0, node, b"");
}
