//! `[http]` of `hub.toml`.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

/// `[http]` in `hub.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Maximum number of requests in progress: 1,024. A request is in progress from its head until its response begins.
    pub max_requests: NonZeroU32,
    /// Maximum number of requests that wait for their turn: 4,096, each for 10 s at most. Further ones get 429.
    pub max_waiting: u32,
    /// Maximum number of subscribers over SSE: 65,536. Further ones get 429.
    pub max_subscribers: u32,
    /// Maximum number of subscribers with one token, or from one address without a token: 16,384.
    pub max_subscribers_each: Option<NonZeroU32>,
    /// The time after which a connection is closed on which no request comes, in seconds: 75.
    pub idle_timeout: NonZeroU32,
    /// The time that a client may stop reading its response, in seconds: 60. What it reads prolongs that by a second for each KiB.
    pub write_timeout: NonZeroU32,
}

impl Http {
    /// Returns the maximum number of subscribers of one client.
    pub(crate) fn max_subscribers_each(&self) -> u32 {
        self.max_subscribers_each.map_or(16_384, NonZeroU32::get)
    }

    /// Returns the time after which a connection is closed on which no request comes.
    pub(crate) fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout.get().into())
    }

    /// Returns the time that a client may stop reading.
    pub(crate) fn write_timeout(&self) -> Duration {
        Duration::from_secs(self.write_timeout.get().into())
    }
}

impl Default for Http {
    fn default() -> Self {
        Http {
            max_requests: NonZeroU32::MIN.saturating_add(1_023),
            max_waiting: 4_096,
            max_subscribers: 65_536,
            max_subscribers_each: None,
            idle_timeout: NonZeroU32::MIN.saturating_add(74),
            write_timeout: NonZeroU32::MIN.saturating_add(59),
        }
    }
}
