//! One event onto a state.

use std::collections::BTreeMap;
use std::sync::Arc;

use rig_config::text;
use rig_event::event::{
    self, Against, BaselineApproved, BaselineDeclared, DiffComputed, Part, SnapshotCaptured,
};
use rig_event::{Envelope, Event, FlatConfig, Hunk};

use crate::provenance;
use crate::state::{Acceptance, Baseline, Declared, Drift, Edge, Pending, Service, State};
use crate::{Error, Result};

/// The path under which a text document stands in its config.
pub const TEXT: &str = "text";

/// Longest name of a service in an edge, in bytes.
pub const MAX_EDGE_NAME: usize = 256;

/// Most pairs of services whose traffic is told apart; what comes beyond, or under a longer name, is counted under the edge
/// `…` → `…`.
pub const MAX_EDGES: usize = 10_000;

/// The events that leave the state as it is, as a pattern.
macro_rules! without_effect {
    () => {
        Event::SnapshotUnchanged(_)
            | Event::SnapshotRejected(_)
            | Event::BaselineRejected(_)
            | Event::ServiceLog(_)
            | Event::ProgressMissing(_)
            | Event::TestStarted(_)
            | Event::TestPassed(_)
            | Event::TestFailed(_)
            | Event::TestSkipped(_)
            | Event::CollectFailed(_)
            | Event::CollectRecovered(_)
            | Event::HostKeyPinned(_)
            | Event::HostKeyChanged(_)
            | Event::HostKeyForgotten(_)
            | Event::NotifyBegan(_)
            | Event::NotifyEnded(_)
            | Event::NotifyDelivered(_)
            | Event::NotifyDropped(_)
            | Event::NotifyFailing(_)
            | Event::NotifyRecovered(_)
            | Event::LogPruned(_)
            | Event::BlobCollected(_)
            | Event::AuditRawRead(_)
            | Event::TokenIssued(_)
            | Event::TokenRevoked(_)
            | Event::TokenExpired(_)
            | Event::AuditChanged(_)
            | Event::AuditAppended(_)
            | Event::AuditDenied(_)
            | Event::AuditUnchanged(_)
            | Event::Other(_)
    };
}
pub(crate) use without_effect;

impl State {
    /// Folds one event.
    ///
    /// # Errors
    /// When it is not the next event, or does not fit the state; the state is then as it was.
    pub fn apply(&mut self, envelope: &Envelope) -> Result<()> {
        if envelope.seq != self.seq + 1 {
            return Err(Error::Gap { after: self.seq, got: envelope.seq });
        }
        match &envelope.event {
            Event::SnapshotCaptured(e) => self.service_mut(envelope, |s| s.captured(envelope, e))?,
            Event::DiffComputed(e) => self.service_mut(envelope, |s| s.diffed(envelope, e))?,
            Event::DriftDetected(e)
            | Event::DriftChanged(e)
            | Event::DriftResolved(e)
            | Event::DriftAccepted(e)
            | Event::DriftExpired(e) => self.service_mut(envelope, |s| s.drifted(envelope, e))?,
            Event::BaselineApproved(e) => self.service_mut(envelope, |s| s.approved(envelope, e))?,
            Event::BaselineDeclared(e) => self.service_mut(envelope, |s| s.declared(envelope, e))?,
            Event::BaselineWithdrawn(_) => self.service_mut(envelope, |s| {
                s.declared = None;
                Ok(())
            })?,
            Event::BaselineRevoked(_) => self.service_mut(envelope, |s| {
                s.baseline = None;
                s.drift = None;
                s.acceptances.clear();
                Ok(())
            })?,
            Event::ServiceStarting(e) => self.service_mut(envelope, |s| s.lives("starting", e))?,
            Event::ServiceHealthy(e) => self.service_mut(envelope, |s| s.lives("healthy", e))?,
            Event::ServiceReady(e) => self.service_mut(envelope, |s| s.lives("ready", e))?,
            Event::ServiceFailed(e) => self.service_mut(envelope, |s| s.lives("failed", e))?,
            Event::ServiceStopping(e) => self.service_mut(envelope, |s| s.lives("stopping", e))?,
            Event::ServiceStopped(e) => self.service_mut(envelope, |s| s.lives("stopped", e))?,
            Event::RequestCompleted(e) => {
                self.request(&e.source, &e.target, e.status.is_none_or(|s| s >= 500))
            }
            Event::RequestFailed(e) => self.request(&e.source, &e.target, true),
            Event::GrpcCallCompleted(e) => self.request(&e.source, &e.target, e.grpc_status != "OK"),
            Event::KafkaRequestCompleted(e) => self.request(&e.source, &e.target, false),
            Event::ConnectionOpened(e) => self.edge(&e.source, &e.target).connections += 1,
            Event::ConnectionClosed(e) => {
                let edge = self.edge(&e.source, &e.target);
                edge.bytes_in = edge.bytes_in.saturating_add(e.bytes_in);
                edge.bytes_out = edge.bytes_out.saturating_add(e.bytes_out);
            }
            Event::EnvironmentUp(e) => self.environment("up", e),
            Event::EnvironmentFailing(e) => self.environment("failing", e),
            Event::EnvironmentDestroying(e) => self.environment("destroying", e),
            Event::EnvironmentDown(e) => self.environment("down", e),
            Event::LogSealed(e) => {
                if e.upto == self.seq && e.state != self.hash() {
                    return Err(Error::Seal { seq: envelope.seq, upto: e.upto });
                }
            }
            without_effect!() => {}
        }
        self.seq = envelope.seq;
        self.ts = envelope.ts;
        Ok(())
    }

