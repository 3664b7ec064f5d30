//! Originals of documents: kept encrypted, given to those who may, deleted when nothing names them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rig_config::Policy;
use rig_hub::settings::BlobSettings;
use serde_json::{Value, json};

use crate::catching_up::Gate;
use crate::{TestHub, answer, types, unsealed};
use rig_testhub::tokens::{admin, issue, token};

const SECRET: &str = "hunter2-Planted";

fn options(data: &Path) -> rig_hub::Options {
    rig_hub::Options { data: Some(data.to_owned()), ..unsealed() }
}

/// A hub and a client that may do everything; the token is kept beside the data for the next start.
async fn start(options: rig_hub::Options) -> TestHub {
    let kept = options.data.as_ref().map(|data| data.with_file_name("token-of-tests"));
    let mut hub = TestHub::with(options).await;
    let known = kept.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
    let token = match known {
        Some(token) => token,
        None => admin(&hub).await,
    };
    if let Some(path) = kept {
        std::fs::write(path, &token).unwrap();
    }
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    hub.client = reqwest::Client::builder().default_headers(headers).build().unwrap();
    hub
}

/// A data folder in a folder of its own.
struct Data {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Data {
    fn new() -> Data {
        let folder = tempfile::tempdir().unwrap();
        Data { path: folder.path().join("data"), _folder: folder }
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// One that sweeps all the time.
fn sweeping(data: &Path, policy: &str) -> rig_hub::Options {
    rig_hub::Options {
        policy: Policy::parse(policy).unwrap(),
        sweep_interval: Duration::from_millis(10),
        unnamed_grace: Duration::ZERO,
        ..options(data)
    }
}

/// The files of all originals.
fn blobs(data: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![data.join("streams")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ancestors().any(|folder| folder.ends_with("blobs")) {
                found.push(path);
            }
        }
    }
    found
}

fn document(n: u64) -> String {
    format!("# number {n}\npassword: {SECRET}\nn: {n}\n")
}

async fn take(hub: &TestHub, service: &str, document: &str) -> Value {
    let (status, answer) = hub.capture(&format!("service={service}&format=yaml"), document.to_owned()).await;
    assert_eq!(status, 201, "{answer}");
    answer
}

/// Status, media type and body of an original.
async fn raw(hub: &TestHub, query: &str) -> (u16, String, String) {
    let answer = hub.client.get(hub.stream(&format!("services/{query}"))).send().await.unwrap();
    let status = answer.status().as_u16();
    let media_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (status, media_type, answer.text().await.unwrap())
}

async fn refused(hub: &TestHub, query: &str) -> (u16, String) {
    let (status, _, body) = raw(hub, query).await;
    let problem: Value = serde_json::from_str(&body).unwrap();
    (status, problem["code"].as_str().unwrap().to_owned())
}

async fn metric(hub: &TestHub, name: &str) -> u64 {
    let text = hub.metrics().await;
    let row = format!("{name}{{stream=\"main\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&row)).unwrap().parse().unwrap()
}

/// Waits for what a sweep does.
async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    for _ in 0..3_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_is_given_to_the_byte_and_only_after_it_is_told() {
    let folder = Data::new();
    let hub = start(options(folder.path())).await;
    let first = take(&hub, "api", &document(1)).await;
    let captured = &first["events"][0];
    assert!(captured["blob"].as_str().unwrap().starts_with("hmac:"), "{first}");
    take(&hub, "api", &document(2)).await;
    let json = format!("{{\"secret\": \"{SECRET}\", \"n\": 1e3 }}\r\n");
    hub.capture("service=web&format=json", json.clone()).await;

    let yaml = "application/yaml".to_owned();
    assert_eq!(raw(&hub, "api/config?raw=1").await, (200, yaml.clone(), document(2)));
    assert_eq!(raw(&hub, "api/config?raw=1&at=1").await, (200, yaml, document(1)));
    assert_eq!(raw(&hub, "web/config?raw=1").await, (200, "application/json".to_owned(), json));
    assert!(!hub.get("services/api/config").await.1.to_string().contains(SECRET));

    let told = hub.own_lines().await;
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let reads: Vec<_> = told.iter().filter(|e| e["type"] == "audit.raw-read").collect();
    assert_eq!(reads.len(), 3, "{told:?}");
    assert_eq!((&reads[1]["actor"], &reads[1]["peer"]), (&json!("root"), &json!("127.0.0.1")));
    assert!(reads[1]["request_id"].is_string() && reads[1]["token"].is_string(), "{}", reads[1]);
    assert_eq!((&reads[1]["service"], &reads[1]["stream"]), (&json!("api"), &json!("main")));
    assert_eq!(
        (&reads[1]["at"], &reads[1]["captured"], &reads[1]["blob"]),
        (&json!(1), &json!(1), &captured["blob"])
    );

    let kept = blobs(folder.path());
    assert_eq!(kept.len(), 3);
    hub.stop().await;
    for file in kept {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "{}", file.display());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn originals_are_for_tokens_with_the_scope_secrets() {
    let folder = Data::new();
    let hub = TestHub::on(folder.path()).await;
    take(&hub, "api", &document(1)).await;
    let config = hub.stream("services/api/config?raw=1");
    let (status, problem) = answer(hub.client.get(&config)).await;
    assert_eq!((status, &problem["code"]), (403, &json!("no-scope")), "a hub that stands open");
    let root = admin(&hub).await;
    let all_but = token("ops", &["admin"], &["*"]);
    let (all_but, _) = issue(&hub, Some(&root), all_but).await;
    let other = token("other", &["read", "secrets"], &["ci-*"]);
    let (other, _) = issue(&hub, Some(&root), other).await;
    for (token, code) in [(all_but, "no-scope"), (other, "other-stream")] {
        let (status, problem) = answer(hub.client.get(&config).bearer_auth(token)).await;
        assert_eq!((status, problem["code"].as_str()), (403, Some(code)));
        assert!(!problem.to_string().contains(SECRET));
    }
    assert_eq!(hub.client.get(&config).bearer_auth(root).send().await.unwrap().status(), 200);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unchanged_is_not_stored_again() {
    let folder = Data::new();
    let hub = start(options(folder.path())).await;
    take(&hub, "api", &document(1)).await;
    for _ in 0..3 {
        assert_eq!(types(&take(&hub, "api", &document(1)).await), ["snapshot.unchanged"]);
    }
    // Other bytes, and yet the same document.
    let crlf = document(1).replace('\n', "\r\n");
    assert_eq!(types(&take(&hub, "api", &crlf).await), ["snapshot.unchanged"]);
    assert_eq!(blobs(folder.path()).len(), 1);
    // The same document of another service is the same original.
    take(&hub, "web", &document(1)).await;
    assert_eq!(blobs(folder.path()).len(), 1);
    // What was captured before is found again.
    take(&hub, "api", &document(2)).await;
    assert_eq!(types(&take(&hub, "api", &document(1)).await)[0], "snapshot.captured");
    assert_eq!(blobs(folder.path()).len(), 2);
    // What is refused leaves nothing.
    let (status, _) = hub.capture("service=api&format=yaml", format!("a: [{SECRET}")).await;
    assert_eq!((status, blobs(folder.path()).len()), (422, 2));
    assert_eq!(
        (metric(&hub, "rig_blobs").await, metric(&hub, "rig_encryption_failures_total").await),
        (2, 0)
    );
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_not_captured() {
    let folder = Data::new();
    let hub = start(options(folder.path())).await;
    let in_the_way = folder.path().join("streams/main/blobs");
    std::fs::write(&in_the_way, "").unwrap();
    let (status, answer) = hub.capture("service=api&format=yaml", document(1)).await;
    assert_eq!((status, &answer["code"]), (503, &json!("storage")));
    assert!(!answer.to_string().contains(SECRET));
    assert_eq!(answer_head(&hub).await, 0);
    assert_eq!(metric(&hub, "rig_encryption_failures_total").await, 1);
    std::fs::remove_file(&in_the_way).unwrap();
    take(&hub, "api", &document(1)).await;
    assert_eq!(raw(&hub, "api/config?raw=1").await.2, document(1));
    hub.stop().await;
}

async fn answer_head(hub: &TestHub) -> u64 {
    answer(hub.client.get(format!("{}/v1/streams/main", hub.url))).await.1["head"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_may_keep_no_originals() {
    let folder = Data::new();
    let blobs_off: BlobSettings = toml::from_str("keep = false").unwrap();
    let off = || rig_hub::Options { blobs: blobs_off.clone(), ..options(folder.path()) };
    let hub = start(off()).await;
    assert_eq!(take(&hub, "api", &document(1)).await["events"][0]["blob"], Value::Null);
    assert_eq!(refused(&hub, "api/config?raw=1").await, (404, "no-original".to_owned()));
    hub.stop().await;
    assert!(!folder.path().join("keys/blobs").exists() && blobs(folder.path()).is_empty());
    // Turned on later, it keeps what is new; turned off again, what was kept can still be read.
    let hub = start(options(folder.path())).await;
    take(&hub, "api", &document(1)).await;
    assert_eq!(refused(&hub, "api/config?raw=1").await, (404, "no-original".to_owned()));
    take(&hub, "api", &document(2)).await;
    hub.stop().await;
    let hub = start(off()).await;
    assert_eq!(raw(&hub, "api/config?raw=1").await.2, document(2));
    take(&hub, "api", &document(3)).await;
    assert_eq!(blobs(folder.path()).len(), 1);
    hub.stop().await;
    let memory = rig_hub::Options { data: None, ..options(folder.path()) };
    let hub = start(memory).await;
    take(&hub, "api", &document(1)).await;
    assert_eq!(refused(&hub, "api/config?raw=1").await, (404, "no-original".to_owned()));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_lost_is_not_replaced() {
    let folder = Data::new();
    let hub = start(options(folder.path())).await;
    take(&hub, "api", &document(1)).await;
    hub.stop().await;
    let key = folder.path().join("keys/blobs");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let cannot_start = async || {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = crate::serve(listener, std::future::pending(), options(folder.path())).await;
        error.unwrap_err().to_string()
    };
    let text = std::fs::read_to_string(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let error = cannot_start().await;
    assert!(error.contains("keys/blobs is gone") && error.contains("backup"), "{error}");
    assert!(!key.exists());
    std::fs::write(&key, "b1:00ff\n").unwrap();
    let error = cannot_start().await;
    assert!(error.contains("line 1") && !error.contains("00ff"), "{error}");
    std::fs::write(&key, text).unwrap();
    let hub = start(options(folder.path())).await;
    assert_eq!(raw(&hub, "api/config?raw=1").await.2, document(1));
    hub.stop().await;
    // A folder of before there were originals gets a key.
    std::fs::remove_dir_all(folder.path().join("streams/main/blobs")).unwrap();
    std::fs::remove_file(&key).unwrap();
    let hub = start(options(folder.path())).await;
    assert_eq!(refused(&hub, "api/config?raw=1").await, (410, "pruned".to_owned()));
    take(&hub, "api", &document(2)).await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_while_the_hub_runs() {
    let folder = Data::new();
    let hub = start(options(folder.path())).await;
    for n in 1..=3 {
        take(&hub, "api", &document(n)).await;
    }
    let key = folder.path().join("keys/blobs");
    let old = std::fs::read_to_string(&key).unwrap();
    let new = format!("b2:{}\n", "0b".repeat(32));
    std::fs::write(&key, format!("{old}{new}")).unwrap();
    let rewrap = async |hub: &TestHub| answer(hub.client.post(format!("{}/v1/blobs/rewrap", hub.url))).await;
    let sum = |rewrapped, unchanged| json!({"rewrapped": rewrapped, "unchanged": unchanged, "damaged": 0});
    assert_eq!(rewrap(&hub).await, (200, sum(3, 0)));
    take(&hub, "api", &document(4)).await;
    assert_eq!(rewrap(&hub).await, (200, sum(0, 4)));
    // The old key is not needed any more.
    std::fs::write(&key, &new).unwrap();
    hub.stop().await;
    let hub = start(options(folder.path())).await;
    for n in 1..=4 {
        let at = if n == 1 { 1 } else { 2 * (n - 1) + 1 };
        assert_eq!(raw(&hub, &format!("api/config?raw=1&at={at}")).await.2, document(n));
    }
    // A key that is not there is said, and a damaged blob is neither.
    std::fs::write(&key, &old).unwrap();
    assert_eq!(rewrap(&hub).await.1["code"], "encryption-unavailable");
    assert_eq!(refused(&hub, "api/config?raw=1").await, (503, "encryption-unavailable".to_owned()));
    std::fs::write(&key, &new).unwrap();
    for file in blobs(folder.path()) {
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, bytes).unwrap();
    }
    assert_eq!(rewrap(&hub).await, (200, sum(0, 4)));
    assert_eq!(refused(&hub, "api/config?raw=1").await, (500, "damaged-blob".to_owned()));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_keeps_the_originals_of_the_newest_snapshots() {
    let folder = Data::new();
    let hub = start(options(folder.path())).await;
    for n in 1..=5 {
        take(&hub, "api", &document(n)).await;
    }
    take(&hub, "web", &document(1)).await;
    take(&hub, "worker", &document(9)).await;
    hub.stop().await;
    let hub = start(sweeping(folder.path(), "[retention]\nkeep = 2\n")).await;
    until("two originals are deleted", async || blobs(folder.path()).len() == 4).await;
    // 1 is that of `web` too.
    assert_eq!(raw(&hub, "web/config?raw=1").await.2, document(1));
    assert_eq!(raw(&hub, "api/config?raw=1&at=1").await.2, document(1));
    assert_eq!(refused(&hub, "api/config?raw=1&at=3").await, (410, "pruned".to_owned()));
    assert_eq!(refused(&hub, "api/config?raw=1&at=5").await, (410, "pruned".to_owned()));
    assert_eq!(raw(&hub, "api/config?raw=1&at=7").await.2, document(4));
    assert_eq!(raw(&hub, "api/config?raw=1").await.2, document(5));
    until("it is counted", async || metric(&hub, "rig_blobs_deleted_total").await == 2).await;
    assert_eq!(metric(&hub, "rig_blobs").await, 4);
    let told: Vec<Value> = hub
        .lines("from=1&types=blob.*")
        .await
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((told.len(), &told[0]["expired"], &told[0]["unnamed"]), (1, &json!(2), &json!(0)));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_current_is_kept_however_old_it_is() {
    let folder = Data::new();
    let hub = start(options(folder.path())).await;
    for n in 1..=3 {
        take(&hub, "api", &document(n)).await;
    }
    hub.stop().await;
    // Its event, too, may be gone from the log.
    let options = || rig_hub::Options {
        segment_bytes: 4 << 10,
        retention_interval: Duration::from_millis(10),
        ..sweeping(folder.path(), "[retention]\nmax_age = \"0s\"\nmax_events = 10\n")
    };
    let hub = start(options()).await;
    until("its event is pruned", async || {
        hub.append("", r#"{"type":"shop.sold"}"#).await;
        answer(hub.client.get(format!("{}/v1/streams/main", hub.url))).await.1["first_seq"].as_u64()
            > Some(10)
    })
    .await;
    until("one original is left", async || blobs(folder.path()).len() == 1).await;
    assert_eq!(raw(&hub, "api/config?raw=1").await.2, document(3));
    hub.stop().await;
    // Also without the index.
    std::fs::remove_dir_all(folder.path().join("index")).unwrap();
    let hub = start(options()).await;
    take(&hub, "web", &document(1)).await;
    take(&hub, "web", &document(2)).await;
    until("the older one is deleted", async || blobs(folder.path()).len() == 2).await;
    assert_eq!(raw(&hub, "api/config?raw=1").await.2, document(3));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_that_nothing_names_is_deleted_once_it_is_old_enough() {
    let folder = Data::new();
    let hub = start(options(folder.path())).await;
    take(&hub, "api", &document(1)).await;
    hub.stop().await;
    // As if the hub had been killed before the append.
    let kept = blobs(folder.path()).remove(0);
    let unnamed = kept.with_file_name(format!("{}.k1", "00".repeat(32)));
    let shard = folder.path().join("streams/main/blobs/00");
    std::fs::create_dir_all(&shard).unwrap();
    let unnamed = shard.join(unnamed.file_name().unwrap());
    std::fs::copy(&kept, &unnamed).unwrap();
    let patient =
        rig_hub::Options { unnamed_grace: Duration::from_secs(3600), ..sweeping(folder.path(), "") };
    let hub = start(patient).await;
    until("both are counted", async || metric(&hub, "rig_blobs").await == 2).await;
    assert!(unnamed.exists());
    hub.stop().await;
    let hub = start(sweeping(folder.path(), "")).await;
    until("it is deleted", async || !unnamed.exists()).await;
    assert_eq!(raw(&hub, "api/config?raw=1").await.2, document(1));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_capture_is_about_to_name_is_never_deleted() {
    let folder = Data::new();
    let eager = rig_hub::Options {
        sweep_interval: Duration::from_micros(200),
        ..sweeping(folder.path(), "[retention]\nkeep = 1\n")
    };
    let hub = std::sync::Arc::new(start(eager).await);
    let mut services = Vec::new();
    for service in 0..4_u64 {
        let hub = hub.clone();
        services.push(tokio::spawn(async move {
            let name = format!("s{service}");
            // Three documents in turn, which other services have too: what one has just let go of another takes up.
            for n in 0..40 {
                take(&hub, &name, &document((n + service) % 3)).await;
                let (status, _, body) = raw(&hub, &format!("{name}/config?raw=1")).await;
                assert_eq!((status, body), (200, document((n + service) % 3)), "{name}, {n}");
            }
        }));
    }
    for service in services {
        service.await.unwrap();
    }
    assert!(metric(&hub, "rig_blobs_deleted_total").await > 0);
    std::sync::Arc::into_inner(hub).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_stream_takes_its_originals_with_it() {
    let folder = Data::new();
    let hub = start(options(folder.path())).await;
    let ci = format!("{}/v1/streams/ci", hub.url);
    let made = async || {
        assert_eq!(answer(hub.client.put(&ci)).await.0, 201);
        let capture = hub.client.post(format!("{ci}/snapshots?service=api&format=yaml")).body(document(1));
        assert_eq!(answer(capture).await.0, 201);
    };
    made().await;
    take(&hub, "api", &document(1)).await;
    assert_eq!(blobs(folder.path()).len(), 2, "one of each stream");
    assert_eq!(hub.client.delete(&ci).send().await.unwrap().status(), 204);
    assert_eq!(blobs(folder.path()).len(), 1);
    assert_eq!(raw(&hub, "api/config?raw=1").await.2, document(1));
    made().await;
    assert_eq!(blobs(folder.path()).len(), 2);
    hub.stop().await;
}

/// A server that gives everybody the same answer, and tells what it was asked.
async fn that_answers(answer: String) -> (std::net::SocketAddr, std::sync::Arc<std::sync::Mutex<Vec<u8>>>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = asked.clone();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let (answer, kept) = (answer.clone(), kept.clone());
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                while let Ok(read @ 1..) = socket.read(&mut bytes).await {
                    kept.lock().unwrap().extend_from_slice(&bytes[..read]);
                    if socket.write_all(answer.as_bytes()).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    (address, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transit_that_makes_no_sense_stops_captures_and_nothing_else() {
    let with = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let elsewhere = that_answers(with("200 OK", "{}")).await;
    let redirect =
        format!("HTTP/1.1 307 Go\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", elsewhere.0);
    let endless = format!("HTTP/1.1 200 OK\r\ncontent-length: 900000000\r\n\r\n{}", "x".repeat(1 << 20));
    for (what, answer) in [
        ("nothing in time", String::new()),
        ("no JSON", with("200 OK", "<html>")),
        ("another's JSON", with("200 OK", "{\"data\":{}}")),
        ("sealed", with("503 Sealed", "{\"errors\":[\"Vault is sealed\"]}")),
        (
            "a key too long",
            with("200 OK", &format!("{{\"data\":{{\"ciphertext\":\"{}\"}}}}", "v".repeat(20_000))),
        ),
        ("an answer without an end", endless),
        ("somewhere else", redirect),
    ] {
        let folder = Data::new();
        let (address, asked) = that_answers(answer).await;
        std::fs::write(folder.path().with_file_name("token"), "hunter2-token").unwrap();
        let settings = format!(
            "[transit]\nurl = \"http://{address}\"\ntoken_file = \"{}\"\n",
            folder.path().with_file_name("token").display()
        );
        let blobs_by: BlobSettings = toml::from_str(&settings).unwrap();
        let hub = start(rig_hub::Options { blobs: blobs_by, ..options(folder.path()) }).await;
        let (status, problem) = hub.capture("service=api&format=yaml", document(1)).await;
        assert_eq!((status, &problem["code"]), (503, &json!("encryption-unavailable")), "{what}: {problem}");
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
        assert_eq!((answer_head(&hub).await, blobs(folder.path()).len()), (0, 0), "{what}");
        assert_eq!(metric(&hub, "rig_encryption_failures_total").await, 1);
        hub.stop().await;
        let asked = asked.lock().unwrap().clone();
        let asked = String::from_utf8_lossy(&asked);
        assert!(asked.contains("POST /v1/transit/encrypt/rig_main "), "{what}: {asked}");
        assert!(asked.contains("x-vault-token: hunter2-token") && !asked.contains(SECRET), "{what}: {asked}");
    }
    assert!(elsewhere.1.lock().unwrap().is_empty(), "the token went elsewhere");
}

/// Only the index knows which older originals the log names: nothing is deleted before it knows all of them.
#[tokio::test(flavor = "multi_thread")]
async fn originals_stay_while_the_index_catches_up() {
    let folder = Data::new();
    let hub = start(options(folder.path())).await;
    for n in 1..=3 {
        take(&hub, "api", &document(n)).await;
    }
    let (_, tail) = hub.get("state").await;
    hub.stop().await;
    std::fs::remove_dir_all(folder.path().join("index")).unwrap();

    let held = rig_hub::Options { step: Gate::hold::<1>, ..sweeping(folder.path(), "") };
    let hub = start(held).await;
    assert_eq!(hub.get("state").await.1["hash"], tail["hash"]);
    let yaml = "application/yaml".to_owned();
    let all_there = async || {
        assert_eq!(raw(&hub, "api/config?raw=1&at=1").await, (200, yaml.clone(), document(1)));
        assert_eq!(raw(&hub, "api/config?raw=1").await, (200, yaml.clone(), document(3)));
        assert_eq!(blobs(folder.path()).len(), 3);
    };
    all_there().await;
    Gate::open::<1>();
    // A sweep counts what it looked through.
    until("a sweep", async || metric(&hub, "rig_blobs").await == 3).await;
    all_there().await;
    hub.stop().await;
}
