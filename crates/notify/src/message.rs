//! Messages to endpoints: which ones, the sentence, the body and its signature.

use std::collections::BTreeSet;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rig_event::event::{Against, Drift};
use rig_event::keyfile::hex;
use rig_event::{Envelope, Event, Seq, type_of};
use rig_hub::Stream;
use rig_replay::State;
use serde_json::json;
use sha2::Sha256;

use super::settings::{Kind, Notify};

/// The most fields that a sentence names, and the most of each.
const FIELDS: usize = 5;
const FIELD_CHARS: usize = 120;

/// A message to an endpoint.
pub(super) struct Message {
    /// The event: `STREAM:EPOCH:SEQ`.
    pub(super) id: String,
    pub(super) body: Bytes,
}

/// The services of a stream whose drift is severe enough for an endpoint. Follows from the log.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Grave(BTreeSet<(String, &'static str)>);

impl Grave {
    /// Returns the services that are so in `state`.
    pub(super) fn in_state(state: &State, settings: &Notify) -> Grave {
        let mut grave = BTreeSet::new();
        for (name, service) in &state.services {
            let declared = service.declared.as_ref().and_then(|declared| declared.drift.as_ref());
            for drift in service.drift.iter().chain(declared) {
                if drift.severity.is_some_and(|severity| severity >= settings.severity) {
                    grave.insert((name.to_string(), against(drift.against)));
                }
            }
        }
        Grave(grave)
    }

    /// Applies a verdict. Returns true if it is severe enough, or was until now.
    fn take(&mut self, service: &str, drift: &Drift, settings: &Notify) -> bool {
        let key = (service.to_owned(), against(drift.against));
        if drift.severity.is_some_and(|severity| severity >= settings.severity) {
            self.0.insert(key);
            return true;
        }
        self.0.remove(&key)
    }
}

/// Returns the message to an endpoint about a line, if there is one. Lines come in their order, and every one of them.
pub(super) fn message(settings: &Notify, stream: &Stream, line: &[u8], grave: &mut Grave) -> Option<Message> {
    let type_name = std::str::from_utf8(type_of(line)).ok()?;
    let is_drift = type_name.starts_with("drift.");
    // No notifications of notification events: that would never end.
    let wanted = settings.events.hold(type_name) && !type_name.starts_with("notify.");
    if !wanted && !is_drift {
        return None;
    }
    let event = Envelope::parse(line).ok()?;
    let service = event.service.as_ref().map(|service| service.as_str());
    let drift = match &event.event {
        Event::DriftDetected(drift)
        | Event::DriftChanged(drift)
        | Event::DriftResolved(drift)
        | Event::DriftAccepted(drift)
        | Event::DriftExpired(drift) => Some(drift),
        _ => None,
    };
    let severe = match (drift, &event.event) {
        (Some(drift), _) => grave.take(service.unwrap_or_default(), drift, settings),
        (None, Event::DiffComputed(diff)) => {
            diff.severity.is_some_and(|severity| severity >= settings.severity)
        }
        (None, _) => true,
    };
    let of_service = settings.services.as_ref().is_none_or(|names| service.is_some_and(|s| names.hold(s)));
    if !(wanted && severe && of_service) {
        return None;
    }
    let text = sentence(stream.name.as_str(), event.seq, type_name, service, drift);
    let id = format!("{}:{}:{}", stream.name, stream.epoch, event.seq);
    let body = match settings.kind {
        Kind::Slack => {
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            json!({ "text": text }).to_string().into_bytes()
        }
        Kind::Json => {
            let about = json!({ "id": id, "endpoint": settings.name, "text": text, "stream": stream.name, "epoch": stream.epoch });
            let mut body = about.to_string().into_bytes();
            // The event stays exactly as in the log.
            body.pop();
            body.extend_from_slice(b",\"event\":");
            body.extend_from_slice(line.trim_ascii_end());
            body.push(b'}');
            body
        }
    };
    Some(Message { id, body: body.into() })
}

/// Returns a sentence: what happened, to whom, how severe, where, and the place in the log. It names fields and no values.
fn sentence(stream: &str, seq: Seq, type_name: &str, service: Option<&str>, drift: Option<&Drift>) -> String {
    let mut text = type_name.to_owned();
    if let Some(service) = service {
        text.push_str(": ");
        text.push_str(service);
    }
    if let Some(drift) = drift {
        let severity = drift.severity.map_or("in-sync or accepted", |severity| severity.as_str());
        text.push_str(&format!(" ({severity}, against {})", against(drift.against)));
        let open = drift.fields.iter().filter(|field| !field.accepted);
        let named: Vec<&str> = open.map(|field| field.path.as_str()).take(FIELDS).collect();
        let more = drift.differing.saturating_sub(named.len() as u64);
        if !named.is_empty() {
            let named: Vec<String> =
                named.into_iter().map(|path| path.chars().take(FIELD_CHARS).collect()).collect();
            text.push_str(&format!(": {}", named.join(", ")));
            if more > 0 {
                text.push_str(&format!(" and {more} more"));
            }
        }
    }
    text.push_str(&format!(" [{stream}@{seq}]"));
    text.replace(|c: char| c.is_control(), "?")
}

fn against(against: Against) -> &'static str {
    match against {
        Against::Baseline => "baseline",
        Against::Declared => "declaration",
    }
}

/// Returns `X-Rig-Signature`: HMAC-SHA256 over the time, a dot and the body.
pub(super) fn signature(key: &[u8], seconds: i64, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    Some(format!("t={seconds},v1={}", hex(&mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_others_make_of_it() {
        // hmac.new(b"0123456789abcdef", b'1700000000.{"a":1}', "sha256").hexdigest() of Python.
        assert_eq!(
            signature(b"0123456789abcdef", 1_700_000_000, br#"{"a":1}"#).unwrap(),
            "t=1700000000,v1=9eb18f493f8ec135d9eb2dad817c369bb4e9cbfa818657897a7437c1cd8c3a23"
        );
    }

    #[test]
    fn a_sentence_has_no_line_ends_and_names_what_it_is_about() {
        let text = sentence("main", 7, "service.failed", Some("api"), None);
        assert_eq!(text, "service.failed: api [main@7]");
        let fields = |n| {
            let field = |i| json!({"op": "changed", "path": format!("f{i}\n"), "before": "hunter2"});
            (0..n).map(field).collect::<Vec<_>>()
        };
        let drift: Drift = serde_json::from_value(json!({
            "against": "baseline", "verdict": "drifted", "severity": "high", "differing": 9, "fields": fields(9)
        }))
        .unwrap();
        let text = sentence("main", 7, "drift.detected", Some("api"), Some(&drift));
        assert_eq!(
            text,
            "drift.detected: api (high, against baseline): f0?, f1?, f2?, f3?, f4? and 4 more [main@7]"
        );
    }
}
