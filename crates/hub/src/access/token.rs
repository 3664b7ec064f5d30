//! Tokens, and the book of all that were issued, which is folded from the hub's own stream.
//!
//! A token is 256 random bits. They cannot be guessed, so a single SHA-256 of a token is enough to store: slow hashes are for
//! passwords, of which there are few likely ones.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use axum::http::StatusCode;
use globset::{Glob, GlobSet, GlobSetBuilder};
use rig_event::audit::{TokenExpired, TokenIssued, TokenRevoked};
use rig_event::event::RESERVED_ACTORS;
use rig_event::keyfile::{hex, unhex};
use rig_event::{Event, StreamName, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;

use crate::data::random;
use crate::error::Error;
use crate::problem::Problem;

/// The beginning of every token, so that it is known for what it is wherever it stands.
const PREFIX: &str = "rig_";

/// Maximum number of tokens valid at the same time, of patterns of a token, and of bytes of a pattern.
const MAX_TOKENS: usize = 10_000;
const MAX_PATTERNS: usize = 32;
const MAX_PATTERN: usize = 128;

/// Maximum length of a token name. Leaves room for the client's own suffix in `actor`.
const MAX_NAME: usize = 64;

/// The end of the name of a token for a page, and its life in microseconds.
const PAGE: &str = ".page";
const PAGE_LIFE: i64 = 12 * 3_600 * 1_000_000;

/// A scope of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Read events, states, configurations and sessions.
    Read,
    /// Append events, capture documents, make streams.
    Write,
    /// Decide (baselines, declarations, accepted drift) and remove streams; with all streams, also tokens and the hub's own
    /// stream. It includes `read` and `write`.
    Admin,
    /// Read original documents with their secrets. Nothing includes it.
    Secrets,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Scope; 4] = [Scope::Read, Scope::Write, Scope::Admin, Scope::Secrets];

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Admin => "admin",
            Scope::Secrets => "secrets",
        }
    }
}

impl std::str::FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Scope, String> {
        let found = Scope::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| "a scope is read, write, admin or secrets".to_owned())
    }
}

/// A request for a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Its name, recorded as the actor of what is done with it; absent: its id. Up to 64 letters, digits, `.`, `_`, `-` and `@`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its scopes.
    pub scopes: Vec<Scope>,
    /// Patterns of the streams it gives access to: `ci-*`, `{a,b}`, `*`.
    pub streams: Vec<String>,
    /// Its expiry; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// A token that was issued.
pub(crate) struct Token {
    pub(crate) id: Arc<str>,
    pub(crate) name: String,
    scopes: Vec<Scope>,
    patterns: Vec<String>,
    streams: GlobSet,
    expires: Option<Timestamp>,
    issued: Timestamp,
    hash: [u8; 32],
    revoked: OnceLock<Timestamp>,
    /// True once its end was reached. It stays so when the clock is set back.
    expired: AtomicBool,
    /// Turns true when it ends. Streaming to its bearer then ends too.
    ended: watch::Sender<bool>,
}

/// A token for listing, without its hash.
#[derive(Serialize)]
pub(crate) struct Listed {
    id: String,
    name: String,
    scopes: Vec<Scope>,
    streams: Vec<String>,
    issued: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<Timestamp>,
}

