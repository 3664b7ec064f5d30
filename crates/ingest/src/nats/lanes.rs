//! The messages of a connection: what was left from before, in order; then what comes, as much at once as may be in work.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::pull::Batch;
use async_nats::jetstream::{self, AckKind};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use super::job::{Alive, Job};
use super::lane::Lane;
use super::message::Snapshot;
use super::session::{ANSWER, Left, Session};

/// The number of devices that are worked on at once.
const LANES: usize = 16;

/// The time that the server waits for messages before it says that there are none.
const EXPIRES: Duration = Duration::from_secs(5);

impl Session {
    /// Takes messages until the hub stops (`Ok`) or something breaks; returns when all that were taken are done or given back.
    pub(super) async fn serve(self, left: Left) -> Result<(), String> {
        let session = Arc::new(self);
        let mut working = JoinSet::new();
        let mut lanes = Lanes { hash: RandomState::new(), lanes: Vec::new(), session: session.clone() };
        for _ in 0..LANES {
            let (jobs, received) = mpsc::channel(session.settings.in_flight);
            lanes.lanes.push(jobs);
            working.spawn(Lane::new(session.clone()).run(received));
        }
        let mut breaks = session.breaks.clone();
        let ended = tokio::select! {
            ended = lanes.fill(left) => ended,
            _ = breaks.changed() => Err("the connection to NATS broke".to_owned()),
            () = session.core.stopping() => Ok(()),
        };
        if ended.is_ok() {
            // Half the time is for those that are begun by then.
            let _ = session.late.set(Instant::now() + session.core.shutdown_deadline() / 2);
        }
        drop(lanes);
        let mut ended = ended;
        while let Some(lane) = working.join_next().await {
            if lane.is_err() {
                ended = Err("a message made the hub fail; this is a defect of rig".to_owned());
            }
        }
        ended
    }

    /// Takes a message into work.
    fn job(
        &self,
        message: Result<jetstream::Message, async_nats::Error>,
        permits: &mut OwnedSemaphorePermit,
    ) -> Result<Job, String> {
        let message = message.map_err(|e| format!("nothing comes from the consumer: {e}"))?;
        let permit = permits.split(1).ok_or("the server sent more than it was asked for")?;
        self.core.step("nats.fetched");
        let info = message.info().map_err(|e| e.to_string())?;
        let (seq, delivered) = (info.stream_sequence, u32::try_from(info.delivered).unwrap_or(u32::MAX));
        let (sign, every) = (message.clone(), self.settings.ack_wait / 3);
        let alive = tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                // If it cannot be said, the message comes again.
                let _ = sign.ack_with(AckKind::Progress).await;
            }
        });
        let read = Snapshot::read(&message.payload, self.core.now());
        let (alive, answered) = (Alive(alive.abort_handle()), AtomicBool::new(false));
        Ok(Job { message, read, seq, delivered, alive, answered, _permit: permit })
    }
}

/// Where messages are handed to the lanes.
struct Lanes {
    hash: RandomState,
    lanes: Vec<mpsc::Sender<Job>>,
    session: Arc<Session>,
}

impl Lanes {
    /// Asks for messages as long as that works, and hands them on.
    async fn fill(&mut self, left: Left) -> Result<(), String> {
        let session = self.session.clone();
        let room = Arc::new(Semaphore::new(session.settings.in_flight));
        self.take_left(left, &room).await?;
        loop {
            let mut permits = acquire(&room, 1).await?;
            permits.merge(acquire(&room, room.available_permits()).await?);
            let (asked, begun) = (permits.num_permits(), Instant::now());
            let mut batch = Taken(session.pull(asked, EXPIRES).await?);
            while let Some(message) = batch.0.next().await {
                self.hand_on(session.job(message, &mut permits)?).await?;
            }
            if permits.num_permits() > 0 && begun.elapsed() > EXPIRES + ANSWER {
                return Err("the server did not answer".to_owned());
            }
        }
    }

    /// Takes what was given out before this and not acknowledged, by a hub that was killed or over a connection that broke, and hands it
    /// on in the order of the stream. The server gives it out again once its time is over, in any order, and may give out what is new
    /// before.
    async fn take_left(&mut self, left: Left, room: &Arc<Semaphore>) -> Result<(), String> {
        let session = self.session.clone();
        let wait = session.settings.ack_wait;
        let deadline = Instant::now() + wait + wait / 10 + ANSWER;
        let mut jobs = BTreeMap::new();
        loop {
            let found = jobs.range(..=left.upto).count();
            let (missing, time) =
                (left.count.saturating_sub(found), deadline.saturating_duration_since(Instant::now()));
            if missing == 0 || time.is_zero() {
                break;
            }
            // No more than that: what is asked for and not waited for is given out to nobody.
            let mut permits = acquire(room, missing.min(room.available_permits())).await?;
            if permits.num_permits() == 0 {
                break;
            }
            let mut batch = Taken(session.pull(permits.num_permits(), time.min(EXPIRES)).await?);
            while let Some(message) = batch.0.next().await {
                let job = session.job(message, &mut permits)?;
                jobs.insert(job.seq, job);
            }
        }
        for job in jobs.into_values() {
            self.hand_on(job).await?;
        }
        Ok(())
    }

    /// Hands a message to the lane of its device.
    async fn hand_on(&self, job: Job) -> Result<(), String> {
        let lane = match &job.read {
            Ok(snapshot) => self.hash.hash_one((&snapshot.tenant, &snapshot.device)) as usize % LANES,
            Err(_) => job.seq as usize % LANES,
        };
        self.lanes[lane].send(job).await.map_err(|_| "a lane ended".to_owned())
    }
}

async fn acquire(room: &Arc<Semaphore>, count: usize) -> Result<OwnedSemaphorePermit, String> {
    room.clone().acquire_many_owned(count as u32).await.map_err(|e| e.to_string())
}

/// Messages as they come. What came and was not handed on is given back.
struct Taken(Batch);

impl Drop for Taken {
    fn drop(&mut self) {
        while let Some(Some(Ok(message))) = self.0.next().now_or_never() {
            tokio::spawn(async move {
                let _ = message.ack_with(AckKind::Nak(None)).await;
            });
        }
    }
}
