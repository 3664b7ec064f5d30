//! `rig snapshot`: captures a document, or what several and the environment make together; into a hub, or a snapshot file.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, anyhow, bail};
use rig_client::{Redaction, Writer, writer};
use rig_config::{
    Encoding, Explanation, Format, Layers, Limits, Merged, Note, Origin, Pattern, Provenance, Reading,
    Redactor, SnapshotFile, Source, sections,
};
use rig_event::{ServiceName, Timestamp};
use serde_json::{Value, json};

use super::{CaptureArgs, HubArgs, hub};
use crate::client::{Appended, Client, Problem};
use crate::output::{self, Out};
use crate::{Answer, keys, policy, telemetry};

/// What `--format` calls a snapshot file.
pub(super) const SNAPSHOT: &str = "snapshot";

/// Capture a configuration document
///
/// The hub parses it, redacts its secrets, compares it with the service's last one, and judges the difference. What it
/// recorded of that is printed: one line an event.
///
/// Several documents, and with --env the environment, are merged in this order: maps deep, everything else by the later one.
/// Of every field the hub then knows the file and line, or the variable, that it came from.
///
/// With --out the snapshot is written to a file instead, with its secrets redacted, and no hub is asked. Variables of its
/// name: {{timestamp}}, {{service}}, {{hostname}}, {{operator}}, {{deployment}}, {{git_sha}}.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig snapshot api config/api.yaml --meta git_sha=4f2c9e1
  rig snapshot api base.yaml prod.toml --env APP_       (APP_DATABASE__HOST is database.host)
  rig snapshot api api.yaml --out 'snapshots/{{service}}-{{timestamp}}.json' --keep 10
  rig snapshot api api.yaml --out 's3://bucket/api-{{timestamp}}-{{hostname}}.json' --max-age 30d
  ssh router /export | rig snapshot router - --format text
  rig snapshot --explain router.cfg                     (captures nothing, asks no hub)",
    group = clap::ArgGroup::new("without_hub").args(["out", "explain"]))]
pub struct Args {
    /// The service it configures
    #[arg(required_unless_present = "explain")]
    service: Option<ServiceName>,
    /// The document, or - for standard input; of several the later ones win
    #[arg(value_name = "FILE", required_unless_present_any = ["env", "explain"])]
    files: Vec<String>,
    /// Capture nothing: say which secrets would be redacted in these files, by which rules, and what would be left alone
    #[arg(long, value_name = "FILE", num_args = 0.., conflicts_with_all = ["env", "exclude", "id"])]
    explain: Option<Vec<String>>,
    /// Put the environment variables on top whose names begin so; __ in a name separates steps
    #[arg(long, value_name = "PREFIX")]
    env: Option<String>,
    /// Leave these fields, or sections of a text, out: a path, that of a list for all of it, * for one step, ** for any,
    /// ignoring case; may be given more than once
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    #[command(flatten)]
    hub: HubArgs,
    #[command(flatten)]
    capture: CaptureArgs,
    /// A name for this very capture: sent twice, it is captured once
    #[arg(long, value_name = "KEY", conflicts_with = "out")]
    id: Option<String>,
    #[command(flatten)]
    file: FileArgs,
    /// Print what came of it as JSON
    #[arg(long)]
    json: bool,
}

