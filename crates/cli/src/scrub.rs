//! Secrets taken out of a recording after it was made, and a copy that says so.
//!
//! The recording is read twice: once to see what there is, once to write. Without findings the copy is the bytes of the
//! original. With findings the lines that held a secret change, and so does everything that was computed over them, not only
//! because it would no longer fit: a hash over a short secret lets it be guessed. From the first change on, seals state the
//! copy's own chain and state and lose their signatures; plain digests of configs become keyed ones; the footer is made anew.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek as _, Write};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use rig_config::Redactor;
use rig_event::session::{Footer, Header, Line, Scrubbed};
use rig_event::{Envelope, Event, Head, Seq, rewrite};
use rig_recorder::Chain;
use rig_recorder::session::{Found as Read, LineReader, Output};
use rig_replay::State;
use serde::Serialize;
use serde_json::Value;

/// The longest line that is read: as for every reader of recordings.
const MAX_LINE: usize = 64 << 20;

/// A secret that was found: where, and what it was found by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The event's seq; absent for a line that is no event.
    pub seq: Option<Seq>,
    /// The number of the line, from 1.
    pub line: u64,
    /// The path of the field.
    pub path: String,
    /// A word for it, such as `github-token`.
    pub kind: String,
}

/// What was found and what became of the copy.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Lines that were read.
    pub lines: u64,
    /// Lines in which a secret was.
    pub changed: u64,
    /// The secrets, by line.
    pub found: Vec<Finding>,
    /// What else is to be said of the copy.
    pub notes: Vec<String>,
}

/// Looks through a recording and, where a path is given, writes the copy.
///
/// # Errors
/// When it cannot be read, has a line longer than 64 MiB (which would go unread), or the copy cannot be written.
pub fn scrub(mut input: File, out: Option<&Path>, redactor: &Redactor) -> Result<Report> {
    let mut report = Report::default();
    let mut plan = Plan::default();
    let mut compressed = false;
    each_line(&mut input, &mut compressed, |number, text, _| {
        report.lines = number;
        let seen = look(redactor, text, number);
        plan.see(text, &seen);
        report.changed += u64::from(seen.rewritten.is_some());
        report.found.extend(seen.found);
        Ok(())
    })?;
    plan.settle();
    let Some(path) = out else { return Ok(report) };
    if report.found.is_empty() {
        copy(&mut input, compressed, path)?;
        return Ok(report);
    }
    // The copy takes its name when it is whole: half of one would look like a clean recording that was cut.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot = || format!("cannot write {}", path.display());
    let part = tempfile::NamedTempFile::new_in(folder).with_context(cannot)?;
    let file = BufWriter::with_capacity(1 << 16, part.reopen().with_context(cannot)?);
    let out = if is_zstd(path) { Output::zstd(file).with_context(cannot)? } else { Output::Plain(file) };
    let mut copy = Copy::new(out, plan, redactor);
    each_line(&mut input, &mut compressed, |number, text, whole| copy.line(number, text, whole))?;
    let Copy { out, notes, .. } = copy;
    report.notes.extend(notes);
    out.finish().and_then(|mut file| file.flush()).with_context(cannot)?;
    part.as_file().sync_all().with_context(cannot)?;
    part.persist(path).with_context(cannot)?;
    Ok(report)
}

/// Reads all lines from the beginning on.
fn each_line(
    input: &mut File,
    compressed: &mut bool,
    mut take: impl FnMut(u64, &[u8], bool) -> Result<()>,
) -> Result<()> {
    input.rewind()?;
    let mut lines = LineReader::new(BufReader::with_capacity(1 << 18, &*input))?;
    *compressed = lines.is_compressed();
    loop {
        match lines.next(MAX_LINE).context("cannot read on")? {
            Read::End => return Ok(()),
            Read::Line { text, whole } => take(lines.line_no, &text, whole)?,
            Read::TooLong { .. } => {
                bail!(
                    "line {} is longer than {} MiB; it cannot be looked through",
                    lines.line_no,
                    MAX_LINE >> 20
                )
            }
        }
    }
}

