//! A document's way to the writer: received within bounds, parsed, digested and redacted, before anything is encoded.
//!
//! What is refused leaves a `snapshot.rejected` with the place of the fault and nothing of the content.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use rig_config::{Format, Redactor, SnapshotFile, config_digest, normalise, parse, snapshot_file};
use rig_event::event::SnapshotRejected;
use rig_event::{Draft, Envelope, Event, ServiceName};
use rig_replay::Capture;
use rig_replay::judge::Declaration;
use tokio::sync::OwnedSemaphorePermit;
use zeroize::Zeroizing;

use crate::Shared;
use crate::coding::Coding;
use crate::problem::Problem;
use crate::secrecy;
use crate::stream::Stream;
use crate::writer::{Appended, Command, Refused};

/// The slowest that a document may come, in bytes a second, beyond the time that a request may take for its next piece.
const MIN_RATE: u64 = 256 << 10;

/// The format of a snapshot file, as it is asked for and as it stands in events.
pub(crate) const SNAPSHOT: &str = "snapshot";

/// The most that may be said with a document beyond it, in bytes.
pub(crate) const MAX_META: usize = 16 << 10;

/// What a client says about a document.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) service: ServiceName,
    pub(crate) format: Option<String>,
    /// A file name that tells the format.
    pub(crate) name: Option<String>,
    pub(crate) actor: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) meta: BTreeMap<String, String>,
    /// Whether a repeat leaves nothing: neither a `snapshot.unchanged`, nor a second `snapshot.rejected` under the same `id`.
    pub(crate) quiet: bool,
}

/// Captures the document in the body of a request.
pub(crate) async fn capture(
    hub: &Shared,
    stream: &Arc<Stream>,
    request: Request,
    headers: &HeaderMap,
    body: Body,
) -> Result<Appended, Problem> {
    let mut received = 0;
    match receive(hub, headers, body, &mut received).await {
        Ok((document, _budget)) => ingest(hub, stream, request, essence(headers).as_deref(), document).await,
        Err(problem) => {
            refuse(stream, &request, &problem, received).await?;
            Err(problem)
        }
    }
}

/// Captures a document, wherever it came from: this is the one way to the writer. `media_type` is what its sender says it is, if
/// anything. What is refused has left its trace when this returns.
pub(crate) async fn ingest(
    hub: &Shared,
    stream: &Arc<Stream>,
    request: Request,
    media_type: Option<&str>,
    document: Vec<u8>,
) -> Result<Appended, Problem> {
    let bytes = document.len() as u64;
    // Held until the document is judged: parsed it takes a multiple of its size.
    let _parsing = hub.parsing.clone().acquire_owned().await;
    let keeps = stream.blobs.is_some() && hub.options.settings.blobs.keep;
    let original = keeps.then(|| Zeroizing::new(document.clone()));
    let capture = match understand(hub, media_type, &request, document).await {
        Ok(capture) => capture,
        Err(problem) => {
            refuse(stream, &request, &problem, bytes).await?;
            return Err(problem);
        }
    };
    (hub.options.step)("capture.write");
    let digest = capture.digest.clone();
    let (service, id) = (request.service.clone(), request.id.clone());
    let capture = Command::Capture { service, capture: Box::new(capture), originals: keeps };
    let written = match (stream.write(capture, None, id).await, original) {
        (Err(Refused::NoOriginal(capture)), Some(original)) => {
            // Not cut short when the client hangs up: the original must be known as one about to be named until it is.
            let keeping = with_original(hub.clone(), stream.clone(), request.clone(), capture, original);
            let kept = tokio::spawn(keeping).await;
            kept.unwrap_or_else(|e| Err(Problem::internal("defect", e.to_string())))
        }
        (written, _) => written.map_err(Problem::from),
    };
    let refused = match written {
        Ok(appended) => {
            stream.meters.captured();
            return same_request(stream, &request, &digest, appended).await;
        }
        Err(refused) => refused,
    };
    // What a decision led to did not fit an event.
    if refused.code() == "event-too-long" {
        refuse(stream, &request, &refused, bytes).await?;
    }
    Err(refused)
}

/// Keeps the original of a document that is new, and captures it then.
async fn with_original(
    hub: Shared,
    stream: Arc<Stream>,
    request: Request,
    capture: Box<Capture>,
    original: Zeroizing<Vec<u8>>,
) -> Result<Appended, Problem> {
    let named = secrecy::keep(&hub, &stream, original).await?;
    let capture = Box::new(Capture { blob: Some(named.id().to_string()), ..*capture });
    let capture = Command::Capture { service: request.service, capture, originals: true };
    let appended = stream.write(capture, None, request.id).await?;
    (hub.options.step)("capture.appended");
    Ok(appended)
}