/// Where and how a snapshot file is written.
#[derive(Debug, clap::Args)]
struct FileArgs {
    /// Write a snapshot file: a path, s3://BUCKET/…, gs://BUCKET/… or az://CONTAINER/…
    #[arg(long, value_name = "TEMPLATE", help_heading = "Snapshot files")]
    out: Option<String>,
    /// Keep that many files of this service and machine, the new one among them, and delete older ones
    #[arg(long, value_name = "N", requires = "out", help_heading = "Snapshot files", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Delete files of this service and machine that are older: 12h, 30d, 8w
    #[arg(long, value_name = "AGE", requires = "out", help_heading = "Snapshot files", value_parser = age)]
    max_age: Option<Duration>,
    /// Refuse to write a larger file
    #[arg(long, value_name = "BYTES", requires = "out", help_heading = "Snapshot files", default_value_t = writer::LIMIT)]
    max_bytes: u64,
    /// Write secrets as fingerprints under the key in this file (ID:HEX) [default: as ***redacted***]
    #[arg(
        long,
        value_name = "FILE",
        requires = "out",
        env = "RIG_REDACTION_KEY",
        help_heading = "Snapshot files"
    )]
    redaction_key: Option<PathBuf>,
    /// The policy file that says what else is a secret
    #[arg(
        long,
        value_name = "FILE",
        requires = "without_hub",
        env = "RIG_POLICY",
        help_heading = "Snapshot files"
    )]
    policy: Option<PathBuf>,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let _telling = telemetry::begin_if_asked()?;
    if let Some(explain) = &args.explain {
        return explained(&args, explain);
    }
    let Some(service) = args.service.clone() else { bail!("name the service that it configures") };
    let path = args.files.first().filter(|file| *file != "-").map(PathBuf::from);
    if let Some(out) = &args.file.out {
        let (snapshot, format) = layered(&args)?;
        // What the file said of itself stays beside what is said now.
        let mut audit = about(&snapshot);
        audit.extend(args.capture.audit(path.as_deref()));
        audit.insert("service".to_owned(), service.to_string());
        return write(out, SnapshotFile { audit, timestamp: now(), ..snapshot }, format, &args).await;
    }
    let client = args.hub.client()?;
    let mut query = args.capture.query(path.as_deref());
    query.extend(args.id.clone().map(|id| ("id".to_owned(), id)));
    let document = match args.files.as_slice() {
        [only] if args.env.is_none() && args.exclude.is_empty() => read(only)?.1,
        _ => {
            let (snapshot, format) = layered(&args)?;
            match snapshot.config.get("text").and_then(Value::as_str) {
                Some(text) if format.is_text() => {
                    // It was decoded here.
                    query.retain(|(key, _)| key != "encoding");
                    text.as_bytes().to_vec()
                }
                _ => {
                    query.retain(|(key, _)| !["format", "name", "encoding"].contains(&key.as_str()));
                    query.push(("format".to_owned(), SNAPSHOT.to_owned()));
                    let mut document = Vec::new();
                    snapshot.write(&mut document)?;
                    document
                }
            }
        }
    };
    let appended = capture(&client, &service, &query, document).await?;
    print(&appended, args.json)?;
    Ok(Answer::Fine)
}

/// Says what redaction would do with each document.
fn explained(args: &Args, named: &[String]) -> Result<Answer> {
    let policy = policy::load(args.file.policy.as_deref())?;
    // Nothing is replaced: the key is never used.
    let redactor = Redactor::new(keys::run_key()?, &policy);
    // The service and its files stand before the option, or behind it.
    let service = args.service.as_ref().map(ToString::to_string);
    let operands: Vec<String> = service.into_iter().chain(args.files.iter().chain(named).cloned()).collect();
    let is_service = |name: &String| {
        args.service.is_some() || (!Path::new(name).exists() && name.parse::<ServiceName>().is_ok())
    };
    let files = match operands.as_slice() {
        [first, rest @ ..] if !rest.is_empty() && is_service(first) => rest,
        all => all,
    };
    if files.is_empty() {
        bail!("name the file that is to be explained");
    }
    let mut all = serde_json::Map::new();
    let mut out = Out::new();
    for file in files {
        let (name, document) = read(file)?;
        let shown = if file == "-" { "stdin" } else { file };
        let reading = args.capture.reading(name.as_deref())?;
        let explanation = explanation(&redactor, reading, shown, &document)?;
        if args.json {
            all.insert(shown.to_owned(), serde_json::to_value(&explanation)?);
        } else {
            out.text(&output::redaction::explained(shown, &explanation))?;
        }
    }
    if args.json {
        out.json(&all)?;
    }
    Ok(Answer::Fine)
}

