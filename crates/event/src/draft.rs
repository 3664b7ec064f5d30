//! An event before it has a place in the log, and its one encoding.
//!
//! Everything but `seq`, `ts` and `more` is known before the append, so the bytes are made by whoever appends; the
//! writer, of which there is one, only puts the place in front: [`Body::write_line`].

use std::borrow::Cow;
use std::io::Write as _;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::event::{RESERVED_FAMILIES, describe, family, is_type_name};
use crate::{Error, Event, Result, Seq, ServiceName, Timestamp};

/// The longest line of the log, in bytes without its newline.
pub const MAX_LINE: usize = 1 << 20;

/// What the writer's share of a line can take at most: seq, ts and more with their keys.
const PLACE: usize = 96;

/// Longest idempotency key and longest actor, in bytes.
pub const MAX_ID: usize = 256;

/// An event that is to be appended.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The service it is about.
    pub service: Option<ServiceName>,
    /// The client's idempotency key.
    pub id: Option<String>,
    /// The event that led to it.
    pub cause: Option<Seq>,
    /// Who does it.
    pub actor: Option<String>,
    /// What happened.
    pub event: Event,
}

impl Draft {
    /// A draft of `event` about `service`.
    pub fn new(service: Option<ServiceName>, event: Event) -> Self {
        Draft { service, id: None, cause: None, actor: None, event }
    }

    /// Encodes it.
    ///
    /// # Errors
    /// [`Error::TooLong`] when the line would pass [`MAX_LINE`].
    pub fn encode(self) -> Result<Body> {
        let mut json = Vec::with_capacity(256);
        json.extend_from_slice(b"\"type\":");
        put(&mut json, self.event.type_name())?;
        if let Some(service) = &self.service {
            json.extend_from_slice(b",\"service\":");
            put(&mut json, service.as_str())?;
        }
        let fields = json.len();
        self.event.write_fields(&mut json).map_err(|e| Error::Malformed { why: describe(&e) })?;
        // The payload is an object of its own: its brace becomes the comma that joins it, its end is dropped.
        json[fields] = b',';
        json.pop();
        if json.len() == fields + 1 {
            json.pop();
        }
        if let Some(id) = &self.id {
            json.extend_from_slice(b",\"id\":");
            put(&mut json, id)?;
        }
        if let Some(cause) = self.cause {
            json.extend_from_slice(b",\"cause\":");
            put(&mut json, &cause)?;
        }
        if let Some(actor) = &self.actor {
            json.extend_from_slice(b",\"actor\":");
            put(&mut json, actor)?;
        }
        Body::checked(json, self)
    }
}

fn put<T: serde::Serialize + ?Sized>(json: &mut Vec<u8>, value: &T) -> Result<()> {
    serde_json::to_writer(json, value).map_err(|e| Error::Malformed { why: describe(&e) })
}

/// An encoded draft: the line without `{"seq":…,"ts":…,` in front and `}` behind.
#[derive(Clone, Debug)]
pub struct Body {
    json: Vec<u8>,
    /// What the bytes say.
    pub draft: Draft,
}

impl Body {
    fn checked(json: Vec<u8>, draft: Draft) -> Result<Body> {
        let bytes = json.len() + PLACE;
        if bytes > MAX_LINE { Err(Error::TooLong { bytes }) } else { Ok(Body { json, draft }) }
    }

