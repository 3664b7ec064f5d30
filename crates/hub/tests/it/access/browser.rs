//! What a browser can be made to send, limits, and the headers of answers.

use serde_json::json;

use crate::{TestHub, answer, unsealed};
use rig_testhub::tokens::{admin, issue, token, with};

async fn with_settings(text: &str) -> TestHub {
    let access = toml::from_str(text).unwrap();
    TestHub::with(rig_hub::Options { access, ..unsealed() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_made_to_point_here_is_refused() {
    let hub = with_settings("hosts = [\"rig.example\"]").await;
    let ask = async |method: &str, host: &str| {
        let request = hub.client.request(method.parse().unwrap(), hub.stream("events")).header("host", host);
        answer(request.body(r#"{"type":"a.b"}"#)).await
    };
    for host in ["localhost:7070", "127.0.0.1", "[::1]:1", "rig.example", "RIG.example:443"] {
        assert_eq!(ask("POST", host).await.0, 201, "{host}");
    }
    for host in ["evil.example", "evil.example:7070", "rig.example.evil.example", "127.0.0.1.evil.example"] {
        for method in ["GET", "POST"] {
            let (status, refused) = ask(method, host).await;
            assert_eq!((status, &refused["code"]), (421, &json!("wrong-host")), "{method} {host}");
        }
    }
    let health = hub.client.get(format!("{}/healthz", hub.url)).header("host", "evil.example");
    assert_eq!(answer(health).await.0, 200, "a load balancer asks by any name");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_changes_and_reads_nothing() {
    let hub = with_settings("cors_origins = [\"https://dash.example\"]").await;
    let ask = async |method: &str, origin: &str, path: &str| {
        let request = hub.client.request(method.parse().unwrap(), format!("{}{path}", hub.url));
        let request = request.header("origin", origin).header("access-control-request-method", "POST");
        let response = request.body(r#"{"type":"a.b"}"#).send().await.unwrap();
        let allowed = response.headers().get("access-control-allow-origin").cloned();
        (response.status().as_u16(), allowed.map(|origin| origin.to_str().unwrap().to_owned()))
    };
    let events = "/v1/streams/main/events";
    let dash = Some("https://dash.example".to_owned());
    assert_eq!(ask("POST", "https://dash.example", events).await, (201, dash.clone()));
    assert_eq!(ask("GET", "https://dash.example", events).await, (200, dash.clone()));
    assert_eq!(ask("OPTIONS", "https://dash.example", events).await, (204, dash));
    for origin in ["https://evil.example", "null", "https://dash.example.evil.example", "http://dash.example"]
    {
        assert_eq!(ask("POST", origin, events).await, (403, None), "{origin}");
        assert_eq!(ask("PUT", origin, "/v1/streams/new").await, (403, None), "{origin}");
        assert_eq!(ask("DELETE", origin, "/v1/streams/main").await, (403, None), "{origin}");
        assert_eq!(ask("POST", origin, "/v1/tokens").await, (403, None), "{origin}");
        assert_eq!(ask("GET", origin, events).await, (200, None), "{origin}");
        assert_eq!(ask("OPTIONS", origin, events).await, (405, None), "{origin}");
    }
    assert_eq!(ask("POST", &hub.url, events).await.0, 201, "its own pages may");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_the_headers_that_protect_it() {
    let hub = TestHub::in_memory().await;
    for path in
        ["/healthz", "/metrics", "/v1/streams", "/v1/streams/main/events", "/nonsense", "/v1/streams/x/state"]
    {
        let response = hub.client.get(format!("{}{path}", hub.url)).send().await.unwrap();
        let headers = response.headers();
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("cross-origin-resource-policy", "same-origin"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(headers.get(name).unwrap(), value, "{path} {name}");
        }
        assert!(!headers["x-request-id"].is_empty() && !headers.contains_key("access-control-allow-origin"));
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_too_much_waits_and_others_do_not() {
    let hub = with_settings("requests_per_second = 1\nburst = 8").await;
    let root = admin(&hub).await;
    let (other, _) = issue(&hub, Some(&root), token("other", &["read"], &["*"])).await;
    let ask = async |token: Option<&str>| {
        let request = with(hub.client.get(format!("{}/v1/streams", hub.url)), token);
        let response = request.send().await.unwrap();
        let wait =
            response.headers().get("retry-after").map(|wait| wait.to_str().unwrap().parse::<u64>().unwrap());
        (response.status().as_u16(), wait)
    };
    let mut limited = 0;
    for _ in 0..100 {
        match ask(Some(&root)).await {
            (200, None) => {}
            (429, Some(1..)) => limited += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(limited > 50, "{limited}");
    assert_eq!(ask(Some(&other)).await.0, 200);
    let mut strangers = Vec::new();
    for _ in 0..100 {
        strangers.push(ask(None).await.0);
    }
    assert!(strangers.contains(&401) && strangers.contains(&429), "{strangers:?}");
    let health = hub.client.get(format!("{}/healthz", hub.url)).send().await.unwrap();
    assert_eq!(health.status(), 200);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_open_where_that_is_said() {
    let hub = with_settings("open_metrics = true").await;
    admin(&hub).await;
    for (path, status) in [("/metrics", 200), ("/v1/streams", 401)] {
        let response = hub.client.get(format!("{}{path}", hub.url)).send().await.unwrap();
        assert_eq!(response.status(), status, "{path}");
    }
    hub.stop().await;
}
