//! Bytes to a document: one module a format, each from text to a tree.

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

use crate::flatten::{Flattener, json_length};
use crate::lines::{LineIndex, inclusive};
use crate::normalise::{forget, normalise};
use crate::{Document, Error, Format, Limits};

/// Reads a document. Elements of lists are named by index, whatever the policy says of the list: its rules are for the
/// comparison.
///
/// A document that is handed over (a `Vec<u8>`) is not copied: while it is read, memory holds it and its fields, and no
/// third copy. A document without content (an empty file, a YAML stream of comments) has no fields.
///
/// # Errors
/// If the document does not follow the grammar of its format, has a duplicate key or a secret in the place of
/// a key, or exceeds one of the [`Limits`]. The error names the place.
pub fn parse<'a>(
    document: impl Into<Cow<'a, [u8]>>,
    format: Format,
    limits: &Limits,
) -> Result<Document, Error> {
    let document = document.into();
    let size = document.len() as u64;
    if size > limits.bytes {
        return Err(Error::TooLarge { bytes: size, limit: limits.bytes });
    }
    let normalised = normalised(document)?;
    if format.is_text() {
        return text_document(normalise(normalised, format), format, limits);
    }
    let mut fields = Flattener::new(limits);
    if !normalised.trim_start().is_empty() {
        read(&normalised, format, limits, &mut fields)?;
    }
    let (mut config, mut lines) = fields.finish();
    if matches!(format, Format::Json | Format::Xml) && forget(&mut config) {
        lines.retain(|path, _| config.contains_key(path));
    }
    Ok(Document { format, config, normalised, lines, file: None })
}

fn read(text: &str, format: Format, limits: &Limits, fields: &mut Flattener<'_>) -> Result<(), Error> {
    let tree = match format {
        Format::Json | Format::Jsonc => json::read(text, format, limits)?,
        Format::Yaml => yaml::read(text, limits)?,
        Format::Toml => toml::read(text, limits)?,
        Format::Hcl => hcl::read(text, limits)?,
        Format::Xml => xml::read(text, limits)?,
        Format::Ini => return ini::read(text, fields),
        Format::Env => return env::read(text, fields),
        Format::Properties => return properties::read(text, fields),
        Format::Routeros | Format::Nginx | Format::Text => return Ok(()),
    };
    tree.map_or(Ok(()), |root| fields.tree(root))
}

/// The document as text, less a byte order mark and the carriage returns before line feeds.
fn normalised(document: Cow<'_, [u8]>) -> Result<String, Error> {
    let mut text = String::from_utf8(document.into_owned()).map_err(|error| {
        let valid = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        Error::InvalidUtf8 { at: LineIndex::new(&valid).place(valid.len()) }
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    // Most documents have none, and then nothing is copied.
    if memchr::memmem::find(text.as_bytes(), b"\r\n").is_some() {
        text = text.replace("\r\n", "\n");
    }
    Ok(text)
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
    Ok(Document { format, config, normalised, lines, file: None })
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
        let error = parse(b"a\nb\xff", Format::Text, &Limits::default()).unwrap_err();
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
            for format in Format::ALL {
                if let Ok(doc) = parse(text.as_bytes(), format, &limits) {
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
