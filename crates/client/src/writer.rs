//! Writes snapshot files under names from a template, and clears away old ones of its own.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rig_config::snapshot_file::Head;
use rig_config::{Limits, SnapshotFile};
use rig_event::Timestamp;

use crate::Error;
use crate::audit::TOOL;
use crate::operation::Operation;
use crate::rotation::{self, Rotated};
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
    /// Snapshots whose names say a time that is still to come: the clock was wrong when they were written, or is now. They count
    /// as older than any other.
    pub ahead: Vec<String>,
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
        let shown = self.storage.shown(&name);
        let is_new = self.check(&name, &shown, &snapshot.audit).await?;
        let written = AtomicU64::new(0);
        let content = |out: &mut dyn io::Write| {
            written.store(0, Ordering::Relaxed);
            let mut bounded = Bounded { out, written: &written, limit: self.limit };
            snapshot.write(&mut bounded)?;
            bounded.flush()
        };
        let storage = self.storage.as_ref();
        let bytes = |_: &_| Some(written.load(Ordering::Relaxed));
        let put = async || match is_new {
            Seen::Free => storage.put(&name, &content).await.map(|()| true),
            Seen::Unknown => storage.put_new(&name, &content).await,
        };
        let put = Operation { what: "write", storage, name: &name }.run(put, bytes).await;
        let bytes = written.load(Ordering::Relaxed);
        match put {
            Ok(true) => {}
            Ok(false) => return Err(Error::Unseen { name: shown }),
            Err(_) if bytes > self.limit => return Err(Error::TooLarge { limit: self.limit }),
            Err(error) => return Err(error),
        }
        let mut rotated = Rotated::default();
        let not_removed = self.rotate(&name, snapshot, &mut rotated).await.err();
        let Rotated { removed, ahead } = rotated;
        Ok(Written { name: shown, bytes, removed, ahead, not_removed })
    }

    /// Looks whether there is something under a name that is not ours to replace.
    async fn check(&self, name: &str, shown: &str, ours: &BTreeMap<String, String>) -> Result<Seen, Error> {
        let storage = self.storage.as_ref();
        let head = async || storage.head(name, Head::BYTES).await;
        match (Operation { what: "look", storage, name }).run(head, |_| None).await {
            Ok(None) => Ok(Seen::Free),
            Ok(Some(found)) if taken(&found, ours).is_some() => Ok(Seen::Free),
            Ok(Some(_)) => Err(Error::NotOurs { name: shown.to_owned() }),
            // A store says so of what is not there, too, to whoever may not list it.
            Err(Error::Denied { .. }) => Ok(Seen::Unknown),
            Err(error) => Err(error),
        }
    }

    /// Deletes what is too old or one too many: files with names of this template that are snapshots which rig wrote of the
    /// same service on the same machine. Any doubt keeps a file.
    async fn rotate(&self, new: &str, snapshot: &SnapshotFile, rotated: &mut Rotated) -> Result<(), Error> {
        if (self.keep.is_none() && self.max_age.is_none()) || !self.template.has_timestamp() {
            return Ok(());
        }
        let folder = self.template.folder(&snapshot.audit)?;
        let depth = self.template.depth(&folder, new);
        let storage = self.storage.as_ref();
        let list = async || storage.list(&folder, depth).await;
        let listed = Operation { what: "list", storage, name: &folder }.run(list, |_| None).await?;
        let clock = Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
        let now = clock.max(snapshot.timestamp);
        let files = listed.iter().filter(|file| file.name != new).filter_map(|file| {
            let stamp = self.template.matches(&file.name, &snapshot.audit)?;
            rotation::File::of(file, stamp, now)
        });
        let files = rotation::newest_first(files.collect());
        rotated.ahead =
            files.iter().filter(|file| file.is_ahead).map(|file| storage.shown(file.name)).collect();
        if !rotated.ahead.is_empty() {
            let (count, first) = (rotated.ahead.len(), &rotated.ahead[0]);
            tracing::warn!(count, first, "snapshots are ahead of the clock");
        }
        // Whose a file is stands in its name, if the template says so; a store need then not be asked for it.
        let is_named = !storage.is_near() && self.template.names_its_own();
        let mut kept = 1;
        for file in files {
            let taken = if is_named {
                file.time
            } else {
                let head = async || storage.head(file.name, Head::BYTES).await;
                let head = Operation { what: "look", storage, name: file.name }.run(head, |_| None).await;
                match head.ok().flatten().and_then(|head| taken(&head, &snapshot.audit)) {
                    // A time that is still to come says nothing of its age.
                    Some(taken) => Some(taken).filter(|taken| *taken <= now).or(file.time),
                    None => continue,
                }
            };
            let too_old = self.max_age.zip(taken).is_some_and(|(max, taken)| {
                let age = snapshot.timestamp.as_micros().saturating_sub(taken.as_micros());
                age > i64::try_from(max.as_micros()).unwrap_or(i64::MAX)
            });
            let too_many = self.keep.is_some_and(|keep| kept >= keep);
            if too_old || too_many {
                let delete = async || storage.delete(file.name, &folder).await;
                Operation { what: "delete", storage, name: file.name }.run(delete, |()| None).await?;
                rotated.removed.push(storage.shown(file.name));
            } else {
                kept += 1;
            }
        }
        Ok(())
    }
}

/// The state of a name before something is written there.
#[derive(Clone, Copy)]
enum Seen {
    /// There is nothing, or something of ours.
    Free,
    /// The store does not say.
    Unknown,
}

/// The snapshot at an address.
///
/// # Errors
/// [`Error::NotFound`], [`Error::TooLarge`], [`Error::NoSnapshot`], or what the storage says.
pub async fn read(address: &str, limit: u64) -> Result<SnapshotFile, Error> {
    let (shown, content) = fetch(address, limit).await?;
    match SnapshotFile::read(&content, &Limits::of_file(limit)) {
        Ok(Some(snapshot)) => Ok(snapshot),
        Ok(None) => Err(Error::NoSnapshot { name: shown }),
        Err(source) => Err(Error::Document { name: shown, source }),
    }
}

/// The file at an address, and its name as people know it.
pub(crate) async fn fetch(address: &str, limit: u64) -> Result<(String, bytes::Bytes), Error> {
    let (storage, name) = storage::open(address)?;
    let (storage, shown) = (storage.as_ref(), storage.shown(&name));
    let get = async || storage.get(&name, limit).await;
    let bytes = |content: &Option<bytes::Bytes>| content.as_ref().map(|content| content.len() as u64);
    let content = Operation { what: "read", storage, name: &name }.run(get, bytes).await?;
    let content = content.ok_or_else(|| Error::NotFound { name: shown.clone() })?;
    Ok((shown, content))
}

/// When a snapshot was taken, if it is one that rig wrote of the same service on the same machine.
fn taken(beginning: &[u8], ours: &BTreeMap<String, String>) -> Option<Timestamp> {
    let found = Head::read(beginning)?;
    let same = |key: &str| found.audit.get(key) == ours.get(key);
    let tool = TOOL.split(' ').next()?;
    let by_rig = found.audit.get("tool").is_some_and(|found| found.split(' ').next() == Some(tool));
    (by_rig && same("service") && same("hostname")).then_some(found.timestamp)
}

/// A place that takes no more than its limit.
struct Bounded<'a> {
    out: &'a mut dyn io::Write,
    written: &'a AtomicU64,
    limit: u64,
}

impl io::Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.written.load(Ordering::Relaxed) + bytes.len() as u64;
        self.written.store(written, Ordering::Relaxed);
        if written > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.out.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
