//! Trying again what may go better: exponential backoff with jitter, a bounded number of times.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};

use crate::Error;

/// The first wait.
pub(crate) const FIRST: Duration = Duration::from_millis(100);
/// The longest wait.
pub(crate) const LONGEST: Duration = Duration::from_secs(5);
/// How often something is tried again.
pub(crate) const TIMES: usize = 5;

/// Does it until it succeeds, fails for good, or has failed too often.
pub(crate) async fn retry<T>(mut what: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    let mut waits = ExponentialBuilder::new()
        .with_jitter()
        .with_min_delay(FIRST)
        .with_max_delay(LONGEST)
        .with_max_times(TIMES)
        .build();
    loop {
        let error = match what().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        match waits.next().filter(|_| error.is_transient()) {
            Some(wait) => {
                let wait = wait.max(error.retry_after().unwrap_or_default().min(LONGEST));
                tracing::debug!(%error, ?wait, "trying again");
                tokio::time::sleep(wait).await;
            }
            None => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(transient: bool) -> Error {
        Error::Hub { address: "x".into(), why: "y".into(), transient, retry_after: None }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_transient_is_tried_again_and_what_is_not_is_not() {
        for (transient, failures, tries) in [(true, 2, 3), (false, 2, 1), (true, 100, TIMES + 1)] {
            let mut count = 0;
            let done = retry(async || {
                count += 1;
                if count > failures { Ok(()) } else { Err(failing(transient)) }
            })
            .await;
            assert_eq!((count, done.is_ok()), (tries, transient && failures < 100));
        }
    }
}
