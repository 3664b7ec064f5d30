//! Limits of the requests that one token, or one address without a token, may send.

use std::num::NonZeroU32;

use axum::http::StatusCode;
use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::permit::Party;
use crate::problem::Problem;
use crate::settings::AccessSettings;

/// Requests a second that a hub takes by default if others than this machine reach it.
const DEFAULT: u32 = 2_000;

/// The rate limiter, or `None` if requests are not limited.
pub(super) struct Limits(Option<RateLimiter<Party, HashMapStateStore<Party>, DefaultClock>>);

impl Limits {
    pub(super) fn new(settings: &AccessSettings, local: bool) -> Limits {
        let unless = if local { 0 } else { DEFAULT };
        let rate = settings.requests_per_second.unwrap_or(unless);
        let burst = settings.burst.unwrap_or(rate.saturating_mul(2));
        Limits(NonZeroU32::new(rate).map(|rate| {
            let quota = Quota::per_second(rate);
            RateLimiter::hashmap(NonZeroU32::new(burst).map_or(quota, |burst| quota.allow_burst(burst)))
        }))
    }

    /// Counts a request.
    ///
    /// # Errors
    /// 429 if there were too many.
    pub(super) fn check(&self, key: impl FnOnce() -> Party) -> Result<(), Problem> {
        let Some(limits) = &self.0 else { return Ok(()) };
        limits.check_key(&key()).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now()).as_secs() + 1;
            let detail = format!("too many requests; send it again in {wait} s");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail).with("retry_after", wait)
        })
    }

    /// Forgets the keys without recent requests.
    pub(super) fn forget(&self) {
        if let Some(limits) = &self.0 {
            limits.retain_recent();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_everyone_waits_for_themselves() {
        let settings =
            AccessSettings { requests_per_second: Some(1), burst: Some(3), ..AccessSettings::default() };
        let limits = Limits::new(&settings, true);
        let ask = |peer: &str| limits.check(|| Party::of(peer.parse().unwrap()));
        for _ in 0..3 {
            ask("192.0.2.1").unwrap();
        }
        assert_eq!(ask("::ffff:192.0.2.1").unwrap_err().code(), "too-many-requests");
        ask("192.0.2.2").unwrap();
        for host in 0..3 {
            ask(&format!("2001:db8::{host}")).unwrap();
        }
        assert!(ask("2001:db8::ffff").is_err(), "one network is one party");
        assert!(limits.check(|| Party::Token("a".into())).is_ok());
        assert!(
            Limits::new(&AccessSettings::default(), true).0.is_none(),
            "loopback is not limited unless it is said"
        );
        assert!(Limits::new(&AccessSettings::default(), false).0.is_some());
    }
}
