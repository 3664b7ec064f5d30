//! The parser of an event stream, as the WHATWG standard describes it (HTML, "Server-sent events").
//!
//! It takes bytes as they come from the network, however they are cut, and gives frames. Connecting, resuming and
//! waiting are [`crate::follow`]'s business.

use std::collections::VecDeque;
use std::time::Duration;

/// The longest line and the longest frame that are taken: an event of the log has at most 1 MiB, and a base of 4 leaves
/// room for any framing around it.
pub const MAX_FRAME: usize = 4 << 20;

/// One dispatched event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// `event:`, or `message` where there was none.
    pub event: String,
    /// The `data:` lines, joined by line feeds.
    pub data: String,
    /// The last `id:` seen up to here, in this frame or before it; empty when there was none.
    pub last_id: String,
}

/// A line or a frame is longer than [`MAX_FRAME`].
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong;

impl std::fmt::Display for TooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the event stream has a frame of more than {MAX_FRAME} bytes; is this a rig hub?")
    }
}

impl std::error::Error for TooLong {}

/// The state between two chunks of one connection.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    /// Whether the byte order mark can no longer come.
    begun: bool,
    /// A carriage return ended the last line, so a line feed that comes first belongs to it.
    after_cr: bool,
    event: String,
    data: String,
    /// Outlives a frame: a frame without `id:` has the one before.
    last_id: String,
    retry: Option<Duration>,
    frames: VecDeque<Frame>,
}

impl Parser {
    /// A parser for a connection that was resumed after the event `last_id`.
    pub fn resuming(last_id: &str) -> Self {
        Parser { last_id: last_id.to_owned(), ..Parser::default() }
    }

