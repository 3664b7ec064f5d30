//! Subscribers, ranges, session files, and streams made and removed.

use std::time::Duration;

use serde_json::json;

use crate::{TestHub, answer, types};

/// Reads frames until `until` says that it has seen enough.
async fn frames(response: reqwest::Response, until: impl Fn(&str) -> bool) -> Vec<String> {
    let (mut response, mut text) = (response, String::new());
    let reading = async {
        loop {
            let complete = text.rfind("\n\n").map_or("", |end| &text[..end]);
            if complete.split("\n\n").any(&until) {
                return complete.split("\n\n").map(str::to_owned).collect();
            }
            match response.chunk().await.unwrap() {
                Some(chunk) => text.push_str(std::str::from_utf8(&chunk).unwrap()),
                None => return complete.split("\n\n").map(str::to_owned).collect(),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reading).await.expect("the frames did not come")
}

fn ids(frames: &[String]) -> Vec<u64> {
    let id = |frame: &String| frame.strip_prefix("id: ")?.split('\n').next()?.split(':').nth(1)?.parse().ok();
    frames.iter().filter_map(id).collect()
}

async fn subscribe(hub: &TestHub, query: &str, last: Option<&str>) -> reqwest::Response {
    let mut request =
        hub.client.get(hub.stream(&format!("events{query}"))).header("accept", "text/event-stream");
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    request.send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn history_goes_over_into_live_without_gap_or_repeat() {
    let folder = tempfile::tempdir().unwrap();
    let hub = TestHub::on(folder.path()).await;
    for n in 0..50 {
        hub.append("", &format!(r#"{{"type":"shop.sold","n":{n}}}"#)).await;
    }
    let response = subscribe(&hub, "?from=1", None).await;
    let url = hub.stream("events");
    let client = hub.client.clone();
    let appending = tokio::spawn(async move {
        for n in 50..300 {
            let body = format!(r#"[{{"type":"shop.sold","n":{n}}},{{"type":"shop.paid","n":{n}}}]"#);
            client.post(&url).body(body).send().await.unwrap();
        }
    });
    let seen = frames(response, |frame| frame.contains(":550\n")).await;
    appending.await.unwrap();
    assert_eq!(ids(&seen), (1..=550).collect::<Vec<_>>());
    assert!(seen[0].starts_with("retry: "));
    assert!(seen.iter().any(|f| f.starts_with("event: caught-up\n")));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_resumes_exactly_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let hub = TestHub::on(folder.path()).await;
    hub.append("", r#"[{"type":"a.b"},{"type":"a.b"},{"type":"a.b"}]"#).await;
    let seen = frames(subscribe(&hub, "?from=2", None).await, |f| f.contains("caught-up")).await;
    assert_eq!(ids(&seen), [2, 3]);
    let cursor = seen.iter().find(|f| f.contains(":2\n")).unwrap().split('\n').next().unwrap()
        ["id: ".len()..]
        .to_owned();
    hub.stop().await;
    let hub = TestHub::on(folder.path()).await;
    for last in [cursor.as_str(), "2"] {
        let seen = frames(subscribe(&hub, "?from=1", Some(last)).await, |f| f.contains("caught-up")).await;
        assert_eq!(ids(&seen), [3], "{last}");
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_life_is_told_so_and_gets_everything() {
    let hub = TestHub::in_memory().await;
    hub.append("", r#"[{"type":"a.b"},{"type":"a.b"}]"#).await;
    for last in ["otherepoch:1", "99"] {
        let seen = frames(subscribe(&hub, "", Some(last)).await, |f| f.contains("caught-up")).await;
        assert!(seen.iter().any(|f| f.starts_with("event: reset\n") && f.contains("\"head\":2")), "{seen:?}");
        assert_eq!(ids(&seen), [1, 2]);
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_cursor_moves_on_by_heartbeats() {
    let options = rig_hub::Options { heartbeat: Duration::from_millis(50), ..crate::unsealed() };
    let hub = TestHub::with(options).await;
    let response = subscribe(&hub, "?types=shop.*&service=api&from=1", None).await;
    hub.append("", r#"[{"type":"shop.sold","service":"web"},{"type":"shop.sold","service":"api"},{"type":"a.b","service":"api"}]"#).await;
    let seen = frames(response, |f| f.starts_with("event: heartbeat") && f.contains("\"head\":3")).await;
    assert_eq!(ids(&seen), [2]);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_told_apart() {
    let hub = TestHub::in_memory().await;
    for (path, status, code) in [
        ("events?from=0", 400, "bad-cursor"),
        ("events?from=x", 400, "bad-cursor"),
        ("events?from=-1", 400, "bad-cursor"),
        ("events?from=5", 400, "past-head"),
        ("events?types=a%20b", 400, "bad-filter"),
        ("events?frm=1", 400, "bad-query"),
        ("state?at=7", 404, "past-head"),
        ("state?at=x", 400, "bad-cursor"),
        ("services/none/config", 404, "no-snapshot"),
        ("nothing/here", 404, "no-such-address"),
    ] {
        let (got, problem) = hub.get(path).await;
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{path}: {problem}");
    }
    for last in ["x", "1:x", ":", "a:", "A:1"] {
        let response = subscribe(&hub, "", Some(last)).await;
        assert_eq!(response.status(), 400, "{last}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
    for (stream, status) in [("none", 404), ("..%2f..", 400), ("a%00b", 400), (&"x".repeat(200), 400)] {
        let (got, _) = answer(hub.client.get(format!("{}/v1/streams/{stream}/state", hub.url))).await;
        assert_eq!(got, status, "{stream}");
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_made_listed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let hub = TestHub::on(folder.path()).await;
    let url = format!("{}/v1/streams/ci-7", hub.url);
    assert_eq!(answer(hub.client.put(&url)).await.0, 201);
    let (status, about) = answer(hub.client.put(&url)).await;
    assert_eq!((status, &about["head"]), (200, &json!(0)));
    answer(hub.client.post(format!("{url}/events")).body(r#"{"type":"a.b"}"#)).await;
    let (_, list) = answer(hub.client.get(format!("{}/v1/streams", hub.url))).await;
    let names: Vec<_> = list["streams"].as_array().unwrap().iter().map(|s| s["stream"].clone()).collect();
    assert_eq!(names, ["ci-7", "main"]);
    hub.stop().await;
    let hub = TestHub::on(folder.path()).await;
    let url = format!("{}/v1/streams/ci-7", hub.url);
    let (_, about) = answer(hub.client.get(&url)).await;
    assert_eq!(about["head"], 1);
    let epoch = about["epoch"].clone();
    assert_eq!(answer(hub.client.delete(&url)).await.0, 204);
    assert_eq!(answer(hub.client.get(&url)).await.0, 404);
    let (_, again) = answer(hub.client.put(&url)).await;
    assert_eq!(again["head"], 0);
    assert_ne!(again["epoch"], epoch);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_file_verifies_from_any_seq_on() {
    let folder = tempfile::tempdir().unwrap();
    let hub = TestHub::on(folder.path()).await;
    for n in 0..20 {
        let (_, answer) = hub.capture("service=api&format=json", format!(r#"{{"n":{n},"same":true}}"#)).await;
        assert!(!types(&answer).is_empty());
    }
    for (query, first, events) in
        [("", 1, 39), ("?from=5&to=12", 5, 8), ("?from=40", 40, 0), ("?from=3&zstd=1", 3, 37)]
    {
        let file = hub
            .client
            .get(hub.stream(&format!("session{query}")))
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        let mut reader = rig_recorder::SessionReader::new(&file[..]).unwrap();
        let mut seqs = Vec::new();
        for record in &mut reader {
            seqs.push(record.unwrap().seq);
        }
        assert_eq!(seqs, (first..first + events).collect::<Vec<u64>>(), "{query}");
        assert!(
            matches!(reader.ending(), Some(rig_recorder::session::Ending::Finished(_))),
            "{query}: {:?}",
            reader.ending()
        );
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_leaves_no_half_made_stream() {
    use tokio::io::AsyncWriteExt as _;
    let folder = tempfile::tempdir().unwrap();
    let hub = TestHub::on(folder.path()).await;
    let address = hub.url["http://".len()..].to_owned();
    for round in 0..60u64 {
        let method = if round % 2 == 0 { "PUT" } else { "DELETE" };
        let mut socket = tokio::net::TcpStream::connect(&address).await.unwrap();
        let request =
            format!("{method} /v1/streams/r1 HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        for _ in 0..round * 7 {
            tokio::task::yield_now().await;
        }
        drop(socket);
    }
    let url = format!("{}/v1/streams/r1", hub.url);
    let (status, made) = answer(hub.client.put(&url)).await;
    assert!(matches!(status, 200 | 201), "{made}");
    assert_eq!(answer(hub.client.delete(&url)).await.0, 204);
    hub.stop().await;
    let hub = TestHub::on(folder.path()).await;
    assert_eq!(answer(hub.client.get(format!("{}/v1/streams/r1", hub.url))).await.0, 404);
    let (status, problem) = answer(hub.client.get(format!("{}/v1/streams/%ff", hub.url))).await;
    assert_eq!((status, &problem["code"]), (400, &json!("bad-address")));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_whose_keys_or_events_are_gone_does_not_start() {
    for lost in [
        "keys/redaction",
        "keys/signing",
        "streams/main/stream.json",
        "streams/main/00000000000000000001.jsonl",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let hub = TestHub::on(folder.path()).await;
        hub.append("", r#"{"type":"a.b"}"#).await;
        hub.stop().await;
        std::fs::remove_file(folder.path().join(lost)).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = rig_hub::Options { data: Some(folder.path().to_owned()), ..crate::unsealed() };
        let served = crate::serve(listener, std::future::ready(()), options).await;
        assert!(served.is_err(), "{lost}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_is_answered_alike_by_the_router_and_past_it() {
    let hub = TestHub::in_memory().await;
    // A bare address is answered without the router; one with an escape or a query is not.
    for (bare, routed, event, status) in [
        ("main/events", "m%61in/events", r#"{"type":"shop.sold"}"#, 201),
        ("main/events", "main/events?", r#"{"type":"shop.sold","seq":1}"#, 400),
        ("main/events", "m%61in/events", "", 400),
        ("other/events", "oth%65r/events", r#"{"type":"shop.sold"}"#, 404),
        ("_hub/events", "%5fhub/events", r#"{"type":"shop.sold"}"#, 403),
    ] {
        let mut told = Vec::new();
        for address in [bare, routed] {
            let url = format!("{}/v1/streams/{address}", hub.url);
            let response = hub.client.post(url).body(event).send().await.unwrap();
            assert_eq!(response.status(), status, "{address}");
            let mut headers = response.headers().clone();
            headers.remove("date");
            headers.remove("x-request-id");
            headers.remove("content-length");
            let mut body: serde_json::Value =
                serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
            for seq in ["first_seq", "last_seq", "events"] {
                body[seq].take();
            }
            told.push((headers, body));
        }
        assert_eq!(told[0], told[1], "{bare} {routed}");
        assert_eq!(told[0].0["x-content-type-options"], "nosniff");
        assert_eq!(told[0].0["cache-control"], "no-store");
    }
    hub.stop().await;
}
