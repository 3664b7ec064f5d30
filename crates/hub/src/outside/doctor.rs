//! Looks a data directory over: locks, permissions, keys, every line of every log, every original, what can be derived, the disk.
//!
//! Nothing is changed but what is asked for, and that only where no hub runs and nothing can be lost by it.

mod originals;

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use rig_config::{Policy, RedactionKey, Redactor};
use rig_event::{Envelope, Epoch, Event, Seq, StreamName};
use rig_recorder::seal::Checked;
use rig_recorder::store::holds_stream;
use rig_recorder::{Chain, Claim, Durable, Index, Keyring, Point};
use serde::Serialize;

use self::originals::Named;
use crate::access::tls;
use crate::data::keychecks;
use crate::error::Error;
use crate::options::Options;
use crate::originals::LocalKeys;
use crate::streams::Cut;

/// Free space below which a hub is about to stop taking events.
const LITTLE: u64 = 256 << 20;

/// The findings.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// True if a hub runs on it: then what it is just writing was not looked at.
    pub running: bool,
    /// The streams whose logs are sound.
    pub streams: Vec<Sound>,
    /// Faults, and facts worth knowing.
    pub findings: Vec<Finding>,
}

/// A stream whose log is sound.
#[derive(Clone, Debug, Serialize)]
pub struct Sound {
    /// Its name.
    pub stream: StreamName,
    /// Its life.
    pub epoch: Epoch,
    /// The oldest event.
    pub first_seq: Seq,
    /// The last event.
    pub last_seq: Seq,
    /// Seals whose chain and state are those of the log.
    pub seals: u64,
    /// Up to where a signature by one of the hub's keys covers every line.
    pub signed_upto: Seq,
    /// The state hash at the last event.
    pub state: String,
    /// Originals of documents that open under the keys in the data directory.
    pub originals: u64,
    /// Originals that no event names.
    pub unnamed: u64,
}

/// Something that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Its level.
    pub level: Level,
    /// Where.
    pub path: PathBuf,
    /// The fault.
    pub what: String,
    /// The advice.
    pub advice: String,
    /// True if it was set right.
    pub repaired: bool,
}

/// The level of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing need be done.
    Note,
    /// Something should be done.
    Warning,
    /// A hub does not start on it, or something is lost.
    Error,
}

impl Report {
    /// Returns true if nothing is left to be done: all findings are notes, or were repaired.
    pub fn is_fine(&self) -> bool {
        self.findings.iter().all(|finding| finding.level == Level::Note || finding.repaired)
    }

