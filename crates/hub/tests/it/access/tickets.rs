//! One-time tickets for a browser's EventSource.

use serde_json::json;

use crate::{TestHub, answer};
use rig_testhub::tokens::{admin, issue, token};

async fn ticket(hub: &TestHub, token: &str) -> String {
    let (status, given) = answer(hub.client.post(hub.stream("tickets")).bearer_auth(token)).await;
    assert_eq!((status, &given["stream"]), (201, &json!("main")), "{given}");
    given["ticket"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_the_stream_it_is_for_once() {
    let hub = TestHub::in_memory().await;
    let root = admin(&hub).await;
    let (reader, id) = issue(&hub, Some(&root), token("eyes", &["read"], &["main"])).await;
    let follow = async |path: &str| {
        let request = hub.client.get(format!("{}{path}", hub.url)).header("accept", "text/event-stream");
        request.send().await.unwrap().status().as_u16()
    };
    let text = ticket(&hub, &reader).await;
    let path = format!("/v1/streams/main/events?types=a.*&ticket={text}&from=1");
    assert_eq!(follow(&path).await, 200);
    assert_eq!(follow(&path).await, 401, "replayed");
    let (status, refused) = answer(hub.client.get(format!("{}{path}", hub.url))).await;
    assert_eq!((status, &refused["code"]), (401, &json!("bad-ticket")));

    for elsewhere in [
        "/v1/streams/_hub/events",
        "/v1/streams/other/events",
        "/v1/streams/main/state",
        "/v1/streams",
        "/metrics",
    ] {
        let text = ticket(&hub, &reader).await;
        assert_eq!(follow(&format!("{elsewhere}?ticket={text}")).await, 401, "{elsewhere}");
    }
    let text = ticket(&hub, &reader).await;
    let append = hub.client.post(hub.stream(&format!("events?ticket={text}"))).body(r#"{"type":"a.b"}"#);
    assert_eq!(answer(append).await.0, 401, "it is for reading");
    let state = hub.client.get(hub.stream(&format!("state?ticket={text}"))).bearer_auth(&reader);
    let (status, refused) = answer(state).await;
    assert_eq!((status, &refused["code"]), (400, &json!("bad-query")));
    assert!(!refused.to_string().contains(&text), "{refused}");
    for bad in ["ticket=", "ticket=rigt_0", "%74icket=x", &format!("ticket={text}&ticket={text}")] {
        assert_eq!(follow(&format!("/v1/streams/main/events?{bad}")).await, 401, "{bad}");
    }
    let text = ticket(&hub, &reader).await;
    let revoke = hub.client.delete(format!("{}/v1/tokens/{id}", hub.url)).bearer_auth(&root);
    assert_eq!(answer(revoke).await.0, 204);
    assert_eq!(follow(&format!("/v1/streams/main/events?ticket={text}")).await, 401, "its token is gone");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_of_an_open_hub_opens_nothing_once_there_are_tokens() {
    let hub = TestHub::in_memory().await;
    let ticket = async || {
        let (status, given) = answer(hub.client.post(hub.stream("tickets"))).await;
        assert_eq!(status, 201);
        given["ticket"].as_str().unwrap().to_owned()
    };
    let follow = async |ticket: &str| {
        let request = hub.client.get(hub.stream(&format!("events?ticket={ticket}")));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(follow(&ticket().await).await, 200);
    let old = ticket().await;
    admin(&hub).await;
    assert_eq!(follow(&old).await, 401);
    hub.stop().await;
}
