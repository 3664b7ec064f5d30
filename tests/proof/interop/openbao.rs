//! The keys of originals in a real OpenBao: kept by it, rotated by it, and missed when it is gone.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{left_out, packages};
use crate::harness::{Hub, PATIENCE, Running, file, files, folder, text};
use crate::planted::{self, token};

const SECRET: &str = "hunter2-Planted";
const TOKEN: &str = "root-Planted-token";

/// A server in development mode: in memory, unsealed, with one token.
struct Bao {
    running: Running,
    port: u16,
}

impl Bao {
    /// On a free port.
    fn start() -> Bao {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Bao::on(free)
    }

    fn on(port: u16) -> Bao {
        let mut bao = Command::new(packages("python").join("bin/bao"));
        bao.args(["server", "-dev", "-dev-no-store-token"]);
        bao.arg(format!("-dev-root-token-id={TOKEN}"));
        bao.arg(format!("-dev-listen-address=127.0.0.1:{port}"));
        let bao = Bao { running: Running::start(bao), port };
        let begun = std::time::Instant::now();
        while !matches!(bao.try_ask("GET", "sys/health", &Value::Null), Some((200, _))) {
            assert!(begun.elapsed() < PATIENCE, "bao does not start");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_eq!(bao.ask("POST", "sys/mounts/transit", json!({"type": "transit"})).0, 204);
        bao
    }

    fn try_ask(&self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let said = Command::new(super::program("curl"))
            .args(["-s", "-X", method, "-w", "\n%{http_code}", "-d", &body])
            .args(["-H", &format!("x-vault-token: {TOKEN}")])
            .arg(format!("http://127.0.0.1:{}/v1/{path}", self.port))
            .output()
            .unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let (body, status) = said.rsplit_once('\n')?;
        let status = status.parse().ok().filter(|status| *status > 0)?;
        Some((status, serde_json::from_str(body).unwrap_or_default()))
    }

    fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.try_ask(method, path, &body).expect("bao answers")
    }

    /// A hub whose keys it holds.
    fn hub(&self, folder: &Path, data: &Path) -> Site {
        let token = token(data);
        Site { hub: Hub::start(&["--data", text(data), "--config", &self.config(folder)]), token }
    }

    fn config(&self, folder: &Path) -> String {
        let token = file(folder, "token", format!("{TOKEN}\n"));
        let settings =
            format!("[blobs.transit]\nurl = \"http://127.0.0.1:{}\"\ntoken_file = \"{token}\"\n", self.port);
        file(folder, "hub.toml", settings)
    }
}

/// A hub, and a token for it that may do everything.
struct Site {
    hub: Hub,
    token: String,
}

impl Site {
    fn http(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let token = format!("authorization: Bearer {}", self.token);
        self.hub.http(method, path, &[&token], body.as_bytes())
    }

    fn stop(self) {
        self.hub.running.signal("TERM");
        assert_eq!(self.hub.running.wait(), 0);
    }
}

fn document(n: u64) -> String {
    format!("{{\"n\": {n}, \"password\": \"{SECRET}\"}}")
}

fn take(hub: &Site, service: &str, n: u64) -> (u16, Value) {
    hub.http("POST", &format!("/v1/streams/main/snapshots?service={service}&format=json"), &document(n))
}

fn raw(hub: &Site, service: &str) -> (u16, Value) {
    hub.http("GET", &format!("/v1/streams/main/services/{service}/config?raw=1"), "")
}

fn rewrap(hub: &Site) -> (u16, Value) {
    hub.http("POST", "/v1/blobs/rewrap", "")
}

/// The first lines of all originals of a stream.
fn heads(data: &Path, stream: &str) -> Vec<Value> {
    let blobs = files(&data.join("streams").join(stream).join("blobs"));
    let head = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        serde_json::from_slice(bytes.split(|byte| *byte == b'\n').next().unwrap()).unwrap()
    };
    blobs.iter().map(head).collect()
}

#[track_caller]
fn nothing_planted_in(data: &Path) {
    for path in files(data) {
        let bytes = std::fs::read(&path).unwrap();
        for planted in [SECRET, TOKEN] {
            let found = bytes.windows(planted.len()).any(|window| window == planted.as_bytes());
            assert!(!found, "{planted} in {}", path.display());
        }
    }
}