impl Token {
    /// Returns true if it may do what `scope` says.
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
            || (matches!(scope, Scope::Read | Scope::Write) && self.scopes.contains(&Scope::Admin))
    }

    /// Returns true if it is for that stream. The hub's own is for those who are for all.
    pub(crate) fn is_for(&self, stream: &StreamName) -> bool {
        if stream.is_internal() {
            return self.is_for_all() && self.may(Scope::Admin);
        }
        self.streams.is_match(stream.as_str())
    }

    /// Returns true if it is for all streams.
    pub(crate) fn is_for_all(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern == "*")
    }

    /// Returns a receiver that turns true when it ends.
    pub(crate) fn ended(&self) -> watch::Receiver<bool> {
        self.ended.subscribe()
    }

    /// Refuses it if it was revoked or has expired.
    pub(crate) fn still_valid(&self, now: Timestamp) -> Result<(), Problem> {
        if self.revoked.get().is_some() {
            return Err(unauthorized("revoked-token", "this token was revoked; ask for another"));
        }
        match self.has_expired(now) {
            true => Err(unauthorized("expired-token", "this token has expired; ask for another")),
            false => Ok(()),
        }
    }

    /// Returns the request for a token for a page: the same rights but `secrets`, which no page needs, until this one ends or for twelve
    /// hours.
    pub(super) fn for_page(&self, now: Timestamp) -> NewToken {
        let end = Timestamp::from_micros(now.as_micros().saturating_add(PAGE_LIFE));
        let name: String = self.name.chars().take(MAX_NAME - PAGE.len()).chain(PAGE.chars()).collect();
        NewToken {
            name: Some(name),
            scopes: self.scopes.iter().copied().filter(|scope| *scope != Scope::Secrets).collect(),
            streams: self.patterns.clone(),
            expires: Some(self.expires.map_or(end, |expires| expires.min(end))),
        }
    }

    fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked.get().is_none() && !self.has_expired(now)
    }

    fn has_expired(&self, now: Timestamp) -> bool {
        self.expired.load(Relaxed) || self.expires.is_some_and(|expires| expires <= now)
    }

    fn listed(&self) -> Listed {
        Listed {
            id: self.id.to_string(),
            name: self.name.clone(),
            scopes: self.scopes.clone(),
            streams: self.patterns.clone(),
            issued: self.issued,
            expires: self.expires,
            revoked: self.revoked.get().copied(),
        }
    }

    fn of(event: &TokenIssued, issued: Timestamp) -> Option<Token> {
        let hash = unhex(event.hash.strip_prefix("sha256:")?)?;
        Some(Token {
            id: event.id.as_str().into(),
            name: event.name.clone(),
            scopes: event.scopes.iter().map(|scope| scope.parse().ok()).collect::<Option<_>>()?,
            streams: patterns(&event.streams).ok()?,
            patterns: event.streams.clone(),
            expires: event.expires,
            issued,
            hash: hash.try_into().ok()?,
            revoked: OnceLock::new(),
            expired: AtomicBool::new(false),
            ended: watch::channel(false).0,
        })
    }
}

/// The book of all tokens that were ever issued.
pub(crate) struct Tokens {
    book: RwLock<BTreeMap<String, Arc<Token>>>,
    /// Turns true once the hub needs tokens. Streaming to clients without one then ends.
    closed: watch::Sender<bool>,
    /// True if a token is needed though there is none.
    required: bool,
    clock: fn() -> Timestamp,
    /// The latest time that is known, in microseconds: from there on no token becomes valid again, whatever the clock says.
    floor: AtomicI64,
}

impl Tokens {
    pub(crate) fn new(required: bool, clock: fn() -> Timestamp) -> Tokens {
        let (closed, _) = watch::channel(false);
        Tokens { book: RwLock::default(), closed, required, clock, floor: AtomicI64::new(i64::MIN) }
    }

    /// Returns the time by which tokens are judged: that of the clock, but never earlier than before.
    pub(crate) fn now(&self) -> Timestamp {
        let now = (self.clock)();
        self.not_before(now).max(now)
    }

    /// Sets the earliest time by which tokens are judged, if it is later than the one before. Returns the one before.
    pub(crate) fn not_before(&self, time: Timestamp) -> Timestamp {
        Timestamp::from_micros(self.floor.fetch_max(time.as_micros(), Relaxed))
    }

    /// Refuses the bearer of a token, or a client without one, once it is not let in any more.
    ///
    /// # Errors
    /// 401.
    pub(crate) fn still_admits(&self, token: Option<&Token>) -> Result<(), Problem> {
        match token {
            Some(token) => token.still_valid(self.now()),
            None if self.demanded() => Err(missing()),
            None => Ok(()),
        }
    }

    /// Returns true if requests need a token: once there was one, for ever. When the last has ended, the hub must not stand open.
    pub(crate) fn demanded(&self) -> bool {
        self.required || self.exist()
    }

