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

/// What the writer's share of a line can take at most: seq, ts, at and more with their keys.
const PLACE: usize = 136;

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

    /// Returns about how long its line will be, in bytes, before anything is redacted. It encodes the payload to find out.
    pub fn encoded_len(&self) -> usize {
        let mut json = Vec::with_capacity(256);
        // A payload that cannot be encoded is refused when it is appended.
        let _ = self.event.write_fields(&mut json);
        let service = self.service.as_ref().map(ServiceName::as_str);
        let texts = [Some(self.event.type_name()), service, self.id.as_deref(), self.actor.as_deref()];
        // With each of them stand its key and its quotes, with the cause its key and up to 20 digits.
        let texts: usize = texts.into_iter().flatten().map(|text| text.len() + 13).sum();
        json.len() + texts + self.cause.map_or(0, |_| 29) + PLACE
    }
}

impl Draft {
    /// Encodes it after `redact` was shown each of the event's own fields, and `id` and `actor`, by name and value. Where `redact`
    /// returns true, it has replaced a secret in either, and the field is written anew.
    ///
    /// # Errors
    /// [`Error::TooLong`] when the line would pass [`MAX_LINE`]; [`Error::Malformed`] when the event does not fit its type any more.
    pub fn encode_redacted(self, redact: impl FnMut(&mut String, &mut Value) -> bool) -> Result<Body> {
        let body = self.encode()?;
        let whole = [b"{", body.json.as_slice(), b"}"].concat();
        let Some(json) = rewrite(&whole, redact)? else { return Ok(body) };
        let Members(members) =
            serde_json::from_slice(&json).map_err(|e| Error::Malformed { why: describe(&e) })?;
        let text = |key: &str| {
            let found = members.iter().find(|(name, _)| name == key);
            found.and_then(|(_, value)| serde_json::from_str::<String>(value.get()).ok())
        };
        let Draft { service, cause, event, .. } = body.draft;
        let event = Event::decode(event.type_name(), &json)?;
        let draft = Draft { service, id: text("id"), cause, actor: text("actor"), event };
        Body::checked(json[1..json.len() - 1].to_vec(), draft)
    }
}

