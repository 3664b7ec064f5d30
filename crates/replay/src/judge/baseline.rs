//! Approving a service's current config as its baseline, declaring some of its fields, and taking either back.

use rig_config::{Baseline, BaselineKeys, Policy, Trust, baseline};
use rig_event::event::{
    Against, BaselineApproved, BaselineDeclared, BaselineRef, BaselineRevoked, Drift, Signature,
};
use rig_event::{Draft, Event, FlatConfig, Seq, ServiceName, StreamName, Timestamp, Verdict};

use super::{By, Refusal, drift};
use crate::split;
use crate::state::{Service, State};

/// A signature over an approval, made by whoever approves ([`rig_config::baseline`] says over which bytes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The key.
    pub key_id: String,
    /// When it was signed.
    pub at: Timestamp,
    /// The signature, in hexadecimal.
    pub value: String,
}

/// What a document declares of a service.
#[derive(Clone, Debug, Default)]
pub struct Declaration {
    /// Keyed digest of the document.
    pub digest: String,
    /// Digest of `config`.
    pub config_digest: String,
    /// Format of the document.
    pub format: String,
    /// The declared fields, redacted.
    pub config: FlatConfig,
}

/// An approval as it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Approval {
    /// The digest that the approver looked at.
    pub seen: Option<String>,
    /// Who vouches for it.
    pub signed: Option<Signed>,
}

/// What an approval must be signed with.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// A key of these.
    pub keys: &'a BaselineKeys,
    /// The stream that it must be about.
    pub stream: &'a StreamName,
}

/// Approves the current config.
///
/// # Errors
/// [`Refusal`] when nothing was captured yet, the digest is not the one that was seen any more, or the signature is not what
/// is demanded.
pub fn approve(
    state: &State,
    name: &ServiceName,
    approval: Approval,
    demand: Option<Demand<'_>>,
    by: By,
) -> Result<Vec<Draft>, Refusal> {
    let Approval { seen, signed } = approval;
    let service = state.service(name.as_str()).filter(|s| s.is_captured());
    let service = service.ok_or_else(|| Refusal::NoSnapshot(name.to_string()))?;
    if seen.as_ref().is_some_and(|seen| *seen != service.digest && *seen != service.config_digest) {
        return Err(Refusal::OtherDigest { service: name.to_string(), current: service.digest.clone() });
    }
    if let Some(Demand { keys, stream }) = demand {
        let signature = signed.as_ref().map(|signed| Signature {
            key_id: signed.key_id.clone(),
            alg: baseline::ALGORITHM.to_owned(),
            value: signed.value.clone(),
        });
        let baseline = Baseline {
            stream: Some(stream.to_string()),
            service: Some(name.to_string()),
            digest: Some(service.digest.clone()),
            config_digest: service.config_digest.clone(),
            approved: signed.as_ref().map(|signed| signed.at).unwrap_or_default(),
            actor: by.actor.clone(),
            reason: by.reason.clone(),
            meta: Default::default(),
            config: service.config.clone(),
            signature,
        };
        match baseline.verify(keys) {
            Trust::Valid => {}
            trust => return Err(Refusal::Untrusted(trust)),
        }
    }
    let approved = Event::BaselineApproved(BaselineApproved {
        digest: service.digest.clone(),
        config_digest: service.config_digest.clone(),
        captured: service.captured_seq,
        key_id: signed.as_ref().map(|signed| signed.key_id.clone()),
        signed: signed.as_ref().map(|signed| signed.at),
        signature: signed.map(|signed| signed.value),
        reason: by.reason,
    });
    let mut drafts = vec![super::draft(name, by.actor.as_ref(), approved)];
    if service.drift.as_ref().is_some_and(|d| d.verdict != Verdict::InSync) {
        let resolved = Event::DriftResolved(Drift {
            against: Against::Baseline,
            // The approval stands right before it.
            baseline: Some(BaselineRef { seq: state.seq + 1, config_digest: service.config_digest.clone() }),
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

/// Declares some fields of the service's config, in place of what was declared before, and says how the config stands
/// against them. A declaration that is the current one already leads to nothing.
pub fn declare(
    state: &State,
    name: &ServiceName,
    declaration: Declaration,
    by: By,
    policy: &Policy,
    now: Timestamp,
) -> Vec<Draft> {
    let unknown = Service::default();
    let service = state.service(name.as_str()).unwrap_or(&unknown);
    let Declaration { digest, config_digest, format, config } = declaration;
    if service.declared.as_ref().is_some_and(|d| (&d.digest, &d.config_digest) == (&digest, &config_digest)) {
        return Vec::new();
    }
    let mut drafts = drift::expire_service(name, service, policy, now);
    let known = service.declared.as_ref().and_then(|before| before.drift.as_ref());
    let parts = split::config(config.clone());
    let of = parts.len() as u32;
    let declared_by = BaselineRef {
        seq: state.seq + drafts.len() as Seq + Seq::from(of),
        config_digest: config_digest.clone(),
    };
    let drift = service.is_captured().then(|| {
        let standing = drift::declared_standing(declared_by, &config, &service.config, policy, now);
        standing.news_since(known)
    });
    let declared =
        BaselineDeclared { digest, config_digest, format, reason: by.reason, ..Default::default() };
    let parts = (1..=of).zip(parts).map(|(i, config)| {
        let part = (of > 1).then_some((i, of));
        Event::BaselineDeclared(BaselineDeclared { config, part, ..declared.clone() })
    });
    let events = parts.chain(drift.flatten());
    drafts.extend(events.map(|event| super::draft(name, by.actor.as_ref(), event)));
    drafts
}

/// Takes the declaration back.
///
/// # Errors
/// [`Refusal::NoDeclaration`].
pub fn withdraw(state: &State, name: &ServiceName, by: By) -> Result<Vec<Draft>, Refusal> {
    let declared = state.service(name.as_str()).and_then(|s| s.declared.as_ref());
    let declared = declared.ok_or_else(|| Refusal::NoDeclaration(name.to_string()))?;
    let event = BaselineRevoked { digest: declared.digest.clone(), reason: by.reason };
    Ok(vec![super::draft(name, by.actor.as_ref(), Event::BaselineWithdrawn(event))])
}
