//! The dialect of rigd, the Go tool: read, never written.
//!
//! Its lines have `timestamp` in place of `ts`, and the payload nested under `request`, `connection`, `grpc_call` and the
//! like. The first line may be a `log.header`. Facts about the format: docs/formats.md.

use serde::Deserialize;
use serde_json::{Number, Value};

use crate::event::{self, describe};
use crate::{Envelope, Error, Event, Result, Seq, Timestamp};

/// The first line of a rigd session log.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Header {
    /// Name of the environment.
    #[serde(default)]
    pub environment: String,
    /// `passed`, `failed` or `crashed`.
    #[serde(default)]
    pub outcome: Option<String>,
    /// The services in it.
    #[serde(default)]
    pub services: Vec<String>,
    /// How long it ran, in milliseconds.
    #[serde(default)]
    pub duration_ms: Option<Number>,
}

impl Header {
    /// Reads a `log.header` line; `None` for any other.
    pub fn parse(line: &[u8]) -> Option<Header> {
        #[derive(Deserialize)]
        struct Typed {
            r#type: String,
        }
        let typed: Typed = serde_json::from_slice(line).ok()?;
        if typed.r#type != "log.header" {
            return None;
        }
        serde_json::from_slice(line).ok()
    }
}

#[derive(Deserialize)]
struct Line {
    seq: Seq,
    timestamp: Timestamp,
    r#type: String,
    service: Option<String>,
    environment: Option<String>,
    error: Option<String>,
    message: Option<String>,
    request: Option<Call>,
    connection: Option<Call>,
    grpc_call: Option<Call>,
    kafka_request: Option<Call>,
    log: Option<event::ServiceLog>,
}

/// What its request, connection, gRPC and Kafka payloads say that rig folds.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Call {
    source: String,
    target: String,
    service: String,
    method: String,
    path: String,
    status_code: Option<u16>,
    latency_ms: Option<Number>,
    bytes_in: u64,
    bytes_out: u64,
    grpc_status: Value,
}

impl Call {
    fn connection(self) -> event::Connection {
        event::Connection {
            source: self.source,
            target: self.target,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
        }
    }

    fn request(self, error: Option<String>) -> event::Request {
        let Call { source, target, method, path, status_code, latency_ms, .. } = self;
        event::Request { source, target, method, path, status: status_code, latency_ms, error }
    }

    fn grpc(self) -> event::GrpcCall {
        let grpc_status = match self.grpc_status {
            Value::String(name) => grpc_status_name(&name).to_owned(),
            Value::Null => String::new(),
            other => grpc_status_name(&other.to_string()).to_owned(),
        };
        event::GrpcCall {
            source: self.source,
            target: self.target,
            grpc_service: self.service,
            method: self.method,
            grpc_status,
            latency_ms: self.latency_ms,
        }
    }
}

/// The names of gRPC's status codes, by number (grpc/doc/statuscodes.md).
const GRPC_STATUS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The name of a status that is written as a number; any other is kept.
fn grpc_status_name(status: &str) -> &str {
    status.parse::<usize>().ok().and_then(|code| GRPC_STATUS.get(code)).copied().unwrap_or(status)
}

/// Reads one line of a rigd session log that is not its header.
///
/// # Errors
/// [`Error::Malformed`] when it is no event, or its payload is missing or of another shape.
pub fn parse(line: &[u8]) -> Result<Envelope> {
    let line: Line = serde_json::from_slice(line).map_err(|e| Error::Malformed { why: describe(&e) })?;
    let Line { seq, timestamp, r#type, environment, error, message, .. } = line;
    let missing = |key: &str| Error::Malformed { why: format!("a {} without `{key}`", r#type) };
    let life = || event::Lifecycle { command: None, error: error.clone(), message: message.clone() };
    let env = || event::Environment { environment: environment.clone(), error: error.clone() };
    let event = match r#type.as_str() {
        "request.completed" => {
            Event::RequestCompleted(line.request.ok_or_else(|| missing("request"))?.request(None))
        }
        "request.failed" => {
            Event::RequestFailed(line.request.ok_or_else(|| missing("request"))?.request(error.clone()))
        }
        "grpc.call.completed" => {
            Event::GrpcCallCompleted(line.grpc_call.ok_or_else(|| missing("grpc_call"))?.grpc())
        }
        "kafka.request.completed" => Event::KafkaRequestCompleted(
            line.kafka_request.ok_or_else(|| missing("kafka_request"))?.connection(),
        ),
        "connection.opened" => {
            Event::ConnectionOpened(line.connection.ok_or_else(|| missing("connection"))?.connection())
        }
        "connection.closed" => {
            Event::ConnectionClosed(line.connection.ok_or_else(|| missing("connection"))?.connection())
        }
        "service.starting" => Event::ServiceStarting(life()),
        "service.healthy" => Event::ServiceHealthy(life()),
        "service.ready" => Event::ServiceReady(life()),
        "service.failed" => Event::ServiceFailed(life()),
        "service.stopping" => Event::ServiceStopping(life()),
        "service.stopped" => Event::ServiceStopped(life()),
        "service.log" => Event::ServiceLog(line.log.ok_or_else(|| missing("log"))?),
        "environment.up" => Event::EnvironmentUp(env()),
        "environment.failing" => Event::EnvironmentFailing(env()),
        "environment.destroying" => Event::EnvironmentDestroying(env()),
        "environment.down" => Event::EnvironmentDown(env()),
        other => Event::Other(other.into()),
    };
    let service = line.service.filter(|name| !name.is_empty()).map(|name| name.parse()).transpose()?;
    Ok(Envelope { seq, ts: timestamp, service, id: None, cause: None, actor: None, event })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_payload_is_read_as_the_event_it_is() {
        let line = br#"{"seq":7,"type":"request.completed","environment":"TestApp","request":{"source":"order","target":"postgres","method":"DELETE","path":"/orders/old","status_code":500,"latency_ms":15.7},"timestamp":"2026-02-23T10:00:02.000Z"}"#;
        let e = parse(line).unwrap();
        let Event::RequestCompleted(r) = e.event else { panic!("{:?}", e.event) };
        assert_eq!(
            (r.target.as_str(), r.status, r.latency_ms.unwrap().to_string()),
            ("postgres", Some(500), "15.7".to_owned())
        );
    }

    #[test]
    fn a_grpc_status_is_a_name_however_it_was_written() {
        for (written, name) in
            [("0", "OK"), ("\"14\"", "UNAVAILABLE"), ("\"OK\"", "OK"), ("99", "99"), ("\"Odd\"", "Odd")]
        {
            let line = format!(
                r#"{{"seq":7,"type":"grpc.call.completed","grpc_call":{{"grpc_status":{written}}},"timestamp":"2026-02-23T10:00:02Z"}}"#
            );
            let Event::GrpcCallCompleted(call) = parse(line.as_bytes()).unwrap().event else {
                panic!("{line}")
            };
            assert_eq!(call.grpc_status, name);
        }
    }

    #[test]
    fn rigd_request_without_its_payload_is_an_error_not_a_crash() {
        let line = br#"{"seq":7,"type":"request.completed","timestamp":"2026-02-23T10:00:02.000Z"}"#;
        assert!(parse(line).unwrap_err().to_string().contains("without `request`"));
    }
}
