//! A stretch of a recording as rows: what index and fold need of each line, found without knowing what came before it.
//!
//! [`Chunk::scan`] is a pure function of bytes, so that stretches of one file can be read at the same time; the timeline
//! takes the chunks in their order.

use rig_event::session::{BYTE_ORDER_MARK, Checkpoint, Footer, Header, Line, VERSION, may_begin};
use rig_event::{Envelope, Event, MAX_LINE, Seq, rigd};
use serde::Deserialize;

use super::names::{NONE, Names, Pairs, TOO_LONG};
use super::skim::Skim;
use crate::apply::{MAX_EDGE_NAME, without_effect};

/// The longest line that is read: bodies in rigd's logs may be long, and a checkpoint is.
pub const MAX_LONG_LINE: usize = 64 << 20;

/// Something failed here: `*.failed`, a status ≥ 500 or none, gRPC not OK, a failed assertion.
pub(crate) const FAILURE: u16 = 1;
/// Output on stderr.
pub(crate) const STDERR: u16 = 2;
/// It changes the state by more than traffic.
pub(crate) const FOLDED: u16 = 4;
/// A gRPC call that was answered with OK.
pub(crate) const OK: u16 = 8;
/// Where in the flags the first digit of an HTTP status stands.
pub(crate) const STATUS_CLASS: u32 = 8;

/// An event as it was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub offset: u64,
    pub seq: Seq,
    pub ts: i64,
    pub len: u32,
    /// Numbers in the chunk's own names.
    pub type_id: u32,
    pub service: u32,
    pub edge: u32,
    pub flags: u16,
    pub rigd: bool,
    pub effect: Effect,
}

/// What an event does to the state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// A request over its edge, and whether it failed.
    Request(bool),
    /// A connection.
    Opened,
    /// Bytes in and out of a connection.
    Closed(u64, u64),
    /// What [`State::apply`](crate::State::apply) makes of this envelope of the chunk.
    Apply(u32),
}

/// A line that is no event.
#[derive(Clone, Debug)]
pub(crate) struct Odd {
    /// How many rows of the chunk come before it.
    pub before: usize,
    /// Where it begins.
    pub offset: u64,
    /// How many lines of the chunk come before it.
    pub lines: u64,
    pub what: Strange,
}

/// What such a line is.
#[derive(Clone, Debug)]
pub(crate) enum Strange {
    Header(Box<Header>),
    Checkpoint(Box<Checkpoint>),
    Footer(Box<Footer>),
    RigdHeader(Box<rigd::Header>),
    /// Not readable, and why.
    Bad(String),
    /// Cut by the end of the file: how many bytes of it there are, and whether a recording may begin with them.
    Torn(u64, bool),
}

/// What a stretch of a recording holds.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) lines: u64,
    pub(crate) rows: Vec<Row>,
    pub(crate) odd: Vec<Odd>,
    pub(crate) names: Names,
    pub(crate) edges: Pairs,
    pub(crate) envelopes: Vec<Envelope>,
}

impl Chunk {
    /// Reads the whole lines of `bytes`, which stand at `offset` of the recording and begin with a line. What comes after the
    /// last line end is left for the next chunk, unless nothing follows (`last`): then it is a line, or what is left of one.
    pub fn scan(bytes: &[u8], offset: u64, last: bool) -> Chunk {
        let mut chunk = Chunk { start: offset, end: offset, ..Chunk::default() };
        chunk.rows.reserve(bytes.len() / 400);
        let is_text = std::str::from_utf8(bytes).is_ok();
        let marked = offset == 0 && bytes.starts_with(BYTE_ORDER_MARK);
        let mut at = if marked { BYTE_ORDER_MARK.len() } else { 0 };
        while at < bytes.len() {
            let (line, whole, next) = match memchr::memchr(b'\n', &bytes[at..]) {
                Some(len) => (&bytes[at..at + len], true, at + len + 1),
                None if last => (&bytes[at..], false, bytes.len()),
                None => break,
            };
            chunk.line(line, offset + at as u64, whole, is_text);
            chunk.lines += 1;
            at = next;
        }
        chunk.end = offset + at as u64;
        chunk
    }

