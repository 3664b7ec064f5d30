//! A line of the log read back: its head, or the whole event.

use std::borrow::Cow;

use serde::Deserialize;

use crate::event::describe;
use crate::{Error, Event, Result, Seq, ServiceName, Timestamp};

/// What every event has, borrowed from its line: enough to order, filter and index it without reading the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Head<'a> {
    /// Place in the stream.
    pub seq: Seq,
    /// When it was appended.
    pub ts: Timestamp,
    /// `family.verb`.
    pub type_name: Cow<'a, str>,
    /// The service it is about.
    pub service: Option<Cow<'a, str>>,
    /// The client's idempotency key.
    pub id: Option<Cow<'a, str>>,
    /// The event that led to it.
    pub cause: Option<Seq>,
    /// Who did it.
    pub actor: Option<Cow<'a, str>>,
    /// How many events of the same append follow; 0 on its last.
    pub more: u32,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct RawHead<'a> {
    seq: Seq,
    ts: Timestamp,
    #[serde(rename = "type", borrow)]
    type_name: Cow<'a, str>,
    #[serde(borrow)]
    service: Option<Text<'a>>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    cause: Option<Seq>,
    #[serde(borrow)]
    actor: Option<Text<'a>>,
    #[serde(default)]
    more: u32,
}

impl<'a> Head<'a> {
    /// Reads the head of a line; the line must be one JSON object, its end without a newline.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is no JSON object with `seq`, `ts` and `type`.
    pub fn parse(line: &'a [u8]) -> Result<Head<'a>> {
        let raw: RawHead<'a> =
            serde_json::from_slice(line).map_err(|e| Error::Malformed { why: describe(&e) })?;
        if raw.seq == 0 {
            return Err(Error::Malformed { why: "seq 0 is the place before the first event".to_owned() });
        }
        Ok(Head {
            seq: raw.seq,
            ts: raw.ts,
            type_name: raw.type_name,
            service: raw.service.map(|t| t.0),
            id: raw.id.map(|t| t.0),
            cause: raw.cause,
            actor: raw.actor.map(|t| t.0),
            more: raw.more,
        })
    }
}

/// An event with its place in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// Place in the stream.
    pub seq: Seq,
    /// When it was appended.
    pub ts: Timestamp,
    /// The service it is about.
    pub service: Option<ServiceName>,
    /// The client's idempotency key.
    pub id: Option<String>,
    /// The event that led to it.
    pub cause: Option<Seq>,
    /// Who did it.
    pub actor: Option<String>,
    /// What happened.
    pub event: Event,
}

impl Envelope {
    /// Reads a line of the log.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is no event, or the fields of a type known here are wrong; [`Error::Name`] when its
    /// service has no valid name.
    pub fn parse(line: &[u8]) -> Result<Envelope> {
        let head = Head::parse(line)?;
        Ok(Envelope {
            seq: head.seq,
            ts: head.ts,
            service: head.service.as_deref().map(str::parse).transpose()?,
            id: head.id.map(Cow::into_owned),
            cause: head.cause,
            actor: head.actor.map(Cow::into_owned),
            event: Event::decode(&head.type_name, line)?,
        })
    }
}

/// Returns when an event was appended in truth, where the line says that its `ts` is another: the clock had been ahead before, and
/// the times of a log never run backwards.
///
/// It stands right behind `ts`, where a client cannot write.
pub fn true_time(line: &[u8]) -> Option<Timestamp> {
    let rest = line.strip_prefix(b"{\"seq\":")?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let rest = rest[digits..].strip_prefix(b",\"ts\":\"")?;
    let end = rest.iter().position(|b| *b == b'"')?;
    let rest = rest[end..].strip_prefix(b"\",\"at\":\"")?;
    let end = rest.iter().position(|b| *b == b'"')?;
    std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
}