/// The bytes of the original, or its text where only one of the two is compressed.
fn copy(input: &mut File, compressed: bool, path: &Path) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let mut file = File::create(path).with_context(cannot)?;
    if compressed == is_zstd(path) {
        input.rewind()?;
        io::copy(input, &mut file).with_context(cannot)?;
    } else {
        let to = BufWriter::with_capacity(1 << 16, &file);
        let mut out = if is_zstd(path) { Output::zstd(to).with_context(cannot)? } else { Output::Plain(to) };
        each_line(input, &mut false, |_, text, whole| {
            out.write_all(text)?;
            if whole {
                out.write_all(b"\n")?;
            }
            Ok(())
        })?;
        out.finish().and_then(|mut file| file.flush()).with_context(cannot)?;
    }
    file.sync_all().with_context(cannot)
}

fn is_zstd(path: &Path) -> bool {
    path.extension().is_some_and(|ext| ext == "zst")
}

/// What a line holds.
struct Seen {
    found: Vec<Finding>,
    /// The line without its secrets, where it had any.
    rewritten: Option<Vec<u8>>,
}

/// Looks through one line. What is no JSON is looked through as text.
fn look(redactor: &Redactor, text: &[u8], line: u64) -> Seen {
    let event = place(text);
    let seq = event.as_ref().map(|(seq, _)| *seq);
    // What proves a recording looks random, and is no secret.
    let proves = match &event {
        Some((_, kind)) => kind == "log.sealed",
        None => Line::parse(text).is_some_and(|line| line.is_ok()),
    };
    let mut secrets = Vec::new();
    let rewritten = rewrite(text, |name, value| {
        if proves && matches!(name.as_str(), "chain" | "hash" | "signatures" | "epoch") {
            return false;
        }
        let signs = event.as_ref().is_some_and(|(_, kind)| kind == "baseline.approved");
        if signs && name == "signature" && value.as_str().is_some_and(rig_config::redact::is_mac) {
            return false;
        }
        let before = secrets.len();
        let mut found = redactor.redact_event(name, value);
        secrets.append(&mut found);
        secrets.len() > before
    });
    let rewritten = match rewritten {
        Ok(rewritten) => rewritten,
        Err(_) => {
            secrets.clear();
            let plain = String::from_utf8_lossy(text);
            let (redacted, found) = redactor.redact_text(&plain);
            let secret =
                rig_config::redact::Secret { path: "the line, which is no event".to_owned(), kind: "text" };
            secrets.extend(std::iter::repeat_n(secret, found));
            (found > 0).then(|| redacted.into_bytes())
        }
    };
    let finding = |secret: rig_config::redact::Secret| Finding {
        seq,
        line,
        path: secret.path,
        kind: secret.kind.to_owned(),
    };
    Seen { found: secrets.into_iter().map(finding).collect(), rewritten }
}

