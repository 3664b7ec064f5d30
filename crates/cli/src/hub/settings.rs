//! `hub.toml`: what a hub is told beyond the policy and its command line. Each section is of a type of the crate that it is about.
//!
//! Secrets have no place in it: they are named by the environment variable or the file that holds them.

use std::path::Path;

use anyhow::{Context as _, Result};
use rig_hub::Options;
use rig_hub::settings::{AccessSettings, BlobSettings, Http, TlsSettings};
use rig_ingest::watch::{Entry, Watched};
use rig_notify::Notify;
use rig_outbound::Allowed;
use serde::Deserialize;
use toml::Spanned;

/// The content of `hub.toml`. Unknown keys are errors.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `[blobs]`: how originals of documents are kept.
    pub blobs: BlobSettings,
    /// Bytes beyond which a segment of a log is ended: 64 KiB to 1 GiB, 64 MiB by default. Retention deletes whole segments.
    pub segment_bytes: Option<u64>,
    /// Names, addresses and networks inside that the hub may connect to when somebody names them.
    pub allow: Allowed,
    /// `[http]`: requests and subscribers at once.
    pub http: Http,
    /// `[[watch]]`: files whose content is captured.
    pub watch: Vec<Spanned<Entry>>,
    /// `[[notify]]`: endpoints that are told of drift.
    pub notify: Vec<Spanned<Notify>>,
    /// `[[device]]`: devices whose configuration is collected over SSH.
    #[cfg(feature = "ssh")]
    pub device: Vec<Spanned<rig_ingest::ssh::Device>>,
    /// `[collect]`: what holds for all devices.
    #[cfg(feature = "ssh")]
    pub collect: rig_ingest::ssh::Collect,
    /// `[nats]`: snapshots of routers that come by NATS JetStream.
    #[cfg(feature = "nats")]
    pub nats: Option<rig_ingest::nats::Settings>,
    /// `[access]`: who may speak to the hub, and how.
    pub access: AccessSettings,
    /// `[tls]`: the hub's certificate.
    pub tls: TlsSettings,
}

/// The allowed values of `segment_bytes`.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 64 << 10..=1 << 30;

/// A fault in `hub.toml`. Values are not repeated.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadSettings {
    /// The line, from 1.
    pub line: usize,
    /// The fault there.
    pub why: String,
}

impl Settings {
    /// Reads the text of a `hub.toml`.
    ///
    /// # Errors
    /// It is not TOML, has an unknown key, or a value that makes no sense.
    pub fn parse(text: &str) -> Result<Settings, BadSettings> {
        let line = |at: usize| text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        let settings: Settings = toml::from_str(text).map_err(|e| BadSettings {
            line: line(e.span().map_or(0, |span| span.start)),
            why: unbuilt(e.message()).unwrap_or_else(|| e.message().to_owned()),
        })?;
        if settings.segment_bytes.is_some_and(|bytes| !SEGMENT_BYTES.contains(&bytes)) {
            let why = "`segment_bytes` takes 65536 (64 KiB) to 1073741824 (1 GiB)".to_owned();
            let at = text.lines().position(|line| line.starts_with("segment_bytes"));
            return Err(BadSettings { line: at.map_or(1, |at| at + 1), why });
        }
        settings.watched().map_err(|Refused { at, why }| BadSettings { line: line(at), why })?;
        rig_notify::check(&settings.endpoints())
            .map_err(|(n, why)| BadSettings { line: line(settings.notify[n].span().start), why })?;
        #[cfg(feature = "ssh")]
        rig_ingest::ssh::check(&settings.devices())
            .map_err(|(n, why)| BadSettings { line: line(settings.device[n].span().start), why })?;
        Ok(settings)
    }

    /// Reads a `hub.toml`; without a path, everything is as it is by default.
    ///
    /// # Errors
    /// The file cannot be read, or as [`Settings::parse`].
    pub fn load(path: Option<&Path>) -> Result<Settings> {
        let Some(path) = path else { return Ok(Settings::default()) };
        let shown = path.display();
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read the settings {shown}"))?;
        Settings::parse(&text).with_context(|| format!("the settings {shown}"))
    }

    /// Returns the files that are watched.
    pub(super) fn watched(&self) -> Result<Vec<Watched>, Refused> {
        let checked = |entry: &Spanned<Entry>| {
            let (at, entry) = (entry.span().start, entry.get_ref().clone());
            entry.try_into().map_err(|why| Refused { at, why })
        };
        self.watch.iter().map(checked).collect()
    }