/// Counts a document that is refused, and leaves a trace of it.
async fn refuse(stream: &Stream, request: &Request, problem: &Problem, bytes: u64) -> Result<(), Problem> {
    stream.meters.rejected(problem.code());
    // A hub that is too busy refuses the request, not the document; and what comes by itself comes again.
    let passes = problem.code() == "busy" || request.quiet && problem.status().is_server_error();
    if passes { Ok(()) } else { reject(stream, request, problem, bytes).await }
}

/// Reads and understands a document that declares some of a service's fields. What is refused leaves no trace: nothing that
/// runs was captured.
pub(crate) async fn declaration(
    hub: &Shared,
    request: Request,
    headers: &HeaderMap,
    body: Body,
) -> Result<Declaration, Problem> {
    let (document, _budget) = receive(hub, headers, body, &mut 0).await?;
    let _parsing = hub.parsing.clone().acquire_owned().await;
    let Capture { digest, config_digest, format, config, .. } =
        understand(hub, essence(headers).as_deref(), &request, document).await?;
    Ok(Declaration { digest, config_digest, format, config })
}

/// Whether what stands in the log as by `told` is by the same party: by who sent it, whoever that one said it acts for. What another
/// sent is not shown to who guesses its key. Nobody who has to show a token is without a name.
pub(crate) fn is_by(told: Option<&str>, by: Option<&str>) -> bool {
    let party = |actor: &str| actor.split('/').next().unwrap_or_default().to_owned();
    by.is_none_or(|by| told.map(party) == Some(party(by)))
}

/// A key that was used before must have been used for the same service and document, by the same party.
async fn same_request(
    stream: &Stream,
    request: &Request,
    digest: &str,
    appended: Appended,
) -> Result<Appended, Problem> {
    if appended.lines.is_some() {
        return Ok(appended);
    }
    // Under another key, or by other rules, the same document has another digest.
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

/// Reads the whole document. The budget is given back when the permit goes.
pub(crate) async fn receive(
    hub: &Shared,
    headers: &HeaderMap,
    body: Body,
    received: &mut u64,
) -> Result<(Vec<u8>, OwnedSemaphorePermit), Problem> {
    let limit = hub.options.limits.bytes;
    let too_large = || {
        let detail = format!("the document is larger than the limit of {limit} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail).with("limit", limit)
    };
    let coding = Coding::of(headers)?;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > limit) {
        return Err(too_large());
    }
    let permit = hub.reserve(announced.unwrap_or(limit)).await?;
    // Nobody may hold on to the budget by sending a byte now and then.
    let whole = hub.options.read_timeout + Duration::from_secs(announced.unwrap_or(limit) / MIN_RATE);
    let deadline = tokio::time::Instant::now() + whole;

    let broken = |why: String| Problem::bad_request("incomplete-body", format!("the body broke off: {why}"));
    let mut body = body;
    let mut document = Vec::with_capacity(announced.unwrap_or(0) as usize);
    loop {
        let next = deadline.min(tokio::time::Instant::now() + hub.options.read_timeout);
        let Ok(frame) = tokio::time::timeout_at(next, body.frame()).await else {
            let detail = "the document came too slowly";
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-body", detail));
        };
        match frame {
            None => break,
            Some(Err(e)) => return Err(broken(e.to_string())),
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                *received += data.len() as u64;
                if *received > limit {
                    return Err(too_large());
                }
                document.extend_from_slice(&data);
            }
        }
    }
    match coding {
        Some(coding) => coding.unpack(hub, document.into(), limit, too_large).await,
        None => Ok((document, permit)),
    }
}

