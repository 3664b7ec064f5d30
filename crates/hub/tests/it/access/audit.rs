//! What the hub's own stream tells of requests.

use serde_json::{Value, json};

use crate::{TestHub, answer};
use rig_testhub::tokens::{admin, issue, token, with};

/// The events of the hub's own stream, after a restart: what was summed up has been told by then.
async fn told(hub: TestHub, data: &std::path::Path, root: &str) -> Vec<Value> {
    hub.stop().await;
    let hub = TestHub::on(data).await;
    let own = hub.client.get(format!("{}/v1/streams/_hub/events?from=1", hub.url)).bearer_auth(root);
    let text = own.send().await.unwrap().text().await.unwrap();
    hub.stop().await;
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_type<'a>(events: &'a [Value], type_name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == type_name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_and_every_denied_request_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let hub = TestHub::on(folder.path()).await;
    let (root, _) = issue(&hub, None, token("root", &["admin"], &["*"])).await;
    let (bot, id) = issue(&hub, Some(&root), token("ci-bot", &["write"], &["*"])).await;
    let send = async |method: &str, path: &str, token: Option<&str>, body: &str| {
        let request = hub.client.request(method.parse().unwrap(), hub.stream(path)).body(body.to_owned());
        let request = request.header("x-request-id", format!("r-{method}-{}", path.len()));
        let response = with(request, token).send().await.unwrap();
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        (response.status().as_u16(), id)
    };
    for _ in 0..20 {
        assert_eq!(send("POST", "events", Some(&bot), r#"[{"type":"a.b"},{"type":"a.c"}]"#).await.0, 201);
    }
    assert_eq!(send("POST", "snapshots?service=api&format=json", Some(&bot), r#"{"a":1}"#).await.0, 201);
    assert_eq!(send("PUT", "services/api/baseline?reason=x", Some(&bot), "").await.0, 403);
    let (status, approved) = send("PUT", "services/api/baseline?reason=x", Some(&root), "").await;
    assert_eq!((status, approved.as_str()), (200, "r-PUT-30"));
    for _ in 0..50 {
        assert_eq!(send("GET", "state", None, "").await.0, 401);
    }
    assert_eq!(send("GET", "nonsense", Some(&root), "").await.0, 404);
    assert_eq!(send("PATCH", "state", Some(&root), "").await.0, 405);
    let revoke = hub.client.delete(format!("{}/v1/tokens/{id}", hub.url)).bearer_auth(&root);
    assert_eq!(answer(revoke).await.0, 204);
    let remove = hub.client.delete(format!("{}/v1/streams/main", hub.url)).bearer_auth(&root);
    assert_eq!(answer(remove).await.0, 204);

    let events = told(hub, folder.path(), &root).await;
    let issued = of_type(&events, "audit.token.issued");
    assert_eq!((issued.len(), &issued[0]["name"], &issued[1]["actor"]), (2, &json!("root"), &json!("root")));
    assert!(issued[0].get("actor").is_none(), "the hub stood open: {}", issued[0]);
    let revoked = of_type(&events, "audit.token.revoked");
    assert_eq!((&revoked[0]["id"], &revoked[0]["actor"]), (&json!(id), &json!("root")));
    assert!(revoked[0]["request_id"].as_str().is_some_and(|id| !id.is_empty()));

    let changed = of_type(&events, "audit.changed");
    let requests: Vec<_> = changed.iter().map(|event| event["request"].as_str().unwrap()).collect();
    assert_eq!(
        requests,
        ["PUT /v1/streams/{stream}/services/{service}/baseline", "DELETE /v1/streams/{stream}"],
    );
    assert_eq!(
        (&changed[0]["actor"], &changed[0]["request_id"], &changed[0]["stream"], &changed[0]["first_seq"]),
        (&json!("root"), &json!("r-PUT-30"), &json!("main"), &json!(42))
    );
    let appended = of_type(&events, "audit.appended");
    let sum = |key: &str| appended.iter().map(|event| event[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("requests"), sum("events")), (21, 41), "{appended:#?}");
    assert!(appended.iter().all(|event| event["actor"] == "ci-bot" && event["token"] == json!(id)));
    assert_eq!(
        (&appended[0]["first_seq"], &appended[appended.len() - 1]["last_seq"]),
        (&json!(1), &json!(41))
    );
    let denied = of_type(&events, "audit.denied");
    let count = |code: &str| {
        denied.iter().filter(|e| e["code"] == code).map(|e| e["requests"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((count("no-token"), count("no-scope")), (50, 1), "{denied:#?}");
    let all = denied.iter().map(|event| event["requests"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(all, 51, "what is not there was not denied: {denied:#?}");
    assert!(denied.len() < 12, "they are told together");
    let no_scope = denied.iter().find(|event| event["code"] == "no-scope").unwrap();
    assert_eq!((&no_scope["actor"], &no_scope["peer"]), (&json!("ci-bot"), &json!("127.0.0.1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_captures_is_told_as_captures_are() {
    let folder = tempfile::tempdir().unwrap();
    let hub = TestHub::on(folder.path()).await;
    let (root, _) = issue(&hub, None, token("root", &["admin"], &["*"])).await;
    let (bot, _) = issue(&hub, Some(&root), token("ci-bot", &["write"], &["*"])).await;
    let batch = async |lines: &str| {
        let request = hub.client.post(hub.stream("snapshots")).body(lines.to_owned()).bearer_auth(&bot);
        answer(request.header("content-type", "application/x-ndjson")).await
    };
    let line = |service: &str, document: &str| {
        json!({"service": service, "format": "json", "document": document}).to_string()
    };
    // The refusal in between is an event of nobody's capture.
    let lines = [line("a", "{}"), line("b", "{"), line("c", "{}")].join("\n");
    let (status, answered) = batch(&lines).await;
    assert_eq!((status, &answered["captures"][2]["last_seq"]), (200, &json!(3)));
    assert_eq!(batch(&line("d", "{")).await.0, 200);
    let events = told(hub, folder.path(), &root).await;
    let appended = of_type(&events, "audit.appended");
    let sum = |key: &str| appended.iter().map(|event| event[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("requests"), sum("events")), (1, 2), "{appended:#?}");
    assert_eq!((&appended[0]["first_seq"], &appended[0]["last_seq"]), (&json!(1), &json!(3)));
    assert_eq!(&appended[0]["actor"], "ci-bot");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_denied_writes_what_it_likes() {
    let folder = tempfile::tempdir().unwrap();
    let hub = TestHub::on(folder.path()).await;
    let (root, _) = issue(&hub, None, token("root", &["admin"], &["*"])).await;
    let secret = format!("rig_000000000000_{}", "1".repeat(64));
    let evil = [
        ("x-request-id", "a\"},{\"type\":\"audit.token.issued"),
        ("x-request-id", "..\u{ff}[2J"),
        ("authorization", secret.as_str()),
        ("user-agent", "{\"type\":\"audit.changed\"}"),
    ];
    for (name, value) in evil {
        let request = hub.client.get(format!("{}/v1/streams/%0a%7B/state?{secret}", hub.url));
        let value = reqwest::header::HeaderValue::from_bytes(value.as_bytes()).unwrap();
        let response = request.header(name, value).send().await.unwrap();
        assert_eq!(response.status(), 401);
        let id = response.headers()["x-request-id"].to_str().unwrap();
        assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{id}");
    }
    let events = told(hub, folder.path(), &root).await;
    let text = serde_json::to_string(&events).unwrap();
    assert!(!text.contains(&secret) && !text.contains("%0a") && !text.contains("2J"), "{text}");
    assert_eq!(of_type(&events, "audit.token.issued").len(), 1);
    assert!(of_type(&events, "audit.changed").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_nothing_is_summed_up() {
    let folder = tempfile::tempdir().unwrap();
    let hub = TestHub::on(folder.path()).await;
    let root = admin(&hub).await;
    for n in 0..200 {
        let make = hub.client.put(format!("{}/v1/streams/ci", hub.url)).bearer_auth(&root);
        assert_eq!(answer(make).await.0, if n == 0 { 201 } else { 200 });
    }
    hub.stop().await;
    let hub = TestHub::on(folder.path()).await;
    let own = hub.client.get(format!("{}/v1/streams/_hub/events?from=1", hub.url)).bearer_auth(&root);
    let lines = own.send().await.unwrap().text().await.unwrap();
    let of = |name: &str| -> Vec<Value> {
        let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["type"] == name).collect()
    };
    assert_eq!(of("audit.changed").len(), 1, "{lines}");
    let sums = of("audit.unchanged");
    let requests = sums.iter().map(|sum| sum["requests"].as_u64().unwrap()).sum::<u64>();
    assert_eq!((requests, sums.len() <= 3), (199, true), "{sums:?}");
    assert_eq!(sums[0]["request"], "PUT /v1/streams/{stream}");
    hub.stop().await;
}
