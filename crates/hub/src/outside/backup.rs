//! A copy of a data directory in one file, made while a hub runs on it, and the way back.
//!
//! The file is a tar, compressed with zstd. Of every stream it has the log up to the end of the last durable append, the state at
//! the cut and the originals; last comes `manifest.json` with the length and SHA-256 of every file and the hash chain at each head.
//! Logs are copied before originals: an original is written before the event that names it. What can be derived (`index/`, the
//! offsets beside segments) is left out. Nothing is put in place before all of it was checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use rig_event::keyfile::hex;
use rig_event::{Epoch, Head, Seq, StreamName, Timestamp};
use rig_recorder::blob::BlobStore;
use rig_recorder::{Chain, Checksums, Durable, EventLog as _, SegmentLog};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::streams::Cut;

/// Version of the file's layout.
const VERSION: u32 = 1;

/// The last entry.
const MANIFEST: &str = "manifest.json";

/// Largest manifest that is read.
const MAX_MANIFEST: u64 = 256 << 20;

/// Maximum number of attempts to copy a log that is pruned meanwhile. After these it is an error.
const TRIES: usize = 100;

/// Why there is no backup, or nothing restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or folder cannot be used.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// The action that failed.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The folder is no data directory.
    #[error("{} is no data directory: it has no streams/; name the one that the hub has with --data", .0.display())]
    NoData(PathBuf),
    /// A log cannot be read.
    #[error(transparent)]
    Log(#[from] rig_recorder::Error),
    /// The source or the copy is damaged.
    #[error("{what}: {why}")]
    Damaged {
        /// Where.
        what: String,
        /// The fault.
        why: String,
    },
    /// There is something in the folder.
    #[error("{} is not empty; nothing is restored over what is there: name an empty or a new folder", .0.display())]
    NotEmpty(PathBuf),
}

/// The content of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    v: u32,
    /// The version of rig that made it.
    pub rig: String,
    /// When it was begun.
    pub made: Timestamp,
    /// True if the keys are in it.
    pub with_keys: bool,
    /// The streams.
    pub streams: Vec<StreamCopy>,
    /// Every other entry by its path.
    files: BTreeMap<String, FileCopy>,
}

/// A stream in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamCopy {
    /// Its name.
    pub stream: StreamName,
    /// Its life, which goes on after a restore.
    pub epoch: Epoch,
    /// The oldest event.
    pub first_seq: Seq,
    /// The last event.
    pub last_seq: Seq,
    /// The hash chain there.
    pub chain: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCopy {
    bytes: u64,
    sha256: String,
}

impl Manifest {
    /// Returns the number of files.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Refuses a backup without the hub's own stream: the tokens are in it, and without them a hub stands open.
    fn has_own_stream(&self) -> Result<(), BackupError> {
        let own = StreamName::hub();
        match self.streams.iter().any(|copied| copied.stream == own) {
            true => Ok(()),
            false => Err(BackupError::Damaged {
                what: format!("stream {own}"),
                why: "it is missing, and with it the tokens: a hub would stand open".to_owned(),
            }),
        }
    }

    /// Refuses a manifest that names anything but the files of its streams and, where it says so, the keys.
    fn is_closed(&self) -> Result<(), BackupError> {
        let damaged =
            |what: &str, why: &str| BackupError::Damaged { what: what.to_owned(), why: why.to_owned() };
        let names: BTreeSet<&str> = self.streams.iter().map(|copied| copied.stream.as_str()).collect();
        if names.len() != self.streams.len() {
            return Err(damaged(MANIFEST, "it names a stream twice"));
        }
        for name in self.files.keys() {
            let parts: Vec<&str> = name.split('/').collect();
            let has_place = match parts.as_slice() {
                ["keys", _] => self.with_keys,
                ["streams", stream, "stream.json" | "cut.json"] => names.contains(stream),
                ["streams", stream, segment] => names.contains(stream) && is_segment(segment),
                ["streams", stream, "blobs", shard, blob] => {
                    names.contains(stream) && shard.len() == 2 && blob.starts_with(shard)
                }
                _ => false,
            };
            if !has_place {
                return Err(damaged(name, "it has no place in a backup"));
            }
        }
        self.has_own_stream()
    }

