//! Access control: every request passes here before a route runs, and is accounted for after it.
//!
//! In reading order: `token` (the credentials, and the book of all of them); `rules` (the table of routes and what each needs);
//! `caller` (what a route learns of the client); `ticket` (a subscription for a browser); `login` (a token for a browser); `browser` (hosts and origins); `limit`
//! (requests a second); `admission` (requests at once); `audit` (the events about requests); [`tls`].

mod admission;
mod audit;
mod browser;
mod caller;
mod limit;
mod login;
mod rules;
mod ticket;
pub mod tls;
mod token;

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::response::Response;
use rig_config::Redactor;
use rig_event::{Draft, Event, StreamName, Timestamp};
use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};

pub(crate) use admission::Admission;
pub(crate) use audit::EVERY as AUDIT_EVERY;
pub use caller::Caller;
pub(crate) use caller::REQUEST_ID;
pub(crate) use rules::{APPEND, CONFIG, EVENTS, METRICS, Table, appends_to};
pub use rules::{Need, Rule, Trace};
pub use token::{NewToken, Scope};

use crate::data::random;
use crate::error::Error;
use crate::options::Options;
use crate::permit::{Party, Permit};
use crate::problem::Problem;
use crate::settings::AccessSettings;
use crate::streams::Streams;
use audit::Audit;
use limit::Limits;
use login::Logins;
use ticket::Tickets;
use token::{Token, Tokens, may_give};

/// The access control of a hub.
pub(crate) struct Access {
    settings: AccessSettings,
    table: Table,
    tokens: Arc<Tokens>,
    /// Held while a token is made or revoked: what is decided about tokens takes effect before the next decision is placed.
    deciding: Mutex<()>,
    tickets: Tickets,
    logins: Logins,
    /// Limits on requests and subscribers at once.
    pub(crate) admission: Admission,
    audit: Audit,
    limits: Limits,
    ids: caller::RequestIds,
    /// True if only this machine reaches the hub.
    local: bool,
    clock: fn() -> Timestamp,
    redactor: Arc<Redactor>,
    /// The streams. The hub's own keeps the tokens and the audit events.
    streams: Streams,
}

/// A request that may proceed to its route.
pub(crate) struct Admitted {
    pub(crate) caller: Caller,
    /// Its permission while it is answered; `None` for a route that answers everybody.
    pub(crate) permit: Option<Permit>,
    /// The row of the table that it passed.
    pub(crate) rule: &'static Rule,
    /// The stream that its address names.
    pub(crate) stream: Option<StreamName>,
}

impl Access {
    /// Creates the access control of a hub. `local`: only this machine can reach it.
    pub(crate) fn new(
        options: &Options,
        local: bool,
        table: Table,
        redactor: Arc<Redactor>,
        streams: Streams,
    ) -> Result<Access, Error> {
        let settings = options.access.clone();
        Ok(Access {
            table,
            tokens: Arc::new(Tokens::new(settings.require_tokens, options.clock)),
            deciding: Mutex::default(),
            tickets: Tickets::default(),
            logins: Logins::default(),
            admission: Admission::new(&options.http),
            audit: Audit::default(),
            limits: Limits::new(&settings, local),
            ids: caller::RequestIds::new(random()?),
            clock: options.clock,
            settings,
            local,
            redactor,
            streams,
        })
    }

    /// Returns all rules, each with the component that it is of.
    pub(crate) fn rules(&self) -> &[(&'static str, &'static Rule)] {
        self.table.rules()
    }

    /// Returns true if requests need a token.
    pub(crate) fn demands_tokens(&self) -> bool {
        self.tokens.demanded()
    }

    /// Returns true if a token was ever issued.
    pub(crate) fn has_tokens(&self) -> bool {
        self.tokens.exist()
    }

    /// Applies an event of the hub's own stream about a token.
    pub(crate) fn recall(&self, event: &Event, ts: Timestamp) -> Result<(), Error> {
        self.tokens.apply(event, ts)
    }

    /// Returns all tokens for listing, without their texts.
    pub(crate) fn list_tokens(&self) -> Result<Value, Problem> {
        let tokens = serde_json::to_value(self.tokens.list());
        Ok(json!({ "tokens": tokens.map_err(|e| Problem::internal("defect", e.to_string()))? }))
    }