    fn add(
        &mut self,
        level: Level,
        path: &Path,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> &mut Finding {
        let (path, what, advice) = (path.to_owned(), what.into(), advice.into());
        self.findings.push(Finding { level, path, what, advice, repaired: false });
        // Just pushed.
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    /// Notes a finding that can be set right, and does so where that is asked for.
    fn mend(
        &mut self,
        repair: bool,
        level: Level,
        path: &Path,
        [what, advice]: [&str; 2],
        mends: impl FnOnce() -> io::Result<()>,
    ) {
        let mended = repair.then(mends);
        let finding = self.add(level, path, what, advice);
        match mended {
            None => {}
            Some(Ok(())) => finding.repaired = true,
            Some(Err(e)) => finding.advice = format!("it could not be repaired ({e}); {advice}"),
        }
    }
}

/// Looks a data directory over. With `repair`, and where no hub runs, what can be set right without losing anything is: permissions,
/// an index that does not open, leftovers of removed streams.
///
/// # Errors
/// When there is no such folder.
pub fn examine(data: &Path, repair: bool) -> io::Result<Report> {
    fs::read_dir(data)?;
    let mut report = Report::default();
    let lock = lock(data)?;
    report.running = lock.is_none();
    // Held while it lasts: no hub starts in the middle of a repair.
    let repair = repair && lock.as_ref().is_some_and(Option::is_some);
    permissions(&mut report, data, repair);
    let (keys, redactor) = keys(&mut report, data);
    certificate(&mut report, data);
    let blob_keys = blob_keys(&mut report, data);
    let index = if report.running { None } else { index(&mut report, data, repair) };
    let streams = data.join("streams");
    if !streams.is_dir() {
        let what = "there is no folder of streams";
        report.add(
            Level::Error,
            &streams,
            what,
            "name the folder that the hub has with --data, or restore a backup",
        );
    }
    for folder in listed(&streams) {
        let name = folder.file_name().and_then(|name| name.to_str()?.parse::<StreamName>().ok());
        let Some(name) = name.filter(|_| holds_stream(&folder)) else {
            report.add(Level::Warning, &folder, "this is no stream; a hub leaves it alone", "move it away");
            continue;
        };
        match stream(&mut report, &folder, &name, &keys) {
            Ok((mut sound, named)) => {
                let keys = originals::Keys { blobs: blob_keys.as_ref(), redactor: redactor.as_ref() };
                originals::look(&mut report, &folder, &mut sound, named, &keys);
                ahead(&mut report, data, index.as_ref(), &sound);
                report.streams.push(sound);
            }
            Err(why) => {
                let advice = "restore it from a backup (`rig restore`), or move the folder away to start without this stream";
                report.add(Level::Error, &folder, why, advice);
            }
        }
    }
    let removed = data.join("removed");
    if removed.exists() && !report.running {
        let told =
            ["streams that were being deleted are still there", "the next start of a hub deletes them"];
        report.mend(repair, Level::Note, &removed, told, || fs::remove_dir_all(&removed));
    }
    let reserve = data.join("reserve");
    if fs::read(&reserve).is_ok_and(|held| held.iter().any(|byte| *byte != 0)) {
        let told = ["the file that holds room back has something in it", "nothing: the hub only deletes it"];
        report.mend(repair, Level::Note, &reserve, told, || fs::remove_file(&reserve));
    }
    disk(&mut report, data);
    if let Some((_, copy)) = index {
        let _ = fs::remove_dir_all(copy);
    }
    Ok(report)
}

/// The lock of the directory: nothing where a hub has it, and an inner nothing where there is none yet.
fn lock(data: &Path) -> io::Result<Option<Option<File>>> {
    let lock = match File::options().append(true).open(data.join("lock")) {
        Ok(lock) => lock,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Some(None)),
        // On a file system that is only read no hub runs, or it runs elsewhere and its lock shows.
        Err(e) if matches!(e.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied) => {
            File::open(data.join("lock"))?
        }
        Err(e) => return Err(e),
    };
    match lock.try_lock() {
        Ok(()) => Ok(Some(Some(lock))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

#[cfg(unix)]
fn permissions(report: &mut Report, data: &Path, repair: bool) {
    use std::os::unix::fs::PermissionsExt as _;
    let keys = data.join("keys");
    let files = listed(&keys).into_iter().map(|path| (path, 0o600, Level::Error));
    for (path, mode, level) in
        [(data.to_owned(), 0o700, Level::Warning), (keys, 0o700, Level::Error)].into_iter().chain(files)
    {
        let Ok(found) = fs::metadata(&path) else { continue };
        if found.permissions().mode() & 0o077 != 0 {
            let what =
                format!("others than its owner may use it (mode {:o})", found.permissions().mode() & 0o777);
            let told = [what.as_str(), &format!("chmod {mode:o} {}", path.display())];
            report.mend(repair, level, &path, told, || {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            });
        }
    }
}

#[cfg(not(unix))]
fn permissions(_: &mut Report, _: &Path, _: bool) {}

/// Checks that the keys can be read. Returns those that check seals, and what makes the addresses of originals.
fn keys(report: &mut Report, data: &Path) -> (Keyring, Option<Redactor>) {
    let restore = "restore it from a backup with keys: a new one makes every known secret look changed, and cannot continue the seals";
    let mut read = |name: &str| {
        let path = data.join("keys").join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Some((path, text)),
            Err(e) => {
                report.add(Level::Error, &path, format!("the key cannot be read: {e}"), restore);
                None
            }
        }
    };
    let (redaction, signing) = (read("redaction"), read("signing"));
    for (path, text) in redaction.iter().chain(&signing) {
        held(report, path, text, restore);
    }
    let redactor = redaction.and_then(|(path, text)| {
        let key = RedactionKey::parse(text.trim());
        if key.is_none() {
            report.add(Level::Error, &path, "it is no redaction key (`ID:64 hexadecimal digits`)", restore);
        }
        Some(Redactor::new(key?, &Policy::default()))
    });
    let Some((path, text)) = signing else { return (Keyring::default(), redactor) };
    let keys = match Keyring::parse(&text) {
        Ok(keys) if keys.is_empty() => {
            report.add(Level::Warning, &path, "there is no signing key in it: seals are not signed", restore);
            keys
        }
        Ok(keys) => keys,
        Err(e) => {
            report.add(Level::Error, &path, e.to_string(), restore);
            Keyring::default()
        }
    };
    (keys, redactor)
}

/// Tells which keys of a file are not those that the hub had.
fn held(report: &mut Report, path: &Path, text: &str, restore: &str) {
    let changes = match keychecks::compare(path, text) {
        Ok(changes) => changes,
        Err(e) => {
            let advice = "if the keys are right, delete this file: the hub makes it anew";
            report.add(Level::Error, &path.with_file_name("checks"), e.to_string(), advice);
            return;
        }
    };
    for (id, change) in changes {
        match change.refused(path, &id) {
            Some(e) => report.add(Level::Error, path, e.to_string(), restore),
            None => {
                let what = format!("the key {id}, which the hub had, is no longer in it");
                report.add(Level::Note, path, what, "if you did not remove it, put its line back")
            }
        };
    }
}

/// Adds a finding if the certificate for development is not what was made.
fn certificate(report: &mut Report, data: &Path) {
    if let Err(e) = tls::examine(&data.join("keys")) {
        let advice = "restore both files from a backup, or delete both: the next start makes new ones, which clients must be told of";
        report.add(Level::Error, &data.join("keys/tls-cert.pem"), e.to_string(), advice);
    }
}

/// The keys of originals, where they lie in a file.
fn blob_keys(report: &mut Report, data: &Path) -> Option<LocalKeys> {
    let path = data.join("keys/blobs");
    let restore = "restore it from a backup with keys: without it no original can be read";
    match LocalKeys::read(&path) {
        Ok(keys) => {
            held(report, &path, &fs::read_to_string(&path).unwrap_or_default(), restore);
            Some(keys)
        }
        // Made with the first original, and absent with Transit: it is missed only if an original needs it.
        Err(Error::Data { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
        Err(e) => {
            report.add(Level::Error, &path, e.to_string(), restore);
            None
        }
    }
}

/// Reads every line of a stream's log.
fn stream(
    report: &mut Report,
    folder: &Path,
    name: &StreamName,
    keys: &Keyring,
) -> Result<(Sound, Named), String> {
    let text = |e: rig_recorder::Error| e.to_string();
    let mut durable = Durable::open(folder).map_err(text)?;
    if durable.stream != *name {
        return Err(format!("it holds the stream {}: a folder must have its stream's name", durable.stream));
    }
    let path = folder.join("cut.json");
    let cut = match fs::read(&path) {
        Ok(bytes) => Cut::from_json(&bytes).map_err(|why| format!("cut.json: {why}"))?,
        Err(e) if e.kind() == io::ErrorKind::NotFound && durable.first_seq == 1 => {
            Cut::genesis(name, &durable.epoch)
        }
        Err(e) => return Err(format!("cut.json, the state before its oldest event, cannot be read: {e}")),
    };
    let last_seq = durable.measure().map_err(text)?;
    if cut.state.seq + 1 < durable.first_seq || cut.state.seq > last_seq {
        let (seq, first) = (cut.state.seq, durable.first_seq);
        return Err(format!("cut.json is the state at seq {seq}, and the log has {first} to {last_seq}"));
    }
    let named = Named::before(&cut.state);
    let mut reading =
        Reading { state: cut.state, chain: cut.chain, seals: 0, signed_upto: 0, unknown_key: None, named };
    let mut next = durable.first_seq;
    for segment in &durable.segments {
        let path = folder.join(&segment.name);
        let unread = |e: io::Error| format!("{} cannot be read: {e}", segment.name);
        let mut checksums = durable.checksums(segment).map_err(text)?;
        let mut lines = BufReader::with_capacity(256 << 10, (&segment.file).take(segment.bytes));
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).map_err(unread)? > 0 {
            checksums.check(&line).map_err(text)?;
            let bytes = line.strip_suffix(b"\n").unwrap_or(&line);
            reading
                .line(bytes, next, &durable, keys)
                .map_err(|why| format!("{}, seq {next}: {why}", segment.name))?;
            next += 1;
            line.clear();
        }
        let there = segment.file.metadata().map_err(unread)?.len();
        if durable.is_stopped() && there > segment.bytes {
            let what = format!(
                "{} bytes at its end are no whole append; none of it was acknowledged",
                there - segment.bytes
            );
            report.add(Level::Note, &path, what, "the next start of a hub cuts them off");
        }
        let index = path.with_extension("idx");
        if durable.is_stopped() && index.exists() && checksums.unknown() > 0 {
            let what = format!("{} of its checksums are damaged; the lines are whole", checksums.unknown());
            report.add(Level::Note, &index, what, "the hub makes them new when it reads them");
        }
        if durable.is_stopped() && !index.exists() {
            report.add(
                Level::Note,
                &path,
                "its offsets (.idx) are gone",
                "the next start of a hub makes them new",
            );
        }
    }
    if next != last_seq + 1 {
        return Err(format!("event {next} is missing"));
    }
    let Durable { stream, epoch, first_seq, .. } = durable;
    let Reading { state, seals, signed_upto, mut named, unknown_key, .. } = reading;
    if let Some(id) = unknown_key.filter(|_| !keys.is_empty()) {
        let what = format!(
            "the last seal of stream {stream} is signed by key {id}, which keys/signing does not hold"
        );
        let advice = "put its line back; if you removed it, nothing: the next seal is by another key";
        report.add(Level::Warning, folder, what, advice);
    }
    named.head(&state);
    let ahead = state.ts.as_micros().saturating_sub((Options::default().clock)().as_micros()) / 1_000_000;
    if ahead > 60 {
        let what = format!(
            "its last event has the time {}, which is {ahead} s ahead of this machine's clock",
            state.ts
        );
        let advice =
            "set the clock, if it is wrong; else nothing: events carry the true time as `at` until then";
        report.add(Level::Warning, folder, what, advice);
    }
    let (state, originals, unnamed) = (state.hash(), 0, 0);
    Ok((Sound { stream, epoch, first_seq, last_seq, seals, signed_upto, state, originals, unnamed }, named))
}

/// A log as far as it was read.
struct Reading {
    state: rig_replay::State,
    chain: Chain,
    seals: u64,
    signed_upto: Seq,
    /// The key that signed the last seal, where it is not known.
    unknown_key: Option<String>,
    named: Named,
}

impl Reading {
    /// Takes the next line in. The state checks that a seal's hash is its own.
    fn line(&mut self, line: &[u8], seq: Seq, durable: &Durable, keys: &Keyring) -> Result<(), String> {
        let envelope = Envelope::parse(line).map_err(|e| e.to_string())?;
        if envelope.seq != seq {
            return Err(format!("seq {} stands here", envelope.seq));
        }
        self.named.event(&envelope.event);
        if seq <= self.state.seq {
            // The state was kept after it already.
            return Ok(());
        }
        if let Event::LogSealed(seal) = &envelope.event {
            if seal.chain != self.chain.to_string() || seal.upto + 1 != seq {
                return Err("the seal has another hash chain: a line before it was changed".to_owned());
            }
            let (stream, epoch, upto) = (&durable.stream, &durable.epoch, seal.upto);
            let claim =
                Claim { stream, epoch, upto, chain: &seal.chain, state: &seal.state, point: Point::Seal };
            self.unknown_key = None;
            for signature in &seal.signatures {
                match keys.check(&claim, signature) {
                    Checked::Valid => self.signed_upto = upto,
                    Checked::Forged => {
                        return Err(format!("the seal's signature is not by key {}", signature.key_id));
                    }
                    Checked::UnknownKey => self.unknown_key = Some(signature.key_id.clone()),
                }
            }
            self.seals += 1;
        }
        self.state.apply(&envelope).map_err(|e| e.to_string())?;
        self.chain.push(line);
        Ok(())
    }
}

/// Opens a copy of the index, for opening it changes it; where the copy lies is told.
fn index(report: &mut Report, data: &Path, repair: bool) -> Option<(Index, PathBuf)> {
    let path = data.join("index");
    if !path.is_dir() {
        return None;
    }
    let copy = std::env::temp_dir().join(format!("rig-doctor-{}", std::process::id()));
    if let Err(e) = copy_folder(&path, &copy) {
        let _ = fs::remove_dir_all(&copy);
        let what = format!("the index was not looked at, for it cannot be copied to {}: {e}", copy.display());
        report.add(Level::Note, &path, what, "make room there, or name another place with TMPDIR");
        return None;
    }
    match Index::open(&copy) {
        Ok((index, None)) if index.read_through().is_ok() => Some((index, copy)),
        _ => {
            let told = [
                "the index does not open, or cannot be read to its end",
                "delete the folder: it is rebuilt from the logs",
            ];
            report.mend(repair, Level::Warning, &path, told, || fs::remove_dir_all(&path));
            for left in listed(&std::env::temp_dir()) {
                let ours = copy.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                if left.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(ours))
                {
                    let _ = fs::remove_dir_all(left);
                }
            }
            None
        }
    }
}

/// Adds a finding if the index knows of events that the log no longer has.
fn ahead(report: &mut Report, data: &Path, index: Option<&(Index, PathBuf)>, sound: &Sound) {
    let known =
        index.and_then(|(index, _)| index.stream(&sound.stream, &sound.epoch).ok()?.last_known().ok());
    if known.is_some_and(|known| known > sound.last_seq) {
        let folder = data.join("streams").join(sound.stream.as_str());
        let what = format!(
            "it ends with seq {}, and events up to {} were durable: the end of its log is lost",
            sound.last_seq,
            known.unwrap_or_default()
        );
        let advice = format!(
            "restore it from a backup; to go on without those events, delete {}",
            data.join("index").display()
        );
        report.add(Level::Error, &folder, what, advice);
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &target)?,
            false => fs::copy(entry.path(), target).map(drop)?,
        }
    }
    Ok(())
}

#[cfg(unix)]
fn disk(report: &mut Report, data: &Path) {
    let Ok(disk) = rustix::fs::statvfs(data) else { return };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < LITTLE {
        let what = format!("its disk has {} MiB left; a hub on a full disk takes no events", free >> 20);
        report.add(Level::Warning, data, what, "make room, or let [retention] in the policy keep less");
    }
    if disk.f_favail < 1_000 && disk.f_files > 0 {
        let what = format!("its disk has room for {} more files", disk.f_favail);
        report.add(Level::Warning, data, what, "delete files that nobody needs");
    }
}

#[cfg(not(unix))]
fn disk(_: &mut Report, _: &Path) {}

/// Returns the entries of a folder, by name; of one that cannot be read, nothing.
fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
