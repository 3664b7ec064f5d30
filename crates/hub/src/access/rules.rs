//! The table of all routes and what each needs. A route that is not in it does not exist, even if the router has it.

use std::borrow::Cow;

use axum::http::{Method, Uri};
use rig_event::StreamName;

use super::caller::Caller;
use super::token::Scope::{self, Secrets, Write};
use super::token::forbidden;
use crate::problem::{Problem, no_such_address, no_such_method};

/// A route.
#[derive(Debug)]
pub struct Rule {
    /// Its method.
    pub method: Method,
    /// The address, as the router has it.
    pub path: &'static str,
    /// The scope that it asks for.
    pub need: Need,
    /// Its audit event.
    pub trace: Trace,
}

/// The scope that a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing. Only for routes that report that the hub is up.
    Nothing,
    /// A scope, for the stream in the address where there is one.
    Scope(Scope),
    /// A scope, for all streams.
    Hub(Scope),
}

/// The audit event of a request that was not denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// None: it changes nothing.
    Not,
    /// A sum of this and other requests.
    Summed,
    /// An event of its own, written before the response.
    Each,
    /// The event that the route itself writes into the hub's own stream.
    Own,
}

/// The rule for appends. An append to a bare address gets it without a search of the table.
pub(crate) static APPEND: Rule = Rule::new(Method::POST, EVENTS, Need::Scope(Write), Trace::Summed);

/// All rules of a hub, its own and those of its components.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(Vec<(&'static str, &'static Rule)>);

impl Table {
    /// Adds rules.
    ///
    /// # Errors
    /// In words, when one of them overlaps with one that is there: some address would have two rules for one method.
    pub(crate) fn add(&mut self, owner: &'static str, rules: &'static [Rule]) -> Result<(), String> {
        for rule in rules {
            let is_other = |other: &Rule| other.method == rule.method && overlap(other.path, rule.path);
            if let Some((_, other)) = self.0.iter().find(|(_, other)| is_other(other)) {
                return Err(format!("the rules {other} and {rule} overlap"));
            }
            self.0.push((owner, rule));
        }
        Ok(())
    }

    /// Returns the rules, each with the component that it is of; the hub's own are of `hub`.
    pub(crate) fn rules(&self) -> &[(&'static str, &'static Rule)] {
        &self.0
    }

    /// Returns the row of a request. Addresses are compared as the router compares them: piece by piece, undecoded. `GET` stands for
    /// `HEAD` too.
    pub(super) fn find<'a>(&self, method: &Method, path: &'a str) -> Result<Found<'a>, Unknown> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let mut allowed = Vec::new();
        for (_, rule) in &self.0 {
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
}

/// Returns true if some path matches both templates.
fn overlap(one: &str, other: &str) -> bool {
    let is_name = |piece: &str| piece.starts_with('{');
    let (mut ones, mut others) = (one.split('/'), other.split('/'));
    loop {
        match (ones.next(), others.next()) {
            (None, None) => return true,
            (Some(a), Some(b))
                if a == b || (is_name(a) && !b.is_empty()) || (is_name(b) && !a.is_empty()) => {}
            _ => return false,
        }
    }
}

impl Rule {
    /// Creates a rule for a method of an address. The address is written as in the router; a segment `{stream}` names the stream
    /// that the scope is needed for.
    pub const fn new(method: Method, path: &'static str, need: Need, trace: Trace) -> Rule {
        Rule { method, path, need, trace }
    }

    /// Returns true if a ticket gives access to it.
    pub(super) fn takes_tickets(&self) -> bool {
        self.method == Method::GET && self.path == EVENTS
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

pub(crate) const METRICS: &str = "/metrics";
pub(crate) const EVENTS: &str = "/v1/streams/{stream}/events";
pub(crate) const CONFIG: &str = "/v1/streams/{stream}/services/{service}/config";

/// A request's row in the table.
pub(super) struct Found<'a> {
    pub(super) rule: &'static Rule,
    /// The stream in the address, undecoded.
    stream: Option<&'a str>,
}

/// The reason why a request has no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// There is no such address.
    Address,
    /// The address exists, but only with these methods.
    Method(Vec<&'static str>),
}

impl From<Unknown> for Problem {
    fn from(unknown: Unknown) -> Problem {
        match unknown {
            Unknown::Address => no_such_address(),
            Unknown::Method(allowed) => no_such_method().with("allow", allowed.join(", ")),
        }
    }
}

/// Returns the row of an append to a bare address.
pub(super) fn append(stream: &str) -> Found<'_> {
    Found { rule: &APPEND, stream: Some(stream) }
}

