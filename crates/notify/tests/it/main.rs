//! Endpoints are notified of drift, by real requests to real servers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rig_hub::{Component, Options};
use rig_notify::Notify;
use rig_outbound::Allowed;
use rig_testhub::{TestHub, Told, answer, unsealed};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// The reaction of a receiver to a request.
enum Answers {
    Status(u16),
    /// It sends the hub elsewhere.
    To(String),
    /// It never answers.
    Never,
}

/// Somebody who is notified.
struct Receiver {
    url: String,
    received: mpsc::UnboundedReceiver<(HeaderMap, Bytes)>,
    answers: Arc<Mutex<VecDeque<Answers>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Receiver {
    async fn new(answers: impl IntoIterator<Item = Answers>) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}/hook", listener.local_addr().unwrap().port());
        let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let (report, received) = mpsc::unbounded_channel();
        let (script, taken) = (answers.clone(), Arc::new(Mutex::new(HashSet::new())));
        let app = axum::Router::new().fallback(async move |headers: HeaderMap, body: Bytes| -> Response {
            let next = script.lock().unwrap().pop_front();
            // What was taken may come once more, where the hub was stopped before it heard so.
            let id = headers["idempotency-key"].clone();
            if next.is_none() && !taken.lock().unwrap().insert(id) {
                return StatusCode::NO_CONTENT.into_response();
            }
            report.send((headers, body)).unwrap();
            match next {
                None => StatusCode::NO_CONTENT.into_response(),
                Some(Answers::Status(status)) => StatusCode::from_u16(status).unwrap().into_response(),
                Some(Answers::To(url)) => Redirect::temporary(&url).into_response(),
                Some(Answers::Never) => std::future::pending().await,
            }
        });
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Receiver { url, received, answers, serving }
    }

    async fn raw(&mut self) -> (HeaderMap, Bytes) {
        let next = tokio::time::timeout(Duration::from_secs(40), self.received.recv()).await;
        next.expect("nothing is notified").unwrap()
    }

    async fn next(&mut self) -> Value {
        serde_json::from_slice(&self.raw().await.1).unwrap()
    }

    /// An endpoint called `ops` here, with more settings.
    fn endpoint(&self, more: &str) -> String {
        format!("allow = ['127.0.0.1']\n[[notify]]\nname = 'ops'\nurl = '{}'\n{more}\n", self.url)
    }
}

#[derive(Debug, Deserialize)]
struct Settings {
    #[serde(default)]
    allow: Allowed,
    #[serde(default)]
    notify: Vec<Notify>,
}

/// Reads and checks settings.
fn parse(toml: &str) -> Result<Settings, String> {
    let settings: Settings = toml::from_str(toml).map_err(|e| e.message().to_owned())?;
    rig_notify::check(&settings.notify).map_err(|(_, why)| why)?;
    Ok(settings)
}

/// Returns the component for these settings.
fn component(toml: &str) -> Result<Component, String> {
    let settings = parse(toml).unwrap();
    rig_notify::component(&settings.notify, &settings.allow)
}

/// A hub that notifies these endpoints.
async fn start(toml: &str, options: Options) -> TestHub {
    TestHub::mounted(options, vec![component(toml).unwrap()]).await
}

/// Captures, approves and captures again: the service drifts.
async fn drift(hub: &TestHub, service: &str, before: &str, after: &str) {
    let query = format!("service={service}&format=json");
    assert_eq!(hub.capture(&query, before.to_owned()).await.0, 201);
    let approve = hub.client.put(hub.stream(&format!("services/{service}/baseline?reason=fine")));
    assert_eq!(answer(approve).await.0, 200);
    assert_eq!(hub.capture(&query, after.to_owned()).await.0, 201);
}

