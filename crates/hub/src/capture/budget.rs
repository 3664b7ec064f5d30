//! The budget for documents: limits on their total size in memory, and on how many are parsed at the same time.

use std::sync::Arc;
use std::time::Duration;

use crate::problem::Problem;
use crate::shares::{Share, Shares};

/// Maximum number of documents that are parsed and judged at the same time. Each takes up to 2.5 times its size and 350 bytes a
/// field, of which there are at most a million. TOML and HCL take up to 40 times their size, so they are limited to 8 MiB.
const PARSING: usize = 2;

/// Maximum wait for a share of the budget.
const WAIT: Duration = Duration::from_secs(10);

/// The least that is taken of the budget for a body that grows, in bytes.
const PIECE: u64 = 256 << 10;

/// The memory that documents may take, in shares. One client has half of it at most. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    /// Turns of documents that may still be parsed at the same time.
    parsing: Arc<Shares>,
    /// Kibibytes of documents that may still be accepted.
    kibibytes: Arc<Shares>,
    most: u64,
}

impl Budget {
    /// Creates a budget of so many bytes, of which one client has half, but always enough for a document of the largest size.
    pub(crate) fn new(bytes: u64, largest: u64) -> Budget {
        let most = (bytes >> 10).max(1);
        let each = (most / 2).max(largest >> 10).min(most);
        let kibibytes = Arc::new(Shares::new(most as usize, each as usize));
        Budget { parsing: Arc::new(Shares::new(PARSING, PARSING)), kibibytes, most }
    }

    /// Takes a share for so many bytes. A caller that waits too long is refused.
    ///
    /// # Errors
    /// `busy`.
    pub(crate) async fn reserve(&self, bytes: u64) -> Result<Share, Problem> {
        let kibibytes = (bytes >> 10).clamp(1, self.most) as u32;
        let share = tokio::time::timeout(WAIT, self.kibibytes.take(kibibytes)).await.ok().flatten();
        share.ok_or_else(|| {
            Problem::unavailable("busy", "too many large bodies are in work; send it again in a moment")
        })
    }

    /// Waits for a turn to parse, fold and compare.
    ///
    /// # Errors
    /// `closed`.
    pub(crate) async fn turn(&self) -> Result<Share, Problem> {
        self.parsing.take(1).await.ok_or_else(|| Problem::unavailable("closed", "the hub is closing"))
    }

    /// Returns the charge for a body that has not come yet. Its first `free` bytes cost nothing.
    pub(crate) fn charge(&self, free: u64) -> Charge<'_> {
        Charge { budget: self, paid: free, held: None }
    }
}

/// The share of a body that grows: it is charged as its bytes come, not as they are announced.
pub(crate) struct Charge<'a> {
    budget: &'a Budget,
    /// Bytes that are paid.
    paid: u64,
    held: Option<Share>,
}

impl Charge<'_> {
    /// Pays until the body may have so many bytes. The pieces grow with the body, so that there are few.
    ///
    /// # Errors
    /// `busy`.
    pub(crate) async fn pay(&mut self, bytes: u64) -> Result<(), Problem> {
        if bytes <= self.paid {
            return Ok(());
        }
        let piece = (bytes - self.paid).max(PIECE).max(self.paid / 4);
        let share = self.budget.reserve(piece).await?;
        self.paid += piece;
        match &mut self.held {
            Some(held) => held.add(share),
            None => self.held = Some(share),
        }
        Ok(())
    }

    /// Lets the party have as much once more: its body is here, and needs memory for what is packed in it.
    pub(crate) fn is_here(&mut self) {
        if let Some(held) = &mut self.held {
            held.leave_line();
        }
    }

    /// Returns what is held for the body.
    pub(crate) fn held(self) -> Option<Share> {
        self.held
    }
}
