//! What those who run a hub see of it: metrics, the dashboard over them, readiness while it stops.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{TestHub, types};

#[track_caller]
fn stands(metrics: &str, line: &str) {
    assert!(metrics.lines().any(|l| l == line), "{line} is not in\n{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn captures_diffs_and_drift_are_counted() {
    let policy = "[[severity]]\npath = \"db.**\"\nlevel = \"critical\"\n";
    let data = tempfile::tempdir().unwrap();
    let options = rig_hub::Options {
        data: Some(data.path().to_owned()),
        policy: rig_config::Policy::parse(policy).unwrap(),
        ..crate::unsealed()
    };
    let hub = TestHub::with(options.clone()).await;
    assert_eq!(hub.capture("service=api", "{\"a\":1,\"db\":{\"host\":\"x\"}}").await.0, 201);
    let (_, unchanged) = hub.capture("service=api", "{\"a\":1,\"db\":{\"host\":\"x\"}}").await;
    assert_eq!(types(&unchanged), ["snapshot.unchanged"]);
    let approved = hub.client.put(hub.stream("services/api/baseline")).send().await.unwrap();
    assert_eq!(approved.status(), 200);
    hub.capture("service=api", "{\"a\":1,\"db\":{\"host\":\"y\"}}").await;
    let told = hub.metrics().await;
    stands(&told, "rig_captures_total{stream=\"main\"} 3");
    stands(&told, "rig_captures_unchanged_total{stream=\"main\"} 1");
    stands(&told, "rig_diffs_total{stream=\"main\"} 1");
    stands(&told, "rig_drifting_services{stream=\"main\",severity=\"critical\"} 1");
    stands(&told, "rig_drifting_services{stream=\"main\",severity=\"medium\"} 0");
    hub.stop().await;

    // A drift is there after a restart, and gone when it is resolved.
    let hub = TestHub::with(options).await;
    stands(&hub.metrics().await, "rig_drifting_services{stream=\"main\",severity=\"critical\"} 1");
    let (_, back) = hub.capture("service=api", "{\"a\":2,\"db\":{\"host\":\"x\"}}").await;
    assert!(types(&back).contains(&"drift.changed"), "{back}");
    stands(&hub.metrics().await, "rig_drifting_services{stream=\"main\",severity=\"critical\"} 0");
    stands(&hub.metrics().await, "rig_drifting_services{stream=\"main\",severity=\"medium\"} 1");
    hub.capture("service=api", "{\"a\":1,\"db\":{\"host\":\"x\"}}").await;
    stands(&hub.metrics().await, "rig_drifting_services{stream=\"main\",severity=\"medium\"} 0");
    hub.stop().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn what_holds_configuration_is_its_owners_also_in_a_folder_that_is_everybodys() {
    use std::os::unix::fs::PermissionsExt as _;
    let data = tempfile::tempdir().unwrap();
    std::fs::set_permissions(data.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let hub =
        TestHub::with(rig_hub::Options { data: Some(data.path().to_owned()), ..crate::unsealed() }).await;
    for folder in ["keys", "streams", "index"] {
        let mode = std::fs::metadata(data.path().join(folder)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{folder}");
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_stops_says_so_and_ends_what_was_begun() {
    let hub = TestHub::in_memory().await;
    let mut begun = TcpStream::connect(hub.url.trim_start_matches("http://")).await.unwrap();
    let head = "POST /v1/streams/main/events HTTP/1.1\r\nhost: localhost\r\ncontent-length: 14\r\nexpect: 100-continue\r\n\r\n";
    begun.write_all(head.as_bytes()).await.unwrap();
    // The hub asks for the body: the request is in work.
    let mut go_on = [0; 25];
    begun.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");

    hub.stop.send(()).unwrap();
    let ready = format!("{}/readyz", hub.url);
    loop {
        // A connection without a request in work is closed when the stop begins.
        let Ok((status, said)) = super::try_answer(hub.client.get(&ready)).await else { continue };
        if status != 200 {
            assert_eq!((status, &said["code"]), (503, &"closed".into()));
            break;
        }
    }
    let (status, said) = super::answer(hub.client.get(format!("{}/v1/streams", hub.url))).await;
    assert_eq!((status, &said["code"]), (503, &"closed".into()));

    begun.write_all(b"{\"type\":\"a.b\"}").await.unwrap();
    let mut answer = String::new();
    begun.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    drop(hub.client);
    hub.served.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_an_id() {
    let hub = TestHub::in_memory().await;
    let id = async |sent: Option<&str>| {
        let request = hub.client.get(format!("{}/v1/streams", hub.url));
        let request = sent.into_iter().fold(request, |request, id| request.header("x-request-id", id));
        request.send().await.unwrap().headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(id(Some("run-7")).await, "run-7");
    assert_ne!(id(None).await, id(None).await);
    hub.stop().await;
}
