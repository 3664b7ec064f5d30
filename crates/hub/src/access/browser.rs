//! Checks that protect a hub from a browser on its own machine: a web page can send requests anywhere, and a name of its own can be made
//! to point here (DNS rebinding).

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};

use super::token::forbidden;
use crate::problem::Problem;
use crate::settings::AccessSettings;

/// Refuses a request whose host is not this hub. IP addresses are always accepted: a page loaded from one was served by this hub.
///
/// # Errors
/// 421.
pub(super) fn host(settings: &AccessSettings, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let named = headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or("?"));
    for host in named.chain(uri.authority().map(|authority| authority.as_str())) {
        let name = without_port(host);
        let is_address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
        let is_ours = || settings.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(name));
        if !is_address && !name.eq_ignore_ascii_case("localhost") && !is_ours() {
            return Err(Problem::new(
                StatusCode::MISDIRECTED_REQUEST,
                "wrong-host",
                "the hub does not go by the name in the request's Host header; if it should, name it in `hosts` of [access] in hub.toml",
            ));
        }
    }
    Ok(())
}

/// Refuses a request that changes something and comes from a page of another origin.
///
/// # Errors
/// 403.
pub(super) fn origin(settings: &AccessSettings, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    for origin in headers.get_all(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or("?");
        let (scheme, host) = origin.split_once("://").unwrap_or_default();
        let own = headers.get(header::HOST).and_then(|own| own.to_str().ok());
        // A page of another port is a page of another program. A proxy in front of the hub has the port of its scheme.
        let is_own = !host.is_empty()
            && (own.is_some_and(|own| on_port(scheme, own).eq_ignore_ascii_case(&on_port(scheme, host)))
                || settings
                    .hosts
                    .iter()
                    .any(|ours| on_port(scheme, ours).eq_ignore_ascii_case(&on_port(scheme, host))));
        if !is_own && !is_listed(settings, origin) {
            return Err(forbidden(
                "wrong-origin",
                "a page of another origin may change nothing here; if it should, name it in `cors_origins` of [access] in hub.toml",
            ));
        }
    }
    Ok(())
}

/// Answers a preflight request from a listed origin. Returns `None` if it is not a preflight request, or the origin is not
/// listed.
pub(super) fn preflight(settings: &AccessSettings, headers: &HeaderMap) -> Option<Response> {
    let origin = headers.get(header::ORIGIN)?;
    let asks = headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if !asks || !is_listed(settings, origin.to_str().ok()?) {
        return None;
    }
    let may = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, baggage, cache-control, content-type, idempotency-key, last-event-id, traceparent, x-request-id",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    Some((StatusCode::NO_CONTENT, may).into_response())
}

/// Allows scripts of a listed origin to read the response.
pub(super) fn share(settings: &AccessSettings, origin: Option<HeaderValue>, response: &mut Response) {
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let Some(origin) =
        origin.filter(|origin| origin.to_str().is_ok_and(|origin| is_listed(settings, origin)))
    else {
        return;
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("rig-epoch, rig-head, retry-after, x-request-id"),
    );
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
}

fn is_listed(settings: &AccessSettings, origin: &str) -> bool {
    settings.cors_origins.iter().any(|listed| listed.eq_ignore_ascii_case(origin))
}

/// Returns a host with its port, which the scheme tells where it is not written.
fn on_port(scheme: &str, host: &str) -> String {
    let port = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
    match without_port(host) == host {
        true => format!("{host}:{port}"),
        false => host.to_owned(),
    }
}

/// Returns a host without its port: `localhost` of `localhost:7070`, `[::1]` of `[::1]:7070`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> AccessSettings {
        AccessSettings {
            hosts: vec!["rig.example".into()],
            cors_origins: vec!["https://dash.example".into()],
            ..AccessSettings::default()
        }
    }

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_host_is_an_address_or_a_name_of_the_hub() {
        let fine =
            |host| super::host(&settings(), &"/".parse().unwrap(), &headers(&[(header::HOST, host)])).is_ok();
        for host in [
            "localhost",
            "LOCALHOST:7070",
            "127.0.0.1:7070",
            "[::1]:7070",
            "::1",
            "10.0.0.1",
            "Rig.Example:443",
        ] {
            assert!(fine(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io:7070",
            "",
            "localhost:x",
            "rig.example.",
        ] {
            assert!(!fine(host), "{host}");
        }
        assert!(
            super::host(&settings(), &"/".parse().unwrap(), &HeaderMap::new()).is_ok(),
            "no browser does that"
        );
        let absolute = "http://evil.example/v1/streams".parse().unwrap();
        assert!(super::host(&settings(), &absolute, &headers(&[(header::HOST, "localhost")])).is_err());
    }

    #[test]
    fn a_page_changes_something_only_at_home_or_where_it_is_listed() {
        let fine = |method, origin| {
            let headers = headers(&[(header::HOST, "127.0.0.1:7070"), (header::ORIGIN, origin)]);
            super::origin(&settings(), &method, &headers).is_ok()
        };
        for origin in [
            "http://127.0.0.1:7070",
            "https://dash.example",
            "https://rig.example",
            "https://rig.example:443",
        ] {
            assert!(fine(Method::POST, origin), "{origin}");
        }
        for origin in [
            "https://rig.example:8443",
            "http://127.0.0.1",
            "http://rig.example:443",
            "null",
            "",
            "https://evil.example",
            "http://127.0.0.1:8080",
            "https://dash.example.evil",
            "://",
        ] {
            assert!(!fine(Method::POST, origin), "{origin}");
            assert!(fine(Method::GET, origin), "{origin}");
        }
    }
}
