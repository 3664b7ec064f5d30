//! Bytes to a document: one module a format, each from text to a tree.

mod dialect;
mod env;
mod hcl;
mod ini;
mod json;
mod number;
mod properties;
mod toml;
mod xml;
mod yaml;

use std::borrow::Cow;
use std::collections::BTreeMap;

use rig_event::FlatConfig;
use serde_json::Value;

use self::dialect::Dialect;
use crate::decode::{decode, is_any_encoding};
use crate::flatten::{Flattener, json_length};
use crate::lines::{Place, inclusive};
use crate::normalise::{forget, normalise};
use crate::notes::Taken;
use crate::{Document, Encoding, Error, Format, Limits, Note};

/// Everything that is known of a document before it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading<'a> {
    /// The name of its file, with as many folders above as are known: the format may be derived from it, the dialect of an INI
    /// document, and what the lines of a text are.
    pub name: Option<&'a str>,
    /// Its format; if absent, derived from name and content.
    pub format: Option<Format>,
    /// Its encoding; if absent, it is found.
    pub encoding: Option<Encoding>,
}

impl<'a> Reading<'a> {
    /// Reads text, whatever it is.
    pub fn text() -> Reading<'a> {
        Reading { format: Some(Format::Text), ..Reading::default() }
    }

    /// Reads a document. Elements of lists are named by index, whatever the policy says of the list: its rules are for the
    /// comparison.
    ///
    /// A document that is handed over (a `Vec<u8>`) is not copied: while it is read, memory holds it and its fields, and no
    /// third copy. A document without content (an empty file, a YAML stream of comments) has no fields. A document whose name says
    /// nothing of its format is text; one without a name is refused if its content says nothing either.
    ///
    /// # Errors
    /// If the document does not follow the grammar of its format, has a duplicate key where its reader knows none or a secret in
    /// the place of a key, or exceeds one of the [`Limits`]. The error names the place.
    pub fn read<'d>(self, document: impl Into<Cow<'d, [u8]>>, limits: &Limits) -> Result<Document, Error> {
        let document = document.into();
        let size = document.len() as u64;
        if size > limits.bytes {
            return Err(Error::TooLarge { bytes: size, limit: limits.bytes });
        }
        let found = |content: &[u8]| self.format.or_else(|| Format::detect(self.name, content));
        let decoded = decode(document, self.encoding, |bytes| found(bytes).is_none_or(is_any_encoding))?;
        let mut notes = Vec::new();
        if decoded.is_guess {
            notes.push(Note::Guessed(decoded.encoding));
        }
        let format = match (found(decoded.text.as_bytes()), self.name) {
            (Some(format), _) => format,
            (None, Some(_)) => {
                notes.push(Note::ReadAsText);
                Format::Text
            }
            (None, None) => return Err(Error::NoFormat),
        };
        let normalised = with_line_feeds(decoded.text);
        notes.extend(truncated(&normalised, format));
        let mut document = if format.is_text() {
            text_document(normalise(normalised, format), format, limits)?
        } else {
            let mut fields = Flattener::new(limits);
            let read = match normalised.trim_start().is_empty() {
                true => Ok(()),
                false => fields_of(&normalised, self.name, format, limits, &mut fields, &mut notes),
            };
            match read {
                Ok(()) => {
                    let (mut config, mut lines) = fields.finish();
                    if matches!(format, Format::Json | Format::Xml) && forget(&mut config) {
                        lines.retain(|path, _| config.contains_key(path));
                    }
                    Document { normalised, lines, ..Document::of_fields(format, config) }
                }
                Err(Error::Malformed { at, .. })
                    if self.format.is_none() && Format::is_suggested(self.name, format) =>
                {
                    drop(fields);
                    notes.push(Note::NotAsNamed { format, line: at.line });
                    text_document(normalise(normalised, Format::Text), Format::Text, limits)?
                }
                Err(error) => return Err(error),
            }
        };
        document.file = self.name.and_then(|name| name.rsplit(['/', '\\']).next()).map(str::to_owned);
        document.encoding = decoded.encoding;
        document.notes = notes;
        Ok(document)
    }
}

/// Reads a document of a known format: [`Reading::read`] with nothing else known.
///
/// # Errors
/// As [`Reading::read`].
pub fn parse<'a>(
    document: impl Into<Cow<'a, [u8]>>,
    format: Format,
    limits: &Limits,
) -> Result<Document, Error> {
    Reading { format: Some(format), ..Reading::default() }.read(document, limits)
}

