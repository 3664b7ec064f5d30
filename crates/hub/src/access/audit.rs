//! Audit events of requests, in the hub's own stream: a change each, sums of appends, sums of denials.
//!
//! Appends and captures arrive by the ten thousand and carry their actor themselves, so they are summed up by token and stream. A
//! denied request costs its sender nothing, so these are summed up too, and the number of distinct sums is limited.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{Extensions, HeaderValue, StatusCode};
use rig_event::audit::{AuditAppended, AuditChanged, AuditDenied, AuditUnchanged};
use rig_event::{Draft, Event, StreamName};

use super::caller::Caller;
use super::rules::{Rule, Trace};
use super::{Access, Admitted, Denied};
use crate::problem::{Code, Led, Unchanged, is_denial};

/// The interval at which sums are told. The hub's own stream is kept for ever: a busy token takes 2 MiB of it a day.
pub(crate) const EVERY: Duration = Duration::from_secs(10);

/// Maximum number of distinct sums of denied requests in an interval. Further ones are counted under `others`.
const MOST_DENIED: usize = 16;

/// Maximum number of distinct sums in an interval of requests that changed nothing. Further ones have no token in their sum.
const MOST_UNCHANGED: usize = 64;

/// The id of a token.
type Id = Arc<str>;

/// Audit sums that are not written yet.
#[derive(Default)]
pub(crate) struct Audit {
    /// By token and stream.
    appended: Mutex<HashMap<(Option<Id>, StreamName), Appended>>,
    denied: Mutex<HashMap<Who, AuditDenied>>,
    /// By request and token, each with its actor.
    unchanged: Mutex<HashMap<(String, Option<Id>), Idle>>,
}

/// Requests of one kind that changed nothing, and their actor.
type Idle = (Option<String>, AuditUnchanged);

struct Appended {
    actor: Option<String>,
    sum: AuditAppended,
    /// The id of the last request. It is converted to text when the sum is written.
    last: HeaderValue,
}

/// The key by which denied requests are summed up.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Who {
    code: &'static str,
    actor: Option<String>,
    token: Option<Id>,
    peer: Option<IpAddr>,
}

impl Audit {
    /// Adds an append or a capture.
    fn appended(&self, caller: &Caller, stream: StreamName, led: &Led) {
        let token = caller.token().map(|token| token.id.clone());
        let mut appended = self.appended.lock().unwrap_or_else(PoisonError::into_inner);
        let row = appended.entry((token.clone(), stream)).or_insert_with_key(|(_, stream)| Appended {
            actor: caller.name().map(str::to_owned),
            last: caller.request_id().clone(),
            sum: AuditAppended {
                stream: stream.clone(),
                requests: 0,
                events: 0,
                first_seq: led.first_seq,
                last_seq: led.last_seq,
                request_ids: (caller.request_id_text(), String::new()),
                token: token.as_deref().map(str::to_owned),
            },
        });
        let sum = &mut row.sum;
        sum.requests += 1;
        sum.events += led.events;
        sum.first_seq = sum.first_seq.min(led.first_seq);
        sum.last_seq = sum.last_seq.max(led.last_seq);
        row.last = caller.request_id().clone();
    }

    /// Adds a denied request.
    fn denied(&self, who: Who, rule: Option<&Rule>, request_id: String) {
        let mut denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        let who = if denied.len() < MOST_DENIED || denied.contains_key(&who) {
            who
        } else {
            Who { code: "others", actor: None, token: None, peer: None }
        };
        let row = denied.entry(who).or_insert_with_key(|who| AuditDenied {
            code: who.code.to_owned(),
            requests: 0,
            request_id,
            request: rule.map(Rule::to_string),
            token: who.token.as_deref().map(str::to_owned),
            peer: who.peer.map(|peer| peer.to_string()).unwrap_or_default(),
        });
        row.requests += 1;
    }

    /// Adds a request that changed nothing.
    fn unchanged(&self, caller: &Caller, rule: &Rule) {
        let mut unchanged = self.unchanged.lock().unwrap_or_else(PoisonError::into_inner);
        let mut who = (rule.to_string(), caller.token().map(|token| token.id.clone()));
        let mut actor = caller.name().map(str::to_owned);
        if unchanged.len() >= MOST_UNCHANGED && !unchanged.contains_key(&who) {
            (who.1, actor) = (None, None);
        }
        let (_, row) = unchanged.entry(who).or_insert_with_key(|(request, token)| {
            let sum = AuditUnchanged {
                request: request.clone(),
                requests: 0,
                request_id: caller.request_id_text(),
                token: token.as_deref().map(str::to_owned),
            };
            (actor, sum)
        });
        row.requests += 1;
    }

