//! Subscribers that come back, begin somewhere, or have means of their own to say so.

use std::io::Read as _;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{TestHub, answer, unsealed};

async fn with_events(count: usize) -> TestHub {
    let hub = TestHub::in_memory().await;
    for n in 0..count {
        assert_eq!(hub.append("", &format!(r#"{{"type":"a.b","n":{n}}}"#)).await.0, 201);
    }
    hub
}

/// Reads a stream until it has caught up.
async fn caught_up(request: reqwest::RequestBuilder) -> Result<String, u16> {
    let mut response = request.header("accept", "text/event-stream").send().await.unwrap();
    if response.status() != 200 {
        return Err(response.status().as_u16());
    }
    let mut text = String::new();
    while !text.contains("event: caught-up\n") {
        let chunk = tokio::time::timeout(Duration::from_secs(20), response.chunk()).await.unwrap();
        text.push_str(std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap());
    }
    Ok(text)
}

fn seqs(text: &str) -> Vec<u64> {
    let ids = text.lines().filter_map(|line| line.strip_prefix("id: "));
    ids.map(|id| id.split_once(':').unwrap().1.parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_may_stand_in_the_address() {
    let hub = with_events(5).await;
    let (_, about) = answer(hub.client.get(format!("{}/v1/streams/main", hub.url))).await;
    let epoch = about["epoch"].as_str().unwrap();
    for (query, expected) in [
        (format!("lastEventId={epoch}%3A3"), vec![4, 5]),
        (format!("lastEventID={epoch}:3&from=1"), vec![4, 5]),
        (format!("from={epoch}:4"), vec![5]),
        ("lastEventId=2".to_owned(), vec![3, 4, 5]),
        ("from=4&_=1700000000".to_owned(), vec![4, 5]),
        ("_a=1&_a=2&tail=2".to_owned(), vec![4, 5]),
        ("tail=0".to_owned(), vec![]),
        ("tail=99".to_owned(), vec![1, 2, 3, 4, 5]),
        ("since=2001-01-01T00:00:00Z".to_owned(), vec![1, 2, 3, 4, 5]),
        ("since=2201-01-01T00:00:00Z".to_owned(), vec![]),
    ] {
        let text = caught_up(hub.client.get(hub.stream(&format!("events?{query}")))).await.unwrap();
        assert_eq!(seqs(&text), expected, "{query}");
    }
    // Of another epoch it begins again; the header wins.
    let text = caught_up(hub.client.get(hub.stream("events?lastEventId=other:3"))).await.unwrap();
    assert!(text.contains("event: reset\n") && seqs(&text).len() == 5, "{text}");
    let request = hub.client.get(hub.stream("events?lastEventId=1")).header("last-event-id", "4");
    assert_eq!(seqs(&caught_up(request).await.unwrap()), [5]);
    for bad in
        ["lastEventId=x", "from=e1:x", "tail=x", "since=now", "tail=1&since=2001-01-01T00:00:00Z", "a_=1"]
    {
        assert_eq!(caught_up(hub.client.get(hub.stream(&format!("events?{bad}")))).await, Err(400), "{bad}");
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_begins_at_a_time_or_near_the_end() {
    let hub = with_events(4).await;
    let lines = hub.lines("from=1").await;
    let ts = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["ts"].as_str().unwrap().to_owned()
    };
    assert_eq!(hub.lines("tail=1").await, lines[3..]);
    let third = ts(&lines[2]);
    let first = lines.iter().position(|line| ts(line) == third).unwrap();
    assert_eq!(hub.lines(&format!("since={third}")).await, lines[first..]);
    assert!(hub.lines("since=2201-01-01T00:00:00Z").await.is_empty());
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_block_of_a_stream_is_without_an_event() {
    let hub = with_events(2).await;
    let text = caught_up(hub.client.get(hub.stream("events?from=1"))).await.unwrap();
    assert!(text.starts_with("retry: 1000\nevent: hello\ndata: {"), "{text}");
    for block in text.split("\n\n").filter(|block| !block.is_empty()) {
        assert!(block.contains("data: "), "{block}");
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_and_streams_are_packed_where_that_is_asked_for() {
    let hub = with_events(60).await;
    let plain = hub.client.get(hub.stream("events?from=1")).send().await.unwrap();
    assert_eq!(
        (plain.headers().get("content-encoding"), &plain.headers()["vary"]),
        (None, &"accept-encoding".parse().unwrap())
    );
    let plain = plain.bytes().await.unwrap();
    let ask = |codings: &str, accept: &str| {
        let request = hub.client.get(hub.stream("events?from=1")).header("accept-encoding", codings);
        request.header("accept", accept).send()
    };
    let packed = ask("zstd", "*/*").await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "zstd");
    let packed = packed.bytes().await.unwrap();
    assert_eq!(zstd::decode_all(&packed[..]).unwrap(), plain);
    assert!(packed.len() * 2 < plain.len(), "{} of {}", packed.len(), plain.len());

    // An event is there as soon as its piece is.
    let mut stream = ask("gzip", "text/event-stream").await.unwrap();
    assert_eq!(stream.headers()["content-encoding"], "gzip");
    let mut packed = Vec::new();
    let mut text = String::new();
    while !text.contains("event: caught-up\n") {
        let chunk = tokio::time::timeout(Duration::from_secs(20), stream.chunk()).await.unwrap();
        packed.extend_from_slice(&chunk.unwrap().unwrap());
        let mut unpacked = Vec::new();
        let _ = flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked);
        text = String::from_utf8(unpacked).unwrap();
    }
    assert_eq!(seqs(&text).len(), 60);
    drop(stream);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_back_while_the_hub_stops_gets_no_answer_rather_than_an_error() {
    let options = rig_hub::Options { shutdown_deadline: Duration::from_secs(60), ..unsealed() };
    let hub = TestHub::with(options).await;
    let address = hub.url.strip_prefix("http://").unwrap().to_owned();
    // A request in work keeps the hub from ending.
    let mut slow = TcpStream::connect(&address).await.unwrap();
    let head = "POST /v1/streams/main/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 14\r\nExpect: 100-continue\r\n\r\n";
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.read_exact(&mut [0; 25]).await.unwrap();
    let TestHub { client, stop, served, url } = hub;
    stop.send(()).unwrap();
    // The connection that was open may end with the first answer.
    while client.get(format!("{url}/readyz")).send().await.map_or(true, |ready| ready.status() == 200) {}
    let follow = client.get(format!("{url}/v1/streams/main/events")).header("accept", "text/event-stream");
    assert!(follow.send().await.is_err());
    let other = client.get(format!("{url}/v1/streams/main/state")).send().await.unwrap();
    assert_eq!((other.status().as_u16(), &other.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    slow.write_all(br#"{"type":"a.b"}"#).await.unwrap();
    drop(client);
    served.await.unwrap().unwrap();
}