    /// Reads one event that a client wants to append: a JSON object with `type`, optional `service`, `id`, `cause` and
    /// `actor`, and the type's own fields, whose bytes and order are kept.
    ///
    /// `redact` is shown each of the type's own fields by name and value; where it answers `true` it has replaced a secret,
    /// and the field is written anew.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is no such object, has a key twice, carries `seq`, `ts` or `more` (which the hub
    /// gives), is of a family that only the hub writes, or has wrong fields for a known type; [`Error::TooLong`].
    pub fn from_client(json: &[u8], mut redact: impl FnMut(&str, &mut Value) -> bool) -> Result<Body> {
        let malformed = |why: String| Error::Malformed { why };
        if json.len() > MAX_LINE {
            return Err(Error::TooLong { bytes: json.len() });
        }
        let Members(members) = serde_json::from_slice(json).map_err(|e| malformed(describe(&e)))?;
        let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(malformed("a key stands twice".to_owned()));
        }
        for given in ["seq", "ts", "timestamp", "more"] {
            if names.binary_search(&given).is_ok() {
                return Err(malformed(format!("`{given}` is given by the hub; leave it out")));
            }
        }
        let raw = |key: &str| members.iter().find(|(name, _)| name == key).map(|(_, value)| value.get());
        let text = |key: &str| -> Result<Option<String>> {
            let parsed = raw(key).map(serde_json::from_str).transpose();
            parsed.map_err(|_| malformed(format!("`{key}` must be a string")))
        };
        let type_name = text("type")?.ok_or_else(|| malformed("`type` is missing".to_owned()))?;
        if !is_type_name(&type_name) {
            return Err(malformed("`type` must be written family.verb, in lowercase".to_owned()));
        }
        if RESERVED_FAMILIES.contains(&family(&type_name)) {
            return Err(malformed(format!("events of type `{type_name}` are written by the hub only")));
        }
        let service = text("service")?.map(|name| name.parse::<ServiceName>()).transpose()?;
        let (id, actor) = (text("id")?, text("actor")?);
        if [&id, &actor].into_iter().flatten().any(|t| t.is_empty() || t.len() > MAX_ID) {
            return Err(malformed(format!("`id` and `actor` must have 1 to {MAX_ID} bytes")));
        }
        let cause = raw("cause").map(serde_json::from_str::<Seq>).transpose();
        let cause = cause.map_err(|_| malformed("`cause` must be a seq".to_owned()))?;

        let mut body = Vec::with_capacity(json.len() + 16);
        body.extend_from_slice(b"\"type\":");
        put(&mut body, &type_name)?;
        let mut redacted = false;
        let first = members.iter().filter(|(name, _)| name == "service");
        let rest = members.iter().filter(|(name, _)| name != "service" && name != "type");
        for (name, value) in first.chain(rest) {
            body.push(b',');
            put(&mut body, name.as_ref())?;
            body.push(b':');
            let raw = value.get();
            let own = !matches!(name.as_ref(), "service" | "id" | "cause" | "actor");
            // Pretty-printed: a line must hold no line end. Inside strings they are escaped, so this is white space.
            let pretty = raw.bytes().any(|b| b == b'\n' || b == b'\r');
            let holds_text = own && raw.starts_with(['"', '{', '[']);
            if pretty || holds_text {
                let mut parsed = crate::spelled::from_str(raw).map_err(|e| malformed(describe(&e)))?;
                let changed = own && redact(name, &mut parsed);
                redacted |= changed;
                if pretty || changed {
                    put(&mut body, &parsed)?;
                    continue;
                }
            }
            body.extend_from_slice(raw.as_bytes());
        }
        let event = if redacted {
            Event::decode(&type_name, &[b"{", body.as_slice(), b"}"].concat())?
        } else {
            Event::decode(&type_name, json)?
        };
        Body::checked(body, Draft { service, id, cause, actor, event })
    }

    /// Appends the whole line with its newline to `out`. `ts` is the text of the time stamp; `more` says how many events of
    /// the same append follow.
    pub fn write_line(&self, seq: Seq, ts: &str, more: u32, out: &mut Vec<u8>) {
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{{\"seq\":{seq},\"ts\":\"{ts}\",");
        out.extend_from_slice(&self.json);
        if more > 0 {
            let _ = write!(out, ",\"more\":{more}");
        }
        out.extend_from_slice(b"}\n");
    }

    /// Length of the longest line it can become, newline included.
    pub fn max_len(&self) -> usize {
        self.json.len() + PLACE
    }

    /// The event as it stands in the log at `seq`.
    pub fn into_envelope(self, seq: Seq, ts: Timestamp) -> crate::Envelope {
        let Draft { service, id, cause, actor, event } = self.draft;
        crate::Envelope { seq, ts, service, id, cause, actor, event }
    }
}