/// Who does something: `known` is whom the hub found the client to be, `said` who the client says it is. What is known stands
/// first, so that nobody can pass for somebody else: `ci-bot`, or `ci-bot/ana` where `ci-bot` says that it acts for `ana`.
///
/// Names that are known have no slash in them. Who says `ci-bot` or `ci-bot/ana` and is `ci-bot` is taken at its word.
pub fn actor(known: Option<&str>, said: Option<String>) -> Option<String> {
    let Some(known) = known else { return said };
    Some(match said {
        Some(said)
            if said.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) =>
        {
            said
        }
        Some(said) => format!("{known}/{said}"),
        None => known.to_owned(),
    })
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
    /// `redact` is shown each of the type's own fields, and `id` and `actor`, by name and value; where it answers `true` it
    /// has replaced a secret in either, and the field is written anew. A key that stands twice, at any depth, is refused:
    /// what reads only one of the two would not see a secret in the other.
    ///
    /// `by` is whom the client was found to be, if that is known: then the actor is that name, and what the client says stands
    /// behind it ([`actor`]).
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is no such object, has a key twice, carries `seq`, `ts` or `more` (which the hub
    /// gives), is of a family that only the hub writes, or has wrong fields for a known type; [`Error::TooLong`].
    pub fn from_client(
        json: &[u8],
        by: Option<&str>,
        mut redact: impl FnMut(&mut String, &mut Value) -> bool,
    ) -> Result<Body> {
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
        let (mut id, mut said) = (text("id")?, text("actor")?);
        if [&id, &said].into_iter().flatten().any(|t| t.is_empty() || t.len() > MAX_ID) {
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
            if name == "actor" && by.is_some() {
                if let Some(field) = Field::redacted(name, value, &mut redact)? {
                    said = field.value.as_str().map(str::to_owned);
                }
                continue;
            }
            body.push(b',');
            let fixed = matches!(name.as_ref(), "service" | "cause");
            let field = if fixed { None } else { Field::redacted(name, value, &mut redact)? };
            match field {
                Some(field) => {
                    redacted = true;
                    let text = field.value.as_str().map(str::to_owned);
                    match name.as_ref() {
                        "id" => id = text,
                        "actor" => said = text,
                        _ => {}
                    }
                    field.write(&mut body)?;
                }
                None => write_member(&mut body, name, value)?,
            }
        }
        let actor = actor(by, said);
        if let (Some(_), Some(actor)) = (by, &actor) {
            if actor.len() > MAX_ID {
                return Err(malformed(format!(
                    "`actor` and the name of the token have over {MAX_ID} bytes together"
                )));
            }
            body.extend_from_slice(b",\"actor\":");
            put(&mut body, actor)?;
        }
        let event = if redacted {
            Event::decode(&type_name, &[b"{", body.as_slice(), b"}"].concat())?
        } else {
            Event::decode(&type_name, json)?
        };
        Body::checked(body, Draft { service, id, cause, actor, event })
    }

    /// The same with an idempotency key; it must have none.
    ///
    /// # Errors
    /// [`Error::TooLong`] when the line would pass [`MAX_LINE`].
    pub fn with_id(mut self, id: String) -> Result<Body> {
        self.json.extend_from_slice(b",\"id\":");
        put(&mut self.json, &id)?;
        self.draft.id = Some(id);
        Body::checked(self.json, self.draft)
    }

    /// Appends the whole line as [`Body::write_line`] does, with the true time as `at` behind `ts`, where that is known to be another.
    ///
    /// An event that has a key of that name keeps it, and the true time is not written.
    pub fn write_line_at(&self, seq: Seq, ts: &str, at: Option<&str>, more: u32, out: &mut Vec<u8>) {
        const KEY: &[u8] = b"\"at\":";
        match at.filter(|_| !self.json.windows(KEY.len()).any(|window| window == KEY)) {
            // It stands where no client can write: only what is there is read as the true time.
            Some(at) => self.write_line(seq, &format!("{ts}\",\"at\":\"{at}"), more, out),
            None => self.write_line(seq, ts, more, out),
        }
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

/// Writes a JSON object anew with what `redact` replaced in its members; `None` when that was nothing, and then the bytes
/// are to be kept as they are. `seq`, `ts`, `timestamp`, `type`, `cause` and `more` are not shown to it.
///
/// # Errors
/// [`Error::Malformed`] when it is no object, or a key stands twice in it, at any depth.
pub fn rewrite(
    json: &[u8],
    mut redact: impl FnMut(&mut String, &mut Value) -> bool,
) -> Result<Option<Vec<u8>>> {
    let Members(members) =
        serde_json::from_slice(json).map_err(|e| Error::Malformed { why: describe(&e) })?;
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Error::Malformed { why: "a key stands twice".to_owned() });
    }
    let mut out = Vec::with_capacity(json.len() + 64);
    let mut changed = false;
    for (name, value) in &members {
        out.push(if out.is_empty() { b'{' } else { b',' });
        let fixed = matches!(name.as_ref(), "seq" | "ts" | "timestamp" | "type" | "cause" | "more");
        match if fixed { None } else { Field::redacted(name, value, &mut redact)? } {
            Some(field) => {
                changed = true;
                field.write(&mut out)?;
            }
            None => write_member(&mut out, name, value)?,
        }
    }
    out.push(b'}');
    Ok(changed.then_some(out))
}

/// Appends a member as it stands. Pretty-printed values are written anew: a line must hold no line end. Inside strings line
/// ends are escaped, so this is white space.
fn write_member(out: &mut Vec<u8>, name: &str, value: &RawValue) -> Result<()> {
    put(out, name)?;
    out.push(b':');
    let raw = value.get();
    if raw.bytes().any(|b| b == b'\n' || b == b'\r') {
        let parsed = crate::spelled::from_str(raw).map_err(|e| Error::Malformed { why: describe(&e) })?;
        return put(out, &parsed);
    }
    out.extend_from_slice(raw.as_bytes());
    Ok(())
}

