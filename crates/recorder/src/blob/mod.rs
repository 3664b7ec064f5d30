//! The originals of documents, encrypted, each in a file of its own (docs/formats.md, "Blob").
//!
//! In reading order: [`BlobId`] (what an original is found by), [`sealed`] (the format of a file), [`store`] (the files of one
//! stream). Who holds the keys that data keys are wrapped with is not known here.

pub mod sealed;
pub mod store;

use std::fmt;
use std::str::FromStr;

use rig_event::keyfile::is_id;

pub use sealed::{DataKey, Record, Sealed, SealedError, Wrapped};
pub use store::{BlobStore, Stored};

/// The address of an original: a keyed hash of its bytes, `hmac:KEY:HEX` with 64 digits. Whoever has no key cannot tell from it
/// what a short document says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId {
    key: Box<str>,
    digits: Box<str>,
}

/// A text is no [`BlobId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reference to an original is written hmac:KEY:HEX, with 64 hexadecimal digits")]
pub struct BadId;

impl BlobId {
    fn new(key: &str, digits: &str) -> Result<Self, BadId> {
        let is_hash = digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        // Both stand in the name of a file.
        if is_hash && is_id(key) { Ok(BlobId { key: key.into(), digits: digits.into() }) } else { Err(BadId) }
    }

    /// The name of its file. The digits come first: they spread, the key is the same for all.
    fn file_name(&self) -> String {
        format!("{}.{}", self.digits, self.key)
    }

    fn from_file_name(name: &str) -> Option<Self> {
        let (digits, key) = name.split_once('.')?;
        BlobId::new(key, digits).ok()
    }

    /// The folder that its file lies in.
    fn shard(&self) -> &str {
        &self.digits[..2]
    }
}

impl FromStr for BlobId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let (key, digits) = text.strip_prefix("hmac:").and_then(|rest| rest.split_once(':')).ok_or(BadId)?;
        BlobId::new(key, digits)
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hmac:{}:{}", self.key, self.digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling_and_no_way_out_of_its_folder() {
        let text = format!("hmac:k1:{}", "0f".repeat(32));
        let id: BlobId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(BlobId::from_file_name(&id.file_name()), Some(id));
        let digits = "0f".repeat(32);
        for bad in [
            digits.clone(),
            format!("hmac:{digits}"),
            format!("hmac:../../x:{digits}"),
            format!("hmac::{digits}"),
            format!("hmac:k1:{}", &digits[2..]),
            format!("hmac:k1:{}", digits.to_uppercase()),
            format!("hmac:k1:{}", digits.replacen("0f", "..", 1)),
        ] {
            assert_eq!(bad.parse::<BlobId>(), Err(BadId), "{bad}");
        }
    }
}