/// Parses, digests and redacts.
async fn understand(
    hub: &Shared,
    media_type: Option<&str>,
    request: &Request,
    document: Vec<u8>,
) -> Result<Capture, Problem> {
    let asked = request.format.as_deref();
    // A snapshot file, said to be one: it has no other format.
    let is_snapshot =
        asked == Some(SNAPSHOT) || asked.is_none() && media_type == Some(snapshot_file::MEDIA_TYPE);
    let format = if is_snapshot { None } else { Some(format_of(media_type, request, &document)?) };
    let as_json = asked.is_some() && !is_snapshot;
    let (redactor, limits, step) = (hub.redactor.clone(), hub.options.limits.clone(), hub.options.step);
    let parsed = tokio::task::spawn_blocking(move || {
        step("capture.parse");
        let bytes = document.len() as u64;
        // A snapshot file is JSON too; asked for as JSON it is a document like any other.
        let snapshot = match format {
            Some(Format::Json) | None if !as_json => SnapshotFile::read(&document, &limits)?,
            _ => None,
        };
        if let Some(snapshot) = snapshot {
            drop(document);
            return Ok(captured(snapshot, bytes, &redactor));
        }
        let Some(format) = format else { return Err(no_snapshot()) };
        let mut parsed = parse(document, format, &limits)?;
        let (digest, redacted) = parsed.digest_then_redact(&redactor);
        Ok(Capture {
            format: format.to_string(),
            bytes,
            normalisation: normalise::version(format),
            digest,
            config_digest: config_digest(&parsed.config),
            config: parsed.config,
            redacted: redacted as u64,
            ..Capture::default()
        })
    });
    let capture = parsed
        .await
        .map_err(|_| Problem::internal("defect", "parsing the document failed; this is a defect of rig"))?;
    let capture = capture.map_err(|e: rig_config::Error| {
        let status = match e.code() {
            "too-large" => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let mut problem = Problem::new(status, e.code(), e.to_string());
        for (key, place) in [("line", e.line()), ("column", e.column())] {
            if let Some(place) = place {
                problem = problem.with(key, place);
            }
        }
        problem.with("format", format.map_or(SNAPSHOT, Format::as_str))
    })?;
    // What the client says stands over what the file says.
    let said = capture.meta.iter().chain(&request.meta);
    let mut meta: serde_json::Value =
        said.map(|(key, value)| (key.clone(), serde_json::Value::from(value.as_str()))).collect();
    hub.redactor.redact_event(&mut "meta".to_owned(), &mut meta);
    let redacted = meta.as_object_mut().map(std::mem::take).unwrap_or_default().into_iter();
    let texts = redacted.map(|(key, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (key, text)
    });
    Ok(Capture { meta: texts.collect(), actor: request.actor.clone(), quiet: request.quiet, ..capture })
}

/// The media type without its parameters.
pub(crate) fn essence(headers: &HeaderMap) -> Option<String> {
    let media_type = headers.get(header::CONTENT_TYPE).map(|v| v.to_str().unwrap_or("?"));
    media_type.map(|m| m.split(';').next().unwrap_or(m).trim().to_ascii_lowercase())
}

/// A snapshot file as a capture. What is digested is what it says of the configuration: its time is another one each time.
fn captured(mut snapshot: SnapshotFile, bytes: u64, redactor: &Redactor) -> Capture {
    let sources: BTreeMap<String, String> =
        snapshot.provenance.iter().map(|(path, origin)| (path.clone(), origin.source.to_string())).collect();
    let digest = redactor.digest(&serde_json::to_string(&(&snapshot.config, &sources)).unwrap_or_default());
    let redacted = snapshot.redact(redactor, Format::Json) as u64;
    let SnapshotFile { config, mut audit, .. } = snapshot;
    // The service is told by the address.
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
        redacted,
        meta: audit,
        provenance: sources,
        ..Capture::default()
    }
}

fn no_snapshot() -> rig_config::Error {
    rig_config::Error::BadSnapshotFile {
        why: "it is no JSON object with `version`, `timestamp` and `config`".to_owned(),
    }
}

/// The format: what was asked for, else what the media type says, else what name and content look like.
fn format_of(media_type: Option<&str>, request: &Request, document: &[u8]) -> Result<Format, Problem> {
    if let Some(asked) = &request.format {
        return asked.parse().map_err(|e: rig_config::Error| {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, e.code(), e.to_string())
        });
    }
    let by_type = match media_type {
        Some("application/json") => Some(Format::Json),
        Some("application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml") => Some(Format::Yaml),
        Some("application/toml" | "text/x-toml") => Some(Format::Toml),
        Some("application/xml" | "text/xml") => Some(Format::Xml),
        Some("application/hcl" | "text/x-hcl") => Some(Format::Hcl),
        // What clients send when they were not told (the third by curl): it says nothing.
        None | Some("application/octet-stream" | "application/x-www-form-urlencoded" | "text/plain") => None,
        Some(_) => {
            let detail = format!(
                "the media type is none that rig reads; leave it out and say ?format={}",
                Format::NAMES
            );
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong-media-type", detail));
        }
    };
    by_type.or_else(|| Format::detect(request.name.as_deref(), document)).ok_or_else(|| {
        let detail =
            format!("the format cannot be told from name and content; say ?format={}", Format::NAMES);
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown-format", detail)
    })
}

/// The idempotency key of the trace of what is refused; with the key itself it may still be captured.
pub(crate) fn refusal_id(id: &str) -> String {
    format!("{id}:refused")
}

/// Leaves a trace of a document that was refused, without its content.
async fn reject(stream: &Stream, request: &Request, problem: &Problem, bytes: u64) -> Result<(), Problem> {
    let event = Event::SnapshotRejected(SnapshotRejected {
        code: problem.code().to_owned(),
        reason: problem.detail().to_owned(),
        // A format that was asked for may be anything: only the name of one is repeated.
        format: request.format.as_ref().and_then(|f| match f.as_str() {
            SNAPSHOT => Some(SNAPSHOT.to_owned()),
            other => other.parse::<Format>().ok().map(|f| f.to_string()),
        }),
        bytes,
        line: problem.get("line").and_then(serde_json::Value::as_u64),
        column: problem.get("column").and_then(serde_json::Value::as_u64),
    });
    let id = request.id.as_deref().filter(|_| request.quiet).map(refusal_id);
    let draft =
        Draft { id, actor: request.actor.clone(), ..Draft::new(Some(request.service.clone()), event) };
    stream.tell(draft).await.map(drop)
}
