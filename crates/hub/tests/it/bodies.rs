//! Packed bodies, idempotency keys, batches of documents, and how many requests there may be.

use std::io::Write as _;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{TestHub, answer, types};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

async fn post(hub: &TestHub, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, Value) {
    let mut request = hub.client.post(hub.stream(path)).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_bodies_say_what_plain_ones_say() {
    let hub = TestHub::in_memory().await;
    let event = br#"{"type":"build.done","n":13}"#;
    let document = b"db:\n  port: 5432\n";
    for (coding, pack) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("zstd", zstd), ("X-GZIP", gzip)] {
        let (status, appended) = post(&hub, "events", &[("content-encoding", coding)], pack(event)).await;
        assert_eq!((status, &appended["events"][0]["n"]), (201, &json!(13)), "{coding}: {appended}");
        // By the router as well as past it.
        let (status, _) = post(&hub, "events?", &[("content-encoding", coding)], pack(event)).await;
        assert_eq!(status, 201);
        let service = coding.to_lowercase();
        let (status, captured) = post(
            &hub,
            &format!("snapshots?service={service}&format=yaml"),
            &[("content-encoding", coding)],
            pack(document),
        )
        .await;
        assert_eq!((status, &captured["events"][0]["config"]["db.port"]), (201, &json!(5432)), "{captured}");
        assert_eq!(captured["events"][0]["bytes"], document.len());
        let declared = hub
            .client
            .put(hub.stream(&format!("services/{service}/declared?format=json")))
            .header("content-encoding", coding)
            .body(pack(br#"{"db":{"port":1}}"#));
        let (status, declared) = answer(declared).await;
        assert_eq!(status, 200, "{declared}");
    }
    let (status, _) = post(&hub, "events", &[("content-encoding", "identity")], event.to_vec()).await;
    assert_eq!(status, 201);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_is_refused_by_what_it_would_become() {
    let limits = rig_config::Limits { bytes: 1 << 20, ..Default::default() };
    let hub = TestHub::with(rig_hub::Options { limits, ..crate::unsealed() }).await;
    let large = vec![b' '; 40 << 20];
    for (coding, pack) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("zstd", zstd)] {
        let bomb = pack(&large);
        assert!(bomb.len() < 1 << 20);
        let headers = [("content-encoding", coding)];
        let (status, refused) = post(&hub, "snapshots?service=a&format=json", &headers, bomb.clone()).await;
        assert_eq!((status, &refused["code"]), (413, &json!("too-large")), "{refused}");
        let (status, refused) = post(&hub, "events", &headers, bomb.clone()).await;
        assert_eq!((status, &refused["code"]), (413, &json!("batch-too-large")), "{refused}");
        // One that is as large as may be is not.
        let mut fits = br#"{"n":1}"#.to_vec();
        fits.resize(1 << 20, b' ');
        let (status, _) = post(&hub, "snapshots?service=a&format=json", &headers, pack(&fits)).await;
        assert_eq!(status, 201);
        fits.push(b' ');
        let (status, _) = post(&hub, "snapshots?service=a&format=json", &headers, pack(&fits)).await;
        assert_eq!(status, 413);
    }
    // A frame that wants 128 MiB to be unpacked in.
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(br#"{"type":"a.b"}"#).unwrap();
    let (status, refused) =
        post(&hub, "events", &[("content-encoding", "zstd")], encoder.finish().unwrap()).await;
    assert_eq!((status, &refused["code"]), (400, &json!("bad-encoding")), "{refused}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_unpacked_is_told() {
    let hub = TestHub::in_memory().await;
    let event = br#"{"type":"build.done"}"#;
    for (coding, pack) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("zstd", zstd)] {
        let whole = pack(event);
        for broken in [event.to_vec(), whole[..whole.len() - 1].to_vec(), [&whole[..], b"rest"].concat()] {
            let (status, refused) = post(&hub, "events", &[("content-encoding", coding)], broken).await;
            assert_eq!((status, &refused["code"]), (400, &json!("bad-encoding")), "{coding}: {refused}");
        }
    }
    for coding in ["br", "gzip, zstd", "deflate"] {
        for path in ["events", "snapshots?service=a&format=json"] {
            let request = hub.client.post(hub.stream(path)).header("content-encoding", coding).body("{}");
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 415, "{coding}");
            assert_eq!(response.headers()["accept-encoding"], "gzip, zstd");
        }
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_in_the_header_is_an_id() {
    let hub = TestHub::in_memory().await;
    let key = |k: &'static str| [("idempotency-key", k)];
    let batch = br#"[{"type":"a.b"},{"type":"a.c"}]"#.to_vec();
    let (status, first) = post(&hub, "events", &key("\"k1\""), batch.clone()).await;
    assert_eq!((status, &first["events"][1]["id"]), (201, &json!("k1")), "{first}");
    let (status, again) = post(&hub, "events", &key("k1"), batch.clone()).await;
    assert_eq!((status, &again["events"]), (200, &first["events"]));
    let (status, other) = post(&hub, "events", &key("k1"), br#"{"type":"a.c"}"#.to_vec()).await;
    assert_eq!((status, &other["code"]), (409, &json!("id-reused")), "{other}");
    let (status, both) = post(&hub, "events", &key("k2"), br#"{"type":"a.c","id":"x"}"#.to_vec()).await;
    assert_eq!((status, &both["code"]), (400, &json!("bad-idempotency-key")), "{both}");
    let (status, _) = post(&hub, "events", &key("k3"), br#"{"type":"a.c","id":"k3"}"#.to_vec()).await;
    assert_eq!(status, 201);

    let capture = "snapshots?service=a&format=json";
    let (status, first) = post(&hub, capture, &key("c1"), br#"{"a":1}"#.to_vec()).await;
    assert_eq!((status, &first["events"][0]["id"]), (201, &json!("c1")), "{first}");
    let (status, again) = post(&hub, &format!("{capture}&id=c1"), &[], br#"{"a":1}"#.to_vec()).await;
    assert_eq!((status, &again["first_seq"]), (200, &first["first_seq"]));
    let (status, _) = post(&hub, &format!("{capture}&id=c1"), &key("c1"), br#"{"a":1}"#.to_vec()).await;
    assert_eq!(status, 200);
    let (status, both) = post(&hub, &format!("{capture}&id=c2"), &key("c1"), br#"{"a":1}"#.to_vec()).await;
    assert_eq!((status, &both["code"]), (400, &json!("bad-idempotency-key")), "{both}");
    for bad in ["", "\"\"", "\"a\\\"b\"", "a\"b"] {
        let request = hub.client.post(hub.stream("events")).header("idempotency-key", bad);
        let (status, refused) = answer(request.body(r#"{"type":"a.b"}"#)).await;
        assert_eq!((status, &refused["code"]), (400, &json!("bad-idempotency-key")), "{bad}: {refused}");
    }
    // It stands in the log, so what looks like a secret in it does not.
    let token = format!("Bearer {}", "hunter2".repeat(3));
    let request = hub.client.post(hub.stream("events")).header("idempotency-key", &token);
    let (_, appended) = answer(request.body(r#"{"type":"a.b"}"#)).await;
    assert!(!appended.to_string().contains("hunter2"), "{appended}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_documents_come_with_one_request() {
    let hub = TestHub::in_memory().await;
    let ndjson = [("content-type", "application/x-ndjson"), ("idempotency-key", "b1")];
    let lines = concat!(
        r#"{"service":"a","document":{"n":1e3,"password":"hunter2"},"meta":{"git_sha":"4f"},"actor":"ci"}"#,
        "\n",
        r#"{"service":"b","format":"yaml","document":"n: 2\n"}"#,
        "\n\n",
        r#"{"service":"c","format":"json","document":"{"}"#,
        "\n",
        r#"{"service":"d","name":"d.toml","document":"n = 3\n"}"#,
    );
    let send = || post(&hub, "snapshots", &ndjson, gzip(lines.as_bytes()));
    let (status, refused) = send().await;
    assert_eq!(status, 400, "said to be plain: {refused}");
    let packed = [ndjson[0], ndjson[1], ("content-encoding", "gzip")];
    let send = || post(&hub, "snapshots", &packed, gzip(lines.as_bytes()));
    let (status, answer) = send().await;
    assert_eq!(status, 200, "{answer}");
    let outcomes: Vec<_> = answer["captures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["service"].as_str().unwrap(), c["status"].as_u64().unwrap()))
        .collect();
    assert_eq!(outcomes, [("a", 201), ("b", 201), ("c", 422), ("d", 201)], "{answer}");
    assert_eq!(answer["captures"][2]["code"], "malformed-document");
    let log = hub.lines("from=1").await;
    assert_eq!(log.len(), 4);
    assert!(log[0].contains(r#""n":1e3"#) && log[0].contains(r#""actor":"ci""#), "{}", log[0]);
    assert!(log.iter().all(|line| !line.contains("hunter2")));

    let (_, again) = send().await;
    assert_eq!(again["captures"][0]["status"], 200);
    assert_eq!(again["captures"][0]["first_seq"], answer["captures"][0]["first_seq"]);

    let before = hub.lines("from=1").await.len();
    for bad in [
        "{\"service\":\"a\",\"document\":{}}\nno json",
        "{\"service\":\"a\",\"document\":{}}\n{\"service\":\"\",\"document\":{}}",
        "{\"service\":\"a\",\"document\":{}}\n{\"service\":\"a\"}",
        "{\"service\":\"a\",\"document\":{},\"id\":\"x\"}",
        "",
    ] {
        let (status, refused) = post(&hub, "snapshots", &ndjson, bad.into()).await;
        assert_eq!(status, 400, "{bad}: {refused}");
    }
    assert_eq!(hub.lines("from=1").await.len(), before);
    hub.stop().await;
}

/// Begins to send an event over a connection of its own, and holds the rest of it back.
async fn half_an_append(hub: &TestHub) -> TcpStream {
    let address = hub.url.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    let head = "POST /v1/streams/main/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 14\r\nExpect: 100-continue\r\n\r\n";
    connection.write_all(head.as_bytes()).await.unwrap();
    // The hub asks for the body when the request is in work.
    let mut asked = [0; 25];
    connection.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_its_turn() {
    let http = toml::from_str("max_requests = 1\nmax_waiting = 1\n").unwrap();
    let hub = TestHub::with(rig_hub::Options { http, ..crate::unsealed() }).await;
    let mut slow = half_an_append(&hub).await;
    let waiting = tokio::spawn(answer(hub.client.get(hub.stream("state"))));
    slow.write_all(br#"{"type":"a.b"}"#).await.unwrap();
    assert_eq!(waiting.await.unwrap().0, 200);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_than_may_be_in_work_are_sent_away() {
    let http = toml::from_str("max_requests = 1\nmax_waiting = 0\nmax_subscribers = 1\n").unwrap();
    let hub = TestHub::with(rig_hub::Options { http, ..crate::unsealed() }).await;
    let mut slow = half_an_append(&hub).await;
    let refused = hub.client.get(hub.stream("state")).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    let problem: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
    assert_eq!(problem["code"], "too-many-requests");
    // Who looks after the hub is let in.
    for path in ["healthz", "metrics"] {
        assert_eq!(hub.client.get(format!("{}/{path}", hub.url)).send().await.unwrap().status(), 200);
    }
    slow.write_all(br#"{"type":"a.b"}"#).await.unwrap();
    let mut answered = [0; 12];
    slow.read_exact(&mut answered).await.unwrap();
    assert_eq!(&answered, b"HTTP/1.1 201");
    let metrics = hub.metrics().await;
    assert!(
        metrics.lines().any(|l| l.starts_with("rig_requests_refused_total ") && !l.ends_with(" 0")),
        "{metrics}"
    );

    // A subscriber is not in work, and there may be one.
    let subscribe = || hub.client.get(hub.stream("events")).header("accept", "text/event-stream").send();
    let first = subscribe().await.unwrap();
    assert_eq!(first.status(), 200);
    let (status, appended) = hub.append("", r#"{"type":"a.b"}"#).await;
    assert_eq!((status, types(&appended)), (201, vec!["a.b"]));
    let second = subscribe().await.unwrap();
    assert_eq!(second.status(), 429);
    assert!(second.text().await.unwrap().contains("too-many-subscribers"));
    drop(first);
    while subscribe().await.unwrap().status() != 200 {}
    hub.stop().await;
}
