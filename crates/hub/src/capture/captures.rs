//! The path of a document to the writer: received within limits, parsed, digested and redacted, before anything is encoded.
//!
//! A document that is refused leaves a `snapshot.rejected` with the place of the fault and nothing of the content.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use rig_config::redact::Counts;
use rig_config::{
    Encoding, Format, Reading, Redactor, SnapshotFile, Source, config_digest, normalise, snapshot_file,
};
use rig_event::event::{SnapshotRejected, Warning};
use rig_event::{Draft, Envelope, Event, ServiceName};
use rig_replay::Capture;
use rig_replay::judge::Declaration;
use serde_json::Value;
use zeroize::Zeroizing;

use super::budget::Budget;
use super::coding::Coding;
use super::receive::{Bounds, receive};
use crate::options::Options;
use crate::originals::Blobs;
use crate::permit::Permit;
use crate::problem::Problem;
use crate::shares::Share;
use crate::streams::{Appended, Command, Refused, Stream};

/// The format of a snapshot file, as it is requested and as events name it.
pub const SNAPSHOT: &str = "snapshot";

/// Maximum size of the metadata of a document, in bytes.
pub(crate) const MAX_META: usize = 16 << 10;

/// A document, and its sender's description of it.
#[derive(Clone, Debug)]
pub struct Document {
    /// The service whose configuration it is.
    pub service: ServiceName,
    /// Its format; if absent, derived from the media type, or else from name and content.
    pub format: Option<String>,
    /// The name of its file: the format may be derived from it, and what the lines of a text are.
    pub name: Option<String>,
    /// Its encoding; if absent, it is found.
    pub encoding: Option<String>,
    /// The media type that its sender gave it.
    pub media_type: Option<String>,
    /// The actor that captured it.
    pub actor: Option<String>,
    /// Its idempotency key.
    pub id: Option<String>,
    /// Operator, deployment and other metadata from the sender, up to 16 KiB.
    pub meta: BTreeMap<String, String>,
    /// If true, a repeat produces no event: neither a `snapshot.unchanged`, nor a second `snapshot.rejected` under the same `id`.
    pub quiet: bool,
    /// The document itself.
    pub content: Vec<u8>,
}

impl Document {
    /// Creates a document of a service without any metadata.
    pub fn new(service: ServiceName, content: Vec<u8>) -> Document {
        Document {
            service,
            format: None,
            name: None,
            encoding: None,
            media_type: None,
            actor: None,
            id: None,
            meta: BTreeMap::new(),
            quiet: false,
            content,
        }
    }
}

/// The purpose for which a document is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// It is the configuration of something that runs.
    Capture,
    /// It names fields that should be so.
    Declaration,
}

/// The path of documents to the writers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Captures {
    pub(crate) options: Arc<Options>,
    pub(crate) redactor: Arc<Redactor>,
    pub(crate) budget: Budget,
}

