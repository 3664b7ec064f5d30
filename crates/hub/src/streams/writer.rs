//! The writer of a stream: the one task that gives events their place.
//!
//! It takes what has arrived, decides, encodes the places, enqueues everything as one write, and goes on with what arrives
//! while that is synced. When the write is durable it announces the head and answers. Nothing is answered, shown or
//! announced before that.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use rig_config::{BaselineKeys, Policy};
use rig_event::event::{LogPruned, LogSealed};
use rig_event::{Body, Draft, Envelope, Epoch, Event, Seq, ServiceName, StreamName, Timestamp};
use rig_recorder::{AppendError, Claim, EventLog, Keyring, Lines, Pending, Point};
use rig_replay::judge::{self, Approval, By, Declaration, Demand};
use rig_replay::{Capture, Refusal, State};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;

use super::cut::Cut;
use super::ids::Ids;
use super::meters::{Meters, drift_of};
use crate::options::Seals;
use crate::permit::Permit;
use crate::problem::Problem;

/// Most writes enqueued at once: while one is synced, the others wait, and go into one sync together.
const MAX_IN_FLIGHT: usize = 16;

/// Most inputs, and about how many bytes, that one write takes.
const MAX_INPUTS: usize = 4096;
const MAX_WRITE: usize = 8 << 20;

/// The interval at which acceptances are looked through for those whose date has passed.
const EXPIRE_EVERY: Duration = Duration::from_secs(10);

/// From so many microseconds on the clock is behind the log: less is a correction of a clock that is right.
const NOTABLE: i64 = 1_000_000;

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refused>>;

/// An input of the writer.
pub(crate) enum Input {
    /// Append something.
    Write(Box<Write>),
    /// Tell the state and the chain, once everything that came before is durable.
    Inspect(Reply<Cut>),
    /// End once everything that came before is durable.
    Close,
}

/// An append and who waits for it.
pub(crate) struct Write {
    pub(crate) command: Command,
    /// The head that the client believes in.
    pub(crate) expected: Option<Seq>,
    /// The idempotency key of the whole.
    pub(crate) id: Option<String>,
    /// The permission of the request that it comes from; `None` for what the hub itself does.
    pub(crate) permit: Option<Permit>,
    pub(crate) reply: Reply<Appended>,
}

/// A command to append something.
pub(crate) enum Command {
    /// Events as they are.
    Append(Vec<Body>),
    /// The events that a captured document leads to. Where originals are kept, one that is new and names none is given back, to come
    /// again once its original is durable: only here is it certain whether it is new.
    Capture { service: ServiceName, capture: Box<Capture>, originals: bool },
    /// Approve a service's current config.
    Approve { service: ServiceName, approval: Approval, by: By },
    /// Take a baseline back.
    Revoke { service: ServiceName, by: By },
    /// Declare some of a service's fields.
    Declare { service: ServiceName, declaration: Box<Declaration>, by: By },
    /// Take a declaration back.
    Withdraw { service: ServiceName, by: By },
    /// Accept differences from the baseline.
    Accept { service: ServiceName, paths: Vec<String>, until: Option<Timestamp>, by: By },
    /// End the acceptances whose date has passed.
    Expire,
    /// Judge again what stands: the policy may be another, or one of its rules has expired.
    Review,
    /// Tell what is about to be pruned.
    Pruned(LogPruned),
    /// State the chain and the state hash, signed, where there is news since the last seal.
    Seal,
}

/// The events that an append led to, or, for a repeated `id`, had led to.
#[derive(Clone, Debug)]
pub struct Appended {
    /// The first of them.
    pub first_seq: Seq,
    /// The last of them.
    pub last_seq: Seq,
    /// The lines; absent for a repeated `id`: they are in the log.
    pub lines: Option<Lines>,
}

/// Why nothing was appended.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the head is {head}, not {expected}: somebody appended in between")]
    Expected { expected: Seq, head: Seq },
    #[error("the idempotency key {id:?} stands in this batch twice, or was used with other events before")]
    Id { id: String },
    #[error("the document is new, and its original is not kept yet")]
    NoOriginal(Box<Capture>),
    #[error(transparent)]
    Decision(#[from] Refusal),
    #[error(transparent)]
    Event(#[from] rig_event::Error),
    #[error("the log takes no events any more: {0}; restart the hub once the cause is mended")]
    Log(Arc<str>),
    #[error(
        "which keys were used before is not known yet: {0} events are still to be indexed; send it again in a moment"
    )]
    Behind(u64),
    #[error("this is a recording that is played back: it can be read, and nothing can be changed")]
    ReadOnly,
    #[error("{}", .0.detail())]
    NotAnyMore(Problem),
    #[error("the stream was removed, or the hub is stopping")]
    Closed,
}

