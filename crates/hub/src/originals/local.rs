//! Key-encryption keys in a file of the data directory, `ID:HEX` a line: the last one wraps, all of them unwrap.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::{fs, future};

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use rig_event::keyfile::{hex, is_id, unhex};
use rig_recorder::BoxFuture;
use rig_recorder::blob::{DataKey, Record, Wrapped};
use zeroize::Zeroizing;

use super::wrap::{Unavailable, Wrap};
use crate::data::{DataDir, io_error, keychecks, random};
use crate::error::Error;

/// The beginning of `by`.
const FILE: &str = "file:";

/// Size of a nonce, in bytes.
const NONCE: usize = 24;

/// The keys of the file.
pub(crate) struct LocalKeys {
    path: PathBuf,
    keys: RwLock<Vec<Key>>,
}

struct Key {
    id: String,
    secret: Zeroizing<[u8; 32]>,
}

impl Key {
    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.secret).into())
    }
}

impl LocalKeys {
    /// Reads the file. It is created if there is no original yet.
    pub(super) fn of(data: &DataDir) -> Result<Self, Error> {
        let (path, text) = data.blob_keys()?;
        let keys = parse(&text).map_err(|(line, why)| Error::BlobKeys { path: path.clone(), line, why })?;
        keychecks::hold(&path, &text)?;
        Ok(LocalKeys { path, keys: RwLock::new(keys) })
    }

    /// Reads an existing file.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = Zeroizing::new(fs::read_to_string(path).map_err(io_error("read", path))?);
        let keys = parse(&text).map_err(|(line, why)| Error::BlobKeys { path: path.into(), line, why })?;
        Ok(LocalKeys { path: path.to_owned(), keys: RwLock::new(keys) })
    }

    /// Reads the file again.
    pub(super) fn reload(&self) -> Result<(), Error> {
        let read = LocalKeys::read(&self.path)?.keys.into_inner().unwrap_or_else(PoisonError::into_inner);
        let text = fs::read_to_string(&self.path).map_err(io_error("read", &self.path))?;
        keychecks::hold(&self.path, &Zeroizing::new(text))?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// Unwraps a data key. Returns `None` if it is not wrapped with a key of the file.
    pub(crate) fn open(&self, record: &Record, wrapped: &Wrapped) -> Option<Result<DataKey, Unavailable>> {
        self.knows(wrapped).then(|| self.unwrap_now(record, wrapped))
    }

    fn with<T>(&self, does: impl FnOnce(&[Key]) -> T) -> T {
        does(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn wrap_now(&self, record: &Record, data_key: &DataKey) -> Result<Wrapped, Unavailable> {
        let nonce: [u8; NONCE] = random().map_err(|e| Unavailable::Now(e.to_string()))?;
        let payload = Payload { msg: data_key.bytes(), aad: &record.associated("key") };
        self.with(|keys| {
            // A file without keys is refused when it is read.
            let key = keys.last().ok_or_else(|| Unavailable::Now("there is no key".to_owned()))?;
            let sealed = key.cipher().encrypt(&XNonce::from(nonce), payload);
            let sealed =
                sealed.map_err(|_| Unavailable::Now("the data key could not be encrypted".to_owned()))?;
            Ok(Wrapped { by: format!("{FILE}{}", key.id), wrapped: hex(&[&nonce[..], &sealed].concat()) })
        })
    }

    fn unwrap_now(&self, record: &Record, wrapped: &Wrapped) -> Result<DataKey, Unavailable> {
        let id = wrapped.by.strip_prefix(FILE).unwrap_or_default();
        let damaged = || Unavailable::Damaged;
        let bytes = unhex(&wrapped.wrapped).ok_or_else(damaged)?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE).ok_or_else(damaged)?;
        let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| damaged())?;
        let payload = Payload { msg: sealed, aad: &record.associated("key") };
        self.with(|keys| {
            let key = keys.iter().find(|key| key.id == id).ok_or_else(damaged)?;
            let bytes = key.cipher().decrypt(&XNonce::from(nonce), payload).map_err(|_| damaged())?;
            DataKey::new(&Zeroizing::new(bytes)).ok_or_else(damaged)
        })
    }
}

