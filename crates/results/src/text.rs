//! Lines of output without what only a terminal understands, and texts cut to a length.

use std::borrow::Cow;

use regex::Regex;

/// The stream that a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Stream {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line of output.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Its text, as [`clean`] gives it.
    pub text: &'a str,
    /// Where it came from.
    pub stream: Stream,
    /// Its number among all lines of the run.
    pub at: u64,
}

/// Longest line that is looked at; the rest of a longer one is not.
pub const LONGEST: usize = 16 << 10;

/// Returns what a terminal would show of a line: without escape sequences, and after its last carriage return.
pub fn clean(line: &str) -> Cow<'_, str> {
    let line = line.trim_end_matches(['\n', '\r']);
    let line = &line[..floor(line, LONGEST)];
    let line = line.rfind('\r').map_or(line, |at| &line[at + 1..]);
    if !line.contains(['\u{1b}', '\u{8}', '\u{9b}']) {
        return Cow::Borrowed(line);
    }
    let mut shown = String::with_capacity(line.len());
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => match rest.next() {
                Some('[') => {
                    for c in rest.by_ref() {
                        if ('\u{40}'..='\u{7e}').contains(&c) {
                            break;
                        }
                    }
                }
                // A title or a link: up to BEL or ESC \.
                Some(']' | 'P' | '_' | '^') => {
                    while let Some(c) = rest.next() {
                        if c == '\u{7}' || (c == '\u{1b}' && rest.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                Some('(' | ')') => {
                    rest.next();
                }
                _ => {}
            },
            '\u{9b}' => {
                for c in rest.by_ref() {
                    if ('\u{40}'..='\u{7e}').contains(&c) {
                        break;
                    }
                }
            }
            '\u{8}' => {
                shown.pop();
            }
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Returns a text of several lines, each as a terminal would show it.
pub fn clean_all(text: &str) -> String {
    if text.contains(['\u{1b}', '\u{8}', '\u{9b}', '\r']) {
        text.lines().map(clean).collect::<Vec<_>>().join("\n")
    } else {
        text.to_owned()
    }
}

/// The last character boundary at or before `most`.
pub fn floor(text: &str, most: usize) -> usize {
    if text.len() <= most {
        return text.len();
    }
    (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Returns at most `most` bytes of a text.
pub fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut cut = text[..floor(text, most.saturating_sub('…'.len_utf8()))].to_owned();
    cut.push('…');
    cut
}

/// Appends a line to a text as long as there is room.
pub fn grow(text: &mut String, line: &str, most: usize) {
    let room = most.saturating_sub(text.len());
    if room > 1 {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line[..floor(line, room - 1)]);
    }
}

/// Compiles a pattern of this crate.
#[expect(clippy::panic, reason = "the patterns are constants, and each is compiled by a test of its runner")]
pub(crate) fn pattern(text: &str) -> Regex {
    match Regex::new(text) {
        Ok(pattern) => pattern,
        Err(error) => panic!("{error}"),
    }
}

/// Declares compiled patterns.
macro_rules! patterns {
    ($($name:ident = $text:expr;)*) => {
        $(static $name: std::sync::LazyLock<regex::Regex> = std::sync::LazyLock::new(|| crate::text::pattern($text));)*
    };
}
pub(crate) use patterns;

/// Returns the texts of a pattern's groups; an absent group is empty.
pub(crate) fn groups<'t, const N: usize>(pattern: &Regex, text: &'t str) -> Option<[&'t str; N]> {
    let found = pattern.captures(text)?;
    Some(std::array::from_fn(|at| found.get(at + 1).map_or("", |group| group.as_str())))
}

/// Returns the text between rules of `mark` on both sides: `pytest` and other runners set titles so.
pub fn titled(line: &str, mark: char) -> Option<&str> {
    let inner = line.trim_start_matches(mark);
    if line.len() - inner.len() < 2 * mark.len_utf8() {
        return None;
    }
    let title = inner.strip_prefix(' ')?.trim_end_matches(mark);
    if title.len() == inner.len() - 1 { None } else { title.strip_suffix(' ') }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_a_terminal_shows() {
        assert_eq!(
            clean("\u{1b}[31m     \u{1b}[31m×\u{1b}[31m is refused\u{1b}[39m\r\n"),
            "     × is refused"
        );
        assert_eq!(clean(" 10%\r 90%\rFAILED a"), "FAILED a");
        assert_eq!(clean("\u{1b}]8;;http://x\u{7}link\u{1b}]8;;\u{7}"), "link");
        assert_eq!(clean("\u{1b}[").len() + clean("\u{1b}").len(), 0);
    }

    #[test]
    fn titles_are_between_rules() {
        assert_eq!(titled("==== FAILURES ====", '='), Some("FAILURES"));
        assert_eq!(titled("____ test_a ___", '_'), Some("test_a"));
        assert_eq!((titled("_ _ _ _", '_'), titled("== a", '='), titled("=====", '=')), (None, None, None));
    }
}
