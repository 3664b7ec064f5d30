//! A session file that is being made: begun with what a stream has, resumed where one was left unfinished.

use std::fs::{File, TryLockError};
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};
use rig_event::session::{Checkpoint, Header, Outcome, VERSION};
use rig_event::{Seq, Timestamp};
use rig_hub::Stream;
use rig_recorder::session::{Ending, Output, SessionReader, SessionWriter};
use rig_recorder::{Chain, Claim, Keyring, Lines, Point};

use crate::client::Client;
use crate::{output, source};

/// A session file that takes events in their order.
pub struct Recording {
    writer: SessionWriter<Output<BufWriter<File>>>,
    header: Header,
    /// Whether something was written since the last flush.
    dirty: bool,
    /// Bytes of the events in it, before compression.
    bytes: u64,
    begun: Instant,
}

impl Recording {
    /// Begins a file with everything that the stream has from `from` on.
    ///
    /// # Errors
    /// When the hub has no such stretch, or the file cannot be written.
    pub async fn download(
        client: &Client,
        from: Option<Seq>,
        file: &Path,
        name: String,
    ) -> Result<Recording> {
        let session = source::download(client, from, None).await?;
        let mut reader = SessionReader::new(BufReader::new(session)).context("the hub's session file")?;
        let mut header = header_of(&reader)?;
        header.session = name;
        header.started = now();
        header.rig = env!("CARGO_PKG_VERSION").to_owned();
        let checkpoint = reader.checkpoint().cloned();
        let mut recording = Recording::create(file, header, checkpoint.as_ref())?;
        recording.copy(&mut reader).with_context(|| format!("cannot write {}", file.display()))?;
        if let Some(ending @ (Ending::Unfinished | Ending::Torn { .. } | Ending::Altered { .. })) =
            reader.ending()
        {
            // It goes on from the stream itself, but nobody should wonder.
            output::note(format!("the download was not whole ({ending:?}); what is missing is followed"));
        }
        Ok(recording)
    }

    /// Begins a file just before the event `from`, which need not be there yet.
    ///
    /// # Errors
    /// When the hub does not have the state there, or the file cannot be written.
    pub async fn begin(client: &Client, from: Seq, file: &Path, name: String) -> Result<Recording> {
        // An empty session has the header, and the state that its first event comes after.
        let session = source::download(client, Some(from), Some(from.saturating_sub(1))).await?;
        let reader = SessionReader::new(BufReader::new(session)).context("the hub's session file")?;
        let mut header = header_of(&reader)?;
        header.session = name;
        header.started = now();
        header.rig = env!("CARGO_PKG_VERSION").to_owned();
        Recording::create(file, header, reader.checkpoint())
    }

