//! One message's way: checked, captured, acknowledged.
//!
//! A device's messages all go through one lane, one after the other, in the order in which the stream has them. A lane that cannot do
//! one now gives it back, and those of the same device behind it too, until it has come again and is done: a config that is older
//! than the last must never become the last.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, AckKind};
use axum::http::StatusCode;
use rig_event::event::SnapshotRejected;
use rig_event::{Draft, Envelope, Event, Head, ServiceName, StreamName};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::AbortHandle;

use super::counters::Outcome;
use super::message::{Malformed, Snapshot};
use super::session::Session;
use super::settings::Devices;
use crate::capture;
use crate::problem::Problem;
use crate::stream::Stream;
use crate::writer::{Appended, Command};

/// How many devices a lane remembers; of those it forgets it learns from the log again.
const MAX_DEVICES: usize = 8_192;

/// What is given back comes again after a second, then two, four …, at most after the time for an acknowledgement.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// A message in work.
pub(super) struct Job {
    pub(super) message: jetstream::Message,
    pub(super) read: Result<Snapshot, Malformed>,
    /// Its place in the stream of JetStream.
    pub(super) seq: u64,
    /// How often it was given out, this time included.
    pub(super) delivered: u32,
    /// Tells the server that it is in work, until it is not.
    pub(super) alive: Alive,
    /// Whether the server was told what became of it.
    pub(super) answered: AtomicBool,
    /// Its share of what may be in work.
    pub(super) _permit: OwnedSemaphorePermit,
}

impl Drop for Job {
    /// What was taken and not worked on is given back.
    fn drop(&mut self) {
        if !self.answered.load(Relaxed) {
            let message = self.message.clone();
            tokio::spawn(async move { message.ack_with(AckKind::Nak(None)).await });
        }
    }
}

/// A task that ends with this.
pub(super) struct Alive(pub(super) AbortHandle);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is known of a device.
#[derive(Default)]
struct Device {
    /// Its last message that is done.
    done: u64,
    /// Messages that were given back, and when they are overdue: then they are gone from the stream.
    back: BTreeMap<u64, Instant>,
}

/// What to do with a message.
enum Verdict {
    /// It is done.
    Done(Outcome),
    /// It cannot be done now; it is no fault of the message.
    Later(&'static str),
    /// It failed, and is likely to fail again.
    Failed(Problem),
}

/// Handles the messages of some devices until there are no more.
pub(super) struct Lane {
    pub(super) session: Arc<Session>,
    devices: HashMap<(StreamName, ServiceName), Device>,
}

impl Lane {
    pub(super) fn new(session: Arc<Session>) -> Lane {
        Lane { session, devices: HashMap::new() }
    }

    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.recv().await {
            if self.session.is_late() {
                self.session.ack(&job, AckKind::Nak(None)).await;
                self.count(Outcome::Nak);
                continue;
            }
            let outcome = self.handle(&job).await;
            self.count(outcome);
        }
    }

    fn count(&self, outcome: Outcome) {
        self.session.hub.from_nats.count(outcome);
    }

    async fn handle(&mut self, job: &Job) -> Outcome {
        let session = self.session.clone();
        let snapshot = match &job.read {
            Ok(snapshot) => snapshot,
            Err(Malformed { code, reason }) => {
                let trace = session.reject(job, None, code, reason).await;
                return self
                    .end(
                        job,
                        trace.map_or_else(
                            |_| Verdict::Later("storage"),
                            |()| Verdict::Done(Outcome::Malformed),
                        ),
                        None,
                    )
                    .await;
            }
        };
        // Templates were tried when the settings were read.
        let Some(names) = session.settings.names(&snapshot.tenant, &snapshot.device) else {
            return self.end(job, Verdict::Later("settings"), None).await;
        };
        if !self.devices.contains_key(&names) {
            match session.meet(&names, &snapshot.device).await {
                Ok(Some(done)) => self.remember(names.clone(), done),
                Ok(None) => {
                    let reason = "the device is none whose snapshots are taken (`devices`, `max_streams` in the hub's settings)";
                    let trace = session.reject(job, Some(&names), "unknown-device", reason).await;
                    let verdict = trace.map_or_else(
                        |_| Verdict::Later("storage"),
                        |()| Verdict::Done(Outcome::UnknownDevice),
                    );
                    return self.end(job, verdict, None).await;
                }
                Err(problem) => return self.end(job, Verdict::Later(problem.code()), None).await,
            }
        }
        let device = self.devices.entry(names.clone()).or_default();
        if job.seq <= device.done {
            return self.end(job, Verdict::Done(Outcome::Repeated), Some(names)).await;
        }
        device.back.retain(|_, overdue| Instant::now() < *overdue);
        if device.back.first_key_value().is_some_and(|(first, _)| *first < job.seq) {
            return self.end(job, Verdict::Later("an earlier message of the device"), Some(names)).await;
        }
        let verdict = session.capture(job, snapshot, &names).await;
        self.end(job, verdict, Some(names)).await
    }