    /// Changes the service that the event is about; a change that fails leaves it as it was.
    fn service_mut(
        &mut self,
        envelope: &Envelope,
        change: impl FnOnce(&mut Service) -> Result<()>,
    ) -> Result<()> {
        let name = envelope.service.as_ref().ok_or_else(|| Error::NoService {
            seq: envelope.seq,
            type_name: envelope.event.type_name().to_owned(),
        })?;
        match self.services.get_mut(name) {
            Some(service) => {
                let service = Arc::make_mut(service);
                service.touch();
                change(service)
            }
            None => {
                let mut service = Service::default();
                change(&mut service)?;
                self.services.insert(name.clone(), Arc::new(service));
                Ok(())
            }
        }
    }

    pub(crate) fn edge(&mut self, source: &str, target: &str) -> &mut Edge {
        let known = self.edges.get(source).is_some_and(|targets| targets.contains_key(target));
        let full = !known && self.edges.values().map(BTreeMap::len).sum::<usize>() >= MAX_EDGES;
        let long = source.len().max(target.len()) > MAX_EDGE_NAME;
        let (source, target) = if full || long { ("…", "…") } else { (source, target) };
        if !self.edges.contains_key(source) {
            self.edges.insert(source.to_owned(), BTreeMap::new());
        }
        self.edges.entry(source.to_owned()).or_default().entry(target.to_owned()).or_default()
    }

    pub(crate) fn request(&mut self, source: &str, target: &str, failed: bool) {
        let edge = self.edge(source, target);
        edge.requests += 1;
        edge.failures += u64::from(failed);
    }

    fn environment(&mut self, status: &str, e: &event::Environment) {
        if e.environment.is_some() {
            self.environment.name.clone_from(&e.environment);
        }
        self.environment.status = Some(status.to_owned());
        self.environment.error.clone_from(&e.error);
    }
}

impl Service {
    fn lives(&mut self, status: &str, e: &event::Lifecycle) -> Result<()> {
        self.status = Some(status.to_owned());
        self.error.clone_from(&e.error);
        Ok(())
    }