impl Captures {
    /// Captures the document in the body of a request.
    pub(crate) async fn receive_one(
        &self,
        stream: &Arc<Stream>,
        mut document: Document,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Appended, Problem> {
        let mut received = 0;
        document.media_type = essence(headers);
        match self.receive(headers, body, &mut received).await {
            Ok((content, _budget)) => {
                document.content = content;
                self.capture(stream, document).await
            }
            Err(problem) => {
                refuse(stream, &document, &problem, received).await?;
                Err(problem)
            }
        }
    }

    /// Captures a document from any source: this is the only path to the writer. If it is refused, its `snapshot.rejected` is
    /// written when this returns.
    pub(crate) async fn capture(
        &self,
        stream: &Arc<Stream>,
        mut document: Document,
    ) -> Result<Appended, Problem> {
        let content = std::mem::take(&mut document.content);
        let bytes = content.len() as u64;
        // Held until the document is judged: a parsed document takes a multiple of its size.
        let _turn = self.budget.turn().await?;
        let blobs = stream.blobs.as_ref().filter(|_| self.options.blobs.keep);
        let original = blobs.map(|blobs| (blobs.clone(), Zeroizing::new(content.clone())));
        let keeps = original.is_some();
        let capture = match self.understand(stream, &document, content, Purpose::Capture).await {
            Ok(capture) => capture,
            Err(problem) => {
                refuse(stream, &document, &problem, bytes).await?;
                return Err(problem);
            }
        };
        (self.options.step)("capture.write");
        let digest = capture.digest.clone();
        let (service, id) = (document.service.clone(), document.id.clone());
        let capture = Command::Capture { service, capture: Box::new(capture), originals: keeps };
        let written = match (stream.write(capture, None, id).await, original) {
            (Err(Refused::NoOriginal(capture)), Some((blobs, original))) => {
                // Runs to its end even if the client disconnects: the original must be protected from the sweep until an event
                // names it.
                let keeping =
                    self.clone().with_original(stream.clone(), document.clone(), capture, blobs, original);
                let kept = tokio::spawn(Permit::cover(Permit::current(), keeping)).await;
                kept.unwrap_or_else(|e| Err(Problem::internal("defect", e.to_string())))
            }
            (written, _) => written.map_err(Problem::from),
        };
        let refused = match written {
            Ok(appended) => {
                stream.meters.captured();
                return same_request(stream, &document, &digest, appended).await;
            }
            Err(refused) => refused,
        };
        // The events that a decision led to did not fit.
        if refused.code() == "event-too-long" {
            refuse(stream, &document, &refused, bytes).await?;
        }
        Err(refused)
    }

    /// Stores the original of a new document, and then captures the document.
    async fn with_original(
        self,
        stream: Arc<Stream>,
        document: Document,
        capture: Box<Capture>,
        blobs: Arc<Blobs>,
        original: Zeroizing<Vec<u8>>,
    ) -> Result<Appended, Problem> {
        let kept = blobs.keep(&self.redactor, original).await;
        let (named, written) = kept.inspect_err(|_| stream.meters.encryption_failed())?;
        if let Some(bytes) = written {
            stream.meters.blob_kept(bytes);
        }
        let capture = Box::new(Capture { blob: Some(named.id().to_string()), ..*capture });
        let capture = Command::Capture { service: document.service, capture, originals: true };
        let appended = stream.write(capture, None, document.id).await?;
        (self.options.step)("capture.appended");
        Ok(appended)
    }

    /// Reads and parses a document that declares some of a service's fields. If it is refused, no event is written: it is not the
    /// configuration of something that runs.
    pub(crate) async fn declaration(
        &self,
        stream: &Stream,
        mut document: Document,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Declaration, Problem> {
        document.media_type = essence(headers);
        let (content, _budget) = self.receive(headers, body, &mut 0).await?;
        let _turn = self.budget.turn().await?;
        let Capture { digest, config_digest, format, config, .. } =
            self.understand(stream, &document, content, Purpose::Declaration).await?;
        Ok(Declaration { digest, config_digest, format, config })
    }

    /// Reads the whole document. Dropping the share returns its part of the budget.
    pub(crate) async fn receive(
        &self,
        headers: &HeaderMap,
        body: Body,
        received: &mut u64,
    ) -> Result<(Vec<u8>, Option<Share>), Problem> {
        let limit = self.options.limits.bytes;
        let too_large = || {
            let detail = format!("the document is larger than the limit of {limit} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail).with("limit", limit)
        };
        let coding = Coding::of(headers)?;
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        let bounds = Bounds { bytes: limit, announced, patience: self.options.read_timeout };
        let mut charge = self.budget.charge(0);
        let document = receive(body, bounds, &mut charge, received, too_large).await?;
        match coding {
            Some(coding) => {
                charge.is_here();
                let (document, share) =
                    coding.unpack(&self.budget, document.into(), limit, too_large).await?;
                Ok((document, Some(share)))
            }
            None => Ok((document, charge.held())),
        }
    }

    /// Parses, digests and redacts a document.
    async fn understand(
        &self,
        stream: &Stream,
        request: &Document,
        document: Vec<u8>,
        purpose: Purpose,
    ) -> Result<Capture, Problem> {
        let (asked, media_type) = (request.format.as_deref(), request.media_type.as_deref());
        // A snapshot file that is declared as one has no other format.
        let is_snapshot =
            asked == Some(SNAPSHOT) || asked.is_none() && media_type == Some(snapshot_file::MEDIA_TYPE);
        let told = if is_snapshot { None } else { format_of(media_type, request)? };
        let encoding = request
            .encoding
            .as_deref()
            .map(str::parse::<Encoding>)
            .transpose()
            .map_err(|e| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, e.code(), e.to_string()))?;
        let as_json = asked.is_some() && !is_snapshot;
        let (redactor, options) = (stream.redactor().learning(), self.options.clone());
        let file = request.name.clone();
        let parsed = tokio::task::spawn_blocking(move || {
            let limits = &options.limits;
            (options.step)("capture.parse");
            let bytes = document.len() as u64;
            // A snapshot file is JSON too. If JSON was asked for, it is captured as an ordinary document.
            let looks = told.or_else(|| Format::detect(file.as_deref(), &document));
            let snapshot = match looks {
                _ if is_snapshot => Some(SnapshotFile::read_declared(&document, limits)?),
                Some(Format::Json) | None if !as_json => SnapshotFile::read(&document, limits)?,
                _ => None,
            };
            if let Some(snapshot) = snapshot {
                drop(document);
                return Ok(captured(snapshot, bytes, &redactor));
            }
            let reading = Reading { name: file.as_deref(), format: told, encoding };
            let mut parsed = reading.read(document, limits)?;
            if purpose == Purpose::Declaration {
                parsed.check_declares(told.is_some())?;
            }
            parsed.leave_out(&options.policy.volatile);
            let (digest, redacted) = parsed.digest_then_redact(&redactor);
            let warnings = parsed
                .notes
                .iter()
                .map(|note| Warning { code: note.code().to_owned(), text: note.to_string() });
            Ok(Capture {
                format: parsed.format.to_string(),
                bytes,
                normalisation: normalise::version(parsed.format),
                encoding: parsed.encoding.unusual().map(|encoding| encoding.to_string()),
                warnings: warnings.collect(),
                digest,
                config_digest: config_digest(&parsed.config),
                config: parsed.config,
                redacted: redacted.values().sum(),
                redacted_by: named(redacted),
                ..Capture::default()
            })
        });
        let capture = parsed.await.map_err(|_| {
            Problem::internal("defect", "parsing the document failed; this is a defect of rig")
        })?;
        let capture = capture.map_err(|e: rig_config::Error| {
            let status = match e.code() {
                "too-large" => StatusCode::PAYLOAD_TOO_LARGE,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            // What is asked for here by a parameter has another name in a library.
            let detail = match &e {
                rig_config::Error::NoFormat => {
                    format!("the format cannot be told from name and content; say ?format={}", Format::NAMES)
                }
                rig_config::Error::InvalidUtf8 { .. } => e.to_string().replace("name it: ", "say ?encoding="),
                _ => e.to_string(),
            };
            let mut problem = Problem::new(status, e.code(), detail);
            for (key, place) in [("line", e.line()), ("column", e.column())] {
                if let Some(place) = place {
                    problem = problem.with(key, place);
                }
            }
            match (is_snapshot, told) {
                (true, _) => problem.with("format", SNAPSHOT),
                (false, Some(format)) => problem.with("format", format.as_str()),
                (false, None) => problem,
            }
        })?;
        // The client's metadata overrides that of the file.
        let said = capture.meta.iter().chain(&request.meta);
        let mut meta: Value = said.map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
        stream.redactor().redact_event(&mut "meta".to_owned(), &mut meta);
        let redacted = meta.as_object_mut().map(std::mem::take).unwrap_or_default().into_iter();
        let texts = redacted.map(|(key, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (key, text)
        });
        Ok(Capture { meta: texts.collect(), actor: request.actor.clone(), quiet: request.quiet, ..capture })
    }
}

/// Counts a document that is refused, and writes an event about it.
async fn refuse(stream: &Stream, request: &Document, problem: &Problem, bytes: u64) -> Result<(), Problem> {
    stream.meters.rejected(problem.code());
    // A busy hub refuses the request, not the document. A quiet document is sent again by its source.
    let passes = problem.code() == "busy" || request.quiet && problem.status().is_server_error();
    if passes { Ok(()) } else { reject(stream, request, problem, bytes).await }
}

/// Returns true if both actors are the same client. Only the part before `/` is authenticated, so only that is compared. What another
/// sent is not shown to who guesses its key. Nobody who has to show a token is without a name.
pub(crate) fn is_by(told: Option<&str>, by: Option<&str>) -> bool {
    let party = |actor: &str| actor.split('/').next().unwrap_or_default().to_owned();
    by.is_none_or(|by| told.map(party) == Some(party(by)))
}

/// Checks that a key that was used before was used for the same service and document, by the same client.
async fn same_request(
    stream: &Stream,
    request: &Document,
    digest: &str,
    appended: Appended,
) -> Result<Appended, Problem> {
    if appended.lines.is_some() {
        return Ok(appended);
    }
    // With another key or other rules of normalisation, the same document has another digest.
    let key = digest.rsplit_once(':').map(|(key, _)| key);
    let is_it = |first: &str, by: u64| {
        let comparable = first.rsplit_once(':').map(|(key, _)| key) == key;
        first == digest || !comparable || ![0, normalise::NORMALISATION].contains(&by)
    };
    let lines = stream.lines_of(&appended).await?;
    let same = lines.iter().all(|(_, line)| {
        Envelope::parse(line).is_ok_and(|envelope| {
            let is_family = match &envelope.event {
                Event::SnapshotCaptured(first) => is_it(&first.digest, first.normalisation),
                Event::SnapshotUnchanged(first) => is_it(&first.digest, 0),
                event => {
                    let family = rig_event::event::family(event.type_name());
                    matches!(family, "snapshot" | "diff" | "drift")
                }
            };
            is_family
                && envelope.service.as_ref() == Some(&request.service)
                && is_by(envelope.actor.as_deref(), request.actor.as_deref())
        })
    });
    if same {
        return Ok(appended);
    }
    let detail = "this idempotency key was used with something else before";
    Err(Problem::conflict("id-reused", detail).with("first_seq", appended.first_seq))
}

/// Returns the media type without its parameters.
pub(crate) fn essence(headers: &HeaderMap) -> Option<String> {
    let media_type = headers.get(header::CONTENT_TYPE).map(|v| v.to_str().unwrap_or("?"));
    media_type.map(|m| m.split(';').next().unwrap_or(m).trim().to_ascii_lowercase())
}

/// Returns the number of secrets by the name of the rule, as events have it.
fn named(counts: Counts) -> BTreeMap<String, u64> {
    counts.into_iter().map(|(rule, count)| (rule.to_owned(), count)).collect()
}

/// Turns a snapshot file into a capture. The digest covers only the configuration, since the time differs in each file.
fn captured(mut snapshot: SnapshotFile, bytes: u64, redactor: &Redactor) -> Capture {
    let sources: BTreeMap<String, String> = snapshot
        .provenance
        .iter()
        .filter(|(_, origin)| origin.source != Source::Unknown || origin.secret)
        .map(|(path, origin)| (path.clone(), origin.source.to_string()))
        .collect();
    let digest = redactor.digest(&serde_json::to_string(&(&snapshot.config, &sources)).unwrap_or_default());
    let redacted = snapshot.redact_counted(redactor, Format::Json);
    // Beside what the sender says of itself, which stands over it.
    let about = snapshot.about().into_iter().map(|(key, value)| (format!("snapshot.{key}"), value));
    snapshot.audit.extend(about.collect::<Vec<_>>());
    let SnapshotFile { config, mut audit, .. } = snapshot;
    // The address names the service.
    audit.remove("service");
    audit.retain(|key, value| key.len() + value.len() <= MAX_META);
    if audit.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > MAX_META {
        audit.clear();
    }
    Capture {
        format: SNAPSHOT.to_owned(),
        bytes,
        digest,
        config_digest: config_digest(&config),
        config,
        redacted: redacted.values().sum(),
        redacted_by: named(redacted),
        meta: audit,
        provenance: sources,
        ..Capture::default()
    }
}

/// Returns the format that somebody says: the one asked for, else the one of the media type.
fn format_of(media_type: Option<&str>, request: &Document) -> Result<Option<Format>, Problem> {
    if let Some(asked) = &request.format {
        return asked.parse().map(Some).map_err(|e: rig_config::Error| {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, e.code(), e.to_string())
        });
    }
    let by_type = match media_type {
        Some("application/json") => Some(Format::Json),
        Some("application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml") => Some(Format::Yaml),
        Some("application/toml" | "text/x-toml") => Some(Format::Toml),
        Some("application/xml" | "text/xml") => Some(Format::Xml),
        Some("application/hcl" | "text/x-hcl") => Some(Format::Hcl),
        // Defaults of clients (the third is curl's), which say nothing about the format.
        None | Some("application/octet-stream" | "application/x-www-form-urlencoded" | "text/plain") => None,
        Some(_) => {
            let detail = format!(
                "the media type is none that rig reads; leave it out and say ?format={}",
                Format::NAMES
            );
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong-media-type", detail));
        }
    };
    Ok(by_type)
}

/// Returns the idempotency key for the event about a refusal. With the key itself the document may still be captured.
pub fn refusal_id(id: &str) -> String {
    format!("{id}:refused")
}

/// Writes the event about a document that was refused, without its content.
async fn reject(stream: &Stream, request: &Document, problem: &Problem, bytes: u64) -> Result<(), Problem> {
    let event = Event::SnapshotRejected(SnapshotRejected {
        code: problem.code().to_owned(),
        reason: problem.detail().to_owned(),
        // The format asked for may be any text, so only the name of a known one is repeated.
        format: request.format.as_ref().and_then(|f| match f.as_str() {
            SNAPSHOT => Some(SNAPSHOT.to_owned()),
            other => other.parse::<Format>().ok().map(|f| f.to_string()),
        }),
        bytes,
        line: problem.get("line").and_then(Value::as_u64),
        column: problem.get("column").and_then(Value::as_u64),
    });
    let id = request.id.as_deref().filter(|_| request.quiet).map(refusal_id);
    let draft =
        Draft { id, actor: request.actor.clone(), ..Draft::new(Some(request.service.clone()), event) };
    stream.tell(draft).await.map(drop)
}