    fn remember(&mut self, names: (StreamName, ServiceName), done: u64) {
        if self.devices.len() >= MAX_DEVICES {
            self.devices.retain(|_, device| !device.back.is_empty());
        }
        self.devices.insert(names, Device { done, back: BTreeMap::new() });
    }

    /// Tells the server what is to become of a message.
    async fn end(
        &mut self,
        job: &Job,
        verdict: Verdict,
        names: Option<(StreamName, ServiceName)>,
    ) -> Outcome {
        let session = self.session.clone();
        let (outcome, kind) = match verdict {
            Verdict::Done(outcome) => (outcome, AckKind::Ack),
            Verdict::Later(why) => session.give_back(job, why),
            Verdict::Failed(problem) => session.give_up(job, names.as_ref(), problem).await,
        };
        if let Some(device) = names.and_then(|names| self.devices.get_mut(&names)) {
            match &kind {
                AckKind::Nak(delay) => {
                    let overdue = delay.unwrap_or_default() + session.settings.ack_wait * 2;
                    device.back.insert(job.seq, Instant::now() + overdue);
                }
                _ => {
                    device.done = device.done.max(job.seq);
                    device.back.remove(&job.seq);
                }
            }
        }
        session.ack(job, kind).await;
        outcome
    }
}

impl Session {
    /// The idempotency key of what a message leads to, and where it is from.
    fn id(&self, seq: u64) -> String {
        format!("nats:{}:{}", self.origin, seq)
    }

    /// What the log knows of a device: the last message that it was captured from, 0 where there is none; `None` for a device whose
    /// snapshots are not taken. The stream is made where it may be.
    async fn meet(
        &self,
        (stream, service): &(StreamName, ServiceName),
        device: &str,
    ) -> Result<Option<u64>, Problem> {
        let hub = &self.hub;
        let there = hub.get(stream);
        let known = match &self.settings.devices {
            Devices::These(these) => these.contains(device),
            Devices::Any | Devices::Known => true,
        };
        let room = there.is_some() || hub.list().len() < self.settings.max_streams;
        let rig = match (there, &self.settings.devices) {
            (Some(stream), _) => stream,
            (None, Devices::Any | Devices::These(_)) if known && room => hub.make(stream.as_str()).await?.0,
            _ => return Ok(None),
        };
        let state = rig.inspect().await?.state;
        let found = state.service(service.as_str());
        if !known || (matches!(self.settings.devices, Devices::Known) && found.is_none()) {
            return Ok(None);
        }
        let Some(seq) = found.map(|service| service.captured_seq).filter(|&seq| seq > 0) else {
            return Ok(Some(0));
        };
        // Where it is pruned the keys of idempotency are left.
        let Ok(lines) = rig.read(seq, seq, 0).await else { return Ok(Some(0)) };
        let Some(Ok(envelope)) = lines.get(seq).map(Envelope::parse) else { return Ok(Some(0)) };
        let Event::SnapshotCaptured(captured) = envelope.event else { return Ok(Some(0)) };
        let from = captured
            .meta
            .get("nats")
            .and_then(|from| from.strip_prefix(&self.origin)?.strip_prefix(':')?.parse().ok());
        Ok(Some(from.unwrap_or(0)))
    }

    /// Captures what a message holds.
    async fn capture(&self, job: &Job, snapshot: &Snapshot, names: &(StreamName, ServiceName)) -> Verdict {
        let hub = &self.hub;
        if !tokio::task::block_in_place(|| snapshot.is_whole()) {
            let reason = "sha256_hash is not the SHA-256 of config_text, normalised by version 1 of the collector's rules";
            return match self.reject(job, Some(names), "wrong-hash", reason).await {
                Ok(()) => Verdict::Done(Outcome::Malformed),
                Err(problem) => Verdict::Later(problem.code()),
            };
        }
        let stream = match hub.get(&names.0) {
            Some(stream) => stream,
            // It was removed since.
            None => match hub.make(names.0.as_str()).await {
                Ok((stream, _)) => stream,
                Err(problem) => return Verdict::Later(problem.code()),
            },
        };
        let mut meta = snapshot.meta.clone();
        meta.insert("nats".to_owned(), format!("{}:{}", self.origin, job.seq));
        let request = capture::Request {
            service: names.1.clone(),
            format: Some("routeros".to_owned()),
            name: None,
            actor: Some("nats".to_owned()),
            id: Some(self.id(job.seq)),
            meta,
            quiet: true,
        };
        let captured = capture::ingest(hub, &stream, request, None, snapshot.text.clone().into_bytes()).await;
        match captured {
            Ok(Appended { lines: None, .. }) => Verdict::Done(Outcome::Repeated),
            Ok(Appended { lines: Some(lines), .. }) => {
                let captured = lines.iter().any(|(_, line)| {
                    Head::parse(line).is_ok_and(|head| head.type_name == "snapshot.captured")
                });
                Verdict::Done(if captured { Outcome::Captured } else { Outcome::Duplicate })
            }
            Err(problem) if problem.status().is_client_error() => Verdict::Done(Outcome::Malformed),
            Err(problem)
                if problem.status() == StatusCode::SERVICE_UNAVAILABLE || problem.code() == "storage" =>
            {
                Verdict::Later(problem.code())
            }
            Err(problem) => Verdict::Failed(problem),
        }
    }

