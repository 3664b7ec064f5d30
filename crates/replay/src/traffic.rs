//! Traffic between services as rows: what `rig traffic` lists, which of it is wanted, and everything about one exchange.
//!
//! [`Row::read`] borrows from a line and is made for a million of them; [`Exchange::read`] reads one line in full, with headers
//! and bodies.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use rig_event::{Envelope, Event, Seq, Timestamp};
use serde::Serialize;
use serde_json::{Number, Value};

use crate::timeline::{Entry, Skim, Text, parse_any};

/// How services talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Requests.
    Http,
    /// Calls.
    Grpc,
    /// Kafka requests.
    Kafka,
    /// Connections.
    Tcp,
}

impl Protocol {
    /// The protocol of a type of event; `None` for what is no traffic.
    pub fn of(type_name: &str) -> Option<Protocol> {
        Some(match type_name {
            "request.completed" | "request.failed" => Protocol::Http,
            "grpc.call.completed" => Protocol::Grpc,
            "kafka.request.completed" => Protocol::Kafka,
            "connection.opened" | "connection.closed" => Protocol::Tcp,
            _ => return None,
        })
    }

    /// The word used in JSON and options.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Http => "http",
            Protocol::Grpc => "grpc",
            Protocol::Kafka => "kafka",
            Protocol::Tcp => "tcp",
        }
    }
}

impl std::str::FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Protocol::Http, Protocol::Grpc, Protocol::Kafka, Protocol::Tcp];
        let found = known.into_iter().find(|protocol| protocol.as_str() == text);
        found.ok_or_else(|| "write http, grpc, kafka or tcp".to_owned())
    }
}

/// One exchange on one line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row<'a> {
    /// Its seq.
    pub seq: Seq,
    /// Its time.
    pub ts: Timestamp,
    /// How.
    pub protocol: Protocol,
    /// Who asked.
    pub source: Cow<'a, str>,
    /// Who was asked.
    pub target: Cow<'a, str>,
    /// HTTP or gRPC method, name of the Kafka API, or `opened` and `closed`.
    pub method: Cow<'a, str>,
    /// Path with query, or gRPC service.
    pub path: Cow<'a, str>,
    /// HTTP status, or name of the gRPC status; absent without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Cow<'a, str>>,
    /// Microseconds from request to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<u64>,
    /// Bytes from target to source, over a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_in: Option<u64>,
    /// Bytes from source to target, over a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_out: Option<u64>,
}

