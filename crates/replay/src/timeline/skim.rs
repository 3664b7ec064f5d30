//! One line of a recording as far as index, fold and tables need it, borrowed from the line.
//!
//! [`Skim::read`] takes lines in both dialects, whatever the order of their keys. It answers `None` for what it is not sure of
//! (escapes in wanted strings, a key twice, odd numbers, a type that changes the state by more than traffic), and then
//! [`rig_event`]'s parsers decide.

use rig_event::{Seq, Timestamp};

use super::json::{Text, Walk};

/// What was seen on a line.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Skim<'a> {
    /// Its place; never 0.
    pub seq: Seq,
    /// Its time.
    pub ts: Timestamp,
    /// Whether it is a line of rigd.
    pub rigd: bool,
    /// Its type.
    pub type_name: &'a [u8],
    /// The service it is about.
    pub service: Option<&'a [u8]>,
    /// The call or connection.
    pub call: Call<'a>,
    /// `stdout`, `stderr` or whatever else it says.
    pub stream: &'a [u8],
    /// The text of a log event.
    pub data: Option<Text<'a>>,
    /// The `error` of the event.
    pub error: Option<Text<'a>>,
}

/// The fields of a request, call or connection.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Call<'a> {
    /// Who asked.
    pub source: &'a [u8],
    /// Who was asked.
    pub target: &'a [u8],
    /// The gRPC service.
    pub service: &'a [u8],
    /// The method.
    pub method: &'a [u8],
    /// Path with query.
    pub path: Option<Text<'a>>,
    /// HTTP status.
    pub status: Option<u16>,
    /// Milliseconds as they are spelled.
    pub latency: Option<&'a [u8]>,
    /// Bytes from target to source.
    pub bytes_in: u64,
    /// Bytes from source to target.
    pub bytes_out: u64,
    /// The gRPC status as it stands there, a string or a number.
    pub grpc_status: Option<&'a [u8]>,
    /// The name of the Kafka API.
    pub api: &'a [u8],
}

/// What a field is, for telling a key that comes twice.
#[derive(Clone, Copy)]
enum Field {
    Seq,
    Ts,
    Timestamp,
    Type,
    Service,
    Id,
    Cause,
    Actor,
    More,
    Payload,
    Log,
    Error,
    Message,
    Environment,
    Source,
    Target,
    Method,
    Path,
    Status,
    Latency,
    BytesIn,
    BytesOut,
    GrpcStatus,
    GrpcService,
    Stream,
    Data,
}

/// Which fields were there.
#[derive(Clone, Copy, Default)]
struct Seen(u32);

impl Seen {
    #[inline]
    fn once(&mut self, field: Field) -> Option<()> {
        let bit = 1 << field as u32;
        let twice = self.0 & bit != 0;
        self.0 |= bit;
        (!twice).then_some(())
    }

    fn has(self, field: Field) -> bool {
        self.0 & (1 << field as u32) != 0
    }
}