    /// Their bytes, before compression.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }
}

/// Writes a backup of the data directory `data`, on which a hub may run, to `out`. Keys are in it only `with_keys`: whoever has
/// them can read originals, guess short secrets and sign.
///
/// # Errors
/// When something cannot be read or written, or is damaged.
pub fn write(data: &Path, out: impl Write, with_keys: bool, now: Timestamp) -> Result<Manifest, BackupError> {
    let to_out = |e| BackupError::Io { what: "write", path: "the backup".into(), source: e };
    let zstd = zstd::Encoder::new(out, 0).and_then(|mut zstd| {
        zstd.include_checksum(true)?;
        Ok(zstd)
    });
    let mut copy = Copy {
        tar: tar::Builder::new(zstd.map_err(to_out)?),
        manifest: Manifest {
            v: VERSION,
            rig: env!("CARGO_PKG_VERSION").to_owned(),
            made: now,
            with_keys,
            streams: Vec::new(),
            files: BTreeMap::new(),
        },
    };
    let streams = data.join("streams");
    if !streams.is_dir() {
        return Err(BackupError::NoData(data.to_owned()));
    }
    for folder in listed(&streams)?.into_iter().filter(|folder| folder.join("stream.json").is_file()) {
        match copy.stream(&folder) {
            // Removed meanwhile.
            Err(BackupError::Log(rig_recorder::Error::NoStream { .. })) => {}
            done => done?,
        }
    }
    if with_keys {
        for path in listed(&data.join("keys"))?.into_iter().filter(|path| path.is_file()) {
            copy.whole(&format!("keys/{}", name_of(&path)?), &path)?;
        }
    }
    let Copy { mut tar, manifest } = copy;
    manifest.has_own_stream()?;
    let text = serde_json::to_vec_pretty(&manifest).map_err(|e| to_out(io::Error::other(e)))?;
    append(&mut tar, MANIFEST, text.len() as u64, &text[..]).map_err(to_out)?;
    tar.into_inner().and_then(zstd::Encoder::finish).and_then(|mut out| out.flush()).map_err(to_out)?;
    Ok(manifest)
}

/// A backup that is being written.
struct Copy<'a, W: Write> {
    tar: tar::Builder<zstd::Encoder<'a, W>>,
    manifest: Manifest,
}

impl<W: Write> Copy<'_, W> {
    fn stream(&mut self, folder: &Path) -> Result<(), BackupError> {
        let (durable, cut, last_seq) = consistent(folder)?;
        let name = durable.stream.clone();
        let within = format!("streams/{name}");
        let damaged = |why: String| BackupError::Damaged { what: format!("stream {name}"), why };
        self.bytes(&format!("{within}/stream.json"), &durable.description)?;
        let mut chain = Chain::genesis(&name, &durable.epoch);
        let mut counted_from = 1;
        if let Some(bytes) = &cut {
            let cut = Cut::from_json(bytes).map_err(|why| damaged(format!("cut.json: {why}")))?;
            (chain, counted_from) = (cut.chain, cut.state.seq + 1);
            self.bytes(&format!("{within}/cut.json"), bytes)?;
        }
        let mut next = durable.first_seq;
        for segment in &durable.segments {
            if segment.first_seq != next {
                return Err(damaged(format!("event {next} is missing")));
            }
            let path = format!("{within}/{}", segment.name);
            let lines = Lines {
                from: (&segment.file).take(segment.bytes),
                line: Vec::new(),
                next: &mut next,
                counted_from,
                chain: &mut chain,
                checksums: durable.checksums(segment)?,
            };
            self.entry(&path, segment.bytes, lines)?;
        }
        if next != last_seq + 1 {
            return Err(damaged(format!("event {next} is missing")));
        }
        let copied = StreamCopy {
            stream: name,
            epoch: durable.epoch.clone(),
            first_seq: durable.first_seq,
            last_seq,
            chain: chain.to_string(),
        };
        self.manifest.streams.push(copied);
        // Only now: every original that an event above names is there, unless retention has let go of it.
        let store = BlobStore::look(&folder.join("blobs"));
        let mut originals = Vec::new();
        store.each(|stored| originals.push(store.path(&stored.id)))?;
        originals.sort();
        for path in originals {
            let shard = name_of(path.parent().unwrap_or(folder))?;
            self.whole(&format!("{within}/blobs/{shard}/{}", name_of(&path)?), &path)?;
        }
        Ok(())
    }

    /// A file that is never changed in place. One that is gone by now is left out.
    fn whole(&mut self, name: &str, path: &Path) -> Result<(), BackupError> {
        let failed = |e| io_failed("read", path)(e);
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(failed(e)),
        };
        let bytes = file.metadata().map_err(failed)?.len();
        self.entry(name, bytes, file.take(bytes))
    }

    fn bytes(&mut self, name: &str, content: &[u8]) -> Result<(), BackupError> {
        self.entry(name, content.len() as u64, content)
    }

    fn entry(&mut self, name: &str, bytes: u64, content: impl Read) -> Result<(), BackupError> {
        let mut content = Hashed { content, hash: Sha256::new(), bytes: 0 };
        append(&mut self.tar, name, bytes, &mut content).map_err(|source| BackupError::Io {
            what: "copy",
            path: name.into(),
            source,
        })?;
        if content.bytes != bytes {
            let why = format!("it ended after {} of {bytes} bytes", content.bytes);
            return Err(BackupError::Damaged { what: name.to_owned(), why });
        }
        self.manifest
            .files
            .insert(name.to_owned(), FileCopy { bytes, sha256: hex(&content.hash.finalize()) });
        Ok(())
    }
}

