//! Where a reading command reads from: a session file, standard input, a rigd log, or a hub's stream.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::builder::{TypedValueParser, ValueParserFactory};
use rig_event::session::{Checkpoint, Header, Outcome};
use rig_event::{Envelope, Seq, ServiceName, rigd};
use rig_recorder::Chain;
use rig_recorder::session::{Dialect, Ending, Problem, SessionReader};
use rig_replay::{Service, State};

use crate::client::{Client, without_login};
use crate::output;

/// A `SOURCE` on the command line.
#[derive(Clone, Debug)]
pub enum Source {
    /// `-`
    Stdin,
    /// A file, plain or compressed; whose lines they are is seen when it is read.
    File(PathBuf),
    /// `http://HOST:PORT/STREAM`
    Stream(Box<Client>),
}

impl FromStr for Source {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Source> {
        match text {
            "" => bail!("name a session file, -, or a hub's stream"),
            "-" => Ok(Source::Stdin),
            url if url.contains("://") => Ok(Source::Stream(Box::new(Client::new(url, None)?))),
            path => Ok(Source::File(path.into())),
        }
    }
}

impl ValueParserFactory for Source {
    type Parser = SourceParser;

    fn value_parser() -> SourceParser {
        SourceParser
    }
}

/// Reads a `SOURCE`; what clap says of a wrong one would quote the password in it.
#[derive(Clone, Debug)]
pub struct SourceParser;

impl TypedValueParser for SourceParser {
    type Value = Source;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Source, clap::Error> {
        let Some(text) = value.to_str() else { return Ok(Source::File(value.into())) };
        text.parse().map_err(|error: anyhow::Error| {
            let text = without_login(text);
            let arg = arg.map_or_else(|| "SOURCE".to_owned(), ToString::to_string);
            let why = format!("invalid value '{text}' for '{arg}': {}\n", output::chain(&error));
            clap::Error::raw(clap::error::ErrorKind::ValueValidation, why).with_cmd(command)
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Stdin => f.write_str("standard input"),
            Source::File(path) => path.display().fmt(f),
            Source::Stream(client) => f.write_str(&client.source()),
        }
    }
}

/// A state and the stream it belongs to.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Name of the stream.
    pub stream: String,
    /// The state.
    pub state: State,
    /// Places of a log without a header that had to be passed over: the state lacks what they said.
    pub passed_over: u64,
}

impl Moment {
    /// The service of that name.
    ///
    /// # Errors
    /// When there is none at this moment; says which there are.
    pub fn service(&self, name: &ServiceName) -> Result<&Service> {
        self.state.service(name.as_str()).ok_or_else(|| {
            let known: Vec<String> =
                self.state.services.keys().map(|known| output::plain(known.as_str())).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            anyhow!(
                "there is no service {} at seq {}; there is: {known}",
                output::plain(name.as_str()),
                self.state.seq
            )
        })
    }
}

impl Source {
    /// The hub, for what only a hub can do.
    ///
    /// # Errors
    /// When it is a file.
    pub fn hub(&self, what: &str) -> Result<&Client> {
        match self {
            Source::Stream(client) => Ok(client),
            file => bail!("{what} at a hub, such as http://127.0.0.1:7070/main; {file} is a recording"),
        }
    }

    /// Returns the source itself, or if it is a hub of which no stream is named, each of its streams.
    ///
    /// # Errors
    /// When the hub does not list them.
    pub async fn streams(&self) -> Result<Vec<Source>> {
        match self {
            Source::Stream(client) => {
                let each = client.each_stream().await.with_context(|| format!("no streams of {self}"))?;
                Ok(each.into_iter().map(|client| Source::Stream(Box::new(client))).collect())
            }
            file => Ok(vec![file.clone()]),
        }
    }

    /// The state at a seq, or the last there is. A hub's comes with its hash, which is checked.
    ///
    /// # Errors
    /// When the source cannot be read, is damaged before that seq, or ends before it.
    pub async fn state(&self, at: Option<Seq>) -> Result<Moment> {
        match self {
            Source::Stream(client) => {
                let json = client.state(at).await.with_context(|| format!("no state from {self}"))?;
                let state = State::from_json(&json)?;
                Ok(Moment { stream: client.stream.to_string(), state, passed_over: 0 })
            }
            _ => match at {
                // A seq is found by the index; the end is reached by folding everything, which proves the chain on the way.
                Some(at) => self.moment(at).await,
                None => self.open(None).await?.fold(None),
            },
        }
    }

