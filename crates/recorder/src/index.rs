//! The derived index in sled: what is asked for by key, and can be made new from the log at any time.
//!
//! Each life of a stream (its name and epoch) has two trees. In the first lie the idempotency keys, the seqs of every
//! service, the references to originals and `upto`, the seq up to which all of that is true: entries and `upto` go in as one sled batch, which is
//! atomic in a tree and after a crash too, so `upto` is never ahead of the entries. What the log has after it is added
//! again when the stream is opened, and adding an entry twice changes nothing. In the second lie the checkpoints, apart
//! because they are large. Should `upto` be ahead of the log's head (the log is synced at intervals and the power
//! failed), the index belongs to lost events: [`StreamIndex::remove`] it and start again.
//!
//! sled checks what it reads, at the latest when it reads it: an index that turns out damaged while it is used is marked, and the
//! next opening builds a new one. So does an opening that finds what it needs damaged.
//!
//! sled's background flush is off: with it, one kill in some 130 left a database that would not open.

use std::ops::RangeInclusive;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

use rig_event::{Epoch, Seq, StreamName, Timestamp};
use sled::{Batch, Tree};

use crate::blob::store::make as make_folder;
use crate::error::{Error, io_error};

/// Bytes of the database that are cached.
const CACHE_BYTES: u64 = 32 << 20;

/// The time that a database may take to let go of its files.
const RELEASE: Duration = Duration::from_secs(2);

/// Marks an index that is damaged, in its folder.
const DAMAGED: &str = "damaged";

/// The number of keys that [`StreamIndex::forget_before`] removes at once.
const FORGET_AT_ONCE: usize = 4096;

/// The first byte of a key says what it leads to.
const UPTO: &[u8] = b"u";
const ID: u8 = b'i';
const SERVICE: u8 = b's';
const BLOB: u8 = b'b';

/// The index of all streams of a hub.
#[derive(Clone, Debug)]
pub struct Index {
    db: sled::Db,
    dir: PathBuf,
}

