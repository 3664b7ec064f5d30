//! Logins: a code, good once and for a minute, for which a browser gets a token of its own. Nobody copies a token into a page.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use rig_event::Timestamp;
use rig_event::keyfile::hex;
use sha2::{Digest as _, Sha256};

use super::token::{Token, no_random, unauthorized};
use crate::data::random;
use crate::problem::Problem;

/// The life of a code, in microseconds.
const LIFE: i64 = 60_000_000;

/// Maximum number of unused codes, in total and for one token.
const MOST: usize = 1_000;
const MOST_EACH: usize = 32;

/// Maximum number of wrong codes in the time that a code lives. With 256 bits nobody finds one; this limits the noise.
const MOST_WRONG: usize = 100;

/// The codes that were issued and not used. They are lost when the process ends; a client then asks for another.
#[derive(Default)]
pub(super) struct Logins(Mutex<Out>);

#[derive(Default)]
struct Out {
    /// By the hash of their text.
    codes: HashMap<[u8; 32], (Arc<Token>, Timestamp)>,
    /// Wrong codes since the time beside.
    wrong: usize,
    since: Timestamp,
}

impl Logins {
    /// Issues a code for which somebody gets a token with the rights of `token`. Returns its text and its expiry.
    ///
    /// # Errors
    /// 429 if there are too many unused ones.
    pub(super) fn give(&self, token: Arc<Token>, now: Timestamp) -> Result<(String, Timestamp), Problem> {
        let text = hex(&random::<32>().map_err(no_random)?);
        let expires = later(now);
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.codes.retain(|_, (_, expires)| *expires > now);
        let own = out.codes.values().filter(|(other, _)| other.id == token.id).count();
        if out.codes.len() >= MOST || own >= MOST_EACH {
            let detail = "too many codes are out; use them, or wait a minute until they end";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-logins", detail));
        }
        out.codes.insert(Sha256::digest(&text).into(), (token, expires));
        Ok((text, expires))
    }

    /// Redeems a code. Returns the token that it was made with.
    ///
    /// # Errors
    /// 401 if the code is unknown, used or expired; 429 after too many wrong ones.
    pub(super) fn redeem(&self, text: &str, now: Timestamp) -> Result<Arc<Token>, Problem> {
        let hash: [u8; 32] = Sha256::digest(text).into();
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if later(out.since) <= now {
            (out.since, out.wrong) = (now, 0);
        }
        if out.wrong >= MOST_WRONG {
            let detail = "too many wrong codes came; wait a minute";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-logins", detail));
        }
        match out.codes.remove(&hash).filter(|(_, expires)| *expires > now) {
            Some((token, _)) => Ok(token),
            None => {
                out.wrong += 1;
                let detail = "this code was used or is over; ask for another with `rig dash`";
                Err(unauthorized("bad-login", detail))
            }
        }
    }
}

fn later(now: Timestamp) -> Timestamp {
    Timestamp::from_micros(now.as_micros().saturating_add(LIFE))
}
