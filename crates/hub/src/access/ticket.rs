//! Tickets: a browser's EventSource cannot send headers, so it puts a ticket into its address, which opens one stream, once,
//! within seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{StatusCode, Uri};
use rig_event::keyfile::hex;
use rig_event::{StreamName, Timestamp};
use sha2::{Digest as _, Sha256};

use super::token::{Token, no_random, unauthorized};
use crate::data::random;
use crate::problem::Problem;

/// The beginning of every ticket.
const PREFIX: &str = "rigt_";

/// The life of a ticket, in microseconds.
const LIFE: i64 = 30_000_000;

/// Maximum number of unused tickets, in total and for one token.
const MOST: usize = 10_000;
const MOST_EACH: usize = 1_000;

/// The tickets that were issued and not used. They are lost when the process ends; a client then asks for another.
#[derive(Default)]
pub(crate) struct Tickets {
    /// By the hash of their text.
    out: Mutex<HashMap<[u8; 32], Ticket>>,
}

struct Ticket {
    stream: StreamName,
    token: Option<Arc<Token>>,
    expires: Timestamp,
}

impl Tickets {
    /// Issues a ticket that lets `token` read `stream`. Returns its text and its expiry.
    ///
    /// # Errors
    /// 429 if there are too many unused ones.
    pub(crate) fn give(
        &self,
        stream: &StreamName,
        token: Option<Arc<Token>>,
        now: Timestamp,
    ) -> Result<(String, Timestamp), Problem> {
        let text = format!("{PREFIX}{}", hex(&random::<32>().map_err(no_random)?));
        let expires = Timestamp::from_micros(now.as_micros().saturating_add(LIFE));
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.retain(|_, ticket| ticket.expires > now);
        let id = |token: &Option<Arc<Token>>| token.as_ref().map(|token| token.id.clone());
        let own = out.values().filter(|ticket| id(&ticket.token) == id(&token)).count();
        if out.len() >= MOST || own >= MOST_EACH {
            let detail = "too many tickets are out; use them, or wait until they end";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-tickets", detail));
        }
        out.insert(Sha256::digest(&text).into(), Ticket { stream: stream.clone(), token, expires });
        Ok((text, expires))
    }

    /// Redeems a ticket. It is used up even if it is refused.
    ///
    /// # Errors
    /// 401 if it is unknown, used, expired, or for another stream.
    pub(super) fn redeem(
        &self,
        text: &str,
        stream: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Arc<Token>>, Problem> {
        let hash: [u8; 32] = Sha256::digest(text).into();
        let ticket = self.out.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash);
        let fits = |ticket: &Ticket| ticket.expires > now && stream == Some(ticket.stream.as_str());
        ticket.filter(fits).map(|ticket| ticket.token).ok_or_else(refused)
    }
}

pub(super) fn refused() -> Problem {
    let detail =
        "this ticket was used, is over, or is for something else; ask for another with POST …/tickets";
    unauthorized("bad-ticket", detail)
}

/// Returns the ticket in an address.
///
/// # Errors
/// 401 if there are several.
pub(super) fn of(uri: &Uri) -> Result<Option<String>, Problem> {
    let mut given = pairs(uri).filter_map(|pair| pair.strip_prefix("ticket="));
    match (given.next(), given.next()) {
        (ticket, None) => Ok(ticket.map(str::to_owned)),
        _ => Err(refused()),
    }
}

/// Returns true if there is a ticket in an address.
pub(super) fn is_in(uri: &Uri) -> bool {
    pairs(uri).any(|pair| pair.starts_with("ticket="))
}

/// Returns the address without its ticket.
pub(super) fn taken_out(uri: &Uri) -> Option<Uri> {
    let rest: Vec<&str> = pairs(uri).filter(|pair| !pair.starts_with("ticket=")).collect();
    let query = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{}{query}", uri.path()).parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn pairs(uri: &Uri) -> impl Iterator<Item = &str> {
    uri.query().unwrap_or_default().split('&')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_opens_one_stream_once_and_soon() {
        let (tickets, main) = (Tickets::default(), StreamName::main());
        let at = Timestamp::from_micros;
        let give = || tickets.give(&main, None, at(0)).unwrap().0;
        let redeem = |text: &str, stream, now| tickets.redeem(text, stream, at(now)).is_ok();
        let text = give();
        assert!(redeem(&text, Some("main"), LIFE - 1));
        assert!(!redeem(&text, Some("main"), 1), "replayed");
        let text = give();
        assert!(!redeem(&text, Some("other"), 1));
        assert!(!redeem(&text, Some("main"), 1), "a try uses it up");
        assert!(!redeem(&give(), Some("main"), LIFE));
        assert!(!redeem("rigt_00", Some("main"), 1));
    }

    #[test]
    fn no_more_are_out_than_there_is_room_for() {
        let (tickets, main) = (Tickets::default(), StreamName::main());
        let give = |now| tickets.give(&main, None, Timestamp::from_micros(now));
        for _ in 0..MOST_EACH {
            give(0).unwrap();
        }
        assert_eq!(give(1).unwrap_err().code(), "too-many-tickets");
        give(LIFE).unwrap();
    }

    #[test]
    fn an_address_loses_its_ticket_and_nothing_else() {
        for (with, without) in [
            ("/a/b?ticket=rigt_1", "/a/b"),
            ("/a/b?from=1&ticket=rigt_1&types=x.*", "/a/b?from=1&types=x.*"),
            ("http://h:1/a?ticket=1&ticket=2", "http://h:1/a"),
        ] {
            assert_eq!(taken_out(&with.parse().unwrap()).unwrap(), without.parse::<Uri>().unwrap());
        }
        assert!(of(&"/a?ticket=1&ticket=2".parse().unwrap()).is_err());
        assert_eq!(of(&"/a?tickets=1".parse().unwrap()).unwrap(), None);
    }
}
