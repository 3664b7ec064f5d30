//! The table of all routes and what each needs. What does not stand in it is not there, whatever the router says.

use std::borrow::Cow;

use axum::http::{Method, Uri};
use rig_event::StreamName;

use super::caller::Caller;
use super::token::Scope::{self, Admin, Read, Secrets, Write};
use super::{decoded, forbidden};
use crate::problem::Problem;
use crate::routes;

/// A route.
pub(crate) struct Rule {
    pub(crate) method: Method,
    /// The address, as the router has it.
    pub(crate) path: &'static str,
    pub(crate) need: Need,
    pub(crate) trace: Trace,
}

/// What a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: it tells that the hub is there.
    Nothing,
    /// A scope, for the stream in the address where there is one.
    Scope(Scope),
    /// A scope, for all streams.
    Hub(Scope),
}

/// What is told of a request that was not denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trace {
    /// Nothing: it changes nothing.
    Not,
    /// It, together with others.
    Summed,
    /// It, before it is answered.
    Each,
    /// What the route itself tells, in the hub's own stream.
    Own,
}

const fn rule(method: Method, path: &'static str, need: Need, trace: Trace) -> Rule {
    Rule { method, path, need, trace }
}

/// Appends to a bare address are not looked up.
pub(crate) static APPEND: Rule = rule(Method::POST, EVENTS, Need::Scope(Write), Trace::Summed);

/// `GET` stands for `HEAD` too.
pub(super) static RULES: &[Rule] = &[
    rule(Method::GET, "/healthz", Need::Nothing, Trace::Not),
    rule(Method::GET, "/readyz", Need::Nothing, Trace::Not),
    rule(Method::GET, "/openapi.json", Need::Nothing, Trace::Not),
    rule(Method::GET, METRICS, Need::Hub(Read), Trace::Not),
    rule(Method::POST, "/v1/blobs/rewrap", Need::Hub(Admin), Trace::Each),
    rule(Method::GET, "/v1/host-keys", Need::Hub(Admin), Trace::Not),
    rule(Method::DELETE, "/v1/host-keys/{address}", Need::Hub(Admin), Trace::Own),
    rule(Method::GET, "/v1/tokens", Need::Hub(Admin), Trace::Not),
    rule(Method::POST, "/v1/tokens", Need::Hub(Admin), Trace::Own),
    rule(Method::DELETE, "/v1/tokens/{id}", Need::Hub(Admin), Trace::Own),
    rule(Method::GET, "/v1/streams", Need::Scope(Read), Trace::Not),
    rule(Method::GET, "/v1/streams/{stream}", Need::Scope(Read), Trace::Not),
    rule(Method::PUT, "/v1/streams/{stream}", Need::Scope(Write), Trace::Each),
    rule(Method::DELETE, "/v1/streams/{stream}", Need::Scope(Admin), Trace::Each),
    rule(Method::GET, EVENTS, Need::Scope(Read), Trace::Not),
    rule(Method::POST, EVENTS, Need::Scope(Write), Trace::Summed),
    rule(Method::POST, "/v1/streams/{stream}/tickets", Need::Scope(Read), Trace::Not),
    rule(Method::GET, "/v1/streams/{stream}/session", Need::Scope(Read), Trace::Not),
    rule(Method::POST, "/v1/streams/{stream}/snapshots", Need::Scope(Write), Trace::Summed),
    rule(Method::GET, "/v1/streams/{stream}/state", Need::Scope(Read), Trace::Not),
    rule(Method::GET, CONFIG, Need::Scope(Read), Trace::Not),
    rule(Method::GET, "/v1/streams/{stream}/services/{service}/history", Need::Scope(Read), Trace::Not),
    rule(Method::GET, "/v1/streams/{stream}/services/{service}/diff", Need::Scope(Read), Trace::Not),
    rule(Method::GET, "/v1/streams/{stream}/services/{service}/blame", Need::Scope(Read), Trace::Not),
    rule(Method::GET, "/v1/streams/{stream}/services/{service}/baseline", Need::Scope(Read), Trace::Not),
    rule(Method::PUT, "/v1/streams/{stream}/services/{service}/baseline", Need::Scope(Admin), Trace::Each),
    rule(Method::DELETE, "/v1/streams/{stream}/services/{service}/baseline", Need::Scope(Admin), Trace::Each),
    rule(Method::GET, "/v1/streams/{stream}/services/{service}/declared", Need::Scope(Read), Trace::Not),
    rule(Method::PUT, "/v1/streams/{stream}/services/{service}/declared", Need::Scope(Admin), Trace::Each),
    rule(Method::DELETE, "/v1/streams/{stream}/services/{service}/declared", Need::Scope(Admin), Trace::Each),
    rule(Method::POST, "/v1/streams/{stream}/services/{service}/collect", Need::Scope(Write), Trace::Each),
    rule(
        Method::POST,
        "/v1/streams/{stream}/services/{service}/drift/accept",
        Need::Scope(Admin),
        Trace::Each,
    ),
];

