//! `hub.toml`: what a hub is told beyond the policy and its command line.
//!
//! Secrets have no place in it: they are named by the environment variable or the file that holds them.

use serde::Deserialize;

use crate::admission::Http;
use crate::guard::Allowed;
pub use crate::ingest::ssh::settings::{Address, Collect, Device, Kind};
pub use crate::secrecy::settings::{BlobSettings, TransitSettings};

/// The content of `hub.toml`. Unknown keys are errors.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `[blobs]`: whether the originals of documents are kept, and who holds the key.
    pub blobs: BlobSettings,
    /// A segment of a log that would grow beyond so many bytes is ended: 64 KiB to 1 GiB, 64 MiB where it is absent. Retention deletes
    /// whole segments.
    pub segment_bytes: Option<u64>,
    /// Where inside the hub may connect to when somebody names it: names, addresses, networks.
    pub allow: Allowed,
    /// How many requests and subscribers there may be at once.
    pub http: Http,
    /// Devices whose configuration is collected over SSH.
    #[serde(deserialize_with = "crate::ingest::ssh::settings::devices")]
    pub device: Vec<Device>,
    /// What holds for all of them.
    pub collect: Collect,
    /// Router snapshots from NATS JetStream.
    pub nats: Option<crate::ingest::nats::Settings>,
}

/// What `segment_bytes` may be.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 64 << 10..=1 << 30;

/// What is wrong with `hub.toml`. Values are not repeated.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadSettings {
    /// Where, from 1.
    pub line: usize,
    /// What is wrong there.
    pub why: String,
}

impl Settings {
    /// Reads the text of a `hub.toml`.
    ///
    /// # Errors
    /// When it is no TOML, has a key that is not known, or a value that makes no sense.
    pub fn parse(text: &str) -> Result<Settings, BadSettings> {
        let settings: Settings = toml::from_str(text).map_err(|e| {
            let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            BadSettings { line: before.matches('\n').count() + 1, why: e.message().to_owned() }
        })?;
        let line = |key: &str| text.lines().position(|line| line.starts_with(key)).map_or(1, |at| at + 1);
        if settings.segment_bytes.is_some_and(|bytes| !SEGMENT_BYTES.contains(&bytes)) {
            let why = "`segment_bytes` takes 65536 (64 KiB) to 1073741824 (1 GiB)".to_owned();
            return Err(BadSettings { line: line("segment_bytes"), why });
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_not_known_is_told_with_its_line() {
        let error = Settings::parse("\n\nwatchers = 1\n").unwrap_err();
        assert_eq!(error.line, 3);
        assert!(Settings::parse("segment_bytes = 65536").is_ok());
        assert!(Settings::parse("segment_bytes = 1000").is_err());
        assert!(error.why.contains("watchers"), "{error}");
    }
}
