//! Tokens for tests.

use serde_json::{Value, json};

use crate::{TestHub, answer};

/// Creates a token with the token `by`, or without one if the hub needs none, and returns its text and id.
pub async fn issue(hub: &TestHub, by: Option<&str>, new: Value) -> (String, String) {
    let (status, made) = try_issue(hub, by, new).await;
    assert_eq!(status, 201, "{made}");
    (made["token"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
}

/// Requests a token.
pub async fn try_issue(hub: &TestHub, by: Option<&str>, new: Value) -> (u16, Value) {
    let request = hub.client.post(format!("{}/v1/tokens", hub.url)).body(new.to_string());
    answer(with(request, by)).await
}

/// Adds a token to a request.
pub fn with(request: reqwest::RequestBuilder, token: Option<&str>) -> reqwest::RequestBuilder {
    match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}

/// Returns the request for a token without an expiry.
pub fn token(name: &str, scopes: &[&str], streams: &[&str]) -> Value {
    json!({"name": name, "scopes": scopes, "streams": streams})
}

/// Creates the first token, with all permissions.
pub async fn admin(hub: &TestHub) -> String {
    issue(hub, None, token("root", &["admin", "secrets"], &["*"])).await.0
}
