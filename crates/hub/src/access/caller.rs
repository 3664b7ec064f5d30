//! The caller of a request, which routes read from the request's extensions.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use rig_event::StreamName;
use tokio::sync::watch;

use super::token::{Scope, Token, Tokens, forbidden};
use crate::permit::Party;
use crate::problem::Problem;

/// The header that holds a request's id.
pub(crate) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The sender of a request.
#[derive(Clone)]
pub struct Caller {
    /// `None` if the hub needs no token.
    token: Option<Arc<Token>>,
    peer: IpAddr,
    request_id: HeaderValue,
}

impl Caller {
    pub(super) fn new(token: Option<Arc<Token>>, peer: IpAddr, request_id: HeaderValue) -> Caller {
        Caller { token, peer, request_id }
    }

    /// The name that what it does is written under; none where the hub stands open.
    pub fn name(&self) -> Option<&str> {
        self.token.as_deref().map(|token| token.name.as_str())
    }

    /// Returns its token, or `None` if the hub needs no token.
    pub(crate) fn token(&self) -> Option<&Arc<Token>> {
        self.token.as_ref()
    }

    /// Returns the address that it connected from.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Returns the client that its requests are counted for.
    pub(crate) fn party(&self) -> Party {
        self.token.as_ref().map_or_else(|| Party::of(self.peer), |token| Party::Token(token.id.clone()))
    }

    /// Returns the id of its request.
    pub(crate) fn request_id(&self) -> &HeaderValue {
        &self.request_id
    }

    /// Returns the id of its request as text.
    pub(crate) fn request_id_text(&self) -> String {
        self.request_id.to_str().unwrap_or_default().to_owned()
    }

    /// Returns its scopes. If the hub needs no token, these are all but `secrets`.
    pub(crate) fn scopes(&self) -> Vec<Scope> {
        Scope::ALL.into_iter().filter(|scope| self.require(*scope).is_ok()).collect()
    }

    /// Refuses a caller without that scope. If the hub needs no token, callers have every scope but `secrets`.
    ///
    /// # Errors
    /// 403.
    pub(super) fn require(&self, scope: Scope) -> Result<(), Problem> {
        let (may, whose) = match &self.token {
            Some(token) => (token.may(scope), "this token has not"),
            None => (scope != Scope::Secrets, "this needs a token with"),
        };
        let name = scope.as_str();
        match may {
            true => Ok(()),
            false => Err(forbidden("no-scope", format!("{whose} the scope {name}")).with("scope", name)),
        }
    }

    /// Refuses a caller whose token is not for all streams. If the hub needs no token, only this machine may administer it.
    pub(super) fn require_all(&self, scope: Scope) -> Result<(), Problem> {
        match &self.token {
            Some(token) if !token.is_for_all() => {
                Err(forbidden("other-stream", "this is about all streams, and the token is for some"))
            }
            None if scope == Scope::Admin && !self.peer.to_canonical().is_loopback() => Err(forbidden(
                "no-scope",
                "the first token is made on the hub's own machine: rig token new --scope admin --stream '*'",
            )),
            _ => Ok(()),
        }
    }

    /// Returns true if a stream is any of its business.
    pub(crate) fn sees(&self, stream: &StreamName) -> bool {
        self.token.as_ref().is_none_or(|token| token.is_for(stream))
    }

    pub(super) fn sees_all(&self) -> bool {
        self.token.as_ref().is_none_or(|token| token.is_for_all())
    }

    /// Returns a receiver that turns true when streaming to the caller has to end: the hub stops, its token ends, or the hub now
    /// needs tokens.
    pub(crate) fn until(&self, tokens: &Tokens) -> watch::Receiver<bool> {
        self.token.as_ref().map_or_else(|| tokens.closed(), |token| token.ended())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned();
        caller
            .ok_or_else(|| Problem::internal("defect", "a request came to its route without being admitted"))
    }
}

/// A generator of request ids.
pub(super) struct RequestIds {
    /// The part that all ids of one start of the hub have in common.
    prefix: String,
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new(random: [u8; 4]) -> RequestIds {
        RequestIds { prefix: rig_event::keyfile::hex(&random), next: AtomicU64::new(1) }
    }

    /// Returns the client's own id if it is 1 to 64 letters, digits, `.`, `_` and `-`; else a new one.
    pub(super) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let mut given = headers.get_all(&REQUEST_ID).iter();
        let fine = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if let (Some(id), None) = (given.next(), given.next())
            && (1..=64).contains(&id.len())
            && id.as_bytes().iter().all(fine)
        {
            return id.clone();
        }
        let id = format!("{}-{}", self.prefix, self.next.fetch_add(1, Relaxed));
        HeaderValue::try_from(id).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sane_id_is_taken_over() {
        let ids = RequestIds::new([0xab; 4]);
        let id = |given: &[&'static [u8]]| {
            let mut headers = HeaderMap::new();
            for value in given {
                headers.append(REQUEST_ID.clone(), HeaderValue::from_bytes(value).unwrap());
            }
            ids.of(&headers).to_str().unwrap().to_owned()
        };
        assert_eq!(id(&[b"7c9e6679-7425-40de_b.1"]), "7c9e6679-7425-40de_b.1");
        let long: &'static [u8] = &[b'x'; 65];
        for bad in
            [&[] as &[&[u8]], &[b""], &[b"a b"], &[b"a\tb"], &[b"\x80"], &[b"a", b"b"], &[b"{\"}"], &[long]]
        {
            assert!(id(bad).starts_with("abababab-"), "{bad:?}");
        }
    }
}