/// Everything the writer holds.
pub(crate) struct Writer {
    pub(crate) stream: StreamName,
    pub(crate) epoch: Epoch,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) policy: Arc<Policy>,
    /// The clock; the log's own time never runs backwards, whatever this one does.
    pub(crate) clock: fn() -> Timestamp,
    /// When verdicts were last looked through for those that time or another policy changes.
    pub(crate) reviewed: Option<Timestamp>,
    /// The keys of which one must sign every approval, where that is demanded.
    pub(crate) demanded: Option<BaselineKeys>,
    /// The keys that seals are signed with.
    pub(crate) keys: Arc<Keyring>,
    /// When to seal.
    pub(crate) seals: Option<Seals>,
    /// The last seal; 0 where it is not known.
    pub(crate) sealed: Seq,
    /// State and chain with everything that is enqueued, durable or not.
    pub(crate) cut: Cut,
    pub(crate) ids: Ids,
    /// The last durable event.
    pub(crate) head: watch::Sender<Seq>,
    pub(crate) meters: Arc<Meters>,
    /// Set by the first failed write: from then on nothing is taken.
    pub(crate) poisoned: Option<Arc<str>>,
}

/// A write that is enqueued.
struct InFlight {
    pending: Pending,
    since: Instant,
    /// The last of its events, and how many they are.
    last_seq: Seq,
    events: u64,
    answers: Vec<Answer>,
}

/// An answer that is sent when a write is durable.
enum Answer {
    Appended(Reply<Appended>, Appended),
    Inspected(Reply<Cut>, Box<Cut>),
}

impl Answer {
    fn send(self, outcome: Result<(), Refused>) {
        // Who does not wait any more is not told.
        match self {
            Answer::Appended(reply, appended) => drop(reply.send(outcome.map(|()| appended))),
            Answer::Inspected(reply, cut) => drop(reply.send(outcome.map(|()| *cut))),
        }
    }
}

/// A write as it is put together.
struct Batch {
    /// The time of the log.
    now: Timestamp,
    ts: String,
    /// The time by which is decided: that of the clock.
    clock: Timestamp,
    /// It as text, if it is another.
    at: Option<String>,
    first_seq: Seq,
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// Appends in it: first seq, last seq, who waits.
    appends: Vec<(Seq, Seq, Reply<Appended>)>,
    answers: Vec<Answer>,
}

/// Returns an input of the writer's own; nobody waits for it.
fn own(command: Command) -> Input {
    Input::Write(Box::new(own_write(command)))
}

fn own_write(command: Command) -> Write {
    Write { command, expected: None, id: None, permit: None, reply: oneshot::channel().0 }
}

