//! A `SOURCE` for somebody who watches: what is there is shown at once, and the rest comes as it is read, scanned on other
//! threads.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rig_event::{Epoch, Head, Seq, rigd, session};
use rig_replay::timeline::{Bytes, Chunk, Timeline, stretch};
use rig_tui::News;

use crate::client::Client;
use crate::follow::{self, Follow, Wanted};
use crate::output;
use crate::source::{Source, stem};
use crate::timeline::{Chunks, FileBytes, Spool, unpacked};

/// News that wait for the player.
const AHEAD: usize = 16;

/// How often it is looked whether a file has grown.
const LOOK: Duration = Duration::from_millis(100);

/// How long events of a live stream are gathered before they are shown, and how many bytes of them at most.
const GATHER: Duration = Duration::from_millis(5);
const MOST: usize = 1 << 20;

/// A source that is being read.
#[derive(Debug)]
pub struct Feed {
    /// The timeline, still empty.
    pub timeline: Timeline,
    /// What is new of it. When nothing more will come, its sender is gone.
    pub news: Receiver<News>,
    /// How many bytes there are, where that is known.
    pub total: Option<u64>,
    /// Whether it grows as things happen.
    pub live: bool,
    /// Whether to begin at its tip: what comes through a pipe may be a whole recording.
    pub follow: bool,
}

/// Opens a source and begins to read it.
///
/// # Errors
/// When it cannot be opened.
pub fn open(source: &Source) -> Result<Feed> {
    match source {
        Source::Stdin => reading(Box::new(io::stdin()), "stdin", true),
        Source::File(path) => {
            let context = || format!("cannot open {}", path.display());
            let file = File::open(path).with_context(context)?;
            let meta = file.metadata().with_context(context)?;
            if meta.is_dir() {
                bail!("{} is a folder", path.display());
            }
            let name = stem(path);
            if !meta.is_file() {
                return reading(Box::new(file), &name, true);
            }
            let bytes = FileBytes::new(file.try_clone().with_context(context)?);
            if bytes.is_zstd().with_context(context)? {
                reading(Box::new(file), &name, false)
            } else {
                in_place(Arc::new(bytes), &name)
            }
        }
        Source::Stream(client) => following(client),
    }
}

/// A file that is read where it lies, and goes on if it grows.
fn in_place(bytes: Arc<dyn Bytes>, name: &str) -> Result<Feed> {
    let len = bytes.len()?;
    let timeline = Timeline::new(bytes.clone(), name);
    let (sender, news) = mpsc::sync_channel(AHEAD);
    thread::spawn(move || {
        if let Err(error) = grow(bytes, len, &sender) {
            let _ = sender.send(News::Broken(output::chain(&error)));
        }
    });
    Ok(Feed { timeline, news, total: Some(len), live: false, follow: false })
}

/// Reads the first `len` bytes of a file on all threads, and then what is written behind them, until there is a footer.
fn grow(bytes: Arc<dyn Bytes>, len: u64, sender: &SyncSender<News>) -> Result<()> {
    let mut growing = Scanned::new(bytes.clone());
    for chunk in Chunks::new(bytes.clone(), len, false) {
        if !growing.give(chunk?, sender) {
            return Ok(());
        }
    }
    let mut told = None;
    loop {
        let len = bytes.len()?;
        if len < growing.end {
            bail!("the recording became shorter");
        }
        if !growing.scan(len, false, sender)? {
            return Ok(());
        }
        if told != Some(len) {
            // Without its line end the last line is one all the same, if it can be read. Where there is no other, nothing is to
            // come.
            let last = stretch(bytes.as_ref(), growing.end, len, true)?;
            let last = last.map(|last| last.scan(bytes.as_ref(), &mut growing.buffer)).transpose()?;
            let is_first = growing.end == 0;
            if let Some(last) = last.filter(|last| is_first || last.is_footed() || !last.is_empty())
                && !growing.give(last, sender)
            {
                return Ok(());
            }
            if is_first || (growing.footed && growing.end == len) {
                return Ok(());
            }
            if sender.send(News::Waiting(len - growing.end)).is_err() {
                return Ok(());
            }
            told = Some(len);
        }
        thread::sleep(LOOK);
    }
}

/// What can be read only once goes to a temporary file on its way.
fn reading(input: Box<dyn Read + Send>, name: &str, live: bool) -> Result<Feed> {
    let growing = Growing::new()?;
    let timeline = Timeline::new(growing.spool.bytes(), name);
    let (sender, news) = mpsc::sync_channel(AHEAD);
    thread::spawn(move || {
        let mut growing = growing;
        let read = unpacked(input).and_then(|(mut input, _)| {
            let mut buffer = vec![0; 1 << 18];
            loop {
                match input.read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(len) => {
                        if !growing.append(&buffer[..len], false, &sender)? {
                            return Ok(());
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error.into()),
                }
            }
        });
        let rest = growing.append(&[], true, &sender);
        if let Err(error) = read.and(rest) {
            let _ = sender.send(News::Broken(output::chain(&error)));
        }
    });
    Ok(Feed { timeline, news, total: None, live, follow: false })
}

/// A hub's stream: what is there as a session file, which begins with a state, and then what happens.
fn following(client: &Client) -> Result<Feed> {
    let growing = Growing::new()?;
    let timeline = Timeline::new(growing.spool.bytes(), client.stream.as_str());
    let (sender, news) = mpsc::sync_channel(AHEAD);
    let client = client.clone();
    let runtime = tokio::runtime::Handle::current();
    // A thread of its own, because it waits for the player to take what it sends.
    thread::spawn(move || {
        if let Err(error) = runtime.block_on(follow_into(&client, growing, &sender)) {
            let _ = sender.send(News::Broken(output::chain(&error)));
        }
    });
    Ok(Feed { timeline, news, total: None, live: true, follow: true })
}