#[test]
fn openbao_holds_a_key_a_stream_and_rotates_it() {
    if left_out() {
        return;
    }
    let (folder, data) = (folder(), crate::harness::folder());
    let bao = Bao::start();
    let hub = bao.hub(folder.path(), data.path());
    // With a token that may what docs/secrecy.md says, and nothing else.
    let page = std::fs::read_to_string(crate::harness::workspace().join("docs/secrecy.md")).unwrap();
    let policy = page.split("```hcl\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(bao.ask("PUT", "sys/policies/acl/rig", json!({ "policy": policy })).0, 204);
    let made = bao.ask("POST", "auth/token/create", json!({"policies": ["rig"], "no_default_policy": true}));
    file(folder.path(), "token", made.1["auth"]["client_token"].as_str().unwrap());
    assert_eq!(take(&hub, "api", 1).0, 201);
    assert_eq!(take(&hub, "web", 2).0, 201);
    assert_eq!(hub.http("PUT", "/v1/streams/ci-1", "").0, 201);
    let other = hub.http("POST", "/v1/streams/ci-1/snapshots?service=api&format=json", &document(1));
    assert_eq!(other.0, 201, "{}", other.1);
    assert_eq!(raw(&hub, "api"), (200, serde_json::from_str(&document(1)).unwrap()));
    let by = |stream: &str| heads(data.path(), stream)[0]["by"].as_str().unwrap().to_owned();
    assert_eq!((by("main"), by("ci-1")), ("transit:rig_main".to_owned(), "transit:rig_ci-1".to_owned()));
    assert!(!data.path().join("keys/blobs").exists());

    assert_eq!(rewrap(&hub), (200, json!({"rewrapped": 0, "unchanged": 3, "damaged": 0})));
    assert_eq!(bao.ask("POST", "transit/keys/rig_main/rotate", json!({})).0, 200);
    assert_eq!(rewrap(&hub), (200, json!({"rewrapped": 2, "unchanged": 1, "damaged": 0})));
    let versions: Vec<_> =
        heads(data.path(), "main").iter().map(|h| h["wrapped"].as_str().unwrap()[..9].to_owned()).collect();
    assert_eq!(versions, ["vault:v2:"; 2]);
    // The old version may go: nothing needs it any more.
    assert_eq!(bao.ask("POST", "transit/keys/rig_main/config", json!({"min_decryption_version": 2})).0, 200);
    assert_eq!(raw(&hub, "api").0, 200);
    nothing_planted_in(data.path());
}

#[test]
fn without_openbao_nothing_is_captured_and_nothing_is_stored_in_plaintext() {
    if left_out() {
        return;
    }
    let (folder, data) = (folder(), crate::harness::folder());
    let bao = Bao::start();
    let hub = bao.hub(folder.path(), data.path());
    assert_eq!(take(&hub, "api", 1).0, 201);
    let port = bao.port;
    bao.running.kill();

    for n in 2..4 {
        let (status, problem) = take(&hub, "api", n);
        assert_eq!((status, &problem["code"]), (503, &json!("encryption-unavailable")), "{problem}");
        assert!(!problem.to_string().contains(SECRET), "{problem}");
    }
    // What is not new needs no key.
    assert_eq!(take(&hub, "api", 1).1["events"][0]["type"], "snapshot.unchanged");
    assert_eq!(raw(&hub, "api").1["code"], "encryption-unavailable");
    assert_eq!(hub.http("GET", "/v1/streams/main/state", "").1["services"]["api"]["captured_seq"], 1);
    assert_eq!(heads(data.path(), "main").len(), 1);
    nothing_planted_in(data.path());

    // Another server at the same address, which has not the old key: what is new can be captured.
    let bao = Bao::on(port);
    assert_eq!(take(&hub, "api", 2).0, 201);
    assert_eq!(raw(&hub, "api"), (200, serde_json::from_str(&document(2)).unwrap()));
    // And what the old one encrypted is said to be locked, not damaged.
    let old = hub.http("GET", "/v1/streams/main/services/api/config?raw=1&at=1", "");
    assert_eq!(old.1["code"], "encryption-unavailable", "{}", old.1);
    // A token that may nothing.
    file(folder.path(), "token", "no-such-token");
    let (status, problem) = take(&hub, "api", 3);
    assert_eq!((status, &problem["code"]), (503, &json!("encryption-unavailable")));
    assert!(problem["detail"].as_str().unwrap().contains("token"), "{problem}");
    file(folder.path(), "token", TOKEN);
    assert_eq!(take(&hub, "api", 3).0, 201);
    drop(bao);
    nothing_planted_in(data.path());
}

#[test]
fn with_openbao_too_the_secret_is_nowhere() {
    if left_out() {
        return;
    }
    let (folder, data) = (folder(), crate::harness::folder());
    let log = folder.path().join("log");
    let bao = Bao::start();
    let (port, config) = (bao.port, bao.config(folder.path()));
    let hub = planted::talkative(data.path(), &config, &log);
    // Mended by another server, which lives until all is looked through.
    let again = std::cell::OnceCell::new();
    planted::the_secret_is_nowhere(
        hub,
        data.path(),
        &log,
        || bao.running.kill(),
        || drop(again.set(Bao::on(port))),
    );
    let told = std::fs::read_to_string(&log).unwrap();
    assert!(!told.contains(TOKEN), "the token is in the log");
}

#[test]
fn originals_move_from_the_key_file_to_openbao() {
    if left_out() {
        return;
    }
    let (folder, data) = (folder(), crate::harness::folder());
    let token = token(data.path());
    let hub = Site { hub: Hub::on(data.path()), token };
    assert_eq!(take(&hub, "api", 1).0, 201);
    hub.stop();
    let bao = Bao::start();
    let hub = bao.hub(folder.path(), data.path());
    // Both are read, and what is new is encrypted with the new one.
    assert_eq!(raw(&hub, "api").0, 200);
    assert_eq!(take(&hub, "web", 2).0, 201);
    assert_eq!(rewrap(&hub), (200, json!({"rewrapped": 1, "unchanged": 1, "damaged": 0})));
    hub.stop();
    std::fs::remove_file(data.path().join("keys/blobs")).unwrap();
    let hub = bao.hub(folder.path(), data.path());
    assert_eq!((raw(&hub, "api").0, raw(&hub, "web").0), (200, 200));
}
