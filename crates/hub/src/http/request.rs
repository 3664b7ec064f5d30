//! Extractors for routes: the names in an address, its query, who acts and why.

use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use rig_event::{Seq, ServiceName, Timestamp};

use crate::access::Caller;
use crate::capture::{Document, MAX_META, no_secret};
use crate::core::Core;
use crate::problem::Problem;
use crate::streams::Stream;

/// The names in an address, decoded.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: serde::de::DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let names = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        let unreadable =
            |_| Problem::bad_request("bad-address", "a name in the address is not UTF-8 once it is decoded");
        names.map(|axum::extract::Path(names)| Path(names)).map_err(unreadable)
    }
}

/// The query of an address, each key once. Unknown keys are refused: a misspelt one must not be ignored. Those that begin with `_`
/// are passed over: pages add them so that no cache answers.
#[derive(Debug, Default)]
pub struct Query(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // Most appends have none.
        if parts.uri.query().is_none_or(str::is_empty) {
            return Ok(Query(BTreeMap::new()));
        }
        let pairs = axum::extract::Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let axum::extract::Query(pairs) = pairs
            .map_err(|_| Problem::bad_request("bad-query", "the query of the address cannot be read"))?;
        let mut query = BTreeMap::new();
        for (key, value) in pairs.into_iter().filter(|(key, _)| !key.starts_with('_')) {
            let shown = key.escape_debug().take(64).collect::<String>();
            if query.insert(key, value).is_some() {
                return Err(Problem::bad_request(
                    "bad-query",
                    format!("`{shown}` stands in the query twice"),
                ));
            }
        }
        Ok(Query(query))
    }
}

impl Query {
    /// Returns the value of a key without taking it.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Returns true if the query has that key.
    pub fn names(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Takes the value of a key.
    pub fn text(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    /// Takes the value of a key that must be a whole number.
    ///
    /// # Errors
    /// `bad-query`, and `bad-cursor` for a seq.
    pub fn number(&mut self, key: &str) -> Result<Option<u64>, Problem> {
        let bad = || {
            let code =
                if matches!(key, "from" | "to" | "at" | "before") { "bad-cursor" } else { "bad-query" };
            Problem::bad_request(code, format!("`{key}` must be a whole number, 0 or more"))
        };
        let digits = |v: &String| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit());
        self.0.remove(key).map(|v| v.parse().ok().filter(|_| digits(&v)).ok_or_else(bad)).transpose()
    }

    /// Takes the value of a key that must be 0 or 1; without it, it is 0.
    ///
    /// # Errors
    /// `bad-query`.
    pub fn flag(&mut self, key: &str) -> Result<bool, Problem> {
        match self.0.remove(key).as_deref() {
            None | Some("0" | "false") => Ok(false),
            Some("1" | "true") => Ok(true),
            Some(_) => Err(Problem::bad_request("bad-query", format!("`{key}` must be 0 or 1"))),
        }
    }

    /// Takes the keys that begin with `prefix`, and returns them without it.
    pub fn prefixed(&mut self, prefix: &str) -> BTreeMap<String, String> {
        let (with, without) =
            std::mem::take(&mut self.0).into_iter().partition(|(key, _)| key.starts_with(prefix));
        self.0 = without;
        BTreeMap::into_iter(with).map(|(key, value)| (key[prefix.len()..].to_owned(), value)).collect()
    }

    /// Checks that every key was taken.
    ///
    /// # Errors
    /// `bad-query`, naming one that was not.
    pub fn done(self) -> Result<(), Problem> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(key) => {
                let shown = key.escape_debug().take(64).collect::<String>();
                Err(Problem::bad_request("bad-query", format!("this address knows no parameter `{shown}`")))
            }
        }
    }
}

/// Takes the place from a query at which to begin, where it is not named by a seq: `since`, a time, or `tail`, a number of events.
///
/// # Errors
/// `bad-time`, `bad-query`, `bad-cursor` if it is named twice, `damaged-log`.
pub(crate) async fn beginning(query: &mut Query, stream: &Stream) -> Result<Option<Seq>, Problem> {
    let (since, tail) = (query.text("since"), query.number("tail")?);
    match (since, tail) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Problem::bad_request("bad-cursor", "say `since` or `tail`, not both")),
        _ if query.names("from") => {
            Err(Problem::bad_request("bad-cursor", "say `from`, `since` or `tail`: only one of them"))
        }
        (None, Some(events)) => {
            let head = stream.head();
            Ok(Some(head.saturating_sub(events).saturating_add(1).max(stream.first_seq().min(head + 1))))
        }
        (Some(time), None) => Ok(Some(stream.first_since(moment(&time)?).await?)),
    }
}