impl<'a> Row<'a> {
    /// Reads a line of a timeline, in either dialect; `None` when it is no traffic. Whether it is UTF-8 was looked at when it
    /// was indexed.
    pub fn read(line: &'a [u8]) -> Option<Row<'a>> {
        match Skim::read(line) {
            Some(skim) => Row::of(&skim),
            None => Row::read_slowly(line),
        }
    }

    fn of(skim: &Skim<'a>) -> Option<Row<'a>> {
        let type_name = str(skim.type_name);
        let protocol = Protocol::of(type_name)?;
        let call = &skim.call;
        let mut row = Row {
            seq: skim.seq,
            ts: skim.ts,
            protocol,
            source: str(call.source).into(),
            target: str(call.target).into(),
            method: str(call.method).into(),
            path: call.path.map_or(Cow::Borrowed(""), |path| path.decoded()),
            status: call.status.map(|status| status.to_string().into()),
            latency_us: call.latency.and_then(|ms| micros(str(ms))),
            bytes_in: None,
            bytes_out: None,
        };
        match protocol {
            Protocol::Http => {}
            Protocol::Grpc => {
                row.path = str(call.service).into();
                row.status = call.grpc_status.map(|status| str(status).trim_matches('"').into());
            }
            Protocol::Kafka => row.method = str(call.api).into(),
            Protocol::Tcp => {
                row.method = type_name.trim_start_matches("connection.").into();
                row.status = None;
                row.latency_us = None;
            }
        }
        if type_name == "connection.closed" {
            (row.bytes_in, row.bytes_out) = (Some(call.bytes_in), Some(call.bytes_out));
        }
        Some(row)
    }

    fn read_slowly(line: &[u8]) -> Option<Row<'a>> {
        let (Envelope { seq, ts, event, .. }, _) = parse_any(line)?;
        let protocol = Protocol::of(event.type_name())?;
        let mut row = Row {
            seq,
            ts,
            protocol,
            source: "".into(),
            target: "".into(),
            method: "".into(),
            path: "".into(),
            status: None,
            latency_us: None,
            bytes_in: None,
            bytes_out: None,
        };
        let latency = |ms: Option<Number>| ms.and_then(|ms| micros(&ms.to_string()));
        match event {
            Event::RequestCompleted(e) | Event::RequestFailed(e) => {
                (row.source, row.target) = (e.source.into(), e.target.into());
                (row.method, row.path) = (e.method.into(), e.path.into());
                row.status = e.status.map(|status| status.to_string().into());
                row.latency_us = latency(e.latency_ms);
            }
            Event::GrpcCallCompleted(e) => {
                (row.source, row.target) = (e.source.into(), e.target.into());
                (row.method, row.path) = (e.method.into(), e.grpc_service.into());
                row.status = Some(e.grpc_status.into());
                row.latency_us = latency(e.latency_ms);
            }
            Event::KafkaRequestCompleted(e) => {
                (row.source, row.target) = (e.source.into(), e.target.into());
                let value: Value = serde_json::from_slice(line).ok()?;
                let api = value.get("kafka_request").unwrap_or(&value).get("api_name");
                row.method = api.and_then(Value::as_str).unwrap_or_default().to_owned().into();
            }
            Event::ConnectionOpened(e) => {
                (row.source, row.target, row.method) = (e.source.into(), e.target.into(), "opened".into());
            }
            Event::ConnectionClosed(e) => {
                (row.source, row.target, row.method) = (e.source.into(), e.target.into(), "closed".into());
                (row.bytes_in, row.bytes_out) = (Some(e.bytes_in), Some(e.bytes_out));
            }
            _ => return None,
        }
        Some(row)
    }
}

/// Bytes of a line that was found to be UTF-8.
fn str(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

impl<'a> Text<'a> {
    /// The string itself.
    pub(crate) fn decoded(&self) -> Cow<'a, str> {
        if !self.escaped {
            return str(self.raw).into();
        }
        let quoted = [b"\"", self.raw, b"\""].concat();
        // Half a surrogate pair is no text.
        serde_json::from_slice::<String>(&quoted).unwrap_or_else(|_| str(self.raw).to_owned()).into()
    }
}

/// Milliseconds as they were spelled, in whole microseconds; negative ones and those beyond all bounds are left out.
pub fn micros(ms: &str) -> Option<u64> {
    let (whole, fraction) = ms.split_once('.').unwrap_or((ms, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        let ms: f64 = ms.parse().ok()?;
        return (0.0..1e15).contains(&ms).then(|| (ms * 1000.0).round() as u64);
    }
    let thousandths =
        (0..3).fold(0, |n, at| n * 10 + fraction.as_bytes().get(at).map_or(0, |b| u64::from(b - b'0')));
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(thousandths)
}

/// Which exchanges are wanted; what is left out does not matter.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// From this service.
    pub source: Option<String>,
    /// To this service.
    pub target: Option<String>,
    /// From or to this service.
    pub service: Option<String>,
    /// With this outcome.
    pub status: Option<Status>,
    /// Longer, or not longer, than so many microseconds.
    pub latency: Option<(Compare, u64)>,
    /// By this protocol.
    pub protocol: Option<Protocol>,
    /// With this text somewhere on the line, as it is written there.
    pub text: Option<String>,
}

/// How an exchange ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// `5xx`: an HTTP status that begins with this digit.
    Class(u8),
    /// `404`, `UNAVAILABLE`: exactly this HTTP or gRPC status.
    Is(String),
    /// `failed`: a status ≥ 400 or none, gRPC not OK.
    Failed,
}

