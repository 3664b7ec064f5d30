//! The folder of a stream: its description, its lock and the names of its segments.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rig_event::{Epoch, Seq, StreamName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::checked;
use crate::error::{Corrupt, Error, io_error};

/// Version of the folder's layout.
const VERSION: u32 = 1;

/// `stream.json`: whose events the folder holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    v: u32,
    /// The stream.
    pub stream: StreamName,
    /// Its life.
    pub epoch: Epoch,
    /// When it was made.
    pub created: Timestamp,
    /// The oldest event that was not pruned. It is written before segments are deleted, so that a prune that
    /// was cut short is finished at the next opening, and a segment that is missing is not taken for pruned.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub first_seq: Seq,
    /// True if the file that it was read from has a checksum: one by an earlier version has none.
    #[serde(skip)]
    pub checked: bool,
}

fn one() -> Seq {
    1
}

fn is_one(seq: &Seq) -> bool {
    *seq == 1
}

impl Description {
    /// The description of a stream without events.
    pub fn new(stream: StreamName, epoch: Epoch, created: Timestamp) -> Self {
        Description { v: VERSION, stream, epoch, created, first_seq: 1, checked: false }
    }

    /// Reads it; [`Error::NoStream`] when there is none.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let path = Self::path(dir);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(Error::NoStream { dir: dir.to_owned() });
            }
            Err(e) => return Err(io_error("read", &path)(e)),
        };
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let bad = |why: String| Error::Description { path: path.clone(), why };
        let checked = checked::check(&text);
        let checked =
            checked.map_err(|e| bad(format!("{e}. Nothing was deleted; restore it from a backup")))?;
        let Version { v } = serde_json::from_slice(&text).map_err(|e| bad(e.to_string()))?;
        if v != VERSION {
            return Err(bad(format!("its layout has version {v}, and this rig reads version {VERSION}")));
        }
        let read = serde_json::from_slice(&text).map_err(|e| bad(e.to_string()))?;
        Ok(Description { checked, ..read })
    }

    /// Returns the content of its file, with its checksum.
    pub fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut text = checked::with_checksum(serde_json::to_vec(self)?);
        text.push(b'\n');
        Ok(text)
    }

    /// Writes it so that after a crash there is the old one or the new one.
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        let path = Self::path(dir);
        let new = path.with_extension("json.new");
        let write = || {
            let mut file = File::create(&new)?;
            file.write_all(&self.to_bytes()?)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(dir)?.sync_all()
        };
        write().map_err(io_error("write", &path))
    }

    /// Where it lies.
    pub fn path(dir: &Path) -> PathBuf {
        dir.join("stream.json")
    }
}

/// Takes the folder for this process until the file is dropped.
pub fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let file = File::create(&path).map_err(io_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { dir: dir.to_owned() }),
        Err(TryLockError::Error(e)) => Err(io_error("lock", &path)(e)),
    }
}

/// Where the segment that begins with `first_seq` lies, and whose it is.
#[derive(Clone, Debug)]
pub struct SegmentFiles {
    stream: StreamName,
    /// The seq it begins with.
    pub first_seq: Seq,
    /// The lines.
    pub data: PathBuf,
    /// Their index.
    pub index: PathBuf,
}

impl SegmentFiles {
    /// The files of one segment of a stream.
    pub fn new(dir: &Path, stream: &StreamName, first_seq: Seq) -> Self {
        SegmentFiles {
            stream: stream.clone(),
            first_seq,
            data: dir.join(format!("{first_seq:020}.jsonl")),
            index: dir.join(format!("{first_seq:020}.idx")),
        }
    }

    /// Damage at a seq of this segment.
    pub fn corrupt(&self, seq: Seq, offset: u64, why: impl Into<String>) -> Corrupt {
        Corrupt { stream: self.stream.clone(), seq, segment: self.data.clone(), offset, why: why.into() }
    }

    /// Deletes both files. One that is gone already is no error.
    ///
    /// The lines last: it is by them that the next opening finds what a crash in between left.
    pub fn delete(&self) -> Result<(), Error> {
        for path in [&self.index, &self.data] {
            match fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io_error("delete", path)(e)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The first seqs of all segments in the folder, ascending. Files of other names are left alone.
pub fn list(dir: &Path) -> Result<Vec<Seq>, Error> {
    list_of(dir, ".jsonl")
}

/// The segments that have an index, by their first seq.
pub fn indexed(dir: &Path) -> Result<Vec<Seq>, Error> {
    list_of(dir, ".idx")
}

fn list_of(dir: &Path, ending: &str) -> Result<Vec<Seq>, Error> {
    let failed = |e| io_error("list", dir)(e);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(ending));
        if let Some(stem) = stem.filter(|stem| stem.len() == 20)
            && let Ok(first_seq) = stem.parse()
        {
            found.push(first_seq);
        }
    }
    found.sort_unstable();
    Ok(found)
}
