//! A real browser: its EventSource on a page behind nginx, over a restart of the hub.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::nginx::Nginx;
use super::{append, left_out, program, restarted, source};
use crate::harness::{Hub, PATIENCE, folder};

/// A browser with all its processes.
struct Browser(Child);

impl Browser {
    fn open(profile: &std::path::Path, url: &str) -> Browser {
        let mut command = Command::new(program("chromium"));
        command.args([
            "--headless",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            // As root it starts only without its sandbox.
            "--no-sandbox",
            // Otherwise it may end as soon as the page is loaded.
            "--remote-debugging-port=0",
        ]);
        command.arg(format!("--user-data-dir={}", profile.display())).arg(url);
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Browser(quiet.process_group(0).spawn().unwrap())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.0.id())]).status();
        let _ = self.0.wait();
    }
}

#[test]
fn a_browsers_event_source_comes_back_after_a_restart() {
    if left_out() {
        return;
    }
    let (data, files) = (folder(), folder());
    let hub = Hub::on(data.path());
    assert_eq!(hub.http("PUT", "/v1/streams/seen", &[], b"").0, 201);
    let nginx = Nginx::start(files.path(), &hub);
    std::fs::copy(source("page.html"), files.path().join("page/page.html")).unwrap();
    let _browser = Browser::open(&files.path().join("profile"), &format!("{}/page/page.html", nginx.url));

    let mut expected = Vec::new();
    for n in 1..=2 {
        expected.push(append(&hub, n));
        is_seen(&hub, &expected);
    }
    let hub = restarted(hub, data.path());
    for n in 3..=4 {
        expected.push(append(&hub, n));
        is_seen(&hub, &expected);
    }
}

/// The browser has seen exactly these events; for the last ones it gets a while.
#[track_caller]
fn is_seen(hub: &Hub, expected: &[Value]) {
    let begun = Instant::now();
    loop {
        let seen = seen(hub);
        if seen.len() >= expected.len() {
            return assert_eq!(seen, expected);
        }
        assert!(begun.elapsed() < PATIENCE, "the browser saw {seen:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn seen(hub: &Hub) -> Vec<Value> {
    let session = format!("{}/seen", hub.url);
    let said = crate::harness::run(0, &["tail", &session, "--no-follow", "--json", "--types", "browser.*"]);
    let seen = said.lines();
    let event = |report: &Value| {
        let event: Value = serde_json::from_str(report["data"].as_str().unwrap()).unwrap();
        let id = report["last_event_id"].as_str().unwrap();
        assert_eq!(id.split_once(':').unwrap().1, event["seq"].to_string());
        event
    };
    seen.iter().map(event).collect()
}