impl std::str::FromStr for Status {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits: Vec<char> = text.chars().collect();
        match digits[..] {
            [class @ '1'..='9', 'x' | 'X', 'x' | 'X'] => Ok(Status::Class(class as u8 - b'0')),
            _ if text == "failed" => Ok(Status::Failed),
            [_, ..] if text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
                Ok(Status::Is(text.to_owned()))
            }
            _ => Err("write a status such as 503, a class such as 5xx, a gRPC status such as UNAVAILABLE, or failed".to_owned()),
        }
    }
}

/// On which side of a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// `>`
    More,
    /// `<`
    Less,
}

impl Wanted {
    /// What the index says: whether the line has to be looked at.
    pub fn may_take(&self, entry: &Entry<'_>) -> bool {
        let Some(protocol) = Protocol::of(entry.type_name) else { return false };
        let Some((source, target)) = entry.edge else { return false };
        let is = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
        self.protocol.is_none_or(|wanted| wanted == protocol)
            && is(&self.source, source)
            && is(&self.target, target)
            && (is(&self.service, source) || is(&self.service, target))
            && match &self.status {
                None => true,
                Some(Status::Class(class)) => entry.status_class == Some(*class),
                Some(Status::Is(_)) => matches!(protocol, Protocol::Http | Protocol::Grpc),
                Some(Status::Failed) => entry.failure || entry.status_class.is_some_and(|class| class >= 4),
            }
    }

    /// What only the line says.
    pub fn takes(&self, row: &Row<'_>, line: &[u8]) -> bool {
        let by_status = match &self.status {
            Some(Status::Is(wanted)) => row.status.as_deref() == Some(wanted.as_str()),
            _ => true,
        };
        let by_latency = self.latency.is_none_or(|(compare, bound)| {
            row.latency_us.is_some_and(|us| match compare {
                Compare::More => us > bound,
                Compare::Less => us < bound,
            })
        });
        let by_text =
            self.text.as_deref().is_none_or(|text| memchr::memmem::find(line, text.as_bytes()).is_some());
        by_status && by_latency && by_text
    }
}

/// Everything about one exchange.
#[derive(Clone, Debug, Serialize)]
pub struct Exchange {
    /// The row.
    #[serde(flatten)]
    pub row: Row<'static>,
    /// What went wrong, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Headers or metadata of the request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub request_headers: BTreeMap<String, Vec<String>>,
    /// What was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_body: Option<Body>,
    /// Headers or metadata of the answer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub response_headers: BTreeMap<String, Vec<String>>,
    /// What was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_body: Option<Body>,
}

/// What was sent or answered, as far as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Body {
    /// The text, or what stands for binary data.
    pub text: String,
    /// How many bytes were recorded.
    pub bytes: usize,
    /// Whether there were more than are shown, or than were recorded.
    pub truncated: bool,
    /// Whether it is no text.
    pub binary: bool,
}

