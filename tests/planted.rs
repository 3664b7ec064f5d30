//! Documents with a planted secret by every route, taken and refused, with the hub's log at its most talkative: the secret is
//! nowhere but in the answer to whoever may read originals.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Hub, Running, answer, files, rig, run, text};

pub const PLANTED: &str = "hunter2-Planted";

/// A hub on `data` whose log, at level trace, goes to `log`.
pub fn talkative(data: &Path, config: &str, log: &Path) -> Hub {
    let hub = rig(&["hub", "--listen", "127.0.0.1:0", "--data", text(data), "--config", config]);
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" 2>\"$LOG\""]).arg(hub.get_program()).args(hub.get_args());
    for (name, value) in hub.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("LOG", log).env("RIG_LOG", "trace");
    let running = Running::start(command);
    let url = running.line();
    Hub { running, url }
}

/// A token for everything on the hub of that folder, which is kept beside it. No hub may run there the first time.
#[allow(dead_code, reason = "tests/proof, which has this file too, reads originals")]
pub fn token(data: &Path) -> String {
    let kept = data.with_extension("token");
    if !kept.exists() {
        let args = [
            "token",
            "new",
            "--name",
            "root",
            "--scope",
            "admin,secrets",
            "--stream",
            "*",
            "--data",
            text(data),
        ];
        std::fs::write(&kept, run(0, &args).stdout.trim()).unwrap();
    }
    std::fs::read_to_string(kept).unwrap()
}

/// Documents of every format, each with the secret as a password.
fn documents() -> Vec<(&'static str, String)> {
    let p = PLANTED;
    vec![
        ("json", format!("{{\"password\": \"{p}\"}}")),
        ("jsonc", format!("{{\"password\": \"{p}\" /* {p} */}}")),
        ("yaml", format!("# {p}\npassword: {p}\n")),
        ("toml", format!("password = \"{p}\"\n")),
        ("ini", format!("[db]\npassword = {p}\n")),
        ("env", format!("DB_PASSWORD={p}\n")),
        ("properties", format!("db.password={p}\n")),
        ("hcl", format!("password = \"{p}\"\n")),
        ("xml", format!("<db><password>{p}</password></db>")),
        ("routeros", format!("/user\nadd name=admin password={p}\n")),
        ("nginx", format!("location / {{\n  proxy_set_header Authorization \"Bearer {p}\";\n}}\n")),
        ("text", format!("db password {p}\n")),
        (
            "snapshot",
            format!(
                "{{\"version\":\"1.0\",\"timestamp\":\"2026-01-01T00:00:00Z\",\"config\":{{\"db.password\":\"{p}\"}},\"provenance\":null}}"
            ),
        ),
    ]
}

/// Documents that are refused.
fn refused() -> Vec<(&'static str, Vec<u8>)> {
    let p = PLANTED;
    vec![
        ("format=json", format!("{{\"password\": \"{p}\"").into_bytes()),
        ("format=json", format!("{{\"password\": \"{p}\", \"password\": \"{p}\"}}").into_bytes()),
        ("format=yaml", format!("password: {p}\n  {p}: [\n").into_bytes()),
        ("format=toml", format!("password = {p}\n").into_bytes()),
        ("format=xml", format!("<password>{p}</db>").into_bytes()),
        ("format=json", [format!("{{\"password\": \"{p}").as_bytes(), b"\xff\xfe\"}"].concat()),
        ("format=json", format!("{}\"{p}\"", "[".repeat(1_000)).into_bytes()),
        ("format=hunter2", format!("password: {p}").into_bytes()),
        ("actor=x", format!("{p} {p}").into_bytes()),
        ("format=snapshot", format!("{{\"password\": \"{p}\"}}").into_bytes()),
    ]
}

