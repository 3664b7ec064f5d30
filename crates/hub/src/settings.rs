//! `hub.toml`: what a hub is told beyond the policy and its command line.
//!
//! Secrets have no place in it: they are named by the environment variable or the file that holds them.

use serde::Deserialize;

pub use crate::secrecy::settings::{BlobSettings, TransitSettings};

/// The content of `hub.toml`. Unknown keys are errors.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `[blobs]`: whether the originals of documents are kept, and who holds the key.
    pub blobs: BlobSettings,
}

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
        toml::from_str(text).map_err(|e| {
            let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            BadSettings { line: before.matches('\n').count() + 1, why: e.message().to_owned() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_not_known_is_told_with_its_line() {
        let error = Settings::parse("\n\nwatchers = 1\n").unwrap_err();
        assert_eq!(error.line, 3);
        assert!(error.why.contains("watchers"), "{error}");
    }
}