    fn captured(&mut self, at: &Envelope, e: &SnapshotCaptured) -> Result<()> {
        let Some(whole) = self.gather(at, e.part, |pending| {
            for (path, value) in e.config.iter().flatten() {
                pending.add_config(path, value);
            }
            pending.bare = e.config.is_none() && (pending.bare || pending.part.0 == 1);
            pending.provenance.extend(e.provenance.clone());
        })?
        else {
            return Ok(());
        };
        let (config, provenance) = match whole {
            Some(pending) => ((!pending.bare).then_some(pending.config), pending.provenance),
            None => (e.config.clone(), e.provenance.clone()),
        };
        let carried_whole = config.is_some();
        if let Some(config) = config {
            self.config = Arc::new(config);
            self.config_seq = at.seq;
            self.diffs = 0;
        } else if !self.is_captured() {
            return Err(unfounded(at, "a first snapshot must carry its config"));
        }
        self.learn(provenance, carried_whole);
        self.digest.clone_from(&e.digest);
        self.config_digest.clone_from(&e.config_digest);
        self.format.clone_from(&e.format);
        self.blob.clone_from(&e.blob);
        self.captured_seq = at.seq;
        Ok(())
    }

    /// Takes what is new about where fields came from, and drops what is about fields that went with a config carried whole.
    fn learn(&mut self, news: BTreeMap<String, String>, carried_whole: bool) {
        if news.is_empty() && (self.provenance.is_empty() || !carried_whole) {
            return;
        }
        let provenance = Arc::make_mut(&mut self.provenance);
        if news.contains_key(provenance::WHOLE) {
            provenance.clear();
        }
        provenance.extend(news);
        provenance.retain(|path, source| path != provenance::WHOLE || source != provenance::NONE);
        if carried_whole {
            let config = &self.config;
            provenance.retain(|path, _| config.contains_key(path));
        }
    }

    fn diffed(&mut self, at: &Envelope, e: &DiffComputed) -> Result<()> {
        let misfit = |why: String| Error::Diff { seq: at.seq, service: name(at), why };
        if e.to != self.captured_seq {
            return Err(misfit(format!(
                "it leads to snapshot {}, the last one is {}",
                e.to, self.captured_seq
            )));
        }
        let Some(whole) = self.gather(at, e.part, |pending| {
            pending.changes.extend_from_slice(&e.changes);
            pending.hunks.extend_from_slice(&e.hunks);
        })?
        else {
            return Ok(());
        };
        // The snapshot was a keyframe: the config is there already.
        if self.config_seq == self.captured_seq {
            self.diffs += 1;
            return Ok(());
        }
        let (changes, hunks) = match &whole {
            Some(pending) => (&pending.changes, &pending.hunks),
            None => (&e.changes, &e.hunks),
        };
        if hunks.is_empty() {
            rig_config::apply(Arc::make_mut(&mut self.config), changes).map_err(|e| misfit(e.to_string()))?;
            if !self.provenance.is_empty() {
                let config = &self.config;
                let gone = changes.iter().filter(|change| !config.contains_key(&change.path));
                let provenance = Arc::make_mut(&mut self.provenance);
                gone.for_each(|change| drop(provenance.remove(&change.path)));
            }
        } else {
            self.config = Arc::new(patched(&self.config, hunks).map_err(misfit)?);
        }
        self.config_seq = at.seq;
        self.diffs += 1;
        Ok(())
    }

