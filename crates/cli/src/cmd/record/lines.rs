//! A program's output cut into lines, each of which becomes one event.

use std::borrow::Cow;

/// The longest text of one event. JSON may need six bytes for one of these, and a line of the log has at most 1 MiB.
const LONGEST: usize = 128 << 10;

/// A private key is kept together, so that it is seen as the secret it is; what is longer than this is none.
const LONGEST_KEY: usize = 32 << 10;

/// Cuts bytes into lines as they come.
#[derive(Debug, Default)]
pub(super) struct LogLines {
    held: Vec<u8>,
    /// Where the line that is not at its end begins: lines before it belong to a private key that is not at its end.
    line: usize,
}

impl LogLines {
    /// Takes bytes, and gives each text that is whole, without its line end. What is no UTF-8 is replaced by U+FFFD.
    pub(super) fn push(&mut self, bytes: &[u8], mut give: impl FnMut(&str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut rest = piece;
            while self.held.len() + rest.len() > LONGEST {
                let (now, later) = rest.split_at(LONGEST.saturating_sub(self.held.len()).min(rest.len()));
                self.held.extend_from_slice(now);
                rest = later;
                if rest.is_empty() {
                    break;
                }
                let end = good_end(&self.held);
                give(&text(&self.held[..end]));
                self.held.drain(..end);
                self.line = 0;
            }
            self.held.extend_from_slice(rest);
            if self.held.ends_with(b"\n") {
                if self.is_in_key() {
                    self.line = self.held.len();
                    continue;
                }
                self.finish(&mut give);
            }
        }
    }

    /// Gives what has no line end, or belongs to a key without one.
    pub(super) fn finish(&mut self, mut give: impl FnMut(&str)) {
        if !self.held.is_empty() {
            give(&text(&self.held));
        }
        self.held.clear();
        self.line = 0;
    }

    /// Returns true if the line that has just ended is within a private key whose end is still to come.
    fn is_in_key(&self) -> bool {
        let line = &self.held[self.line.min(self.held.len())..];
        let begins = has(line, b"-----BEGIN ") && has(line, b"PRIVATE KEY");
        (self.line > 0 || begins) && !has(line, b"-----END ") && self.held.len() < LONGEST_KEY
    }
}

fn has(line: &[u8], what: &[u8]) -> bool {
    memchr::memmem::find(line, what).is_some()
}

/// Where a line that is too long is cut: at white space near its end, else between two characters.
fn good_end(bytes: &[u8]) -> usize {
    let near = bytes.len() - bytes.len() / 4;
    if let Some(at) = bytes[near..].iter().rposition(u8::is_ascii_whitespace) {
        return near + at + 1;
    }
    let is_inside = |byte: &u8| byte & 0xc0 == 0x80;
    let tail = bytes.iter().rev().take(4).position(|byte| !is_inside(byte)).unwrap_or(0);
    let lead = bytes.len() - 1 - tail;
    // A lone ASCII character at the end is whole; of a longer one its rest is still to come, or may be.
    if bytes[lead] < 0x80 || lead == 0 { bytes.len() } else { lead }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of an output that comes in pieces.
    fn cut(pieces: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut texts) = (LogLines::default(), Vec::new());
        for piece in pieces {
            lines.push(piece, |text| texts.push(text.to_owned()));
        }
        lines.finish(|text| texts.push(text.to_owned()));
        texts
    }

    #[test]
    fn lines_do_not_depend_on_how_they_came() {
        let expected = ["a", "", "größer", "last"];
        let whole = "a\n\r\ngrößer\nlast".as_bytes();
        assert_eq!(cut(&[whole]), expected);
        let bytes: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(cut(&bytes), expected);
        assert!(cut(&[]).is_empty());
    }

    #[test]
    fn what_is_no_utf_8_is_replaced_and_the_rest_is_kept() {
        assert_eq!(cut(&[b"a\xffb\xc3\n", b"\x80c"]), ["a\u{fffd}b\u{fffd}", "\u{fffd}c"]);
    }

    #[test]
    fn a_line_without_end_comes_in_pieces_that_lose_nothing() {
        for unit in ["x", "ß", "word ", "€"] {
            let long = unit.repeat(1_000_000 / unit.len());
            let pieces: Vec<&[u8]> = long.as_bytes().chunks(65_536).collect();
            let texts = cut(&pieces);
            assert!(texts.len() > 1 && texts.iter().all(|text| text.len() <= LONGEST), "{unit}");
            assert!(!texts.concat().contains('\u{fffd}'), "{unit}");
            assert_eq!(texts.concat(), long, "{unit}");
        }
    }

    #[test]
    fn a_private_key_stays_in_one_piece() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabcd\n-----END RSA PRIVATE KEY-----";
        let texts = cut(&[format!("before\n{key}\nafter\n").as_bytes()]);
        assert_eq!(texts, ["before", key, "after"]);
        // One that never ends does not hold the output back for ever.
        let endless = format!("-----BEGIN PRIVATE KEY-----\n{}", "line\n".repeat(20_000));
        let texts = cut(&[endless.as_bytes()]);
        assert!(texts.len() > 1_000, "{}", texts.len());
    }
}
