//! The files of one stream's originals: `FOLDER/3f/3f9a….KEY`, each written beside and renamed, synced before anybody is told.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use super::BlobId;
use crate::error::{Error, io_error};

/// Where files are written before they have their name.
const NEW: &str = "new";

/// The originals of one stream. Only one process may have the folder.
#[derive(Debug)]
pub struct BlobStore {
    dir: PathBuf,
    /// Called after each step that a crash may come after.
    step: fn(&'static str),
    written: AtomicU64,
}

/// A blob that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its address.
    pub id: BlobId,
    /// Bytes of its file.
    pub bytes: u64,
    /// When the file was written.
    pub written: SystemTime,
}

impl BlobStore {
    /// The originals in `dir`, which need not be there yet; what a crash left half written is deleted. `step` is called with the
    /// name of each step of a write, so that a test can end the process there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(dir: &Path, step: fn(&'static str)) -> Result<Self, Error> {
        let left = dir.join(NEW);
        match fs::remove_dir_all(&left) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("clear", &left)(e)),
            _ => Ok(BlobStore { step, ..BlobStore::look(dir) }),
        }
    }

    /// The originals in `dir` for somebody who only reads, while a hub may run: nothing is deleted.
    pub fn look(dir: &Path) -> Self {
        BlobStore { dir: dir.to_owned(), step: |_| (), written: AtomicU64::new(0) }
    }

    /// Returns true if there is any blob in `dir`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn is_used(dir: &Path) -> Result<bool, Error> {
        let mut used = false;
        visit(dir, |_| {
            used = true;
            false
        })?;
        Ok(used)
    }

    /// Where the file of a blob is, or would be.
    pub fn path(&self, id: &BlobId) -> PathBuf {
        self.dir.join(id.shard()).join(id.file_name())
    }

    /// Returns true if it is there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn contains(&self, id: &BlobId) -> Result<bool, Error> {
        let path = self.path(id);
        path.try_exists().map_err(io_error("look for", &path))
    }

    /// Keeps a blob, in the place of one that is there; when this returns it is durable.
    ///
    /// # Errors
    /// [`Error::Io`]: the one that was there before, if any, still is.
    pub fn put(&self, id: &BlobId, content: &[u8]) -> Result<(), Error> {
        let path = self.path(id);
        let new = self.dir.join(NEW);
        let beside = new.join(self.written.fetch_add(1, Relaxed).to_string());
        let shard = self.dir.join(id.shard());
        for folder in [&self.dir, &new, &shard] {
            make(folder).map_err(io_error("make", folder))?;
        }
        let written = self.write(&beside, content).and_then(|()| {
            fs::rename(&beside, &path)?;
            (self.step)("blob.renamed");
            File::open(&shard)?.sync_all()
        });
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written.map_err(io_error("write", &path))?;
        (self.step)("blob.durable");
        Ok(())
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        (self.step)("blob.made");
        file.write_all(content)?;
        (self.step)("blob.written");
        file.sync_all()?;
        (self.step)("blob.synced");
        Ok(())
    }

    /// The content of a blob; `None` where it is not there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn get(&self, id: &BlobId) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(id);
        match fs::read(&path) {
            Ok(content) => Ok(Some(content)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_error("read", &path)(e)),
        }
    }

    /// Deletes a blob; one that is not there is deleted already.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove(&self, id: &BlobId) -> Result<(), Error> {
        let path = self.path(id);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("delete", &path)(e)),
            _ => Ok(()),
        }
    }

    /// Shows every blob, in no order. What comes or goes meanwhile may be shown or not; a file that is no blob is passed over.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn each(&self, mut show: impl FnMut(Stored)) -> Result<(), Error> {
        visit(&self.dir, |entry| {
            let id = entry.file_name().to_str().and_then(BlobId::from_file_name);
            // Gone in between: then it is not there.
            if let (Some(id), Ok(about)) = (id, entry.metadata()) {
                let written = about.modified().unwrap_or_else(|_| SystemTime::now());
                show(Stored { id, bytes: about.len(), written });
            }
            true
        })
    }
}

