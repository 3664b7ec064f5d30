//! The sides of a difference: a document, a snapshot file, a baseline, a moment of a recording.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use rig_config::baseline::{Baseline, Trust};
use rig_config::{Explanation, FlatConfig, Format, Limits, Redactor, SnapshotFile};
use rig_event::{Seq, ServiceName, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::super::snapshot::{self, tell_unknown};
use super::Args;
use crate::Answer;
use crate::keys::KeyArgs;
use crate::output;
use crate::source::Source;

/// The way a side is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputFormat {
    /// As a snapshot file, whatever else it has.
    Snapshot,
    /// As a document of this format.
    Document(Format),
}

impl FromStr for InputFormat {
    type Err = rig_config::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            snapshot::SNAPSHOT => Ok(InputFormat::Snapshot),
            other => other.parse().map(InputFormat::Document),
        }
    }
}

/// One of the two sides.
pub(super) struct Side {
    /// Under which it is shown.
    pub name: String,
    pub config: FlatConfig,
    pub is_text: bool,
    pub about: About,
    /// The explanation of its redaction, where that is asked for and known.
    pub explanation: Option<Explanation>,
}

/// Which configuration a side is, as far as it says so.
#[derive(Default, Serialize)]
pub(super) struct About {
    pub time: Option<Timestamp>,
    host: Option<String>,
    operator: Option<String>,
    deployment: Option<String>,
    git_commit: Option<String>,
}

impl About {
    /// Collects what the audit metadata of a snapshot says.
    fn of(audit: &BTreeMap<String, String>) -> About {
        let of = |key: &str| audit.get(key).cloned();
        About {
            time: None,
            host: of("hostname"),
            operator: of("operator"),
            deployment: of("deployment"),
            git_commit: of("git_sha"),
        }
    }
}

/// Returns true if the operand lies in an object store.
fn is_in_store(operand: &str) -> bool {
    ["s3://", "gs://", "az://"].iter().any(|scheme| operand.starts_with(scheme))
}

/// The approved side, checked as far as was asked: a signed baseline, or a snapshot file, which nobody signed.
pub(super) async fn baseline(name: &str, args: &Args, redactor: &Redactor) -> Result<Side> {
    let keys = if args.verify { Some(args.keys.require("--verify")?) } else { args.keys.load()? };
    let not_signed = || {
        let hint = if args.verify { "" } else { "; without keys it is compared unchecked" };
        format!("{name} is not to be trusted: a snapshot file is not signed{hint}")
    };
    let limits = Limits::of_file(Limits::default().bytes);
    let snapshot = if is_in_store(name) {
        Some(rig_client::writer::read(name, rig_client::writer::LIMIT).await?)
    } else {
        let bytes = std::fs::read(name).with_context(|| format!("cannot read {name}"))?;
        if Baseline::looks_like(&bytes) {
            let baseline = Baseline::parse(&bytes, &limits).with_context(|| name.to_owned())?;
            return signed(name, baseline, keys.as_ref());
        }
        SnapshotFile::read(&bytes, &limits).with_context(|| name.to_owned())?
    };
    let Some(snapshot) = snapshot else {
        bail!("{name} is no baseline: write one with --sign, or name a snapshot file");
    };
    if keys.is_some() {
        bail!(not_signed());
    }
    output::note(format!("{name} was not verified: a snapshot file is not signed"));
    Ok(of_snapshot(name, snapshot, redactor))
}

/// A signed baseline, checked where there are keys.
fn signed(name: &str, baseline: Baseline, keys: Option<&rig_config::BaselineKeys>) -> Result<Side> {
    match keys.map(|keys| baseline.verify(keys)) {
        Some(Trust::Valid) => {}
        Some(trust) => bail!("{name} is not to be trusted: {}", why(trust)),
        None => output::note(format!("{name} was not verified; --verify and keys do that")),
    }
    let config = baseline.config.as_ref().clone();
    let said = About::of(&baseline.meta);
    let operator = said.operator.clone().or(baseline.actor);
    let about = About { time: Some(baseline.approved), operator, ..said };
    Ok(Side { name: name.to_owned(), is_text: is_text(&config), config, about, explanation: None })
}

fn why(trust: Trust) -> &'static str {
    match trust {
        Trust::Valid => "it is signed",
        Trust::Unsigned => "nobody signed it",
        Trust::Altered => "it is not what was signed",
        Trust::UnknownKey => "it is signed by a key that is not among these",
    }
}

/// Writes a document as the approved one, signed, in one step: a reader sees the old file or the new one.
pub(super) fn approve(file: &Path, new: Side, keys: &KeyArgs) -> Result<Answer> {
    let keys = keys.require("--sign")?;
    let name = file.display();
    let mut baseline = Baseline::new(Arc::new(new.config), crate::recording::now());
    baseline.actor = std::env::var("RIG_ACTOR").ok().filter(|actor| !actor.is_empty());
    // Its name is the folder of a document that comes from no file.
    let near = Some(Path::new(&new.name)).filter(|path| path.exists()).unwrap_or(Path::new("."));
    baseline.meta = rig_client::audit::collect(near);
    baseline.sign(&keys)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary =
        tempfile::NamedTempFile::new_in(folder).with_context(|| format!("cannot write {name}"))?;
    std::io::Write::write_all(&mut temporary, baseline.to_json().as_bytes())?;
    temporary.as_file().sync_all()?;
    temporary.persist(file).with_context(|| format!("cannot write {name}"))?;
    let key = baseline.signature.map(|signature| signature.key_id).unwrap_or_default();
    output::note(format!("{name}: {} approved, signed with {}", new.name, output::plain(&key)));
    Ok(Answer::Fine)
}

