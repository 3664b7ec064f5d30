//! A config against its approved baseline and against what is declared of it: begun, changed, resolved, accepted and expired drift.

use rig_config::{Accepted, Policy};
use rig_event::event::{self, Against, BaselineRef};
use rig_event::{Change, Draft, DriftField, Event, FlatConfig, ServiceName, Timestamp, Verdict};

use super::{By, Refusal};
use crate::split;
use crate::state::{Acceptance, Baseline, Drift, Service, State};

/// Most fields that a drift event lists, and that one acceptance takes.
pub const MAX_FIELDS: usize = 500;

/// Most rules that a drift event names.
const MAX_RULES: usize = 100;

/// Encoded length at which a drift event lists no more fields.
const MAX_FIELDS_BYTES: usize = 256 << 10;

/// How a config stands against its baseline or what is declared of it, in full.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// What it is held against.
    pub against: Against,
    /// Which baseline or declaration that is.
    pub baseline: BaselineRef,
    /// How it differs, every field.
    pub drift: rig_config::Drift,
}

/// Holds `config` against `baseline`.
pub(super) fn standing<'a>(
    baseline: &Baseline,
    config: &FlatConfig,
    policy: &Policy,
    accepted: impl Iterator<Item = &'a Acceptance>,
    now: Timestamp,
) -> Standing {
    let accepted: Vec<Accepted<'_>> =
        accepted.map(|a| Accepted { change: &a.change, until: a.until }).collect();
    Standing {
        against: Against::Baseline,
        baseline: BaselineRef { seq: baseline.approved_seq, config_digest: baseline.config_digest.clone() },
        drift: rig_config::drift(&baseline.config, config, policy, &accepted, now),
    }
}

/// Holds `config` against what is declared.
pub(super) fn declared_standing(
    baseline: BaselineRef,
    declared: &FlatConfig,
    config: &FlatConfig,
    policy: &Policy,
    now: Timestamp,
) -> Standing {
    let drift = rig_config::declared_drift(declared, config, policy, now);
    Standing { against: Against::Declared, baseline, drift }
}

/// How `config` stands against all that the service has to be held against, each beside what is known of that.
fn standings<'a>(
    service: &'a Service,
    config: &FlatConfig,
    policy: &Policy,
    now: Timestamp,
) -> impl Iterator<Item = (Standing, Option<&'a Drift>)> {
    let approved = service.baseline.as_ref().map(|baseline| {
        // What has expired just now is accepted no more.
        let accepted = service.acceptances.iter().filter(|a| !is_over(a, now));
        (standing(baseline, config, policy, accepted, now), service.drift.as_ref())
    });
    let declared = service.declared.as_ref().map(|declared| {
        let seq = declared.declared_seq;
        let baseline = BaselineRef { seq, config_digest: declared.config_digest.clone() };
        let standing = declared_standing(baseline, &declared.config, config, policy, now);
        (standing, declared.drift.as_ref())
    });
    approved.into_iter().chain(declared)
}

/// What is new about how `config` stands, now that it is or becomes the service's.
pub(super) fn news(service: &Service, config: &FlatConfig, policy: &Policy, now: Timestamp) -> Vec<Event> {
    standings(service, config, policy, now)
        .filter_map(|(standing, known)| standing.news_since(known))
        .collect()
}

/// How the service stands at a moment under a policy, whatever was decided before: one verdict for its baseline and one for
/// what is declared of it, where it has them and was captured.
pub fn verdicts(service: &Service, policy: &Policy, now: Timestamp) -> Vec<Standing> {
    if !service.is_captured() {
        return Vec::new();
    }
    standings(service, &service.config, policy, now).map(|(standing, _)| standing).collect()
}

/// The verdicts that are not what they were, though nothing was captured: under another policy, or because a rule expired.
pub fn review(state: &State, policy: &Policy, now: Timestamp) -> Vec<Draft> {
    let captured = state.services.iter().filter(|(_, service)| service.is_captured());
    let news = captured.flat_map(|(name, service)| {
        let events = news(service, &service.config, policy, now).into_iter();
        events.map(|event| super::draft(name, None, event))
    });
    news.collect()
}

impl Standing {
    /// The event that tells this, where it is not what is known already.
    pub(super) fn news_since(self, known: Option<&Drift>) -> Option<Event> {
        let drift = self.into_event();
        let was = known.map_or(Verdict::InSync, |k| k.verdict);
        let same = known.is_some_and(|k| {
            (k.verdict, k.severity, k.differing) == (drift.verdict, drift.severity, drift.differing)
                && k.fields == drift.fields
        });
        match (was, drift.verdict) {
            _ if same => None,
            (Verdict::InSync, Verdict::InSync) => None,
            (_, Verdict::InSync) => Some(Event::DriftResolved(drift)),
            (Verdict::InSync, _) => Some(Event::DriftDetected(drift)),
            _ => Some(Event::DriftChanged(drift)),
        }
    }

