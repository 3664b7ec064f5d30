//! TOML.

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::number::lenient_number;
use crate::lines::LineIndex;
use crate::lines::Place;
use crate::secrets::is_secret_key;
use crate::shown::shown;
use crate::tree::{Builder, Entries, Node, insert};
use crate::{Error, Format, Limits};

/// The largest TOML document: its parser is linear, but takes some thirty times the document's size in memory.
const MAX_BYTES: u64 = 8 << 20;

/// Reads a TOML document.
pub(super) fn read(text: &str, limits: &Limits) -> Result<Option<Node<'static>>, Error> {
    let bytes = text.len() as u64;
    if bytes > MAX_BYTES {
        return Err(Error::TooLarge { bytes, limit: MAX_BYTES });
    }
    let lines = LineIndex::new(text);
    let table = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or_default();
        let at = lines.place(span.start);
        match error.message() {
            "duplicate key" if text.get(span.clone()).is_some_and(is_secret_key) => Error::SecretInKey { at },
            "duplicate key" => Error::DuplicateKey { key: shown(text.get(span).unwrap_or_default()), at },
            "recursion limit" | "cannot recurse further; max recursion depth met" => {
                Error::TooDeep { limit: limits.depth.min(80), at }
            }
            // The parser's messages are fixed sentences and quote nothing.
            why => Error::Malformed { format: Format::Toml, at, why: why.to_owned() },
        }
    })?;
    let mut reader = Reader { text, lines, builder: Builder::new(limits) };
    let tree = reader.table(table.get_ref(), Place { line: 1, column: 1 }, 1)?;
    Ok(if table.get_ref().is_empty() { None } else { Some(tree) })
}

struct Reader<'a> {
    text: &'a str,
    lines: LineIndex<'a>,
    builder: Builder,
}

impl Reader<'_> {
    fn value(&mut self, value: &toml::Spanned<DeValue<'_>>, depth: usize) -> Result<Node<'static>, Error> {
        let at = self.lines.place(value.span().start);
        let spelled = self.text.get(value.span()).unwrap_or_default();
        let leaf = match value.get_ref() {
            DeValue::Table(table) => return self.table(table, at, depth + 1),
            DeValue::Array(items) => {
                self.builder.check_depth(depth + 1, at)?;
                let items = items.iter().map(|item| self.value(item, depth + 1)).collect::<Result<_, _>>()?;
                return self.builder.list(at, items);
            }
            DeValue::String(text) => Value::from(text.as_ref()),
            DeValue::Boolean(value) => Value::from(*value),
            DeValue::Datetime(_) => Value::from(spelled),
            DeValue::Integer(_) | DeValue::Float(_) => {
                lenient_number(&spelled.replace('_', "")).unwrap_or_else(|| Value::from(spelled))
            }
        };
        self.builder.leaf(at, leaf)
    }

    fn table(&mut self, table: &DeTable<'_>, at: Place, depth: usize) -> Result<Node<'static>, Error> {
        self.builder.check_depth(depth, at)?;
        let mut entries = Entries::new();
        for (key, value) in table {
            let at = self.lines.place(key.span().start);
            insert(&mut entries, key.get_ref().to_string().into(), at, self.value(value, depth)?)?;
        }
        self.builder.map(at, entries)
    }
}

#[cfg(test)]
mod tests {
    use crate::Format::Toml;
    use crate::parse::tests::{check, check_error};

    #[test]
    fn tables_and_types() {
        check(
            Toml,
            "a.b = 1_000\n[t]\nhex = 0xFF\nfloat = +1.50\nbig = 18446744073709551616\nday = 2026-11-20\n\
             no = -inf\ns = 'x'\n[[l]]\nn = 1\n[[l]]\nn = 2\n",
            &[
                ("a.b", "1000"),
                ("l[0].n", "1"),
                ("l[1].n", "2"),
                ("t.big", "18446744073709551616"),
                ("t.day", "\"2026-11-20\""),
                ("t.float", "1.50"),
                ("t.hex", "255"),
                ("t.no", "\"-inf\""),
                ("t.s", "\"x\""),
            ],
        );
        check(Toml, "# nothing\n", &[]);
    }

    #[test]
    fn errors_name_the_place() {
        check_error(Toml, "a = 1\na = 2", "duplicate-key", 2, 1);
        check_error(Toml, "[a]\n\"ghp_hunter2hunter2hunter2\" = 1", "secret-in-key", 2, 1);
        check_error(Toml, "[a]\nb = 1\n[a]\n", "duplicate-key", 3, 2);
        check_error(Toml, "x = 1\nb = hunter2", "malformed-document", 2, 5);
        check_error(Toml, "x = \"hunter2", "malformed-document", 1, 13);
        check_error(Toml, "x = 007", "malformed-document", 1, 5);
    }

    #[test]
    fn deep_nesting_is_refused() {
        for text in [
            format!("a = {}", "[".repeat(100_000)),
            format!("a = {}", "{a=".repeat(100_000)),
            format!("{} = 1", vec!["a"; 100_000].join(".")),
            format!("[{}]", vec!["a"; 100_000].join(".")),
        ] {
            let limits = crate::Limits::default();
            let error = crate::parse(text.as_bytes(), Toml, &limits).unwrap_err();
            assert_eq!(error.code(), "too-deep", "{error}");
        }
    }
}