/// Sends all of it, stops the hub, and looks everywhere. `fails` makes it impossible to keep originals, `mends` makes it possible again.
pub fn the_secret_is_nowhere(hub: Hub, data: &Path, log: &Path, fails: impl FnOnce(), mends: impl FnOnce()) {
    let mut answers = String::new();
    for (n, (format, document)) in documents().into_iter().enumerate() {
        let (status, said) = hub.capture(&format!("service=s{n}&format={format}"), document.as_bytes());
        assert_eq!(status, 201, "{format}: {said}");
        assert!(said["events"][0]["blob"].is_string(), "{format}: {said}");
        answers += &said.to_string();
        let (_, said) = hub.capture(&format!("service=s{n}&format={format}"), document.as_bytes());
        assert_eq!(said["events"][0]["type"], "snapshot.unchanged", "{format}");
        answers += &said.to_string();
        if format != "snapshot" {
            let path = format!("/v1/streams/main/services/s{n}/declared?format={format}");
            let (status, said) = hub.http("PUT", &path, &[], document.as_bytes());
            assert_eq!(status, 200, "{format}: {said}");
            answers += &said.to_string();
        }
    }
    for (query, document) in refused() {
        let (status, said) = hub.capture(&format!("service=refused&{query}"), &document);
        assert_eq!(status, 422, "{query}: {said}");
        answers += &said.to_string();
    }
    let said = hub.http(
        "POST",
        "/v1/streams/main/snapshots?service=a",
        &["content-type: image/png"],
        PLANTED.as_bytes(),
    );
    assert_eq!(said.0, 415);
    answers += &said.1.to_string();
    let event = format!(r#"{{"type":"shop.sold","password":"{PLANTED}"}}"#);
    let said = hub.http("POST", "/v1/streams/main/events", &[], event.as_bytes());
    assert_eq!(said.0, 201);
    answers += &said.1.to_string();
    answers += &too_large(&hub);
    answers += &broken_off(&hub);
    let document = format!("{{\"password\": \"{PLANTED}\", \"one\": \"more\"}}");
    let said = hub.capture(&format!("service=meta&format=json&meta.password={PLANTED}"), document.as_bytes());
    assert_eq!(said.0, 201);
    answers += &said.1.to_string();

    fails();
    let document = format!("{{\"password\": \"{PLANTED}\", \"not\": \"kept\"}}");
    for _ in 0..2 {
        let (status, said) = hub.capture("service=s0&format=json", document.as_bytes());
        assert_eq!(status, 503, "{said}");
        answers += &said.to_string();
    }
    mends();
    let (status, said) = hub.capture("service=s0&format=json", document.as_bytes());
    assert_eq!(status, 201, "{said}");
    answers += &said.to_string();

    for path in ["/events?from=1", "/state", "/services/s0/config", "/services/s2/history"] {
        answers += &text_of(&hub, &format!("/v1/streams/main{path}"));
    }
    assert!(
        answers.contains("\"code\":\"too-large\""),
        "the document that is too large was not refused as one"
    );
    answers += &text_of(&hub, "/v1/streams/_hub/events?from=1");
    answers += &text_of(&hub, "/metrics");
    let raw = |header: &[&str]| hub.http("GET", "/v1/streams/main/services/s0/config?raw=1", header, b"");
    let (status, said) = raw(&[]);
    assert_eq!(status, 403);
    answers += &said.to_string();
    // It is there, for whoever may read it.
    let new = br#"{"name": "root", "scopes": ["admin", "secrets"], "streams": ["*"]}"#;
    let (status, made) = hub.http("POST", "/v1/tokens", &[], new);
    assert_eq!(status, 201, "{made}");
    let (status, original) = raw(&[&format!("authorization: Bearer {}", made["token"].as_str().unwrap())]);
    assert_eq!((status, &original["password"]), (200, &PLANTED.into()));
    hub.running.signal("TERM");
    assert_eq!(hub.running.wait(), 0);

    let told = std::fs::read_to_string(log).unwrap();
    for part in ["DEBUG", "its capture failed"] {
        assert!(told.contains(part), "the log is not as talkative as it can be: no {part}");
    }
    assert_eq!(around(answers.as_bytes()), None, "in an answer");
    assert_eq!(around(told.as_bytes()), None, "in the log");
    let mut blobs = 0;
    for file in files(data) {
        let found = around(&std::fs::read(&file).unwrap());
        assert_eq!(found, None, "in {}", file.display());
        blobs += u64::from(file.ancestors().any(|folder| folder.ends_with("blobs")));
    }
    assert!(blobs > 12, "{blobs}");
}

/// A few bytes before the secret, or before a part of it in base 64.
fn around(bytes: &[u8]) -> Option<String> {
    let spellings: [&[u8]; 3] = [PLANTED.as_bytes(), b"aHVudGVyMi1QbGFudG", b"68756e746572322d506c616e"];
    let found =
        spellings.iter().find_map(|spelling| bytes.windows(spelling.len()).position(|w| w == *spelling));
    found.map(|at| String::from_utf8_lossy(&bytes[at.saturating_sub(100)..at]).into_owned())
}

fn text_of(hub: &Hub, path: &str) -> String {
    let mut socket = hub.socket();
    write!(socket, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut socket, &mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{path}: {text}");
    text
}

/// A document without an announced length that passes the limit on its way.
fn too_large(hub: &Hub) -> String {
    let mut socket = hub.socket();
    let head = "POST /v1/streams/main/snapshots?service=large&format=text HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).unwrap();
    let line = format!("password {PLANTED}\n");
    let piece = line.repeat((1 << 20) / line.len());
    for _ in 0..140 {
        // The hub may have answered and closed.
        if write!(socket, "{:x}\r\n{piece}\r\n", piece.len()).is_err() {
            break;
        }
    }
    let mut bytes = Vec::new();
    let _ = std::io::Read::read_to_end(&mut socket, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A document that ends before its announced length.
fn broken_off(hub: &Hub) -> String {
    let mut socket = hub.socket();
    let head = "POST /v1/streams/main/snapshots?service=broken&format=text HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n";
    writeln!(socket, "{head}password {PLANTED}").unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let (status, said): (u16, Value) = answer(socket);
    assert_eq!(status, 400, "{said}");
    said.to_string()
}
