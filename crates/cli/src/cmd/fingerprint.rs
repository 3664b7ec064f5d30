//! `rig fingerprint`: the fingerprint of a value that leaked, and where it stood.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use rig_config::{FlatConfig, Policy, RedactionKey, Redactor};
use rig_event::{Seq, StreamName};
use serde::Serialize;
use serde_json::json;

use crate::Answer;
use crate::output::{self, Out};
use crate::source::{Recording, Source};

/// The longest value that is read, in bytes.
const LONGEST: usize = 1 << 20;

/// The most ids of other keys that are named.
const MOST_KEYS: usize = 10;

/// Find where a value that leaked stood, by its fingerprint
///
/// The value is read from standard input, one line, and is never an argument; on a terminal it is not shown. Its fingerprint is
/// made with the key of a hub, a copy of the file DATA/keys/redaction: the key stays where the hub is, so run this there. A
/// stream has a key of its own, derived from the hub's and its name; what was recorded before streams had keys is found too.
///
/// With a source it says in which services and fields the value stood, from which seq to which. A hub's address without a stream
/// means all streams of the hub. What is encrypted anew at each export cannot be found.
///
/// Exit code 0 when it stood nowhere (or no source is given), 1 when it did, 2 for trouble.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig fingerprint --redaction-key data/keys/redaction --stream main < leaked.txt
  rig fingerprint http://127.0.0.1:7070 --redaction-key data/keys/redaction
  rig fingerprint session.jsonl.zst --redaction-key data/keys/redaction --json < leaked.txt")]
pub struct Args {
    /// A session file, a rigd log, a hub's stream, or a hub
    source: Option<Source>,
    /// The key of fingerprints, ID:HEX, as a hub has it in DATA/keys/redaction
    #[arg(long, value_name = "FILE", env = "RIG_REDACTION_KEY")]
    redaction_key: PathBuf,
    /// The stream whose key counts [default: that of the source; without one, the hub's own key]
    #[arg(long, value_name = "NAME")]
    stream: Option<StreamName>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A fingerprint of the value.
#[derive(Debug, Serialize)]
struct Fingerprint {
    /// The stream whose key it is made with; none for the hub's own key.
    stream: Option<String>,
    fingerprint: String,
}

/// A stretch of a stream in which the value stood in a field.
#[derive(Debug, Serialize)]
struct Stood {
    stream: String,
    service: String,
    path: String,
    /// The event since which it stands there; the stream may begin with it.
    from: Seq,
    /// The last event at which it stood there; none if it still does.
    to: Option<Seq>,
}

/// The events of one type that have the value in them.
#[derive(Debug, Serialize)]
struct Mentioned {
    stream: String,
    service: Option<String>,
    r#type: String,
    events: u64,
    first: Seq,
    last: Seq,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    if matches!(args.source, Some(Source::Stdin)) {
        bail!("the value comes from standard input; name the recording as a file");
    }
    let shown = args.redaction_key.display();
    let text =
        std::fs::read_to_string(&args.redaction_key).with_context(|| format!("cannot read {shown}"))?;
    let Some(key) = RedactionKey::parse(text.trim()) else {
        bail!("there is no key in {shown}: it needs a line ID:HEX with 64 digits");
    };
    let redactor = Redactor::new(key, &Policy::default());
    let value = value()?;
    let of = |stream: Option<&str>| {
        let redactor = stream.map_or_else(|| redactor.clone(), |name| redactor.for_stream(name, 0));
        Fingerprint { stream: stream.map(str::to_owned), fingerprint: redactor.fingerprint(value.as_bytes()) }
    };
    let Some(source) = &args.source else {
        let one = of(args.stream.as_ref().map(StreamName::as_str));
        let mut out = Out::new();
        if args.json {
            out.json(&json!({ "fingerprints": [one] }))?;
        } else {
            out.line(&one.fingerprint)?;
        }
        return Ok(Answer::Fine);
    };
    let (mut fingerprints, mut found) = (vec![of(None)], Found::default());
    for source in source.streams().await? {
        let recording = source.open(None).await?;
        let stream = args.stream.as_ref().map_or_else(|| recording.stream(), StreamName::as_str).to_owned();
        let own = of(Some(&stream));
        let wanted = [fingerprints[0].fingerprint.clone(), own.fingerprint.clone()];
        if fingerprints.iter().all(|known| known.stream != own.stream) {
            fingerprints.push(own);
        }
        found.search(recording, &stream, &wanted)?;
    }
    print(&fingerprints, &found, args.json)?;
    Ok(if found.stood.is_empty() && found.mentioned.is_empty() { Answer::Fine } else { Answer::Difference })
}

/// Reads the value: a line of standard input, which a terminal does not show.
fn value() -> Result<String> {
    let mut value = String::new();
    if std::io::stdin().is_terminal() {
        output::note("The value, which is not shown:");
        value = hidden_line()?;
    } else {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().take(LONGEST as u64 + 1).read_to_end(&mut bytes);
        read.context("standard input broke off")?;
        if bytes.len() > LONGEST {
            bail!("the value is longer than {LONGEST} bytes");
        }
        value.push_str(std::str::from_utf8(&bytes).context("the value is no text")?);
    }
    let line = value.strip_suffix('\n').unwrap_or(&value);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        bail!("there is no value on standard input");
    }
    if line.contains('\n') {
        bail!("the value is one line; standard input has several");
    }
    Ok(line.to_owned())
}

