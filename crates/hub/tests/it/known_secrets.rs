//! Values that were captured as secrets are hidden wherever they come up again in their stream, and nowhere else.

use rig_testhub::TestHub;

const DOCUMENT: &str = r#"{"db": {"password": "quietriverbank", "host": "db"}}"#;

/// Captures a document with a secret and posts lines with its value; returns what the log holds of them.
async fn posted(hub: &TestHub, stream: &str) -> Vec<String> {
    let lines = [
        "login with quietriverbank failed",
        "GET /?next=cXVpZXRyaXZlcmJhbms=",
        "half of it: quietriverb",
        "PASS: TestLogin",
    ];
    for line in lines {
        let event = serde_json::json!({"type": "service.log", "service": "api", "data": line}).to_string();
        let url = format!("{}/v1/streams/{stream}/events", hub.url);
        let (status, answer) = rig_testhub::answer(
            reqwest::Client::new().post(url).header("content-type", "application/json").body(event),
        )
        .await;
        assert_eq!(status, 201, "{answer}");
    }
    let url = format!("{}/v1/streams/{stream}/events?from=1", hub.url);
    let text = reqwest::Client::new().get(url).send().await.unwrap().text().await.unwrap();
    text.lines().filter(|line| line.contains("\"service.log\"")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_learned_in_one_stream_is_hidden_there_and_learned_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let hub = TestHub::on(folder.path()).await;
    let made = rig_testhub::answer(reqwest::Client::new().put(format!("{}/v1/streams/other", hub.url))).await;
    assert_eq!(made.0, 201, "{made:?}");
    let (status, answer) = hub.capture("service=api&format=json", DOCUMENT).await;
    assert_eq!(status, 201, "{answer}");
    assert!(hub.metrics().await.contains("rig_known_secrets{stream=\"main\"} 1"), "{}", hub.metrics().await);

    let main = posted(&hub, "main").await.join("\n");
    for piece in ["quietriver", "cXVpZXRyaXZlcmJhbm"] {
        assert!(!main.contains(piece), "{main}");
    }
    assert!(main.contains("login with <redacted:") && main.contains("PASS: TestLogin"), "{main}");
    // Learning does not cross streams.
    assert!(posted(&hub, "other").await.join("\n").contains("login with quietriverbank failed"));
    hub.stop().await;

    // Learned values are in memory only: gone after a restart, until the next capture.
    let hub = TestHub::on(folder.path()).await;
    assert!(hub.metrics().await.contains("rig_known_secrets{stream=\"main\"} 0"));
    let (status, answer) = hub.capture("service=api&format=json", DOCUMENT).await;
    assert_eq!(status, 201, "{answer}");
    let again = posted(&hub, "main").await;
    assert!(!again[again.len() - 4..].join("\n").contains("quietriver"), "{again:?}");
    hub.stop().await;
}