    /// Begins a file with the first event of a stream of this process, which need not be there yet.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn of(stream: &Stream, file: &Path, name: String) -> Result<Recording> {
        let header = Header {
            v: VERSION,
            session: name,
            stream: stream.name.clone(),
            epoch: stream.epoch.clone(),
            first_seq: 1,
            chain: Chain::genesis(&stream.name, &stream.epoch).to_string(),
            started: now(),
            rig: env!("CARGO_PKG_VERSION").to_owned(),
            scrubbed: None,
        };
        Recording::create(file, header, None)
    }

    /// Goes on with a file where it ends: before its footer, if it has one.
    ///
    /// The events are copied to a new file that takes its place when all are there: a torn end goes, and a crash in
    /// between leaves the old one. `None` if it was cut before anything was in it: then it is to be begun anew.
    ///
    /// # Errors
    /// When it is no session file, `accept` does not want it, it is damaged before its end, or another recorder writes to it.
    pub fn resume(
        path: &Path,
        accept: impl FnOnce(&Header, &Ending) -> Result<()>,
    ) -> Result<Option<Recording>> {
        let shown = path.display();
        let advice = "name another file, or overwrite it with --force";
        // Nobody else may go on with it in the meantime.
        let _lock = locked(path)?;
        let mut reader = open(path)?;
        let header = reader.header().cloned();
        // Looked through once, so that nothing is begun that cannot be ended.
        for record in &mut reader {
            match (&header, record) {
                (Some(_), Err(error)) => bail!("{shown} is damaged, {error}; {advice}"),
                (Some(_), Ok(_)) => {}
                (None, _) => break,
            }
        }
        let Some(header) = header else {
            if reader.is_cut_at_start() {
                return Ok(None);
            }
            bail!("{shown} is no session file; {advice}")
        };
        let misses_its_beginning = header.first_seq > 1 && reader.checkpoint().is_none();
        match reader.ending() {
            Some(Ending::Altered { why, .. }) => bail!("{shown} is not what was recorded: {why}; {advice}"),
            Some(ending) => accept(&header, ending)?,
            None => bail!("{shown} cannot be read to its end; {advice}"),
        }
        if misses_its_beginning {
            return Ok(None);
        }
        let mut reader = open(path)?;
        let checkpoint = reader.checkpoint().cloned();
        let part = part(path);
        let mut recording = Recording::create_as(&part, is_zstd(path), header, checkpoint.as_ref())?;
        recording.copy(&mut reader).with_context(|| format!("cannot write {}", part.display()))?;
        recording.flush()?;
        std::fs::rename(&part, path).with_context(|| format!("cannot replace {shown}"))?;
        output::note(format!("{shown} is resumed after seq {}", recording.last_seq()));
        Ok(Some(recording))
    }

    fn create(path: &Path, header: Header, checkpoint: Option<&Checkpoint>) -> Result<Recording> {
        Recording::create_as(path, is_zstd(path), header, checkpoint)
    }

    fn create_as(
        path: &Path,
        zstd: bool,
        header: Header,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<Recording> {
        let cannot = || format!("cannot write {}", path.display());
        let file = locked(path)?;
        if is_regular(&file) {
            // Only now: another recorder's file must not be emptied.
            file.set_len(0).with_context(cannot)?;
        }
        let file = BufWriter::with_capacity(1 << 16, file);
        let out = if zstd { Output::zstd(file).with_context(cannot)? } else { Output::Plain(file) };
        let writer = SessionWriter::new(out, &header, checkpoint).with_context(cannot)?;
        Ok(Recording { writer, header, dirty: true, bytes: 0, begun: Instant::now() })
    }

    fn copy<R: io::BufRead>(&mut self, reader: &mut SessionReader<R>) -> Result<()> {
        for record in reader {
            let mut record = record?;
            record.line.push(b'\n');
            self.bytes += record.line.len() as u64;
            self.writer.write(&Lines::split(record.seq, record.line))?;
        }
        self.dirty = true;
        Ok(())
    }

    /// What the file says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The last event in it.
    pub fn last_seq(&self) -> Seq {
        self.writer.last_seq()
    }

    /// How many events are in it.
    pub fn events(&self) -> u64 {
        (self.last_seq() + 1).saturating_sub(self.header.first_seq)
    }

    /// Bytes of its events, before compression.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How long ago it was begun or resumed.
    pub fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Writes the next event.
    ///
    /// # Errors
    /// When it is not the next one, or the file takes no more.
    pub fn write(&mut self, line: &str) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(line.len() + 1);
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        let seq = rig_event::Head::parse(line.as_bytes())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?
            .seq;
        self.append(&Lines::split(seq, bytes))
    }

    /// Writes the next events.
    ///
    /// # Errors
    /// If they are not the next ones, or the file takes no more.
    pub fn append(&mut self, lines: &Lines) -> io::Result<()> {
        self.dirty = true;
        self.bytes += lines.bytes.len() as u64;
        self.writer.write(lines)
    }

    /// Hands on what was written, where something was.
    ///
    /// # Errors
    /// When the file takes no more.
    pub fn flush(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.dirty) { self.writer.flush() } else { Ok(()) }
    }

    /// Has the hub sign the end: that, and not the last seal, proves where the recording ends.
    ///
    /// The footer of the empty session after the last event states the same chain, state and outcome. A hub that does not
    /// answer leaves the recording unsigned, which `rig verify` tells. Says whether it is signed.
    pub async fn sign(&mut self, client: &Client, outcome: Outcome) -> bool {
        let last = self.last_seq();
        let stretch = (Some(last + 1), Some(last));
        let Ok(file) = source::download_as(client, stretch, Some(outcome)).await else { return false };
        let Ok(mut reader) = SessionReader::new(BufReader::new(file)) else { return false };
        let same =
            reader.header().is_some_and(|h| h.epoch == self.header.epoch && h.stream == self.header.stream);
        if reader.by_ref().next().is_none()
            && same
            && let Some(Ending::Finished(footer)) = reader.ending()
            && footer.chain == self.writer.chain().to_string()
        {
            footer.signatures.iter().for_each(|signature| self.writer.sign(signature.clone()));
            return !footer.signatures.is_empty();
        }
        false
    }

    /// Signs the end of a recording of a stream of this process. Returns false if none of the keys can sign, or the state at the end cannot be
    /// read.
    pub async fn sign_with(&mut self, keys: &Keyring, stream: &Stream, outcome: Outcome) -> bool {
        let (upto, chain) = (self.last_seq(), self.writer.chain().to_string());
        let Ok(state) = stream.state_at(upto).await else { return false };
        let Header { stream, epoch, .. } = &self.header;
        let claim =
            Claim { stream, epoch, upto, chain: &chain, state: &state.hash(), point: Point::End(outcome) };
        let signature = keys.sign(&claim);
        let is_signed = signature.is_some();
        signature.into_iter().for_each(|signature| self.writer.sign(signature));
        is_signed
    }

    /// Writes the footer, and sees to it that the file is on the disk.
    ///
    /// # Errors
    /// When the file takes no more.
    pub fn finish(self, outcome: Outcome) -> io::Result<()> {
        let took = now().as_micros().saturating_sub(self.header.started.as_micros());
        let took = Duration::from_micros(u64::try_from(took).unwrap_or(0));
        let file = self.writer.finish(outcome, took)?.finish()?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        // A pipe or a device has no disk that it could be on.
        if is_regular(&file) { file.sync_all() } else { Ok(()) }
    }
}