/// Explains what redaction does with a document.
fn explanation(
    redactor: &Redactor,
    reading: Reading<'_>,
    shown: &str,
    document: &[u8],
) -> Result<Explanation> {
    let parsed = parsed(reading, "--format", shown, document, &Limits::default())?;
    Ok(redactor.explain(&parsed, &parsed.encoding.text(document)))
}

/// Reads a document, and prints what was noticed about it. `option` is how its format is said here.
pub(super) fn parsed(
    reading: Reading<'_>,
    option: &str,
    shown: &str,
    document: &[u8],
    limits: &Limits,
) -> Result<rig_config::Document> {
    use rig_config::Error;
    let read = reading.read(document, limits).map_err(|error| {
        let said = match &error {
            Error::NoFormat => {
                format!("neither name nor content tell its format; say {option} {}", Format::NAMES)
            }
            Error::InvalidUtf8 { .. } => error.to_string().replace("name it: ", "say --encoding "),
            _ => return anyhow::Error::new(error),
        };
        anyhow!("{said}")
    });
    let read = read.with_context(|| output::plain(shown))?;
    for note in &read.notes {
        let more = if *note == Note::ReadAsText { format!("; {option} says another") } else { String::new() };
        output::note(format!("{}: {note}{more}", output::plain(shown)));
    }
    Ok(read)
}

/// What the documents and the environment make together, with what it was written in: of several, JSON stands for all.
fn layered(args: &Args) -> Result<(SnapshotFile, Format)> {
    if args.files.iter().filter(|file| *file == "-").count() > 1 {
        bail!("only one document can come from standard input");
    }
    // A hub makes events of what it gets; a file takes values of any length.
    let limits = match args.file.out {
        Some(_) => Limits::of_file(Limits::default().bytes),
        None => Limits::default(),
    };
    let mut layers = Layers::new(&limits);
    let (mut alone, mut encoding) = (None, None);
    for file in &args.files {
        let (name, document) = read(file)?;
        let shown = if file == "-" { "stdin" } else { file };
        let layer = layer(&mut layers, shown, name.as_deref(), document, args, &limits)?;
        alone = alone.or(layer.0);
        encoding = encoding.or(layer.1);
    }
    if let Some(prefix) = &args.env {
        let ours =
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with(prefix.as_str()));
        let ours = ours.map(|(name, value)| match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => Ok((name, value)),
            (Err(name), _) => Err(anyhow!("the variable {name:?} is not UTF-8")),
            (Ok(name), Err(_)) => Err(anyhow!("the value of the variable {name:?} is not UTF-8")),
        });
        let count = layers.variables(prefix, ours.collect::<Result<Vec<_>>>()?)?;
        if count == 0 {
            output::note(format!("no variable of the environment begins with {prefix:?}"));
        }
    }
    let (mut snapshot, format) = match alone {
        Some((snapshot, format)) => (snapshot, format),
        None => {
            let Merged { config, provenance } = layers.finish()?;
            (SnapshotFile { timestamp: now(), config, provenance, ..SnapshotFile::default() }, Format::Json)
        }
    };
    snapshot.audit.extend(encoding.map(|encoding| ("encoding".to_owned(), encoding.to_string())));
    let patterns = args.exclude.iter().map(|text| text.parse::<Pattern>());
    let patterns = patterns.collect::<Result<Vec<_>, _>>().context("--exclude")?;
    if !patterns.is_empty() {
        let (left_out, what) = match snapshot.config.get_mut("text") {
            Some(Value::String(text)) if format.is_text() => {
                let Some((kept, gone)) = sections::without(text, &patterns) else {
                    bail!("--exclude names sections of a text, and this one has none");
                };
                let count = gone.len();
                *text = kept;
                (count, "section")
            }
            _ => (snapshot.exclude(&patterns), "field"),
        };
        output::note(format!("{} left out, as asked", output::count(left_out as u64, what)));
    }
    Ok((snapshot, format))
}