    /// The state of a recording at a seq.
    async fn moment(&self, at: Seq) -> Result<Moment> {
        let indexed = self.timeline(None).await?;
        let timeline = &indexed.timeline;
        let first = timeline.state(0)?.seq;
        let last = timeline.tip().seq;
        let state = match timeline.state_at(at) {
            Ok(state) => state,
            Err(rig_replay::Error::Missing { .. }) if at < first => {
                bail!("{self} begins with the state at seq {first}; {at} lies before it")
            }
            Err(rig_replay::Error::Missing { .. }) => match indexed.trouble() {
                Some(trouble) if timeline.damage().is_some() => {
                    bail!("there is no state at seq {at}: {trouble}")
                }
                _ => bail!("{self} ends with seq {last}; there is no {at} in it"),
            },
            Err(error) => return Err(anyhow!(error).context(self.to_string())),
        };
        indexed.notes(false)?;
        let (passed_over, _) = timeline.passed_over();
        Ok(Moment { stream: timeline.stream().to_owned(), state, passed_over })
    }

    /// Opens it as a recording, up to `to` at least; a hub's stream is downloaded.
    ///
    /// # Errors
    /// When it cannot be read, or is no recording from its first line on.
    pub async fn open(&self, to: Option<Seq>) -> Result<Recording> {
        let (input, name): (Box<dyn BufRead + Send>, String) = match self {
            Source::Stdin => (Box::new(BufReader::new(std::io::stdin())), "stdin".to_owned()),
            Source::File(path) => {
                let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
                (Box::new(BufReader::with_capacity(1 << 18, file)), stem(path))
            }
            Source::Stream(client) => {
                (Box::new(BufReader::new(download(client, None, to).await?)), client.stream.to_string())
            }
        };
        Recording::new(input, self.to_string(), name)
    }
}

/// `runs/ci-12.jsonl.zst` is called `ci-12`.
pub(crate) fn stem(path: &Path) -> String {
    let name = path.file_name().map_or_else(Default::default, |name| name.to_string_lossy().into_owned());
    name.split('.').find(|part| !part.is_empty()).unwrap_or("file").to_owned()
}

/// A stream's session file in a folder for temporary things, gone when it is closed: it may be larger than memory.
pub(crate) async fn download(client: &Client, from: Option<Seq>, to: Option<Seq>) -> Result<File> {
    download_as(client, (from, to), None).await
}

/// The same, of a recording that ended so.
pub(crate) async fn download_as(
    client: &Client,
    stretch: (Option<Seq>, Option<Seq>),
    outcome: Option<Outcome>,
) -> Result<File> {
    let answer = client.session(stretch, outcome).await;
    let mut answer = answer.with_context(|| format!("nothing from {}", client.source()))?;
    let mut file = tempfile::tempfile().context("no temporary file can be made")?;
    while let Some(chunk) = answer.chunk().await.context("the download broke off")? {
        file.write_all(&chunk).context("the temporary file cannot be written")?;
    }
    file.rewind()?;
    Ok(file)
}

/// An event read back.
#[derive(Clone, Debug)]
pub struct Event {
    /// The line as it stands there.
    pub line: Vec<u8>,
    /// What it says.
    pub envelope: Envelope,
}

/// An open recording, and the state as far as it was folded.
pub struct Recording {
    reader: SessionReader<Box<dyn BufRead + Send>>,
    stream: String,
    /// For messages.
    what: String,
    state: State,
    /// Whether an event was read.
    any: bool,
    /// Lines passed over, and the first of them.
    skipped: u64,
    first_skipped: Option<String>,
}

impl Recording {
    pub(crate) fn new(input: Box<dyn BufRead + Send>, what: String, name: String) -> Result<Recording> {
        let reader = SessionReader::new(input).with_context(|| what.clone())?;
        let state = match reader.checkpoint() {
            Some(checkpoint) => State::from_json(checkpoint.state.get().as_bytes())
                .with_context(|| format!("{what}: the state that the recording begins with"))?,
            None => State::default(),
        };
        let environment = reader.rigd_header().map(|header| header.environment.clone());
        let stream = match (reader.header(), environment.filter(|name| !name.is_empty())) {
            (Some(header), _) => header.stream.to_string(),
            (None, Some(environment)) => environment,
            (None, None) => name,
        };
        Ok(Recording { reader, stream, what, state, any: false, skipped: 0, first_skipped: None })
    }

    /// The header, where there is one.
    pub fn header(&self) -> Option<&Header> {
        self.reader.header()
    }

