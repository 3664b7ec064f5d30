//! A `SOURCE` as a [`Timeline`]: files read in place, everything else kept in an unlinked temporary file, and as many
//! threads as there are processors to index it.
//!
//! [`Source::timeline`] indexes to the end. A player, which shows the beginning in the meantime, hands the chunks of
//! [`Chunks`] in as they come.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, bail};
use rig_event::Seq;
use rig_recorder::session::{ZSTD_START, is_zstd};
use rig_replay::timeline::{Bytes, Chunk, Damage, Ending, STRETCH, Timeline, stretch};

use crate::Answer;
use crate::client::Client;
use crate::output;
use crate::source::{NoRecording, Source, stem};

/// The longest recording that is decompressed or copied, in bytes: a small compressed file can claim to be any size.
const MOST: u64 = 64 << 30;

/// After how many events of a stream that is loaded it is told how many there are.
const TOLD: usize = 100_000;

/// Chunks that wait for whoever takes them.
const AHEAD: usize = 8;

/// A file that is read in place.
#[derive(Debug)]
pub struct FileBytes(File);

impl FileBytes {
    /// Reads `file` wherever it is asked to; where it stands does not matter.
    pub fn new(file: File) -> FileBytes {
        FileBytes(file)
    }

    /// Whether it is compressed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_zstd(&self) -> io::Result<bool> {
        let mut start = [0; ZSTD_START];
        let len = self.read_at(&mut start, 0)?;
        Ok(is_zstd(&start[..len]))
    }
}

impl Bytes for FileBytes {
    #[cfg(unix)]
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.0, buf, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(&self.0, buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

/// Bytes that come one after the other, kept in an unlinked temporary file: a live stream for a timeline.
#[derive(Debug)]
pub struct Spool {
    file: File,
    bytes: Arc<FileBytes>,
    len: u64,
}

impl Spool {
    /// An empty one.
    ///
    /// # Errors
    /// When no temporary file can be made.
    pub fn new() -> Result<Spool> {
        let file = tempfile::tempfile().context("no temporary file can be made")?;
        let bytes = Arc::new(FileBytes(file.try_clone().context("the temporary file cannot be read")?));
        Ok(Spool { file, bytes, len: 0 })
    }

    /// Puts bytes behind those that are there.
    ///
    /// # Errors
    /// When the disk is full, or the recording longer than any may be.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.len += bytes.len() as u64;
        if self.len > MOST {
            bail!("the recording is longer than {} GiB", MOST >> 30);
        }
        self.file.write_all(bytes).context("the temporary file cannot be written")
    }

    /// What a timeline reads.
    pub fn bytes(&self) -> Arc<dyn Bytes> {
        self.bytes.clone()
    }

    /// How many bytes there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Everything that can be read from `input`; where it is cut or broken, what came before, and why there is no more.
    fn fill(&mut self, mut input: impl Read) -> Result<Option<io::Error>> {
        let mut buffer = vec![0; 1 << 18];
        loop {
            match input.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(len) => self.append(&buffer[..len])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Ok(Some(error)),
            }
        }
    }
}

/// The bytes of a recording, decompressed.
struct Opened {
    bytes: Arc<dyn Bytes>,
    len: u64,
    /// Name of the stream, where the recording names none.
    name: String,
    /// Why there are no more, where they could not be read to their end.
    broken: Option<String>,
}

/// A `SOURCE` with its index.
#[derive(Debug)]
pub struct Indexed {
    /// The index.
    pub timeline: Timeline,
    /// For messages.
    pub what: String,
    /// Why there is no more, where it could not be read to its end.
    pub broken: Option<String>,
}

