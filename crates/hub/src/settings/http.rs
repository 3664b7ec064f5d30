//! `[http]` of `hub.toml`.

use std::num::NonZeroU32;

use serde::Deserialize;

/// `[http]` in `hub.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Requests in work at once: 1,024. One is in work from its head until its answer begins.
    pub max_requests: NonZeroU32,
    /// Requests that wait while so many are in work: 4,096, each for 10 s at most. Who comes then gets 429.
    pub max_waiting: u32,
    /// Subscribers over SSE: 65,536. Who comes then gets 429.
    pub max_subscribers: u32,
}

impl Default for Http {
    fn default() -> Self {
        Http {
            max_requests: NonZeroU32::MIN.saturating_add(1_023),
            max_waiting: 4_096,
            max_subscribers: 65_536,
        }
    }
}
