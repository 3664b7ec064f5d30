//! Who can read the stream: curl, a buffering nginx, a browser, and the SSE packages of PyPI and npm; Prometheus the metrics; S3 and
//! Azure as places for snapshot files; OpenBao as the keeper of the keys of originals; and whether the hub is as /openapi.json says.
//!
//! Each event is appended only after the one before it has arrived, so what holds one back until the next comes is a test
//! that waits for ever. `cargo xtask services` installs what is needed; RIG_NO_SERVICES leaves these tests out.

#[cfg(feature = "cloud")]
mod azure;
mod browser;
mod nginx;
mod openapi;
mod openbao;
#[cfg(feature = "cloud")]
mod s3;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use self::nginx::Nginx;
use crate::harness::{Hub, Running, folder, text};

/// Whether these tests are to be left out.
pub fn left_out() -> bool {
    let out = std::env::var_os("RIG_NO_SERVICES").is_some();
    if out {
        println!("left out: RIG_NO_SERVICES is set");
    }
    out
}

/// A program of the machine.
#[track_caller]
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed; `cargo xtask services` installs it"))
}

/// Where `cargo xtask services` puts packages of PyPI and npm.
#[track_caller]
pub fn packages(kind: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop").join(kind);
    assert!(folder.is_dir(), "{} is missing; `cargo xtask services` makes it", folder.display());
    folder
}

fn source(name: &str) -> PathBuf {
    crate::harness::workspace().join("tests/proof/interop").join(name)
}

/// The address of everything that the tests append, from the beginning on.
fn events(base: &str) -> String {
    format!("{base}/v1/streams/main/events?from=1&types=shop.*")
}

/// Appends an event and gives it as it stands in the log.
fn append(hub: &Hub, n: u64) -> Value {
    let event = format!(r#"{{"type":"shop.sold","n":{n},"text":"grün\nund ✓"}}"#);
    let (status, answer) = hub.http("POST", "/v1/streams/main/events", &[], event.as_bytes());
    assert_eq!(status, 201, "{answer}");
    answer["events"][0].clone()
}

/// The client must have printed this event next.
#[track_caller]
fn arrives(client: &Running, event: &Value) {
    let next = |field: &str| loop {
        let line = client.line();
        if let Some(value) = line.strip_prefix(field) {
            return value.to_owned();
        }
    };
    let id = next("id: ");
    assert_eq!(id.split_once(':').unwrap().1, event["seq"].to_string());
    assert_eq!(serde_json::from_str::<Value>(&next("data: ")).unwrap(), *event);
}

/// One after the other, each as soon as it is there.
fn each_arrives(hub: &Hub, client: &Running) {
    for n in 1..=4 {
        arrives(client, &append(hub, n));
    }
}

#[test]
fn curl() {
    if left_out() {
        return;
    }
    let hub = Hub::in_memory();
    let mut curl = Command::new(program("curl"));
    curl.args(["-sN", "-H", "accept: text/event-stream", &events(&hub.url)]);
    each_arrives(&hub, &Running::start(curl));
}

#[test]
fn curl_through_a_buffering_nginx() {
    if left_out() {
        return;
    }
    let (hub, folder) = (Hub::in_memory(), folder());
    let nginx = Nginx::start(folder.path(), &hub);
    let curl = |base: &str| {
        let mut curl = Command::new(program("curl"));
        curl.args(["-sN", "-H", "accept: text/event-stream", &events(base)]);
        Running::start(curl)
    };
    // It speaks HTTP/1.0 to the hub where it is told nothing else.
    let (plain, with_1_1) = (curl(&nginx.url), curl(&format!("{}/1.1", nginx.url)));
    for n in 1..=4 {
        let event = append(&hub, n);
        arrives(&plain, &event);
        arrives(&with_1_1, &event);
    }
    // The same nginx, told not to listen to the hub, does hold events back: this test can tell.
    let held_back = curl(&format!("{}/deaf", nginx.url));
    append(&hub, 5);
    assert_eq!(held_back.line_within(Duration::from_millis(500)), None);
}

#[test]
fn httpx_sse() {
    if left_out() {
        return;
    }
    python("with_httpx_sse.py");
}

#[test]
fn sseclient_py() {
    if left_out() {
        return;
    }
    python("with_sseclient.py");
}

fn python(script: &str) {
    let hub = Hub::in_memory();
    let mut python = Command::new(packages("python").join("bin/python"));
    python.arg(source(script)).arg(events(&hub.url));
    each_arrives(&hub, &Running::start(python));
}

#[test]
fn eventsource_of_npm_comes_back_after_a_restart() {
    if left_out() {
        return;
    }
    let data = folder();
    let hub = Hub::on(data.path());
    // In the packages' folder, so that the import finds them.
    let script = std::fs::read_to_string(source("with_eventsource.mjs")).unwrap();
    let mut node = Command::new(program("node"));
    node.args(["--input-type=module", "--eval", &script, "--", &events(&hub.url)]);
    node.current_dir(packages("node"));
    let node = Running::start(node);
    each_arrives(&hub, &node);
    let hub = restarted(hub, data.path());
    // Not those before it again: it came back with the id of the last one.
    each_arrives(&hub, &node);
}

/// Stops the hub and starts it again at the same address.
fn restarted(hub: Hub, data: &Path) -> Hub {
    let address = hub.address().to_owned();
    hub.running.signal("TERM");
    assert_eq!(hub.running.wait(), 0);
    Hub::listening(&address, &["--data", text(data)])
}

#[test]
fn prometheus_reads_the_metrics() {
    if left_out() {
        return;
    }
    let hub = Hub::in_memory();
    append(&hub, 1);
    assert_eq!(hub.capture("service=api&format=json", b"{\"a\":1}").0, 201);
    let metrics =
        Command::new(program("curl")).args(["-sf", &format!("{}/metrics", hub.url)]).output().unwrap();
    assert!(String::from_utf8_lossy(&metrics.stdout).contains("rig_head_seq{stream=\"main\"}"));
    let mut promtool = Command::new(program("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(&metrics.stdout).unwrap();
    let said = promtool.wait_with_output().unwrap();
    assert!(said.status.success() && said.stdout.is_empty() && said.stderr.is_empty(), "{said:?}");
}
