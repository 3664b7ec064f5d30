//! A disk that is full: the hub says so, readers go on, and nothing that was acknowledged is lost.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::{Hub, Running, folder, rig, text};

/// Bytes that the limit leaves for one file, or for all of them.
const ROOM: usize = 4 << 20;

/// A file may not grow beyond a limit: writes fail half way, as on a full disk, without root's help.
#[test]
fn a_file_that_cannot_grow() {
    let folder = folder();
    let args = ["hub", "--listen", "127.0.0.1:0", "--data", text(folder.path())];
    // In blocks of 512 bytes; without the trap the signal would end the hub.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", ROOM / 512);
    let limited = rig(&args);
    let mut command = Command::new("sh");
    limited
        .get_envs()
        .filter(|(_, value)| value.is_none())
        .for_each(|(name, _)| _ = command.env_remove(name));
    command.args(["-c", &script, "sh"]).arg(limited.get_program()).args(limited.get_args());
    check(command, folder.path(), || {});
}

/// A file system that has no room left.
#[test]
fn a_disk_that_is_full() {
    let folder = folder();
    let Some(disk) = Mounted::new(folder.path()) else { return };
    let data = folder.path().join("data");
    let command = rig(&["hub", "--listen", "127.0.0.1:0", "--data", text(&data)]);
    check(command, &data, || disk.mount("remount,size=64m"));
}

/// A file system in memory on a folder, until it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    /// `None`, with a word why, where that is not allowed.
    fn new(folder: &Path) -> Option<Mounted> {
        let mounted = Mounted(folder.to_owned());
        let size = format!("size={ROOM}");
        let tried = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
        match tried {
            Ok(tried) if tried.status.success() => Some(mounted),
            other => {
                println!("left out: no tmpfs can be mounted here ({other:?})");
                std::mem::forget(mounted);
                None
            }
        }
    }

    fn mount(&self, options: &str) {
        let done = Command::new("mount").args(["-o", options]).arg(&self.0).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

const EVENTS: &str = "/v1/streams/main/events";

fn check(limited: Command, data: &Path, mend: impl FnOnce()) {
    let running = Running::start(limited);
    let hub = Hub { url: running.line(), running };
    let event = |n: usize| format!(r#"{{"type":"shop.sold","id":"e{n}","n":{}}}"#, "7".repeat(60_000));
    let append = |hub: &Hub, n: usize| hub.http("POST", EVENTS, &[], event(n).as_bytes());

    let mut acknowledged = Vec::new();
    let failed = loop {
        assert!(acknowledged.len() * 60_000 < 2 * ROOM, "the limit does not limit");
        let (status, answer) = append(&hub, acknowledged.len());
        if status != 201 {
            assert_eq!((status, answer["code"].as_str()), (503, Some("log-failed")), "{answer}");
            break acknowledged.len();
        }
        acknowledged.push(answer["events"][0].clone());
    };
    assert!(failed > 10, "{failed}");
    // From then on nothing is taken, and everything can be read.
    let (status, answer) = append(&hub, failed);
    assert_eq!((status, answer["code"].as_str()), (503, Some("log-failed")), "{answer}");
    let (status, answer) = hub.capture("service=api&format=json", b"{\"a\":1}");
    assert_eq!((status, answer["code"].as_str()), (503, Some("log-failed")), "{answer}");
    assert_eq!(shop_events(&hub), acknowledged);
    let (status, state) = hub.http("GET", "/v1/streams/main/state", &[], b"");
    assert_eq!(status, 200, "{state}");
    assert_eq!(hub.http("GET", "/v1/streams", &[], b"").0, 200);
    subscribe(&hub, failed);
    hub.running.signal("TERM");
    let code = hub.running.wait();
    assert_eq!(code, 0, "it ends as it should");

    mend();
    let hub = Hub::on(data);
    assert_eq!(shop_events(&hub), acknowledged, "after the restart");
    // Repeated, it is there once.
    assert_eq!(append(&hub, failed).0, 201);
    assert_eq!(append(&hub, failed).0, 200);
    assert_eq!(shop_events(&hub).len(), failed + 1);
}

/// The events that clients appended.
fn shop_events(hub: &Hub) -> Vec<Value> {
    let mut socket = hub.socket();
    let request = format!("GET {EVENTS}?types=shop.* HTTP/1.0\r\nhost: localhost\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Somebody who subscribes now gets all that there is.
fn subscribe(hub: &Hub, events: usize) {
    let mut socket = hub.socket();
    let request = format!(
        "GET {EVENTS}?from=1&types=shop.* HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut came = 0;
    for line in BufReader::new(socket).lines().map(Result::unwrap) {
        came += usize::from(line == "event: shop.sold");
        if line == "event: caught-up" {
            return assert_eq!(came, events);
        }
    }
    panic!("the stream ended");
}

/// Revoking a token does not wait until somebody made room.
#[test]
fn a_token_is_revoked_on_a_full_disk_and_the_hub_starts_there() {
    let folder = folder();
    let Some(disk) = Mounted::new(folder.path()) else { return };
    let data = folder.path().join("data");
    let hub = Hub::on(&data);
    let token = |hub: &Hub, by: &[&str]| {
        let new = br#"{"scopes":["admin"],"streams":["*"]}"#;
        let (status, made) = hub.http("POST", "/v1/tokens", by, new);
        assert_eq!(status, 201, "{made}");
        let text = |key: &str| made[key].as_str().unwrap().to_owned();
        (format!("authorization: Bearer {}", text("token")), text("id"))
    };
    let (root, _) = token(&hub, &[]);
    let by_root = [root.as_str()];
    let (bad, id) = token(&hub, &by_root);
    let event = format!(r#"{{"type":"shop.sold","n":{}}}"#, "7".repeat(60_000));
    let mut acknowledged = 0;
    while hub.http("POST", EVENTS, &by_root, event.as_bytes()).0 == 201 {
        acknowledged += 1;
        assert!(acknowledged * 60_000 < 2 * ROOM, "the limit does not limit");
    }
    // Nothing of what is left.
    let _ = std::fs::write(folder.path().join("more"), vec![0; ROOM]);
    let (status, ready) = hub.http("GET", "/readyz", &[], b"");
    assert_eq!((status, ready["code"].as_str()), (503, Some("disk-full")), "{ready}");
    let (status, revoked) = hub.http("DELETE", &format!("/v1/tokens/{id}"), &by_root, b"");
    assert_eq!(status, 204, "{revoked}");
    let by_bad = [bad.as_str()];
    assert_eq!(hub.http("GET", "/v1/streams", &by_bad, b"").0, 401);
    hub.running.signal("TERM");
    hub.running.wait();

    let hub = Hub::on(&data);
    assert_eq!(hub.http("GET", "/v1/streams", &by_bad, b"").0, 401, "after a restart");
    let (status, about) = hub.http("GET", "/v1/streams/main", &by_root, b"");
    assert_eq!((status, about["head"].as_u64() >= Some(acknowledged as u64)), (200, true), "{about}");
    hub.running.signal("TERM");
    hub.running.wait();
    drop(disk);
}