    /// The state that it begins with, where that is not the empty one.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.reader.checkpoint()
    }

    /// The first of header, checkpoint and footer that is not written as a recording writes it.
    pub fn reworded(&self) -> Option<&'static str> {
        self.reader.reworded()
    }

    /// The hash chain at the last event that was read.
    pub fn chain(&self) -> Option<Chain> {
        self.reader.hash_chain()
    }

    /// The state folded so far.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How the file ended, once everything was read.
    pub fn ending(&self) -> Option<&Ending> {
        self.reader.ending()
    }

    /// The next event that can be read; what cannot is passed over, counted, and told by [`Recording::notes`].
    ///
    /// # Errors
    /// When the file cannot be read on.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator could not tell trouble from the end so plainly"
    )]
    pub fn next(&mut self) -> Result<Option<Event>> {
        loop {
            match self.read() {
                Ok(event) => return Ok(event),
                Err(Fault::Fatal(error)) => return Err(error.context(self.what.clone())),
                Err(Fault::Passed(why)) => {
                    self.skipped += 1;
                    self.first_skipped.get_or_insert(why);
                }
            }
        }
    }

    /// The next event, folded into the state. In a session file nothing is passed over: a state built on a damaged line is
    /// wrong. Logs without a header and those of rigd promise less, and are folded as far as they can be read.
    ///
    /// # Errors
    /// The first damage, with its place.
    pub fn step(&mut self) -> Result<Option<Event>> {
        loop {
            let event = match self.read() {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(None),
                Err(Fault::Passed(why)) if !self.is_session() => {
                    self.skipped += 1;
                    self.first_skipped.get_or_insert(why);
                    continue;
                }
                Err(Fault::Passed(why)) => bail!("{}: {why}", self.what),
                Err(Fault::Fatal(error)) => return Err(error.context(self.what.clone())),
            };
            if !self.is_session() && event.envelope.seq > self.state.seq {
                // The hole was told; what comes after it is folded onto what there is.
                self.state.seq = event.envelope.seq - 1;
            }
            match self.state.apply(&event.envelope) {
                Ok(()) => return Ok(Some(event)),
                Err(error) if self.is_session() => return Err(anyhow!(error).context(self.what.clone())),
                Err(error) => {
                    self.skipped += 1;
                    self.first_skipped.get_or_insert(error.to_string());
                    self.state.seq = event.envelope.seq;
                }
            }
        }
    }

    /// Folds to `to`, or to the end.
    ///
    /// # Errors
    /// As [`Recording::step`], and when the recording does not have that seq.
    pub fn fold(mut self, to: Option<Seq>) -> Result<Moment> {
        if let Some(to) = to.filter(|to| *to < self.state.seq) {
            bail!("{} begins with the state at seq {}; {to} lies before it", self.what, self.state.seq);
        }
        while to.is_none_or(|to| self.state.seq < to) && self.step()?.is_some() {}
        if let Some(to) = to.filter(|to| *to != self.state.seq) {
            bail!("{} ends with seq {}; there is no {to} in it", self.what, self.state.seq);
        }
        self.check()?;
        Ok(Moment { stream: self.stream, state: self.state, passed_over: self.skipped })
    }

    /// Says of a recording that was read to its end what is to be said of it, as [`Recording::notes`].
    ///
    /// # Errors
    /// When it is not what was recorded, or no recording at all.
    pub fn check(&mut self) -> Result<()> {
        if let Some(Ending::Altered { why, .. }) = self.ending() {
            bail!("{} is not what was recorded: {why}", self.what);
        }
        if !self.is_recording() {
            // Seq 0 asks for no event, but there must be one.
            self.next()?;
        }
        self.notes();
        Ok(())
    }

    /// The name of the stream.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// Places of a log without a header that had to be passed over.
    pub fn passed_over(&self) -> u64 {
        self.skipped
    }

    /// Says on standard error what was passed over, and that a file is unfinished.
    pub fn notes(&self) {
        if let Some(first) = &self.first_skipped {
            let lines = output::count(self.skipped, "place");
            output::note(format!("{}: {lines} could not be read as they stand, first: {first}", self.what));
        }
        match self.ending() {
            Some(Ending::Unfinished) => {
                output::note(format!("{} is unfinished: it ends without a footer", self.what));
            }
            Some(Ending::Torn { bytes: 0 }) => {
                output::note(format!("{} is cut: it cannot be decompressed to its end", self.what));
            }
            Some(Ending::Torn { bytes }) => {
                output::note(format!("{} is cut: its last {bytes} bytes are no whole line", self.what));
            }
            Some(Ending::Altered { why, .. }) => {
                output::note(format!("{} is not what was recorded: {why}", self.what));
            }
            _ => {}
        }
    }

    /// Whether anything so far says that it is one: a header, an event, or the cut beginning of one.
    fn is_recording(&self) -> bool {
        self.any || self.is_session() || self.reader.rigd_header().is_some() || self.reader.is_cut_at_start()
    }

    fn is_session(&self) -> bool {
        self.reader.header().is_some()
    }

    fn read(&mut self) -> Result<Option<Event>, Fault> {
        let record = match self.reader.next() {
            None if self.is_recording() => return Ok(None),
            // Any other file would pass for a recording in which nothing happened.
            None => return Err(Fault::Fatal(NoRecording { why: self.first_skipped.clone() }.into())),
            Some(Ok(record)) => record,
            Some(Err(error)) => {
                return Err(match error.problem {
                    Problem::Read(_) => Fault::Fatal(error.into()),
                    _ => Fault::Passed(output::plain(&error.to_string())),
                });
            }
        };
        let parsed = match self.reader.dialect() {
            Some(Dialect::Rigd) => rigd::parse(&record.line),
            _ => Envelope::parse(&record.line),
        };
        match parsed {
            Ok(envelope) => {
                self.any = true;
                Ok(Some(Event { line: record.line, envelope }))
            }
            Err(error) => Err(Fault::Passed(format!("line {}: {error}", record.line_no))),
        }
    }
}