/// A stream's log with the state at its cut, where that is not newer than the log.
fn consistent(folder: &Path) -> Result<(Durable, Option<Vec<u8>>, Seq), BackupError> {
    let path = folder.join("cut.json");
    for _ in 0..TRIES {
        let mut durable = Durable::open(folder)?;
        // It is written before segments go, so it is never older than where these begin.
        let cut = match fs::read(&path) {
            Ok(cut) => Some(cut),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(io_failed("read", &path)(e)),
        };
        let head = durable.measure()?;
        let seq = match &cut {
            Some(bytes) => Cut::from_json(bytes)
                .map(|cut| cut.state.seq)
                .map_err(|why| BackupError::Damaged { what: path.display().to_string(), why })?,
            None => 0,
        };
        if durable.first_seq <= seq + 1 && seq <= head {
            return Ok((durable, cut, head));
        }
        if durable.is_stopped() {
            let why =
                format!("it is the state at seq {seq}, and the log has {} to {head}", durable.first_seq);
            return Err(BackupError::Damaged { what: path.display().to_string(), why });
        }
    }
    Err(io_failed("copy", folder)(io::Error::other("it was pruned again and again meanwhile")))
}

/// Passes a segment's lines on and folds them into the chain; what is no line in its place is an error.
struct Lines<'a, R> {
    from: R,
    line: Vec<u8>,
    next: &'a mut Seq,
    /// Lines before it are in the chain already.
    counted_from: Seq,
    chain: &'a mut Chain,
    checksums: Checksums,
}

impl<R: Read> Read for Lines<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        for piece in buffer[..read].split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(piece);
            // With its line end.
            if self.line.len() > rig_event::MAX_LINE + 1 {
                return Err(io::Error::other(format!("the line of seq {} has no end", self.next)));
            }
            let Some((b'\n', line)) = self.line.split_last() else { continue };
            self.checksums.check(&self.line).map_err(|e| io::Error::other(e.to_string()))?;
            let found = Head::parse(line).map_err(|e| io::Error::other(e.to_string()))?.seq;
            if found != *self.next {
                return Err(io::Error::other(format!("seq {found} stands where {} should", self.next)));
            }
            if found >= self.counted_from {
                self.chain.push(line);
            }
            *self.next += 1;
            self.line.clear();
        }
        Ok(read)
    }
}

