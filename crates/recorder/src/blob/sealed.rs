//! The format of a blob: one line of JSON that says how it is to be opened, then the compressed document, encrypted.
//!
//! Every blob has a data key of its own. The line holds it wrapped, so that another key around it is another line before the same
//! bytes. Stream and id are authenticated with the document: a file that was put in another's place does not open.

use std::fmt;

use chacha20poly1305::{AeadInOut as _, KeyInit as _, XChaCha20Poly1305, XNonce};
use rig_event::StreamName;
use rig_event::keyfile::{hex, unhex};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;
use zstd::zstd_safe;

use super::BlobId;

/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;

/// Longest first line, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// Bytes that encryption adds to the compressed document.
const TAG: usize = 16;

/// Longest document that is opened, in bytes.
const MAX_DOCUMENT: u64 = 1 << 30;

/// The level of compression: the default of zstd.
const LEVEL: i32 = 3;

/// Which document a blob is the original of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The stream whose events name it.
    pub stream: StreamName,
    /// The address that they name it by.
    pub id: BlobId,
}

impl Record {
    /// The data that is authenticated with whatever is encrypted for this record; `purpose` keeps document and key apart.
    pub fn associated(&self, purpose: &str) -> Vec<u8> {
        format!("rig {purpose} {VERSION}\n{}\n{}\n", self.stream, self.id).into_bytes()
    }
}

/// The key that one document is encrypted with.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`SealedError::Random`].
    pub fn random() -> Result<Self, SealedError> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *key).map_err(|e| SealedError::Random(e.to_string()))?;
        Ok(DataKey(key))
    }

    /// The key that these bytes are; `None` where they are not 32.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        Some(DataKey(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// The key itself, to be wrapped.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.0).into())
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey")
    }
}

/// A data key as it may be written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrapped {
    /// The key that it is wrapped with: `file:ID` or `transit:KEY`.
    pub by: String,
    /// The wrapped key, in the form of whoever wrapped it.
    pub wrapped: String,
}

/// Why a blob cannot be written or opened. Nothing of the document is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealedError {
    /// It does not follow the format.
    #[error("it is no blob: {0}")]
    Malformed(&'static str),
    /// Another version wrote it.
    #[error("its format has version {0}, and this rig reads version {VERSION}")]
    Version(u32),
    /// The key does not open it.
    #[error("it does not open: it is damaged, or of another document, stream or key")]
    Undecipherable,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    /// It could not be compressed or encrypted.
    #[error("it cannot be {0}")]
    Failed(&'static str),
}

/// A document that is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The key that opens it.
    pub key: Wrapped,
    nonce: [u8; 24],
    ciphertext: Vec<u8>,
}

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    r#type: String,
    v: u32,
    stream: StreamName,
    id: String,
    #[serde(flatten)]
    key: Wrapped,
    nonce: String,
}

impl Sealed {
    /// Compresses a document and encrypts it under a data key, which `wrapped` is the written form of.
    ///
    /// # Errors
    /// [`SealedError::Failed`] and [`SealedError::Random`].
    pub fn new(
        document: &[u8],
        record: &Record,
        key: &DataKey,
        wrapped: Wrapped,
    ) -> Result<Sealed, SealedError> {
        let mut nonce = [0; 24];
        getrandom::fill(&mut nonce).map_err(|e| SealedError::Random(e.to_string()))?;
        // Room for all of it from the beginning: growing would leave a copy of the plaintext behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(zstd_safe::compress_bound(document.len()) + TAG));
        let compressed = zstd::bulk::Compressor::new(LEVEL)
            .and_then(|mut zstd| zstd.compress_to_buffer(document, &mut *bytes));
        compressed.map_err(|_| SealedError::Failed("compressed"))?;
        key.cipher()
            .encrypt_in_place(&XNonce::from(nonce), &record.associated("blob"), &mut *bytes)
            .map_err(|_| SealedError::Failed("encrypted"))?;
        Ok(Sealed { key: wrapped, nonce, ciphertext: std::mem::take(&mut *bytes) })
    }

