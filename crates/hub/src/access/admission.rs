//! Requests in work at once, requests that wait for that, and subscribers: how many there may be of each, and of one client.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::metrics::Exposition;
use crate::problem::Problem;
use crate::settings::Http;
use crate::shares::{Share, Shares};

/// The time that a request waits for its turn.
const WAIT: Duration = Duration::from_secs(10);

/// Requests and subscribers that are let in. Of turns and places one client has half at most: those who send slowly, or
/// come by the thousand, shut out nobody else.
pub(crate) struct Admission {
    working: Shares,
    waiting: Shares,
    subscribers: Shares,
    refused: AtomicU64,
    /// Open connections.
    connections: AtomicU64,
    /// Connections that were cut.
    cut: AtomicU64,
}

impl Admission {
    pub(crate) fn new(http: &Http) -> Admission {
        let half = |all: u32| Shares::new(all as usize, all.div_ceil(2) as usize);
        Admission {
            working: half(http.max_requests.get()),
            waiting: half(http.max_waiting),
            subscribers: Shares::new(
                http.max_subscribers as usize,
                http.max_subscribers_each().min(http.max_subscribers) as usize,
            ),
            refused: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            cut: AtomicU64::new(0),
        }
    }

    /// Waits for a turn. Dropping the share ends the turn.
    pub(crate) async fn enter(&self) -> Result<Share, Problem> {
        if let Some(turn) = self.working.try_take(1) {
            return Ok(turn);
        }
        let wait = async {
            let _place = self.waiting.try_take(1)?;
            tokio::time::timeout(WAIT, self.working.take(1)).await.ok()?
        };
        wait.await.ok_or_else(|| {
            self.refused.fetch_add(1, Relaxed);
            Problem::too_many("too-many-requests", "too many requests are in work; send it again in a moment")
        })
    }

    /// Takes a place among the subscribers. Dropping the share frees the place.
    pub(crate) fn subscribe(&self) -> Result<Share, Problem> {
        self.subscribers.try_take(1).ok_or_else(|| {
            self.refused.fetch_add(1, Relaxed);
            let detail = "there are as many subscribers as hub.toml allows, in all or with one token; come again in a moment";
            Problem::too_many("too-many-subscribers", detail)
        })
    }

    /// Notes the number of open connections, and one that is cut.
    pub(crate) fn connections(&self, open: usize, is_cut: bool) {
        self.connections.store(open as u64, Relaxed);
        self.cut.fetch_add(is_cut.into(), Relaxed);
    }

    /// Adds the numbers of connections, and of refused requests and subscribers.
    pub(crate) fn metrics(&self, text: &mut Exposition) {
        let help = "Requests and subscribers refused because there were too many.";
        let refused = self.refused.load(Relaxed);
        text.family("rig_requests_refused_total", "counter", help, &[(String::new(), refused)]);
        let open = self.connections.load(Relaxed);
        text.family("rig_connections", "gauge", "Open connections.", &[(String::new(), open)]);
        let help = "Connections cut: their clients did not read, sent no request, or were not let in any more, or there was no room.";
        text.family("rig_connections_cut_total", "counter", help, &[(String::new(), self.cut.load(Relaxed))]);
    }
}
