//! `[http]` of `hub.toml`.

use std::num::NonZeroU32;

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
