//! One operation on a storage: tried again where that may help, and logged with what came of it.

use std::time::Instant;

use crate::Error;
use crate::retry::retry;
use crate::storage::Storage;

/// An operation on the file, or the folder, of a name.
pub(crate) struct Operation<'a> {
    /// A word for it: `write`, `read`, `look`, `list`, `delete`.
    pub what: &'static str,
    pub storage: &'a dyn Storage,
    pub name: &'a str,
}

impl Operation<'_> {
    /// Does it, and leaves a line in the log: the operation, the path or address, the bytes, how long it took, how many tries, and
    /// the outcome.
    pub async fn run<T>(
        self,
        mut what: impl AsyncFnMut() -> Result<T, Error>,
        bytes: impl Fn(&T) -> Option<u64>,
    ) -> Result<T, Error> {
        let Operation { what: operation, storage, name } = self;
        let (begun, before, mut tries) = (Instant::now(), storage.requests(), 0);
        let done = retry(async || {
            tries += 1;
            what().await
        })
        .await;
        let path = storage.shown(name);
        let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let attempt = (storage.requests() - before).max(tries);
        match &done {
            Ok(done) => {
                let bytes = bytes(done);
                tracing::info!(operation, path, bytes, duration_ms, attempt, outcome = "ok", "snapshot");
            }
            Err(error) => {
                tracing::warn!(operation, path, duration_ms, attempt, outcome = "failed", %error, "snapshot");
            }
        }
        done
    }
}