    /// Returns true if a token was ever made.
    pub(crate) fn exist(&self) -> bool {
        !self.read().is_empty()
    }

    /// Applies an event of the hub's own stream.
    ///
    /// # Errors
    /// If it describes a token that this version cannot understand: it might be one with restrictions.
    pub(crate) fn apply(&self, event: &Event, ts: Timestamp) -> Result<(), Error> {
        let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::TokenIssued(issued) => {
                let token = Token::of(issued, ts).ok_or_else(|| {
                    Error::Fold(format!("the token {:?} in the stream _hub cannot be read", issued.id))
                })?;
                book.insert(issued.id.clone(), Arc::new(token));
                self.closed.send_replace(true);
            }
            Event::TokenRevoked(revoked) => {
                if let Some(token) = book.get(&revoked.id) {
                    let _ = token.revoked.set(ts);
                    token.ended.send_replace(true);
                }
            }
            Event::TokenExpired(expired) => {
                if let Some(token) = book.get(&expired.id) {
                    token.expired.store(true, Relaxed);
                    token.ended.send_replace(true);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns the token with that text. The time it takes reveals nothing about the stored ones: the id in the text is not
    /// secret, and hashes are compared in constant time.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn find(&self, text: &str) -> Result<Arc<Token>, Problem> {
        let id = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).map_or("", |(id, _)| id);
        let token = self.read().get(id).cloned();
        let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let expected = token.as_ref().map_or([0; 32], |token| token.hash);
        match token.filter(|_| hash.ct_eq(&expected).into()) {
            Some(token) => Ok(token),
            None => Err(unauthorized("bad-token", "this hub knows no such token")),
        }
    }

    /// Returns all of them, oldest first.
    pub(crate) fn list(&self) -> Vec<Listed> {
        let mut tokens: Vec<Arc<Token>> = self.read().values().cloned().collect();
        tokens.sort_by_key(|token| token.issued);
        tokens.iter().map(|token| token.listed()).collect()
    }

    /// Returns the token with that id.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Token>> {
        self.read().get(id).cloned()
    }

    /// Returns a receiver that turns true once the hub needs tokens.
    pub(crate) fn closed(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    /// Ends streaming to the bearers of expired tokens. Returns the events of those that were valid until now.
    pub(crate) fn expire(&self) -> Vec<TokenExpired> {
        let now = self.now();
        let book = self.read();
        let over = book.values().filter(|token| token.revoked.get().is_none() && token.has_expired(now));
        let new = over.filter(|token| !token.expired.swap(true, Relaxed)).map(|token| {
            token.ended.send_replace(true);
            TokenExpired { id: token.id.to_string(), name: token.name.clone() }
        });
        new.collect()
    }

    /// Ends streaming to all clients.
    pub(crate) fn stop(&self) {
        self.closed.send_replace(true);
        for token in self.read().values() {
            token.ended.send_replace(true);
        }
    }

    /// Makes a token: its text, and the event that puts it into effect once it is durable.
    ///
    /// # Errors
    /// 400 if the request is not sensible, 409 if there are too many tokens.
    pub(crate) fn make(
        &self,
        new: &NewToken,
        request_id: Option<String>,
    ) -> Result<(String, TokenIssued), Problem> {
        let bad = |why: &str| Err(Problem::bad_request("bad-token-request", why));
        let now = self.now();
        if new.scopes.is_empty() || new.scopes.len() > Scope::ALL.len() {
            return bad("say what it may do: read, write, admin, secrets");
        }
        if new.streams.is_empty() || new.streams.len() > MAX_PATTERNS {
            return bad("say for which streams it is, in 1 to 32 patterns: `*` is all");
        }
        patterns(&new.streams).map_err(|why| Problem::bad_request("bad-token-request", why))?;
        if new.expires.is_some_and(|expires| expires <= now) {
            return bad("it would have expired already");
        }
        if self.read().values().filter(|token| token.is_valid(now)).count() >= MAX_TOKENS {
            return Err(Problem::conflict(
                "too-many-tokens",
                format!("there are {MAX_TOKENS} tokens; revoke some"),
            ));
        }
        let id = hex(&random::<6>().map_err(no_random)?);
        let name = new.name.clone().unwrap_or_else(|| id.clone());
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'@');
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(fine) || name.starts_with(PREFIX) {
            return bad("a name has 1 to 64 letters, digits, `.`, `_`, `-` and `@`");
        }
        if RESERVED_ACTORS.contains(&name.as_str()) {
            return bad("that name is the hub's own; choose another");
        }
        let text = format!("{PREFIX}{id}_{}", hex(&random::<32>().map_err(no_random)?));
        let mut scopes = new.scopes.clone();
        scopes.sort_unstable();
        scopes.dedup();
        let issued = TokenIssued {
            id,
            name,
            scopes: scopes.into_iter().map(|scope| scope.as_str().to_owned()).collect(),
            streams: new.streams.clone(),
            expires: new.expires,
            hash: format!("sha256:{}", hex(&Sha256::digest(text.as_bytes()))),
            request_id,
        };
        Ok((text, issued))
    }