impl Source {
    /// Indexes it to its end. Compressed files are decompressed, standard input and a hub's stream copied, to a temporary file.
    ///
    /// # Errors
    /// When it cannot be read, or nothing in it is an event or a header.
    pub async fn timeline(&self, to: Option<Seq>) -> Result<Indexed> {
        let what = self.to_string();
        let (timeline, broken) = match self {
            Source::Stdin => Opened::unpacked(io::stdin(), "stdin".to_owned()).and_then(index),
            Source::File(path) => index(Opened::file(path)?),
            Source::Stream(client) => Ok((indexed_as_it_comes(client, to).await?, None)),
        }
        .with_context(|| what.clone())?;
        // Of a compressed file that was cut early there may be nothing at all.
        let is_cut_short = broken.is_some() && timeline.indexed() == 0;
        if !(timeline.is_recording() || is_cut_short) {
            if let Some(why) = broken {
                bail!("{what}: {why}");
            }
            let first = timeline.damage().or(timeline.passed_over().1).map(ToString::to_string);
            let why = foreign(timeline.bytes().as_ref()).map(str::to_owned).or(first);
            return Err(anyhow::Error::from(NoRecording::new(why)).context(what));
        }
        if timeline.is_empty()
            && let Some(damage) = timeline.damage()
        {
            bail!("{what} cannot be read: {}", output::plain(&damage.to_string()));
        }
        Ok(Indexed { timeline, what, broken })
    }
}

/// Reads several recordings at once, as many as there are processors, and gives what came of each, in their order.
pub fn each<T: Sync, R: Send>(sources: &[T], read: impl AsyncFn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(sources.len()));
    let threads = thread::available_parallelism().map_or(1, usize::from).clamp(1, 8).min(sources.len());
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(source) = sources.get(at) else { return };
                        let result = runtime.block_on(read(source));
                        results.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
                    }
                });
            }
        });
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Tells what a file is by its first bytes, if it is something that a recording is often packed into.
fn foreign(bytes: &dyn Bytes) -> Option<&'static str> {
    let mut start = [0; 4];
    let len = bytes.read_at(&mut start, 0).ok()?;
    match start.get(..len)? {
        [b'P', b'K', 3 | 5, 4 | 6] => Some("it is a zip archive; unpack it first"),
        [0x1f, 0x8b, ..] => Some("it is compressed with gzip; unpack it with gunzip first"),
        _ => None,
    }
}

/// Indexes what is all there, on all threads.
fn index(Opened { bytes, len, name, broken }: Opened) -> Result<(Timeline, Option<String>)> {
    let mut timeline = Timeline::new(bytes.clone(), &name);
    let mut chunks = Chunks::new(bytes, len, true);
    while let Some(chunk) = chunks.next().transpose()? {
        timeline.extend(chunk);
    }
    timeline.finish();
    Ok((timeline, broken))
}

/// A hub's stream up to `to`, indexed while it is downloaded; how far it is, is told on standard error.
async fn indexed_as_it_comes(client: &Client, to: Option<Seq>) -> Result<Timeline> {
    let answer = client.session((None, to), None).await;
    let mut answer = answer.with_context(|| format!("nothing from {}", client.source()))?;
    let mut spool = Spool::new()?;
    let mut timeline = Timeline::new(spool.bytes(), client.stream.as_str());
    let mut told = 0;
    while let Some(chunk) = answer.chunk().await.context("the download broke off")? {
        spool.append(&chunk)?;
        if spool.len() - timeline.indexed() >= STRETCH {
            timeline.index(spool.len(), false)?;
        }
        if timeline.len() / TOLD > told {
            told = timeline.len() / TOLD;
            output::note(format!(
                "{}: {} so far",
                client.source(),
                output::count(timeline.len() as u64, "event")
            ));
        }
    }
    timeline.index(spool.len(), true)?;
    Ok(timeline)
}

impl Opened {
    fn file(path: &Path) -> Result<Opened> {
        let context = || format!("cannot open {}", path.display());
        let bytes = FileBytes(File::open(path).with_context(context)?);
        let meta = bytes.0.metadata().with_context(context)?;
        if meta.is_dir() {
            bail!("{} is a folder", path.display());
        }
        if !meta.is_file() || bytes.is_zstd().with_context(context)? {
            return Opened::unpacked(bytes.0, stem(path)).with_context(|| path.display().to_string());
        }
        let len = bytes.size().with_context(context)?;
        Ok(Opened { bytes: Arc::new(bytes), len, name: stem(path), broken: None })
    }