/// Nothing in a file is an event or a header.
#[derive(Debug)]
pub struct NoRecording {
    /// What the first line is not.
    why: Option<String>,
}

impl NoRecording {
    /// With what the first line is not.
    pub(crate) fn new(why: Option<String>) -> NoRecording {
        NoRecording { why }
    }
}

impl fmt::Display for NoRecording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no recording, there is neither a header nor an event in it")?;
        match &self.why {
            Some(why) => write!(f, ": {why}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for NoRecording {}

/// Why the next event is not there.
enum Fault {
    /// A line that is no event as it should be; the next may be.
    Passed(String),
    /// There is no reading on.
    Fatal(anyhow::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_told_by_its_looks() {
        assert!(matches!("-".parse(), Ok(Source::Stdin)));
        assert!(matches!("http://127.0.0.1:7070/main".parse(), Ok(Source::Stream(_))));
        assert!(matches!("a:b.jsonl".parse(), Ok(Source::File(_))));
        assert!("ftp://example.org/main".parse::<Source>().is_err());
        assert!("".parse::<Source>().is_err());
        assert_eq!(stem(Path::new("runs/ci-12.jsonl.zst")), "ci-12");
        assert_eq!(stem(Path::new(".env")), "env");
    }

    fn recording(text: &str) -> Recording {
        Recording::new(Box::new(std::io::Cursor::new(text.to_owned())), "test".into(), "test".into()).unwrap()
    }

    const BARE: &str = concat!(
        r#"{"seq":1,"ts":"2026-11-20T10:30:05Z","type":"service.ready","service":"a"}"#,
        "\n{broken\n",
        r#"{"seq":3,"ts":"2026-11-20T10:30:06Z","type":"service.failed","service":"a"}"#,
        "\n",
    );

    #[test]
    fn a_log_without_a_header_is_folded_as_far_as_it_can_be_read() {
        let at = recording(BARE).fold(None).unwrap();
        assert_eq!(at.state.seq, 3);
        assert_eq!(at.state.service("a").unwrap().status.as_deref(), Some("failed"));
        assert!(recording(BARE).fold(Some(4)).unwrap_err().to_string().contains("ends with seq 3"));
    }

    #[test]
    fn what_has_no_event_and_no_header_is_no_recording() {
        for text in ["", "hello\n", "# README\n\n{}\n", "{\"seq\":1}\n", "\u{0}\u{1}"] {
            for to in [None, Some(0), Some(1)] {
                let error = recording(text).fold(to).unwrap_err();
                assert!(error.is::<NoRecording>() || to == Some(1), "{text:?} {to:?}: {error:#}");
            }
            assert!(recording(text).next().unwrap_err().is::<NoRecording>(), "{text:?}");
        }
        assert_eq!(recording(BARE).fold(Some(0)).unwrap().state.seq, 0);
        assert_eq!(recording(BARE).fold(None).unwrap().passed_over, 2);
    }

    #[test]
    fn what_is_passed_over_is_counted() {
        let mut recording = recording(BARE);
        let mut seqs = Vec::new();
        while let Some(event) = recording.next().unwrap() {
            seqs.push(event.envelope.seq);
        }
        assert_eq!(seqs, [1, 3]);
        assert!(recording.skipped >= 1);
        assert!(recording.first_skipped.unwrap().starts_with("line 2"));
    }
}
