//! Exports of RouterOS devices, normalised.

use std::borrow::Cow;

use super::volatile::Marks;
use crate::lines::inclusive;
use crate::routeros::is_routeros_header;

/// Maximum length of a line that others are joined to, in bytes.
const LONGEST: usize = 64 << 10;

/// Drops what differs between exports of one configuration: every header line with the blank line after it, remarks on what goes
/// on at the moment, blanks at line ends, runs of blank lines. A command that is wrapped becomes one line, wherever it was
/// wrapped. A text that is not empty ends in exactly one line feed.
pub(super) fn routeros(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let marks = Marks::of_routeros(text);
    let mut after_header = false;
    let mut after_blank = false;
    let mut lines = inclusive(text).map(str::trim_end);
    while let Some(line) = lines.next() {
        if is_routeros_header(line) {
            after_header = true;
            continue;
        }
        // What goes in an export are remarks.
        let left = if line.starts_with('#') { marks.left(line, 0) } else { Some(Cow::Borrowed(line)) };
        let Some(line) = left else { continue };
        let line = if is_wrapped(&line) { Cow::Owned(joined(&line, &mut lines)) } else { line };
        let blank = line.is_empty();
        if !(blank && (after_header || after_blank)) {
            out.push_str(&line);
            out.push('\n');
        }
        after_blank = blank && !after_header;
        after_header = false;
    }
    let end = out.trim_end_matches('\n').len();
    out.truncate(end);
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// Returns true for a command that goes on in the next line: it ends in a backslash that no other one escapes.
fn is_wrapped(line: &str) -> bool {
    let end = line.len() - line.trim_end_matches('\\').len();
    end % 2 == 1 && line.len() > end && !line.trim_start().starts_with(['#', '\\'])
}

/// Joins a command with the lines it goes on in. RouterOS indents those, and spells a blank at their beginning `\_`. The last
/// backslash stays where the text ends behind it.
fn joined<'a>(first: &str, lines: &mut impl Iterator<Item = &'a str>) -> String {
    let mut whole = first.to_owned();
    while is_wrapped(&whole) && whole.len() < LONGEST {
        let Some(next) = lines.next() else { break };
        whole.pop();
        let next = next.trim_start();
        match next.strip_prefix("\\_") {
            Some(rest) => {
                whole.push(' ');
                whole.push_str(rest);
            }
            None => whole.push_str(next),
        }
        whole.truncate(whole.trim_end().len());
    }
    whole
}