impl Body {
    /// At most `most` bytes of a body.
    pub fn new(bytes: &[u8], was_truncated: bool, most: usize) -> Body {
        let text = std::str::from_utf8(bytes).or_else(|error| {
            // A recording may have cut it within a character.
            let cut = was_truncated && error.error_len().is_none();
            if cut { std::str::from_utf8(&bytes[..error.valid_up_to()]) } else { Err(error) }
        });
        let is_text = |text: &&str| !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
        match text.ok().filter(is_text) {
            Some(text) => {
                let end = (0..=text.len().min(most)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                let truncated = was_truncated || end < text.len();
                Body { text: text[..end].to_owned(), bytes: bytes.len(), truncated, binary: false }
            }
            None => {
                use std::fmt::Write as _;
                let shown = &bytes[..bytes.len().min(most.min(32))];
                let text = shown.iter().fold(String::new(), |mut text, byte| {
                    let _ = write!(text, "{byte:02x}");
                    text
                });
                let truncated = was_truncated || shown.len() < bytes.len();
                Body { text, bytes: bytes.len(), truncated, binary: true }
            }
        }
    }
}

impl Exchange {
    /// Reads a line in full, with at most `most` bytes of each body; `None` when it is no traffic.
    pub fn read(line: &[u8], most: usize) -> Option<Exchange> {
        let row = Row::read_slowly(line)?;
        let value: Value = serde_json::from_slice(line).ok()?;
        let nested = ["request", "grpc_call", "connection", "kafka_request"];
        // A line of ours has the payload beside the head.
        let payload =
            nested.iter().find_map(|key| value.get(*key).filter(|v| v.is_object())).unwrap_or(&value);
        let message = ["grpc_message", "error"].iter().find_map(|key| said(payload, key));
        Some(Exchange {
            row,
            error: message.or_else(|| said(&value, "error")),
            request_headers: headers(payload, ["request_headers", "request_metadata"]),
            request_body: body(payload, "request_body", most),
            response_headers: headers(payload, ["response_headers", "response_metadata"]),
            response_body: body(payload, "response_body", most),
        })
    }
}

fn said(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn headers(payload: &Value, keys: [&str; 2]) -> BTreeMap<String, Vec<String>> {
    let found = keys.iter().find_map(|key| payload.get(*key)?.as_object());
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let list = |value: &Value| match value {
        Value::Array(values) => values.iter().map(text).collect(),
        one => vec![text(one)],
    };
    found.into_iter().flatten().map(|(name, value)| (name.clone(), list(value))).collect()
}

fn body(payload: &Value, key: &str, most: usize) -> Option<Body> {
    let truncated = payload.get(format!("{key}_truncated")).and_then(Value::as_bool).unwrap_or(false);
    if let Some(decoded) = payload.get(format!("{key}_decoded")).filter(|v| !v.is_null()) {
        return Some(Body::new(decoded.to_string().as_bytes(), truncated, most));
    }
    let text = payload.get(key)?.as_str().filter(|text| !text.is_empty())?;
    let engine = base64::engine::general_purpose::STANDARD;
    // What is no base64 is shown as it stands.
    let bytes = engine.decode(text).unwrap_or_else(|_| text.as_bytes().to_vec());
    Some(Body::new(&bytes, truncated, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_become_microseconds_without_rounding_errors() {
        for (ms, us) in [
            ("0.394", 394),
            ("2", 2000),
            ("15.7", 15_700),
            ("999.6", 999_600),
            ("1e3", 1_000_000),
            ("0.0019", 1),
        ] {
            assert_eq!(micros(ms), Some(us), "{ms}");
        }
        assert_eq!((micros("-1"), micros("x"), micros("99999999999999999999")), (None, None, None));
    }

    #[test]
    fn a_body_is_shown_as_text_only_where_it_is_text() {
        let shown = |bytes: &[u8], most| Body::new(bytes, false, most);
        assert_eq!(shown("größe\n".as_bytes(), 3).text, "gr");
        assert!(shown("größe".as_bytes(), 3).truncated);
        assert_eq!((shown(b"\x00\xff\x1b", 9).text.as_str(), shown(b"\x1b[2J", 9).binary), ("00ff1b", true));
        assert!(!Body::new("gr\u{f6}".as_bytes()[..3].as_ref(), true, 9).binary);
    }

    #[test]
    fn both_dialects_give_the_same_row() {
        let ours = br#"{"seq":7,"ts":"2026-02-23T10:00:02Z","type":"request.completed","source":"a","target":"b","method":"GET","path":"/\u00e4","status":500,"latency_ms":15.7}"#;
        let rigds = br#"{"seq":7,"type":"request.completed","request":{"source":"a","target":"b","method":"GET","path":"/\u00e4","status_code":500,"latency_ms":15.7},"timestamp":"2026-02-23T10:00:02Z"}"#;
        let row = Row::read(ours).unwrap();
        assert_eq!((row.path.as_ref(), row.latency_us), ("/ä", Some(15_700)));
        assert_eq!(Row::read(rigds).unwrap(), row);
        assert_eq!(Row::read_slowly(ours).unwrap(), row);
        assert_eq!(Row::read_slowly(rigds).unwrap(), row);
        let closed = br#"{"seq":7,"type":"connection.closed","connection":{"source":"a","target":"b","bytes_in":1,"bytes_out":2,"latency_ms":3},"timestamp":"2026-02-23T10:00:02Z"}"#;
        assert_eq!(Row::read(closed), Row::read_slowly(closed));
    }
}