/// Seq and type of an event, of rig or of rigd.
fn place(text: &[u8]) -> Option<(Seq, String)> {
    #[derive(serde::Deserialize)]
    struct Place {
        seq: Seq,
        r#type: String,
    }
    serde_json::from_slice::<Place>(text).ok().map(|place| (place.seq, place.r#type))
}

/// What the first reading tells the second.
#[derive(Default)]
struct Plan {
    /// The events with secrets in them.
    changed: Vec<Seq>,
    /// The last event before the first change.
    intact_upto: Seq,
    /// Whether the state that the recording begins with has secrets in it.
    checkpoint: bool,
    /// Whether configs changed, so that plain digests over them would tell of what was in them.
    rekey: bool,
    /// The first event with such a digest.
    first_digest: Option<Seq>,
    seals: Vec<Seq>,
}

impl Plan {
    fn see(&mut self, text: &[u8], seen: &Seen) {
        let changed = seen.rewritten.is_some();
        let Some((seq, kind)) = place(text) else {
            let is_checkpoint = || matches!(Line::parse(text), Some(Ok(Line::Checkpoint(_))));
            if changed && is_checkpoint() {
                (self.checkpoint, self.rekey) = (true, true);
            }
            return;
        };
        let family = rig_event::event::family(&kind);
        if has_digest(&kind) {
            self.first_digest.get_or_insert(seq);
        }
        if kind == "log.sealed" {
            self.seals.push(seq);
        }
        if changed {
            self.changed.push(seq);
            self.rekey |= matches!(family, "snapshot" | "diff" | "drift" | "baseline");
        } else if self.changed.is_empty() {
            self.intact_upto = seq;
        }
    }

    /// Called when everything was seen.
    fn settle(&mut self) {
        if self.checkpoint {
            self.intact_upto = 0;
        }
        if let Some(first) = self.first_digest.filter(|_| self.rekey) {
            self.intact_upto = self.intact_upto.min(first - 1);
        }
        self.seals.retain(|seq| *seq > self.intact_upto);
    }
}

/// Whether an event states the plain digest of a config.
fn has_digest(kind: &str) -> bool {
    matches!(rig_event::event::family(kind), "snapshot" | "baseline" | "drift")
}

/// The copy while it is written.
struct Copy<'a, W: Write> {
    out: Output<W>,
    plan: Plan,
    redactor: &'a Redactor,
    header: Option<Header>,
    chain: Option<Chain>,
    /// The copy's own state; `None` once an event did not fit any more.
    state: Option<State>,
    events: u64,
    last_seq: Seq,
    notes: Vec<String>,
}

impl<'a, W: Write> Copy<'a, W> {
    fn new(out: Output<W>, plan: Plan, redactor: &'a Redactor) -> Self {
        let state = Some(State::default());
        Copy {
            out,
            plan,
            redactor,
            header: None,
            chain: None,
            state,
            events: 0,
            last_seq: 0,
            notes: Vec::new(),
        }
    }

    fn line(&mut self, number: u64, text: &[u8], whole: bool) -> Result<()> {
        let seen = look(self.redactor, text, number);
        let text = seen.rewritten.unwrap_or_else(|| text.to_vec());
        let text = match Line::parse(&text) {
            Some(Ok(Line::Header(header))) if number == 1 => self.header(header)?,
            Some(Ok(Line::Checkpoint(_))) => self.checkpoint(&text)?,
            Some(Ok(Line::Footer(footer))) => self.footer(footer)?,
            _ if number == 1 && rig_event::rigd::Header::parse(&text).is_some() => self.rigd_header(&text)?,
            _ => self.event(text)?,
        };
        self.out.write_all(&text)?;
        if whole {
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn scrubbed(&self) -> Scrubbed {
        Scrubbed {
            intact_upto: self.plan.intact_upto,
            changed: self.plan.changed.clone(),
            resealed: self.plan.seals.len() as u64,
            rekeyed: self.plan.rekey,
        }
    }

    fn header(&mut self, mut header: Header) -> Result<Vec<u8>> {
        // Scrubbed twice: what was changed before is changed still.
        let mut scrubbed = self.scrubbed();
        if let Some(earlier) = header.scrubbed.take() {
            scrubbed.intact_upto = scrubbed.intact_upto.min(earlier.intact_upto);
            scrubbed.changed.extend(earlier.changed);
            scrubbed.changed.sort_unstable();
            scrubbed.changed.dedup();
            scrubbed.rekeyed |= earlier.rekeyed;
            scrubbed.resealed = scrubbed.resealed.max(earlier.resealed);
        }
        header.scrubbed = Some(scrubbed);
        self.chain = header.chain.parse().ok();
        self.last_seq = header.first_seq.saturating_sub(1);
        let line = serde_json::to_vec(&header)?;
        self.header = Some(header);
        Ok(line)
    }

    /// A log of rigd has no chain to keep.
    fn rigd_header(&mut self, text: &[u8]) -> Result<Vec<u8>> {
        let mut header: Value = serde_json::from_slice(text)?;
        header["scrubbed"] = serde_json::to_value(self.scrubbed())?;
        Ok(serde_json::to_vec(&header)?)
    }

    /// The state that the recording begins with, with the hash that it has now.
    fn checkpoint(&mut self, text: &[u8]) -> Result<Vec<u8>> {
        let mut line: Value = serde_json::from_slice(text)?;
        if !self.plan.rekey {
            self.state = State::from_json(line["state"].to_string().as_bytes()).ok();
            return Ok(text.to_vec());
        }
        rekey(self.redactor, &mut line);
        let state: State = serde_json::from_value(line["state"].clone())
            .context("the state that the recording begins with")?;
        let hash = state.hash();
        line["state"]["hash"] = hash.clone().into();
        line["hash"] = hash.into();
        self.state = Some(state);
        let seq = line["seq"].clone();
        // Its keys stand in the order in which rig writes them.
        let state = line["state"].to_string();
        Ok(format!(
            "{{\"type\":\"session.checkpoint\",\"seq\":{seq},\"hash\":{},\"state\":{state}}}",
            line["hash"]
        )
        .into_bytes())
    }

    fn event(&mut self, mut text: Vec<u8>) -> Result<Vec<u8>> {
        let Ok(head) = Head::parse(&text) else { return Ok(text) };
        let (seq, kind) = (head.seq, head.type_name.clone().into_owned());
        let sealed = kind == "log.sealed" && seq > self.plan.intact_upto;
        if self.plan.rekey && has_digest(&kind) {
            let redactor = self.redactor;
            if let Ok(Some(rekeyed)) = rewrite(&text, |name, value| match name.as_str() {
                "config_digest" => keyed(redactor, value),
                _ => rekey(redactor, value),
            }) {
                text = rekeyed;
            }
        }
        if sealed {
            text = self.seal(&text)?;
        }
        self.events += 1;
        self.last_seq = seq;
        self.fold(&text, seq);
        if let Some(chain) = &mut self.chain {
            chain.push(&text);
        }
        Ok(text)
    }

    /// The seal over the copy's lines, by nobody.
    fn seal(&self, text: &[u8]) -> Result<Vec<u8>> {
        let chain = self.chain.map(|chain| chain.to_string());
        let state = self.state.as_ref().map(State::hash);
        let sealed = rewrite(text, |name, value| match name.as_str() {
            "chain" => chain.clone().map(|chain| *value = chain.into()).is_some(),
            "state" => state.clone().map(|state| *value = state.into()).is_some(),
            "signatures" => {
                *value = Value::Array(Vec::new());
                true
            }
            _ => false,
        })?;
        Ok(sealed.unwrap_or_else(|| text.to_vec()))
    }

    fn fold(&mut self, text: &[u8], seq: Seq) {
        let Some(state) = &mut self.state else { return };
        if self.header.is_none() {
            // A log without a header may begin anywhere; nobody checks its state but by its seals.
            state.seq = seq.saturating_sub(1);
        }
        let folded = Envelope::parse(text).map_err(|e| e.to_string()).and_then(|event| {
            let is_seal = matches!(event.event, Event::LogSealed(_));
            state.apply(&event).map_err(|e| e.to_string()).map(|()| is_seal)
        });
        if let Err(why) = folded {
            self.state = None;
            self.notes
                .push(format!("the copy can be folded up to seq {} only: {why}", seq.saturating_sub(1)));
        }
    }

    fn footer(&mut self, mut footer: Footer) -> Result<Vec<u8>> {
        if let Some(chain) = self.chain {
            footer.chain = chain.to_string();
        }
        footer.signatures.clear();
        Ok(serde_json::to_vec(&footer)?)
    }
}

/// Replaces plain digests of configs, at any depth; whether there were any.
fn rekey(redactor: &Redactor, value: &mut Value) -> bool {
    match value {
        Value::Array(items) => items.iter_mut().fold(false, |any, item| any | rekey(redactor, item)),
        Value::Object(entries) => entries.iter_mut().fold(false, |any, (key, entry)| {
            any | if key == "config_digest" { keyed(redactor, entry) } else { rekey(redactor, entry) }
        }),
        _ => false,
    }
}

fn keyed(redactor: &Redactor, value: &mut Value) -> bool {
    let Value::String(digest) = value else { return false };
    let plain = digest.starts_with("sha256:");
    if plain {
        *digest = redactor.digest(digest);
    }
    plain
}