    /// Where the next chunk begins.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Whether a footer ends it: what is recorded goes no further.
    pub fn is_footed(&self) -> bool {
        self.odd.last().is_some_and(|odd| matches!(odd.what, Strange::Footer(_)))
    }

    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it holds no event.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    #[inline]
    fn line(&mut self, line: &[u8], offset: u64, whole: bool, is_text: bool) {
        if (is_text || std::str::from_utf8(line).is_ok())
            && line.len() <= MAX_LINE
            && let Some(skim) = Skim::read(line)
        {
            let row = self.row(&skim, line, offset);
            self.rows.push(row);
            return;
        }
        self.line_slowly(line, offset, whole);
    }

    /// A row of what was skimmed.
    #[inline]
    fn row(&mut self, skim: &Skim<'_>, line: &[u8], offset: u64) -> Row {
        let mut flags = 0;
        let mut edge = NONE;
        let mut effect = Effect::None;
        let call = &skim.call;
        let is_call = match skim.type_name {
            b"request.completed" => {
                let failed = call.status.is_none_or(|status| status >= 500);
                flags |= if failed { FAILURE } else { 0 } | status_class(call.status);
                effect = Effect::Request(failed);
                true
            }
            b"grpc.call.completed" => {
                let fine = call.grpc_status == Some(b"\"OK\"");
                flags |= if fine { OK } else { FAILURE };
                effect = Effect::Request(!fine);
                true
            }
            b"kafka.request.completed" => {
                effect = Effect::Request(false);
                true
            }
            b"connection.opened" => {
                effect = Effect::Opened;
                true
            }
            b"connection.closed" => {
                effect = Effect::Closed(call.bytes_in, call.bytes_out);
                true
            }
            b"service.log" => {
                flags |= if skim.stream == b"stderr" { STDERR } else { 0 };
                false
            }
            other => {
                let failed = is_failure(other, skim.error.is_some_and(|error| !error.raw.is_empty()));
                flags |= if failed { FAILURE } else { 0 };
                false
            }
        };
        if is_call {
            edge = self.edge(call.source, call.target);
        }
        Row {
            offset,
            seq: skim.seq,
            ts: skim.ts.as_micros(),
            len: line.len() as u32,
            type_id: self.names.intern(skim.type_name),
            service: skim.service.map_or(NONE, |name| self.names.intern(name)),
            edge,
            flags,
            rigd: skim.rigd,
            effect,
        }
    }

    fn edge(&mut self, source: &[u8], target: &[u8]) -> u32 {
        // As the state does it: a pair with an endless name is counted with all others of that kind.
        let long = source.len().max(target.len()) > MAX_EDGE_NAME;
        let (source, target) =
            if long { (TOO_LONG.as_bytes(), TOO_LONG.as_bytes()) } else { (source, target) };
        let pair = (self.names.intern(source), self.names.intern(target));
        self.edges.intern(pair)
    }

    /// A line that has to be read in full.
    fn line_slowly(&mut self, line: &[u8], offset: u64, whole: bool) {
        if line.trim_ascii().is_empty() && whole {
            return;
        }
        let what = match parse(line) {
            Ok((envelope, rigd)) => {
                let row = self.row_of(envelope, rigd, line, offset);
                self.rows.push(row);
                return;
            }
            Err(Strange::Bad(_)) if !whole => Strange::Torn(line.len() as u64, may_begin(line)),
            Err(what) => what,
        };
        self.odd.push(Odd { before: self.rows.len(), offset, lines: self.lines, what });
    }

