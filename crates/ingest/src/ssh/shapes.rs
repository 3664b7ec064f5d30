//! The shapes of the answers, for `/openapi.json`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The key that a device showed.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HostKey {
    /// `HOST:PORT`.
    pub address: String,
    /// Its algorithm, such as `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:…`, as ssh-keygen prints it.
    pub fingerprint: String,
}

/// The host keys that are pinned.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HostKeys {
    /// By address.
    pub host_keys: Vec<HostKey>,
}

/// A host key that is pinned no more.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Forgotten {
    /// The key.
    pub forgotten: HostKey,
}
