//! Every route x every kind of caller.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use rig_event::Timestamp;
use rig_testhub::tokens::{admin, issue, token, with};
use rig_testhub::{answer, unsealed};
use serde_json::json;

/// Method, address, what is needed: `read`, `write`, `admin` or `secrets` for the stream, `hub:…` for all streams, and a body.
const ROUTES: &[(&str, &str, &str, &str)] = &[
    ("GET", "/metrics", "hub:read", ""),
    ("GET", "/v1/host-keys", "hub:admin", ""),
    ("DELETE", "/v1/host-keys/192.0.2.1:22", "hub:admin", ""),
    ("POST", "/v1/blobs/rewrap", "hub:admin", ""),
    ("GET", "/v1/tokens", "hub:admin", ""),
    ("POST", "/v1/tokens", "hub:admin", r#"{"scopes":["read"],"streams":["*"]}"#),
    ("DELETE", "/v1/tokens/000000000000", "hub:admin", ""),
    ("GET", "/v1/streams", "any:read", ""),
    ("GET", "/v1/whoami", "any:read", ""),
    ("POST", "/v1/logins", "any:read", ""),
    ("GET", "/v1/streams/ci-1", "read", ""),
    ("HEAD", "/v1/streams/ci-1", "read", ""),
    ("PUT", "/v1/streams/ci-1", "write", ""),
    ("GET", "/v1/streams/ci-1/events", "read", ""),
    ("POST", "/v1/streams/ci-1/events", "write", r#"{"type":"a.b"}"#),
    ("POST", "/v1/streams/ci-1/events?", "write", r#"{"type":"a.b"}"#),
    ("POST", "/v1/streams/ci%2D1/events", "write", r#"{"type":"a.b"}"#),
    ("POST", "/v1/streams/ci-1/tickets", "read", ""),
    ("GET", "/v1/streams/ci-1/session", "read", ""),
    ("POST", "/v1/streams/ci-1/snapshots?service=api&format=json", "write", r#"{"a":1}"#),
    ("GET", "/v1/streams/ci-1/state", "read", ""),
    ("GET", "/v1/streams/ci-1/services/api/config", "read", ""),
    ("GET", "/v1/streams/ci-1/services/api/config?raw=1", "read+secrets", ""),
    ("GET", "/v1/streams/ci-1/services/api/config?r%61w=1", "read+secrets", ""),
    ("GET", "/v1/streams/ci-1/services/api/history", "read", ""),
    ("GET", "/v1/streams/ci-1/services/api/diff?from=1", "read", ""),
    ("GET", "/v1/streams/ci-1/services/api/blame", "read", ""),
    ("GET", "/v1/streams/ci-1/columns", "read", ""),
    ("GET", "/v1/streams/ci-1/why?seq=1", "read", ""),
    ("GET", "/v1/streams/ci-1/explain", "read", ""),
    ("GET", "/v1/streams/ci-1/traffic", "read", ""),
    ("GET", "/v1/streams/ci-1/find?q=a", "read", ""),
    ("PUT", "/v1/streams/ci-1/services/api/baseline", "admin", ""),
    ("GET", "/v1/streams/ci-1/services/api/baseline", "read", ""),
    ("DELETE", "/v1/streams/ci-1/services/api/baseline", "admin", ""),
    ("PUT", "/v1/streams/ci-1/services/api/declared?format=json", "admin", r#"{"a":1}"#),
    ("GET", "/v1/streams/ci-1/services/api/declared", "read", ""),
    ("DELETE", "/v1/streams/ci-1/services/api/declared", "admin", ""),
    ("POST", "/v1/streams/ci-1/services/api/collect", "write", ""),
    ("POST", "/v1/streams/ci-1/services/api/drift/accept", "admin", r#"{"reason":"x"}"#),
    // The hub's own stream is for who administers the hub.
    ("GET", "/v1/streams/_hub", "hub:admin", ""),
    ("GET", "/v1/streams/_hub/events", "hub:admin", ""),
    ("GET", "/v1/streams/%5Fhub/events", "hub:admin", ""),
    ("GET", "/v1/streams/_hub/session", "hub:admin", ""),
    ("POST", "/v1/streams/_hub/tickets", "hub:admin", ""),
    ("DELETE", "/v1/streams/ci-1", "admin", ""),
];

/// Routes that answer everybody: method, template, an address, a body and the status. The page has no data in it; a code to sign in
/// is what lets its bearer in.
const OPEN: &[(&str, &str, &str, &str, u16)] = &[
    ("GET", "/healthz", "/healthz", "", 200),
    ("GET", "/readyz", "/readyz", "", 200),
    ("GET", "/openapi.json", "/openapi.json", "", 200),
    ("GET", "/", "/", "", 200),
    ("GET", "/s/{stream}", "/s/none", "", 200),
    ("GET", "/assets/{hash}/{file}", "/assets/other/app.css", "", 404),
    ("GET", "/assets/{hash}/js/{file}", "/assets/other/js/main.js", "", 404),
    ("GET", "/assets/{hash}/js/pages/{file}", "/assets/other/js/pages/events.js", "", 404),
    ("POST", "/v1/logins/redeem", "/v1/logins/redeem", r#"{"code":"0"}"#, 401),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_matrix_has_every_route() {
    let hub = crate::hub("", unsealed()).await;
    let (_, api) = answer(hub.client.get(format!("{}/openapi.json", hub.url))).await;
    let is_of = |path: &str, template: &str| {
        let (path, _) = path.split_once('?').unwrap_or((path, ""));
        let (pieces, templates) =
            (path.split('/').collect::<Vec<_>>(), template.split('/').collect::<Vec<_>>());
        let fits = |(piece, template): (&&str, &&str)| piece == template || template.starts_with('{');
        pieces.len() == templates.len() && pieces.iter().zip(&templates).all(fits)
    };
    for (template, methods) in api["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys().map(|method| method.to_uppercase()) {
            let tried = ROUTES.iter().any(|route| route.0 == method && is_of(route.1, template));
            let is_open = OPEN.iter().any(|open| open.0 == method && open.1 == template);
            assert_ne!(tried, is_open, "{method} {template}");
        }
    }
    admin(&hub).await;
    for (method, _, path, body, expected) in OPEN {
        let request = hub.client.request(method.parse().unwrap(), format!("{}{path}", hub.url));
        let status = request.body(*body).send().await.unwrap().status();
        assert_eq!(status, *expected, "{method} {path}");
    }
    hub.stop().await;
}

/// Returns true if scopes that are had are those that are needed.
fn may(has: &[&str], all: bool, needs: &str) -> bool {
    let (place, needs) = needs.split_once(':').unwrap_or(("stream", needs));
    let includes =
        |scope: &str| has.contains(&scope) || matches!(scope, "read" | "write") && has.contains(&"admin");
    needs.split('+').all(includes) && (place != "hub" || all)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_and_every_scope() {
    static NOW: AtomicI64 = AtomicI64::new(1_000_000_000);
    let clock = || Timestamp::from_micros(NOW.load(Relaxed));
    let hub = crate::hub("", rig_hub::Options { clock, ..unsealed() }).await;
    let root = admin(&hub).await;
    let ask = async |method: &str, path: &str, body: &str, token: Option<&str>| {
        let request = hub.client.request(method.parse().unwrap(), format!("{}{path}", hub.url));
        answer(with(request.body(body.to_owned()), token)).await
    };

    let mut revoked = Vec::new();
    for (scopes, streams) in [(&["read", "write", "admin", "secrets"][..], &["*"][..])] {
        let (text, id) = issue(&hub, Some(&root), token("gone", scopes, streams)).await;
        assert_eq!(ask("DELETE", &format!("/v1/tokens/{id}"), "", Some(&root)).await.0, 204);
        revoked.push(text);
    }
    let mut expiring = token("late", &["admin", "secrets"], &["*"]);
    expiring["expires"] = json!(Timestamp::from_micros(NOW.load(Relaxed) + 1));
    let (expired, _) = issue(&hub, Some(&root), expiring).await;
    NOW.fetch_add(2, Relaxed);
    let flip =
        |text: &str| format!("{}{}", &text[..text.len() - 1], if text.ends_with('0') { '1' } else { '0' });

    let strangers: [(&str, Option<String>, &str); 8] = [
        ("no token", None, "no-token"),
        ("an empty token", Some(String::new()), "bad-token"),
        ("another's secret", Some(flip(&root)), "bad-token"),
        ("an id without a secret", Some(root[..root.len() - 64].to_owned()), "bad-token"),
        ("a token and more", Some(format!("{root}0")), "bad-token"),
        ("a token of nobody", Some(format!("rig_000000000000_{}", "0".repeat(64))), "bad-token"),
        ("a revoked token", Some(revoked[0].clone()), "revoked-token"),
        ("an expired token", Some(expired), "expired-token"),
    ];
    for (method, path, _, body) in ROUTES {
        for (who, token, code) in &strangers {
            let (status, problem) = ask(method, path, body, token.as_deref()).await;
            assert_eq!(status, 401, "{method} {path} with {who}");
            assert!(*method == "HEAD" || problem["code"] == *code, "{method} {path} with {who}: {problem}");
        }
    }

    let callers: Vec<(&[&str], &[&str])> = vec![
        (&["read"], &["ci-*"]),
        (&["write"], &["ci-*"]),
        (&["admin"], &["ci-*"]),
        (&["secrets"], &["ci-*"]),
        (&["read", "secrets"], &["ci-1", "x"]),
        (&["read"], &["*"]),
        (&["write"], &["*"]),
        (&["admin"], &["*"]),
        (&["read", "write", "admin", "secrets"], &["*"]),
    ];
    for (scopes, streams) in callers {
        let all = streams == ["*"];
        let (text, _) = issue(&hub, Some(&root), token("t", scopes, streams)).await;
        let (other, _) = issue(&hub, Some(&root), token("o", scopes, &["other", "ci-2*"])).await;
        assert!(matches!(ask("PUT", "/v1/streams/ci-1", "", Some(&root)).await.0, 200 | 201));
        for (method, path, needs, body) in ROUTES {
            let place = format!("{method} {path} with {scopes:?} for {streams:?}");
            let (status, problem) = ask(method, path, body, Some(&text)).await;
            let denied = matches!(problem["code"].as_str(), Some("no-scope" | "other-stream"))
                || *method == "HEAD" && status == 403;
            assert_eq!(denied, !may(scopes, all, needs), "{place}: {status} {problem}");
            assert_eq!(denied, status == 403, "{place}: {problem}");
            assert_ne!(problem["code"], "no-such-address", "{place}");
            let (status, problem) = ask(method, path, body, Some(&other)).await;
            let allowed = *needs == "any:read" && may(scopes, false, "read");
            assert_eq!(status == 403, !allowed, "{place}, for other streams: {status} {problem}");
        }
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lists_its_streams_and_no_others() {
    let hub = crate::hub("", unsealed()).await;
    let root = admin(&hub).await;
    for name in ["ci-1", "ci-2", "prod"] {
        let made = hub.client.put(format!("{}/v1/streams/{name}", hub.url)).bearer_auth(&root);
        assert_eq!(answer(made).await.0, 201);
    }
    for (streams, expected) in [
        (vec!["ci-*"], vec!["ci-1", "ci-2"]),
        (vec!["{prod,main}", "none"], vec!["main", "prod"]),
        (vec!["ci-[!1]"], vec!["ci-2"]),
        (vec!["*"], vec!["ci-1", "ci-2", "main", "prod"]),
        (vec!["_*"], vec![]),
    ] {
        let (text, _) = issue(&hub, Some(&root), token("t", &["read"], &streams)).await;
        let (_, listed) = answer(hub.client.get(format!("{}/v1/streams", hub.url)).bearer_auth(&text)).await;
        let names: Vec<_> =
            listed["streams"].as_array().unwrap().iter().map(|s| s["stream"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{streams:?}");
    }
    let (hidden, _) = issue(&hub, Some(&root), token("t", &["admin"], &["_*"])).await;
    let (status, _) =
        answer(hub.client.get(format!("{}/v1/streams/_hub", hub.url)).bearer_auth(&hidden)).await;
    assert_eq!(status, 403, "a pattern does not reach the hub's own stream");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_header_with_one_token_and_nothing_else() {
    let hub = crate::hub("", unsealed()).await;
    let root = admin(&hub).await;
    let ask = async |values: &[&str]| {
        let request = hub.client.get(format!("{}/v1/streams", hub.url));
        let request = values.iter().fold(request, |request, value| request.header("authorization", *value));
        let response = request.send().await.unwrap();
        let challenge = response.headers().get("www-authenticate").map(|v| v.to_str().unwrap().to_owned());
        (response.status().as_u16(), challenge.unwrap_or_default())
    };
    let fine = format!("Bearer {root}");
    assert_eq!(ask(&[&fine]).await, (200, String::new()));
    assert_eq!(ask(&[&format!("bEARER   {root}")]).await.0, 200);
    assert_eq!(ask(&[]).await, (401, "Bearer realm=\"rig\"".to_owned()));
    let bad: [Vec<String>; 8] = [
        vec![fine.clone(), fine.clone()],
        vec![root.clone()],
        vec!["Bearer".to_owned()],
        vec![format!("Basic {root}")],
        vec![format!("Bearer {}", root.to_uppercase())],
        vec![format!("Bearer x{root}")],
        vec![format!("Bearer {root},")],
        vec!["Bearer \u{fc}".to_owned()],
    ];
    for bad in bad {
        let bad: Vec<&str> = bad.iter().map(String::as_str).collect();
        assert_eq!(
            ask(&bad).await,
            (401, "Bearer realm=\"rig\", error=\"invalid_token\"".to_owned()),
            "{bad:?}"
        );
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_to_sign_in_is_good_once_and_gives_no_more_than_its_maker_has() {
    static NOW: AtomicI64 = AtomicI64::new(1_000_000_000);
    let clock = || Timestamp::from_micros(NOW.load(Relaxed));
    let hub = crate::hub("", rig_hub::Options { clock, ..unsealed() }).await;
    let logins = format!("{}/v1/logins", hub.url);
    let (status, said) = answer(hub.client.post(&logins)).await;
    assert_eq!((status, said["code"].as_str()), (409, Some("no-tokens")));
    let root = admin(&hub).await;
    let (text, id) = issue(&hub, Some(&root), token("ana", &["read", "secrets"], &["ci-*"])).await;
    let code = async || {
        let (status, made) = answer(hub.client.post(&logins).bearer_auth(&text)).await;
        assert_eq!(status, 201, "{made}");
        made["code"].as_str().unwrap().to_owned()
    };
    let redeem = async |code: &str| {
        let body = json!({ "code": code }).to_string();
        answer(hub.client.post(format!("{logins}/redeem")).body(body)).await
    };
    let first = code().await;
    assert!(first.len() >= 32, "128 bits at least");
    let (status, made) = redeem(&first).await;
    assert_eq!(status, 201, "{made}");
    let page = made["token"].as_str().unwrap();
    let (_, who) = answer(hub.client.get(format!("{}/v1/whoami", hub.url)).bearer_auth(page)).await;
    assert_eq!((who["name"].as_str(), &who["scopes"]), (Some("ana.page"), &json!(["read"])), "{who}");
    let other = hub.client.get(format!("{}/v1/streams/main/state", hub.url)).bearer_auth(page);
    assert_eq!(answer(other).await.1["code"], "other-stream");
    assert_eq!(redeem(&first).await.1["code"], "bad-login", "a second time");

    let late = code().await;
    NOW.fetch_add(60_000_001, Relaxed);
    assert_eq!(redeem(&late).await.1["code"], "bad-login", "after a minute");
    let orphan = code().await;
    let revoked = hub.client.delete(format!("{}/v1/tokens/{id}", hub.url)).bearer_auth(&root);
    assert_eq!(answer(revoked).await.0, 204);
    assert_eq!(redeem(&orphan).await.1["code"], "revoked-token");
    for _ in 0..200 {
        redeem("0").await;
    }
    assert_eq!(redeem("0").await.1["code"], "too-many-logins");
    NOW.fetch_add(13 * 3_600 * 1_000_000, Relaxed);
    let over = hub.client.get(format!("{}/v1/whoami", hub.url)).bearer_auth(page);
    assert_eq!(answer(over).await.1["code"], "expired-token");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_comes_with_its_policy_and_its_files_under_their_hash() {
    let hub = crate::hub("", unsealed()).await;
    let get = |path: String| hub.client.get(format!("{}{path}", hub.url)).send();
    let page = get("/s/any".to_owned()).await.unwrap();
    let header = |response: &reqwest::Response, name: &str| {
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    let policy = header(&page, "content-security-policy");
    for rule in
        ["default-src 'none'", "script-src 'self'", "require-trusted-types-for 'script'", "trusted-types rig"]
    {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(header(&page, "cross-origin-opener-policy"), "same-origin");
    let html = page.text().await.unwrap();
    let scripts: Vec<&str> = html.split('"').filter(|part| part.starts_with("/assets/")).collect();
    // Little is fetched before there is something to see.
    assert!((3..=15).contains(&scripts.len()), "{scripts:?}");
    for script in &scripts {
        let file = get((*script).to_owned()).await.unwrap();
        assert_eq!(file.status(), 200, "{script}");
        assert!(header(&file, "cache-control").contains("immutable"), "{script}");
    }
    assert!(!html.contains("HASH") && !html.contains("<style") && !html.contains(" style="), "{html}");
    let hash = scripts[0].split('/').nth(2).unwrap();
    for outside in ["%2e%2e%2findex.html", "index.html", "..%2f..%2fCargo.toml", "package.json"] {
        let status = get(format!("/assets/{hash}/{outside}")).await.unwrap().status();
        assert_eq!(status, 404, "{outside}");
    }
    let all: usize = rig_web::files().map(|(_, size)| size).sum();
    assert!(all <= 80 << 10, "the page has {all} bytes");
    hub.stop().await;
}