fn fields_of(
    text: &str,
    name: Option<&str>,
    format: Format,
    limits: &Limits,
    fields: &mut Flattener<'_>,
    notes: &mut Vec<Note>,
) -> Result<(), Error> {
    let tree = match format {
        Format::Json | Format::Jsonc => json::read(text, format, limits)?,
        Format::Yaml => match yaml::with_blanks(text) {
            Cow::Borrowed(text) => yaml::read(text, limits, notes)?,
            Cow::Owned(text) => {
                return yaml::read(&text, limits, notes)?.map_or(Ok(()), |root| fields.tree(root));
            }
        },
        Format::Toml => toml::read(text, limits)?,
        Format::Hcl => hcl::read(text, limits)?,
        Format::Xml => xml::read(text, limits)?,
        Format::Ini => return ini::read(text, Dialect::of(name, text), limits, fields, notes),
        Format::Env => return env::read(text, fields, notes),
        Format::Properties => return properties::read(text, fields, notes),
        Format::Routeros | Format::Nginx | Format::Text => return Ok(()),
    };
    tree.map_or(Ok(()), |root| fields.tree(root))
}

/// Drops carriage returns before line feeds. Most documents have none, and then nothing is copied.
fn with_line_feeds(text: String) -> String {
    match memchr::memmem::find(text.as_bytes(), b"\r\n") {
        Some(_) => text.replace("\r\n", "\n"),
        None => text,
    }
}

/// Notes a text that ends in a line that goes on.
fn truncated(text: &str, format: Format) -> Option<Note> {
    let end = text.trim_end();
    let last = end.rsplit('\n').next()?;
    let goes_on = match format {
        Format::Routeros => last.ends_with('\\') || last.trim_start().starts_with("-- [Q quit"),
        Format::Text => last.ends_with(" \\") || last.trim() == "--More--" || last.trim() == "---(more)---",
        Format::Properties => last.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1,
        _ => false,
    };
    goes_on.then(|| Note::Truncated { line: end.matches('\n').count() as u64 + 1 })
}

/// Notes, once a document, that a key is repeated.
fn note_repeated(notes: &mut Vec<Note>, reader: &'static str, taken: Taken, at: Place) {
    let said =
        notes.iter().any(|note| matches!(note, Note::Repeated { taken: known, .. } if *known == taken));
    if !said {
        notes.push(Note::Repeated { reader, taken, line: at.line });
    }
}