fn shown(message: &Value) -> (&str, &str) {
    let event = &message["event"];
    (event["type"].as_str().unwrap(), event["service"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_told_signed_and_as_it_stands_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, "0123456789abcdef0123\n").unwrap();
    let mut receiver = Receiver::new([]).await;
    let toml = receiver.endpoint(&format!("key_file = '{}'", key_file.display()));
    let hub = start(&toml, unsealed()).await;
    drift(&hub, "api", r#"{"a":1,"password":"hunter2"}"#, r#"{"a":2,"password":"hunter3"}"#).await;
    let (headers, body) = receiver.raw().await;
    let text = std::str::from_utf8(&body).unwrap();
    assert!(!text.contains("hunter"), "{text}");
    let message: Value = serde_json::from_str(text).unwrap();
    assert_eq!(shown(&message), ("drift.detected", "api"));
    let line = hub.lines("from=5").await.remove(0);
    assert!(text.ends_with(&format!(",\"event\":{line}}}")), "{text}\n{line}");
    let id = format!("main:{}:5", message["epoch"].as_str().unwrap());
    assert_eq!((&message["id"], &message["endpoint"]), (&json!(id), &json!("ops")));
    assert_eq!(headers["idempotency-key"], format!("\"{id}\""));
    let said = message["text"].as_str().unwrap();
    assert!(said.starts_with("drift.detected: api (") && said.ends_with("a, password [main@5]"), "{said}");
    let signature = headers["x-rig-signature"].to_str().unwrap();
    let (time, signature) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"0123456789abcdef0123").unwrap();
    mac.update(format!("{time}.").as_bytes());
    mac.update(&body);
    let hex: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(signature, hex);
    // The end of it is told too; what was accepted was not asked for.
    hub.capture("service=api&format=json", r#"{"a":1,"password":"hunter2"}"#).await;
    assert_eq!(shown(&receiver.next().await), ("drift.resolved", "api"));
    let metrics = hub.metrics().await;
    assert!(metrics.contains("rig_notifications_sent_total{endpoint=\"ops\"}"), "{metrics}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_severe_enough_is_told_when_it_was_and_no_more_is() {
    let mut receiver = Receiver::new([]).await;
    let toml = receiver.endpoint("severity = 'high'\nkind = 'slack'\nservices = ['api*']");
    let policy = "[[severity]]\npath = 'a'\nlevel = 'high'\n[[severity]]\npath = 'b'\nlevel = 'low'\n";
    let policy = rig_config::Policy::parse(policy).unwrap();
    let hub = start(&toml, Options { policy, ..unsealed() }).await;
    drift(&hub, "other", r#"{"a":1}"#, r#"{"a":2}"#).await;
    drift(&hub, "api%3C%26", r#"{"a":1,"b":1}"#, r#"{"a":1,"b":2}"#).await;
    for (document, told) in [
        (r#"{"a":2,"b":2}"#, Some("drift.changed: api&lt;&amp; (high, against baseline): a, b [main@")),
        (r#"{"a":1,"b":2}"#, Some("drift.changed: api&lt;&amp; (low, against baseline): b [main@")),
        (r#"{"a":1,"b":3}"#, None),
        (r#"{"a":1,"b":1}"#, None),
        (r#"{"a":3,"b":1}"#, Some("drift.detected: api&lt;&amp; (high, against baseline): a [main@")),
        (
            r#"{"a":1,"b":1}"#,
            Some("drift.resolved: api&lt;&amp; (in-sync or accepted, against baseline) [main@"),
        ),
    ] {
        let (status, captured) = hub.capture("service=api%3C%26&format=json", document).await;
        assert_eq!(status, 201, "{captured}");
        if let Some(told) = told {
            let message = receiver.next().await;
            assert_eq!(message.as_object().unwrap().len(), 1);
            assert!(message["text"].as_str().unwrap().starts_with(told), "{document}: {message}");
        }
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_fails_is_tried_again_and_that_is_told_once() {
    let mut receiver = Receiver::new([Answers::Status(500), Answers::Never, Answers::Status(429)]).await;
    let toml = receiver.endpoint("timeout = '1s'");
    let hub = start(&toml, unsealed()).await;
    drift(&hub, "api", r#"{"a":1}"#, r#"{"a":2}"#).await;
    let first = receiver.raw().await;
    for _ in 0..3 {
        let again = receiver.raw().await;
        assert_eq!((&again.0["idempotency-key"], &again.1), (&first.0["idempotency-key"], &first.1));
    }
    let mut own = Told::by(&hub, "_hub").await;
    assert_eq!(own.next("notify.failing").await["reason"], "it answered 500");
    own.next("notify.recovered").await;
    drift(&hub, "web", r#"{"a":1}"#, r#"{"a":2}"#).await;
    assert_eq!(shown(&receiver.next().await), ("drift.detected", "web"));
    drop(own);
    assert_eq!(hub.own_lines().await.matches("notify.failing").count(), 1);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_starts_again_tells_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::new([]).await;
    let toml = receiver.endpoint("");
    let start =
        async |toml: &str| start(toml, Options { data: Some(folder.path().to_owned()), ..unsealed() }).await;
    // What was before there was an endpoint is not told.
    let hub = start("").await;
    drift(&hub, "old", r#"{"a":1}"#, r#"{"a":2}"#).await;
    hub.stop().await;
    let hub = start(&toml).await;
    Told::by(&hub, "_hub").await.next("notify.began").await;
    drift(&hub, "one", r#"{"a":1}"#, r#"{"a":2}"#).await;
    assert_eq!(shown(&receiver.next().await), ("drift.detected", "one"));
    receiver.answers.lock().unwrap().extend((0..50).map(|_| Answers::Status(503)));
    drift(&hub, "two", r#"{"a":1}"#, r#"{"a":2}"#).await;
    assert_eq!(shown(&receiver.next().await), ("drift.detected", "two"));
    Told::by(&hub, "_hub").await.next("notify.failing").await;
    drift(&hub, "three", r#"{"a":1}"#, r#"{"a":2}"#).await;
    hub.stop().await;
    // While it is away its endpoint gets well.
    receiver.answers.lock().unwrap().clear();
    while receiver.received.try_recv().is_ok() {}
    let hub = start(&toml).await;
    for service in ["two", "three"] {
        assert_eq!(shown(&receiver.next().await), ("drift.detected", service));
    }
    // A stream that is made later is followed from its first event on.
    answer(hub.client.put(format!("{}/v1/streams/later", hub.url))).await;
    let later = |path: &str| format!("{}/v1/streams/later/{path}", hub.url);
    for document in ["{\"a\":1}", "{\"a\":2}"] {
        let capture = hub.client.post(later("snapshots?service=four&format=json")).body(document);
        answer(capture).await;
        answer(hub.client.put(later("services/four/declared?format=json")).body("{\"a\":1}")).await;
    }
    let message = receiver.next().await;
    assert_eq!((shown(&message), &message["stream"]), (("drift.detected", "four"), &json!("later")));
    hub.stop().await;
    let hub = start(&toml).await;
    drift(&hub, "five", r#"{"a":1}"#, r#"{"a":2}"#).await;
    assert_eq!(shown(&receiver.next().await), ("drift.detected", "five"));
    hub.stop().await;
    // An endpoint that is taken out and put back begins anew.
    let hub = start("").await;
    drift(&hub, "six", r#"{"a":1}"#, r#"{"a":2}"#).await;
    hub.stop().await;
    let hub = start(&toml).await;
    let mut own = Told::by(&hub, "_hub").await;
    own.next("notify.ended").await;
    own.next("notify.began").await;
    drift(&hub, "seven", r#"{"a":1}"#, r#"{"a":2}"#).await;
    assert_eq!(shown(&receiver.next().await), ("drift.detected", "seven"));
    drop(own);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listing_tokens_without_a_hub_does_not_end_its_endpoints() {
    use rig_hub::offline::{self, Task};
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::new([]).await;
    let options = Options { data: Some(folder.path().to_owned()), ..unsealed() };
    let endpoint = receiver.endpoint("");
    let hub = start(&endpoint, options.clone()).await;
    Told::by(&hub, "_hub").await.next("notify.began").await;
    hub.stop().await;
    let store = rig_testhub::store(&options);
    offline::run(options.clone(), store, Task::List).await.unwrap();
    let hub = start(&endpoint, options).await;
    let own = hub.own_lines().await;
    assert!(own.contains("notify.began") && !own.contains("notify.ended"), "{own}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed_and_what_is_refused_for_good_is_dropped() {
    let mut inside = Receiver::new([]).await;
    let mut receiver = Receiver::new([Answers::To(inside.url.clone()), Answers::Status(422)]).await;
    let toml = receiver.endpoint("");
    let hub = start(&toml, unsealed()).await;
    drift(&hub, "api", r#"{"a":1}"#, r#"{"a":2}"#).await;
    let mut own = Told::by(&hub, "_hub").await;
    assert_eq!(own.next("notify.failing").await["reason"], "it answered 307, and redirects are not followed");
    let dropped = own.next("notify.dropped").await;
    assert_eq!(
        (&dropped["stream"], &dropped["from"], &dropped["upto"]),
        (&json!("main"), &json!(5), &json!(5))
    );
    drift(&hub, "web", r#"{"a":1}"#, r#"{"a":2}"#).await;
    for service in ["api", "api", "web"] {
        assert_eq!(shown(&receiver.next().await), ("drift.detected", service));
    }
    assert!(inside.received.try_recv().is_err());
    drop(own);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_inside_is_refused_unless_it_is_allowed() {
    for url in [
        "http://127.0.0.1:9/x",
        "http://[::ffff:10.0.0.1]/",
        "http://169.254.169.254/latest",
        "https://localhost/",
    ] {
        let toml = format!("[[notify]]\nname = 'ops'\nurl = '{url}'\n");
        let refused = component(&toml).err().unwrap();
        assert!(refused.contains("allow = ["), "{refused}");
    }
    for (more, word) in [
        ("url = 'http://x/'\nurl_env = 'X'", "one of `url`"),
        ("kind = 'json'", "one of `url`"),
        ("url = 'http://x/'\nevents = ['[']", "no pattern"),
        ("url = 'http://x/'\ntimeout = '2h'", "timeout"),
        ("url = 'http://x/'\nkey_env = 'A'\nkey_file = 'b'", "key_env"),
        ("url = 'http://x/'\nsecret = 'hunter2'", "secret"),
    ] {
        let refused = parse(&format!("[[notify]]\nname = 'ops'\n{more}\n")).unwrap_err();
        assert!(refused.contains(word) && !refused.contains("hunter2"), "{more}: {refused}");
    }
    let unset = component("[[notify]]\nname = 'ops'\nurl = 'https://x/'\nkey_env = 'RIG_TEST_UNSET'\n");
    assert!(unset.err().unwrap().contains("RIG_TEST_UNSET"));
}
