//! One client that takes all it can get, and the others beside it.

use std::time::{Duration, Instant};

use rig_testhub::tokens::{admin, issue, token};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::{TestHub, answer, unsealed};

/// Sends a request over a connection of its own, as far as it goes.
async fn sent(hub: &TestHub, text: &str) -> TcpStream {
    let mut connection = TcpStream::connect(hub.url.strip_prefix("http://").unwrap()).await.unwrap();
    connection.write_all(text.as_bytes()).await.unwrap();
    connection
}

fn head(line: &str, token: &str, bytes: u64) -> String {
    format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: {bytes}\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_appends_of_one_token_leave_turns_for_others() {
    let http = toml::from_str("max_requests = 8\nmax_waiting = 8\n").unwrap();
    let hub = TestHub::with(rig_hub::Options { http, ..unsealed() }).await;
    let root = admin(&hub).await;
    let (slow, _) = issue(&hub, Some(&root), token("slow", &["write"], &["*"])).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(sent(&hub, &(head("POST /v1/streams/main/events", &slow, 14) + "{")).await);
    }
    let begun = Instant::now();
    for _ in 0..20 {
        let append = hub.client.post(hub.stream("events")).bearer_auth(&root).body(r#"{"type":"a.b"}"#);
        assert_eq!(answer(append).await.0, 201);
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // Once there is a turn for them, they are answered too.
    for connection in &mut held[..4] {
        connection.write_all(br#""type":"a.b"}"#).await.unwrap();
        let mut answered = [0; 12];
        connection.read_exact(&mut answered).await.unwrap();
        assert_eq!(&answered, b"HTTP/1.1 201");
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn captures_that_announce_much_and_send_little_take_no_budget() {
    let limits = rig_config::Limits { bytes: 8 << 20, ..Default::default() };
    let options = rig_hub::Options {
        limits,
        capture_budget: 16 << 20,
        read_timeout: Duration::from_secs(2),
        ..unsealed()
    };
    let hub = TestHub::with(options).await;
    let root = admin(&hub).await;
    let (slow, _) = issue(&hub, Some(&root), token("slow", &["write"], &["*"])).await;
    let mut held = Vec::new();
    for n in 0..6 {
        let line = format!("POST /v1/streams/main/snapshots?service=s{n}&format=json");
        // The last ones have sent nearly all of it.
        let sent_bytes = if n < 3 { 10 } else { 7 << 20 };
        let text = head(&line, &slow, 8 << 20) + "{" + &" ".repeat(sent_bytes);
        held.push(tokio::spawn({
            let url = hub.url.clone();
            async move {
                let mut connection = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
                let _ = connection.write_all(text.as_bytes()).await;
                // A byte now and then buys no time.
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_secs(30) && connection.write_all(b" ").await.is_ok() {
                    let mut byte = [0];
                    let answered = connection.read(&mut byte);
                    if tokio::time::timeout(Duration::from_millis(200), answered).await.is_ok() {
                        break;
                    }
                }
                begun.elapsed()
            }
        }));
    }
    let fields: Vec<String> = (0..100).map(|n| format!("\"f{n}\":\"{}\"", "x".repeat(60 << 10))).collect();
    let document = format!("{{{}}}", fields.join(","));
    let capture = hub.client.post(hub.stream("snapshots?service=api&format=json")).bearer_auth(&root);
    let begun = Instant::now();
    let (status, captured) = answer(capture.body(document)).await;
    assert_eq!(status, 201, "{}", captured["code"]);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    for slow in held {
        assert!(slow.await.unwrap() < Duration::from_secs(25));
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_let_go() {
    let http = toml::from_str("write_timeout = 1\n").unwrap();
    let hub = TestHub::with(rig_hub::Options { http, ..unsealed() }).await;
    let event = format!(r#"{{"type":"a.b","text":"{}"}}"#, "x".repeat(900_000));
    for _ in 0..6 {
        assert_eq!(hub.append("", &event).await.0, 201);
    }
    let subscribers = async || {
        let metrics = hub.metrics().await;
        metrics.lines().find(|l| l.starts_with("rig_subscribers{stream=\"main\"}")).unwrap().to_owned()
    };
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let mut still = socket.connect(hub.url.strip_prefix("http://").unwrap().parse().unwrap()).await.unwrap();
    let ask =
        "GET /v1/streams/main/events?from=1 HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
    still.write_all(ask.as_bytes()).await.unwrap();
    let begun = Instant::now();
    while !subscribers().await.ends_with(" 1") {
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
    while !subscribers().await.ends_with(" 0") {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is held");
        tokio::task::yield_now().await;
    }
    drop(still);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_has_so_many_subscribers_and_others_have_theirs() {
    let http = toml::from_str("max_subscribers_each = 2\n").unwrap();
    let hub = TestHub::with(rig_hub::Options { http, ..unsealed() }).await;
    let root = admin(&hub).await;
    let (many, _) = issue(&hub, Some(&root), token("many", &["read"], &["*"])).await;
    let follow = async |token: &str| {
        let request = hub.client.get(hub.stream("events")).header("accept", "text/event-stream");
        request.bearer_auth(token).send().await.unwrap()
    };
    let (one, two, three) = (follow(&many).await, follow(&many).await, follow(&many).await);
    assert_eq!([one.status(), two.status(), three.status()], [200, 200, 429]);
    assert_eq!(follow(&root).await.status(), 200);
    drop((one, two));
    hub.stop().await;
}