/// Puts the backup `from` into the folder `data`, which must be empty or not there. All of it is checked first.
///
/// # Errors
/// When it is damaged or not whole, or the folder cannot be used; then nothing is left behind.
pub fn restore(from: impl Read, data: &Path) -> Result<Manifest, BackupError> {
    let is_there = data.exists();
    remove_leftovers(data)?;
    // What a new file system begins with is nobody's.
    if !listed(data)?.iter().all(|path| path.ends_with("lost+found")) {
        return Err(BackupError::NotEmpty(data.to_owned()));
    }
    // A folder that is there may be a link or a mounted disk, which nothing can be put in the place of.
    let mut unpacked = if is_there { data.join("") } else { data.to_owned() }.into_os_string();
    unpacked.push(format!("{UNPACKED}{}", std::process::id()));
    let unpacked = PathBuf::from(unpacked);
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked).map_err(io_failed("remove", &unpacked))?;
    }
    private_folder(&unpacked)?;
    let put = unpack(from, &unpacked).and_then(|manifest| {
        put_in_place(&unpacked, data, is_there)?;
        Ok(manifest)
    });
    if put.is_err() {
        let _ = fs::remove_dir_all(&unpacked);
    }
    put
}

/// The beginning of the name of the folder in which a backup is unpacked.
const UNPACKED: &str = ".restore-";

/// Removes what an attempt left behind that was killed: it had not come as far as the streams.
fn remove_leftovers(data: &Path) -> Result<(), BackupError> {
    let entries = listed(data)?;
    let is_unpacked = |path: &&PathBuf| name_of(path).is_ok_and(|name| name.starts_with(UNPACKED));
    let Some(unpacked) = entries.iter().find(is_unpacked) else { return Ok(()) };
    let keys = data.join("keys");
    let is_ours = |path: &PathBuf| {
        is_unpacked(&path) || *path == keys && !unpacked.join("keys").exists() || path.ends_with("lost+found")
    };
    if !entries.iter().all(is_ours) {
        return Ok(());
    }
    for path in entries.iter().filter(|path| !path.ends_with("lost+found")) {
        fs::remove_dir_all(path).map_err(io_failed("remove", path))?;
    }
    Ok(())
}

/// Moves what was unpacked and checked to where it belongs: all of it, or nothing.
fn put_in_place(unpacked: &Path, data: &Path, is_there: bool) -> Result<(), BackupError> {
    let in_place = |from: &Path, to: &Path| fs::rename(from, to).map_err(io_failed("put in place", to));
    if !is_there {
        in_place(unpacked, data)?;
        let parent = data.parent().filter(|parent| !parent.as_os_str().is_empty());
        return sync_folder(parent.unwrap_or(Path::new(".")))
            .inspect_err(|_| drop(fs::rename(data, unpacked)));
    }
    // The streams come last: without them it is no data directory.
    let parts: Vec<&str> =
        ["keys", "streams"].into_iter().filter(|part| unpacked.join(part).exists()).collect();
    let moved = parts
        .iter()
        .try_for_each(|part| in_place(&unpacked.join(part), &data.join(part)))
        .and_then(|()| sync_folder(data));
    if moved.is_err() {
        for part in parts {
            let _ = fs::rename(data.join(part), unpacked.join(part));
        }
        return moved;
    }
    // Everything is there; an empty folder more does no harm.
    let _ = fs::remove_dir(unpacked);
    Ok(())
}

