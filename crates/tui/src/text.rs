//! Text on its way to a terminal: nothing in it may steer the terminal, and it has to fit.

use rig_config::told::{Line, Piece, Pieces, Told, inline, tell};
use rig_event::{Change, Timestamp};
use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Longest text that is made ready for one place on the screen, in characters.
const LONGEST: usize = 4096;

/// Longest string that is shown whole beside another, in bytes.
const LONG: usize = 40;

/// Makes a text safe to show: control characters become pictures of themselves, and characters that hide or
/// change the direction of writing are replaced.
pub fn plain(text: &str) -> String {
    text.chars().take(LONGEST).map(visible).collect()
}

fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => '\u{fffd}',
        c => c,
    }
}

/// The lines of a text, each fit to be shown.
pub fn lines(text: &str) -> Vec<String> {
    text.lines().map(plain).collect()
}

/// Returns the number of columns that a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// At most `width` columns of a text; `…` stands for what was cut.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        cut.push(c);
    }
    if width > 0 {
        cut.push('…');
    }
    cut
}

/// Exactly `width` columns of a text.
pub fn fit(text: &str, width: usize) -> String {
    let mut fitted = cut(text, width);
    let used = fitted.width();
    fitted.extend(std::iter::repeat_n(' ', width.saturating_sub(used)));
    fitted
}

/// Exactly `width` columns, with the text at their end.
pub fn right(text: &str, width: usize) -> String {
    let cut = cut(text, width);
    format!("{}{cut}", " ".repeat(width.saturating_sub(cut.width())))
}

/// The time of day in UTC, with milliseconds.
pub fn clock(ts: Timestamp) -> String {
    let text = ts.to_string();
    text.split_once('T').and_then(|(_, time)| time.get(..12)).unwrap_or("").to_owned()
}

/// The day.
pub fn day(ts: Timestamp) -> String {
    ts.to_string().split_once('T').map_or_else(String::new, |(day, _)| day.to_owned())
}

/// A length of time in three or four digits: `850ms`, `12.3s`, `4m07s`.
pub fn span(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let us = micros.unsigned_abs();
    let text = match us {
        0..1_000 => format!("{us}µs"),
        1_000..10_000 => format!("{}.{}ms", us / 1_000, us / 100 % 10),
        10_000..1_000_000 => format!("{}ms", us / 1_000),
        1_000_000..60_000_000 => format!("{}.{}s", us / 1_000_000, us / 100_000 % 10),
        60_000_000..3_600_000_000 => format!("{}m{:02}s", us / 60_000_000, us / 1_000_000 % 60),
        3_600_000_000..86_400_000_000 => format!("{}h{:02}m", us / 3_600_000_000, us / 60_000_000 % 60),
        _ => format!("{}d{:02}h", us / 86_400_000_000, us / 3_600_000_000 % 24),
    };
    format!("{sign}{text}")
}

/// A number with its thousands apart.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number in at most four characters: `999`, `12k`, `3.4M`.
pub fn brief(n: u64) -> String {
    match n {
        0..10_000 => n.to_string(),
        10_000..1_000_000 => format!("{}k", n / 1_000),
        1_000_000..10_000_000 => format!("{}.{}M", n / 1_000_000, n / 100_000 % 10),
        _ => format!("{}M", n / 1_000_000),
    }
}

/// A configuration's value on one line. A redacted secret is three dots and its fingerprint.
pub fn value(value: &Value) -> String {
    match value {
        Value::String(text) => match text.as_str() {
            "***redacted***" => "●●●".to_owned(),
            _ => plain(&format!("\"{text}\"")),
        },
        Value::Object(map) => match map.get("redacted").and_then(Value::as_str) {
            Some(fingerprint) => format!("●●● {}", plain(&short_fingerprint(fingerprint))),
            None => plain(&value.to_string()),
        },
        other => plain(&other.to_string()),
    }
}

/// Two values of a field on one line each; of long ones, what differs.
pub fn both(before: &Value, after: &Value) -> (String, String) {
    if !(is_long(before) || is_long(after)) {
        return (value(before), value(after));
    }
    let (before, after) = inline(before, after);
    (pieces(&before), pieces(&after))
}