    /// Puts a part with those before it. `None`: more parts are to come; `Some(None)`: the payload was not split.
    fn gather(
        &mut self,
        at: &Envelope,
        part: Option<Part>,
        add: impl FnOnce(&mut Pending),
    ) -> Result<Option<Option<Pending>>> {
        let type_name = at.event.type_name();
        let due = match &self.pending {
            Some(pending) if pending.r#type == type_name => Some((pending.part.0 + 1, pending.part.1)),
            Some(pending) => return Err(part_error(at, part.unwrap_or((1, 1)), pending.part.0 + 1)),
            None => None,
        };
        let Some((got, of)) = part else {
            return match due {
                None => Ok(Some(None)),
                Some((expected, _)) => Err(part_error(at, (1, 1), expected)),
            };
        };
        let (expected, total) = due.unwrap_or((1, of));
        if got != expected || of != total || got > of {
            return Err(part_error(at, (got, of), expected));
        }
        let pending = self.pending.get_or_insert_default();
        type_name.clone_into(&mut pending.r#type);
        pending.part = (got, of);
        add(pending);
        Ok(if got == of { Some(self.pending.take()) } else { None })
    }

    fn approved(&mut self, at: &Envelope, e: &BaselineApproved) -> Result<()> {
        if !self.is_captured() || e.captured != self.captured_seq {
            return Err(unfounded(at, "only the snapshot that is current can be approved"));
        }
        self.baseline = Some(Baseline {
            actor: at.actor.clone(),
            approved_seq: at.seq,
            captured: e.captured,
            config: self.config.clone(),
            config_digest: e.config_digest.clone(),
            digest: e.digest.clone(),
            key_id: e.key_id.clone(),
            reason: e.reason.clone(),
            signature: e.signature.clone(),
            signed: e.signed,
        });
        self.acceptances.clear();
        self.drift = Some(Drift {
            against: Against::Baseline,
            differing: 0,
            fields: Vec::new(),
            rules: Vec::new(),
            severity: None,
            since_seq: at.seq,
            verdict: rig_event::Verdict::InSync,
        });
        Ok(())
    }

    fn declared(&mut self, at: &Envelope, e: &BaselineDeclared) -> Result<()> {
        let Some(whole) = self.gather(at, e.part, |pending| {
            for (path, value) in &e.config {
                pending.add_config(path, value);
            }
        })?
        else {
            return Ok(());
        };
        // Until the verdict on it comes, that on the one before stands: it is what the next is news to.
        let drift = self.declared.take().and_then(|before| before.drift);
        self.declared = Some(Declared {
            actor: at.actor.clone(),
            config: Arc::new(whole.map_or_else(|| e.config.clone(), |pending| pending.config)),
            config_digest: e.config_digest.clone(),
            declared_seq: at.seq,
            digest: e.digest.clone(),
            drift,
            reason: e.reason.clone(),
        });
        Ok(())
    }

    fn drifted(&mut self, at: &Envelope, e: &event::Drift) -> Result<()> {
        if e.against == Against::Baseline && self.baseline.is_none() {
            return Err(unfounded(at, "there is no baseline to drift from"));
        }
        match &at.event {
            Event::DriftAccepted(_) => self.acceptances.extend(e.accepted.iter().map(|change| Acceptance {
                accepted_seq: at.seq,
                actor: at.actor.clone(),
                change: change.clone(),
                reason: e.reason.clone(),
                until: e.until,
            })),
            Event::DriftExpired(_) => self.acceptances.retain(|a| !e.accepted.contains(&a.change)),
            _ => {}
        }
        let drift = Some(Drift {
            against: e.against,
            differing: e.differing,
            fields: e.fields.clone(),
            rules: e.rules.clone(),
            severity: e.severity,
            since_seq: at.seq,
            verdict: e.verdict,
        });
        match &mut self.declared {
            Some(declared) if e.against == Against::Declared => declared.drift = drift,
            _ => self.drift = drift,
        }
        Ok(())
    }
}

impl Pending {
    /// A string too long for one part goes on in the next, under the same path.
    fn add_config(&mut self, path: &str, value: &serde_json::Value) {
        match (self.config.get_mut(path), value) {
            (Some(serde_json::Value::String(text)), serde_json::Value::String(rest)) => text.push_str(rest),
            _ => {
                self.config.insert(path.to_owned(), value.clone());
            }
        }
    }
}

fn patched(config: &FlatConfig, hunks: &[Hunk]) -> Result<FlatConfig, String> {
    let Some(serde_json::Value::String(old)) = config.get(TEXT) else {
        return Err("it changes lines, and the config is no text".to_owned());
    };
    let new = text::apply_hunks(old, hunks).map_err(|e| e.to_string())?;
    Ok(FlatConfig::from([(TEXT.to_owned(), new.into())]))
}

fn name(at: &Envelope) -> String {
    at.service.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn unfounded(at: &Envelope, why: &'static str) -> Error {
    Error::Unfounded { seq: at.seq, type_name: at.event.type_name().to_owned(), service: name(at), why }
}

fn part_error(at: &Envelope, (got, of): Part, expected: u32) -> Error {
    Error::Part { seq: at.seq, service: name(at), got, of, expected }
}