/// Removes matching quotes around a text, if there are any.
fn unquoted(text: &str) -> &str {
    let inner = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

fn text_document(normalised: String, format: Format, limits: &Limits) -> Result<Document, Error> {
    let limit = limits.value_bytes;
    for (index, line) in inclusive(&normalised).enumerate() {
        // Escaping makes a line longer, never shorter, and at most sixfold.
        let bytes =
            if line.len() * 6 > limit { json_length(&Value::from(line.trim_end_matches('\n'))) } else { 0 };
        if bytes > limit {
            let line = Some(index as u64 + 1);
            return Err(Error::ValueTooLarge { path: "\"text\"".into(), bytes, limit, line });
        }
    }
    let config = FlatConfig::from([("text".to_owned(), Value::from(normalised.as_str()))]);
    let lines = BTreeMap::from([("text".to_owned(), 1)]);
    Ok(Document { normalised, lines, ..Document::of_fields(format, config) })
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The fields of a document, each value as JSON.
    pub fn check(format: Format, text: &str, expected: &[(&str, &str)]) {
        let doc = parse(text.as_bytes(), format, &Limits::default())
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        let fields: Vec<_> =
            doc.config.iter().map(|(path, value)| (path.as_str(), value.to_string())).collect();
        let expected: Vec<_> = expected.iter().map(|(path, value)| (*path, (*value).to_owned())).collect();
        assert_eq!(fields, expected, "{text}");
        assert!(doc.lines.keys().eq(doc.config.keys()));
    }

    /// The error of a document, which must not give away the secret that stands in it.
    pub fn check_error(format: Format, text: &str, code: &str, line: u64, column: u64) {
        let error = parse(text.as_bytes(), format, &Limits::default()).unwrap_err();
        let start: String = text.chars().take(80).collect();
        assert_eq!(
            (error.code(), error.line(), error.column()),
            (code, Some(line), Some(column)),
            "{start}: {error}"
        );
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn what_is_no_utf_8_is_refused_with_its_place() {
        let error = parse(b"a: 1\nb\xff", Format::Yaml, &Limits::default()).unwrap_err();
        assert_eq!((error.code(), error.line(), error.column()), ("invalid-utf8", Some(2), Some(2)));
    }

    #[test]
    fn limits_are_kept() {
        let limits = Limits { bytes: 100, depth: 2, fields: 3, value_bytes: 10 };
        let code = |text: &str, format| parse(text.as_bytes(), format, &limits).map_err(|error| error.code());
        assert_eq!(code(&" ".repeat(101), Format::Json).unwrap_err(), "too-large");
        assert_eq!(code("[[[]]]", Format::Json).unwrap_err(), "too-deep");
        assert_eq!(code("[1,2,3,4]", Format::Json).unwrap_err(), "too-many-fields");
        assert_eq!(code("[\"12345678\"]", Format::Json).map(|doc| doc.config.len()), Ok(1));
        assert_eq!(code("[\"1234567\\n\"]", Format::Json).unwrap_err(), "value-too-large");
        assert_eq!(code("12345678\n12345678", Format::Text).map(|doc| doc.config.len()), Ok(1));
        assert_eq!(code("1\n123456789", Format::Text).unwrap_err(), "value-too-large");
        let deep_keys = format!("{{\"{0}\":{{\"{0}\":1}}}}", "k".repeat(40_000));
        let error = parse(deep_keys.as_bytes(), Format::Json, &Limits::default()).unwrap_err();
        assert_eq!(error.code(), "path-too-long");
    }

    #[test]
    fn the_deepest_document_fits_the_stack_of_a_thread() {
        let limits = Limits { depth: usize::MAX, ..Limits::default() };
        for format in [Format::Json, Format::Yaml] {
            let code = |depth: usize, open: &str, close: &str| {
                let text = format!("{}{}", open.repeat(depth), close.repeat(depth));
                parse(text.as_bytes(), format, &limits).map_err(|error| error.code())
            };
            // YAML in brackets ends at the parser's own limit of 255.
            let depth = if format == Format::Json { 512 } else { 250 };
            assert!(code(depth, "[", "]").is_ok(), "{format}");
            assert_eq!(code(513, "[", "]").unwrap_err(), "too-deep", "{format}");
        }
        let blocks = format!("{}x", "- ".repeat(512));
        assert!(parse(blocks.as_bytes(), Format::Yaml, &limits).is_ok());
    }

    #[test]
    fn text_is_one_field() {
        check(Format::Text, "\u{feff}a\r\nb", &[("text", "\"a\\nb\"")]);
        let doc =
            parse(b"# jan/15/2024 10:30:00 by RouterOS 6\r\n/ip dns\r\n", Format::Text, &Limits::default());
        assert_eq!(doc.unwrap().normalised, "/ip dns\n");
        let empty = parse(b"", Format::Text, &Limits::default()).unwrap();
        assert_eq!(empty.config["text"], "");
    }

    fn hostile() -> impl Strategy<Value = String> {
        let pieces = prop::sample::select(vec![
            "a",
            "b",
            ": ",
            ":",
            "- ",
            "\n",
            "\n  ",
            " ",
            "[",
            "]",
            "{",
            "}",
            ",",
            "\"",
            "'",
            "&a ",
            "*a",
            "<<",
            "!t ",
            "? ",
            "|",
            ">",
            "#",
            "%",
            "---\n",
            "...",
            "\t",
            "\\",
            "\\u00e4",
            "=",
            "[[",
            "]]",
            ".",
            "1",
            "e5",
            "0x",
            "-",
            "+",
            "ü",
            "\u{feff}",
            "\r",
            "\0",
            "export ",
            "true",
            "@",
            "`",
            "~",
            "<a>",
            "</a>",
            "<!--",
            "-->",
            "&lt;",
            "/",
            "//",
            "/*",
            "*/",
            "b \"c\" {",
            "<<E\n",
            "E\n",
            "${",
            "?",
            "[a]\n",
            "[a \"b\"]",
            "[Interface]\n[Peer]\n",
            "!include x\n",
            "a[]=",
            ":\t",
            " ansible_x=",
            "unset ",
            "\u{85}",
            "\u{2028}",
        ]);
        prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn any_text_is_a_document_or_an_error(text in hostile()) {
            let limits = Limits::default();
            let names = [
                ".gitconfig", "a.service", "my.cnf", "krb5.conf", "inventory.ini", "php.ini", "setup.cfg", ".npmrc", "wg.ini",
            ];
            let names = names.map(|name| Reading { name: Some(name), ..Reading::default() });
            let formats = Format::ALL.map(|format| Reading { format: Some(format), ..Reading::default() });
            for reading in formats.into_iter().chain(names) {
                if let Ok(doc) = reading.read(text.as_bytes(), &limits) {
                    prop_assert!(doc.config.keys().all(|path| path.parse::<crate::Path>().is_ok()), "{:?}", doc);
                    let line = serde_json::to_string(&doc.config).unwrap();
                    let mut read = serde_json::Deserializer::from_str(&line);
                    let again: FlatConfig = rig_event::spelled::config(&mut read).unwrap();
                    prop_assert_eq!(again, doc.config);
                }
            }
        }
    }
}
