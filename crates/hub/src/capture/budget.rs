//! The budget for documents: limits on their total size in memory, and on how many are parsed at the same time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;

/// Maximum number of documents that are parsed and judged at the same time. Each takes up to 2.5 times its size and 350 bytes a
/// field, of which there are at most a million. TOML and HCL take up to 40 times their size, so they are limited to 8 MiB.
const PARSING: usize = 2;

/// Maximum wait for a share of the budget.
const WAIT: Duration = Duration::from_secs(10);

/// The memory that documents may take, in shares. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    /// Turns of documents that may still be parsed at the same time.
    parsing: Arc<Semaphore>,
    /// Kibibytes of documents that may still be accepted.
    kibibytes: Arc<Semaphore>,
    most: u64,
}

impl Budget {
    pub(crate) fn new(bytes: u64) -> Budget {
        let kibibytes = Arc::new(Semaphore::new((bytes >> 10) as usize));
        Budget { parsing: Arc::new(Semaphore::new(PARSING)), kibibytes, most: (bytes >> 10).max(1) }
    }

    /// Takes a share for a body of so many bytes. A caller that waits too long is refused.
    ///
    /// # Errors
    /// `busy`.
    pub(crate) async fn reserve(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Problem> {
        let kibibytes = (bytes >> 10).clamp(1, self.most) as u32;
        let busy =
            || Problem::unavailable("busy", "too many large bodies are in work; send it again in a moment");
        let permit = tokio::time::timeout(WAIT, self.kibibytes.clone().acquire_many_owned(kibibytes));
        permit.await.map_err(|_| busy())?.map_err(|_| busy())
    }

    /// Waits for a turn to parse, fold and compare.
    ///
    /// # Errors
    /// `closed`.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let turn = self.parsing.clone().acquire_owned().await;
        turn.map_err(|_| Problem::unavailable("closed", "the hub is closing"))
    }
}
