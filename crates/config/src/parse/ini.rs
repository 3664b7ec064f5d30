//! INI: sections in brackets, `key = value` or `key: value`, comments behind `;` or `#` on lines of their own.
//!
//! Its own reader, since `rust-ini` takes a line without `=` for the beginning of the next line's key, and cannot say
//! where a key stands.

use std::collections::BTreeMap;

use serde_json::Value;

use super::unquoted;
use crate::flatten::Flattener;
use crate::lines::Place;
use crate::{Error, Format};

/// Reads an INI document. A line that is indented deeper than the key before it continues that key's value.
pub(super) fn read(text: &str, fields: &mut Flattener<'_>) -> Result<(), Error> {
    let mut section: Option<String> = None;
    let mut keys_of = BTreeMap::<String, (Place, usize)>::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let content = line.trim();
        let indent = indent_of(line);
        let at = Place { line: index as u64 + 1, column: indent as u64 + 1 };
        if is_comment(content) {
            continue;
        }
        if let Some(rest) = content.strip_prefix('[') {
            let name = match rest.rsplit_once(']') {
                Some((name, after)) if is_comment(after.trim()) => name.trim(),
                _ => return Err(malformed(at, "a section's `]` is missing")),
            };
            keys_of.entry(name.to_owned()).or_insert((at, 0));
            section = Some(name.to_owned());
            continue;
        }
        let (key, value) = match content.split_once(['=', ':']) {
            Some((key, _)) if key.trim().is_empty() => return Err(malformed(at, "a key is missing")),
            Some((key, value)) => (key.trim(), value.trim()),
            None => return Err(malformed(at, "`key = value` or `[section]` is expected")),
        };
        let mut value = unquoted(value).to_owned();
        while let Some((_, more)) =
            lines.next_if(|(_, next)| indent_of(next) > indent && !next.trim().is_empty())
        {
            value.push('\n');
            value.push_str(more.trim());
        }
        if let Some((_, keys)) = section.as_ref().and_then(|section| keys_of.get_mut(section)) {
            *keys += 1;
        }
        let path: Vec<&str> = section.as_deref().into_iter().chain([key]).collect();
        fields.add(&path, Value::from(value), at)?;
    }
    for (section, (at, _)) in keys_of.iter().filter(|(_, (_, keys))| *keys == 0) {
        fields.add(&[section], Value::Object(serde_json::Map::new()), *at)?;
    }
    Ok(())
}

fn is_comment(content: &str) -> bool {
    content.is_empty() || content.starts_with([';', '#'])
}

fn indent_of(line: &str) -> usize {
    line.chars().take_while(|c| c.is_whitespace()).count()
}

fn malformed(at: Place, why: &str) -> Error {
    Error::Malformed { format: Format::Ini, at, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use crate::Format::Ini;
    use crate::parse::tests::{check, check_error};

    #[test]
    fn sections_and_keys() {
        check(
            Ini,
            "top = 1\n; comment\n[a]\nb = \"two words\"\nc: C:\\dir\\\n[x.y]\n  k = 1 ; kept\n[a]\nd =\n[empty]\n",
            &[
                ("\"x.y\".k", "\"1 ; kept\""),
                ("a.b", "\"two words\""),
                ("a.c", "\"C:\\\\dir\\\\\""),
                ("a.d", "\"\""),
                ("empty", "{}"),
                ("top", "\"1\""),
            ],
        );
        check(
            Ini,
            "[tox]\ndeps =\n    pytest\n    foo==1\nnext = 1\n",
            &[("tox.deps", "\"\\npytest\\nfoo==1\""), ("tox.next", "\"1\"")],
        );
    }

    #[test]
    fn errors_name_the_place() {
        check_error(Ini, "[a]\nb=1\n[a]\n b=2", "duplicate-key", 4, 2);
        check_error(Ini, "[a]\nhunter2", "malformed-document", 2, 1);
        check_error(Ini, "[hunter2", "malformed-document", 1, 1);
        check_error(Ini, "  = hunter2", "malformed-document", 1, 3);
    }
}
