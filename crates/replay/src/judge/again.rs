//! Past decisions under another policy: which of them would have been others.

use std::collections::{BTreeMap, BTreeSet};

use rig_config::Policy;
use rig_event::event::{self, Against};
use rig_event::{DriftField, Envelope, Event, Seq, ServiceName, Severity, Timestamp, Verdict};
use serde::Serialize;

use super::Standing;
use crate::state::{Drift, State};

/// What was decided of a service at a moment, and what another policy makes of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// The last event of the append that brought the decision.
    pub seq: Seq,
    /// When.
    pub ts: Timestamp,
    /// The service.
    pub service: ServiceName,
    /// What it was held against.
    pub against: Against,
    /// What was decided.
    pub recorded: Outcome,
    /// What the other policy says.
    pub judged: Outcome,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// The highest severity that nobody accepted.
    pub severity: Option<Severity>,
    /// The fields that differ, as many as an event lists.
    pub fields: Vec<DriftField>,
    /// The rules that decided.
    pub rules: Vec<String>,
}

impl Decision {
    /// Whether the other policy decides otherwise: another verdict, or another severity.
    pub fn flips(&self) -> bool {
        let key = |outcome: &Outcome| (outcome.verdict, outcome.severity);
        key(&self.recorded) != key(&self.judged)
    }
}

/// Judges a history again, event by event, as it is folded.
///
/// A decision was due whenever a service that has a baseline or a declaration was captured with a new config, and
/// whenever one of these, an acceptance or a verdict came or went; a capture that changed nothing decided nothing.
/// Acceptances are facts and stay: a policy does not undo them. Time is that of the events.
#[derive(Debug)]
pub struct Rejudge<'a> {
    policy: &'a Policy,
    /// Services about which something was decided in the append that is being read.
    due: BTreeSet<ServiceName>,
    /// Services whose snapshot is there and the diff to it is not yet.
    waiting: BTreeSet<ServiceName>,
    /// Digest of each service's config.
    digests: BTreeMap<ServiceName, String>,
}

impl<'a> Rejudge<'a> {
    /// Begins after the state that a recording begins with.
    pub fn new(policy: &'a Policy, state: &State) -> Rejudge<'a> {
        let captured = state.services.iter().filter(|(_, service)| service.is_captured());
        let digests = captured.map(|(name, service)| (name.clone(), service.config_digest.clone())).collect();
        Rejudge { policy, due: BTreeSet::new(), waiting: BTreeSet::new(), digests }
    }

    /// Takes the next event, of whose append `more` follow, and the state that it has led to.
    pub fn observe(&mut self, envelope: &Envelope, more: u32, state: &State) -> Vec<Decision> {
        if let Some(name) = &envelope.service {
            match &envelope.event {
                Event::SnapshotCaptured(e) if self.digests.get(name) != Some(&e.config_digest) => {
                    self.digests.insert(name.clone(), e.config_digest.clone());
                    self.due.insert(name.clone());
                    if e.config.is_none() {
                        self.waiting.insert(name.clone());
                    }
                }
                Event::DiffComputed(e) if e.part.is_none_or(|(i, of)| i == of) => {
                    self.waiting.remove(name);
                }
                Event::DriftDetected(_)
                | Event::DriftChanged(_)
                | Event::DriftResolved(_)
                | Event::DriftAccepted(_)
                | Event::DriftExpired(_)
                | Event::BaselineApproved(_)
                | Event::BaselineDeclared(_) => {
                    self.due.insert(name.clone());
                }
                _ => {}
            }
        }
        if more > 0 {
            return Vec::new();
        }
        let (waiting, policy) = (&self.waiting, self.policy);
        let settled = |name: &ServiceName| {
            !waiting.contains(name) && state.service(name.as_str()).is_some_and(|s| s.pending.is_none())
        };
        let ready: Vec<ServiceName> = self.due.iter().filter(|name| settled(name)).cloned().collect();
        self.due.retain(|name| !ready.contains(name));
        let decisions = ready.into_iter().flat_map(|name| {
            let service = state.service(name.as_str());
            let verdicts = service.map(|s| super::verdicts(s, policy, state.ts)).unwrap_or_default();
            let decision = move |standing: Standing| {
                let judged = standing.into_event();
                let recorded = match judged.against {
                    Against::Baseline => service.and_then(|s| s.drift.as_ref()),
                    Against::Declared => service.and_then(|s| s.declared.as_ref()?.drift.as_ref()),
                };
                Decision {
                    seq: state.seq,
                    ts: state.ts,
                    service: name.clone(),
                    against: judged.against,
                    recorded: recorded.map_or_else(Outcome::in_sync, Outcome::recorded),
                    judged: Outcome::judged(judged),
                }
            };
            verdicts.into_iter().map(decision)
        });
        decisions.collect()
    }
}

impl Outcome {
    /// What no event says, since there was nothing to say.
    fn in_sync() -> Outcome {
        Outcome { verdict: Verdict::InSync, severity: None, fields: Vec::new(), rules: Vec::new() }
    }

    fn recorded(drift: &Drift) -> Outcome {
        let Drift { verdict, severity, fields, rules, .. } = drift.clone();
        Outcome { verdict, severity, fields, rules }
    }

    fn judged(drift: event::Drift) -> Outcome {
        let event::Drift { verdict, severity, fields, rules, .. } = drift;
        Outcome { verdict, severity, fields, rules }
    }
}
