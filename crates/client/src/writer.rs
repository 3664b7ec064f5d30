//! Writes snapshot files under names from a template, and clears away old ones of its own.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use rig_config::{Limits, SnapshotFile};
use rig_event::Timestamp;

use crate::Error;
use crate::audit::TOOL;
use crate::retry::retry;
use crate::storage::{self, Storage};
use crate::template::Template;

/// The most bytes of a snapshot file, where nothing else is said: 100 MiB.
pub const LIMIT: u64 = 100 << 20;

/// Writes snapshots to a place.
#[derive(Debug)]
pub struct Writer {
    storage: Box<dyn Storage>,
    template: Template,
    keep: Option<usize>,
    max_age: Option<Duration>,
    limit: u64,
}

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// Where.
    pub name: String,
    /// How many bytes.
    pub bytes: u64,
    /// The older snapshots that were deleted.
    pub removed: Vec<String>,
    /// What kept older snapshots from being deleted. The new one is there all the same.
    pub not_removed: Option<Error>,
}

impl Writer {
    /// A writer to `snapshots/api-{{timestamp}}.json`, `s3://bucket/api-{{timestamp}}-{{hostname}}.json` and so on; see
    /// [`storage::open`] and [`crate::template::VARIABLES`].
    ///
    /// # Errors
    /// [`Error::Template`], and what [`storage::open`] says.
    pub fn new(address: &str) -> Result<Writer, Error> {
        let (storage, name) = storage::open(address)?;
        let template = Template::parse(&name)?;
        Ok(Writer { storage, template, keep: None, max_age: None, limit: LIMIT })
    }

    /// Keeps this many snapshots, the new one among them, and deletes older ones.
    pub fn keep(self, snapshots: usize) -> Writer {
        Writer { keep: Some(snapshots.max(1)), ..self }
    }

    /// Deletes snapshots that are older.
    pub fn max_age(self, age: Duration) -> Writer {
        Writer { max_age: Some(age), ..self }
    }

    /// Refuses snapshots with more bytes; [`LIMIT`] otherwise.
    pub fn limit(self, bytes: u64) -> Writer {
        Writer { limit: bytes, ..self }
    }

    /// Writes a snapshot as it is: redact it before.
    ///
    /// It is tried again where that may help. What is there under the same name is replaced only if it is a snapshot that rig
    /// wrote of the same service.
    ///
    /// # Errors
    /// [`Error::Template`], [`Error::TooLarge`], [`Error::NotOurs`], or what the storage says.
    pub async fn write(&self, snapshot: &SnapshotFile) -> Result<Written, Error> {
        let name = self.template.expand(snapshot.timestamp, &snapshot.audit)?;
        let mut content = Bounded { bytes: Vec::new(), limit: self.limit };
        snapshot.write(&mut content).map_err(|_| Error::TooLarge { limit: self.limit })?;
        let content = bytes::Bytes::from(content.bytes);
        let shown = self.storage.shown(&name);
        let found = retry(async || self.storage.get(&name, self.limit).await).await;
        match found {
            Ok(None) => {}
            Ok(Some(found)) if is_ours(&found, &snapshot.audit).is_some() => {}
            Ok(Some(_)) | Err(Error::TooLarge { .. }) => return Err(Error::NotOurs { name: shown }),
            Err(error) => return Err(error),
        }
        retry(async || self.storage.put(&name, content.clone()).await).await?;
        let mut removed = Vec::new();
        let not_removed = self.rotate(&name, snapshot, &mut removed).await.err();
        Ok(Written { name: shown, bytes: content.len() as u64, removed, not_removed })
    }

    /// Deletes what is too old or one too many: files with names of this template that are snapshots which rig wrote of the
    /// same service on the same machine. Any doubt keeps a file.
    async fn rotate(
        &self,
        new: &str,
        snapshot: &SnapshotFile,
        removed: &mut Vec<String>,
    ) -> Result<(), Error> {
        if (self.keep.is_none() && self.max_age.is_none()) || !self.template.has_timestamp() {
            return Ok(());
        }
        let folder = self.template.folder(&snapshot.audit)?;
        let depth = self.template.depth(&folder, new);
        let names = retry(async || self.storage.list(&folder, depth).await).await?;
        let mut older: Vec<(&str, &str)> = names
            .iter()
            .filter(|name| *name != new)
            .filter_map(|name| Some((self.template.matches(name, &snapshot.audit)?, name.as_str())))
            .collect();
        older.sort_unstable();
        older.reverse();
        let mut kept = 1;
        for (_, name) in older {
            let Some(content) = retry(async || self.storage.get(name, self.limit).await).await.ok().flatten()
            else {
                continue;
            };
            let Some(taken) = is_ours(&content, &snapshot.audit) else { continue };
            let age = snapshot.timestamp.as_micros().saturating_sub(taken.as_micros());
            let too_old =
                self.max_age.is_some_and(|max| age > i64::try_from(max.as_micros()).unwrap_or(i64::MAX));
            let too_many = self.keep.is_some_and(|keep| kept >= keep);
            if too_old || too_many {
                retry(async || self.storage.delete(name).await).await?;
                removed.push(self.storage.shown(name));
            } else {
                kept += 1;
            }
        }
        Ok(())
    }
}

/// The snapshot at an address.
///
/// # Errors
/// [`Error::NotFound`], [`Error::TooLarge`], [`Error::NoSnapshot`], or what the storage says.
pub async fn read(address: &str, limit: u64) -> Result<SnapshotFile, Error> {
    let (storage, name) = storage::open(address)?;
    let shown = storage.shown(&name);
    let content = retry(async || storage.get(&name, limit).await).await?;
    let content = content.ok_or_else(|| Error::NotFound { name: shown.clone() })?;
    let limits = Limits { bytes: limit, ..Limits::default() };
    match SnapshotFile::read(&content, &limits) {
        Ok(Some(snapshot)) => Ok(snapshot),
        Ok(None) => Err(Error::NoSnapshot { name: shown }),
        Err(source) => Err(Error::Document { name: shown, source }),
    }
}

/// When a snapshot was taken, if it is one that rig wrote of the same service on the same machine.
fn is_ours(content: &[u8], ours: &BTreeMap<String, String>) -> Option<Timestamp> {
    let found = SnapshotFile::read(content, &Limits::default()).ok()??;
    let same = |key: &str| found.audit.get(key) == ours.get(key);
    let tool = TOOL.split(' ').next()?;
    let by_rig = found.audit.get("tool").is_some_and(|found| found.split(' ').next() == Some(tool));
    (by_rig && same("service") && same("hostname")).then_some(found.timestamp)
}

/// A buffer that ends at its limit.
struct Bounded {
    bytes: Vec<u8>,
    limit: u64,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.bytes.len() + bytes.len()) as u64 > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
