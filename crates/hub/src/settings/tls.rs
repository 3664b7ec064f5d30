//! `[tls]` of `hub.toml`.

use std::path::PathBuf;

use serde::Deserialize;

/// `[tls]` of `hub.toml`. Unknown keys are errors.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSettings {
    /// The file of the certificate and its intermediates, PEM.
    pub cert: Option<PathBuf>,
    /// The file of the certificate's private key, PEM.
    pub key: Option<PathBuf>,
    /// Create a self-signed certificate for development, which clients must be configured to trust. It is stored in the data
    /// directory.
    pub self_signed: bool,
}
