//! Tokens, scopes, tickets and what is told of them: every route against every kind of caller.

mod audit;
mod browser;
mod endings;
mod tickets;

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use rig_event::Timestamp;
use rig_testhub::tokens::{admin, issue, token, try_issue, with};
use serde_json::{Value, json};

use crate::{TestHub, answer, unsealed};

async fn status(hub: &TestHub, method: &str, path: &str, token: Option<&str>) -> u16 {
    let request = hub.client.request(method.parse().unwrap(), format!("{}{path}", hub.url));
    answer(with(request, token)).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_the_key_of_another_is_not_shown_what_was_sent_with_it() {
    let hub = TestHub::in_memory().await;
    let root = admin(&hub).await;
    let (writer, _) = issue(&hub, Some(&root), token("writer", &["write"], &["*"])).await;
    let send = async |path: &str, token: &str, body: &'static str| {
        answer(hub.client.post(hub.stream(path)).bearer_auth(token).body(body)).await
    };
    let captures = "snapshots?service=api&format=json&id=c1";
    for (path, body) in
        [("events", r#"{"type":"shop.sold","id":"k1","to":"ana"}"#), (captures, r#"{"to":"ana"}"#)]
    {
        let (status, first) = send(path, &root, body).await;
        assert_eq!(status, 201, "{first}");
        let (status, again) = send(path, &root, body).await;
        assert_eq!((status, &again), (200, &first));
        let guess = if path == "events" { r#"{"type":"shop.sold","id":"k1"}"# } else { "{}" };
        let (status, guessed) = send(path, &writer, guess).await;
        assert_eq!((status, &guessed["code"]), (409, &json!("id-reused")), "{guessed}");
        assert!(!guessed.to_string().contains("ana"), "{guessed}");
    }
    // Whom it acts for may be another one: it could have sent that itself.
    let acting = format!("{captures}&actor=eva");
    assert_eq!(send(&acting, &root, r#"{"to":"ana"}"#).await.0, 200);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_whose_own_stream_is_gone_does_not_stand_open() {
    let folder = tempfile::tempdir().unwrap();
    let hub = TestHub::on(folder.path()).await;
    admin(&hub).await;
    hub.stop().await;
    std::fs::remove_dir_all(folder.path().join("streams/_hub")).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = rig_hub::Options { data: Some(folder.path().to_owned()), ..unsealed() };
    let address = Some(listener.local_addr().unwrap());
    let refused =
        rig_testhub::builder(options).open(address).await.err().expect("it stands open").to_string();
    assert!(refused.contains("_hub is gone") && refused.contains("index"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_stands_open_until_there_is_a_token_and_never_again() {
    let folder = tempfile::tempdir().unwrap();
    let hub = TestHub::on(folder.path()).await;
    assert_eq!(status(&hub, "GET", "/v1/streams", None).await, 200);
    let (code, first) = try_issue(&hub, None, token("r", &["read"], &["*"])).await;
    assert_eq!((code, &first["code"]), (409, &json!("first-token")));
    let (code, first) = try_issue(&hub, None, token("r", &["admin"], &["ci-*"])).await;
    assert_eq!((code, &first["code"]), (409, &json!("first-token")));
    let (root, id) = issue(&hub, None, token("root", &["admin"], &["*"])).await;
    for path in ["/v1/streams", "/metrics", "/v1/tokens", "/v1/streams/main/state", "/nonsense"] {
        assert_eq!(status(&hub, "GET", path, None).await, 401, "{path}");
    }
    assert_eq!(status(&hub, "GET", "/healthz", None).await, 200);
    assert_eq!(status(&hub, "GET", "/v1/streams", Some(&root)).await, 200);
    assert_eq!(status(&hub, "GET", "/nonsense", Some(&root)).await, 404);
    assert_eq!(status(&hub, "PATCH", "/v1/streams", Some(&root)).await, 405);
    hub.stop().await;

    let hub = TestHub::on(folder.path()).await;
    assert_eq!(status(&hub, "GET", "/v1/streams", None).await, 401, "it is known after a restart");
    assert_eq!(status(&hub, "GET", "/v1/streams", Some(&root)).await, 200);
    assert_eq!(status(&hub, "DELETE", &format!("/v1/tokens/{id}"), Some(&root)).await, 204);
    for token in [None, Some(root.as_str())] {
        assert_eq!(status(&hub, "GET", "/v1/streams", token).await, 401, "the last one was revoked");
    }
    hub.stop().await;
    let hub = TestHub::on(folder.path()).await;
    assert_eq!(status(&hub, "GET", "/v1/streams", Some(&root)).await, 401);
    hub.stop().await;
    for file in walk(folder.path()) {
        let content = std::fs::read(&file).unwrap();
        let secret = root.rsplit('_').next().unwrap().as_bytes();
        assert!(!content.windows(secret.len()).any(|window| window == secret), "{}", file.display());
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_demands_tokens_has_none_to_give_away() {
    let access = toml::from_str("require_tokens = true").unwrap();
    let hub = TestHub::with(rig_hub::Options { access, ..unsealed() }).await;
    let (code, refused) = try_issue(&hub, None, token("root", &["admin"], &["*"])).await;
    assert_eq!((code, &refused["code"]), (401, &json!("no-token")));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_owns_the_data_directory_makes_tokens_while_no_hub_runs() {
    use rig_hub::access::{NewToken, Scope};
    use rig_hub::offline::{self, Refused, Task};
    let folder = tempfile::tempdir().unwrap();
    let options = || rig_hub::Options { data: Some(folder.path().to_owned()), ..unsealed() };
    let run = async |options: rig_hub::Options, task| {
        let store = rig_testhub::store(&options);
        offline::run(options, store, task).await
    };
    let new = NewToken { name: None, scopes: vec![Scope::Read], streams: vec!["*".into()], expires: None };
    let made = run(options(), Task::New(new.clone())).await.unwrap();
    assert_eq!(made["name"], made["id"], "without a name it is called by its id");
    let token = made["token"].as_str().unwrap();
    let hub = TestHub::on(folder.path()).await;
    assert_eq!(status(&hub, "GET", "/v1/streams", None).await, 401);
    assert_eq!(status(&hub, "GET", "/v1/streams", Some(token)).await, 200);
    let running = run(options(), Task::List).await;
    assert!(matches!(running, Err(Refused::Hub(rig_hub::Error::InUse(_)))), "{running:?}");
    hub.stop().await;
    run(options(), Task::Revoke(made["id"].as_str().unwrap().to_owned())).await.unwrap();
    let listed = run(options(), Task::List).await.unwrap();
    assert!(listed["tokens"][0]["revoked"].is_string(), "{listed}");
    let hub = TestHub::on(folder.path()).await;
    assert_eq!(status(&hub, "GET", "/v1/streams", Some(token)).await, 401);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_streamed_ends_with_the_token() {
    static NOW: AtomicI64 = AtomicI64::new(1_000_000_000);
    let clock = || Timestamp::from_micros(NOW.load(Relaxed));
    // One who hears nothing is ended at the next beat.
    let heartbeat = std::time::Duration::from_millis(50);
    let hub = TestHub::with(rig_hub::Options { clock, heartbeat, ..unsealed() }).await;
    let follow = async |token: Option<&str>| {
        let request = hub.client.get(hub.stream("events")).header("accept", "text/event-stream");
        let mut response = with(request, token).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.chunk().await.unwrap();
        response
    };
    let anonymous = follow(None).await;
    let root = admin(&hub).await;
    let (revoked, id) = issue(&hub, Some(&root), token("a", &["read"], &["*"])).await;
    let mut short = token("b", &["read"], &["*"]);
    short["expires"] = json!(Timestamp::from_micros(NOW.load(Relaxed) + 1_000_000));
    let (expiring, _) = issue(&hub, Some(&root), short).await;
    let (by_revoked, by_expiring) = (follow(Some(&revoked)).await, follow(Some(&expiring)).await);
    status(&hub, "DELETE", &format!("/v1/tokens/{id}"), Some(&root)).await;
    NOW.fetch_add(2_000_000, Relaxed);
    let append = hub.client.post(hub.stream("events")).body(r#"{"type":"shop.sold"}"#);
    assert_eq!(answer(append.bearer_auth(&root)).await.0, 201);
    assert!(!anonymous.text().await.unwrap().contains("shop.sold"), "the hub stood open when it came");
    assert!(!by_revoked.text().await.unwrap().contains("shop.sold"));
    // Its end is noticed within a second.
    assert!(by_expiring.text().await.is_ok());
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_passes_for_somebody_else() {
    let hub = TestHub::in_memory().await;
    let root = admin(&hub).await;
    let (bot, _) = issue(&hub, Some(&root), token("ci-bot", &["write"], &["*"])).await;
    let (ana, _) = issue(&hub, Some(&root), token("ana@example.com", &["admin"], &["*"])).await;
    let post = |path: &str, body: &str| hub.client.post(hub.stream(path)).body(body.to_owned());
    for (path, body, expected) in [
        ("events", r#"{"type":"a.b"}"#, "ci-bot"),
        ("events", r#"{"type":"a.b","actor":"root"}"#, "ci-bot/root"),
        ("events?expected_seq=2", r#"{"type":"a.b","actor":"root"}"#, "ci-bot/root"),
        ("events", r#"[{"type":"a.b","actor":"ci-bot/ana"}]"#, "ci-bot/ana"),
        ("snapshots?service=api&format=json&actor=root", r#"{"a":1}"#, "ci-bot/root"),
        ("snapshots?service=api&format=json", r#"{"a":2}"#, "ci-bot"),
        ("snapshots?service=api&format=json&actor=x", "{", "ci-bot/x"),
    ] {
        let (status, answer) = answer(post(path, body).bearer_auth(&bot)).await;
        if status == 201 {
            assert_eq!(answer["events"][0]["actor"], expected, "{path} {body}: {answer}");
        } else {
            assert_eq!(answer["code"], "malformed-document", "{answer}");
        }
    }
    let approve = hub.client.put(hub.stream("services/api/baseline?actor=root&reason=fine"));
    let (_, approved) = answer(approve.bearer_auth(&ana)).await;
    assert_eq!(approved["events"][0]["actor"], "ana@example.com/root", "{approved}");
    let lines = hub.client.get(hub.stream("events?from=1")).bearer_auth(&root).send().await.unwrap();
    for line in lines.text().await.unwrap().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let actor = event["actor"].as_str().unwrap_or("ci-bot");
        assert!(actor.starts_with("ci-bot") || actor.starts_with("ana@example.com"), "{line}");
    }
    let long = format!(r#"{{"type":"a.b","actor":"{}"}}"#, "x".repeat(256));
    assert_eq!(answer(post("events", &long).bearer_auth(&bot)).await.0, 400);
    let path = format!("snapshots?service=api&actor={}", "x".repeat(256));
    let (status, refused) = answer(post(&path, "{}").bearer_auth(&bot)).await;
    assert_eq!((status, &refused["code"]), (400, &json!("bad-actor")));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_gives_no_more_than_it_has() {
    let hub = TestHub::in_memory().await;
    let (root, _) = issue(&hub, None, token("root", &["admin"], &["*"])).await;
    let (code, refused) = try_issue(&hub, Some(&root), token("s", &["secrets"], &["*"])).await;
    assert_eq!((code, &refused["code"]), (403, &json!("no-scope")));
    let (some, _) = issue(&hub, Some(&root), token("some", &["admin"], &["ci-*"])).await;
    let (code, refused) = try_issue(&hub, Some(&some), token("all", &["admin"], &["*"])).await;
    assert_eq!((code, &refused["code"]), (403, &json!("other-stream")));
    for (bad, why) in [
        (json!({"scopes": [], "streams": ["*"]}), "no scope"),
        (json!({"scopes": ["read"], "streams": []}), "no stream"),
        (json!({"scopes": ["god"], "streams": ["*"]}), "no such scope"),
        (json!({"scopes": ["read"], "streams": ["a/b"]}), "no such stream"),
        (json!({"scopes": ["read"], "streams": ["{a"]}), "no pattern"),
        (json!({"scopes": ["read"], "streams": ["x".repeat(129)]}), "long"),
        (json!({"scopes": ["read"], "streams": vec!["a"; 33]}), "many"),
        (json!({"scopes": ["read"], "streams": ["*"], "name": "a/b"}), "slash"),
        (json!({"scopes": ["read"], "streams": ["*"], "name": "a\nb"}), "line end"),
        (json!({"scopes": ["read"], "streams": ["*"], "name": ""}), "empty"),
        (json!({"scopes": ["read"], "streams": ["*"], "name": "nats"}), "the hub's own"),
        (json!({"scopes": ["read"], "streams": ["*"], "name": "ghp_0123456789abcdefghij"}), "secret"),
        (json!({"scopes": ["read"], "streams": ["*"], "expires": "2001-01-01T00:00:00Z"}), "past"),
        (json!({"scopes": ["read"], "streams": ["*"], "id": "x"}), "unknown key"),
    ] {
        let (code, refused) = try_issue(&hub, Some(&root), bad).await;
        assert_eq!((code, &refused["code"]), (400, &json!("bad-token-request")), "{why}: {refused}");
    }
    let too_long = format!(r#"{{"scopes":["read"],"streams":["*"],"name":"{}"}}"#, "x".repeat(20_000));
    let request = hub.client.post(format!("{}/v1/tokens", hub.url)).bearer_auth(&root).body(too_long);
    assert_eq!(answer(request).await.0, 400);
    assert_eq!(status(&hub, "DELETE", "/v1/tokens/nobody", Some(&root)).await, 404);
    hub.stop().await;
}
