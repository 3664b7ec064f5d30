//! The path of an event to the writer: checked and redacted before it is encoded.

use rig_config::Redactor;
use rig_event::{Body, Draft, Event, ServiceName};
use serde_json::Value;

use crate::problem::Problem;
use crate::streams::event_problem;

/// Checks, redacts and encodes an event.
///
/// # Errors
/// `event-too-long`, `malformed-event`, `secret-in-name`.
pub(crate) fn encode(redactor: &Redactor, draft: Draft) -> Result<Body, Problem> {
    check(redactor, &draft)?;
    let body = draft.encode_redacted(|name, value| redact_field(redactor, name, value));
    body.map_err(|e| event_problem(&e))
}

/// Refuses an event whose service looks like a secret, and one without a service that the state cannot take.
///
/// # Errors
/// `malformed-event`, `secret-in-name`.
pub(crate) fn check(redactor: &Redactor, draft: &Draft) -> Result<(), Problem> {
    match &draft.service {
        Some(service) => no_secret(redactor, service),
        None if needs_service(&draft.event) => {
            let detail = format!("a {} event must name its `service`", draft.event.type_name());
            Err(Problem::bad_request("malformed-event", detail))
        }
        None => Ok(()),
    }
}

/// Refuses a service whose name looks like a secret: it would be in every event.
///
/// # Errors
/// `secret-in-name`.
pub(crate) fn no_secret(redactor: &Redactor, service: &ServiceName) -> Result<(), Problem> {
    match redactor.is_secret_name(service.as_str()) {
        true => Err(Problem::bad_request(
            "secret-in-name",
            "the name of the service looks like a secret; it is not kept",
        )),
        false => Ok(()),
    }
}

/// Replaces the secrets in a field of an event, in its name and in the keys in it. Fields that the writer and the index need as
/// text stay text. Returns true if there was one.
pub(crate) fn redact_field(redactor: &Redactor, name: &mut String, value: &mut Value) -> bool {
    match (name.as_str(), &mut *value) {
        ("service", _) => false,
        ("id" | "actor", Value::String(text)) => !redactor.redact_log(text).is_empty(),
        _ => !redactor.redact_event(name, value).is_empty(),
    }
}

/// Returns true if the state cannot take the event without a service.
fn needs_service(event: &Event) -> bool {
    event.family() == "service" && !matches!(event, Event::ServiceLog(_) | Event::Other(_))
}