    fn unpacked(input: impl Read + Send, name: String) -> Result<Opened> {
        let (spool, broken) = decompressed(input)?;
        Ok(Opened { len: spool.len(), bytes: spool.bytes(), name, broken })
    }
}

/// What `input` holds, decompressed if its first bytes say that it is compressed.
fn decompressed(input: impl Read + Send) -> Result<(Spool, Option<String>)> {
    let mut spool = Spool::new()?;
    let (input, reading) = unpacked(input)?;
    let broken = spool.fill(input)?;
    let why = broken.as_ref().map(|why| format!("it cannot be {reading} to its end: {why}"));
    match (why, broken) {
        // Of what was only cut, the beginning is there, be it empty.
        (Some(why), Some(error)) if spool.is_empty() && error.kind() != io::ErrorKind::UnexpectedEof => {
            bail!(why)
        }
        (why, _) => Ok((spool, why)),
    }
}

/// `input` decompressed, if its first bytes say that it is compressed; and what it is then that is being read.
pub(crate) fn unpacked<'a>(
    mut input: impl Read + Send + 'a,
) -> Result<(Box<dyn Read + Send + 'a>, &'static str)> {
    let mut start = Vec::new();
    input.by_ref().take(ZSTD_START as u64).read_to_end(&mut start).context("it cannot be read")?;
    let compressed = is_zstd(&start);
    let whole = io::Cursor::new(start).chain(input);
    if !compressed {
        return Ok((Box::new(whole), "read"));
    }
    let decoder = zstd::stream::read::Decoder::new(whole).context("it cannot be decompressed")?;
    Ok((Box::new(decoder), "decompressed"))
}

/// The chunks of some bytes in their order, scanned by other threads. Dropping it stops them.
#[derive(Debug)]
pub struct Chunks {
    results: Receiver<Receiver<rig_replay::Result<Chunk>>>,
    /// The next chunk, while it is being scanned.
    waiting: Option<Receiver<rig_replay::Result<Chunk>>>,
}

/// What the threads share: who comes next takes the next stretch.
struct Work {
    from: u64,
    results: SyncSender<Receiver<rig_replay::Result<Chunk>>>,
}

impl Chunks {
    /// Begins to scan the first `len` bytes; with `last`, nothing comes after them, else the whole lines of them.
    pub fn new(bytes: Arc<dyn Bytes>, len: u64, last: bool) -> Chunks {
        let (sender, results) = mpsc::sync_channel(AHEAD);
        let work = Arc::new(Mutex::new(Work { from: 0, results: sender }));
        let threads = thread::available_parallelism().map_or(1, usize::from).clamp(1, 8);
        for _ in 0..threads {
            let (bytes, work) = (bytes.clone(), work.clone());
            thread::spawn(move || scan(bytes.as_ref(), len, last, &work));
        }
        Chunks { results, waiting: None }
    }

    /// The next chunk if it is there already; `Err(false)`: not yet; `Err(true)`: there is none any more.
    pub fn try_next(&mut self) -> Result<rig_replay::Result<Chunk>, bool> {
        if self.waiting.is_none() {
            match self.results.try_recv() {
                Ok(next) => self.waiting = Some(next),
                Err(TryRecvError::Empty) => return Err(false),
                Err(TryRecvError::Disconnected) => return Err(true),
            }
        }
        let Some(waiting) = &self.waiting else { return Err(true) };
        let got = waiting.try_recv();
        if !matches!(got, Err(TryRecvError::Empty)) {
            self.waiting = None;
        }
        got.map_err(|error| error == TryRecvError::Disconnected)
    }
}

impl Iterator for Chunks {
    type Item = rig_replay::Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        let waiting = self.waiting.take().or_else(|| self.results.recv().ok())?;
        waiting.recv().ok()
    }
}

