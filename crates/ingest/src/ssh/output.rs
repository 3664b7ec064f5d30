//! The output of a command, within its limit, and how other text is told from a configuration.

use std::borrow::Cow;

use axum::http::StatusCode;
use rig_hub::Problem;

/// Bytes of one line that are kept when prompts are looked for.
const LONGEST_PROMPT: usize = 160;

/// The output of a command.
pub(super) struct Output {
    bytes: Vec<u8>,
    /// Also counts standard error, which is not kept.
    received: u64,
    limit: u64,
}

impl Output {
    pub(super) fn new(limit: u64) -> Output {
        Output { bytes: Vec::new(), received: 0, limit }
    }

    /// Appends a piece of output.
    pub(super) fn push(&mut self, piece: &[u8], keep: bool) -> Result<(), Problem> {
        self.received += piece.len() as u64;
        if self.received > self.limit {
            let detail = format!(
                "the command printed more than {} bytes; raise `max_output` if that is right",
                self.limit
            );
            return Err(failure("output-too-large", detail));
        }
        if keep {
            self.bytes.extend_from_slice(piece);
        }
        Ok(())
    }

    /// Returns true if it has stopped at a prompt to see more.
    pub(super) fn waits_at_pager(&self) -> bool {
        let start = self.bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        is_pager(&self.bytes[start..])
    }

    /// Returns the text, unless it is not a configuration.
    pub(super) fn finish(self) -> Result<Vec<u8>, Problem> {
        // A letter in another encoding is no reason to be without a copy: the encoding is found when the text is read.
        let text = String::from_utf8_lossy(&self.bytes);
        if let (true, Some(at)) = (matches!(text, Cow::Owned(_)), memchr::memchr(0, &self.bytes)) {
            let line = 1 + memchr::memchr_iter(b'\n', &self.bytes[..at]).count();
            let detail = format!("line {line} of what the command printed is not text");
            return Err(failure("output-not-utf8", detail));
        }
        if text.trim().is_empty() {
            return Err(failure("empty-output", "the command printed nothing"));
        }
        if text.lines().any(|line| is_pager(line.as_bytes())) {
            return Err(pager());
        }
        if text.lines().filter(|line| !line.trim().is_empty()).take(2).any(is_complaint) {
            let detail = "the device did not understand the command, or its user may not use it; see `command` and `kind`";
            return Err(failure("command-failed", detail));
        }
        Ok(self.bytes)
    }
}

/// Returns the problem for a command that waits at a pager.
pub(super) fn pager() -> Problem {
    failure(
        "pager-prompt",
        "the command stops after each page; use one that does not (`show configuration | no-more`, `terminal length 0` in the user's profile)",
    )
}

/// Returns the problem for a fault of the device or its output.
pub(super) fn failure(code: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_GATEWAY, code, detail)
}

/// Returns true if a line is a pager's prompt, or begins with one that was written over. A configuration may speak of it: behind a prompt
/// stands nothing but the rest of it.
fn is_pager(line: &[u8]) -> bool {
    let shown = first_shown(line);
    let rest_of = |prompt: &str| shown.strip_prefix(prompt).map(str::trim);
    let mut whole =
        ["--more--", "-- more --", "<--- more --->", "---- more ----"].into_iter().filter_map(rest_of);
    let mut cut = ["---(more", "-- [q quit"].into_iter().filter_map(rest_of);
    whole.any(|rest| rest.is_empty() || rest.starts_with(['(', ',']) || rest == "or (q)uit")
        || cut.next().is_some()
}

/// Returns the text that a line shows first, in lower case: up to the first control character behind it.
fn first_shown(line: &[u8]) -> String {
    let mut shown = String::new();
    let mut bytes = line.iter().take(LONGEST_PROMPT);
    while let Some(&byte) = bytes.next() {
        if byte == 0x1b {
            // An escape sequence of a terminal ends with a letter.
            bytes.find(|b| b.is_ascii_alphabetic());
        } else if !byte.is_ascii_control() {
            shown.push(byte.to_ascii_lowercase().into());
            continue;
        }
        if !shown.trim().is_empty() {
            break;
        }
    }
    shown.trim().to_owned()
}

/// Returns true if a device says so that it does not know the command: many end it with status 0.
fn is_complaint(line: &str) -> bool {
    let line = line.trim_start();
    let routeros = [
        "bad command name ",
        "syntax error (line ",
        "expected end of command (line ",
        "not enough permissions (",
    ];
    let cisco = [
        "% Invalid input",
        "% Incomplete command",
        "% Unknown command",
        "% Ambiguous command",
        "% Authorization failed",
        "% Permission denied",
    ];
    routeros.iter().chain(&cisco).any(|complaint| line.starts_with(complaint))
        || line == "% This command is not authorized"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<u8>, &'static str> {
        let mut output = Output::new(64);
        let taken = output.push(text, true).and_then(|()| output.finish());
        taken.map_err(|problem| problem.code())
    }

    #[test]
    fn what_is_no_configuration_has_a_code() {
        assert_eq!(read(b"hostname r1\n"), Ok(b"hostname r1\n".to_vec()));
        assert_eq!(read(b" \r\n\n"), Err("empty-output"));
        assert_eq!(read(&[b'x'; 65]), Err("output-too-large"));
        assert_eq!(read(b"a\nb\xff\0\n"), Err("output-not-utf8"));
        assert_eq!(read(b"a\nb\xff\n"), Ok(b"a\nb\xff\n".to_vec()));
        assert_eq!(read(b"bad command name exprot (line 1 column 2)\r\n"), Err("command-failed"));
        assert_eq!(
            read(b"\r\nshow rnu\r\n% Invalid input detected at '^' marker.\r\n"),
            Err("command-failed")
        );
    }

    #[test]
    fn a_pager_is_told_from_a_configuration_that_speaks_of_one() {
        for pager in [
            &b"a\n --More-- "[..],
            b"a\n--More--\x08\x08\x08\x08 b\n",
            b"a\n<--- More --->\r              \rb\n",
            b"a\n---- More ----\x1b[42D   \x1b[42Db\n",
            b"a\n---(more 40%)---",
            b"a\n\x1b[7m--More--\x1b[m",
            b"a\n-- [Q quit|D dump|down]",
        ] {
            assert_eq!(read(pager), Err("pager-prompt"), "{:?}", String::from_utf8_lossy(pager));
        }
        for text in [&b"banner motd --More-- is off\n"[..], b"! --more-- text\n", b"--more-- of the same\n"] {
            assert!(read(text).is_ok(), "{:?}", String::from_utf8_lossy(text));
        }
        let mut output = Output::new(64);
        output.push(b"line\r\n --More-- ", true).unwrap();
        assert!(output.waits_at_pager());
        output.push(b"\nline\n", true).unwrap();
        assert!(!output.waits_at_pager());
    }
}