/// A RouterOS export as version 1 of the collector's rules leaves it, to the byte: the hash that comes with a snapshot on NATS is
/// one of this text. Only for that; rig compares by its own rules.
///
/// They know headers dated `YYYY/MM/DD` alone, drop the first of them wherever it stands, and take off blanks and tabs only.
pub fn collector_v1(export: &str) -> String {
    let text = export.replace("\r\n", "\n");
    let mut out = String::with_capacity(text.len());
    let (mut after_header, mut had_header, mut after_blank) = (false, false, false);
    for line in text.split('\n') {
        if !had_header && is_collector_header(line) {
            (had_header, after_header) = (true, true);
            continue;
        }
        // Only a line without anything goes with the header; one of blanks is trimmed later, and stays.
        let goes = std::mem::take(&mut after_header) && line.is_empty();
        let line = line.trim_end_matches([' ', '\t']);
        if goes || (line.is_empty() && after_blank) {
            continue;
        }
        after_blank = line.is_empty();
        out.push_str(line);
        out.push('\n');
    }
    out.truncate(out.trim_end_matches('\n').len());
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// `# 2024/01/15 10:30:00 by RouterOS 7.14`, and no other spelling.
fn is_collector_header(line: &str) -> bool {
    const SHAPE: &[u8] = b"# 0000/00/00 00:00:00 by RouterOS";
    line.len() >= SHAPE.len()
        && line
            .bytes()
            .zip(SHAPE)
            .all(|(b, &shape)| if shape == b'0' { b.is_ascii_digit() } else { b == shape })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_the_header_goes() {
        for header in ["2024/01/15", "2026-03-07", "jan/15/2024"] {
            let text =
                format!("# {header} 10:30:00 by RouterOS 7.14\n\n# model = RB\n/ip dns\nset a=1  \n\n\n");
            assert_eq!(routeros(&text), "# model = RB\n/ip dns\nset a=1\n");
        }
        assert_eq!(routeros("a\n# 2024/01/15 10:30:00 by RouterOS 7\nb\n\n\n\nc"), "a\nb\n\nc\n");
        assert_eq!(routeros("\n \n"), "");
        assert_eq!(routeros("# written by RouterOS fans\n"), "# written by RouterOS fans\n");
    }

    #[test]
    fn a_command_is_one_line_wherever_it_is_wrapped() {
        let whole = "add action=accept chain=input comment=\"office and branch\" dst-port=22 protocol=tcp\n";
        for wrapped in [
            "add action=accept chain=input comment=\"office and branch\" \\\n    dst-port=22 protocol=tcp\n",
            "add action=accept chain=input \\\r\n    comment=\"office and branch\" dst-port=22 \\\n    protocol=tcp\n",
            "add action=accept chain=input comment=\"office\\\n    \\_and branch\" dst-port=2\\\n    2 protocol=tcp\n",
            whole,
        ] {
            assert_eq!(routeros(wrapped), whole, "{wrapped}");
        }
        for (given, expected) in [
            // An escaped backslash, a remark, and an export that was cut off.
            ("add path=\"C:\\\\\nb\n", "add path=\"C:\\\\\nb\n"),
            ("# a \\\nadd b\n", "# a \\\nadd b\n"),
            ("add a=1 \\\n", "add a=1 \\\n"),
            ("add a=1 \\\n    b=2 \\", "add a=1 b=2 \\\n"),
            (" \\\n# 2024/01/15 10:30:00 by RouterOS 7\n", "\\\n"),
        ] {
            let once = routeros(given);
            assert_eq!(once.trim_start(), expected, "{given}");
            assert_eq!(routeros(&once), once, "{given}");
        }
    }

    #[test]
    fn the_collectors_rules_are_kept_to_the_byte() {
        for (given, expected) in [
            (
                "# 2024/01/15 10:30:00 by RouterOS 7.14\n# software id = A\r\n/ip address  \r\n\r\n\r\n\r\n/ip route",
                "# software id = A\n/ip address\n\n/ip route\n",
            ),
            // The blank line after the header goes, and one of blanks does not.
            ("# 2024/01/15 10:30:00 by RouterOS 7.14\n\na\n", "a\n"),
            ("# 2024/01/15 10:30:00 by RouterOS 7.14\n \na\n", "\na\n"),
            ("# 2024/01/15 10:30:00 by RouterOS 7.14\n\n\na\n", "\na\n"),
            ("a\n\n# 2024/01/15 10:30:00 by RouterOS 7.14\n\nb\n", "a\n\nb\n"),
            ("a\n\n# 2024/01/15 10:30:00 by RouterOS 7.14\n\n\nb", "a\n\nb\n"),
            // Other spellings of the date stay, and so does a second header.
            ("# 2026-01-15 10:30:00 by RouterOS 7.20\na\n", "# 2026-01-15 10:30:00 by RouterOS 7.20\na\n"),
            (
                "# 2024/01/15 10:30:00 by RouterOS 7\n# 2024/01/15 10:30:00 by RouterOS 7\na",
                "# 2024/01/15 10:30:00 by RouterOS 7\na\n",
            ),
            (" # 2024/01/15 10:30:00 by RouterOS 7\n", " # 2024/01/15 10:30:00 by RouterOS 7\n"),
            ("\n\n  a\u{a0}\t \n", "\n  a\u{a0}\n"),
            ("\r\n \t\n", ""),
            ("", ""),
        ] {
            assert_eq!(collector_v1(given), expected, "{given:?}");
        }
    }
}
