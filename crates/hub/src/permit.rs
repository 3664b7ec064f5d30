//! `Permit`: what the request that is being answered may still do, for the places deep below its route where it takes effect.
//!
//! A request is admitted when its head has arrived. Its body may come for minutes, and it may wait for its turn: by then its token
//! may have been revoked. So whatever writes asks again at the moment at which it can no longer be held back.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use crate::problem::Problem;

/// The client that a request is counted for: one token, or one address without a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Party {
    /// The id of a token.
    Token(Arc<str>),
    /// An address. Of version 6 only the network is kept, since one party has 2^64 addresses in it.
    Peer(IpAddr),
}

impl Party {
    /// Returns the party of an address.
    pub(crate) fn of(peer: IpAddr) -> Party {
        Party::Peer(match peer.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
            v4 => v4,
        })
    }
}

tokio::task_local! {
    static CURRENT: Permit;
}

type Check = dyn Fn() -> Result<(), Problem> + Send + Sync;

/// The permission of a request. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Permit {
    party: Party,
    check: Arc<Check>,
}

impl Permit {
    /// Creates the permission of a request of `party`. `check` refuses it once it has ended.
    pub(crate) fn new(
        party: Party,
        check: impl Fn() -> Result<(), Problem> + Send + Sync + 'static,
    ) -> Permit {
        Permit { party, check: Arc::new(check) }
    }

    /// Returns the permission of the request that is being answered; `None` in a task of the hub's own.
    pub(crate) fn current() -> Option<Permit> {
        CURRENT.try_with(Permit::clone).ok()
    }

    /// Refuses what the request that is being answered is about to do, if its permission has ended.
    ///
    /// # Errors
    /// 401.
    pub(crate) fn check_current() -> Result<(), Problem> {
        CURRENT.try_with(|permit| permit.check()).unwrap_or(Ok(()))
    }

    /// Refuses what the request is about to do, if its permission has ended.
    ///
    /// # Errors
    /// 401.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        (self.check)()
    }

    /// Returns the client that the request is counted for.
    pub(crate) fn party(&self) -> &Party {
        &self.party
    }

    /// Runs a part of a request under its permission.
    pub(crate) async fn cover<T>(permit: Option<Permit>, work: impl Future<Output = T>) -> T {
        match permit {
            Some(permit) => CURRENT.scope(permit, work).await,
            None => work.await,
        }
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permit").field("party", &self.party).finish_non_exhaustive()
    }
}
