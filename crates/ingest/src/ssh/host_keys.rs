//! The host keys of devices: pinned at first use by events in the hub's own stream, and folded from them at the start.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use rig_event::event::HostKey;
use rig_event::{Draft, Event};
use rig_hub::{Core, Problem};
use tokio::sync::Mutex;

use super::ACTOR;

/// The host keys, by address.
#[derive(Default)]
pub(super) struct HostKeys(Mutex<BTreeMap<String, Known>>);

#[derive(Default)]
struct Known {
    pinned: Option<HostKey>,
    /// The fingerprint of a different key that was shown instead, and reported.
    other: Option<String>,
}

impl HostKeys {
    /// Applies an event of the hub's own stream.
    ///
    /// # Errors
    /// The keys are already in use, which is a bug.
    pub(super) fn apply(&self, event: &Event) -> Result<(), String> {
        let mut known = self.0.try_lock().map_err(|e| e.to_string())?;
        match event {
            Event::HostKeyPinned(key) => {
                known.insert(key.address.clone(), Known { pinned: Some(key.clone()), other: None });
            }
            Event::HostKeyChanged(key) => {
                known.entry(key.address.clone()).or_default().other = Some(key.fingerprint.clone());
            }
            Event::HostKeyForgotten(key) => drop(known.remove(&key.address)),
            _ => {}
        }
        Ok(())
    }

    /// Returns the algorithm of the key that is pinned for an address.
    pub(super) async fn algorithm(&self, address: &str) -> Option<String> {
        let known = self.0.lock().await;
        known.get(address)?.pinned.as_ref().map(|key| key.algorithm.clone())
    }

    /// Compares the key that a device showed with the expected one: `configured`, or else the pinned one. The first key of an
    /// address is durably pinned before this returns.
    pub(super) async fn check(
        &self,
        core: &Core,
        shown: HostKey,
        configured: Option<&str>,
    ) -> Result<(), Problem> {
        // Held while the event is written: of two devices at one address the second is checked against what the first has pinned.
        let mut all = self.0.lock().await;
        let known = all.entry(shown.address.clone()).or_default();
        let expected = configured.or(known.pinned.as_ref().map(|key| key.fingerprint.as_str()));
        let Some(expected) = expected.map(str::to_owned) else {
            tell(core, Event::HostKeyPinned(shown.clone()), Some(ACTOR.to_owned())).await?;
            *known = Known { pinned: Some(shown), other: None };
            return Ok(());
        };
        if expected == shown.fingerprint {
            known.other = None;
            return Ok(());
        }
        let HostKey { address, algorithm, fingerprint, .. } = shown.clone();
        let accept = match configured {
            Some(_) => "set its `host_key` in hub.toml".to_owned(),
            None => format!("DELETE /v1/host-keys/{address}, and the next key is pinned"),
        };
        let detail = format!(
            "{address} shows the host key {algorithm} {fingerprint}, and {expected} is expected: either the device has a new key, or somebody \
             else answers. If the new key is right, {accept}"
        );
        if known.other.as_ref() != Some(&fingerprint) {
            let changed = HostKey { expected: Some(expected.clone()), ..shown };
            tell(core, Event::HostKeyChanged(changed), Some(ACTOR.to_owned())).await?;
            known.other = Some(fingerprint.clone());
        }
        let problem = Problem::new(StatusCode::BAD_GATEWAY, "host-key-changed", detail);
        Err(problem.with("fingerprint", fingerprint).with("expected", expected))
    }

    /// Forgets the key of an address.
    pub(super) async fn forget(
        &self,
        core: &Core,
        address: &str,
        actor: Option<String>,
    ) -> Result<HostKey, Problem> {
        let mut all = self.0.lock().await;
        let pinned = all.get(address).and_then(|known| known.pinned.clone());
        let pinned = pinned.ok_or_else(|| {
            Problem::not_found(
                "no-host-key",
                "no host key is pinned for this address; GET /v1/host-keys lists them",
            )
        })?;
        tell(core, Event::HostKeyForgotten(pinned.clone()), actor).await?;
        all.remove(address);
        Ok(pinned)
    }

    /// Returns the pinned keys, by address.
    pub(super) async fn list(&self) -> Vec<HostKey> {
        self.0.lock().await.values().filter_map(|known| known.pinned.clone()).collect()
    }
}

async fn tell(core: &Core, event: Event, actor: Option<String>) -> Result<(), Problem> {
    core.tell(Draft { actor, ..Draft::new(None, event) }).await
}