/// A layer that is all there is, and the encoding of its document where it is not UTF-8.
type Layer = (Option<(SnapshotFile, Format)>, Option<Encoding>);

/// Puts a document on the others. A text that is the only one, and has no fields, is given back, and so is a snapshot file, of
/// which nothing changes then.
fn layer(
    layers: &mut Layers<'_>,
    shown: &str,
    name: Option<&str>,
    document: Vec<u8>,
    args: &Args,
    limits: &Limits,
) -> Result<Layer> {
    let asked = args.capture.format.as_deref();
    let format = match asked {
        Some(SNAPSHOT) => None,
        Some(asked) => Some(asked.parse::<Format>()?),
        None => Format::detect(name, &document),
    };
    let alone = args.files.len() == 1 && args.env.is_none();
    let snapshot = match (asked, format) {
        (Some(SNAPSHOT), _) => SnapshotFile::read_declared(&document, limits).map(Some),
        (None, None | Some(Format::Json)) => SnapshotFile::read(&document, limits),
        _ => Ok(None),
    };
    let file: Origin = Source::file(shown, None).into();
    if let Some(snapshot) = snapshot.with_context(|| output::plain(shown))? {
        tell_unknown(shown, &snapshot);
        if alone {
            return Ok((Some((snapshot, Format::Json)), None));
        }
        let SnapshotFile { config, mut provenance, .. } = snapshot;
        let fields = config.into_iter().map(|(path, value)| {
            let origin = provenance.remove(&path).unwrap_or_else(|| file.clone());
            (path, value, origin)
        });
        layers.fields(fields).with_context(|| output::plain(shown))?;
        return Ok((None, None));
    }
    let mut doc = parsed(args.capture.reading(name)?, "--format", shown, &document, limits)?;
    drop(document);
    let (format, encoding) = (doc.format, doc.encoding.unusual());
    if format.is_text() && alone {
        let provenance: Provenance = doc.config.keys().map(|path| (path.clone(), file.clone())).collect();
        let config = doc.config;
        let snapshot = SnapshotFile { timestamp: now(), config, provenance, ..SnapshotFile::default() };
        return Ok((Some((snapshot, format)), encoding));
    }
    // It holds the document once more, and only a digest needs it.
    doc.normalised = String::new();
    layers.document(doc, shown).with_context(|| output::plain(shown))?;
    Ok((None, encoding))
}

/// Says on standard error what a snapshot file has beyond its format, and what it lacks.
pub(super) fn tell_unknown(what: &str, snapshot: &SnapshotFile) {
    let what = output::plain(what);
    let unknown: Vec<String> = snapshot.spelling.unknown().map(str::to_owned).collect();
    if !unknown.is_empty() {
        output::note(format!("{what}: rig does not know its {}", output::places(&unknown, 10)));
    }
    if snapshot.spelling.is_timeless() {
        output::note(format!("{what}: it does not say when it was taken"));
    }
}

/// Returns what a snapshot that was read from a file says of itself, to be kept beside what the sender says: `snapshot.timestamp`,
/// `snapshot.hostname` and so on.
fn about(snapshot: &SnapshotFile) -> BTreeMap<String, String> {
    if snapshot.audit.is_empty() && !snapshot.spelling.is_read() {
        return BTreeMap::new();
    }
    snapshot.about().into_iter().map(|(key, value)| (format!("snapshot.{key}"), value)).collect()
}