/// An entry of the index about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The event.
    pub seq: Seq,
    /// The service it is about.
    pub service: Option<&'a str>,
    /// Its idempotency key, with the first and last seq of the append that it came with.
    pub id: Option<(&'a str, Seq, Seq)>,
    /// The original that it names, and when it was captured.
    pub blob: Option<(&'a str, Timestamp)>,
}

impl Index {
    /// Opens the index in `dir`, or makes it. One that does not open is moved aside, and where to is told. On a full disk it is in the
    /// system's temporary folder, and gone with this value: everything in it can be made again.
    pub fn open(dir: &Path) -> Result<(Self, Option<PathBuf>), Error> {
        match open_released(dir) {
            Ok(db) => Ok((Index { db, dir: dir.to_owned() }, None)),
            Err(Unopened::Locked) => Err(Error::Locked { dir: dir.to_owned() }),
            Err(Unopened::System(e)) if e.kind() == io::ErrorKind::StorageFull => {
                let config = sled::Config::new().temporary(true);
                let opened = config.flush_every_ms(None).cache_capacity(CACHE_BYTES).open();
                let Ok(db) = opened else { return Err(io_error("open", dir)(e)) };
                tracing::warn!(index = %dir.display(), "there is no room for the index: until the next start it is elsewhere");
                Ok((Index { db, dir: dir.to_owned() }, None))
            }
            Err(Unopened::System(e)) => Err(io_error("open", dir)(e)),
            Err(Unopened::Broken(why)) => {
                let aside = free_name(dir);
                fs::rename(dir, &aside).map_err(io_error("move aside", dir))?;
                tracing::warn!(index = %dir.display(), moved_to = %aside.display(), %why,
                    "the index did not open and is rebuilt from the log");
                match open_db(dir) {
                    Ok(db) => Ok((Index { db, dir: dir.to_owned() }, Some(aside))),
                    Err(e) => Err(Error::Index { path: dir.to_owned(), why: e.to_string() }),
                }
            }
        }
    }

    /// The index of one life of a stream. What there is of other lives of it is dropped.
    pub fn stream(&self, stream: &StreamName, epoch: &Epoch) -> Result<StreamIndex, Error> {
        // Neither name can hold a slash.
        let of_stream = format!("{stream}/");
        let of_life = format!("{stream}/{epoch}/");
        for name in self.db.tree_names() {
            if name.starts_with(of_stream.as_bytes()) && !name.starts_with(of_life.as_bytes()) {
                self.run(|| self.db.drop_tree(&name))?;
            }
        }
        let names = ["entries", "checkpoints"].map(|kind| format!("{of_life}{kind}"));
        let [entries, checkpoints] = names.clone().map(|name| self.run(|| self.db.open_tree(name)));
        Ok(StreamIndex { index: self.clone(), names, entries: entries?, checkpoints: checkpoints? })
    }

    /// Returns true if there is, or was, a life of that stream.
    pub fn knows(&self, stream: &StreamName) -> bool {
        let of_stream = format!("{stream}/");
        self.db.tree_names().iter().any(|name| name.starts_with(of_stream.as_bytes()))
    }

    /// Makes everything so far durable.
    pub fn flush(&self) -> Result<(), Error> {
        self.run(|| self.db.flush()).map(drop)
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// When a part of it is damaged.
    pub fn read_through(&self) -> Result<(), Error> {
        for name in self.db.tree_names() {
            self.run(|| self.db.open_tree(&name)?.iter().try_for_each(|entry| entry.map(drop)))?;
        }
        Ok(())
    }

    /// Asks the database for something. On some damage it panics where it could have said so.
    fn run<T>(&self, ask: impl FnOnce() -> sled::Result<T>) -> Result<T, Error> {
        let failed = |why: String| Error::Index { path: self.dir.clone(), why };
        match std::panic::catch_unwind(AssertUnwindSafe(ask)) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(e @ (sled::Error::Io(_) | sled::Error::CollectionNotFound(_)))) => {
                Err(failed(e.to_string()))
            }
            Ok(Err(e)) => Err(failed(self.damaged(&e.to_string()))),
            Err(_) => Err(failed(self.damaged("sled panicked"))),
        }
    }

    /// Leaves a mark that the next opening finds, and says what to do.
    fn damaged(&self, why: &str) -> String {
        match fs::write(self.dir.join(DAMAGED), why) {
            Ok(()) => format!("{why}; restart the hub, and it is rebuilt from the log"),
            Err(_) => format!("{why}; stop the hub and delete the folder, and it is rebuilt from the log"),
        }
    }
}

/// Why a database did not open.
#[derive(Debug, thiserror::Error)]
enum Unopened {
    #[error("it is open in another process")]
    Locked,
    #[error("{0}")]
    System(io::Error),
    #[error("{0}")]
    Broken(String),
}

/// Opens it, or waits for a database of this process that was dropped: sled's threads may hold its files a moment longer.
fn open_released(dir: &Path) -> Result<sled::Db, Unopened> {
    let begun = Instant::now();
    loop {
        match open_db(dir) {
            Err(Unopened::Locked) if begun.elapsed() < RELEASE => std::thread::sleep(RELEASE / 200),
            opened => return opened,
        }
    }
}

fn open_db(dir: &Path) -> Result<sled::Db, Unopened> {
    // It holds states, and the folder that it lies in may be open to others.
    make_folder(dir).map_err(Unopened::System)?;
    if dir.join(DAMAGED).exists() {
        return Err(Unopened::Broken("it turned out damaged while it was used".to_owned()));
    }
    let config = sled::Config::new().path(dir).flush_every_ms(None).cache_capacity(CACHE_BYTES);
    // On some damage sled panics where it could have said so.
    let opened = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let db = config.open()?;
        // What every opening of a stream asks for.
        for name in db.tree_names() {
            let tree = db.open_tree(name)?;
            tree.get(UPTO)?;
            tree.last()?;
        }
        Ok(db)
    }));
    match opened {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(sled::Error::Io(e))) if e.to_string().contains("could not acquire lock") => {
            Err(Unopened::Locked)
        }
        // To move it aside would help against none of these.
        Ok(Err(sled::Error::Io(e)))
            if matches!(
                e.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::StorageFull
                    | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            Err(Unopened::System(e))
        }
        Ok(Err(e)) => Err(Unopened::Broken(e.to_string())),
        Err(_) => Err(Unopened::Broken("sled panicked".to_owned())),
    }
}

