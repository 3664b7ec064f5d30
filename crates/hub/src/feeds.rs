//! Feeds into streams: for each, a task that appends what threads offer that must not wait.

use std::sync::{Arc, Mutex, PoisonError};

use rig_config::Redactor;
use rig_event::{Body, Draft};
use rig_recorder::feed::{Batch, Closer};
use rig_recorder::{Feed, Intake, Lost};
use tokio::task::JoinHandle;

use crate::capture::encode;
use crate::problem::Problem;
use crate::streams::{Command, Stream};

/// The feeds of a hub that are open.
#[derive(Default)]
pub(crate) struct Feeds(Mutex<Open>);

#[derive(Default)]
struct Open {
    tasks: Vec<(Closer, JoinHandle<()>)>,
    /// True once the hub has drained them: there are no more.
    drained: bool,
}

impl Feeds {
    /// Opens a feed, and starts the task that appends what comes out of it. After [`Feeds::drain`] it is closed from the beginning.
    pub(crate) fn open(
        &self,
        stream: Arc<Stream>,
        room: usize,
        lost: impl Fn(Lost) -> Draft + Send + 'static,
    ) -> Feed {
        let (feed, intake) = Feed::with_room(room);
        let redactor = stream.redactor().clone();
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !open.drained {
            open.tasks.retain(|(_, task)| !task.is_finished());
            let closer = intake.closer();
            let outlet =
                Outlet { stream, redactor, intake, bodies: Vec::new(), load: Lost::default(), warned: false };
            open.tasks.push((closer, tokio::spawn(outlet.run(lost))));
        }
        feed
    }

    /// Closes all feeds, and waits until what is in them is durable or lost.
    pub(crate) async fn drain(&self) {
        let tasks = {
            let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            open.drained = true;
            std::mem::take(&mut open.tasks)
        };
        tasks.iter().for_each(|(closer, _)| closer.close());
        for (_, task) in tasks {
            // A task that panicked has dropped its intake, and its feed reports that.
            let _ = task.await;
        }
    }
}

/// The way from a feed to its stream.
struct Outlet {
    stream: Arc<Stream>,
    redactor: Arc<Redactor>,
    intake: Intake,
    /// The next append.
    bodies: Vec<Body>,
    /// Its loss, if it fails.
    load: Lost,
    /// True once the hub's log says that something was lost.
    warned: bool,
}

impl Outlet {
    /// Appends everything until the feed ends. Every event is redacted before it is encoded, as those of clients are.
    async fn run(mut self, lost: impl Fn(Lost) -> Draft + Send + 'static) {
        while let Some(batch) = self.intake.next().await {
            let Batch { lost: missing, items } = batch;
            if missing != Lost::default() {
                // The feed has counted what is missing, so the event about it counts for nothing.
                self.put(lost(missing), Lost::default()).await;
            }
            for (draft, load) in items {
                self.put(draft, load).await;
            }
            self.append().await;
        }
    }

    /// Adds an event to the next append. An event with an idempotency key is appended by itself: its key may be refused, and the other
    /// events have nothing to do with that.
    async fn put(&mut self, draft: Draft, load: Lost) {
        let keyed = draft.id.is_some();
        match encode(&self.redactor, draft) {
            Ok(body) => {
                if keyed {
                    self.append().await;
                }
                self.bodies.push(body);
                self.load += load;
                if keyed {
                    self.append().await;
                }
            }
            Err(problem) => self.refused(load, &problem),
        }
    }

    /// Appends what is put together.
    async fn append(&mut self) {
        let (bodies, load) = (std::mem::take(&mut self.bodies), std::mem::take(&mut self.load));
        if bodies.is_empty() {
            return;
        }
        if let Err(refused) = self.stream.write(Command::Append(bodies), None, None).await {
            self.refused(load, &Problem::from(refused));
        }
    }

    fn refused(&mut self, load: Lost, problem: &Problem) {
        if !std::mem::replace(&mut self.warned, true) {
            let (stream, code) = (&self.stream.name, problem.code());
            tracing::warn!(%stream, code, "events of a feed cannot be appended and are lost; this is said once");
        }
        self.intake.refused(load, problem.detail());
    }
}