/// Shows what lies in the folders of blobs until `show` has seen enough.
fn visit(dir: &Path, mut show: impl FnMut(&fs::DirEntry) -> bool) -> Result<(), Error> {
    let entries = |path: &Path| match fs::read_dir(path) {
        Ok(entries) => Ok(Some(entries)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(io_error("read", path)(e)),
    };
    for shard in entries(dir)?.into_iter().flatten() {
        let shard = shard.map_err(io_error("read", dir))?;
        if shard.file_name() == NEW {
            continue;
        }
        let path = shard.path();
        for entry in entries(&path)?.into_iter().flatten() {
            if !show(&entry.map_err(io_error("read", &path))?) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Makes a folder that only its owner reads, and its name durable.
pub(crate) fn make(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
        Ok(()) => match path.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> BlobId {
        format!("hmac:k1:{}", format!("{n:02x}").repeat(32)).parse().unwrap()
    }

    fn listed(store: &BlobStore) -> Vec<(BlobId, u64)> {
        let mut found = Vec::new();
        store.each(|stored| found.push((stored.id, stored.bytes))).unwrap();
        found.sort();
        found
    }

    #[test]
    fn what_is_put_is_there_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("blobs");
        let store = BlobStore::open(&dir, |_| ()).unwrap();
        assert_eq!(
            (store.get(&id(1)).unwrap(), listed(&store), BlobStore::is_used(&dir).unwrap()),
            (None, vec![], false)
        );
        for n in [1, 2, 0x3f] {
            store.put(&id(n), &[n; 10]).unwrap();
        }
        store.put(&id(2), b"anew").unwrap();
        assert_eq!(listed(&store), [(id(1), 10), (id(2), 4), (id(0x3f), 10)]);
        assert!(BlobStore::is_used(&dir).unwrap());
        assert_eq!(store.get(&id(2)).unwrap().as_deref(), Some(&b"anew"[..]));
        store.remove(&id(1)).unwrap();
        store.remove(&id(1)).unwrap();
        assert!(!store.contains(&id(1)).unwrap() && store.contains(&id(2)).unwrap());
        let left = fs::read_dir(dir.join(NEW)).unwrap().count();
        assert_eq!(left, 0);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_them() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(&folder.path().join("blobs"), |_| ()).unwrap();
        store.put(&id(1), b"x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let path = store.path(&id(1));
        assert_eq!((mode(&path), mode(path.parent().unwrap()), mode(&store.dir)), (0o600, 0o700, 0o700));
    }

    /// A panic in the step stands for the crash: nothing after it runs.
    #[test]
    fn a_crash_after_any_step_leaves_a_whole_blob_or_none() {
        let steps: [fn(&'static str); 5] = [
            |step| assert_ne!(step, "blob.made"),
            |step| assert_ne!(step, "blob.written"),
            |step| assert_ne!(step, "blob.synced"),
            |step| assert_ne!(step, "blob.renamed"),
            |step| assert_ne!(step, "blob.durable"),
        ];
        for (n, step) in steps.into_iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let dir = folder.path().join("blobs");
            let store = BlobStore::open(&dir, step).unwrap();
            let put = std::panic::AssertUnwindSafe(|| store.put(&id(1), b"whole"));
            assert!(std::panic::catch_unwind(put).is_err(), "step {n} is not taken");
            let store = BlobStore::open(&dir, |_| ()).unwrap();
            let found = store.get(&id(1)).unwrap();
            assert_eq!(found.as_deref(), (n > 2).then_some(&b"whole"[..]), "step {n}");
            assert!(!dir.join(NEW).exists());
            store.put(&id(1), b"whole").unwrap();
            assert_eq!(listed(&store), [(id(1), 5)]);
        }
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("blobs");
        let store = BlobStore::open(&dir, |_| ()).unwrap();
        store.put(&id(1), b"x").unwrap();
        // A file where the folder should be.
        fs::write(dir.join(id(2).shard()), "").unwrap();
        let error = store.put(&id(2), b"y").unwrap_err().to_string();
        assert!(error.contains("blobs/02/"), "{error}");
        assert_eq!(listed(&store), [(id(1), 1)]);
        assert_eq!(fs::read_dir(dir.join(NEW)).unwrap().count(), 0);
    }
}