/// `index.broken-<n>`, with the first `n` that is free.
fn free_name(dir: &Path) -> PathBuf {
    let named = |n: u64| {
        let mut name = dir.file_name().unwrap_or_default().to_owned();
        name.push(format!(".broken-{n}"));
        dir.with_file_name(name)
    };
    (1..).map(named).find(|path| !path.exists()).unwrap_or_else(|| named(0))
}

/// The index of one life of a stream.
#[derive(Clone, Debug)]
pub struct StreamIndex {
    index: Index,
    names: [String; 2],
    entries: Tree,
    checkpoints: Tree,
}

impl StreamIndex {
    /// The seq up to which the index is true; 0 for a new one.
    pub fn upto(&self) -> Result<Seq, Error> {
        let upto = self.index.run(|| self.entries.get(UPTO))?;
        Ok(upto.and_then(|value| seq_at(&value, 0)).unwrap_or(0))
    }

    /// Returns the last event that the index was told anything of. A checkpoint may be ahead of the entries: a hub can be stopped
    /// before they have caught up.
    pub fn last_known(&self) -> Result<Seq, Error> {
        let checkpoint = self.index.run(|| self.checkpoints.last())?;
        Ok(self.upto()?.max(checkpoint.and_then(|(key, _)| seq_at(&key, 0)).unwrap_or(0)))
    }