    fn give_back(&self, job: &Job, why: &str) -> (Outcome, AckKind) {
        let delay = FIRST_DELAY.saturating_mul(1 << job.delivered.clamp(1, 16).saturating_sub(1));
        let delay = delay.min(self.settings.ack_wait);
        tracing::warn!(seq = job.seq, why, ?delay, "a message of NATS cannot be taken now; it comes again");
        (Outcome::Nak, AckKind::Nak(Some(delay)))
    }

    /// Sends a message that fails again and again where the operator wants it.
    async fn give_up(
        &self,
        job: &Job,
        names: Option<&(StreamName, ServiceName)>,
        problem: Problem,
    ) -> (Outcome, AckKind) {
        let Some(subject) =
            self.settings.dead_letter.clone().filter(|_| job.delivered >= self.settings.max_deliver)
        else {
            return self.give_back(job, problem.code());
        };
        if let Err(why) = self.bury(job, subject, problem.code()).await {
            tracing::warn!(seq = job.seq, why, "a message of NATS cannot be sent to the dead letters");
            return self.give_back(job, "dead letters");
        }
        (self.hub.options.step)("dead-lettered");
        let reason =
            format!("{} in {} tries; the message went to the dead letters", problem.code(), job.delivered);
        match self.reject(job, names, "dead-letter", &reason).await {
            Ok(()) => (Outcome::DeadLetter, AckKind::Term),
            Err(problem) => self.give_back(job, problem.code()),
        }
    }

    /// Publishes a message to the dead letters. Where a stream takes them it has it when this returns; else the server has it.
    async fn bury(&self, job: &Job, subject: String, code: &str) -> Result<(), String> {
        let letter = PublishMessage::build()
            .payload(job.message.payload.clone())
            .message_id(self.id(job.seq))
            .header("Rig-Code", code)
            .header("Rig-Subject", job.message.subject.as_str())
            .header("Rig-Origin", format!("{}:{}", self.origin, job.seq).as_str());
        let sent = self.context.send_publish(subject, letter).await.map_err(|e| e.kind().to_string())?;
        match sent.await {
            Ok(_) => Ok(()),
            Err(e) if e.kind() == PublishErrorKind::StreamNotFound => {
                self.client.flush().await.map_err(|e| e.to_string())
            }
            Err(e) => Err(e.kind().to_string()),
        }
    }

    /// Leaves a trace of a message that is refused, without its content: in the stream that it was for, or in the hub's own.
    async fn reject(
        &self,
        job: &Job,
        names: Option<&(StreamName, ServiceName)>,
        code: &'static str,
        reason: &str,
    ) -> Result<(), Problem> {
        let stream = names.and_then(|(stream, _)| self.hub.get(stream));
        // The hub's own stream is kept for ever: it does not take without bound what anyone may send.
        if stream.is_none() && self.untold.check().is_err() {
            tracing::warn!(
                seq = job.seq,
                code,
                "a message of NATS is refused, and so many were that only this line tells"
            );
            return Ok(());
        }
        let event = Event::SnapshotRejected(SnapshotRejected {
            code: code.to_owned(),
            reason: reason.to_owned(),
            bytes: job.message.payload.len() as u64,
            ..SnapshotRejected::default()
        });
        let draft = Draft {
            id: Some(capture::refusal_id(&self.id(job.seq))),
            actor: Some("nats".to_owned()),
            ..Draft::new(names.map(|(_, service)| service.clone()), event)
        };
        match stream {
            Some(stream) => {
                stream.meters.rejected(code);
                tell(&stream, draft).await?;
            }
            None => self.hub.tell(draft).await?,
        }
        (self.hub.options.step)("refused");
        Ok(())
    }

    /// Acknowledges in one way or another, and waits until the server has it. Where it does not, the message comes again, and is known.
    async fn ack(&self, job: &Job, kind: AckKind) {
        (self.hub.options.step)("ack");
        // A sign of life that comes after this would undo a delay.
        job.alive.0.abort();
        job.answered.store(true, Relaxed);
        if let Err(e) = job.message.double_ack_with(kind).await {
            tracing::debug!(seq = job.seq, error = %e, "an acknowledgement is not confirmed");
        }
        (self.hub.options.step)("acked");
    }
}

async fn tell(stream: &Stream, draft: Draft) -> Result<(), Problem> {
    let body = draft.encode().map_err(|e| Problem::internal("defect", e.to_string()))?;
    stream.write(Command::Append(vec![body]), None, None).await?;
    Ok(())
}