impl<'a> Skim<'a> {
    /// Reads a line, which must be UTF-8 and without its line end.
    #[inline]
    pub fn read(line: &'a [u8]) -> Option<Skim<'a>> {
        let mut it = Skim::default();
        let mut seen = Seen::default();
        // On a line of rig the payload stands beside the head; rigd nests it. The keys do not overlap but for `error`.
        let mut own = Seen::default();
        let mut payloads = 0_u32;
        Walk::new(line).whole(|walk, key| {
            match key {
                b"seq" => {
                    seen.once(Field::Seq)?;
                    it.seq = walk.integer()?;
                }
                b"ts" => {
                    seen.once(Field::Ts)?;
                    it.ts = timestamp(walk.plain()?)?;
                }
                b"timestamp" => {
                    seen.once(Field::Timestamp)?;
                    it.ts = timestamp(walk.plain()?)?;
                }
                b"type" => {
                    seen.once(Field::Type)?;
                    it.type_name = walk.plain()?;
                }
                b"service" => {
                    seen.once(Field::Service)?;
                    it.service = if walk.null() { None } else { Some(walk.plain()?) };
                }
                b"id" => {
                    seen.once(Field::Id)?;
                    text_or_null(walk)?;
                }
                b"actor" => {
                    seen.once(Field::Actor)?;
                    text_or_null(walk)?;
                }
                b"cause" => {
                    seen.once(Field::Cause)?;
                    if !walk.null() {
                        walk.integer()?;
                    }
                }
                b"more" => {
                    seen.once(Field::More)?;
                    u32::try_from(walk.integer()?).ok()?;
                }
                b"error" => {
                    seen.once(Field::Error)?;
                    it.error = text_or_null(walk)?;
                }
                b"message" => {
                    seen.once(Field::Message)?;
                    text_or_null(walk)?;
                }
                b"environment" => {
                    seen.once(Field::Environment)?;
                    text_or_null(walk)?;
                }
                b"request" | b"connection" | b"grpc_call" | b"kafka_request" => {
                    payloads += 1;
                    if payloads > 1 {
                        return None;
                    }
                    let mut inner = Seen::default();
                    let call = &mut it.call;
                    walk.object(|walk, key| match key {
                        b"service" => {
                            inner.once(Field::GrpcService)?;
                            call.service = walk.plain()?;
                            Some(())
                        }
                        b"status_code" => {
                            inner.once(Field::Status)?;
                            call.status(walk)
                        }
                        _ => call.field(&mut inner, walk, key),
                    })?;
                    seen.once(Field::Payload)?;
                }
                b"log" => {
                    seen.once(Field::Log)?;
                    let mut inner = Seen::default();
                    walk.object(|walk, key| match key {
                        b"stream" => {
                            inner.once(Field::Stream)?;
                            it.stream = walk.plain()?;
                            Some(())
                        }
                        b"data" => {
                            inner.once(Field::Data)?;
                            it.data = Some(walk.text()?);
                            Some(())
                        }
                        _ => walk.skip(),
                    })?;
                }
                b"stream" => {
                    own.once(Field::Stream)?;
                    it.stream = walk.plain()?;
                }
                b"data" => {
                    own.once(Field::Data)?;
                    it.data = Some(walk.text()?);
                }
                b"status" => {
                    own.once(Field::Status)?;
                    it.call.status(walk)?;
                }
                b"grpc_service" => {
                    own.once(Field::GrpcService)?;
                    it.call.service = walk.plain()?;
                }
                _ => it.call.field(&mut own, walk, key)?,
            }
            Some(())
        })?;
        it.rigd = seen.has(Field::Timestamp);
        let nested = seen.has(Field::Payload) || seen.has(Field::Log);
        // A line that is a bit of both is not for this reader.
        if seen.has(Field::Ts) == it.rigd || it.seq == 0 || it.type_name.is_empty() {
            return None;
        }
        if (it.rigd && own.0 != 0) || (!it.rigd && nested) {
            return None;
        }
        if it.rigd && it.service.is_some_and(<[u8]>::is_empty) {
            it.service = None;
        }
        if it.service.is_some_and(|name| !is_simple_name(name)) {
            return None;
        }
        it.is_complete(&seen).then_some(it)
    }

    /// Whether the payload is there that the type asks for, and the type is one that can be folded from what was seen.
    #[inline]
    fn is_complete(&self, seen: &Seen) -> bool {
        match self.type_name {
            b"request.completed"
            | b"connection.opened"
            | b"connection.closed"
            | b"kafka.request.completed" => !self.rigd || seen.has(Field::Payload),
            b"grpc.call.completed" => {
                // A status that is no name is turned into one elsewhere.
                (!self.rigd || seen.has(Field::Payload)) && self.call.grpc_status.is_none_or(is_name)
            }
            b"service.log" => !self.rigd || seen.has(Field::Log),
            other => !is_folded(other),
        }
    }
}

/// Whether a gRPC status is written as a name, in quotes and without escapes.
fn is_name(status: &[u8]) -> bool {
    matches!(status, [b'"', b'A'..=b'Z', .., b'"']) && !status.contains(&b'\\')
}

/// Whether a type carries what has to be read with care: it changes the state, or its fields are held against a struct.
fn is_folded(type_name: &[u8]) -> bool {
    if type_name.starts_with(b"session.") || type_name.starts_with(b"log.") {
        return true;
    }
    rig_event::Event::TYPES.iter().any(|known| known.as_bytes() == type_name)
}

impl<'a> Call<'a> {
    #[inline]
    fn field(&mut self, seen: &mut Seen, walk: &mut Walk<'a>, key: &'a [u8]) -> Option<()> {
        match key {
            b"source" => {
                seen.once(Field::Source)?;
                self.source = walk.plain()?;
            }
            b"target" => {
                seen.once(Field::Target)?;
                self.target = walk.plain()?;
            }
            b"method" => {
                seen.once(Field::Method)?;
                self.method = walk.plain()?;
            }
            b"path" => {
                seen.once(Field::Path)?;
                self.path = Some(walk.text()?);
            }
            b"latency_ms" => {
                seen.once(Field::Latency)?;
                self.latency = if walk.null() { None } else { Some(walk.number()?) };
            }
            b"bytes_in" => {
                seen.once(Field::BytesIn)?;
                self.bytes_in = walk.integer()?;
            }
            b"bytes_out" => {
                seen.once(Field::BytesOut)?;
                self.bytes_out = walk.integer()?;
            }
            b"grpc_status" => {
                seen.once(Field::GrpcStatus)?;
                self.grpc_status = Some(walk.value()?);
            }
            b"api_name" => {
                let name = walk.value()?;
                self.api = name.strip_prefix(b"\"").and_then(|n| n.strip_suffix(b"\"")).unwrap_or_default();
            }
            _ => walk.skip()?,
        }
        Some(())
    }