impl Rule {
    /// Whether a ticket will do.
    pub(super) fn takes_tickets(&self) -> bool {
        self.method == Method::GET && self.path == EVENTS
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

pub(super) const METRICS: &str = "/metrics";
const EVENTS: &str = "/v1/streams/{stream}/events";
const CONFIG: &str = "/v1/streams/{stream}/services/{service}/config";

/// A request's row in the table.
pub(super) struct Found<'a> {
    pub(super) rule: &'static Rule,
    /// The stream in the address as it is written there.
    stream: Option<&'a str>,
}

/// Why a request has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// There is no such address.
    Address,
    /// There is, but not with that method: with these.
    Method(Vec<&'static str>),
}

impl From<Unknown> for Problem {
    fn from(unknown: Unknown) -> Problem {
        match unknown {
            Unknown::Address => routes::no_such_address(),
            Unknown::Method(allowed) => routes::no_such_method().with("allow", allowed.join(", ")),
        }
    }
}

/// The row of a request. Addresses are compared as the router compares them: piece by piece, undecoded.
pub(super) fn find<'a>(method: &Method, path: &'a str) -> Result<Found<'a>, Unknown> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let mut allowed = Vec::new();
    for rule in RULES {
        let Some(stream) = matches(rule.path, path) else { continue };
        if rule.method == *method {
            return Ok(Found { rule, stream });
        }
        allowed.push(rule.method.as_str());
        if rule.method == Method::GET {
            allowed.push("HEAD");
        }
    }
    Err(if allowed.is_empty() { Unknown::Address } else { Unknown::Method(allowed) })
}

/// The row of an append to a bare address.
pub(super) fn append(stream: &str) -> Found<'_> {
    Found { rule: &APPEND, stream: Some(stream) }
}

/// Whether a path is one of those that a template stands for, and which stream it names.
fn matches<'a>(template: &str, path: &'a str) -> Option<Option<&'a str>> {
    let (mut templates, mut pieces) = (template.split('/'), path.split('/'));
    let mut stream = None;
    loop {
        match (templates.next(), pieces.next()) {
            (None, None) => return Some(stream),
            (Some("{stream}"), Some(piece)) if !piece.is_empty() => stream = Some(piece),
            (Some(template), Some(piece)) if template.starts_with('{') && !piece.is_empty() => {}
            (Some(template), Some(piece)) if template == piece => {}
            _ => return None,
        }
    }
}

impl Found<'_> {
    /// The stream in the address, decoded.
    pub(super) fn stream_text(&self) -> Option<Cow<'_, str>> {
        decoded(self.stream?)
    }

    /// Refuses who may not, and tells which stream it is about.
    ///
    /// # Errors
    /// 403.
    pub(super) fn allows(&self, caller: &Caller, uri: &Uri) -> Result<Option<StreamName>, Problem> {
        let (scope, all) = match self.rule.need {
            Need::Nothing => return Ok(None),
            Need::Scope(scope) => (scope, false),
            Need::Hub(scope) => (scope, true),
        };
        let also = (self.rule.path == CONFIG && names(uri, "raw")).then_some(Secrets);
        for scope in [Some(scope), also].into_iter().flatten() {
            caller.require(scope)?;
        }
        if all {
            caller.require_all(scope)?;
        }
        let Some(written) = self.stream else { return Ok(None) };
        match decoded(written).and_then(|name| name.parse::<StreamName>().ok()) {
            Some(stream) if caller.sees(&stream) => Ok(Some(stream)),
            // No stream is called so; the route says it to who may know.
            None if caller.sees_all() => Ok(None),
            _ => Err(forbidden("other-stream", "this token is not for that stream")),
        }
    }
}

/// Whether a query has that key, however it is written.
fn names(uri: &Uri, key: &str) -> bool {
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
    // One that cannot be read is refused by the route; here it counts as if it had all keys.
    pairs.map_or(true, |pairs| pairs.iter().any(|(name, _)| name == key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_row_and_no_other() {
        let found = |method, path| find(&method, path).map(|found| (found.rule.path, found.stream));
        assert_eq!(found(Method::GET, "/v1/streams").unwrap(), ("/v1/streams", None));
        assert_eq!(
            found(Method::HEAD, "/v1/streams/a%20b/state").unwrap(),
            ("/v1/streams/{stream}/state", Some("a%20b"))
        );
        assert_eq!(found(Method::POST, "/v1/streams/a/state"), Err(Unknown::Method(vec!["GET", "HEAD"])));
        for path in [
            "",
            "/",
            "/v1",
            "/v1/streams/",
            "/v1/streams//events",
            "/v1/streams/a/",
            "//v1/streams",
            "/V1/streams",
        ] {
            assert_eq!(found(Method::GET, path), Err(Unknown::Address), "{path}");
        }
    }

    #[test]
    fn every_route_of_the_router_stands_in_the_table_and_no_other() {
        let described = serde_json::to_value(routes::described().into_openapi()).unwrap();
        let mut routed = Vec::new();
        for (path, methods) in described["paths"].as_object().unwrap() {
            routed.extend(
                methods.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())),
            );
        }
        let mut listed: Vec<String> = RULES.iter().map(Rule::to_string).collect();
        routed.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, routed);
    }

    #[test]
    fn what_changes_something_leaves_a_trace() {
        for rule in RULES {
            let reads = rule.method == Method::GET || rule.path.ends_with("/tickets");
            assert_eq!(reads, rule.trace == Trace::Not, "{} {}", rule.method, rule.path);
            assert!(
                rule.need != Need::Nothing || ["/healthz", "/readyz", "/openapi.json"].contains(&rule.path),
                "{}",
                rule.path
            );
            assert!(reads || rule.need != Need::Scope(Read), "{} {}", rule.method, rule.path);
        }
    }

    #[test]
    fn a_key_is_seen_however_it_is_written() {
        for query in ["raw=1", "a=b&raw", "%72aw=1", "r%61w=1&x=%zz"] {
            assert!(names(&format!("/x?{query}").parse().unwrap(), "raw"), "{query}");
        }
        assert!(!names(&"/x?at=1&draw=1".parse().unwrap(), "raw"));
    }
}