    fn row_of(&mut self, envelope: Envelope, rigd: bool, line: &[u8], offset: u64) -> Row {
        let mut flags = 0;
        let (mut edge, mut effect) = (NONE, Effect::None);
        match &envelope.event {
            Event::RequestCompleted(e) => {
                let failed = e.status.is_none_or(|status| status >= 500);
                flags |= if failed { FAILURE } else { 0 } | status_class(e.status);
                (edge, effect) =
                    (self.edge(e.source.as_bytes(), e.target.as_bytes()), Effect::Request(failed));
            }
            Event::RequestFailed(e) => {
                flags |= FAILURE | status_class(e.status);
                (edge, effect) = (self.edge(e.source.as_bytes(), e.target.as_bytes()), Effect::Request(true));
            }
            Event::GrpcCallCompleted(e) => {
                let fine = e.grpc_status == "OK";
                flags |= if fine { OK } else { FAILURE };
                (edge, effect) =
                    (self.edge(e.source.as_bytes(), e.target.as_bytes()), Effect::Request(!fine));
            }
            Event::KafkaRequestCompleted(e) => {
                (edge, effect) =
                    (self.edge(e.source.as_bytes(), e.target.as_bytes()), Effect::Request(false));
            }
            Event::ConnectionOpened(e) => {
                (edge, effect) = (self.edge(e.source.as_bytes(), e.target.as_bytes()), Effect::Opened);
            }
            Event::ConnectionClosed(e) => {
                let moved = Effect::Closed(e.bytes_in, e.bytes_out);
                (edge, effect) = (self.edge(e.source.as_bytes(), e.target.as_bytes()), moved);
            }
            Event::ServiceLog(e) => flags |= if e.stream == "stderr" { STDERR } else { 0 },
            Event::TestFailed(_) => flags |= FAILURE,
            Event::Other(name) => {
                let failed = is_failure(name.as_bytes(), has_error(line));
                flags |= if failed { FAILURE } else { 0 };
            }
            _ => {}
        }
        let mut row = Row {
            offset,
            seq: envelope.seq,
            ts: envelope.ts.as_micros(),
            len: line.len() as u32,
            type_id: self.names.intern(envelope.event.type_name().as_bytes()),
            service: envelope.service.as_ref().map_or(NONE, |s| self.names.intern(s.as_str().as_bytes())),
            edge,
            flags,
            rigd,
            effect,
        };
        if edge == NONE && changes_state(&envelope.event) {
            row.flags |= FOLDED;
            if is_failure(envelope.event.type_name().as_bytes(), false) {
                row.flags |= FAILURE;
            }
            row.effect = Effect::Apply(self.envelopes.len() as u32);
            self.envelopes.push(envelope);
        }
        row
    }
}

/// Whether an event that is no traffic may change the state, or has to be held against it.
fn changes_state(event: &Event) -> bool {
    !matches!(event, without_effect!())
}

fn status_class(status: Option<u16>) -> u16 {
    status.map_or(0, |status| (status / 100).min(15) << STATUS_CLASS)
}

fn is_failure(type_name: &[u8], has_error: bool) -> bool {
    type_name.ends_with(b".failed") || (type_name == b"test.note" && has_error)
}

fn has_error(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Said {
        #[serde(default)]
        error: Option<String>,
    }
    serde_json::from_slice::<Said>(line).is_ok_and(|said| said.error.is_some_and(|error| !error.is_empty()))
}

/// Reads an event in either dialect and says whether it is rigd's; or says what else the line is.
pub(crate) fn parse(line: &[u8]) -> Result<(Envelope, bool), Strange> {
    let bad = |why: String| Err(Strange::Bad(why));
    if line.len() > MAX_LONG_LINE {
        return bad(format!("the line is longer than {MAX_LONG_LINE} bytes"));
    }
    if std::str::from_utf8(line).is_err() {
        return bad("the line is not UTF-8".to_owned());
    }
    match Line::parse(line) {
        Some(Ok(Line::Header(header))) => return Err(Strange::Header(Box::new(header))),
        Some(Ok(Line::Checkpoint(checkpoint))) => return Err(Strange::Checkpoint(Box::new(checkpoint))),
        Some(Ok(Line::Footer(footer))) => return Err(Strange::Footer(Box::new(footer))),
        Some(Err(error)) => return bad(later_version(line).unwrap_or_else(|| error.to_string())),
        None => {}
    }
    match Envelope::parse(line) {
        Ok(_) if line.len() > MAX_LINE => bad(rig_event::Error::TooLong { bytes: line.len() }.to_string()),
        Ok(envelope) => Ok((envelope, false)),
        Err(native) => match rigd::parse(line) {
            Ok(envelope) if envelope.seq > 0 => Ok((envelope, true)),
            Ok(_) => bad("not an event: seq 0 is the place before the first event".to_owned()),
            Err(foreign) => match rigd::Header::parse(line) {
                Some(header) => Err(Strange::RigdHeader(Box::new(header))),
                None => bad(if is_rigds(line) { foreign } else { native }.to_string()),
            },
        },
    }
}