    fn status(&mut self, walk: &mut Walk<'a>) -> Option<()> {
        self.status = if walk.null() { None } else { Some(u16::try_from(walk.integer()?).ok()?) };
        Some(())
    }
}

#[inline]
fn text_or_null<'a>(walk: &mut Walk<'a>) -> Option<Option<Text<'a>>> {
    if walk.null() { Some(None) } else { walk.text().map(Some) }
}

/// A name that is certainly a service's, without looking at its characters one by one.
fn is_simple_name(name: &[u8]) -> bool {
    (1..=rig_event::name::MAX_NAME).contains(&name.len()) && name.iter().all(|b| (0x20..0x7f).contains(b))
}

/// `2026-02-28T20:37:23.422424+11:00`, for the years 1970 to 9998; what is finer than a microsecond is dropped.
pub(crate) fn timestamp(text: &[u8]) -> Option<Timestamp> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
    };
    let punctuation = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if text.len() < 20 || punctuation.iter().any(|(at, mark)| text[*at] != *mark) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1970..=9998).contains(&year) || !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 59
    {
        return None;
    }
    let mut at = 19;
    let mut micros = 0;
    if text[at] == b'.' {
        let fraction = text[at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        if !(1..=9).contains(&fraction) {
            return None;
        }
        micros = number(at + 1, at + 1 + fraction.min(6))? * 10_i64.pow(6 - fraction.min(6) as u32);
        at += 1 + fraction;
    }
    let offset = match (text.get(at)?, text.len() - at) {
        (b'Z', 1) => 0,
        (sign @ (b'+' | b'-'), 6) if text[at + 3] == b':' => {
            let (hours, minutes) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if *sign == b'-' { -60 } else { 60 }
        }
        _ => return None,
    };
    // Days since 1970-01-01, by Howard Hinnant's `days_from_civil` (http://howardhinnant.github.io/date_algorithms.html).
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days =
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset;
    (seconds >= 0).then(|| Timestamp::from_micros(seconds * 1_000_000 + micros))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn times_are_read_as_the_slow_reader_reads_them(
            (y, mo, d) in (1968..2105u32, 0..14u32, 0..33u32), (h, mi, s) in (0..26u32, 0..62u32, 0..62u32),
            fraction in "(\\.[0-9]{0,10})?", zone in "(Z|z|[+-](0[0-9]|1[0-9]|2[0-9]):[0-6][0-9]|)",
        ) {
            let text = format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}{fraction}{zone}");
            if let Some(fast) = timestamp(text.as_bytes()) {
                prop_assert_eq!(Some(fast), text.parse().ok(), "{}", text);
            }
        }
    }

    #[test]
    fn common_times_need_no_slow_reader() {
        for text in
            ["2026-02-28T20:37:23.422424+11:00", "2026-03-01T09:00:00.000001Z", "2024-02-29T23:59:59Z"]
        {
            assert_eq!(timestamp(text.as_bytes()), text.parse().ok(), "{text}");
        }
    }
}
