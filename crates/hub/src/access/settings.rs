//! `[access]` of `hub.toml`.

use serde::Deserialize;

/// How a hub is protected, beyond its tokens. Unknown keys are errors.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Demand tokens also while there is none: then the first is made with `rig token new --data`.
    pub require_tokens: bool,
    /// Give `/metrics` to everybody who reaches the hub.
    pub open_metrics: bool,
    /// Names by which the hub is reached, without a port, beside `localhost` and addresses.
    pub hosts: Vec<String>,
    /// Origins (`https://dash.example`) whose scripts may read answers and send requests.
    pub cors_origins: Vec<String>,
    /// Most requests a second of one token, or of one address without a token; 0: no limit. Unless it is said, 0 where only
    /// this machine reaches the hub, else 2,000.
    pub requests_per_second: Option<u32>,
    /// How many requests may come at once before that counts; unless it is said, twice as many.
    pub burst: Option<u32>,
}
