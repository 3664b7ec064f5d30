//! Requests in work at once, requests that wait for that, and subscribers: how many there may be of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::metrics::Exposition;
use crate::problem::Problem;
use crate::settings::Http;

/// The time that a request waits for its turn.
const WAIT: Duration = Duration::from_secs(10);

/// Requests and subscribers that are let in.
pub(crate) struct Admission {
    working: Semaphore,
    waiting: Semaphore,
    subscribers: Arc<Semaphore>,
    refused: AtomicU64,
}

impl Admission {
    pub(crate) fn new(http: &Http) -> Admission {
        Admission {
            working: Semaphore::new(http.max_requests.get() as usize),
            waiting: Semaphore::new(http.max_waiting as usize),
            subscribers: Arc::new(Semaphore::new(http.max_subscribers as usize)),
            refused: AtomicU64::new(0),
        }
    }

    /// Waits for a turn. Dropping the permit ends the turn.
    pub(crate) async fn enter(&self) -> Result<SemaphorePermit<'_>, Problem> {
        if let Ok(turn) = self.working.try_acquire() {
            return Ok(turn);
        }
        let wait = async {
            let _place = self.waiting.try_acquire().ok()?;
            tokio::time::timeout(WAIT, self.working.acquire()).await.ok()?.ok()
        };
        wait.await.ok_or_else(|| {
            self.refused.fetch_add(1, Relaxed);
            Problem::too_many("too-many-requests", "too many requests are in work; send it again in a moment")
        })
    }

    /// Takes a place among the subscribers. Dropping the permit frees the place.
    pub(crate) fn subscribe(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.subscribers.clone().try_acquire_owned().map_err(|_| {
            self.refused.fetch_add(1, Relaxed);
            let detail = "there are as many subscribers as hub.toml allows; come again in a moment";
            Problem::too_many("too-many-subscribers", detail)
        })
    }

    /// Adds the number of refused requests and subscribers.
    pub(crate) fn metrics(&self, text: &mut Exposition) {
        let help = "Requests and subscribers refused because there were too many.";
        let refused = self.refused.load(Relaxed);
        text.family("rig_requests_refused_total", "counter", help, &[(String::new(), refused)]);
    }
}
