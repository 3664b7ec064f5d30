//! Who may do what: every request passes here before a route runs, and is accounted for after it.
//!
//! In reading order: `settings`; `token` (what opens a hub, and the book of all of them); `rules` (the table of routes and
//! what each needs); `caller` (whom a route gets to know); `ticket` (a subscription for a browser); `browser` (hosts and origins);
//! `limit` (how many requests); `audit` (what is told of them); [`tls`].

pub(crate) mod audit;
mod browser;
mod caller;
mod limit;
pub mod offline;
mod rules;
mod settings;
mod ticket;
pub mod tls;
mod token;

use std::borrow::Cow;
use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use rig_event::{StreamName, Timestamp};

pub(crate) use caller::Caller;
pub(crate) use caller::REQUEST_ID;
pub use settings::Settings;
pub(crate) use ticket::Tickets;
pub use token::{NewToken, Scope};
pub(crate) use token::{Token, Tokens, may_give};

use crate::problem::Problem;
use crate::routes::events;
use crate::{Error, Options};
use audit::Audit;
use limit::Limits;
use rules::{Need, Rule, Trace};

/// What the hub knows of those who may speak to it.
pub(crate) struct Access {
    settings: Settings,
    pub(crate) tokens: Tokens,
    pub(crate) tickets: Tickets,
    pub(crate) audit: Audit,
    limits: Limits,
    ids: caller::RequestIds,
    /// Whether only this machine reaches the hub.
    local: bool,
    clock: fn() -> Timestamp,
}

/// A request that may go on to its route.
pub(crate) struct Admitted {
    pub(crate) caller: Caller,
    /// The row of the table that it passed.
    pub(crate) rule: &'static Rule,
    /// The stream in its address.
    pub(crate) stream: Option<StreamName>,
}

impl Access {
    /// `local`: whether only this machine reaches the hub.
    pub(crate) fn new(options: &Options, local: bool) -> Result<Access, Error> {
        let settings = options.settings.access.clone();
        Ok(Access {
            tokens: Tokens::new(settings.require_tokens),
            tickets: Tickets::default(),
            audit: Audit::default(),
            limits: Limits::new(&settings, local),
            ids: caller::RequestIds::new(crate::data::random()?),
            clock: options.clock,
            settings,
            local,
        })
    }

    /// The id of a request: the client's own where it is sane, else a new one.
    pub(crate) fn request_id(&self, headers: &HeaderMap) -> HeaderValue {
        self.ids.of(headers)
    }

    /// Decides whether a request may go on. A ticket is taken out of its address here: nothing behind this sees it.
    ///
    /// # Errors
    /// The answer for who may not.
    pub(crate) fn admit<B>(
        &self,
        peer: IpAddr,
        id: &HeaderValue,
        request: &mut hyper::Request<B>,
    ) -> Result<Admitted, Denied> {
        let found = match events::appends_to(request) {
            Some(stream) => Ok(rules::append(stream)),
            None => rules::find(request.method(), request.uri().path()),
        };
        let rule = found.as_ref().ok().map(|found| found.rule);
        let denied = |problem, token: Option<&Token>| Denied {
            problem,
            rule,
            token: token.map(|token| token.id.clone()),
            actor: token.map(|token| token.name.clone()),
        };
        if let Some(rule) = rule.filter(|rule| self.is_for_everybody(rule)) {
            return Ok(Admitted { caller: Caller::new(None, peer, id.clone()), rule, stream: None });
        }
        let headers = request.headers();
        if self.local || !self.tokens.demanded() || !self.settings.hosts.is_empty() {
            browser::host(&self.settings, request.uri(), headers).map_err(|p| denied(p, None))?;
        }
        browser::origin(&self.settings, request.method(), headers).map_err(|p| denied(p, None))?;

        let presented = self.presented(&found, request.uri(), headers);
        let key = || match &presented {
            Ok(Some(token)) => limit::Key::Token(token.id.clone()),
            _ => limit::Key::of(peer),
        };
        let known = presented.as_ref().ok().and_then(Option::as_deref);
        self.limits.check(key).map_err(|p| denied(p, known))?;
        let token = presented.map_err(|problem| denied(problem, None))?;
        let refused = |problem| denied(problem, token.as_deref());
        let found = found.map_err(|unknown| refused(unknown.into()))?;
        let rule = found.rule;
        let caller = Caller::new(token.clone(), peer, id.clone());
        let stream = found.allows(&caller, request.uri()).map_err(refused)?;
        if ticket::is_in(request.uri()) {
            let detail = "a ticket opens the live stream of events, and nothing else";
            let uri = ticket::taken_out(request.uri()).filter(|_| rule.takes_tickets());
            *request.uri_mut() = uri.ok_or_else(|| refused(Problem::bad_request("bad-query", detail)))?;
        }
        Ok(Admitted { caller, rule, stream })
    }

