//! `Store`: where the logs of a hub's streams are kept, and its engines for folders of segments and for memory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rig_event::{Epoch, StreamName, Timestamp};

use crate::error::{Error, io_error};
use crate::log::{BoxFuture, EventLog};
use crate::memory::MemoryLog;
use crate::segment::{Options, SegmentLog};

/// Keeps the logs of all streams of one hub.
pub trait Store: Send + Sync + 'static {
    /// Returns the streams that there are, in the order of their names.
    fn names(&self) -> BoxFuture<'_, Result<Vec<StreamName>, Error>>;

    /// Creates a stream with no events in it.
    fn create<'a>(
        &'a self,
        name: &'a StreamName,
        epoch: Epoch,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Arc<dyn EventLog>, Error>>;

    /// Opens a stream, recovering it first if it was not closed. Nothing is deleted before [`EventLog::settle`].
    fn open<'a>(&'a self, name: &'a StreamName) -> BoxFuture<'a, Result<Arc<dyn EventLog>, Error>>;

    /// Removes a stream for good.
    ///
    /// The name is free at one stroke: a crash leaves the stream or nothing of it under its name. The stream must be closed.
    fn remove<'a>(&'a self, name: &'a StreamName, epoch: &'a Epoch) -> BoxFuture<'a, Result<(), Error>>;
}

/// Streams as folders of segment files: `ROOT/streams/NAME`.
#[derive(Clone, Debug)]
pub struct Folders {
    root: PathBuf,
    options: Options,
}

impl Folders {
    /// Returns the store below a data directory, which need not be there yet.
    pub fn new(root: impl Into<PathBuf>, options: Options) -> Self {
        Folders { root: root.into(), options }
    }

    fn folder(&self, name: &StreamName) -> PathBuf {
        self.root.join("streams").join(name.as_str())
    }

    /// Lists the streams. Other entries of the folder are logged and left alone.
    fn list(&self) -> Result<Vec<StreamName>, Error> {
        let path = self.root.join("streams");
        let mut names = Vec::new();
        let entries = match fs::read_dir(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(names),
            entries => entries.map_err(io_error("read", &path))?,
        };
        for entry in entries {
            let entry = entry.map_err(io_error("read", &path))?;
            match entry.file_name().to_str().map(str::parse::<StreamName>) {
                // A folder of events without its description is refused by the log, not passed over.
                Some(Ok(name)) if holds_stream(&entry.path()) => names.push(name),
                _ => tracing::warn!(path = %entry.path().display(), "this is not a stream; it is left alone"),
            }
        }
        names.sort();
        // What a crash left of removed streams.
        let removed = self.root.join("removed");
        match fs::remove_dir_all(&removed) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &removed)(e)),
            _ => Ok(names),
        }
    }

    fn bury(&self, name: &StreamName, epoch: &Epoch) -> Result<(), Error> {
        let (from, removed) = (self.folder(name), self.root.join("removed"));
        let to = removed.join(format!("{name}.{epoch}"));
        fs::create_dir_all(&removed).map_err(io_error("make", &removed))?;
        fs::rename(&from, &to).map_err(io_error("remove", &from))?;
        fs::remove_dir_all(&to).map_err(io_error("remove", &to))
    }
}

impl Store for Folders {
    fn names(&self) -> BoxFuture<'_, Result<Vec<StreamName>, Error>> {
        Box::pin(std::future::ready(self.list()))
    }

    fn create<'a>(
        &'a self,
        name: &'a StreamName,
        epoch: Epoch,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Arc<dyn EventLog>, Error>> {
        let log = SegmentLog::create(&self.folder(name), name.clone(), epoch, now, self.options);
        Box::pin(std::future::ready(log.map(|log| Arc::new(log) as Arc<dyn EventLog>)))
    }

    fn open<'a>(&'a self, name: &'a StreamName) -> BoxFuture<'a, Result<Arc<dyn EventLog>, Error>> {
        let log = SegmentLog::open_keeping(&self.folder(name), self.options);
        Box::pin(std::future::ready(log.map(|(log, _)| Arc::new(log) as Arc<dyn EventLog>)))
    }

    fn remove<'a>(&'a self, name: &'a StreamName, epoch: &'a Epoch) -> BoxFuture<'a, Result<(), Error>> {
        let (store, name, epoch) = (self.clone(), name.clone(), epoch.clone());
        Box::pin(async move {
            let removed = tokio::task::spawn_blocking(move || store.bury(&name, &epoch)).await;
            removed.unwrap_or_else(|e| {
                Err(Error::Io {
                    what: "remove",
                    path: PathBuf::new(),
                    source: io::Error::other(e.to_string()),
                })
            })
        })
    }
}

/// Streams in memory, gone with the store.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<BTreeMap<StreamName, Arc<MemoryLog>>>>);

impl Memory {
    fn logs(&self) -> std::sync::MutexGuard<'_, BTreeMap<StreamName, Arc<MemoryLog>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    fn names(&self) -> BoxFuture<'_, Result<Vec<StreamName>, Error>> {
        Box::pin(std::future::ready(Ok(self.logs().keys().cloned().collect())))
    }

    fn create<'a>(
        &'a self,
        name: &'a StreamName,
        epoch: Epoch,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<Arc<dyn EventLog>, Error>> {
        let mut logs = self.logs();
        if logs.contains_key(name) {
            let dir = PathBuf::from(name.as_str());
            return Box::pin(std::future::ready(Err(Error::Exists { dir })));
        }
        let log = Arc::new(MemoryLog::new(name.clone(), epoch));
        logs.insert(name.clone(), log.clone());
        Box::pin(std::future::ready(Ok(log as Arc<dyn EventLog>)))
    }

    fn open<'a>(&'a self, name: &'a StreamName) -> BoxFuture<'a, Result<Arc<dyn EventLog>, Error>> {
        let log = self.logs().get(name).cloned();
        let log = log.ok_or_else(|| Error::NoStream { dir: PathBuf::from(name.as_str()) });
        Box::pin(std::future::ready(log.map(|log| log as Arc<dyn EventLog>)))
    }

    fn remove<'a>(&'a self, name: &'a StreamName, _: &'a Epoch) -> BoxFuture<'a, Result<(), Error>> {
        self.logs().remove(name);
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Returns true if a folder is that of a stream, sound or not.
pub fn holds_stream(folder: &Path) -> bool {
    let segment = |entry: fs::DirEntry| entry.path().extension().is_some_and(|e| e == "jsonl" || e == "idx");
    let mut entries = fs::read_dir(folder).into_iter().flatten().flatten();
    folder.join("stream.json").is_file() || entries.any(segment)
}
