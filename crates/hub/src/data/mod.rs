//! The data directory: its lock, its keys, the paths of streams and index.

pub(crate) mod keychecks;
pub mod open_files;
pub(crate) mod room;

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rig_config::RedactionKey;
use rig_event::StreamName;
use rig_event::keyfile::hex;
use rig_recorder::Keyring;
use rig_recorder::blob::BlobStore;
use zeroize::Zeroizing;

use crate::error::Error;

/// An open data directory. Holds the lock until it is dropped.
pub(crate) struct DataDir {
    root: PathBuf,
    _lock: File,
}

impl DataDir {
    pub(crate) fn open(root: &Path) -> Result<DataDir, Error> {
        let folder = |path: PathBuf| make_private(&path).map_err(io_error("make", &path));
        folder(root.to_owned())?;
        folder(root.join("keys"))?;
        folder(root.join("streams"))?;
        let path = root.join("lock");
        let lock = File::options().create(true).append(true).open(&path).map_err(io_error("open", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(DataDir { root: root.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse(root.to_owned())),
            Err(TryLockError::Error(e)) => Err(io_error("lock", &path)(e)),
        }
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index")
    }

    pub(crate) fn stream(&self, name: &StreamName) -> PathBuf {
        self.root.join("streams").join(name.as_str())
    }

    /// Returns the path of the state before a stream's oldest event, which exists once the stream was pruned.
    pub(crate) fn cut(&self, name: &StreamName) -> PathBuf {
        self.stream(name).join("cut.json")
    }

    /// Returns true if there is no stream yet, so that keys may be made.
    pub(crate) fn is_new(&self) -> Result<bool, Error> {
        let path = self.root.join("streams");
        Ok(fs::read_dir(&path).map_err(io_error("read", &path))?.next().is_none())
    }

    /// Returns the redaction key, created at the first start. A reader of the key can guess short secrets, so only the owner can
    /// read it.
    ///
    /// Each key has its own id: fingerprints under different keys are not compared.
    pub(crate) fn redaction_key(&self, new: bool) -> Result<RedactionKey, Error> {
        let id = hex(&random::<3>()?);
        let (path, text) = self.key_file("redaction", new, |hex| format!("k{id}:{hex}\n"))?;
        let key = RedactionKey::parse(text.trim()).ok_or_else(|| Error::Key(path.clone()))?;
        keychecks::hold(&path, &text)?;
        Ok(key)
    }

    /// Returns the keys that seals are signed with, created at the first start.
    pub(crate) fn signing_keys(&self, new: bool) -> Result<Keyring, Error> {
        let (path, text) = self.key_file("signing", new, |hex| {
            format!("# ID ALGORITHM KEY; the last line signs, all of them check\ns1 hmac-sha256 {hex}\n")
        })?;
        let keys =
            Keyring::parse(&text).map_err(|source| Error::SigningKeys { path: path.clone(), source })?;
        keychecks::hold(&path, &text)?;
        if keys.is_empty() {
            tracing::warn!(path = %path.display(), "there is no signing key: seals are not signed");
        }
        Ok(keys)
    }

    /// Returns the path of the originals of a stream's documents.
    pub(crate) fn blobs(&self, name: &StreamName) -> PathBuf {
        self.stream(name).join("blobs")
    }

    /// Returns the path and content of the file of the keys for originals. The file is created when the first original is to be
    /// stored.
    pub(crate) fn blob_keys(&self) -> Result<(PathBuf, Zeroizing<String>), Error> {
        let streams = self.root.join("streams");
        let mut used = false;
        for entry in fs::read_dir(&streams).map_err(io_error("read", &streams))? {
            let entry = entry.map_err(io_error("read", &streams))?;
            used |= BlobStore::is_used(&entry.path().join("blobs"))?;
        }
        let id = hex(&random::<3>()?);
        let made = self.key_file("blobs", !used, |hex| {
            format!("# ID:KEY; the last line encrypts, all of them decrypt (docs/secrecy.md)\nb{id}:{hex}\n")
        });
        match made {
            Ok((path, text)) => Ok((path, Zeroizing::new(text))),
            Err(Error::KeyLost { path, .. }) => Err(Error::BlobKeyLost { path, streams }),
            Err(e) => Err(e),
        }
    }

    /// Returns true if there is a file of keys for originals.
    pub(crate) fn has_blob_keys(&self) -> bool {
        self.root.join("keys/blobs").exists()
    }

    /// Reads a file of `keys/`. For a `new` hub it is created with a new key; `content` gets the key in hexadecimal digits.
    fn key_file(
        &self,
        name: &str,
        new: bool,
        content: impl FnOnce(String) -> String,
    ) -> Result<(PathBuf, String), Error> {
        let path = self.root.join("keys").join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok((path, text)),
            Err(e) if e.kind() == io::ErrorKind::NotFound && !new => Err(Error::KeyLost { path, source: e }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let text = content(hex(&random::<32>()?));
                write_private(&path, text.as_bytes()).map_err(io_error("write", &path))?;
                Ok((path, text))
            }
            Err(e) => Err(io_error("read", &path)(e)),
        }
    }
}

/// Returns random bytes from the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| Error::Random(e.to_string()))?;
    Ok(bytes)
}

/// Returns a random duration below `bound`, or `bound` itself if the system provides no random numbers.
pub fn below(bound: Duration) -> Duration {
    let part = random::<4>().map_or(u32::MAX, u32::from_le_bytes);
    let nanos = (bound.as_nanos() * u128::from(part)) >> 32;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn make_private(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Writes a new file that only its owner can read, in full or not at all.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

pub(crate) fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Data { what, path, source }
}