/// Reads a backup to its end into a folder of its own, and checks everything.
fn unpack(from: impl Read, folder: &Path) -> Result<Manifest, BackupError> {
    let unread =
        |e: io::Error| BackupError::Damaged { what: "the backup cannot be read".into(), why: e.to_string() };
    let damaged = |what: &str, why: &str| BackupError::Damaged { what: what.to_owned(), why: why.to_owned() };
    let zstd = zstd::Decoder::new(from).map_err(unread)?;
    let mut archive = tar::Archive::new(zstd);
    let (mut found, mut manifest) = (BTreeMap::new(), None);
    for entry in archive.entries().map_err(unread)? {
        let entry = entry.map_err(unread)?;
        let path = entry.path().map_err(unread)?.into_owned();
        let name = path.to_str().filter(|_| is_plain(&path)).map(str::to_owned);
        let name = name.ok_or_else(|| damaged("the backup", "an entry has a name that leads elsewhere"))?;
        if entry.header().entry_type() != tar::EntryType::Regular || manifest.is_some() {
            return Err(damaged(&name, "it has no place in a backup"));
        }
        if name == MANIFEST {
            let mut text = Vec::new();
            entry.take(MAX_MANIFEST).read_to_end(&mut text).map_err(unread)?;
            let read = serde_json::from_slice::<Manifest>(&text);
            manifest = Some(read.map_err(|e| damaged(MANIFEST, &e.to_string()))?);
            continue;
        }
        let to = folder.join(&path);
        if let Some(parent) = to.parent() {
            private_folder(parent)?;
        }
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&to).map_err(io_failed("write", &to))?;
        let mut content = Hashed { content: entry, hash: Sha256::new(), bytes: 0 };
        io::copy(&mut content, &mut file).map_err(io_failed("write", &to))?;
        file.sync_all().map_err(io_failed("write", &to))?;
        found.insert(name, FileCopy { bytes: content.bytes, sha256: hex(&content.hash.finalize()) });
    }
    // To the checksum at the very end.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(unread)?;
    let manifest =
        manifest.ok_or_else(|| damaged("the backup", "it ends before its manifest: it is not whole"))?;
    if manifest.v != VERSION {
        let why = format!("its layout has version {}, and this rig reads version {VERSION}", manifest.v);
        return Err(damaged("the backup", &why));
    }
    if let Some(name) =
        manifest.files.keys().chain(found.keys()).find(|name| manifest.files.get(*name) != found.get(*name))
    {
        return Err(damaged(name, "it is not what the manifest says"));
    }
    manifest.is_closed()?;
    for stream in &manifest.streams {
        check(folder, stream)?;
    }
    Ok(manifest)
}

/// Opens a stream's log, which makes its offsets, and holds its hash chain against the manifest.
fn check(folder: &Path, copied: &StreamCopy) -> Result<(), BackupError> {
    let dir = folder.join("streams").join(copied.stream.as_str());
    let damaged = |why: String| BackupError::Damaged { what: format!("stream {}", copied.stream), why };
    let (log, recovery) = SegmentLog::open(&dir, rig_recorder::Options::default())?;
    if (log.stream(), log.epoch(), log.first_seq(), log.head(), recovery.cut_bytes)
        != (&copied.stream, &copied.epoch, copied.first_seq, copied.last_seq, 0)
    {
        return Err(damaged("its log is not the one that the manifest names".to_owned()));
    }
    let mut chain = Chain::genesis(&copied.stream, &copied.epoch);
    let mut next = 1;
    let cut = dir.join("cut.json");
    if cut.exists() {
        let bytes = fs::read(&cut).map_err(io_failed("read", &cut))?;
        let cut = Cut::from_json(&bytes).map_err(|why| damaged(format!("cut.json: {why}")))?;
        (chain, next) = (cut.chain, cut.state.seq + 1);
    }
    while next <= copied.last_seq {
        let lines = log.read_blocking(next, copied.last_seq, crate::READ_BYTES);
        let lines = lines.map_err(|e| damaged(e.to_string()))?;
        if lines.is_empty() {
            return Err(damaged(format!("event {next} is missing")));
        }
        lines.iter().for_each(|(_, line)| chain.push(line));
        next = lines.last_seq() + 1;
    }
    if chain.to_string() != copied.chain {
        return Err(damaged("its hash chain is not that of the manifest".to_owned()));
    }
    drop(log);
    sync_folder(&dir)
}

/// Returns true if that is the name of a segment of a log.
fn is_segment(name: &str) -> bool {
    name.strip_suffix(".jsonl")
        .is_some_and(|digits| digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Returns true if a path stays below its folder.
fn is_plain(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_)))
}

fn append(tar: &mut tar::Builder<impl Write>, name: &str, bytes: u64, content: impl Read) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(bytes);
    header.set_mode(0o600);
    tar.append_data(&mut header, name, content)
}

/// Hashes what is read through it.
struct Hashed<R> {
    content: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

/// Returns the entries of a folder, by name; a folder that is not there has nothing in it.
fn listed(folder: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let failed = |e| io_failed("list", folder)(e);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> Result<&str, BackupError> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.ok_or_else(|| io_failed("copy", path)(io::Error::other("its name is not UTF-8")))
}

fn private_folder(path: &Path) -> Result<(), BackupError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(io_failed("make", path))
}

fn sync_folder(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(io_failed("sync", path))
}

fn io_failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Io { what, path, source }
}
