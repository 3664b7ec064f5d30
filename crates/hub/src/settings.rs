//! `hub.toml`: what a hub is told beyond the policy and its command line.
//!
//! Secrets have no place in it: they are named by the environment variable or the file that holds them.

use serde::Deserialize;

use crate::admission::Http;
use crate::guard::Allowed;
pub use crate::ingest::files::Watched;
pub use crate::ingest::nats::Settings as Nats;
pub use crate::ingest::ssh::settings::{Address, Collect, Device, Kind};
use crate::notify::Endpoints;
pub use crate::notify::settings::Notify;
pub use crate::secrecy::settings::{BlobSettings, TransitSettings};
pub use crate::secret::Secret;

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
    /// Files whose content is captured.
    pub watch: Vec<Watched>,
    /// Who is told of drift.
    #[serde(deserialize_with = "crate::notify::settings::endpoints")]
    pub notify: Vec<Notify>,
    /// Devices whose configuration is collected over SSH.
    #[serde(deserialize_with = "crate::ingest::ssh::settings::devices")]
    pub device: Vec<Device>,
    /// What holds for all of them.
    pub collect: Collect,
    /// Snapshots of routers that come by NATS JetStream.
    pub nats: Option<Nats>,
    /// `[access]`: who may speak to the hub, and how.
    pub access: crate::access::Settings,
    /// `[tls]`: the hub's certificate.
    pub tls: crate::access::tls::Settings,
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

impl Settings {
    /// Reads the secrets that are named and checks what is beyond this file, without connecting to anything.
    ///
    /// # Errors
    /// In words, without a secret in them, when a hub with these settings would not start.
    pub fn check(&self) -> Result<(), String> {
        Endpoints::new(&self.notify, &self.allow).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_page_can_be_read() {
        let page = include_str!("../../../docs/ingestion.md");
        let examples = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        let mut devices = 0;
        for example in examples {
            let settings = Settings::parse(example).unwrap_or_else(|e| panic!("{e}\n{example}"));
            devices += settings.device.len();
        }
        assert!(devices > 0);
    }

    #[test]
    fn a_key_that_is_not_known_is_told_with_its_line() {
        let error = Settings::parse("\n\nwatchers = 1\n").unwrap_err();
        assert_eq!(error.line, 3);
        assert!(Settings::parse("segment_bytes = 65536").is_ok());
        assert!(Settings::parse("segment_bytes = 1000").is_err());
        assert!(error.why.contains("watchers"), "{error}");
    }
}
