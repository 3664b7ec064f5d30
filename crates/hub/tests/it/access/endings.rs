//! The end of a token, or the first one: what was let in before is not let through after.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use rig_event::Timestamp;
use rig_testhub::tokens::{admin, issue, token, with};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::{TestHub, answer, unsealed};

/// Sends the head of a request with a body, and waits until the hub asks for the body.
async fn begun(hub: &TestHub, line: &str, token: Option<&str>, body: &str) -> TcpStream {
    let mut connection = TcpStream::connect(hub.url.strip_prefix("http://").unwrap()).await.unwrap();
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\n{authorization}Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut asked = [0; 25];
    connection.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n", "{line}");
    connection
}

/// Sends the body, and returns the status.
async fn finished(mut connection: TcpStream, body: &str) -> String {
    connection.write_all(body.as_bytes()).await.unwrap();
    let mut answered = [0; 12];
    connection.read_exact(&mut answered).await.unwrap();
    String::from_utf8(answered.to_vec()).unwrap()[9..].to_owned()
}

const WRITES: [(&str, &str); 6] = [
    ("POST /v1/tokens", r#"{"scopes":["admin"],"streams":["*"]}"#),
    ("POST /v1/streams/main/events", r#"{"type":"a.b"}"#),
    ("POST /v1/streams/main/events?expected_seq=0", r#"{"type":"a.b"}"#),
    ("POST /v1/streams/main/snapshots?service=api&format=json", r#"{"a":1}"#),
    ("PUT /v1/streams/main/services/api/declared?format=json", r#"{"a":1}"#),
    ("POST /v1/streams/main/services/api/drift/accept", r#"{"paths":["a"],"reason":"x"}"#),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_began_before_its_token_was_revoked_changes_nothing_after() {
    let hub = TestHub::in_memory().await;
    let root = admin(&hub).await;
    let (bad, id) = issue(&hub, Some(&root), token("bad", &["admin"], &["*"])).await;
    let mut begins = Vec::new();
    for (line, body) in WRITES {
        begins.push((line, body, begun(&hub, line, Some(&bad), body).await));
    }
    let revoke = hub.client.delete(format!("{}/v1/tokens/{id}", hub.url)).bearer_auth(&root);
    assert_eq!(answer(revoke).await.0, 204);
    for (line, body, connection) in begins {
        assert_eq!(finished(connection, body).await, "401", "{line}");
    }
    let (_, tokens) = answer(hub.client.get(format!("{}/v1/tokens", hub.url)).bearer_auth(&root)).await;
    assert_eq!(tokens["tokens"].as_array().unwrap().len(), 2, "{tokens}");
    let (_, about) = answer(hub.client.get(format!("{}/v1/streams/main", hub.url)).bearer_auth(&root)).await;
    assert_eq!(about["head"], 0);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_began_before_the_first_token_changes_nothing_after() {
    let hub = TestHub::in_memory().await;
    let mut begins = Vec::new();
    for (line, body) in WRITES {
        begins.push((line, body, begun(&hub, line, None, body).await));
    }
    let root = admin(&hub).await;
    for (line, body, connection) in begins {
        assert_eq!(finished(connection, body).await, "401", "{line}");
    }
    let (_, tokens) = answer(hub.client.get(format!("{}/v1/tokens", hub.url)).bearer_auth(&root)).await;
    assert_eq!(tokens["tokens"].as_array().unwrap().len(), 1, "{tokens}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_everybody_may_read_is_read_to_its_end_also_without_a_token() {
    let hub = TestHub::in_memory().await;
    admin(&hub).await;
    let described = hub.client.get(format!("{}/openapi.json", hub.url)).send().await.unwrap();
    let described: serde_json::Value = serde_json::from_str(&described.text().await.unwrap()).unwrap();
    assert!(described["paths"].is_object());
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_first_tokens_one_is_made() {
    let hub = TestHub::in_memory().await;
    let new = token("root", &["admin"], &["*"]).to_string();
    let ask = || answer(hub.client.post(format!("{}/v1/tokens", hub.url)).body(new.clone()));
    let (a, b, c) = tokio::join!(ask(), ask(), ask());
    let mut statuses = [a.0, b.0, c.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 401, 401]);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_to_a_client_that_does_not_read_ends_with_its_token() {
    let hub = TestHub::in_memory().await;
    let event = format!(r#"{{"type":"a.b","text":"{}"}}"#, "x".repeat(900_000));
    for _ in 0..6 {
        assert_eq!(hub.append("", &event).await.0, 201);
    }
    let root = admin(&hub).await;
    for (path, accept) in [
        ("events?from=1", "application/x-ndjson"),
        ("session", "application/jsonl"),
        ("events?from=1", "text/event-stream"),
    ] {
        let (reader, id) = issue(&hub, Some(&root), token("eyes", &["read"], &["*"])).await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 << 10).unwrap();
        let address = hub.url.strip_prefix("http://").unwrap().parse().unwrap();
        let mut connection = socket.connect(address).await.unwrap();
        let head = format!(
            "GET /v1/streams/main/{path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nAuthorization: Bearer {reader}\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut began = [0; 12];
        connection.read_exact(&mut began).await.unwrap();
        assert_eq!(&began, b"HTTP/1.1 200");
        let revoke = hub.client.delete(format!("{}/v1/tokens/{id}", hub.url)).bearer_auth(&root);
        assert_eq!(answer(revoke).await.0, 204);
        // Nobody reads. The hub ends it nevertheless: it takes nothing any more.
        let begun = std::time::Instant::now();
        let is_open = || match connection.try_write(b"G") {
            Ok(_) => true,
            Err(e) => e.kind() == std::io::ErrorKind::WouldBlock,
        };
        while is_open() {
            assert!(begun.elapsed() < Duration::from_secs(20), "{path}: it is held");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_has_ended_stays_ended_when_the_clock_is_set_back() {
    static NOW: AtomicI64 = AtomicI64::new(1_800_000_000_000_000);
    let clock = || Timestamp::from_micros(NOW.load(Relaxed));
    let folder = tempfile::tempdir().unwrap();
    let options = || rig_hub::Options { clock, data: Some(folder.path().to_owned()), ..unsealed() };
    let hub = TestHub::with(options()).await;
    let root = admin(&hub).await;
    let expires = json!(Timestamp::from_micros(NOW.load(Relaxed) + 60_000_000));
    let short = |name| json!({"name": name, "scopes": ["read"], "streams": ["*"], "expires": expires});
    let (seen, _) = issue(&hub, Some(&root), short("seen")).await;
    let status = async |hub: &TestHub, token: &str| {
        answer(with(hub.client.get(hub.stream("state")), Some(token))).await.0
    };
    assert_eq!(status(&hub, &seen).await, 200);
    NOW.fetch_add(120_000_000, Relaxed);
    assert_eq!(status(&hub, &seen).await, 401);
    NOW.fetch_sub(100_000_000, Relaxed);
    assert_eq!(status(&hub, &seen).await, 401, "while it runs");
    hub.stop().await;
    let hub = TestHub::with(options()).await;
    assert_eq!(status(&hub, &seen).await, 401, "after a restart");
    assert_eq!(status(&hub, &root).await, 200);
    hub.stop().await;
}
