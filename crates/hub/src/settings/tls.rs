//! `[tls]` of `hub.toml`.

use std::path::PathBuf;

use serde::Deserialize;

/// `[tls]` of `hub.toml`. Unknown keys are errors.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSettings {
    /// The file of the certificate and those between it and its authority, PEM.
    pub cert: Option<PathBuf>,
    /// The file of the certificate's key, PEM.
    pub key: Option<PathBuf>,
    /// Make a certificate for development, which only those trust who are told of it. It stays in the data directory.
    pub self_signed: bool,
}
