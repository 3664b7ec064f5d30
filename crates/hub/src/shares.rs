//! `Shares`: something of which there is only so much, and of which no client may hold more than a part.
//!
//! A client waits in a line of its own first, so that one with many requests does not stand before the others many times.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::permit::{Party, Permit};

/// The number of parties that are remembered before those that hold nothing are forgotten.
const MAX_IDLE: usize = 1_024;

/// An amount, and the part of it that one party may hold.
#[derive(Debug)]
pub(crate) struct Shares {
    common: Arc<Semaphore>,
    each: usize,
    parties: Mutex<HashMap<Party, Arc<Semaphore>>>,
}

/// A share that is held. Dropping it returns it.
#[derive(Debug)]
pub struct Share {
    own: Option<OwnedSemaphorePermit>,
    common: OwnedSemaphorePermit,
}

impl Shares {
    /// Creates the shares of an amount, of which one party may hold up to `each`.
    pub(crate) fn new(amount: usize, each: usize) -> Shares {
        let common = Arc::new(Semaphore::new(amount));
        Shares { common, each: each.clamp(1, amount.max(1)), parties: Mutex::default() }
    }

    /// Waits for a share for the request at hand. Tasks of the hub itself hold as much as there is.
    pub(crate) async fn take(&self, amount: u32) -> Option<Share> {
        let own = match self.own() {
            Some(own) => Some(own.acquire_many_owned(amount.min(self.each as u32)).await.ok()?),
            None => None,
        };
        let common = self.common.clone().acquire_many_owned(amount).await.ok()?;
        Some(Share { own, common })
    }

    /// Takes a share for the request at hand, if it can have one at once.
    pub(crate) fn try_take(&self, amount: u32) -> Option<Share> {
        let own = match self.own() {
            Some(own) => Some(own.try_acquire_many_owned(amount.min(self.each as u32)).ok()?),
            None => None,
        };
        let common = self.common.clone().try_acquire_many_owned(amount).ok()?;
        Some(Share { own, common })
    }

    /// Returns the line of the party whose request is at hand.
    fn own(&self) -> Option<Arc<Semaphore>> {
        let permit = Permit::current()?;
        let mut parties = self.parties.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = parties.get(permit.party()) {
            return Some(own.clone());
        }
        if parties.len() >= MAX_IDLE {
            parties.retain(|_, own| Arc::strong_count(own) > 1);
        }
        let own = Arc::new(Semaphore::new(self.each));
        parties.insert(permit.party().clone(), own.clone());
        Some(own)
    }
}

impl Share {
    /// Holds it for the hub as a whole from now on, and no longer for its party.
    pub(crate) fn leave_line(&mut self) {
        self.own = None;
    }

    /// Adds another share of the same to it.
    pub(crate) fn add(&mut self, other: Share) {
        let Share { own, common } = other;
        self.common.merge(common);
        match (&mut self.own, own) {
            (Some(held), Some(own)) => held.merge(own),
            (held, own) => *held = held.take().or(own),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of<T>(id: &str, work: impl Future<Output = T>) -> T {
        let permit = Permit::new(Party::Token(id.into()), || Ok(()));
        Permit::cover(Some(permit), work).await
    }

    #[tokio::test]
    async fn one_party_leaves_the_others_their_part() {
        let shares = Shares::new(4, 2);
        let held: Vec<_> = of("a", async { (0..3).map(|_| shares.try_take(1)).collect() }).await;
        assert_eq!(held.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false]);
        let mut one = of("b", shares.take(1)).await.unwrap();
        one.add(of("b", shares.take(1)).await.unwrap());
        assert!(of("b", async { shares.try_take(1) }).await.is_none());
        drop(held);
        assert!(shares.try_take(2).is_some(), "the hub itself takes what is left");
        drop(one);
        assert!(shares.try_take(4).is_some());
    }

    #[tokio::test]
    async fn parties_that_hold_nothing_are_forgotten() {
        let shares = Shares::new(2, 1);
        let held = of("held", shares.take(1)).await;
        for id in 0..2 * MAX_IDLE {
            of(&id.to_string(), async { drop(shares.try_take(1)) }).await;
        }
        assert!(shares.parties.lock().unwrap().len() <= MAX_IDLE + 1);
        assert!(of("held", async { shares.try_take(1) }).await.is_none(), "it holds its share still");
        drop(held);
    }
}