impl Wrap for LocalKeys {
    fn knows(&self, wrapped: &Wrapped) -> bool {
        let id = wrapped.by.strip_prefix(FILE);
        id.is_some_and(|id| self.with(|keys| keys.iter().any(|key| key.id == id)))
    }

    fn wrap<'a>(
        &'a self,
        record: &'a Record,
        key: &'a DataKey,
    ) -> BoxFuture<'a, Result<Wrapped, Unavailable>> {
        Box::pin(future::ready(self.wrap_now(record, key)))
    }

    fn unwrap<'a>(
        &'a self,
        record: &'a Record,
        wrapped: &'a Wrapped,
    ) -> BoxFuture<'a, Result<DataKey, Unavailable>> {
        Box::pin(future::ready(self.unwrap_now(record, wrapped)))
    }

    fn rewrap<'a>(
        &'a self,
        record: &'a Record,
        wrapped: &'a Wrapped,
    ) -> BoxFuture<'a, Result<Option<Wrapped>, Unavailable>> {
        let is_newest =
            self.with(|keys| keys.last().is_some_and(|key| wrapped.by == format!("{FILE}{}", key.id)));
        let rewrapped = if is_newest {
            Ok(None)
        } else {
            self.unwrap_now(record, wrapped).and_then(|key| self.wrap_now(record, &key)).map(Some)
        };
        Box::pin(future::ready(rewrapped))
    }
}

/// Parses the keys of a file. The error names the line at fault.
fn parse(text: &str) -> Result<Vec<Key>, (usize, &'static str)> {
    let mut keys: Vec<Key> = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.split('#').next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        let (id, digits) = content.split_once(':').ok_or((line, "a key is written ID:HEX"))?;
        if !is_id(id) {
            return Err((line, "an id has up to 64 letters, digits, `-`, `_` and `.`"));
        }
        if keys.iter().any(|key| key.id == id) {
            return Err((line, "this id stands in the file twice"));
        }
        let bytes = unhex(digits).map(Zeroizing::new);
        let secret = bytes.and_then(|bytes| Some(Zeroizing::new(bytes[..].try_into().ok()?)));
        let secret = secret.ok_or((line, "a key is 64 hexadecimal digits, a-f in small letters"))?;
        keys.push(Key { id: id.to_owned(), secret });
    }
    if keys.is_empty() { Err((1, "there is no key in it; restore it from a backup")) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> LocalKeys {
        LocalKeys { path: PathBuf::new(), keys: RwLock::new(parse(text).unwrap()) }
    }

    fn record(digit: &str) -> Record {
        let id = format!("hmac:k1:{}", digit.repeat(64)).parse().unwrap();
        Record { stream: "main".parse().unwrap(), id }
    }

    #[test]
    fn the_last_key_wraps_and_all_unwrap() {
        let (old, new) = (format!("b1:{}", "a1".repeat(32)), format!("b2:{}", "b2".repeat(32)));
        let data_key = DataKey::random().unwrap();
        let wrapped = keys(&old).wrap_now(&record("0"), &data_key).unwrap();
        assert_eq!(wrapped.by, "file:b1");
        let both = keys(&format!("# keys\n{old}\n\n{new} # newer\n"));
        assert_eq!(both.unwrap_now(&record("0"), &wrapped).unwrap().bytes(), data_key.bytes());
        let again = both.wrap_now(&record("0"), &data_key).unwrap();
        assert_eq!(again.by, "file:b2");
        assert!(!keys(&new).knows(&wrapped) && keys(&new).knows(&again));
        // Wrapped for one document, it opens no other's.
        assert!(both.unwrap_now(&record("1"), &again).is_err());
    }

    #[test]
    fn what_is_no_key_names_the_line_and_quotes_nothing() {
        let good = "ab".repeat(32);
        for bad in [good.clone(), format!("b1:{good}0"), format!("b:1:{good}"), format!("x:{good}\nx:{good}")]
        {
            let (line, why) = parse(&format!("# keys\n{bad}")).err().unwrap();
            assert_eq!(line, 1 + bad.lines().count(), "{bad}");
            assert!(!why.contains("abab"));
        }
        assert!(parse("# nothing\n").is_err());
    }
}