    /// Adds entries; with them the index is true up to `upto`.
    pub fn add(&self, entries: &[Entry<'_>], upto: Seq) -> Result<(), Error> {
        let mut batch = Batch::default();
        for entry in entries {
            if let Some(service) = entry.service {
                batch.insert(key_of(SERVICE, service, entry.seq), &[]);
                if let Some((blob, ts)) = entry.blob {
                    let value = [&ts.as_micros().to_be_bytes()[..], blob.as_bytes()].concat();
                    batch.insert(key_of(BLOB, service, entry.seq), value);
                }
            }
            if let Some((id, first_seq, last_seq)) = entry.id {
                batch.insert(id_key(id), [first_seq.to_be_bytes(), last_seq.to_be_bytes()].as_flattened());
            }
        }
        batch.insert(UPTO, &upto.to_be_bytes());
        self.index.run(|| self.entries.apply_batch(batch))
    }

    /// The first and last seq of the append that had this idempotency key.
    pub fn find_id(&self, id: &str) -> Result<Option<(Seq, Seq)>, Error> {
        let found = self.index.run(|| self.entries.get(id_key(id)))?;
        Ok(found.and_then(|value| Some((seq_at(&value, 0)?, seq_at(&value, 8)?))))
    }

    /// The seqs in `range` of the events about a service: the first `limit` of them, or with `reverse` the last, from
    /// the highest down.
    pub fn seqs_of(
        &self,
        service: &str,
        range: RangeInclusive<Seq>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Seq>, Error> {
        let keys = key_of(SERVICE, service, *range.start())..=key_of(SERVICE, service, *range.end());
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let seq_of = |key: sled::Result<sled::IVec>| {
            let key = key?;
            Ok(seq_at(&key, key.len().saturating_sub(8)).unwrap_or(0))
        };
        self.index.run(|| {
            let found = self.entries.range(keys).keys();
            if reverse {
                found.rev().take(limit).map(seq_of).collect()
            } else {
                found.take(limit).map(seq_of).collect()
            }
        })
    }

    /// Shows every reference to an original: service, seq, time and id; all of a service in a row, the newest first.
    pub fn each_blob(&self, mut show: impl FnMut(&str, Seq, Timestamp, &str)) -> Result<(), Error> {
        let mut entries = self.entries.scan_prefix([BLOB]).rev();
        while let Some((key, value)) = self.index.run(|| entries.next().transpose())? {
            let service = key.get(5..key.len().saturating_sub(8)).and_then(|name| str::from_utf8(name).ok());
            let id = value.get(8..).and_then(|id| str::from_utf8(id).ok());
            let ts = seq_at(&value, 0).map(|bits| Timestamp::from_micros(bits.cast_signed()));
            if let (Some(service), Some(seq), Some(ts), Some(id)) =
                (service, seq_at(&key, key.len().saturating_sub(8)), ts, id)
            {
                show(service, seq, ts, id);
            }
        }
        Ok(())
    }

    /// Keeps the state at `seq`, as bytes that mean nothing here.
    pub fn put_checkpoint(&self, seq: Seq, state: &[u8]) -> Result<(), Error> {
        self.index.run(|| self.checkpoints.insert(seq.to_be_bytes(), state)).map(drop)
    }

    /// The newest state kept for `at_or_before` or earlier, with its seq.
    pub fn checkpoint(&self, at_or_before: Seq) -> Result<Option<(Seq, Vec<u8>)>, Error> {
        let found = self
            .index
            .run(|| self.checkpoints.range(..=at_or_before.to_be_bytes()).next_back().transpose())?;
        Ok(found.and_then(|(key, state)| Some((seq_at(&key, 0)?, state.to_vec()))))
    }

    /// Forgets what is about events before `seq`, which were pruned. It reads the whole index.
    ///
    /// A checkpoint just before `seq` stays: it is the state that the remaining events go on from.
    pub fn forget_before(&self, seq: Seq) -> Result<(), Error> {
        let stale = |key: &[u8], value: &[u8]| match key.first() {
            Some(&(SERVICE | BLOB)) => {
                seq_at(key, key.len().saturating_sub(8)).is_none_or(|about| about < seq)
            }
            Some(&ID) => seq_at(value, 8).is_none_or(|last_seq| last_seq < seq),
            _ => false,
        };
        self.forget(&self.entries, stale)?;
        self.forget(&self.checkpoints, |key, _| seq_at(key, 0).is_none_or(|at| at + 1 < seq))
    }

    fn forget(&self, tree: &Tree, stale: impl Fn(&[u8], &[u8]) -> bool) -> Result<(), Error> {
        let (mut batch, mut count) = (Batch::default(), 0);
        let mut entries = tree.iter();
        while let Some((key, value)) = self.index.run(|| entries.next().transpose())? {
            if stale(&key, &value) {
                batch.remove(key);
                count += 1;
            }
            if count == FORGET_AT_ONCE {
                self.index.run(|| tree.apply_batch(std::mem::take(&mut batch)))?;
                count = 0;
            }
        }
        self.index.run(|| tree.apply_batch(batch))
    }

    /// Makes everything so far durable.
    pub fn flush(&self) -> Result<(), Error> {
        self.index.flush()
    }

    /// Deletes the index of this stream.
    pub fn remove(self) -> Result<(), Error> {
        self.names.iter().try_for_each(|name| self.index.run(|| self.index.db.drop_tree(name)).map(drop))
    }
}

fn id_key(id: &str) -> Vec<u8> {
    [&[ID], id.as_bytes()].concat()
}

/// The length stands before the name, so that the seqs of one service never lie among those of another.
fn key_of(kind: u8, service: &str, seq: Seq) -> Vec<u8> {
    [&[kind][..], &(service.len() as u32).to_be_bytes(), service.as_bytes(), &seq.to_be_bytes()].concat()
}

fn seq_at(bytes: &[u8], at: usize) -> Option<Seq> {
    let bytes = bytes.get(at..at + 8)?;
    Some(Seq::from_be_bytes(bytes.try_into().ok()?))
}