fn is_text(config: &FlatConfig) -> bool {
    config.len() == 1 && config.get("text").is_some_and(Value::is_string)
}

/// One side: a moment where it names one, else a document.
pub(super) async fn read(operand: &str, args: &Args, redactor: &Redactor) -> Result<Side> {
    if is_in_store(operand) {
        let snapshot = rig_client::writer::read(operand, rig_client::writer::LIMIT).await?;
        return Ok(of_snapshot(operand, snapshot, redactor));
    }
    if let Some((source, at, service)) = moment(operand) {
        let source: Source = source.parse()?;
        let at = source.state(at).await?;
        let name = match service {
            Some(name) => name.parse::<ServiceName>()?,
            None => match at.state.services.keys().collect::<Vec<_>>().as_slice() {
                [only] => (*only).clone(),
                several => {
                    let names: Vec<&str> = several.iter().map(|name| name.as_str()).collect();
                    bail!("{operand} has {} services; append #SERVICE: {}", names.len(), names.join(", "));
                }
            },
        };
        let service = at.service(&name)?;
        let is_text = service.format.parse::<Format>().is_ok_and(Format::is_text);
        let config = service.config.as_ref().clone();
        let about = About { time: Some(at.state.ts), ..About::default() };
        return Ok(Side { name: operand.to_owned(), config, is_text, about, explanation: None });
    }
    let (name, document) = snapshot::read(operand)?;
    let what = if operand == "-" { "standard input" } else { operand };
    side(what, name.as_deref(), &document, args, redactor).with_context(|| what.to_owned())
}

/// Splits `SOURCE[@SEQ][#SERVICE]`; `None` for what names a document. A file that exists under the whole name is meant.
fn moment(operand: &str) -> Option<(&str, Option<Seq>, Option<&str>)> {
    if operand == "-" || Path::new(operand).exists() {
        return None;
    }
    let (rest, service) = match operand.rsplit_once('#') {
        Some((rest, service)) if !service.is_empty() => (rest, Some(service)),
        _ => (operand, None),
    };
    let (source, at) = match rest.rsplit_once('@') {
        Some((source, seq)) if seq.bytes().all(|b| b.is_ascii_digit()) => (source, seq.parse().ok()),
        _ => (rest, None),
    };
    let named = at.is_some() || service.is_some() || source.contains("://");
    named.then_some((source, at, service))
}

/// A document with its secrets redacted.
fn side(what: &str, name: Option<&str>, document: &[u8], args: &Args, redactor: &Redactor) -> Result<Side> {
    let limits = Limits::of_file(Limits::default().bytes);
    let format = match args.input_format {
        Some(InputFormat::Snapshot) => {
            return Ok(of_snapshot(what, SnapshotFile::read_declared(document, &limits)?, redactor));
        }
        Some(InputFormat::Document(format)) => Some(format),
        None => None,
    };
    if format.is_none_or(|format| format == Format::Json)
        && let Some(snapshot) = SnapshotFile::read(document, &limits)?
    {
        return Ok(of_snapshot(what, snapshot, redactor));
    }
    let Some(format) = format.or_else(|| Format::detect(name, document)) else {
        bail!("neither name nor content tell its format; say --input-format {}", Format::NAMES);
    };
    let mut parsed = rig_config::parse(document, format, &Limits::default())?;
    parsed.file = name.map(str::to_owned);
    let explanation =
        args.explain_redaction.then(|| redactor.explain(&parsed, &String::from_utf8_lossy(document)));
    redactor.redact(&mut parsed);
    Ok(Side {
        name: what.to_owned(),
        config: parsed.config,
        is_text: format.is_text(),
        about: About::default(),
        explanation,
    })
}

/// A snapshot file with its secrets redacted. What it has beyond the format is told, for it is not compared.
fn of_snapshot(what: &str, mut snapshot: SnapshotFile, redactor: &Redactor) -> Side {
    tell_unknown(what, &snapshot);
    let is_text = is_text(&snapshot.config);
    snapshot.redact(redactor, if is_text { Format::Text } else { Format::Json });
    let time = (!snapshot.spelling.is_timeless()).then_some(snapshot.timestamp);
    let about = About { time, ..About::of(&snapshot.audit) };
    Side { name: what.to_owned(), config: snapshot.config, is_text, about, explanation: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_from_a_document() {
        assert_eq!(moment("s.jsonl@12"), Some(("s.jsonl", Some(12), None)));
        assert_eq!(moment("s.jsonl@12#api"), Some(("s.jsonl", Some(12), Some("api"))));
        assert_eq!(moment("s.jsonl#a@b"), Some(("s.jsonl", None, Some("a@b"))));
        assert_eq!(moment("http://127.0.0.1:7070/main"), Some(("http://127.0.0.1:7070/main", None, None)));
        for document in ["-", "a.yaml", "user@host.yaml", "Cargo.toml"] {
            assert_eq!(moment(document), None, "{document}");
        }
    }
}