/// Matches a path with a template. Returns the stream that it names, or `None` if it does not match.
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
    /// Returns the stream in the address, decoded.
    pub(super) fn stream_text(&self) -> Option<Cow<'_, str>> {
        decoded(self.stream?)
    }

    /// Refuses a caller without access. Returns the stream that the address names.
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
            // No stream can have this name. The route says so, but only to callers who see all streams.
            None if caller.sees_all() => Ok(None),
            _ => Err(forbidden("other-stream", "this token is not for that stream")),
        }
    }
}

/// Returns true if a query has that key, however it is written.
fn names(uri: &Uri, key: &str) -> bool {
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
    // The route refuses a query that cannot be parsed; until then it counts as having all keys.
    pairs.map_or(true, |pairs| pairs.iter().any(|(name, _)| name == key))
}

/// Returns the stream that a request appends to, if its address is bare: no query, nothing escaped.
pub(crate) fn appends_to<B>(request: &hyper::Request<B>) -> Option<&str> {
    let address = request.uri().path_and_query()?.as_str();
    let stream = address.strip_prefix("/v1/streams/")?.strip_suffix("/events")?;
    let bare = !stream.is_empty() && !stream.contains(['/', '?', '%']);
    (*request.method() == Method::POST && bare).then_some(stream)
}

/// Decodes a segment of an address.
fn decoded(piece: &str) -> Option<Cow<'_, str>> {
    if !piece.contains('%') {
        return Some(Cow::Borrowed(piece));
    }
    let mut bytes = Vec::with_capacity(piece.len());
    let mut rest = piece.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = |b: u8| char::from(b).to_digit(16).map(|digit| digit as u8);
        match (byte, after) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                bytes.push(hex(*high)? << 4 | hex(*low)?);
                rest = after;
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_row_and_no_other() {
        const RULES: &[Rule] = &[
            Rule::new(Method::GET, "/v1/streams", Need::Scope(Scope::Read), Trace::Not),
            Rule::new(Method::GET, "/v1/streams/{stream}/state", Need::Scope(Scope::Read), Trace::Not),
        ];
        let mut table = Table::default();
        table.add("hub", RULES).unwrap();
        let found = |method, path| table.find(&method, path).map(|found| (found.rule.path, found.stream));
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
    fn two_rules_for_one_request_are_refused() {
        const ONE: &[Rule] =
            &[Rule::new(Method::GET, "/v1/streams/{stream}/state", Need::Scope(Scope::Read), Trace::Not)];
        const SAME: &[Rule] = &[Rule::new(Method::GET, "/v1/streams/{x}/{y}", Need::Nothing, Trace::Not)];
        const OTHER: &[Rule] = &[
            Rule::new(Method::PUT, "/v1/streams/{x}/state", Need::Nothing, Trace::Not),
            Rule::new(Method::GET, "/v1/streams/{x}/events", Need::Nothing, Trace::Not),
            Rule::new(Method::GET, "/v1/streams/{x}", Need::Nothing, Trace::Not),
        ];
        let mut table = Table::default();
        table.add("hub", ONE).unwrap();
        table.add("a", OTHER).unwrap();
        let why = table.add("a", SAME).unwrap_err();
        assert!(why.contains("GET /v1/streams/{x}/{y}"), "{why}");
    }

    #[test]
    fn a_key_is_seen_however_it_is_written() {
        for query in ["raw=1", "a=b&raw", "%72aw=1", "r%61w=1&x=%zz"] {
            assert!(names(&format!("/x?{query}").parse().unwrap(), "raw"), "{query}");
        }
        assert!(!names(&"/x?at=1&draw=1".parse().unwrap(), "raw"));
    }
}