/// Takes a range of seqs from a query: `from` (default 1, or the oldest event that is kept) to `to` (default: the head).
///
/// # Errors
/// `bad-cursor`, `bad-time`, `past-head`, `damaged-log`.
pub async fn range(query: &mut Query, stream: &Stream) -> Result<(Seq, Seq), Problem> {
    let head = stream.head();
    let from = match beginning(query, stream).await? {
        Some(from) => Some(from.min(head + 1)),
        None => query.number("from")?,
    };
    let to = query.number("to")?.unwrap_or(head);
    if from == Some(0) {
        return Err(Problem::bad_request("bad-cursor", "`from` counts from 1"));
    }
    let from = from.unwrap_or_else(|| stream.first_seq().min(head + 1));
    if to > head || from > head + 1 {
        let detail = format!("the stream's head is {head}, and the range {from} to {to} goes past it");
        return Err(Problem::bad_request("past-head", detail).with("head", head));
    }
    if from > to + 1 {
        return Err(Problem::bad_request("bad-cursor", format!("`from` ({from}) lies after `to` ({to})")));
    }
    Ok((from, to))
}

/// Returns the actor and reason of a decision. A reason is free text, so what looks like a secret in it is redacted.
pub(crate) fn by(
    core: &Core,
    caller: &Caller,
    said: Option<String>,
    reason: Option<String>,
) -> Result<rig_replay::judge::By, Problem> {
    Ok(rig_replay::judge::By {
        actor: actor_name(core, caller, said)?,
        reason: reason.map(|r| core.redactor().redact_text(&r).0),
    })
}

/// Returns the actor of a request: the name that the hub knows of the caller, and the name that the caller gives, redacted.
///
/// # Errors
/// `bad-actor`.
pub fn actor_name(core: &Core, caller: &Caller, said: Option<String>) -> Result<Option<String>, Problem> {
    let said = said.map(|mut name| {
        core.redactor().redact_log(&mut name);
        name
    });
    let is_bad = |name: &String| name.is_empty() || name.chars().any(char::is_control);
    let said_badly = said.as_ref().is_some_and(is_bad);
    let actor = rig_event::draft::actor(caller.name(), said);
    if said_badly || actor.as_ref().is_some_and(|actor| actor.len() > rig_event::draft::MAX_ID) {
        let detail =
            "`actor` must have 1 to 256 bytes, the name of the token included, and no control characters";
        return Err(Problem::bad_request("bad-actor", detail));
    }
    Ok(actor)
}

/// Returns the idempotency key of a request, from its `Idempotency-Key` header or, where the route allows it, from its query.
pub(crate) fn idempotency_key(
    core: &Core,
    headers: &HeaderMap,
    query: Option<String>,
) -> Result<Option<String>, Problem> {
    let bad = |why: &str| Err(Problem::bad_request("bad-idempotency-key", why));
    let mut given = headers.get_all("idempotency-key").iter();
    let mut key = match (given.next(), given.next()) {
        (None, _) => query,
        (Some(_), Some(_)) => return bad("there are two Idempotency-Key headers; send one"),
        (Some(value), None) => {
            let text = value.to_str().unwrap_or_default().trim();
            // A structured field has quotes, but many clients omit them.
            let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
            if text.contains(['"', '\\']) {
                return bad("the Idempotency-Key header must have no quotes and backslashes in it");
            }
            if query.is_some_and(|query| query != text) {
                return bad("the Idempotency-Key header and `id` differ; send one of them");
            }
            Some(text.to_owned())
        }
    };
    if let Some(key) = &mut key {
        if key.is_empty() || key.len() > rig_event::draft::MAX_ID {
            return bad("an idempotency key has 1 to 256 bytes of printable ASCII");
        }
        core.redactor().redact_log(key);
    }
    Ok(key)
}

pub(crate) fn moment(text: &str) -> Result<Timestamp, Problem> {
    text.parse().map_err(|_| {
        Problem::bad_request("bad-time", "the time must be written as RFC 3339 has it: 2027-01-31T00:00:00Z")
    })
}

/// Returns the service that an address names.
///
/// # Errors
/// `bad-service-name`.
pub fn service_name(name: &str) -> Result<ServiceName, Problem> {
    name.parse().map_err(|e: rig_event::Error| Problem::bad_request("bad-service-name", e.to_string()))
}

/// Returns the answer for a service that has no snapshot at `seq`.
pub fn no_snapshot(name: &ServiceName, seq: Seq) -> Problem {
    Problem::not_found("no-snapshot", format!("service {name} has no snapshot at seq {seq}"))
}

/// Refuses a document about which something is said that cannot be kept.
pub(crate) fn check_document(core: &Core, document: &Document) -> Result<(), Problem> {
    if document.meta.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>() > MAX_META {
        return Err(Problem::bad_request("bad-query", "all of `meta.…` takes up to 16 KiB"));
    }
    no_secret(core.redactor(), &document.service)
}