fn header_of<R: io::BufRead>(reader: &SessionReader<R>) -> Result<Header> {
    match reader.header() {
        Some(header) => Ok(header.clone()),
        None => bail!(
            "what the hub plays is a log of rigd, of which no session file can be made; `rig tail --from 1 --json` prints its lines"
        ),
    }
}

fn open(path: &Path) -> Result<SessionReader<BufReader<File>>> {
    let shown = || format!("cannot read {}", path.display());
    SessionReader::new(BufReader::new(File::open(path).with_context(shown)?)).with_context(shown)
}

/// Opens a file to write to, made if there is none, that no other recorder writes to as long as it is open.
fn locked(path: &Path) -> Result<File> {
    let cannot = || format!("cannot write {}", path.display());
    loop {
        let file =
            File::options().write(true).create(true).truncate(false).open(path).with_context(cannot)?;
        if !cfg!(unix) || !is_regular(&file) {
            // On Windows a lock would keep readers away too.
            return Ok(file);
        }
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => bail!(
                "{} is being written by another rig; end that one, or name another file",
                path.display()
            ),
            // Some file systems have no locks.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        // Another recorder may have put a new file in its place before it gave up the lock.
        if is_at(&file, path) {
            return Ok(file);
        }
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let same = |a: std::fs::Metadata, b: std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    file.metadata().and_then(|it| Ok(same(it, std::fs::metadata(path)?))).unwrap_or(false)
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

fn is_regular(file: &File) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file())
}

/// Where a file is put together before it takes its place.
fn part(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".resuming");
    path.with_file_name(name)
}

fn is_zstd(path: &Path) -> bool {
    path.extension().is_some_and(|ext| ext == "zst")
}

/// The time by this machine's clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