fn scan(bytes: &dyn Bytes, len: u64, last: bool, work: &Mutex<Work>) {
    let mut buffer = Vec::new();
    loop {
        let (sender, receiver) = mpsc::sync_channel(1);
        let next = {
            // A thread that panicked leaves nothing half done here.
            let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
            let next = stretch(bytes, work.from, len, last);
            work.from = match &next {
                Ok(Some(next)) => next.end,
                Ok(None) => return,
                Err(_) => len,
            };
            // It waits here when nobody takes the chunks, and ends when nobody will.
            if work.results.send(receiver).is_err() {
                return;
            }
            next
        };
        let chunk = match next {
            Ok(Some(next)) => next.scan(bytes, &mut buffer),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        if sender.send(chunk).is_err() {
            return;
        }
    }
}

impl Indexed {
    /// What is wrong with the recording, if anything is: it is readable only in part.
    pub fn trouble(&self) -> Option<String> {
        let (passed, first) = self.timeline.passed_over();
        let place = |damage: &Damage| output::plain(&damage.to_string());
        if let Some(damage) = self.timeline.damage() {
            return Some(format!(
                "{} is damaged and readable only up to there: {}",
                self.what,
                place(damage)
            ));
        }
        if let Some(why) = &self.broken {
            return Some(format!("{}: {}", self.what, output::plain(why)));
        }
        if let Some(first) = first {
            let places = output::count(passed, "place");
            return Some(format!(
                "{}: {places} could not be read as they stand, first: {}",
                self.what,
                place(first)
            ));
        }
        match self.timeline.ending() {
            Ending::Torn(bytes) => {
                Some(format!("{} is cut: its last {bytes} bytes are no whole line", self.what))
            }
            _ => None,
        }
    }

    /// Why a recording in which nothing failed need not have gone well: it was not read to the end of what happened.
    pub fn doubt(&self) -> Option<String> {
        self.trouble().or_else(|| {
            let unfinished = self.timeline.ending() == Ending::Unfinished;
            unfinished.then(|| format!("{} is unfinished: it ends without a footer", self.what))
        })
    }

    /// The answer of a command that looked for failures. Says on standard error what could not be read.
    ///
    /// # Errors
    /// If it found none, and one may be in what could not be read.
    pub fn judged(&self, failed: bool) -> Result<Answer> {
        match self.doubt() {
            Some(doubt) if !failed => bail!("{doubt}; what is missing may have failed"),
            _ => self.notes(false)?,
        }
        Ok(if failed { Answer::Difference } else { Answer::Fine })
    }

    /// Says on standard error what could not be read. With `strict` that is an error.
    ///
    /// # Errors
    /// With `strict`, when something could not be read.
    pub fn notes(&self, strict: bool) -> Result<()> {
        match self.trouble() {
            Some(trouble) if strict => bail!(trouble),
            Some(trouble) => output::note(trouble),
            None => {}
        }
        if self.timeline.ending() == Ending::Unfinished {
            output::note(format!("{} is unfinished: it ends without a footer", self.what));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(events: u64) -> Vec<u8> {
        let line = |seq| {
            format!(
                "{{\"seq\":{seq},\"ts\":\"2026-11-20T10:30:05Z\",\"type\":\"service.log\",\"data\":\"{seq}\"}}\n"
            )
        };
        (1..=events).map(line).collect::<String>().into_bytes()
    }

    #[test]
    fn threads_give_the_chunks_in_their_order() {
        let bytes: Arc<dyn Bytes> = Arc::new(lines(150_000));
        let len = bytes.len().unwrap();
        let mut timeline = Timeline::new(bytes.clone(), "x");
        for chunk in Chunks::new(bytes, len, true) {
            timeline.extend(chunk.unwrap());
        }
        timeline.finish();
        assert_eq!((timeline.len(), timeline.seq(149_999), timeline.passed_over().0), (150_000, 150_000, 0));
    }

    #[test]
    fn a_cut_compressed_file_is_what_can_be_had_of_it() {
        let packed = zstd::encode_all(&lines(1000)[..], 3).unwrap();
        let (spool, broken) = decompressed(&packed[..packed.len() - 7]).unwrap();
        assert!(broken.is_some());
        let (whole, fine) = decompressed(&packed[..]).unwrap();
        assert!(fine.is_none() && whole.len() >= spool.len());
        assert_eq!(whole.len(), lines(1000).len() as u64);
    }
}
