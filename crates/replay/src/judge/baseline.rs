//! Approving a service's current config as its baseline, and taking that back.

use rig_event::event::{Against, BaselineApproved, BaselineRevoked, Drift};
use rig_event::{Draft, Event, ServiceName, Verdict};

use super::{By, Refusal};
use crate::state::State;

/// Approves the current config. `seen` is the digest that the approver looked at.
///
/// # Errors
/// [`Refusal`] when nothing was captured yet, or the digest is not `seen` any more.
pub fn approve(state: &State, name: &ServiceName, seen: Option<&str>, by: By) -> Result<Vec<Draft>, Refusal> {
    let service = state.service(name.as_str()).filter(|s| s.is_captured());
    let service = service.ok_or_else(|| Refusal::NoSnapshot(name.to_string()))?;
    if seen.is_some_and(|seen| seen != service.digest && seen != service.config_digest) {
        return Err(Refusal::OtherDigest { service: name.to_string(), current: service.digest.clone() });
    }
    let approved = Event::BaselineApproved(BaselineApproved {
        digest: service.digest.clone(),
        config_digest: service.config_digest.clone(),
        captured: service.captured_seq,
        key_id: None,
        reason: by.reason,
    });
    let mut drafts = vec![super::draft(name, by.actor.as_ref(), approved)];
    if service.drift.as_ref().is_some_and(|d| d.verdict != Verdict::InSync) {
        let resolved = Event::DriftResolved(Drift {
            against: Against::Baseline,
            verdict: Verdict::InSync,
            severity: None,
            differing: 0,
            fields: Vec::new(),
            rules: Vec::new(),
            accepted: Vec::new(),
            until: None,
            reason: None,
        });
        drafts.push(super::draft(name, by.actor.as_ref(), resolved));
    }
    Ok(drafts)
}

/// Takes the baseline back: the service has none until another is approved.
///
/// # Errors
/// [`Refusal::NoBaseline`].
pub fn revoke(state: &State, name: &ServiceName, by: By) -> Result<Vec<Draft>, Refusal> {
    let baseline = state.service(name.as_str()).and_then(|s| s.baseline.as_ref());
    let baseline = baseline.ok_or_else(|| Refusal::NoBaseline(name.to_string()))?;
    let event =
        Event::BaselineRevoked(BaselineRevoked { digest: baseline.digest.clone(), reason: by.reason });
    Ok(vec![super::draft(name, by.actor.as_ref(), event)])
}