    /// Takes the sums that have come together, as events.
    fn take(&self) -> Vec<Draft> {
        let appended = std::mem::take(&mut *self.appended.lock().unwrap_or_else(PoisonError::into_inner));
        let denied = std::mem::take(&mut *self.denied.lock().unwrap_or_else(PoisonError::into_inner));
        let unchanged = std::mem::take(&mut *self.unchanged.lock().unwrap_or_else(PoisonError::into_inner));
        let unchanged = unchanged.into_values().map(|(actor, sum)| by(actor, Event::AuditUnchanged(sum)));
        let appended = appended.into_values().map(|row| {
            let Appended { actor, mut sum, last } = row;
            sum.request_ids.1 = last.to_str().unwrap_or_default().to_owned();
            by(actor, Event::AuditAppended(sum))
        });
        let denied = denied.into_iter().map(|(who, row)| by(who.actor, Event::AuditDenied(row)));
        appended.chain(denied).chain(unchanged).collect()
    }
}

fn by(actor: Option<String>, event: Event) -> Draft {
    Draft { actor, ..Draft::new(None, event) }
}

impl Access {
    /// Writes all sums to the hub's own stream.
    pub(crate) async fn flush_audit(&self) {
        // What is left is for decisions about tokens. The sums go on meanwhile.
        if self.streams.room().is_full() {
            return;
        }
        for draft in self.audit.take() {
            self.tell(draft).await;
        }
    }

    /// Counts a request that was denied before it reached its route. A request for an address that does not exist is not counted.
    pub(crate) fn denied(&self, denied: &Denied, peer: IpAddr, request_id: &str) {
        if !denied.problem.is_denial() {
            return;
        }
        let who = Who {
            code: denied.problem.code(),
            actor: denied.actor.clone(),
            token: denied.token.clone(),
            peer: Some(peer),
        };
        self.audit.denied(who, denied.rule, request_id.to_owned());
    }

    /// Records a request that its route has answered. `left` are the extensions of the response.
    pub(crate) async fn answered(&self, admitted: &Admitted, status: StatusCode, left: &Extensions) {
        let Admitted { caller, rule, stream, .. } = admitted;
        if is_denial(status)
            && let Some(Code(code)) = left.get()
        {
            let who = Who {
                code,
                actor: caller.name().map(str::to_owned),
                token: caller.token().map(|token| token.id.clone()),
                peer: Some(caller.peer()),
            };
            return self.audit.denied(who, Some(rule), caller.request_id_text());
        }
        if !status.is_success() {
            return;
        }
        let led = left.get::<Led>();
        match (rule.trace, stream, led) {
            (Trace::Summed, Some(stream), Some(led)) => {
                self.audit.appended(caller, stream.clone(), led);
            }
            // What changes nothing can be repeated without end.
            (Trace::Each, ..)
                if left.get::<Unchanged>().is_some() || led.is_some_and(|led| led.events == 0) =>
            {
                self.audit.unchanged(caller, rule);
            }
            (Trace::Each, ..) => {
                let changed = AuditChanged {
                    request_id: caller.request_id_text(),
                    request: rule.to_string(),
                    status: status.as_u16(),
                    stream: stream.clone(),
                    first_seq: led.map(|led| led.first_seq),
                    last_seq: led.map(|led| led.last_seq),
                    token: caller.token().map(|token| token.id.to_string()),
                    peer: caller.peer().to_string(),
                };
                self.tell(by(caller.name().map(str::to_owned), Event::AuditChanged(changed))).await;
            }
            _ => {}
        }
    }

    /// Writes an audit event. The request has already taken effect, so a failure is only logged.
    pub(super) async fn tell(&self, draft: Draft) {
        if self.streams.get(&StreamName::hub()).is_none() {
            // A recording that is played has no stream of its own, and nothing in it can be changed.
            return;
        }
        if self.streams.room().is_full() {
            let type_name = draft.event.type_name();
            return tracing::error!(type_name, "an audit event was not written: the disk is full");
        }
        let (type_name, actor) = (draft.event.type_name().to_owned(), draft.actor.clone());
        if let Err(e) = self.streams.tell(draft).await {
            tracing::error!(type_name, actor, code = e.code(), "an audit event could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denied_requests_are_told_apart_only_so_far() {
        let audit = Audit::default();
        for n in 0..1_000u32 {
            let peer = Some(IpAddr::V4(n.into()));
            audit.denied(Who { code: "no-token", actor: None, token: None, peer }, None, format!("r{n}"));
        }
        let told = audit.take();
        assert_eq!(told.len(), MOST_DENIED + 1);
        let counts = told.iter().map(|draft| match &draft.event {
            Event::AuditDenied(denied) => denied.requests,
            other => panic!("{other:?}"),
        });
        assert_eq!(counts.sum::<u64>(), 1_000);
        assert!(audit.take().is_empty());
    }
}