/// The members of a JSON object in their order, values untouched.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Object;
        #[derive(Deserialize)]
        struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    if members.len() == 10_000 {
                        return Err(de::Error::custom("too many keys"));
                    }
                    members.push((key, value));
                }
                Ok(Members(members))
            }
        }
        d.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Envelope;
    use crate::event::{Lifecycle, SnapshotUnchanged};

    fn kept(_: &str, _: &mut Value) -> bool {
        false
    }

    fn line(body: &Body) -> String {
        let mut out = Vec::new();
        body.write_line(7, "2026-11-20T10:30:05.412803Z", 0, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn keys_stand_in_the_order_of_the_contract() {
        let event = Event::SnapshotUnchanged(SnapshotUnchanged {
            digest: "d".into(),
            captured: 3,
            ..Default::default()
        });
        let draft = Draft {
            service: Some("api".parse().unwrap()),
            id: Some("k".into()),
            cause: Some(3),
            actor: Some("ana".into()),
            event,
        };
        let body = draft.encode().unwrap();
        assert_eq!(
            line(&body),
            "{\"seq\":7,\"ts\":\"2026-11-20T10:30:05.412803Z\",\"type\":\"snapshot.unchanged\",\"service\":\"api\",\
             \"digest\":\"d\",\"captured\":3,\"id\":\"k\",\"cause\":3,\"actor\":\"ana\"}\n"
        );
        let ts = "2026-11-20T10:30:05.412803Z".parse().unwrap();
        assert_eq!(Envelope::parse(line(&body).trim_end().as_bytes()).unwrap(), body.into_envelope(7, ts));
    }

    #[test]
    fn an_event_without_fields_has_no_stray_comma() {
        let body = Draft::new(None, Event::ServiceReady(Lifecycle::default())).encode().unwrap();
        assert!(line(&body).ends_with("\"type\":\"service.ready\"}\n"), "{}", line(&body));
    }

    #[test]
    fn a_clients_fields_keep_their_bytes_and_order() {
        let body = Body::from_client(
            b"{ \"z\": 1e3, \"service\":\"api\", \"a\": [1E3,\n 2.50], \"type\": \"shop.sold\" }",
            kept,
        )
        .unwrap();
        assert!(
            line(&body).ends_with("\"type\":\"shop.sold\",\"service\":\"api\",\"z\":1e3,\"a\":[1E3,2.50]}\n"),
            "{}",
            line(&body)
        );
    }

    #[test]
    fn a_secret_in_a_clients_event_is_gone_from_line_and_event() {
        let hide = |name: &str, value: &mut Value| {
            let found = name == "data";
            if found {
                *value = "hidden".into();
            }
            found
        };
        let json = br#"{"type":"service.log","service":"api","stream":"stderr","data":"hunter2"}"#;
        let body = Body::from_client(json, hide).unwrap();
        assert!(line(&body).ends_with("\"stream\":\"stderr\",\"data\":\"hidden\"}\n"), "{}", line(&body));
        assert!(!format!("{body:?}").contains("hunter2"));
    }

    #[test]
    fn what_the_hub_writes_is_not_taken_from_clients() {
        for bad in [
            r#"{"type":"shop.sold","seq":1}"#,
            r#"{"type":"baseline.approved","digest":""}"#,
            r#"{"type":"log.sealed"}"#,
            r#"{"type":"Shop.Sold"}"#,
            r#"{"type":"sold"}"#,
            r#"{"type":"a.b","x":1,"x":2}"#,
            r#"{"type":"request.completed","status":"fine"}"#,
            r#"{"type":"a.b","id":""}"#,
            r#"[1]"#,
        ] {
            assert!(Body::from_client(bad.as_bytes(), kept).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_event_over_one_mebibyte_is_refused() {
        let big = format!(r#"{{"type":"a.b","x":"{}"}}"#, "x".repeat(MAX_LINE - 60));
        assert!(matches!(Body::from_client(big.as_bytes(), kept), Err(Error::TooLong { .. })));
    }
}
