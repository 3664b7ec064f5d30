//! A service's timeline, the difference between two points of it, and who changed a field.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod looks;

use rig_hub::Options;
use rig_testhub::{TestHub, answer, unsealed};
use serde_json::{Value, json};

async fn start(options: Options) -> TestHub {
    TestHub::mounted(options, vec![rig_query::component()]).await
}

/// A hub in which `api` was changed twice, approved in between, with traffic and another service around it.
async fn changed_twice() -> TestHub {
    let hub = start(unsealed()).await;
    hub.capture("service=api&format=json&actor=ana", r#"{"db":{"host":"a","port":1}}"#).await;
    hub.capture("service=api2&format=json", r#"{"db":{"host":"other"}}"#).await;
    answer(hub.client.put(hub.stream("services/api/baseline?reason=reviewed"))).await;
    let noise: Vec<Value> =
        (0..1500).map(|_| json!({"type":"service.log","service":"api","data":"api"})).collect();
    hub.append("", &json!(noise).to_string()).await;
    hub.capture("service=api&format=json&actor=ben&meta.git_sha=abc", r#"{"db":{"host":"b","port":1}}"#)
        .await;
    hub.capture("service=api&format=json&actor=eve", r#"{"db":{"host":"c","port":1,"tls":true}}"#).await;
    hub
}

fn seqs(page: &Value) -> Vec<u64> {
    page["events"].as_array().unwrap().iter().map(|e| e["seq"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_of_a_service_is_told_newest_first_and_page_by_page() {
    let hub = changed_twice().await;
    let (status, whole) = hub.get("services/api/history").await;
    assert_eq!(status, 200, "{whole}");
    let types: Vec<&str> =
        whole["events"].as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        [
            "drift.changed",
            "diff.computed",
            "snapshot.captured",
            "drift.detected",
            "diff.computed",
            "snapshot.captured",
            "baseline.approved",
            "snapshot.captured"
        ]
    );
    assert!(whole.get("next_before").is_none(), "{whole}");
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let (_, page) = hub.get(&format!("services/api/history?limit=3{cursor}")).await;
        assert!(page["events"].as_array().unwrap().len() <= 3);
        paged.extend(seqs(&page));
        let Some(next) = page["next_before"].as_u64() else { break };
        cursor = format!("&before={next}");
    }
    assert_eq!(paged, seqs(&whole));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_members_are_named_in_a_timeline_and_not_shown() {
    let hub = start(unsealed()).await;
    let large: std::collections::BTreeMap<String, u32> =
        (0..60_000).map(|n| (format!("key{n}"), n)).collect();
    hub.capture("service=api&format=json", json!(large).to_string()).await;
    let (_, page) = hub.get("services/api/history").await;
    let events = page["events"].as_array().unwrap();
    assert_eq!(events.len(), 1, "parts are one entry");
    assert_eq!(events[0]["left_out"], json!(["config"]));
    assert!(page.to_string().len() < 4096);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_two_points_of_a_service_are_compared() {
    let hub = changed_twice().await;
    let (status, diff) = hub.get("services/api/diff?from=1").await;
    assert_eq!(status, 200, "{diff}");
    assert_eq!((&diff["added"], &diff["changed"], &diff["from"]), (&json!(1), &json!(1), &json!(1)));
    let changes = diff["changes"].as_array().unwrap();
    assert_eq!((&changes[0]["path"], &changes[0]["before"]), (&json!("db.host"), &json!("a")));
    assert_eq!(changes[0]["after"], "c");
    let head = diff["to"].as_u64().unwrap();
    let (_, back) = hub.get(&format!("services/api/diff?from={head}&to=1")).await;
    assert_eq!((&back["removed"], &back["changes"][0]["after"]), (&json!(1), &json!("a")));
    let (_, same) = hub.get("services/api/diff?from=1&to=1").await;
    assert_eq!((&same["changed"], same.get("changes")), (&json!(0), None));
    hub.capture("service=text&format=text", "a\nb\n").await;
    let (_, first) = hub.get("services/text/config").await;
    hub.capture("service=text&format=text", "a\nc\n").await;
    let (_, lines) = hub.get(&format!("services/text/diff?from={}", first["captured_seq"])).await;
    assert_eq!((&lines["lines_added"], &lines["lines_removed"]), (&json!(1), &json!(1)), "{lines}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blame_names_who_changed_a_field_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let hub = start(Options { data: Some(folder.path().to_owned()), ..unsealed() }).await;
    hub.capture("service=api&format=json&actor=ana", r#"{"db":{"host":"a","port":1}}"#).await;
    hub.append("", r#"{"type":"service.log","service":"api","data":"api"}"#).await;
    hub.capture("service=api&format=json&actor=ben&meta.git_sha=abc", r#"{"db":{"host":"b","port":1}}"#)
        .await;
    hub.stop().await;
    let hub = start(Options { data: Some(folder.path().to_owned()), ..unsealed() }).await;
    let (status, told) = hub.get("services/api/blame?path=db.host").await;
    assert_eq!(status, 200, "{told}");
    let field = &told["fields"][0];
    assert_eq!((&field["path"], &field["value"]), (&json!("db.host"), &json!("b")));
    let changes = field["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2, "every change of one field: {told}");
    assert_eq!((&changes[0]["actor"], &changes[0]["meta"]["git_sha"]), (&json!("ben"), &json!("abc")));
    assert_eq!((&changes[0]["before"], &changes[1]["actor"]), (&json!("a"), &json!("ana")));
    let (_, before) = hub.get("services/api/blame?path=db.host&at=2").await;
    assert_eq!((&before["fields"][0]["value"], &before["seq"]), (&json!("a"), &json!(2)));
    let (_, pattern) = hub.get("services/api/blame?path=db.**").await;
    let fields = pattern["fields"].as_array().unwrap();
    assert_eq!(fields.len(), 2);
    assert!(fields.iter().all(|f| f["changes"].as_array().unwrap().len() == 1), "{pattern}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_told_of_a_service_is_a_problem_with_a_code() {
    let hub = changed_twice().await;
    for (path, status, code) in [
        ("services/api/history?limit=0", 400, "bad-query"),
        ("services/api/history?limit=1001", 400, "bad-query"),
        ("services/api/history?before=x", 400, "bad-cursor"),
        ("services/api/history?before=999999", 400, "past-head"),
        ("services/api/history?since=1", 400, "bad-query"),
        ("services/nobody/history", 404, "no-snapshot"),
        ("services/api/diff", 400, "bad-query"),
        ("services/api/diff?from=0", 404, "no-snapshot"),
        ("services/api/diff?from=1&to=999999", 404, "past-head"),
        ("services/api/diff?from=18446744073709551615", 404, "past-head"),
        ("services/nobody/diff?from=1", 404, "no-snapshot"),
        ("services/api/blame", 400, "bad-query"),
        ("services/api/blame?path=a[", 400, "bad-path"),
        ("services/api/blame?path=no.such", 404, "no-field"),
        ("services/api/blame?path=db.host&at=999999", 404, "past-head"),
        ("services/nobody/blame?path=a", 404, "no-snapshot"),
        ("services/a%00b/blame?path=a", 400, "bad-service-name"),
    ] {
        let (got, problem) = hub.get(path).await;
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{path}: {problem}");
    }
    hub.stop().await;
}