/// A member in which a secret was replaced.
struct Field {
    name: String,
    value: Value,
}

impl Field {
    /// Shows a member to `redact`; `None` when there is nothing to replace.
    fn redacted(
        name: &str,
        raw: &RawValue,
        redact: &mut impl FnMut(&mut String, &mut Value) -> bool,
    ) -> Result<Option<Field>> {
        let malformed = |e: &serde_json::Error| Error::Malformed { why: describe(e) };
        if raw.get().starts_with(['{', '[']) {
            serde_json::from_str::<NoRepeat>(raw.get()).map_err(|e| malformed(&e))?;
        }
        let value = crate::spelled::from_str(raw.get()).map_err(|e| malformed(&e))?;
        let mut field = Field { name: name.to_owned(), value };
        Ok(redact(&mut field.name, &mut field.value).then_some(field))
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        put(out, &self.name)?;
        out.push(b':');
        put(out, &self.value)
    }
}

/// A key, borrowed where it can be. (A number is an object with one key to serde_json, which derived code would refuse.)
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }
            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        d.deserialize_str(Text)
    }
}

/// Any value in which no object has a key twice.
struct NoRepeat;

impl<'de> Deserialize<'de> for NoRepeat {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = NoRepeat;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON value")
            }
            fn visit_bool<E>(self, _: bool) -> Result<NoRepeat, E> {
                Ok(NoRepeat)
            }
            fn visit_i64<E>(self, _: i64) -> Result<NoRepeat, E> {
                Ok(NoRepeat)
            }
            fn visit_u64<E>(self, _: u64) -> Result<NoRepeat, E> {
                Ok(NoRepeat)
            }
            fn visit_f64<E>(self, _: f64) -> Result<NoRepeat, E> {
                Ok(NoRepeat)
            }
            fn visit_str<E>(self, _: &str) -> Result<NoRepeat, E> {
                Ok(NoRepeat)
            }
            fn visit_unit<E>(self) -> Result<NoRepeat, E> {
                Ok(NoRepeat)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<NoRepeat, A::Error> {
                while seq.next_element::<NoRepeat>()?.is_some() {}
                Ok(NoRepeat)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NoRepeat, A::Error> {
                let mut keys = Vec::new();
                while let Some((Key(key), NoRepeat)) = map.next_entry::<Key<'de>, NoRepeat>()? {
                    keys.push(key);
                }
                keys.sort_unstable();
                match keys.windows(2).any(|pair| pair[0] == pair[1]) {
                    true => Err(de::Error::custom("a key stands twice")),
                    false => Ok(NoRepeat),
                }
            }
        }
        d.deserialize_any(Any)
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

    fn kept(_: &mut String, _: &mut Value) -> bool {
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
    fn a_command_that_is_no_text_is_kept_on_its_line_and_not_read() {
        for (json, read) in [("\"make test\"", Some("make test")), ("[\"make\",1e9]", None), ("null", None)] {
            let sent = format!(r#"{{"type":"service.starting","service":"ci","command":{json}}}"#);
            let body = Body::from_client(sent.as_bytes(), None, kept).unwrap();
            assert!(line(&body).ends_with(&format!("\"command\":{json}}}\n")), "{}", line(&body));
            let Event::ServiceStarting(life) = body.draft.event else { panic!("{sent}") };
            assert_eq!(life.command.as_deref(), read, "{sent}");
        }
    }

    #[test]
    fn a_clients_fields_keep_their_bytes_and_order() {
        let body = Body::from_client(
            b"{ \"z\": 1e3, \"service\":\"api\", \"a\": [1E3,\n 2.50], \"type\": \"shop.sold\" }",
            None,
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
        let hide = |name: &mut String, value: &mut Value| {
            let found = matches!(name.as_str(), "data" | "actor");
            if found {
                *value = "hidden".into();
            }
            found
        };
        let json = br#"{"type":"service.log","service":"api","stream":"stderr","data":"hunter2"}"#;
        let body = Body::from_client(json, None, hide).unwrap();
        assert!(line(&body).ends_with("\"stream\":\"stderr\",\"data\":\"hidden\"}\n"), "{}", line(&body));
        assert!(!format!("{body:?}").contains("hunter2"));
        let json = br#"{"type":"a.b","actor":"hunter2"}"#;
        let body = Body::from_client(json, None, hide).unwrap();
        assert_eq!(body.draft.actor.as_deref(), Some("hidden"));
        assert!(!line(&body).contains("hunter2"));
    }

    #[test]
    fn a_secret_used_as_a_key_is_gone_too() {
        let hide = |name: &mut String, _: &mut Value| {
            let found = name == "hunter2";
            if found {
                *name = "hidden".to_owned();
            }
            found
        };
        let body = Body::from_client(br#"{"type":"a.b","x":1,"hunter2":null}"#, None, hide).unwrap();
        assert!(line(&body).ends_with("\"x\":1,\"hidden\":null}\n"), "{}", line(&body));
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_at_any_depth() {
        for json in [
            r#"{"type":"a.b","x":{"k":"hunter2","k":""}}"#,
            r#"{"type":"a.b","x":[1.5,{"y":{"k":1,"k":2}}]}"#,
        ] {
            assert!(Body::from_client(json.as_bytes(), None, kept).is_err(), "{json}");
            assert!(rewrite(json.as_bytes(), kept).is_err(), "{json}");
        }
        assert!(
            Body::from_client(
                br#"{"type":"a.b","x":[1e400,-0.0,{"a":{"k":1},"k":2},true,null]}"#,
                None,
                kept
            )
            .is_ok()
        );
    }

    #[test]
    fn a_line_is_rewritten_only_where_something_was_replaced() {
        let json =
            br#"{"seq":1,"ts":"2026-11-20T10:30:05Z","type":"a.b","z":1e3,"data":"hunter2","a":[2.50]}"#;
        assert_eq!(rewrite(json, kept).unwrap(), None);
        let hide = |name: &mut String, value: &mut Value| {
            let found = name == "data";
            if found {
                *value = "hidden".into();
            }
            found
        };
        let rewritten = String::from_utf8(rewrite(json, hide).unwrap().unwrap()).unwrap();
        assert_eq!(rewritten, String::from_utf8_lossy(json).replace("hunter2", "hidden"));
    }

    #[test]
    fn who_is_known_stands_before_who_is_said() {
        for (json, expected) in [
            (r#"{"type":"a.b","n":1}"#, "ci-bot"),
            (r#"{"type":"a.b","actor":"ana","n":1}"#, "ci-bot/ana"),
            (r#"{"type":"a.b","actor":"ci-bot/ana","n":1}"#, "ci-bot/ana"),
            (r#"{"type":"a.b","actor":"ci-bot","n":1}"#, "ci-bot"),
            (r#"{"type":"a.b","actor":"ci-bot2","n":1}"#, "ci-bot/ci-bot2"),
            (r#"{"type":"a.b","actor":"other/ci-bot","n":1}"#, "ci-bot/other/ci-bot"),
        ] {
            let body = Body::from_client(json.as_bytes(), Some("ci-bot"), kept).unwrap();
            assert_eq!(body.draft.actor.as_deref(), Some(expected), "{json}");
            let end = format!("\"n\":1,\"actor\":\"{expected}\"}}\n");
            assert!(line(&body).ends_with(&end), "{}", line(&body));
            assert_eq!(line(&body).matches("actor").count(), 1, "{}", line(&body));
        }
        let long = format!(r#"{{"type":"a.b","actor":"{}"}}"#, "x".repeat(MAX_ID));
        assert!(Body::from_client(long.as_bytes(), Some("ci-bot"), kept).is_err());
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
            assert!(Body::from_client(bad.as_bytes(), None, kept).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_event_over_one_mebibyte_is_refused() {
        let big = format!(r#"{{"type":"a.b","x":"{}"}}"#, "x".repeat(MAX_LINE - 60));
        assert!(matches!(Body::from_client(big.as_bytes(), None, kept), Err(Error::TooLong { .. })));
    }
}
