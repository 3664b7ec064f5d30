//! The hub's own log: what stands in it, and what never does.

use std::process::Command;

use serde_json::Value;

use crate::harness::{Hub, Running, folder, rig, text};

/// Runs a hub with its log in a file, and gives the log once it has ended.
fn logged(arguments: &[&str], speak: impl FnOnce(&Hub)) -> String {
    let folder = folder();
    let log = folder.path().join("log");
    let data = folder.path().join("data");
    let hub = rig(&[&["hub", "--data", text(&data), "--listen", "127.0.0.1:0"], arguments].concat());
    let mut command = Command::new("sh");
    command
        .args(["-c", "log=$0; exec \"$@\" 2>\"$log\"", text(&log)])
        .arg(hub.get_program())
        .args(hub.get_args());
    for (name, value) in hub.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("RIG_LOG", "trace");
    let running = Running::start(command);
    let hub = Hub { url: running.line(), running };
    speak(&hub);
    hub.running.signal("TERM");
    assert_eq!(hub.running.wait(), 0);
    std::fs::read_to_string(&log).unwrap()
}

/// What must not be told: a secret in a document, in a query, in a header, in a path, in an event.
const PLANTED: [&str; 5] =
    ["hunter2-document", "hunter2-query", "hunter2-header", "AKIAIOSFODNN7EXAMPLE", "hunter2-event"];

fn with_secrets(hub: &Hub) {
    let [document, query, header, path, event] = PLANTED;
    let bearer = format!("authorization: Bearer {header}");
    let headers = [bearer.as_str(), "x-request-id: asked-7"];
    let events = "/v1/streams/main/events";
    let body = format!("{{\"password\":\"{document}\"}}");
    hub.http(
        "POST",
        &format!("/v1/streams/main/snapshots?service=api&actor={query}"),
        &headers,
        body.as_bytes(),
    );
    hub.http(
        "POST",
        "/v1/streams/main/snapshots?service=api&format=json",
        &headers,
        format!("{{\"a\":\"{document}").as_bytes(),
    );
    hub.http("POST", events, &headers, format!("{{\"type\":\"a.b\",\"token\":\"{event}\"}}").as_bytes());
    hub.http("POST", events, &headers, format!("{{\"type\":\"a.b\",\"token\":\"{event}").as_bytes());
    hub.http("GET", &format!("/v1/streams/main/services/{path}/config?ticket={query}"), &headers, b"");
}

#[test]
fn a_log_in_json_has_an_object_a_line_with_the_request_and_no_secret() {
    let told = logged(&["--log-format", "json"], with_secrets);
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let answered: Vec<&Value> = lines.iter().filter(|line| line["message"] == "answered").collect();
    let asked: Vec<&&Value> = answered.iter().filter(|line| line["span"]["id"] == "asked-7").collect();
    assert_eq!(asked.len(), 5, "{told}");
    assert_eq!(asked[0]["span"]["path"], "/v1/streams/main/snapshots");
    assert_eq!(asked[0]["status"], 201);
    assert!(lines.iter().any(|line| line["message"].as_str().is_some_and(|m| m.starts_with("data in "))));
    for secret in PLANTED {
        assert!(!told.contains(secret), "{secret} stands in the log:\n{told}");
    }
}

#[test]
fn a_log_in_text_has_the_requests_too_and_no_secret() {
    let told = logged(&[], with_secrets);
    assert!(told.lines().any(|line| line.contains("id=\"asked-7\"") && line.contains("answered")), "{told}");
    for secret in PLANTED {
        assert!(!told.contains(secret), "{secret} stands in the log:\n{told}");
    }
}