    /// The payload of its event, with as many fields as fit.
    pub fn into_event(self) -> event::Drift {
        let Standing { against, baseline, drift } = self;
        let rig_config::Drift { verdict, severity, mut fields, mut rules, .. } = drift;
        let more = rules.len().saturating_sub(MAX_RULES);
        if more > 0 {
            rules.truncate(MAX_RULES);
            rules.push(format!("and {more} more"));
        }
        let differing = fields.len() as u64;
        let mut bytes = 0;
        let fit = fields.iter().take(MAX_FIELDS).take_while(|field| {
            bytes += serde_json::to_string(field).map_or(0, |text| text.len());
            bytes <= MAX_FIELDS_BYTES
        });
        let fit = fit.count();
        fields.truncate(fit);
        event::Drift {
            against,
            baseline: Some(baseline),
            verdict,
            severity,
            differing,
            fields,
            rules,
            accepted: Vec::new(),
            until: None,
            reason: None,
        }
    }
}

/// Accepts differences from the baseline until a date: those fields whose path matches one of `paths`, or all where there
/// are none, exactly as they are now.
///
/// # Errors
/// [`Refusal`] when there is no baseline, nothing to accept, too much of it, or `until` is not after `now`.
pub fn accept(
    state: &State,
    name: &ServiceName,
    paths: &[String],
    until: Option<Timestamp>,
    by: By,
    policy: &Policy,
    now: Timestamp,
) -> Result<Vec<Draft>, Refusal> {
    let service = state.service(name.as_str()).ok_or_else(|| Refusal::NoSnapshot(name.to_string()))?;
    let baseline = service.baseline.as_ref().ok_or_else(|| Refusal::NoBaseline(name.to_string()))?;
    if until.is_some_and(|until| until <= now) {
        return Err(Refusal::Past);
    }
    let patterns = paths.iter().map(|p| p.parse::<rig_config::Pattern>());
    let patterns: Vec<_> = patterns.collect::<Result<_, _>>().map_err(|e| Refusal::Pattern(e.to_string()))?;
    let mut drafts: Vec<Draft> = expire_service(name, service, policy, now);

    let valid: Vec<&Acceptance> = service.acceptances.iter().filter(|a| !is_over(a, now)).collect();
    let open = standing(baseline, &service.config, policy, valid.iter().copied(), now).drift.fields;
    let open = open.into_iter().filter(|f| !f.accepted);
    let chosen: Vec<Change> = open
        .filter(|f| {
            // A section of a text need not be written like a path.
            let by_pattern = || {
                f.path.parse::<rig_config::Path>().is_ok_and(|path| patterns.iter().any(|p| p.matches(&path)))
            };
            patterns.is_empty() || paths.contains(&f.path) || by_pattern()
        })
        .map(change)
        .collect();
    if chosen.is_empty() {
        return Err(Refusal::NothingToAccept(name.to_string()));
    }
    if chosen.len() > MAX_FIELDS {
        return Err(Refusal::TooMany(chosen.len()));
    }
    let new = chosen.iter().map(|change| Acceptance {
        accepted_seq: 0,
        actor: None,
        change: change.clone(),
        reason: None,
        until,
    });
    let new: Vec<Acceptance> = new.collect();
    let accepted = valid.into_iter().chain(&new);
    let drift = standing(baseline, &service.config, policy, accepted, now).into_event();
    let event = Event::DriftAccepted(event::Drift { accepted: chosen, until, reason: by.reason, ..drift });
    drafts.push(super::draft(name, by.actor.as_ref(), event));
    Ok(drafts)
}

/// The acceptances that are over at `now`: `drift.expired` for each service that has any, several where one would be too long.
pub fn expire(state: &State, policy: &Policy, now: Timestamp) -> Vec<Draft> {
    state.services.iter().flat_map(|(name, service)| expire_service(name, service, policy, now)).collect()
}

pub(super) fn expire_service(
    name: &ServiceName,
    service: &Service,
    policy: &Policy,
    now: Timestamp,
) -> Vec<Draft> {
    let Some(baseline) = service.baseline.as_ref() else { return Vec::new() };
    let over = service.acceptances.iter().filter(|a| is_over(a, now));
    let over: Vec<Change> = over.map(|a| a.change.clone()).collect();
    if over.is_empty() {
        return Vec::new();
    }
    let valid = service.acceptances.iter().filter(|a| !is_over(a, now));
    let drift = standing(baseline, &service.config, policy, valid, now).into_event();
    let parts = split::changes(over).into_iter().map(|accepted| {
        super::draft(name, None, Event::DriftExpired(event::Drift { accepted, ..drift.clone() }))
    });
    parts.collect()
}

fn is_over(acceptance: &Acceptance, now: Timestamp) -> bool {
    acceptance.until.is_some_and(|until| until <= now)
}

fn change(field: DriftField) -> Change {
    let DriftField { op, path, before, after, severity, accepted: _ } = field;
    Change { op, path, before, after, severity }
}
