//! Java properties: keys and values with their escapes, read as UTF-8; the dots of a key are steps.

use serde_json::Value;

use super::note_repeated;
use crate::flatten::Flattener;
use crate::lines::Place;
use crate::notes::Taken;
use crate::path::Segment;
use crate::{Error, Format, Note};

/// Reads a properties document, in which the last of several values holds. `a=1` and `a.b=2` may stand side by side, as they do in logging configurations.
pub(super) fn read(text: &str, fields: &mut Flattener<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    let mut lines = text.split(['\n', '\r']).enumerate();
    while let Some((index, first)) = lines.next() {
        let first = first.trim_start_matches(is_blank);
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let at = Place { line: index as u64 + 1, column: 1 };
        let mut line = first.to_owned();
        while continues(&line) {
            line.pop();
            let Some((_, next)) = lines.next() else { break };
            line.push_str(next.trim_start_matches(is_blank));
        }
        let (key, value) = split(&line);
        let key = unescape(key, at)?;
        let value = unescape(value, at)?;
        let steps: Vec<Segment> = key.split('.').map(|step| Segment::Key(step.to_owned())).collect();
        if fields.put(&steps, Value::from(value), at)? {
            note_repeated(notes, "Java", Taken::Last, at);
        }
    }
    Ok(())
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

/// Returns true if the line ends in a backslash that is not itself escaped.
fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// The key ends at the first blank, `=` or `:` without a backslash; blanks and one `=` or `:` separate the value.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let ends = !escaped && (is_blank(c) || c == '=' || c == ':');
        escaped = c == '\\' && !escaped;
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(is_blank);
    (key, rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(is_blank))
}

fn unescape(text: &str, at: Place) -> Result<String, Error> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    let bad = || Error::Malformed {
        format: Format::Properties,
        at,
        why: "a \\u escape needs four hexadecimal digits that make a character".into(),
    };
    // A character beyond the first plane is written as two escapes, so all go through UTF-16.
    let mut units = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let meant = match c {
            '\\' => match chars.next() {
                Some('u') => {
                    let rest = chars.as_str();
                    let digits = rest.get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
                    let unit =
                        digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()).ok_or_else(bad)?;
                    units.push(unit);
                    chars = rest[4..].chars();
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0c',
                Some(c) => c,
                None => break,
            },
            c => c,
        };
        units.extend_from_slice(meant.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use crate::Format::Properties;
    use crate::parse::tests::{check, check_error};

    #[test]
    fn keys_and_values_as_java_reads_them() {
        check(
            Properties,
            "# c\n! c\nserver.port=8080\nserver.name : a b \nflag\na\\ b\\=c = x\nlong = one, \\\n   two\nu=\\u00e4\\ud83d\\ude00\\\\\n\
             log=1\nlog.file=2\nsp x\n",
            &[
                ("\"a b=c\"", "\"x\""),
                ("flag", "\"\""),
                ("log", "\"1\""),
                ("log.file", "\"2\""),
                ("long", "\"one, two\""),
                ("server.name", "\"a b \""),
                ("server.port", "\"8080\""),
                ("sp", "\"x\""),
                ("u", "\"ä😀\\\\\""),
            ],
        );
    }

    #[test]
    fn errors_name_the_place() {
        check(Properties, "a=1\n\na:2", &[("a", "\"2\"")]);
        check_error(Properties, "a=1\nb=hunter2\\u00g0", "malformed-document", 2, 1);
        check_error(Properties, "b=\\ud800 hunter2", "malformed-document", 1, 1);
        check_error(Properties, "b=\\u12", "malformed-document", 1, 1);
    }

    #[test]
    fn a_private_key_spread_over_lines_is_refused() {
        let pem =
            "a=1\nk=-----BEGIN RSA PRIVATE KEY-----\nhunter2hunter2\nx=\n-----END RSA PRIVATE KEY-----\n";
        check_error(Properties, pem, "secret-in-key", 3, 1);
        check_error(Properties, &pem.replace("k=", "k=\\\n"), "secret-in-key", 4, 1);
        check_error(Properties, &pem.replace("k=", "k=\n"), "secret-in-key", 3, 1);
        check_error(Properties, "ghp_0123456789abcdefghijhunter2=1", "secret-in-key", 1, 1);
        check_error(Properties, "\neyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.hunter2 x", "secret-in-key", 2, 1);
        let closed =
            "k=-----BEGIN PRIVATE KEY-----\\nx\\n-----END PRIVATE KEY-----\nASIA_PACIFIC_SOUTHEAST_1=KEEP";
        check(
            Properties,
            closed,
            &[
                ("ASIA_PACIFIC_SOUTHEAST_1", "\"KEEP\""),
                ("k", "\"-----BEGIN PRIVATE KEY-----\\nx\\n-----END PRIVATE KEY-----\""),
            ],
        );
        check_error(crate::Format::Env, "K=-----BEGIN PRIVATE KEY-----\nhunter2=", "secret-in-key", 2, 1);
        check_error(
            crate::Format::Ini,
            "[a]\nk=-----BEGIN PRIVATE KEY-----\nhunter2=",
            "secret-in-key",
            3,
            1,
        );
        check_error(crate::Format::Ini, "[AKIAIOSFODNN7EXAMPLE]\nk=1", "secret-in-key", 2, 1);
    }
}
