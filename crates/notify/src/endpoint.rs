//! An endpoint: gets one message after the other, each retried until it is accepted or given up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use reqwest::{StatusCode, Url, header};
use rig_event::{Seq, Timestamp};
use rig_outbound::guard::{self, Allowed};
use tokio::sync::Mutex;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::message::{Message, signature};
use super::settings::Notify;

/// The minimum and the maximum wait between two attempts.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);

/// An endpoint, and the state of its deliveries.
pub(crate) struct Endpoint {
    pub(super) settings: Notify,
    url: Url,
    key: Option<Zeroizing<String>>,
    http: reqwest::Client,
    /// Held while a message is sent: an endpoint gets one request at a time.
    pub(super) turn: Mutex<()>,
    /// The cursors that the hub's own stream has of it.
    pub(super) known: std::sync::Mutex<Known>,
    /// True if it was told that nothing gets through.
    pub(super) failing: AtomicBool,
    pub(super) sent: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) dropped: AtomicU64,
}

/// The time of an endpoint's first start, and its cursors.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) began: Option<Timestamp>,
    /// By stream and epoch, the last event that need not be considered again.
    pub(super) upto: BTreeMap<(String, String), Seq>,
}

/// The reason why a message was not accepted.
struct Failure {
    why: String,
    /// True if this message will never be accepted.
    for_good: bool,
    /// The time that the endpoint wants to be left alone.
    wait: Option<Duration>,
}

/// The outcome of an attempt; `news`: it differs from the one before.
pub(super) enum Outcome {
    Taken { news: bool },
    Failed { news: bool, why: String, wait: Duration },
    GivenUp(String),
}

/// The waits between the attempts to send a message.
pub(super) type Waits = ExponentialBackoff;

pub(super) fn waits() -> Waits {
    ExponentialBuilder::new()
        .with_jitter()
        .with_min_delay(FIRST_WAIT)
        .with_max_delay(LONGEST_WAIT)
        .without_max_times()
        .build()
}

impl Endpoint {
    /// Reads the secrets of an endpoint, and checks its URL.
    pub(crate) fn new(settings: &Notify, allowed: Arc<Allowed>) -> Result<Endpoint, String> {
        let why = |why: String| format!("[[notify]] `{}`: {why}", settings.name);
        let url =
            guard::check_url(&settings.url().map_err(why)?, &allowed).map_err(|e| why(e.to_string()))?;
        let key = settings.key().map_err(why)?;
        let http = guard::client(allowed)
            .timeout(settings.timeout())
            .user_agent(concat!("rig/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| why(e.without_url().to_string()))?;
        Ok(Endpoint {
            settings: settings.clone(),
            url,
            key,
            http,
            turn: Mutex::new(()),
            known: std::sync::Mutex::default(),
            failing: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        })
    }

    /// Tries once to send a message. Its first attempt was at `begun`.
    pub(super) async fn attempt(
        &self,
        message: &Message,
        begun: Instant,
        waits: &mut Waits,
        now: Timestamp,
    ) -> Outcome {
        let Err(failure) = self.send(message, now.as_micros() / 1_000_000).await else {
            self.sent.fetch_add(1, Relaxed);
            return Outcome::Taken { news: self.failing.swap(false, Relaxed) };
        };
        self.failed.fetch_add(1, Relaxed);
        if failure.for_good || begun.elapsed() >= self.settings.give_up() {
            self.dropped.fetch_add(1, Relaxed);
            return Outcome::GivenUp(failure.why);
        }
        let wait = failure.wait.or_else(|| waits.next()).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        Outcome::Failed { news: !self.failing.swap(true, Relaxed), why: failure.why, wait }
    }

    async fn send(&self, message: &Message, seconds: i64) -> Result<(), Failure> {
        let mut request = self
            .http
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", format!("\"{}\"", message.id))
            .body(message.body.clone());
        if let Some(signature) =
            self.key.as_ref().and_then(|key| signature(key.as_bytes(), seconds, &message.body))
        {
            request = request.header("x-rig-signature", signature);
        }
        let failure = |why: String| Failure { why, for_good: false, wait: None };
        let answer = request.send().await.map_err(|e| failure(self.describe(&e)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let said = if status.is_redirection() { ", and redirects are not followed" } else { "" };
        let wait = answer.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
        // Other messages may be accepted; this one would be refused again.
        let for_good = matches!(
            status,
            StatusCode::BAD_REQUEST
                | StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::UNSUPPORTED_MEDIA_TYPE
                | StatusCode::UNPROCESSABLE_ENTITY
        );
        let why = format!("it answered {}{said}", status.as_u16());
        Err(Failure { why, for_good, wait: wait.map(Duration::from_secs) })
    }

    /// Describes an error, without the URL, which may be a secret.
    fn describe(&self, error: &reqwest::Error) -> String {
        match guard::refused(error) {
            Some(refused) => refused.to_string(),
            None if error.is_timeout() => {
                format!("it did not answer within {} s", self.settings.timeout().as_secs())
            }
            None if error.is_connect() => "it cannot be connected to".to_owned(),
            None => "the connection broke off".to_owned(),
        }
    }
}