    /// Returns the endpoints that are notified.
    pub(super) fn endpoints(&self) -> Vec<Notify> {
        self.notify.iter().map(|endpoint| endpoint.get_ref().clone()).collect()
    }

    /// Returns the devices that are collected from.
    #[cfg(feature = "ssh")]
    pub(super) fn devices(&self) -> Vec<rig_ingest::ssh::Device> {
        self.device.iter().map(|device| device.get_ref().clone()).collect()
    }

    /// Takes over into the options of a hub what is about the hub itself.
    pub fn apply(&self, options: &mut Options) {
        options.blobs = self.blobs.clone();
        options.http = self.http.clone();
        options.access = self.access.clone();
        options.tls = self.tls.clone();
        options.segment_bytes = self.segment_bytes.unwrap_or(options.segment_bytes);
    }
}

/// An entry that makes no sense, by the place where it begins.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(super) struct Refused {
    at: usize,
    why: String,
}

/// Returns what is wrong with a section that needs a feature which this program was built without.
fn unbuilt(message: &str) -> Option<String> {
    let missing = [
        (cfg!(feature = "ssh"), "`device`", "ssh"),
        (cfg!(feature = "ssh"), "`collect`", "ssh"),
        (cfg!(feature = "nats"), "`nats`", "nats"),
    ];
    let (.., section, feature) = missing.into_iter().find(|(is_built, section, _)| {
        !is_built && message.starts_with("unknown field") && message[13..].trim_start().starts_with(section)
    })?;
    Some(format!("this program was built without the feature `{feature}`, which {section} needs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(feature = "ssh", feature = "nats"))]
    fn the_examples_of_the_page_can_be_read() {
        let page = include_str!("../../../../docs/ingestion.md");
        let examples = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        let mut devices = 0;
        for example in examples {
            let settings = Settings::parse(example).unwrap_or_else(|e| panic!("{e}\n{example}"));
            devices += settings.device.len();
        }
        assert!(devices > 0);
    }

    #[test]
    fn an_unknown_key_is_reported_with_its_line() {
        let error = Settings::parse("\n\nwatchers = 1\n").unwrap_err();
        assert_eq!(error.line, 3);
        assert!(Settings::parse("segment_bytes = 65536").is_ok());
        assert!(Settings::parse("segment_bytes = 1000").is_err());
        assert!(error.why.contains("watchers"), "{error}");
    }

    #[test]
    fn an_error_in_an_entry_of_a_list_names_its_own_line() {
        let watch =
            "[[watch]]\nservice = \"a\"\npaths = [\"/a\"]\n\n[[watch]]\nservice = \"b\"\npaths = []\n";
        let error = Settings::parse(watch).unwrap_err();
        assert_eq!((error.line, error.why.contains("`b`: name the files")), (5, true), "{error}");
        let key = "[[watch]]\nservice = \"a\"\npaths = [\"/a\"]\n\n[[watch]]\nservice = \"b\"\nevery = 1\n";
        let error = Settings::parse(key).unwrap_err();
        assert_eq!((error.line, error.why.contains("every")), (7, true), "{error}");
        let notify = "[[notify]]\nname = \"a\"\nurl = \"https://a.example\"\n\n[[notify]]\nname = \"a\"\nurl = \"https://b.example\"\n";
        let error = Settings::parse(notify).unwrap_err();
        assert_eq!((error.line, error.why.contains("two [[notify]]")), (5, true), "{error}");
    }

    #[test]
    #[cfg(feature = "ssh")]
    fn an_error_in_a_device_names_its_own_line() {
        let device = |service: &str, user: &str| {
            format!(
                "[[device]]\nservice = \"{service}\"\naddress = \"10.0.0.1\"\nuser = \"{user}\"\npassword_env = \"P\"\nkind = \"cisco\"\n"
            )
        };
        let error = Settings::parse(&format!("{}\n{}", device("a", "u"), device("b", ""))).unwrap_err();
        assert_eq!((error.line, error.why.contains("device `b`")), (8, true), "{error}");
    }

    #[test]
    fn originals_are_kept_unless_the_file_says_otherwise() {
        assert!(Settings::default().blobs.keep);
        assert!(Settings::parse("").unwrap().blobs.keep);
        let settings = Settings::parse("[blobs]\nkeep = false\n").unwrap();
        assert!(!settings.blobs.keep && settings.blobs.transit.is_none());
    }
}
