//! What takes the place of secrets before a snapshot leaves the process.

use std::path::Path;

use rig_config::{Format, Policy, RedactionKey, Redactor, SnapshotFile};

use crate::Error;

/// How secrets are replaced: by `***redacted***`, or by fingerprints under a key, so that a rotated secret shows as changed.
#[derive(Clone, Debug)]
pub struct Redaction {
    redactor: Redactor,
    fingerprints: bool,
}

impl Redaction {
    /// Every secret becomes `***redacted***`.
    ///
    /// # Errors
    /// [`Error::System`] without random numbers: inside a snapshot secrets are fingerprints until they are all found.
    pub fn blank(policy: &Policy) -> Result<Redaction, Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)
            .map_err(|e| Error::System { what: "random numbers", why: e.to_string() })?;
        let key = RedactionKey::new("run", secret)
            .map_err(|source| Error::Document { name: "the key".to_owned(), source })?;
        Ok(Redaction { redactor: Redactor::new(key, policy), fingerprints: false })
    }

    /// Secrets become fingerprints under a key.
    pub fn keyed(key: RedactionKey, policy: &Policy) -> Redaction {
        Redaction { redactor: Redactor::new(key, policy), fingerprints: true }
    }

    /// Secrets become fingerprints under the key in a file: `ID:HEX`, as a hub has it in `DATA/keys/redaction`.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Key`].
    pub fn key_file(path: &Path, policy: &Policy) -> Result<Redaction, Error> {
        let cannot = |source| Error::File { what: "cannot read", path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(cannot)?;
        let key = RedactionKey::parse(text.trim()).ok_or_else(|| Error::Key { path: path.to_owned() })?;
        Ok(Redaction::keyed(key, policy))
    }

    /// Replaces the secrets of a snapshot that was read in this format; returns how many there were.
    pub fn apply(&self, snapshot: &mut SnapshotFile, format: Format) -> usize {
        let count = snapshot.redact(&self.redactor, format);
        if !self.fingerprints {
            snapshot.forget_fingerprints();
        }
        count
    }
}
