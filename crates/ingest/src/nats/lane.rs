//! The path of a message: checked, captured, acknowledged.
//!
//! All messages of a device go through one lane, one after the other, in the order of the stream. If a lane cannot process a
//! message now, it gives it back, and so it does with later ones of the same device until that message was redelivered and is
//! done: an older config must never become the latest one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::AckKind;
use async_nats::jetstream::context::GetStreamByNameErrorKind;
use axum::http::StatusCode;
use rig_event::event::SnapshotRejected;
use rig_event::{Draft, Envelope, Event, Head, ServiceName, StreamName};
use rig_hub::{Appended, Document, Problem, refusal_id};
use tokio::sync::mpsc;

use super::ACTOR;
use super::counters::Outcome;
use super::job::Job;
use super::message::{Malformed, Snapshot};
use super::session::Session;
use super::settings::Devices;

/// The number of devices that a lane remembers; of those it forgets it learns from the log again.
const MAX_DEVICES: usize = 8_192;

/// The delay of a message that is given back: it comes again after a second, then two, four …, at most after the time for an acknowledgement.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// The state of a device.
#[derive(Default)]
struct Device {
    /// True if its snapshots are taken, and the log was asked for the last one.
    is_met: bool,
    /// The sequence number of its last message that is done.
    done: u64,
    /// Messages that were given back, each with the time after which it is overdue, and so no longer in the stream.
    back: BTreeMap<u64, Instant>,
}