/// Writes a snapshot file.
async fn write(out: &str, mut snapshot: SnapshotFile, format: Format, args: &Args) -> Result<Answer> {
    let given = &args.file;
    let policy = given.policy.as_deref().map(hub::policy).transpose()?.unwrap_or_default();
    let redaction = match &given.redaction_key {
        Some(file) => Redaction::key_file(file, &policy)?,
        None => Redaction::blank(&policy)?,
    };
    let redacted = redaction.apply(&mut snapshot, format);
    let mut writer = Writer::new(out)?.limit(given.max_bytes);
    if let Some(keep) = given.keep {
        writer = writer.keep(keep as usize);
    }
    if let Some(age) = given.max_age {
        writer = writer.max_age(age);
    }
    let written = writer.write(&snapshot).await?;
    let mut out = Out::new();
    if args.json {
        out.json(&json!({
            "written": written.name, "bytes": written.bytes, "fields": snapshot.config.len(), "redacted": redacted,
            "removed": written.removed, "ahead": written.ahead, "not_removed": written.not_removed.as_ref().map(ToString::to_string),
        }))?;
    } else {
        let fields = output::count(snapshot.config.len() as u64, "field");
        out.line(format!("{}  {fields}, {redacted} redacted", output::plain(&written.name)))?;
        for name in &written.removed {
            out.line(format!("removed {}", output::plain(name)))?;
        }
    }
    if let Some(first) = written.ahead.first() {
        output::note(format!(
            "{} ahead of the clock, and older than all others therefore: {}",
            output::count(written.ahead.len() as u64, "snapshot"),
            output::plain(first)
        ));
    }
    match written.not_removed {
        // The snapshot is there; that older ones pile up must not go unseen.
        Some(error) => Err(anyhow::Error::new(error).context("older snapshots were not cleared away")),
        None => Ok(Answer::Fine),
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn age(text: &str) -> Result<Duration, String> {
    let bad = || "write a number and a unit: 90s, 15m, 12h, 30d or 8w".to_owned();
    let unit = text.chars().last().ok_or_else(bad)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return Err(bad()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| bad())?;
    count.checked_mul(seconds).map(Duration::from_secs).ok_or_else(bad)
}

/// Captures, and names the document's service where the hub refuses it.
pub(super) async fn capture(
    client: &Client,
    service: &ServiceName,
    query: &[(String, String)],
    document: Vec<u8>,
) -> Result<Appended> {
    let refused = || format!("{} was not captured", output::plain(service.as_str()));
    let answer = client.capture(service, query, document).await.map_err(|error| match error.downcast() {
        // The hub speaks of its query; here it is an option.
        Ok(problem @ Problem { .. }) => {
            let detail = problem
                .detail
                .map(|detail| detail.replace("?format=", "--format ").replace("?encoding=", "--encoding "));
            Problem { detail, ..problem }.into()
        }
        Err(error) => error,
    });
    answer.with_context(refused)
}

/// How much of a document is read, in bytes.
pub(super) fn limit() -> u64 {
    rig_config::Limits::default().bytes + 1
}

/// The name of a file, with folders above it, and what is in it. What is over the hub's limit is read only so far that the hub sees it: it keeps the
/// record of refusals.
pub(super) fn read(file: &str) -> Result<(Option<String>, Vec<u8>)> {
    let limit = limit();
    let mut document = Vec::new();
    if file == "-" {
        std::io::stdin().lock().take(limit).read_to_end(&mut document).context("standard input broke off")?;
        return Ok((None, document));
    }
    let cannot = || format!("cannot read {file}");
    std::fs::File::open(file)
        .with_context(cannot)?
        .take(limit)
        .read_to_end(&mut document)
        .with_context(cannot)?;
    Ok((rig_config::name_of(Path::new(file)), document))
}

/// The events that something led to, as lines for people or the hub's JSON.
pub(super) fn print(appended: &Appended, json: bool) -> Result<()> {
    let mut out = Out::new();
    if json {
        return out.json(appended);
    }
    for event in &appended.events {
        out.line(output::event(event.get().as_bytes()))?;
    }
    Ok(())
}