/// Returns the type of an event by its line, and nothing if it has none.
///
/// A hub begins a line with `{"seq":N,"ts":"…","type":"`, and a type needs no escapes, so most lines are not parsed. The keys of a
/// recording may be in any order.
pub fn type_of(line: &[u8]) -> &[u8] {
    #[derive(Deserialize)]
    struct Typed<'a> {
        r#type: &'a str,
    }
    const KEY: &[u8] = b"\"type\":\"";
    // Behind a seq of at most 20 digits and a time stamp: looking further would only be slower.
    let front = &line[..line.len().min(136)];
    match front.windows(KEY.len()).position(|window| window == KEY) {
        Some(at) if !front[1..at].contains(&b'{') => {
            let rest = &line[at + KEY.len()..];
            &rest[..rest.iter().position(|b| *b == b'"').unwrap_or(0)]
        }
        _ => serde_json::from_slice::<Typed<'_>>(line).map_or(b"", |typed| typed.r#type.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_design_example_reads() {
        let line = br#"{"seq":8,"ts":"2026-11-20T10:30:05.412803Z","type":"request.completed","source":"order-service","target":"postgres","method":"POST","path":"/orders","status":201,"latency_ms":2}"#;
        let e = Envelope::parse(line).unwrap();
        assert_eq!((e.seq, e.event.type_name()), (8, "request.completed"));
        let Event::RequestCompleted(r) = e.event else { panic!("{:?}", e.event) };
        assert_eq!((r.source.as_str(), r.status), ("order-service", Some(201)));
    }

    #[test]
    fn what_is_no_event_is_refused_without_being_quoted() {
        for bad in [
            &b""[..],
            b"{}",
            b"[]",
            b"{\"seq\":1}",
            br#"{"seq":1,"ts":"2026-11-20T10:30:05Z","type":"a.b"} x"#,
            br#"{"seq":0,"ts":"2026-11-20T10:30:05Z","type":"a.b"}"#,
            br#"{"seq":1,"seq":2,"ts":"2026-11-20T10:30:05Z","type":"a.b"}"#,
            br#"{"seq":1,"ts":"2026-11-20T10:30:05Z","type":"diff.computed","from":"hunter2"}"#,
        ] {
            let error = Envelope::parse(bad).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_true_time_is_what_the_hub_wrote_and_not_a_client() {
        let (ts, at) = ("2027-11-20T10:30:05.412803Z", "2026-11-20T10:30:05.412803Z");
        let line = |json: &str, at| {
            let body = crate::Body::from_client(json.as_bytes(), None, |_, _| false).unwrap();
            let mut line = Vec::new();
            body.write_line_at(7, ts, at, 0, &mut line);
            line.pop();
            assert_eq!(type_of(&line), b"a.b");
            (true_time(&line), Envelope::parse(&line).unwrap().ts.to_string())
        };
        assert_eq!(line(r#"{"type":"a.b","n":1}"#, Some(at)), (at.parse().ok(), ts.to_owned()));
        assert_eq!(line(r#"{"type":"a.b","n":1}"#, None), (None, ts.to_owned()));
        let own = r#"{"at":"2001-01-01T00:00:00Z","type":"a.b"}"#;
        assert_eq!(line(own, Some(at)), (None, ts.to_owned()), "a key stands there once");
        assert_eq!(line(own, None), (None, ts.to_owned()));
    }

    #[test]
    fn deep_nesting_is_an_error_or_passed_over_never_a_crash() {
        let deep = format!(
            r#"{{"seq":1,"ts":"2026-11-20T10:30:05Z","type":"a.b","x":{}1{}}}"#,
            "[".repeat(400_000),
            "]".repeat(400_000)
        );
        let _ = Envelope::parse(deep.as_bytes()).map(|e| assert_eq!(e.seq, 1));
    }

    #[test]
    fn a_type_is_found_wherever_it_stands_on_the_line() {
        for line in [
            r#"{"seq":1,"ts":"2026-11-20T10:30:05Z","type":"a.b"}"#,
            r#"{"type":"a.b","seq":1}"#,
            r#"{"seq":1,"endpoint":{"type":"x.y"},"type":"a.b"}"#,
            &format!(r#"{{"environment":"{}","type":"a.b"}}"#, "e".repeat(150)),
        ] {
            assert_eq!(type_of(line.as_bytes()), b"a.b", "{line}");
        }
        assert_eq!(type_of(b"{}"), b"");
    }
}