/// A decision about a message.
enum Verdict {
    /// It is done.
    Done(Outcome),
    /// It cannot be processed now, for a reason outside the message.
    Later(&'static str),
    /// It failed, and is likely to fail again.
    Failed(Problem),
}

/// Processes the messages of some devices until there are no more.
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
        self.session.counters.count(outcome);
    }

    async fn handle(&mut self, job: &Job) -> Outcome {
        let session = self.session.clone();
        let snapshot = match &job.read {
            Ok(snapshot) => snapshot,
            Err(Malformed { code, reason }) => {
                let verdict = session.refuse(job, None, code, reason, Outcome::Malformed).await;
                return self.end(job, verdict, None).await;
            }
        };
        // Templates were checked when the settings were read.
        let Some(names) = session.settings.names(&snapshot.tenant, &snapshot.device) else {
            return self.end(job, Verdict::Later("settings"), None).await;
        };
        if self.devices.len() >= MAX_DEVICES && !self.devices.contains_key(&names) {
            self.devices.retain(|_, device| !device.back.is_empty());
        }
        let device = self.devices.entry(names.clone()).or_default();
        device.back.retain(|_, overdue| Instant::now() < *overdue);
        let is_behind = device.back.first_key_value().is_some_and(|(first, _)| *first < job.seq);
        let verdict = if is_behind {
            Verdict::Later("an earlier message of the device")
        } else {
            session.take(job, snapshot, &names, device).await
        };
        self.end(job, verdict, Some(names)).await
    }

    /// Acknowledges a message according to the verdict.
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
    /// Returns the idempotency key of the events of a message, which is also their origin.
    fn id(&self, seq: u64) -> String {
        format!("nats:{}:{}", self.origin, seq)
    }

    /// Returns what the log knows of a device: the last message that it was captured from, 0 where there is none; `None` for a device whose
    /// snapshots are not taken. The stream is made where it may be.
    async fn meet(
        &self,
        (stream, service): &(StreamName, ServiceName),
        device: &str,
    ) -> Result<Option<u64>, Problem> {
        let streams = self.core.streams();
        let there = streams.get(stream);
        let known = match &self.settings.devices {
            Devices::These(these) => these.contains(device),
            Devices::Any | Devices::Known => true,
        };
        let room = there.is_some() || streams.list().len() < self.settings.max_streams;
        let rig = match (there, &self.settings.devices) {
            (Some(stream), _) => stream,
            (None, Devices::Any | Devices::These(_)) if known && room => streams.get_or_make(stream).await?,
            _ => return Ok(None),
        };
        let state = rig.state().await?;
        let found = state.service(service.as_str());
        if !known || (matches!(self.settings.devices, Devices::Known) && found.is_none()) {
            return Ok(None);
        }
        let Some(seq) = found.map(|service| service.captured_seq).filter(|&seq| seq > 0) else {
            return Ok(Some(0));
        };
        // If the event is pruned, idempotency keys are still there.
        let Ok(lines) = rig.read(seq, seq, 0).await else { return Ok(Some(0)) };
        let Some(Ok(envelope)) = lines.get(seq).map(Envelope::parse) else { return Ok(Some(0)) };
        let Event::SnapshotCaptured(captured) = envelope.event else { return Ok(Some(0)) };
        let from = captured
            .meta
            .get("nats")
            .and_then(|from| from.strip_prefix(&self.origin)?.strip_prefix(':')?.parse().ok());
        Ok(Some(from.unwrap_or(0)))
    }

    /// Captures the document of a message, if its device is accepted and it was not done yet.
    async fn take(
        &self,
        job: &Job,
        snapshot: &Snapshot,
        names: &(StreamName, ServiceName),
        device: &mut Device,
    ) -> Verdict {
        if !device.is_met {
            match self.meet(names, &snapshot.device).await {
                Ok(Some(done)) => {
                    device.is_met = true;
                    device.done = device.done.max(done);
                }
                Ok(None) => {
                    let reason = "the device is none whose snapshots are taken: `devices` and `max_streams` in the hub's settings";
                    return self
                        .refuse(job, Some(names), "unknown-device", reason, Outcome::UnknownDevice)
                        .await;
                }
                Err(problem) => return Verdict::Later(problem.code()),
            }
        }
        if job.seq <= device.done {
            return Verdict::Done(Outcome::Repeated);
        }
        if !tokio::task::block_in_place(|| snapshot.is_whole()) {
            let reason = "sha256_hash is not the SHA-256 of config_text, normalised by version 1 of the collector's rules";
            return self.refuse(job, Some(names), "wrong-hash", reason, Outcome::Malformed).await;
        }
        // The stream may have been removed since.
        let stream = match self.core.streams().get_or_make(&names.0).await {
            Ok(stream) => stream,
            Err(problem) => return Verdict::Later(problem.code()),
        };
        let mut meta = snapshot.meta.clone();
        meta.insert("nats".to_owned(), format!("{}:{}", self.origin, job.seq));
        let document = Document {
            format: Some("routeros".to_owned()),
            actor: Some(ACTOR.to_owned()),
            id: Some(self.id(job.seq)),
            meta,
            quiet: true,
            ..Document::new(names.1.clone(), snapshot.text.clone().into_bytes())
        };
        let captured = self.core.capture(&stream, document).await;
        match captured {
            Ok(Appended { lines: None, .. }) => Verdict::Done(Outcome::Repeated),
            Ok(Appended { lines: Some(lines), .. }) => {
                let captured = lines.iter().any(|(_, line)| {
                    Head::parse(line).is_ok_and(|head| head.type_name == "snapshot.captured")
                });
                Verdict::Done(if captured { Outcome::Captured } else { Outcome::Duplicate })
            }
            Err(problem) if matches!(problem.code(), "defect" | "damaged-log") => Verdict::Failed(problem),
            Err(problem)
                if problem.status().is_client_error()
                    && problem.status() != StatusCode::TOO_MANY_REQUESTS =>
            {
                Verdict::Done(Outcome::Malformed)
            }
            // A fault of the disk, the key server or the hub itself: it passes.
            Err(problem) => Verdict::Later(problem.code()),
        }
    }

    fn give_back(&self, job: &Job, why: &str) -> (Outcome, AckKind) {
        let delay = FIRST_DELAY.saturating_mul(1 << job.delivered.clamp(1, 16).saturating_sub(1));
        let delay = delay.min(self.settings.ack_wait);
        // Once for each message: in an outage each is redelivered many times.
        if job.delivered == 1 {
            tracing::warn!(seq = job.seq, why, "a message of NATS cannot be taken now; it comes again");
        }
        (Outcome::Nak, AckKind::Nak(Some(delay)))
    }

    /// Gives up a message that fails again and again: sends it to the dead letters, if they are configured.
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
        self.core.step("nats.dead-lettered");
        let reason = format!(
            "{}, and it was given out {} times: it went to the dead letters",
            problem.code(),
            job.delivered
        );
        match self.refuse(job, names, "dead-letter", &reason, Outcome::DeadLetter).await {
            Verdict::Done(outcome) => (outcome, AckKind::Term),
            Verdict::Later(why) => self.give_back(job, why),
            Verdict::Failed(problem) => self.give_back(job, problem.code()),
        }
    }

    /// Publishes a message to the dead letters. When this returns, the stream for them has it, or if there is none, the server.
    async fn bury(&self, job: &Job, subject: String, code: &str) -> Result<(), String> {
        let origin = format!("{}:{}", self.origin, job.seq);
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", self.id(job.seq));
        headers.insert("Rig-Code", code);
        headers.insert("Rig-Subject", job.message.subject.as_str());
        headers.insert("Rig-Origin", origin.as_str());
        let payload = job.message.payload.clone();
        match self.context.stream_by_subject(subject.as_str()).await {
            Ok(_) => {
                let sent = self.context.publish_with_headers(subject, headers, payload).await;
                sent.map_err(|e| e.to_string())?.await.map(drop).map_err(|e| e.to_string())
            }
            Err(e) if e.kind() == GetStreamByNameErrorKind::NotFound => {
                let sent = self.client.publish_with_headers(subject, headers, payload).await;
                sent.map_err(|e| e.to_string())?;
                self.client.flush().await.map_err(|e| e.to_string())
            }
            Err(e) => Err(e.to_string()),
        }
    }

    /// Writes an event about a message that is refused, without its content: to the stream that it was for, or to the hub's own.
    async fn refuse(
        &self,
        job: &Job,
        names: Option<&(StreamName, ServiceName)>,
        code: &'static str,
        reason: &str,
        outcome: Outcome,
    ) -> Verdict {
        let stream = names.and_then(|(stream, _)| self.core.streams().get(stream));
        // The hub's own stream is kept for ever, so the events that any sender can cause in it are limited.
        if stream.is_none() && self.untold.check().is_err() {
            tracing::warn!(
                seq = job.seq,
                code,
                "a message of NATS is refused, and so many were that only this line tells"
            );
            return Verdict::Done(outcome);
        }
        let event = Event::SnapshotRejected(SnapshotRejected {
            code: code.to_owned(),
            reason: reason.to_owned(),
            bytes: job.message.payload.len() as u64,
            ..SnapshotRejected::default()
        });
        let draft = Draft {
            id: Some(refusal_id(&self.id(job.seq))),
            actor: Some(ACTOR.to_owned()),
            ..Draft::new(names.map(|(_, service)| service.clone()), event)
        };
        let told = match stream {
            Some(stream) => {
                stream.count_rejected(code);
                self.core.append_own(&stream, draft).await.map(drop)
            }
            None => self.core.tell(draft).await,
        };
        self.core.step("nats.refused");
        told.map_or_else(|problem| Verdict::Later(problem.code()), |()| Verdict::Done(outcome))
    }

    /// Acknowledges a message, and waits for the server's confirmation. Without it the message is delivered again, and
    /// recognized.
    async fn ack(&self, job: &Job, kind: AckKind) {
        self.core.step("nats.ack");
        // A progress report sent after this would cancel a delay.
        job.alive.0.abort();
        job.answered.store(true, Relaxed);
        // A broken connection confirms nothing; the acknowledgement is sent once it is restored.
        let told = match self.is_broken() {
            true => job.message.ack_with(kind).await,
            false => job.message.double_ack_with(kind).await,
        };
        if let Err(e) = told {
            tracing::debug!(seq = job.seq, error = %e, "an acknowledgement is not confirmed");
        }
        self.core.step("nats.acked");
    }
}
