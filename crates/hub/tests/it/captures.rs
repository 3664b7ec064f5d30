//! From a document to snapshots, diffs, drift and states.

use rig_event::{Envelope, FlatConfig, Timestamp};
use rig_replay::State;
use serde_json::{Value, json};

use crate::{TestHub, answer, types};

#[tokio::test(flavor = "multi_thread")]
async fn a_document_becomes_a_snapshot_then_a_diff_then_nothing() {
    let hub = TestHub::in_memory().await;
    let (status, first) = hub.capture("service=api&format=yaml", "db:\n  host: a\n  port: 5432\n").await;
    assert_eq!((status, types(&first)), (201, vec!["snapshot.captured"]), "{first}");
    assert_eq!(first["events"][0]["config"], json!({"db.host": "a", "db.port": 5432}));
    let (_, second) = hub.capture("service=api&format=yaml", "db:\n  host: b\n  port: 5432\n").await;
    assert_eq!(types(&second), ["snapshot.captured", "diff.computed"]);
    assert_eq!((&second["events"][1]["from"], &second["events"][1]["to"]), (&json!(1), &json!(2)));
    let (_, third) = hub.capture("service=api&format=yaml", "# why\ndb:\n  host: b\n  port: 5432\n").await;
    assert_eq!(types(&third), ["snapshot.captured"]);
    let (_, fourth) =
        hub.capture("service=api&format=yaml", "# why\r\ndb:\r\n  host: b\r\n  port: 5432\r\n").await;
    assert_eq!(types(&fourth), ["snapshot.unchanged"]);
    let (_, before) = hub.get("services/api/config?at=1").await;
    assert_eq!(before["config"], json!({"db.host": "a", "db.port": 5432}));
    let (_, after) = hub.get("services/api/config").await;
    assert_eq!(after["config"]["db.host"], "b");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_folds_to_the_same_hash_outside_the_hub() {
    let folder = tempfile::tempdir().unwrap();
    let hub = TestHub::on(folder.path()).await;
    for n in 0..30 {
        let document = json!({"n": n, "list": vec![n; n % 4], "password": format!("hunter{}", n / 3)});
        hub.capture("service=api&format=json", document.to_string()).await;
        hub.append(
            "",
            &format!(r#"{{"type":"request.completed","source":"a","target":"b","status":{}}}"#, 200 + n * 10),
        )
        .await;
        if n == 5 {
            answer(hub.client.put(hub.stream("services/api/baseline?reason=fine"))).await;
        }
    }
    let mut state = State::default();
    for line in hub.lines("from=1").await {
        assert!(!line.contains("hunter"), "{line}");
        state.apply(&Envelope::parse(line.as_bytes()).unwrap()).unwrap();
        let (_, there) = hub.get(&format!("state?at={}", state.seq)).await;
        assert_eq!(there["hash"], state.hash(), "at {}", state.seq);
    }
    let last = state.seq;
    hub.stop().await;
    let hub = TestHub::on(folder.path()).await;
    let (_, there) = hub.get("state").await;
    assert_eq!((&there["hash"], &there["seq"]), (&json!(state.hash()), &json!(last)));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_detected_accepted_and_resolved() {
    let hub = TestHub::in_memory().await;
    hub.capture("service=api&format=json", r#"{"a":1,"b":1}"#).await;
    let (status, approved) =
        answer(hub.client.put(hub.stream("services/api/baseline?actor=ana&reason=reviewed"))).await;
    assert_eq!((status, types(&approved)), (200, vec!["baseline.approved"]), "{approved}");
    let (_, drifted) = hub.capture("service=api&format=json", r#"{"a":2,"b":1}"#).await;
    assert_eq!(types(&drifted), ["snapshot.captured", "diff.computed", "drift.detected"]);
    let accept =
        |body: Value| answer(hub.client.post(hub.stream("services/api/drift/accept")).body(body.to_string()));
    let (status, _) = accept(json!({"paths": ["a"]})).await;
    assert_eq!(status, 400);
    let (status, past) = accept(json!({"reason": "x", "until": "2001-01-01T00:00:00Z"})).await;
    assert_eq!((status, &past["code"]), (422, &json!("until-in-the-past")));
    let (status, accepted) =
        accept(json!({"paths": ["a"], "reason": "known", "until": "2999-01-01T00:00:00Z"})).await;
    assert_eq!((status, types(&accepted)), (200, vec!["drift.accepted"]), "{accepted}");
    assert_eq!(accepted["events"][0]["verdict"], "accepted");
    let (_, changed) = hub.capture("service=api&format=json", r#"{"a":3,"b":1}"#).await;
    assert_eq!(types(&changed), ["snapshot.captured", "diff.computed", "drift.changed"]);
    let (_, resolved) = hub.capture("service=api&format=json", r#"{"a":1,"b":1}"#).await;
    assert_eq!(types(&resolved), ["snapshot.captured", "diff.computed", "drift.resolved"]);
    let (_, revoked) = answer(hub.client.delete(hub.stream("services/api/baseline"))).await;
    assert_eq!(types(&revoked), ["baseline.revoked"]);
    let (status, none) = hub.get("services/api/baseline").await;
    assert_eq!((status, &none["code"]), (404, &json!("no-baseline")));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_documents_come_in_parts_and_fold_to_themselves() {
    let hub = TestHub::in_memory().await;
    let document = |salt: &str| -> FlatConfig {
        (0..30_000).map(|n| (format!("key{n}"), Value::String(format!("value {n} {salt}")))).collect()
    };
    for salt in ["a", "b"] {
        let (status, captured) =
            hub.capture("service=api&format=json", json!(document(salt)).to_string()).await;
        assert_eq!(status, 201);
        assert!(types(&captured).len() > 2, "{:?}", types(&captured));
        let (_, config) = hub.get("services/api/config").await;
        assert_eq!(serde_json::from_value::<FlatConfig>(config["config"].clone()).unwrap(), document(salt));
    }
    let text =
        |salt: &str| -> String { (0..20_000).map(|n| format!("line {n} {salt} \"quoted\"\n")).collect() };
    for salt in ["a", "b"] {
        hub.capture("service=router&format=text", text(salt)).await;
        let (_, config) = hub.get("services/router/config").await;
        assert_eq!(config["config"]["text"], text(salt));
    }
    let mut state = State::default();
    for line in hub.lines("from=1").await {
        assert!(line.len() <= rig_event::MAX_LINE);
        state.apply(&Envelope::parse(line.as_bytes()).unwrap()).unwrap();
    }
    assert_eq!(hub.get("state").await.1["hash"], state.hash());
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_document_leaves_an_event_without_its_content() {
    let hub = TestHub::in_memory().await;
    let deep = "[".repeat(100_000);
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("service=a&format=json", b"{\"hunter2\": \n x}".to_vec(), 422, "malformed-document"),
        ("service=a&format=nope", b"hunter2".to_vec(), 422, "unknown-format"),
        ("service=a", b"hunter2 = what".to_vec(), 422, "unknown-format"),
        ("service=a&format=yaml", b"a: \xff\xfe hunter2".to_vec(), 422, "invalid-utf8"),
        ("service=a&format=json", br#"{"a":"hunter2","a":2}"#.to_vec(), 422, "duplicate-key"),
        ("service=a&format=json", deep.into_bytes(), 422, "too-deep"),
    ];
    let n = cases.len();
    for (query, document, status, code) in cases {
        let (got, problem) = hub.capture(query, document).await;
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{problem}");
    }
    let lines = hub.lines("from=1&types=snapshot.rejected").await;
    assert_eq!(lines.len(), n);
    assert!(lines.iter().all(|line| !line.contains("hunter2")), "{lines:#?}");
    let (status, _) = hub.capture("service=a&format=json", "{}").await;
    assert_eq!(status, 201);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_document_was_read_stands_on_its_snapshot() {
    let hub = TestHub::in_memory().await;
    let latin: &[u8] = b"[a]\nb = caf\xe9\nb = 2\n";
    let utf16: Vec<u8> = "\u{feff}{\"a\": 1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cut = "/ip firewall filter\nadd chain=input \\\n";
    for (query, document, format, encoding, warnings) in [
        ("service=latin&name=a.ini", latin, "ini", "iso-8859-1", "encoding-guessed repeated-key"),
        ("service=latin2&name=a.ini&encoding=iso-8859-1", latin, "ini", "iso-8859-1", "repeated-key"),
        ("service=wide&name=a.json", &utf16, "json", "utf-16le", ""),
        ("service=cut&format=routeros", cut.as_bytes(), "routeros", "", "truncated"),
        ("service=odd&name=odd-name", b"a b c\n", "text", "", "read-as-text"),
        ("service=code&name=app/.vscode/settings.json", b"{} // c\n", "jsonc", "", ""),
    ] {
        let (status, captured) = hub.capture(query, document.to_vec()).await;
        assert_eq!(status, 201, "{query}: {captured}");
        let event = &captured["events"][0];
        let codes: Vec<&str> = event["warnings"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|warning| warning["code"].as_str().unwrap())
            .collect();
        let found = (event["format"].as_str(), event["encoding"].as_str().unwrap_or(""), codes.join(" "));
        assert_eq!(found, (Some(format), encoding, warnings.to_owned()), "{event}");
    }
    // What somebody says wins, and the same text in another encoding is the same document.
    let (_, again) = hub.capture("service=wide&name=a.json", "{\"a\": 1}").await;
    assert_eq!(types(&again), ["snapshot.unchanged"]);
    for (query, code) in [
        ("encoding=utf-8", "invalid-utf8"),
        ("encoding=utf-16le", "not-in-encoding"),
        ("encoding=hunter2", "unread-encoding"),
    ] {
        let (status, problem) =
            hub.capture(&format!("service=a&name=a.ini&{query}"), b"a=\xe9".to_vec()).await;
        assert_eq!((status, problem["code"].as_str()), (422, Some(code)), "{problem}");
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declaration_of_nothing_is_refused() {
    let hub = TestHub::in_memory().await;
    let declare = async |query: &str, document: &str| {
        let request = hub.client.put(hub.stream(&format!("services/api/declared?{query}")));
        let answer = request.body(document.to_owned()).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap()["code"].clone())
    };
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n";
    let page = "<!DOCTYPE html>\n<html><body>Sign in</body></html>\n";
    for (query, document, code) in [
        ("name=api.yaml", "", "nothing-declared"),
        ("name=api.yaml", "# only a comment\n", "nothing-declared"),
        ("name=api.json", "{}", "nothing-declared"),
        ("name=api.txt", " \n", "nothing-declared"),
        ("name=api.yaml", pointer, "nothing-declared"),
        ("name=api.conf", pointer, "nothing-declared"),
        ("name=api.yaml", "../base/api.yaml", "not-a-map"),
        ("name=api", "../base/api.yaml", "not-a-map"),
        ("name=api.yaml", page, "not-a-map"),
        ("name=api.xml", page, "not-a-map"),
        ("name=api.conf", page, "not-a-map"),
        ("name=api.yaml", "- a\n", "not-a-map"),
        ("name=api.yaml", "5", "not-a-map"),
    ] {
        assert_eq!(declare(query, document).await, (422, json!(code)), "{query}: {document}");
    }
    for (query, document) in [
        ("name=api.yaml", "a: 1\n"),
        ("name=api.yaml", "a: {}\n"),
        ("name=api.conf", "hostname a\n"),
        ("format=text", "a\n"),
    ] {
        assert_eq!(declare(query, document).await.0, 200, "{query}: {document}");
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_id_gets_the_first_answer() {
    let folder = tempfile::tempdir().unwrap();
    let hub = TestHub::on(folder.path()).await;
    let events = r#"[{"type":"shop.sold","id":"k1","n":1},{"type":"shop.sold","n":2}]"#;
    let (status, first) = hub.append("", events).await;
    assert_eq!(status, 201, "{first}");
    let (status, again) = hub.append("", events).await;
    assert_eq!((status, &again), (200, &first));
    let (status, other) =
        hub.append("", r#"[{"type":"shop.sold","id":"k1"},{"type":"shop.sold","id":"k2"}]"#).await;
    assert_eq!((status, &other["code"]), (409, &json!("id-reused")));
    let (_, captured) = hub.capture("service=api&format=json&id=c1", r#"{"a":1}"#).await;
    let (_, again) = hub.capture("service=api&format=json&id=c1", r#"{"a":1}"#).await;
    assert_eq!(captured, again);
    hub.stop().await;
    let hub = TestHub::on(folder.path()).await;
    let (_, later) = hub.append("", events).await;
    assert_eq!(later, first);
    let (status, wrong) = hub.append("?expected_seq=1", r#"{"type":"a.b"}"#).await;
    assert_eq!((status, &wrong["code"], &wrong["head"]), (409, &json!("expected-seq"), &json!(3)));
    let (status, _) = hub.append("?expected_seq=3", r#"{"type":"a.b"}"#).await;
    assert_eq!(status, 201);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_in_posted_events_do_not_reach_the_log() {
    let hub = TestHub::in_memory().await;
    let events = json!([
        {"type": "service.log", "service": "api", "stream": "stderr", "data": "connecting\npassword=hunter2 user=ana\n"},
        {"type": "request.completed", "source": "a", "target": "b", "path": "/login?token=hunter2", "status": 200,
         "request_headers": {"Authorization": ["Bearer hunter2hunter2hunter2"], "Cookie": ["sid=hunter2"], "Accept": ["*/*"]}},
        {"type": "shop.configured", "db": {"password": "hunter2", "host": "db-1"}, "n": 1.50},
    ]);
    let (status, answer) = hub.append("", &events.to_string()).await;
    assert_eq!(status, 201, "{answer}");
    assert!(!answer.to_string().contains("hunter2"), "{answer:#}");
    assert!(answer["events"][0]["data"].as_str().unwrap().contains("user=ana"));
    assert_eq!(answer["events"][1]["request_headers"]["Accept"], json!(["*/*"]));
    assert_eq!(answer["events"][2]["db"]["host"], "db-1");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_bound_to_what_it_was_first_used_for() {
    let hub = TestHub::in_memory().await;
    hub.capture("service=a&format=json&id=c1", r#"{"n":1}"#).await;
    for (service, document) in [("b", r#"{"n":1}"#), ("a", r#"{"n":2}"#)] {
        let (status, other) = hub.capture(&format!("service={service}&format=json&id=c1"), document).await;
        assert_eq!((status, &other["code"]), (409, &json!("id-reused")), "{other}");
    }
    // Also where the first was a repeat itself.
    hub.capture("service=a&format=json&id=c2", r#"{"n":1}"#).await;
    assert_eq!(hub.capture("service=a&format=json&id=c2", r#"{"n":1}"#).await.0, 200);
    assert_eq!(hub.capture("service=a&format=json&id=c2", r#"{"n":3}"#).await.0, 409);
    hub.append("", r#"{"type":"shop.sold","id":"k1"}"#).await;
    let (status, other) = hub.append("", r#"{"type":"shop.paid","id":"k1"}"#).await;
    assert_eq!((status, &other["code"]), (409, &json!("id-reused")));
    let (status, other) = hub.capture("service=a&format=json&id=k1", r#"{"n":3}"#).await;
    assert_eq!((status, &other["code"]), (409, &json!("id-reused")));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_expired_acceptances_do_not_wedge_a_service() {
    let now = || Timestamp::from_micros(NOW.load(std::sync::atomic::Ordering::Relaxed));
    static NOW: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(1_000_000);
    let hub = TestHub::with(rig_hub::Options { clock: now, ..crate::unsealed() }).await;
    let document = |salt: &str| -> String {
        let fields =
            (0..1_000).map(|n| (format!("k{n:03}"), Value::String(format!("{salt}{}", "x".repeat(700)))));
        json!(fields.collect::<FlatConfig>()).to_string()
    };
    hub.capture("service=api&format=json", document("a")).await;
    answer(hub.client.put(hub.stream("services/api/baseline"))).await;
    hub.capture("service=api&format=json", document("b")).await;
    for n in 0..10 {
        let body = json!({"paths": [format!("k{n}*")], "reason": "test", "until": "1970-01-01T00:01:00Z"})
            .to_string();
        let (status, accepted) =
            answer(hub.client.post(hub.stream("services/api/drift/accept")).body(body)).await;
        assert_eq!(status, 200, "{accepted}");
    }
    NOW.store(3_600_000_000, std::sync::atomic::Ordering::Relaxed);
    let (status, captured) = hub.capture("service=api&format=json", document("a")).await;
    assert_eq!(status, 201, "{captured}");
    let found = types(&captured);
    assert!(found.iter().filter(|t| **t == "drift.expired").count() > 1, "{found:?}");
    assert_eq!(found.last(), Some(&"drift.resolved"));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_diff_of_many_sections_is_captured() {
    let hub = TestHub::in_memory().await;
    let export = |salt: &str| -> String {
        let sections = (0..20_000).map(|n| format!("/section number{n}\nadd name={salt}{n}\n"));
        format!("# 2026-01-15 10:30:00 by RouterOS 7.20\n{}", sections.collect::<String>())
    };
    for salt in ["a", "b"] {
        let (status, captured) = hub.capture("service=router&format=text", export(salt)).await;
        assert_eq!(status, 201, "{}", captured["detail"]);
    }
    let (_, config) = hub.get("services/router/config").await;
    assert!(config["config"]["text"].as_str().unwrap().contains("add name=b19999"));
    hub.stop().await;
}

const SNAPSHOT: &str = r#"{"version":"1.0","timestamp":"2026-01-01T00:00:00Z",
  "config":{"database.host":"a","database.port":5432,"database.password":"hunter2","pin":77123,"tags":["x","y"]},
  "provenance":[{"FieldPath":"Database.Host","KeyPath":"database.host","SourceName":"env:APP_DATABASE__HOST","Secret":false},
    {"FieldPath":"Pin","KeyPath":"pin","SourceName":"file:a.yaml","Line":7,"Secret":true},
    {"FieldPath":"Tags","KeyPath":"tags","SourceName":"default","Secret":false},
    {"FieldPath":"X","KeyPath":"database.port","SourceName":"postgres://app:hunter2@db/x","Secret":false}],
  "audit":{"operator":"ana","service":"other"}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_file_is_captured_with_the_sources_of_its_fields() {
    let hub = TestHub::in_memory().await;
    let (status, first) = hub.capture("service=api&meta.operator=eve&meta.n=1", SNAPSHOT).await;
    assert_eq!((status, types(&first)), (201, vec!["snapshot.captured"]), "{first}");
    let event = &first["events"][0];
    assert_eq!(
        (&event["format"], &event["meta"]),
        (
            &json!("snapshot"),
            // What the file says of itself stays beside what the sender says.
            &json!({
                "n": "1", "operator": "eve", "snapshot.operator": "ana", "snapshot.timestamp": "2026-01-01T00:00:00.000000Z"
            })
        )
    );
    let sources = json!({
        "database.host": "env:APP_DATABASE__HOST", "pin": "file:a.yaml:7", "tags[0]": "default", "tags[1]": "default"
    });
    assert_eq!(event["provenance"], sources);
    // What is marked as a secret is one, whatever its name says.
    assert_eq!(event["redacted_by"]["marked"], 1, "{event}");
    assert!(event["config"]["pin"]["redacted"].as_str().unwrap().starts_with("hmac:"), "{event}");
    assert!(!first.to_string().contains("hunter2") && !first.to_string().contains("77123"), "{first}");
    // Taken again at another time it says the same.
    let later = SNAPSHOT.replace("2026-01-01", "2026-02-02");
    assert_eq!(
        types(&hub.capture("service=api&format=snapshot", later.clone()).await.1),
        ["snapshot.unchanged"]
    );
    let moved = later.replace("a.yaml", "b.yaml");
    let (_, moved) = hub.capture("service=api", moved).await;
    assert_eq!(
        (types(&moved), &moved["events"][0]["provenance"]),
        (vec!["snapshot.captured"], &json!({"pin": "file:b.yaml:7"}))
    );
    let (_, there) = hub.get("services/api/config").await;
    assert_eq!(
        (&there["provenance"]["pin"], &there["provenance"]["tags[0]"]),
        (&json!("file:b.yaml:7"), &json!("default"))
    );
    let (_, state) = hub.get("state").await;
    assert_eq!(state["services"]["api"]["provenance"], there["provenance"]);
    // A plain document says nothing about sources, and what was known is forgotten.
    let (_, plain) = hub.capture("service=api&format=json", r#"{"pin":1,"tags":["x"]}"#).await;
    assert_eq!(plain["events"][0]["provenance"], json!({"": "unknown"}));
    let (_, there) = hub.get("services/api/config").await;
    assert_eq!(there["provenance"], Value::Null);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_as_a_snapshot_file_must_be_one() {
    let hub = TestHub::in_memory().await;
    for body in ["{\"a\":1}".to_owned(), "a: 1".to_owned(), SNAPSHOT.replace("\"1.0\"", "\"2.0\"")] {
        let (status, problem) = hub.capture("service=api&format=snapshot", body).await;
        assert_eq!((status, &problem["code"]), (422, &json!("bad-snapshot-file")), "{problem}");
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
    }
    // Asked for as JSON it is JSON.
    let (_, plain) = hub.capture("service=api&format=json", SNAPSHOT).await;
    assert_eq!(plain["events"][0]["config"]["version"], "1.0");
    // Its flat names are names: one may be the beginning of another.
    let both = SNAPSHOT.replace("\"pin\":77123", "\"database\":1");
    let (status, first) = hub.capture("service=both", both.clone()).await;
    assert_eq!((status, types(&first)), (201, vec!["snapshot.captured"]), "{first}");
    let (_, second) = hub.capture("service=both", both.replace("\"database\":1", "\"database\":2")).await;
    assert_eq!(second["events"][1]["changes"][0]["path"], "database", "{second}");
    let (_, there) = hub.get("services/both/config").await;
    assert_eq!((&there["config"]["database"], &there["config"]["database.host"]), (&json!(2), &json!("a")));
    hub.stop().await;
}