    /// Takes the next bytes. What they complete is in [`Parser::next_frame`].
    ///
    /// # Errors
    /// [`TooLong`], after which the connection should be dropped.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), TooLong> {
        while let Some(&first) = bytes.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let piece = &bytes[..end.unwrap_or(bytes.len())];
            if self.line.len() + piece.len() + self.data.len() > MAX_FRAME {
                return Err(TooLong);
            }
            self.line.extend_from_slice(piece);
            let Some(end) = end else { return Ok(()) };
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            self.take_line(&line);
        }
        Ok(())
    }

    /// The next frame that is complete. What a connection leaves unfinished is never given.
    pub fn next_frame(&mut self) -> Option<Frame> {
        self.frames.pop_front()
    }

    /// The time to wait before connecting again, when the server said one.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    fn take_line(&mut self, line: &[u8]) {
        let marked = if self.begun { None } else { line.strip_prefix(b"\xEF\xBB\xBF") };
        self.begun = true;
        let line = String::from_utf8_lossy(marked.unwrap_or(line));
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = match line.split_once(':') {
            Some((field, value)) => (field, value.strip_prefix(' ').unwrap_or(value)),
            None => (line.as_ref(), ""),
        };
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.last_id),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().ok().map(Duration::from_millis);
            }
            // A comment has the empty field name; anything else is for versions to come.
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        let event = std::mem::take(&mut self.event);
        let mut data = std::mem::take(&mut self.data);
        if data.is_empty() {
            return;
        }
        data.pop();
        let event = if event.is_empty() { "message".to_owned() } else { event };
        self.frames.push_back(Frame { event, data, last_id: self.last_id.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(chunks: &[&[u8]]) -> Vec<(String, String, String)> {
        let mut parser = Parser::default();
        for chunk in chunks {
            parser.push(chunk).unwrap();
        }
        std::iter::from_fn(|| parser.next_frame()).map(|f| (f.event, f.data, f.last_id)).collect()
    }

    /// Frames of `text` as (event, data, last id), the same however the text is cut.
    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str, &str)]) {
        let expected: Vec<_> =
            expected.iter().map(|(e, d, i)| (e.to_string(), d.to_string(), i.to_string())).collect();
        assert_eq!(parse(&[text.as_bytes()]), expected, "{text:?}");
        for cut in 0..text.len() {
            let (a, b) = text.as_bytes().split_at(cut);
            assert_eq!(parse(&[a, b]), expected, "{text:?} cut at {cut}");
        }
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(parse(&bytes), expected, "{text:?} byte by byte");
    }

    #[test]
    fn the_examples_of_the_standard() {
        check("data: YHOO\ndata: +2\ndata: 10\n\n", &[("message", "YHOO\n+2\n10", "")]);
        check(
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            &[
                ("message", "first event", "1"),
                ("message", "second event", ""),
                ("message", " third event", ""),
            ],
        );
        check("data\n\ndata\ndata\n\ndata:", &[("message", "", ""), ("message", "\n", "")]);
        check("data:test\n\ndata: test\n\n", &[("message", "test", ""), ("message", "test", "")]);
    }

    #[test]
    fn line_ends_of_all_three_kinds_mixed() {
        check(
            "data: a\r\rdata: b\r\n\r\ndata: c\n\n",
            &[("message", "a", ""), ("message", "b", ""), ("message", "c", "")],
        );
        check("data: a\r\ndata: b\rdata: c\n\r\n", &[("message", "a\nb\nc", "")]);
    }

    #[test]
    fn one_byte_order_mark_at_the_start_and_only_there() {
        check("\u{feff}data: a\n\n", &[("message", "a", "")]);
        check("\u{feff}\u{feff}data: a\n\ndata: b\n\n", &[("message", "b", "")]);
        check("data: a\n\n\u{feff}data: b\n\n", &[("message", "a", "")]);
    }

    #[test]
    fn an_id_stays_until_another_and_one_with_nul_does_not_count() {
        check(
            "id: 7\ndata: a\n\ndata: b\n\nid: 8\0\ndata: c\n\n",
            &[("message", "a", "7"), ("message", "b", "7"), ("message", "c", "7")],
        );
        check("id: 9\n\ndata: a\n\n", &[("message", "a", "9")]);
    }

    #[test]
    fn event_names_last_one_frame_and_unknown_fields_are_passed_over() {
        check(
            "event: diff.computed\ndata: {}\nfoo: bar\nDATA: no\n\ndata: b\n\n",
            &[("diff.computed", "{}", ""), ("message", "b", "")],
        );
        check("event: lost\n\ndata: a\n\n", &[("message", "a", "")]);
        check("data: a:b: c\n data: no\n\n", &[("message", "a:b: c", "")]);
    }

    #[test]
    fn what_is_cut_off_is_not_dispatched() {
        check("data: a\n\ndata: b\n", &[("message", "a", "")]);
        check("data: a\n\ndata: b", &[("message", "a", "")]);
    }

    #[test]
    fn bytes_that_are_no_utf8_become_replacement_characters() {
        assert_eq!(parse(&[b"data: \xff\xfe\n\n"])[0].1, "\u{fffd}\u{fffd}");
        assert_eq!(parse(&["data: \u{20ac}\n\n".as_bytes()])[0].1, "\u{20ac}");
    }

    #[test]
    fn retry_is_digits_only() {
        for (text, expected) in [("retry: 2500\n", Some(2500)), ("retry: 2s\n", None), ("retry\n", None)] {
            let mut parser = Parser::default();
            parser.push(text.as_bytes()).unwrap();
            assert_eq!(parser.retry(), expected.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn a_resumed_connection_begins_with_the_last_id() {
        let mut parser = Parser::resuming("e:4");
        parser.push(b"data: a\n\n").unwrap();
        assert_eq!(parser.next_frame().unwrap().last_id, "e:4");
    }

    #[test]
    fn a_line_or_a_frame_without_end_is_refused() {
        let mut parser = Parser::default();
        let chunk = [b'x'; 1 << 16];
        assert_eq!((0..100).try_for_each(|_| parser.push(&chunk)), Err(TooLong));
        let mut parser = Parser::default();
        let line = format!("data: {}\n", "y".repeat(1 << 16));
        assert_eq!((0..100).try_for_each(|_| parser.push(line.as_bytes())), Err(TooLong));
    }
}
