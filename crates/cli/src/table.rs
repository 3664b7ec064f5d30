//! Columns for a million rows: aligned by what a terminal shows, written without an allocation a row.

use std::io::{self, Write as _};

use rig_event::Timestamp;
use unicode_width::UnicodeWidthStr;

use crate::output::not_printed;
/// How much is gathered before it is written.
const BLOCK: usize = 256 << 10;

/// Rows on their way to standard output.
#[derive(Debug)]
pub struct Rows {
    buffer: Vec<u8>,
    clock: Clock,
}

impl Default for Rows {
    fn default() -> Self {
        Rows { buffer: Vec::with_capacity(BLOCK + 4096), clock: Clock::default() }
    }
}

impl Rows {
    /// Text as it is; foreign text goes through [`Rows::foreign`].
    pub fn text(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// A row that is a line as it was recorded.
    ///
    /// # Errors
    /// As [`Rows::end`].
    pub fn recorded(&mut self, line: &[u8]) -> io::Result<()> {
        self.bytes(&crate::output::recorded(line));
        self.new_line()
    }

    /// Where to write to with a formatter or a serialiser.
    pub fn writer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Text that others wrote, made safe, and as wide as it is.
    pub fn foreign(&mut self, text: &str) {
        if is_simple(text) {
            self.text(text);
        } else {
            let plain = crate::output::plain(text);
            self.text(&plain);
        }
    }

    /// Text that others wrote, made safe, in a column: cut where it is too wide.
    pub fn cell(&mut self, text: &str, width: usize) {
        if is_simple(text) && text.len() <= width {
            self.text(text);
            self.pad(width - text.len());
            return;
        }
        let (shown, columns) = fitted(text, width);
        self.text(&shown);
        self.pad(width - columns);
    }

    /// A number, or anything short, at the right edge of a column.
    pub fn right(&mut self, text: &str, width: usize) {
        self.pad(width.saturating_sub(text.width()));
        self.text(text);
    }

    /// A whole number at the right edge of a column.
    pub fn number(&mut self, mut n: u64, width: usize) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (n % 10) as u8;
            n /= 10;
            if n == 0 {
                break;
            }
        }
        self.pad(width.saturating_sub(digits.len() - at));
        self.bytes(&digits[at..]);
    }

    /// A time with milliseconds: 23 columns.
    pub fn time(&mut self, ts: Timestamp) {
        let shown = self.clock.shown(ts);
        self.buffer.extend_from_slice(&shown);
    }

    fn pad(&mut self, columns: usize) {
        self.buffer.resize(self.buffer.len() + columns, b' ');
    }

    /// Ends the row.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn end(&mut self) -> io::Result<()> {
        while self.buffer.last() == Some(&b' ') {
            self.buffer.pop();
        }
        self.new_line()
    }

    fn new_line(&mut self) -> io::Result<()> {
        self.buffer.push(b'\n');
        if self.buffer.len() >= BLOCK { self.flush() } else { Ok(()) }
    }

    /// Writes what has gathered.
    ///
    /// # Errors
    /// As [`Rows::end`].
    pub fn flush(&mut self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(&self.buffer).and_then(|()| out.flush()).map_err(not_printed)?;
        self.buffer.clear();
        Ok(())
    }
}

/// `2026-03-01T09:00:00.123`; the part up to the second is made once a second.
#[derive(Debug, Default)]
struct Clock {
    second: Option<i64>,
    text: [u8; 23],
}

impl Clock {
    fn shown(&mut self, ts: Timestamp) -> [u8; 23] {
        let micros = ts.as_micros();
        let second = micros.div_euclid(1_000_000);
        if self.second != Some(second) {
            let text = ts.to_string();
            if let Some(text) = text.as_bytes().get(..23).filter(|text| text[19] == b'.') {
                self.text.copy_from_slice(text);
            }
            self.second = Some(second);
        }
        let millis = micros.rem_euclid(1_000_000) / 1000;
        let digit = |n: i64| b'0' + (n % 10) as u8;
        self.text[20..].copy_from_slice(&[digit(millis / 100), digit(millis / 10), digit(millis)]);
        self.text
    }
}

/// Whether every byte is a visible character of one column.
fn is_simple(text: &str) -> bool {
    text.bytes().all(|b| (0x20..0x7f).contains(&b))
}

/// How many columns foreign text takes once it is safe, but no more than `most`.
pub fn width(text: &str, most: usize) -> usize {
    if is_simple(text) { text.len().min(most) } else { crate::output::plain(text).width().min(most) }
}

/// Foreign text made safe and cut to a width, with how many columns it takes.
fn fitted(text: &str, width: usize) -> (String, usize) {
    use unicode_width::UnicodeWidthChar as _;
    let safe = crate::output::plain(text);
    let columns = safe.width();
    if columns <= width {
        return (safe, columns);
    }
    let mut shown = String::new();
    let mut taken = 0;
    for c in safe.chars() {
        let wide = c.width().unwrap_or(0);
        if taken + wide + 1 > width {
            break;
        }
        shown.push(c);
        taken += wide;
    }
    if width > taken {
        shown.push('…');
        taken += 1;
    }
    (shown, taken)
}

/// A time span from microseconds with about three digits that mean something: `394µs`, `15.7ms`, `1.24s`, `2m05s`.
pub fn latency(us: u64) -> String {
    let tenths = (us + 50) / 100;
    let ms = (us + 500) / 1000;
    let hundredths = (us + 5_000) / 10_000;
    let seconds = (us + 500_000) / 1_000_000;
    match us {
        0..1000 => format!("{us}µs"),
        _ if tenths < 1000 => format!("{}.{}ms", tenths / 10, tenths % 10),
        _ if ms < 1000 => format!("{ms}ms"),
        _ if hundredths < 6000 => format!("{}.{:02}s", hundredths / 100, hundredths % 100),
        _ => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_never_rounds_into_the_next_unit() {
        let shown = [
            0,
            394,
            999,
            1000,
            15_700,
            99_949,
            99_951,
            999_400,
            999_600,
            1_240_000,
            59_994_999,
            59_995_000,
            125_000_000,
        ];
        let shown = shown.map(latency);
        assert_eq!(
            shown,
            [
                "0µs", "394µs", "999µs", "1.0ms", "15.7ms", "99.9ms", "100ms", "999ms", "1.00s", "1.24s",
                "59.99s", "1m00s", "2m05s"
            ]
        );
    }

    #[test]
    fn a_column_is_as_wide_on_a_terminal_whatever_is_in_it() {
        for text in [
            "plain",
            "größe→x",
            "数据库服务器",
            "a\u{1b}[2Jb",
            "e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}",
            "",
        ] {
            let mut rows = Rows::default();
            rows.cell(text, 7);
            let shown = String::from_utf8(rows.buffer).unwrap();
            assert_eq!(shown.width(), 7, "{shown:?}");
        }
    }

    #[test]
    fn times_and_numbers_are_what_the_slow_way_writes() {
        let mut rows = Rows::default();
        for micros in [0, 999, 1_772_355_600_123_456, 1_772_355_600_999_999, 1_772_355_601_000_000] {
            rows.buffer.clear();
            let ts = Timestamp::from_micros(micros);
            rows.time(ts);
            assert_eq!(rows.buffer, ts.to_string().as_bytes()[..23]);
        }
        for n in [0, 7, 10, u64::MAX] {
            rows.buffer.clear();
            rows.number(n, 3);
            assert_eq!(rows.buffer, format!("{n:>3}").as_bytes());
        }
    }
}