/// Reads a line from the terminal without showing it.
fn hidden_line() -> Result<String> {
    use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};

    /// Sets the terminal back when it is dropped.
    struct Raw;
    impl Drop for Raw {
        fn drop(&mut self) {
            // The program ends soon; there is nobody to tell.
            let _ = crossterm::terminal::disable_raw_mode();
        }
    }
    crossterm::terminal::enable_raw_mode().context("the terminal cannot be kept from showing the value")?;
    let _raw = Raw;
    let mut line = String::new();
    loop {
        let Event::Key(key) = read().context("the terminal broke off")? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match key.code {
            KeyCode::Enter => return Ok(line),
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                bail!("no value was given");
            }
            KeyCode::Char('j' | 'm') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(line),
            KeyCode::Char(c) => line.push(c),
            KeyCode::Backspace => drop(line.pop()),
            _ => {}
        }
        if line.len() > LONGEST {
            bail!("the value is longer than {LONGEST} bytes");
        }
    }
}

/// Where fingerprints were found.
#[derive(Debug, Default)]
struct Found {
    stood: Vec<Stood>,
    mentioned: Vec<Mentioned>,
    /// The ids of the keys that fingerprints were made with.
    keys: BTreeSet<String>,
}

impl Found {
    /// Looks for fingerprints in the configurations of a recording, and in its other events.
    fn search(&mut self, mut recording: Recording, stream: &str, wanted: &[String]) -> Result<()> {
        let mut open = BTreeMap::<(String, String), Seq>::new();
        let begin = recording.state().seq;
        let services: Vec<String> =
            recording.state().services.keys().map(|name| name.as_str().to_owned()).collect();
        for service in services {
            self.see(&recording, stream, &service, begin, wanted, &mut open);
        }
        let mut mentioned = BTreeMap::<(Option<String>, String), Mentioned>::new();
        while let Some(event) = recording.step()? {
            let seq = event.envelope.seq;
            let service = event.envelope.service.as_ref().map(|name| name.as_str().to_owned());
            let kind = event.envelope.event.type_name();
            if let Some(service) = &service
                && recording.state().service(service).is_some_and(|known| known.config_seq == seq)
            {
                self.see(&recording, stream, service, seq, wanted, &mut open);
            }
            let family = rig_event::event::family(kind);
            let is_told = matches!(family, "snapshot" | "diff");
            if !is_told && wanted.iter().any(|one| contains(&event.line, one)) {
                let one = mentioned.entry((service.clone(), kind.to_owned())).or_insert_with(|| Mentioned {
                    stream: stream.to_owned(),
                    service,
                    r#type: kind.to_owned(),
                    events: 0,
                    first: seq,
                    last: seq,
                });
                one.events += 1;
                one.last = seq;
            }
        }
        recording.check()?;
        self.stood.extend(open.into_iter().map(|((service, path), from)| Stood {
            stream: stream.to_owned(),
            service,
            path,
            from,
            to: None,
        }));
        self.mentioned.extend(mentioned.into_values());
        Ok(())
    }