    /// Returns the event that revokes a token, once it is durable; `None` if it is already revoked.
    ///
    /// # Errors
    /// 404 if there is no such token.
    pub(crate) fn revoke(
        &self,
        id: &str,
        request_id: Option<String>,
    ) -> Result<Option<TokenRevoked>, Problem> {
        let token = self.get(id).ok_or_else(|| {
            Problem::not_found("unknown-token", "there is no token with that id; `rig token list` shows them")
        })?;
        let revoked = TokenRevoked { id: token.id.to_string(), name: token.name.clone(), request_id };
        Ok(token.revoked.get().is_none().then_some(revoked))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Arc<Token>>> {
        self.book.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the response to a request without a token.
pub(super) fn missing() -> Problem {
    unauthorized(
        "no-token",
        "this hub asks for a token: `Authorization: Bearer rig_…`, or RIG_TOKEN for the commands",
    )
}

/// Returns the response to an `Authorization` header that is not a bearer token.
pub(super) fn unreadable() -> Problem {
    unauthorized("bad-token", "the header must be one `Authorization: Bearer rig_…`")
}

/// Returns the response to a client that did not identify itself: 401.
pub(super) fn unauthorized(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, detail)
}

/// Checks that a token gives only the scopes that it has: no client can gain access by making a token.
pub(crate) fn may_give(by: Option<&Token>, new: &NewToken) -> Result<(), Problem> {
    match by {
        Some(by) => match new.scopes.iter().find(|scope| !by.may(**scope)) {
            Some(scope) => Err(forbidden(
                "no-scope",
                format!(
                    "a token gives only the scopes that it has, and this one has not {}; who owns the data directory can make one \
                     with `rig token new --data` while no hub runs",
                    scope.as_str()
                ),
            )),
            None => Ok(()),
        },
        None if new.scopes.contains(&Scope::Admin) && new.streams.iter().any(|pattern| pattern == "*") => {
            Ok(())
        }
        None => Err(Problem::conflict(
            "first-token",
            "from the first token on the hub asks for one, so the first must be able to make others: scope admin, stream *",
        )),
    }
}

fn patterns(texts: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for text in texts {
        let bad =
            || "a pattern is a stream's name in which `*`, `?`, `[…]` and `{…}` stand for others".to_owned();
        let fine = |b: u8| b.is_ascii_alphanumeric() || b"._-*?[]{},!".contains(&b);
        if text.is_empty() || text.len() > MAX_PATTERN || !text.bytes().all(fine) {
            return Err(bad());
        }
        set.add(Glob::new(text).map_err(|_| bad())?);
    }
    set.build().map_err(|_| "the patterns are too large together".to_owned())
}

/// Returns the response if the system provides no random numbers.
pub(super) fn no_random(e: Error) -> Problem {
    Problem::internal("defect", e.to_string())
}

/// Returns the response to a token that does not suffice: 403.
pub(super) fn forbidden(code: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, code, detail)
}