impl Writer {
    /// Runs until every sender of inputs is gone, or it is closed.
    pub(crate) async fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
        let mut in_flight: VecDeque<InFlight> = VecDeque::new();
        let mut arrived = VecDeque::new();
        let mut closing = false;
        let mut expire = tokio::time::interval(EXPIRE_EVERY);
        expire.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let interval = self.seals.unwrap_or_default().interval;
        let mut seal = tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
        seal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let room = in_flight.len() < MAX_IN_FLIGHT && !closing;
            if room && !arrived.is_empty() {
                closing = self.take(&mut arrived, &mut in_flight);
                continue;
            }
            tokio::select! {
                biased;
                outcome = async { (&mut in_flight[0].pending).await }, if !in_flight.is_empty() => {
                    if let Some(write) = in_flight.pop_front() {
                        self.durable(write, outcome);
                    }
                }
                input = inputs.recv(), if room => match input {
                    Some(input) => {
                        arrived.push_back(input);
                        while arrived.len() < MAX_INPUTS && let Ok(input) = inputs.try_recv() {
                            arrived.push_back(input);
                        }
                    }
                    None => closing = true,
                },
                _ = expire.tick(), if room => {
                    arrived.push_back(own(Command::Expire));
                    // After it: what has expired just now stands in the state then.
                    if self.review_is_due() {
                        arrived.push_back(own(Command::Review));
                    }
                }
                _ = seal.tick(), if room && self.seals.is_some() => arrived.push_back(own(Command::Seal)),
                // Closing, and everything is durable.
                else => return,
            }
        }
    }

    /// Returns true if verdicts may be others though nothing is captured: at the first look, for the policy may be new, and when an
    /// ignore rule has expired since the last one.
    fn review_is_due(&mut self) -> bool {
        let now = (self.clock)();
        let due = match self.reviewed {
            None => true,
            Some(since) => self.policy.expires_after(since).is_some_and(|expires| expires <= now),
        };
        if due {
            self.reviewed = Some(now);
        }
        due
    }

    /// Puts what has arrived into one write and enqueues it. Tells whether the end was asked for.
    fn take(&mut self, arrived: &mut VecDeque<Input>, in_flight: &mut VecDeque<InFlight>) -> bool {
        let clock = (self.clock)();
        let now = clock.max(self.cut.state.ts);
        let behind = now.as_micros().saturating_sub(clock.as_micros());
        self.meters.clock_is_behind(behind.max(0) as u64);
        let mut batch = Batch {
            now,
            ts: now.to_string(),
            clock,
            at: (behind >= NOTABLE).then(|| clock.to_string()),
            first_seq: self.cut.state.seq + 1,
            bytes: Vec::new(),
            ends: Vec::new(),
            appends: Vec::new(),
            answers: Vec::new(),
        };
        let mut closing = false;
        self.ids.forget_indexed();
        while batch.bytes.len() < MAX_WRITE
            && !closing
            && let Some(input) = arrived.pop_front()
        {
            match input {
                Input::Write(write) => self.write(*write, &mut batch),
                Input::Inspect(reply) => match &self.poisoned {
                    Some(why) => drop(reply.send(Err(Refused::Log(why.clone())))),
                    None => batch.answers.push(Answer::Inspected(reply, Box::new(self.cut.clone()))),
                },
                Input::Close => closing = true,
            }
        }
        if let Some(seals) = self.seals {
            let unsealed = self.cut.state.seq.saturating_sub(self.sealed);
            if (closing && unsealed > 0) || (unsealed >= seals.events && !batch.ends.is_empty()) {
                self.write(own_write(Command::Seal), &mut batch);
            }
        }
        self.enqueue(batch, in_flight);
        closing
    }

    /// Decides, places and encodes one append; what is refused is answered at once.
    fn write(&mut self, write: Write, batch: &mut Batch) {
        let Write { command, expected, id, permit, reply } = write;
        let head = self.cut.state.seq;
        if let Some(why) = &self.poisoned {
            let _ = reply.send(Err(Refused::Log(why.clone())));
            return;
        }
        // Only here is it certain what comes first: this write, or the end of the token that it came with.
        if let Some(Err(problem)) = permit.map(|permit| permit.check()) {
            return drop(reply.send(Err(Refused::NotAnyMore(problem))));
        }
        let is_seal = matches!(command, Command::Seal);
        let bodies = match self.earlier(&command, id.as_deref()) {
            // Answered with what is enqueued last: by then the earlier append is durable too.
            Ok(Some(appended)) => return batch.answers.push(Answer::Appended(reply, appended)),
            Err(refused) => Err(refused),
            Ok(None) => match expected {
                Some(expected) if expected != head => Err(Refused::Expected { expected, head }),
                _ => self.decide(command, id, batch.clock),
            },
        };
        match bodies {
            Ok(bodies) if bodies.is_empty() => {
                let nothing =
                    Appended { first_seq: head + 1, last_seq: head, lines: Some(Lines::empty(head + 1)) };
                batch.answers.push(Answer::Appended(reply, nothing));
            }
            Ok(bodies) => match self.place(bodies, batch) {
                Ok((first_seq, last_seq)) => {
                    if is_seal {
                        self.sealed = last_seq;
                    }
                    batch.appends.push((first_seq, last_seq, reply));
                }
                Err(refused) => self.refuse(reply, refused),
            },
            Err(refused) => self.refuse(reply, refused),
        }
    }

    /// Tells who waits; what nobody waits for, the writer's own commands, is logged.
    fn refuse(&self, reply: Reply<Appended>, refused: Refused) {
        if reply.is_closed() {
            tracing::warn!(stream = %self.stream, why = %refused, "nobody waits for an append that was refused");
        }
        let _ = reply.send(Err(refused));
    }

    /// The append that had the same idempotency key, or keys, if there was one.
    fn earlier(&self, command: &Command, id: Option<&str>) -> Result<Option<Appended>, Refused> {
        let found = |id: &str| self.ids.find(id).map_err(|e| Refused::Log(e.to_string().into()));
        let range = match (id, command) {
            (Some(id), _) => found(id)?,
            (None, Command::Append(bodies)) => {
                let mut range: Option<(Seq, Seq)> = None;
                let mut known = 0;
                let mut seen = std::collections::HashSet::new();
                for id in bodies.iter().filter_map(|body| body.draft.id.as_deref()) {
                    let other = || Refused::Id { id: id.to_owned() };
                    if !seen.insert(id) {
                        return Err(other());
                    }
                    if let Some(earlier) = found(id)? {
                        known += 1;
                        if range.is_some_and(|range| range != earlier) {
                            return Err(other());
                        }
                        range = Some(earlier);
                    }
                }
                // The same append again has the same keys on as many events; anything else is another append.
                if let Some((first, last)) = range
                    && (known != seen.len() || last - first + 1 != bodies.len() as Seq)
                {
                    let id = seen.into_iter().next().unwrap_or_default().to_owned();
                    return Err(Refused::Id { id });
                }
                range
            }
            _ => None,
        };
        Ok(range.map(|(first_seq, last_seq)| Appended { first_seq, last_seq, lines: None }))
    }

    fn decide(&self, command: Command, id: Option<String>, now: Timestamp) -> Result<Vec<Body>, Refused> {
        let (state, policy) = (&self.cut.state, self.policy.as_ref());
        let mut drafts: Vec<Draft> = match command {
            Command::Append(bodies) => return Ok(bodies),
            Command::Capture { service, capture, originals: true }
                if capture.blob.is_none()
                    && state
                        .service(service.as_str())
                        .is_none_or(|known| !judge::repeats(known, &capture)) =>
            {
                return Err(Refused::NoOriginal(capture));
            }
            // A large document takes its time: other tasks must not wait behind it.
            Command::Capture { service, capture, .. } => {
                tokio::task::block_in_place(|| judge::judge(state, &service, *capture, policy, now))
            }
            Command::Approve { service, approval, by } => {
                let demand = self.demanded.as_ref().map(|keys| Demand { keys, stream: &self.stream });
                judge::approve(state, &service, approval, demand, by)?
            }
            Command::Declare { service, declaration, by } => {
                tokio::task::block_in_place(|| judge::declare(state, &service, *declaration, by, policy, now))
            }
            Command::Withdraw { service, by } => judge::withdraw(state, &service, by)?,
            Command::Revoke { service, by } => judge::revoke(state, &service, by)?,
            Command::Accept { service, paths, until, by } => {
                judge::accept(state, &service, &paths, until, by, policy, now)?
            }
            Command::Expire => judge::expire(state, policy, now),
            Command::Review => tokio::task::block_in_place(|| judge::review(state, policy, now)),
            Command::Pruned(pruned) => vec![Draft::new(None, Event::LogPruned(pruned))],
            Command::Seal if state.seq == self.sealed => Vec::new(),
            Command::Seal => vec![Draft::new(None, Event::LogSealed(self.seal()))],
        };
        if let Some(last) = drafts.last_mut() {
            last.id = id;
        }
        Ok(drafts.into_iter().map(Draft::encode).collect::<Result<_, _>>()?)
    }

    fn seal(&self) -> LogSealed {
        let Cut { state, chain } = &self.cut;
        let (chain, hash) = (chain.to_string(), state.hash());
        let (stream, epoch, upto) = (&self.stream, &self.epoch, state.seq);
        let claim = Claim { stream, epoch, upto, chain: &chain, state: &hash, point: Point::Seal };
        let signatures = self.keys.sign(&claim).into_iter().collect();
        LogSealed { upto: state.seq, chain, state: hash, signatures }
    }

    /// Gives the events of one append their seqs, folds them and writes their lines.
    fn place(&mut self, bodies: Vec<Body>, batch: &mut Batch) -> Result<(Seq, Seq), Refused> {
        let first_seq = self.cut.state.seq + 1;
        let last_seq = first_seq + bodies.len() as Seq - 1;
        for (seq, body) in (first_seq..).zip(bodies) {
            let start = batch.bytes.len();
            body.write_line_at(
                seq,
                &batch.ts,
                batch.at.as_deref(),
                (last_seq - seq) as u32,
                &mut batch.bytes,
            );
            batch.ends.push(batch.bytes.len() as u32);
            self.cut.chain.push(&batch.bytes[start..batch.bytes.len() - 1]);
            if let Some(id) = &body.draft.id {
                self.ids.insert(id.clone(), (first_seq, last_seq));
            }
            let envelope: Envelope = body.into_envelope(seq, batch.now);
            let service = envelope.service.as_ref().map(ServiceName::as_str);
            let counts = matches!(envelope.event.family(), "snapshot" | "diff" | "drift" | "baseline");
            let drift =
                |state: &State| drift_of(service.filter(|_| counts).and_then(|name| state.service(name)));
            let before = drift(&self.cut.state);
            let applied = self.cut.state.apply(&envelope);
            if counts {
                self.meters.placed(&envelope.event, before, drift(&self.cut.state));
            }
            if let Err(e) = applied {
                // What was decided from the state does not fit it: a defect. Nothing of this write may become durable.
                tracing::error!(stream = %self.stream, seq, error = %e, "a decision does not fold; the stream takes no more events");
                let why: Arc<str> = format!("a decision of the hub does not fold: {e}").into();
                self.poisoned = Some(why.clone());
                return Err(Refused::Log(why));
            }
        }
        Ok((first_seq, last_seq))
    }

    fn enqueue(&mut self, batch: Batch, in_flight: &mut VecDeque<InFlight>) {
        let Batch { first_seq, bytes, ends, appends, mut answers, .. } = batch;
        if let Some(why) = &self.poisoned {
            let refused = || Refused::Log(why.clone());
            appends.into_iter().for_each(|(_, _, reply)| drop(reply.send(Err(refused()))));
            answers.into_iter().for_each(|answer| answer.send(Err(refused())));
            return;
        }
        if ends.is_empty() {
            match in_flight.back_mut() {
                Some(last) => last.answers.append(&mut answers),
                None => answers.into_iter().for_each(|answer| answer.send(Ok(()))),
            }
            return;
        }
        let lines = Lines { first_seq, bytes: bytes.into(), ends: ends.into() };
        let since = Instant::now();
        let pending = self.log.append(lines.clone());
        let (last_seq, events) = (lines.last_seq(), lines.len() as u64);
        answers.extend(appends.into_iter().map(|(first_seq, last_seq, reply)| {
            let lines = Some(lines.slice(first_seq, last_seq));
            Answer::Appended(reply, Appended { first_seq, last_seq, lines })
        }));
        in_flight.push_back(InFlight { pending, since, last_seq, events, answers });
    }

    fn durable(&mut self, write: InFlight, outcome: Result<(), AppendError>) {
        let outcome = outcome.map_err(|e| {
            let why = self.poisoned.get_or_insert_with(|| e.to_string().into());
            tracing::error!(stream = %self.stream, error = %e, "a write failed; the stream takes no more events");
            self.meters.failed(why);
            Refused::Log(why.clone())
        });
        if outcome.is_ok() {
            self.meters.committed(write.events, write.since.elapsed());
            self.head.send_replace(write.last_seq);
        }
        for answer in write.answers {
            answer.send(outcome.clone());
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Problem {
        let detail = refused.to_string();
        match refused {
            Refused::Expected { head, .. } => Problem::conflict("expected-seq", detail).with("head", head),
            Refused::Id { .. } => Problem::conflict("id-reused", detail),
            Refused::NoOriginal(_) => Problem::internal("defect", detail),
            Refused::Decision(refusal) => {
                use rig_replay::Refusal;
                let status = match refusal {
                    Refusal::NoSnapshot(_) | Refusal::NoBaseline(_) | Refusal::NoDeclaration(_) => {
                        StatusCode::NOT_FOUND
                    }
                    Refusal::Untrusted(_) => StatusCode::FORBIDDEN,
                    Refusal::OtherDigest { .. } | Refusal::NothingToAccept(_) => StatusCode::CONFLICT,
                    Refusal::Past | Refusal::TooMany(_) | Refusal::Pattern(_) => {
                        StatusCode::UNPROCESSABLE_ENTITY
                    }
                };
                Problem::new(status, refusal.code(), detail)
            }
            Refused::Event(e) => event_problem(&e),
            Refused::Log(_) => Problem::unavailable("log-failed", detail),
            Refused::Behind(_) => Problem::unavailable("busy", detail),
            Refused::NotAnyMore(problem) => problem,
            Refused::ReadOnly => Problem::new(StatusCode::FORBIDDEN, "read-only", detail),
            Refused::Closed => Problem::unavailable("closed", detail),
        }
    }
}

/// Returns the answer to an event that cannot be appended, whether a client sent it or a decision led to it.
pub(crate) fn event_problem(e: &rig_event::Error) -> Problem {
    let (status, code) = match e {
        rig_event::Error::Name { .. } => (StatusCode::BAD_REQUEST, "bad-name"),
        rig_event::Error::Malformed { .. } => (StatusCode::BAD_REQUEST, "malformed-event"),
        rig_event::Error::TooLong { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "event-too-long"),
    };
    Problem::new(status, code, e.to_string())
}