    /// Whether a route answers everybody.
    fn is_for_everybody(&self, rule: &Rule) -> bool {
        rule.need == Need::Nothing || rule.path == rules::METRICS && self.settings.open_metrics
    }

    /// The token that a request shows, itself or by a ticket; none where none is asked for.
    fn presented(
        &self,
        found: &Result<rules::Found<'_>, rules::Unknown>,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Option<std::sync::Arc<Token>>, Problem> {
        let now = self.clock;
        if let Ok(found) = found
            && found.rule.takes_tickets()
            && let Some(ticket) = ticket::of(uri)?
        {
            let token = self.tickets.redeem(&ticket, found.stream_text().as_deref(), now())?;
            return match token {
                Some(token) => token.still_valid(now()).map(Some),
                // A ticket of the time before there were tokens opens nothing any more.
                None if self.tokens.demanded() => Err(ticket::refused()),
                None => Ok(None),
            };
        }
        if !self.tokens.demanded() {
            return Ok(None);
        }
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = given.next() else { return Err(token::missing()) };
        let text = value.to_str().ok().filter(|_| given.next().is_none()).and_then(bearer);
        let text = text.ok_or_else(token::unreadable)?;
        self.tokens.find(text)?.still_valid(now()).map(Some)
    }

    /// The answer to a browser that asks what it may ask, where another origin may ask anything.
    pub(crate) fn preflight<B>(&self, request: &hyper::Request<B>) -> Option<Response> {
        (request.method() == Method::OPTIONS)
            .then(|| browser::preflight(&self.settings, request.headers()))
            .flatten()
    }

    /// Lets a browser's script of another origin read an answer, where that is configured.
    pub(crate) fn share(&self, origin: Option<HeaderValue>, response: &mut Response) {
        if !self.settings.cors_origins.is_empty() {
            browser::share(&self.settings, origin, response);
        }
    }

    /// Looks after what time changes: tokens end, limits are forgotten.
    pub(crate) fn tick(&self) {
        self.tokens.expire((self.clock)());
        self.limits.forget();
    }
}

/// What follows `Bearer `, whatever its case.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, text) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| text.trim_matches(' '))
}

/// A request that may not go on, and what is told of it in the log.
pub(crate) struct Denied {
    pub(crate) problem: Problem,
    pub(crate) rule: Option<&'static Rule>,
    pub(crate) token: Option<std::sync::Arc<str>>,
    pub(crate) actor: Option<String>,
}

impl Admitted {
    /// The stream that the request appends to, if that is all there is to it.
    pub(crate) fn appends_to(&self) -> Option<&StreamName> {
        self.stream.as_ref().filter(|_| std::ptr::eq(self.rule, &rules::APPEND))
    }

    /// Whether what the request does must be told even if its client does not wait for the answer.
    pub(crate) fn is_told_for_sure(&self) -> bool {
        matches!(self.rule.trace, Trace::Each | Trace::Own)
    }
}

/// A piece of an address, decoded.
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

/// 403, for a token that is not enough.
fn forbidden(code: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, code, detail)
}