/// Returns true if a value is a string that may not fit beside another, or has several lines.
pub fn is_long(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() > LONG || text.contains('\n'))
}

/// A change as lines of a popup.
pub fn told(change: &Change) -> Vec<String> {
    drawn(&tell(change))
}

fn drawn(told: &Told) -> Vec<String> {
    let below = |head: String, lines: Vec<String>| match lines.as_slice() {
        [only] => vec![format!("{head} {only}")],
        _ => std::iter::once(head).chain(lines.into_iter().map(|line| format!("  {line}"))).collect(),
    };
    match told {
        Told::Values(Some(before), Some(after)) => {
            vec![format!("- {}", pieces(before)), format!("+ {}", pieces(after))]
        }
        Told::Values(only, other) => only.iter().chain(other).map(pieces).collect(),
        Told::Lines(lines) => {
            let line = |line: &Line| match line.sign {
                '@' => format!("  … {}", pieces(&line.pieces)),
                sign => format!("{sign}{}", pieces(&line.pieces)),
            };
            lines.iter().map(line).collect()
        }
        Told::Fields(_, fields) => {
            fields.iter().flat_map(|(change, told)| below(plain(&change.path), drawn(told))).collect()
        }
        Told::Element(fields) => {
            fields.iter().flat_map(|(path, told)| below(format!("{} =", plain(path)), drawn(told))).collect()
        }
    }
}

fn pieces(pieces: &Pieces) -> String {
    let draw = |piece: &Piece| match piece {
        Piece::Same(text) | Piece::Changed(text) => plain(text),
        Piece::Secret(secret) => value(secret),
        Piece::Left(_) => piece.left().unwrap_or_default(),
    };
    pieces.0.iter().map(draw).collect()
}

/// `hmac:k1:3f9a0b…` with eight digits: enough to see whether two are the same.
fn short_fingerprint(fingerprint: &str) -> String {
    match fingerprint.rsplit_once(':') {
        Some((key, digits)) if digits.chars().count() > 8 => {
            format!("{key}:{}…", digits.chars().take(8).collect::<String>())
        }
        _ => fingerprint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        let hostile = "a\u{1b}[2J\u{7}b\u{9b}31m\u{202e}c\r\n\u{7f}\u{200b}";
        let shown = plain(hostile);
        assert!(shown.chars().all(|c| !c.is_control()), "{shown:?}");
        assert!(!shown.contains('\u{202e}') && !shown.contains('\u{200b}'));
        assert_eq!(shown.chars().count(), hostile.chars().count());
        assert!(shown.starts_with("a␛[2J␇b"));
    }

    #[test]
    fn wide_characters_are_cut_at_their_edge() {
        assert_eq!((cut("日本語", 4).as_str(), fit("日本語", 4).as_str()), ("日…", "日… "));
        assert_eq!(
            (cut("abc", 0).as_str(), cut("abc", 1).as_str(), fit("abc", 5).as_str()),
            ("", "…", "abc  ")
        );
        for width in 0..12 {
            assert_eq!(super::width(&fit("a日e\u{301}本👩‍💻語", width)), width);
        }
    }

    #[test]
    fn lengths_of_time_and_numbers_are_short() {
        for (us, text) in [
            (7, "7µs"),
            (1_500, "1.5ms"),
            (999_600, "999ms"),
            (12_345_678, "12.3s"),
            (247_000_000, "4m07s"),
            (-5_000_000, "-5.0s"),
            (90_000_000_000, "1d01h"),
        ] {
            assert_eq!(span(us), text);
        }
        assert_eq!(
            (count(1_234_567).as_str(), count(12).as_str(), brief(12_345).as_str()),
            ("1,234,567", "12", "12k")
        );
    }

    #[test]
    fn a_secret_shows_its_fingerprint_only() {
        let secret = serde_json::json!({"redacted": "hmac:k1:3f9a0b1c2d3e4f50"});
        assert_eq!(value(&secret), "●●● hmac:k1:3f9a0b1c…");
        assert_eq!(value(&"***redacted***".into()), "●●●");
        assert_eq!(value(&serde_json::json!({})), "{}");
    }
}