    /// Creates a token, for a caller or for the owner of the data directory.
    pub(crate) async fn issue(&self, by: Option<&Caller>, new: &NewToken) -> Result<Value, Problem> {
        if let Some(caller) = by {
            may_give(caller.token().map(|token| token.as_ref()), new)?;
        }
        let name = new.name.as_deref().unwrap_or_default();
        if self.redactor.is_secret_name(name) {
            return Err(Problem::bad_request(
                "bad-token-request",
                "the name looks like a secret; it would be shown",
            ));
        }
        let _deciding = self.deciding.lock().await;
        let (text, issued) = self.tokens.make(new, by.map(Caller::request_id_text))?;
        let made = json!({
            "token": text,
            "id": issued.id,
            "name": issued.name,
            "scopes": issued.scopes,
            "streams": issued.streams,
            "expires": issued.expires,
        });
        self.decide(by.and_then(Caller::name), Event::TokenIssued(issued)).await?;
        Ok(made)
    }

    /// Revokes a token, for a caller or for the owner of the data directory.
    pub(crate) async fn revoke(&self, by: Option<&Caller>, id: &str) -> Result<(), Problem> {
        let _deciding = self.deciding.lock().await;
        match self.tokens.revoke(id, by.map(Caller::request_id_text))? {
            Some(revoked) => self.decide(by.and_then(Caller::name), Event::TokenRevoked(revoked)).await,
            None => Ok(()),
        }
    }

    /// Writes a decision about a token, and then lets it take effect.
    async fn decide(&self, by: Option<&str>, event: Event) -> Result<(), Problem> {
        let actor = by.map(str::to_owned);
        self.streams.make_room().await;
        self.streams.tell(Draft { actor, ..Draft::new(None, event.clone()) }).await?;
        let held = self.tokens.apply(&event, (self.clock)());
        held.map_err(|e| Problem::internal("defect", e.to_string()))
    }

    /// Gives a caller a ticket for a stream. Returns its text and its expiry.
    pub(crate) fn give_ticket(
        &self,
        stream: &StreamName,
        caller: &Caller,
    ) -> Result<(String, Timestamp), Problem> {
        self.tickets.give(stream, caller.token().cloned(), (self.clock)())
    }

    /// Gives a caller a code, for which a browser gets a token with the caller's rights. Returns its text and its expiry.
    ///
    /// # Errors
    /// 409 if the hub needs no tokens, 429.
    pub(crate) fn give_login(&self, caller: &Caller) -> Result<(String, Timestamp), Problem> {
        let Some(token) = caller.token().cloned() else {
            let detail = "this hub asks for no token, so its page opens without a code";
            return Err(Problem::conflict("no-tokens", detail));
        };
        self.logins.give(token, (self.clock)())
    }

    /// Redeems a code: makes a token with the rights of that which asked for it, for twelve hours at most.
    ///
    /// # Errors
    /// 401, 409 if there are too many tokens, 429.
    pub(crate) async fn log_in(&self, code: &str, request_id: String) -> Result<Value, Problem> {
        let _deciding = self.deciding.lock().await;
        let now = (self.clock)();
        let maker = self.logins.redeem(code, now)?;
        maker.still_valid(now)?;
        let (text, issued) = self.tokens.make(&maker.for_page(now), Some(request_id))?;
        let made = json!({ "token": text, "id": issued.id, "expires": issued.expires });
        self.decide(Some(&maker.name), Event::TokenIssued(issued)).await?;
        Ok(made)
    }

    /// Returns a receiver that turns true when streaming to a caller has to end: the hub stops, its token ends, or the hub now
    /// needs tokens.
    pub(crate) fn until(&self, caller: &Caller) -> watch::Receiver<bool> {
        caller.until(&self.tokens)
    }

    /// Ends streaming to all clients: the hub stops.
    pub(crate) fn stop(&self) {
        self.tokens.stop();
    }

    /// Returns the id of a request: the client's own if it is well-formed, else a new one.
    pub(crate) fn request_id(&self, headers: &HeaderMap) -> HeaderValue {
        self.ids.of(headers)
    }