async fn follow_into(client: &Client, mut growing: Growing, sender: &SyncSender<News>) -> Result<()> {
    let (epoch, seq) = history(client, &mut growing, sender).await?;
    // A log of rigd need not be whole.
    let may_lack = epoch.is_none();
    let mut follow = match (epoch, seq) {
        (Some(epoch), seq) => Follow::resume(client.clone(), Wanted::default(), &epoch, seq).await?,
        (None, seq) => {
            let wanted = Wanted { from: Some(seq + 1), ..Wanted::default() };
            Follow::connect(client.clone(), wanted).await?
        }
    };
    let mut lines = Vec::new();
    loop {
        let news = if lines.is_empty() {
            follow.next().await?
        } else {
            match tokio::time::timeout(GATHER, follow.next()).await {
                Ok(news) => news?,
                Err(_) => {
                    if !growing.append(&std::mem::take(&mut lines), false, sender)? {
                        return Ok(());
                    }
                    continue;
                }
            }
        };
        if let Some(follow::News::Event(line)) = &news {
            lines.extend_from_slice(line.as_bytes());
            lines.push(b'\n');
            if lines.len() < MOST {
                continue;
            }
        }
        if !growing.append(&std::mem::take(&mut lines), false, sender)? {
            return Ok(());
        }
        let said = match &news {
            None => return Ok(()),
            Some(follow::News::Event(_) | follow::News::Heartbeat { .. }) => continue,
            Some(follow::News::CaughtUp { .. }) => News::CaughtUp,
            Some(gap @ follow::News::Gap { .. }) if may_lack => News::Note(gap.to_string()),
            Some(other @ (follow::News::Gap { .. } | follow::News::Reset { .. })) => {
                bail!("{other}; open it again")
            }
            Some(other) => News::Note(other.to_string()),
        };
        if sender.send(said).is_err() {
            return Ok(());
        }
        if let Some(other) = &news {
            Follow::wait(other).await;
        }
    }
}

/// Takes the stream as it is now, without its footer; says its epoch, which a log of rigd does not tell, and where it ends.
async fn history(
    client: &Client,
    growing: &mut Growing,
    sender: &SyncSender<News>,
) -> Result<(Option<Epoch>, Seq)> {
    let seq_of = |line: &[u8]| match Head::parse(line) {
        Ok(head) => Some(head.seq),
        Err(_) => rigd::parse(line).ok().map(|envelope| envelope.seq),
    };
    let mut answer = client.session((None, None), None).await?;
    let mut rest: Vec<u8> = Vec::new();
    let mut epoch = None;
    let mut last = 0;
    while let Some(chunk) = answer.chunk().await.context("the download broke off")? {
        rest.extend_from_slice(&chunk);
        let Some(end) = memchr::memrchr(b'\n', &rest) else { continue };
        let mut lines: Vec<u8> = rest.drain(..=end).collect();
        let before = lines.get(..end).and_then(|lines| memchr::memrchr(b'\n', lines)).map_or(0, |at| at + 1);
        let line = lines.get(before..end).unwrap_or_default();
        if epoch.is_none() {
            let first = lines.split(|b| *b == b'\n').next().unwrap_or_default();
            let header: Option<session::Header> = serde_json::from_slice(first).ok();
            epoch = header.map(|header| {
                last = header.first_seq.saturating_sub(1);
                header.epoch
            });
        }
        match seq_of(line) {
            Some(seq) => last = seq,
            None if line.starts_with(br#"{"type":"session.footer""#) => {
                let events = lines.get(..before.saturating_sub(1)).unwrap_or_default();
                let line = memchr::memrchr(b'\n', events).map_or(events, |at| &events[at + 1..]);
                last = seq_of(line).unwrap_or(last);
                lines.truncate(before);
            }
            None => {}
        }
        if !growing.append(&lines, false, sender)? {
            break;
        }
    }
    Ok((epoch, last))
}

/// A spool and how far it was scanned.
struct Growing {
    spool: Spool,
    scanned: Scanned,
}

impl Growing {
    fn new() -> Result<Growing> {
        let spool = Spool::new()?;
        Ok(Growing { scanned: Scanned::new(spool.bytes()), spool })
    }

    /// Puts bytes in and gives the player what whole lines there are; says whether anybody wants more.
    fn append(&mut self, bytes: &[u8], last: bool, sender: &SyncSender<News>) -> Result<bool> {
        self.spool.append(bytes)?;
        self.scanned.scan(self.spool.len(), last, sender)
    }
}

/// How far some bytes were scanned.
struct Scanned {
    bytes: Arc<dyn Bytes>,
    end: u64,
    /// Whether a footer stands there.
    footed: bool,
    buffer: Vec<u8>,
}

impl Scanned {
    fn new(bytes: Arc<dyn Bytes>) -> Scanned {
        Scanned { bytes, end: 0, footed: false, buffer: Vec::new() }
    }

    /// Gives the player the whole lines of the first `len` bytes that it has not yet; says whether anybody wants more.
    fn scan(&mut self, len: u64, last: bool, sender: &SyncSender<News>) -> Result<bool> {
        while let Some(next) = stretch(self.bytes.as_ref(), self.end, len, last)? {
            let chunk = next.scan(self.bytes.as_ref(), &mut self.buffer)?;
            if !self.give(chunk, sender) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn give(&mut self, chunk: Chunk, sender: &SyncSender<News>) -> bool {
        self.end = chunk.end();
        self.footed = chunk.is_footed();
        sender.send(News::Chunk(Box::new(chunk))).is_ok()
    }
}