    /// Looks through the configuration of a service as it is since an event.
    fn see(
        &mut self,
        recording: &Recording,
        stream: &str,
        service: &str,
        seq: Seq,
        wanted: &[String],
        open: &mut BTreeMap<(String, String), Seq>,
    ) {
        let Some(known) = recording.state().service(service) else { return };
        let paths = paths(&known.config, wanted, &mut self.keys);
        let gone: Vec<(String, String)> =
            open.keys().filter(|(name, path)| name == service && !paths.contains(path)).cloned().collect();
        for place in gone {
            let Some(from) = open.remove(&place) else { continue };
            let (service, path) = place;
            let to = Some(seq.saturating_sub(1));
            self.stood.push(Stood { stream: stream.to_owned(), service, path, from, to });
        }
        for path in paths {
            open.entry((service.to_owned(), path)).or_insert(seq);
        }
    }
}

/// Returns the paths of the fields that have one of the fingerprints in them, and adds the ids of all keys.
fn paths(config: &FlatConfig, wanted: &[String], keys: &mut BTreeSet<String>) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for (path, value) in config {
        let text = match value.as_str().or_else(|| value.get("redacted")?.as_str()) {
            Some(text) if text.contains("hmac:") => text,
            _ => continue,
        };
        if wanted.iter().any(|one| text.contains(one.as_str())) {
            paths.insert(path.clone());
        }
        for id in text.split("hmac:").skip(1).filter_map(|rest| rest.split(':').next()) {
            if keys.len() < MOST_KEYS && id.len() <= 32 {
                keys.insert(id.to_owned());
            }
        }
    }
    paths
}

fn contains(line: &[u8], text: &str) -> bool {
    memchr::memmem::find(line, text.as_bytes()).is_some()
}

fn print(fingerprints: &[Fingerprint], found: &Found, as_json: bool) -> Result<()> {
    let mut out = Out::new();
    let is_found = !(found.stood.is_empty() && found.mentioned.is_empty());
    if as_json {
        return out.json(&json!({
            "fingerprints": fingerprints, "stood": found.stood, "mentioned": found.mentioned, "keys": found.keys,
        }));
    }
    for one in fingerprints {
        let stream =
            one.stream.as_deref().map_or_else(String::new, |name| format!("  ({})", output::plain(name)));
        out.line(format!("{}{stream}", one.fingerprint))?;
    }
    for one in &found.stood {
        let to = one.to.map_or_else(|| "and still does".to_owned(), |to| format!("to seq {to}"));
        out.line(format!(
            "{}: {} {} from seq {} {to}",
            output::plain(&one.stream),
            output::plain(&one.service),
            output::plain(&one.path),
            one.from
        ))?;
    }
    for one in &found.mentioned {
        let service = one.service.as_deref().map(output::plain).unwrap_or_default();
        let events = output::count(one.events, "event");
        out.line(format!(
            "{}: {service} {events} {}, seq {} to {}",
            output::plain(&one.stream),
            output::plain(&one.r#type),
            one.first,
            one.last
        ))?;
    }
    if !is_found {
        out.line("it stood nowhere")?;
        let has_key = |id: &String| {
            fingerprints.iter().any(|one| one.fingerprint.split(':').nth(1) == Some(id.as_str()))
        };
        if !found.keys.is_empty() && !found.keys.iter().any(has_key) {
            let keys: Vec<String> = found.keys.iter().map(|key| output::plain(key)).collect();
            output::note(format!("what was redacted there is under other keys: {}", keys.join(", ")));
        }
    }
    Ok(())
}