    /// Decides whether a request may proceed. A ticket is removed from its address here, so that no later code sees it.
    ///
    /// # Errors
    /// The response to a request that is denied.
    pub(crate) fn admit<B>(
        &self,
        peer: IpAddr,
        id: &HeaderValue,
        request: &mut hyper::Request<B>,
    ) -> Result<Admitted, Denied> {
        let found = match appends_to(request) {
            Some(stream) => Ok(rules::append(stream)),
            None => self.table.find(request.method(), request.uri().path()),
        };
        let rule = found.as_ref().ok().map(|found| found.rule);
        let denied = |problem, token: Option<&Token>| Denied {
            problem,
            rule,
            token: token.map(|token| token.id.clone()),
            actor: token.map(|token| token.name.clone()),
        };
        if let Some(rule) = rule.filter(|rule| self.is_for_everybody(rule)) {
            let caller = Caller::new(None, peer, id.clone());
            return Ok(Admitted { caller, permit: None, rule, stream: None });
        }
        let headers = request.headers();
        if self.local || !self.tokens.demanded() || !self.settings.hosts.is_empty() {
            browser::host(&self.settings, request.uri(), headers).map_err(|p| denied(p, None))?;
        }
        browser::origin(&self.settings, request.method(), headers).map_err(|p| denied(p, None))?;

        let presented = self.presented(&found, request.uri(), headers);
        let key = || match &presented {
            Ok(Some(token)) => Party::Token(token.id.clone()),
            _ => Party::of(peer),
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
        let tokens = self.tokens.clone();
        let permit = Permit::new(caller.party(), move || tokens.still_admits(token.as_deref()));
        Ok(Admitted { caller, permit: Some(permit), rule, stream })
    }

    /// Returns true if a route answers everybody.
    fn is_for_everybody(&self, rule: &Rule) -> bool {
        rule.need == Need::Nothing || rule.path == rules::METRICS && self.settings.open_metrics
    }

    /// Returns the token of a request, from its header or its ticket; `None` if the hub needs no token.
    fn presented(
        &self,
        found: &Result<rules::Found<'_>, rules::Unknown>,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Option<Arc<Token>>, Problem> {
        if let Ok(found) = found
            && found.rule.takes_tickets()
            && let Some(ticket) = ticket::of(uri)?
        {
            let token = self.tickets.redeem(&ticket, found.stream_text().as_deref(), (self.clock)())?;
            return match token {
                Some(token) => token.still_valid(self.tokens.now()).map(|()| Some(token)),
                // A ticket from before the first token was issued is no longer valid.
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
        let token = self.tokens.find(text)?;
        token.still_valid(self.tokens.now()).map(|()| Some(token))
    }

    /// Answers a browser's preflight request, if the origin is a listed one.
    pub(crate) fn preflight<B>(&self, request: &hyper::Request<B>) -> Option<Response> {
        (request.method() == Method::OPTIONS)
            .then(|| browser::preflight(&self.settings, request.headers()))
            .flatten()
    }

    /// Allows scripts of other origins to read the response, if any are configured.
    pub(crate) fn share(&self, origin: Option<HeaderValue>, response: &mut Response) {
        if !self.settings.cors_origins.is_empty() {
            browser::share(&self.settings, origin, response);
        }
    }

    /// Does what depends on the time: ends expired tokens, forgets idle rate limits.
    pub(crate) async fn tick(&self) {
        for expired in self.tokens.expire() {
            self.tell(Draft::new(None, Event::TokenExpired(expired))).await;
        }
        self.limits.forget();
    }

    /// Sets the earliest time by which tokens are judged: that of the last event in the hub's own stream.
    pub(crate) fn not_before(&self, time: Timestamp) {
        self.tokens.not_before(time);
    }
}

/// Returns the text that follows `Bearer `, whatever its case.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, text) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| text.trim_matches(' '))
}

/// A request that is denied, with what the log records of it.
pub(crate) struct Denied {
    pub(crate) problem: Problem,
    pub(crate) rule: Option<&'static Rule>,
    pub(crate) token: Option<Arc<str>>,
    pub(crate) actor: Option<String>,
}

impl Admitted {
    /// Returns the stream that the request appends to, if its rule is the one of appends.
    pub(crate) fn appends_to(&self) -> Option<&StreamName> {
        self.stream.as_ref().filter(|_| std::ptr::eq(self.rule, &APPEND))
    }

    /// Returns true if what the request does must be told even if its client does not wait for the answer.
    pub(crate) fn is_told_for_sure(&self) -> bool {
        matches!(self.rule.trace, Trace::Each | Trace::Own)
    }
}