    /// The content of its file.
    ///
    /// # Errors
    /// [`SealedError::Malformed`] where the wrapped key is longer than a file may say.
    pub fn to_bytes(&self, record: &Record) -> Result<Vec<u8>, SealedError> {
        let head = Head {
            r#type: "blob".to_owned(),
            v: VERSION,
            stream: record.stream.clone(),
            id: record.id.to_string(),
            key: self.key.clone(),
            nonce: hex(&self.nonce),
        };
        let mut bytes = serde_json::to_vec(&head).map_err(|_| SealedError::Failed("written"))?;
        if bytes.len() > MAX_HEAD {
            return Err(SealedError::Malformed("its key is too long"));
        }
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.ciphertext);
        Ok(bytes)
    }

    /// Reads the content of a file, which must be the blob of this record.
    ///
    /// # Errors
    /// [`SealedError::Malformed`] and [`SealedError::Version`].
    pub fn parse(mut bytes: Vec<u8>, record: &Record) -> Result<Sealed, SealedError> {
        #[derive(Deserialize)]
        struct Version {
            r#type: String,
            v: u32,
        }
        let end = memchr::memchr(b'\n', &bytes[..bytes.len().min(MAX_HEAD + 1)]);
        let end = end.ok_or(SealedError::Malformed("it has no first line"))?;
        let no_blob = |_| SealedError::Malformed("its first line does not describe one");
        let Version { r#type, v } = serde_json::from_slice(&bytes[..end]).map_err(no_blob)?;
        if r#type != "blob" {
            return Err(SealedError::Malformed("its first line does not describe one"));
        }
        if v != VERSION {
            return Err(SealedError::Version(v));
        }
        let head: Head = serde_json::from_slice(&bytes[..end]).map_err(no_blob)?;
        if head.stream != record.stream || head.id != record.id.to_string() {
            return Err(SealedError::Malformed("it is the blob of another document"));
        }
        let nonce = unhex(&head.nonce).and_then(|nonce| nonce.try_into().ok());
        let nonce = nonce.ok_or(SealedError::Malformed("its nonce has not 24 bytes"))?;
        bytes.drain(..=end);
        Ok(Sealed { key: head.key, nonce, ciphertext: bytes })
    }

    /// Decrypts it: the document, to the byte.
    ///
    /// # Errors
    /// [`SealedError::Undecipherable`], and [`SealedError::Malformed`] where what was encrypted is no compressed document.
    pub fn open(self, record: &Record, key: &DataKey) -> Result<Zeroizing<Vec<u8>>, SealedError> {
        let mut bytes = Zeroizing::new(self.ciphertext);
        key.cipher()
            .decrypt_in_place(&XNonce::from(self.nonce), &record.associated("blob"), &mut *bytes)
            .map_err(|_| SealedError::Undecipherable)?;
        let malformed = SealedError::Malformed("what it holds is no compressed document");
        let length = match zstd_safe::get_frame_content_size(&bytes) {
            Ok(Some(length)) if length <= MAX_DOCUMENT => length as usize,
            _ => return Err(malformed),
        };
        let mut document = Zeroizing::new(Vec::with_capacity(length));
        let whole = zstd::bulk::Decompressor::new()
            .and_then(|mut zstd| zstd.decompress_to_buffer(&bytes, &mut *document));
        match whole {
            Ok(read) if read == length => Ok(document),
            _ => Err(malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(stream: &str) -> Record {
        let id = format!("hmac:k1:{}", "5a".repeat(32)).parse().unwrap();
        Record { stream: stream.parse().unwrap(), id }
    }

    fn wrapped() -> Wrapped {
        Wrapped { by: "file:b1".to_owned(), wrapped: "00ff".to_owned() }
    }

    fn key() -> DataKey {
        DataKey::new(&[7; 32]).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_to_the_byte_and_shows_nothing() {
        for document in [Vec::new(), b"password: hunter2\n".to_vec(), vec![b'x'; 3 << 20]] {
            let sealed = Sealed::new(&document, &record("main"), &key(), wrapped()).unwrap();
            let bytes = sealed.to_bytes(&record("main")).unwrap();
            assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
            assert!(bytes.len() < 4096, "{} bytes", bytes.len());
            let read = Sealed::parse(bytes, &record("main")).unwrap();
            assert_eq!(read, sealed);
            assert_eq!(*read.open(&record("main"), &key()).unwrap(), document);
        }
    }

    #[test]
    fn the_same_document_is_never_encrypted_the_same_way_twice() {
        let seal = || Sealed::new(b"a: 1", &record("main"), &key(), wrapped()).unwrap();
        assert_ne!(seal().to_bytes(&record("main")), seal().to_bytes(&record("main")));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let sealed = Sealed::new(b"a: 1\nb: 2\n", &record("main"), &key(), wrapped()).unwrap();
        let bytes = sealed.to_bytes(&record("main")).unwrap();
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            let Ok(read) = Sealed::parse(bytes, &record("main")) else { continue };
            // Which the key is, is checked by whoever unwraps it.
            assert!(read.key != wrapped() || read.open(&record("main"), &key()).is_err(), "byte {at}");
        }
        assert!(Sealed::parse(bytes[..20].to_vec(), &record("main")).is_err());
    }

    #[test]
    fn a_blob_opens_only_as_what_it_is() {
        let sealed = Sealed::new(b"a: 1", &record("main"), &key(), wrapped()).unwrap();
        let other = DataKey::new(&[8; 32]).unwrap();
        assert_eq!(sealed.clone().open(&record("main"), &other), Err(SealedError::Undecipherable));
        assert_eq!(sealed.clone().open(&record("other"), &key()), Err(SealedError::Undecipherable));
        let bytes = sealed.to_bytes(&record("main")).unwrap();
        assert!(matches!(Sealed::parse(bytes, &record("other")), Err(SealedError::Malformed(_))));
        let newer = b"{\"type\":\"blob\",\"v\":2,\"what\":\"is to come\"}\n".to_vec();
        assert_eq!(Sealed::parse(newer, &record("main")), Err(SealedError::Version(2)));
    }

    #[test]
    fn blobs_of_version_1_open_for_ever() {
        let bytes = include_bytes!("../../../../fixtures/blobs/v1.blob").to_vec();
        let sealed = Sealed::parse(bytes, &record("main")).unwrap();
        assert_eq!(sealed.key, wrapped());
        let document = sealed.open(&record("main"), &key()).unwrap();
        assert_eq!(*document, b"database:\n  host: db\n  password: golden\n");
    }
}