/// Says so if a header has fields that this version does not know because it is of a later one.
fn later_version(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let Version { v } = serde_json::from_slice(line).ok()?;
    let why = format!("the session format has version {v}, and this rig reads version {VERSION}");
    (v != VERSION).then_some(why)
}

/// Whether a broken line is at least one of rigd's, so that the right reader says what is wrong.
fn is_rigds(line: &[u8]) -> bool {
    memchr::memmem::find(line, b"\"timestamp\"").is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    /// What the slow reader alone makes of some lines.
    fn slowly(bytes: &[u8]) -> Chunk {
        let mut chunk = Chunk::default();
        let mut at = 0;
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            let text = line.strip_suffix(b"\n");
            chunk.line_slowly(text.unwrap_or(line), at, text.is_some());
            at += line.len() as u64;
        }
        chunk
    }

    #[derive(Debug, PartialEq)]
    struct Told(Row, String, String, Option<(String, String)>, Option<Envelope>);

    fn told(chunk: &Chunk) -> (Vec<Told>, Vec<String>) {
        let name = |id| chunk.names.get(id).to_owned();
        let rows = chunk.rows.iter().map(|row| {
            let envelope = match row.effect {
                Effect::Apply(at) => chunk.envelopes.get(at as usize).cloned(),
                _ => None,
            };
            let edge = chunk.edges.get(row.edge).map(|(a, b)| (name(a), name(b)));
            let bare = Row { type_id: 0, service: 0, edge: 0, ..row.clone() };
            Told(bare, name(row.type_id), name(row.service), edge, envelope)
        });
        (rows.collect(), chunk.odd.iter().map(|odd| format!("{} {:?}", odd.offset, odd.what)).collect())
    }

    fn word() -> impl Strategy<Value = Value> {
        prop_oneof![
            4 => "[a-c]{1,3}".prop_map(Value::from),
            1 => any::<String>().prop_map(Value::from),
            1 => Just(Value::Null),
            1 => Just(json!("stderr")), 1 => Just(json!("OK")), 1 => any::<u64>().prop_map(Value::from),
        ]
    }

    fn number() -> impl Strategy<Value = Value> {
        prop_oneof![
            4 => (0..700u64).prop_map(Value::from), 1 => any::<f64>().prop_map(Value::from), 1 => any::<i64>().prop_map(Value::from),
            1 => Just(Value::Null), 1 => word(),
        ]
    }

    fn payload() -> impl Strategy<Value = Map<String, Value>> {
        let words = proptest::collection::btree_map(
            proptest::sample::select(vec![
                "source",
                "target",
                "method",
                "path",
                "service",
                "grpc_service",
                "grpc_status",
                "stream",
                "data",
                "error",
                "message",
                "environment",
                "name",
                "äü\n\"",
                "id",
                "actor",
                "api_name",
            ]),
            word(),
            0..8,
        );
        let numbers = proptest::collection::btree_map(
            proptest::sample::select(vec![
                "status",
                "status_code",
                "latency_ms",
                "bytes_in",
                "bytes_out",
                "cause",
                "more",
                "captured",
                "upto",
            ]),
            number(),
            0..6,
        );
        (words, numbers).prop_map(|(words, numbers)| {
            words.into_iter().chain(numbers).map(|(k, v)| (k.to_owned(), v)).collect()
        })
    }

    /// A line with its keys in any order, spaces where JSON lets them be, and characters spelled as escapes.
    fn line() -> impl Strategy<Value = String> {
        let type_name = prop_oneof![
            4 => proptest::sample::select(rig_event::Event::TYPES.to_vec()),
            2 => proptest::sample::select(vec!["request.completed", "service.log", "connection.closed", "grpc.call.completed"]),
            1 => proptest::sample::select(vec!["test.note", "a.failed", "progress.stall", "log.header", "session.footer"]),
        ];
        let nested = proptest::sample::select(vec![
            "request",
            "connection",
            "grpc_call",
            "kafka_request",
            "log",
            "result",
        ]);
        let parts = (
            type_name,
            0..5u64,
            payload(),
            payload(),
            nested,
            any::<bool>(),
            proptest::option::of(word()),
            any::<u64>(),
            0..8u8,
        );
        parts.prop_map(|(type_name, seq, own, inner, nested, rigd, service, order, style)| {
            let mut fields: Vec<(String, Value)> =
                vec![("seq".into(), seq.into()), ("type".into(), type_name.into())];
            fields.push((
                if rigd { "timestamp" } else { "ts" }.into(),
                "2026-02-28T20:37:23.422424+11:00".into(),
            ));
            if let Some(service) = service {
                fields.push(("service".into(), service));
            }
            if rigd {
                let payload = match type_name {
                    "request.completed" | "request.failed" => "request",
                    "grpc.call.completed" => "grpc_call",
                    "kafka.request.completed" => "kafka_request",
                    "connection.opened" | "connection.closed" => "connection",
                    "service.log" => "log",
                    _ => nested,
                };
                fields.push((payload.into(), Value::Object(inner)));
                if style == 7 {
                    fields.extend(own.into_iter().filter(|(key, _)| key != "service"));
                }
            } else {
                fields.extend(own.into_iter().filter(|(key, _)| key != "service"));
            }
            let mut order = order;
            for i in (1..fields.len()).rev() {
                fields.swap(i, (order % (i as u64 + 1)) as usize);
                order = order.rotate_right(7) ^ 0x9e37;
            }
            let space = if style & 1 == 1 { " \t" } else { "" };
            let fields: Vec<String> = fields
                .iter()
                .map(|(key, value)| {
                    let key = serde_json::to_string(key).unwrap();
                    let key = if style == 6 { key.replace('s', "\\u0073") } else { key };
                    format!("{space}{key}{space}:{space}{value}{space}")
                })
                .collect();
            format!("{{{}}}{space}", fields.join(","))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn the_quick_reader_sees_what_the_slow_one_sees(lines in proptest::collection::vec(line(), 1..4)) {
            let bytes = lines.join("\n") + "\n";
            prop_assert_eq!(told(&Chunk::scan(bytes.as_bytes(), 0, true)), told(&slowly(bytes.as_bytes())));
        }

        #[test]
        fn the_quick_reader_takes_no_damage_that_the_slow_one_refuses(line in line(), at in any::<usize>(), byte in any::<u8>()) {
            let mut bytes = line.into_bytes();
            let at = at % bytes.len();
            bytes[at] = if byte == b'\n' { b'"' } else { byte };
            bytes.push(b'\n');
            prop_assert_eq!(told(&Chunk::scan(&bytes, 0, true)), told(&slowly(&bytes)));
        }

        #[test]
        fn bytes_that_are_no_lines_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(told(&Chunk::scan(&bytes, 0, true)), told(&slowly(&bytes)));
        }
    }

    #[test]
    fn a_common_line_of_either_dialect_needs_no_slow_reader() {
        for line in [
            &br#"{"seq":8,"ts":"2026-11-20T10:30:05.412803Z","type":"request.completed","source":"order-service","target":"postgres","method":"POST","path":"/orders","status":201,"latency_ms":2}"#[..],
            br#"{"seq":7,"type":"request.completed","environment":"TestApp","request":{"source":"order","target":"postgres","method":"DELETE","path":"/orders/old","status_code":500,"latency_ms":15.7,"response_headers":{"A":["b"]}},"timestamp":"2026-02-23T10:00:02.000Z"}"#,
            br#"{"seq":7,"type":"service.log","environment":"T","service":"a","log":{"stream":"stderr","data":"x \"y\"\n"},"timestamp":"2026-02-23T10:00:02.000Z"}"#,
            br#"{"seq":7,"type":"progress.stall","environment":"T","diagnostic":{"a":[1]},"timestamp":"2026-02-23T10:00:02.000Z"}"#,
        ] {
            assert!(Skim::read(line).is_some(), "{}", String::from_utf8_lossy(line));
        }
    }
}
