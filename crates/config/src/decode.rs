//! Bytes to text: the encoding is found by a byte order mark, by what an XML declaration says, or by the bytes themselves.

use std::borrow::Cow;
use std::str::FromStr;
use std::string::FromUtf8Error;

use crate::lines::{LineIndex, Place};
use crate::shown::shown;
use crate::{Encoding, Error, Format};

/// The size of the beginning in which an encoding is looked for, in bytes.
const HEAD: usize = 1 << 10;

/// The characters of Windows-1252 from 0x80 to 0x9f. Five bytes stand for nothing, and are the control character of that number.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

impl Encoding {
    /// Returns a document in this encoding as text, with a replacement for what is none.
    pub fn text(self, document: &[u8]) -> Cow<'_, str> {
        match self {
            Encoding::Utf8 => String::from_utf8_lossy(document),
            _ => self.decode(document.into()).map_or_else(|_| String::from_utf8_lossy(document), Cow::Owned),
        }
    }

    /// Decodes a document, less its byte order mark. A document in UTF-8 is not copied.
    fn decode(self, document: Cow<'_, [u8]>) -> Result<String, Error> {
        let wide = |unit: fn([u8; 2]) -> u16| {
            let bytes = document.strip_prefix(self.mark()).unwrap_or(&document);
            let units = bytes.chunks(2).map(|pair| match pair {
                [first, second] => unit([*first, *second]),
                // Half a character at the end is none.
                _ => 0xdc00,
            });
            let mut text = String::with_capacity(bytes.len() / 2);
            for unit in char::decode_utf16(units) {
                let Ok(c) = unit else {
                    return Err(Error::NotInEncoding {
                        encoding: self,
                        at: LineIndex::new(&text).place(text.len()),
                    });
                };
                text.push(c);
            }
            Ok(text)
        };
        match self {
            Encoding::Utf8 => String::from_utf8(document.into_owned())
                .map(unmarked)
                .map_err(|error| Error::InvalidUtf8 { at: invalid_at(&error) }),
            Encoding::Utf16Le => wide(u16::from_le_bytes),
            Encoding::Utf16Be => wide(u16::from_be_bytes),
            Encoding::Latin1 => Ok(document.iter().map(|byte| char::from(*byte)).collect()),
            Encoding::Windows1252 => Ok(document
                .iter()
                .map(|byte| match byte {
                    0x80..=0x9f => WINDOWS[usize::from(byte - 0x80)],
                    byte => char::from(*byte),
                })
                .collect()),
        }
    }

    /// The byte order mark.
    fn mark(self) -> &'static [u8] {
        match self {
            Encoding::Utf8 => b"\xef\xbb\xbf",
            Encoding::Utf16Le => b"\xff\xfe",
            Encoding::Utf16Be => b"\xfe\xff",
            Encoding::Latin1 | Encoding::Windows1252 => b"",
        }
    }

    /// Returns the encoding that the document itself tells: by a byte order mark, by every other byte being zero, or by an XML
    /// declaration. Otherwise it should be UTF-8.
    fn told(document: &[u8]) -> Encoding {
        let marked = [Encoding::Utf8, Encoding::Utf16Le, Encoding::Utf16Be];
        if let Some(marked) = marked.into_iter().find(|one| document.starts_with(one.mark())) {
            return marked;
        }
        let beginning = &document[..document.len().min(HEAD)];
        let zeros = |from: usize| beginning.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
        let half = beginning.len() / 2;
        if half >= 2 && document.len().is_multiple_of(2) {
            match (zeros(0), zeros(1)) {
                (0, low) if low * 10 >= half * 9 => return Encoding::Utf16Le,
                (high, 0) if high * 10 >= half * 9 => return Encoding::Utf16Be,
                _ => {}
            }
        }
        // What says that it is UTF-16 is not, if that can be read as bytes.
        let declared = declared(beginning).and_then(|label| label.parse::<Encoding>().ok());
        declared.filter(|one| matches!(one, Encoding::Latin1 | Encoding::Windows1252)).unwrap_or_default()
    }
}

/// A document as text.
pub(crate) struct Decoded {
    /// The text, without a byte order mark.
    pub text: String,
    /// The encoding it was in.
    pub encoding: Encoding,
    /// True if nothing but the bytes tells the encoding.
    pub is_guess: bool,
}

/// Decodes a document in the encoding that somebody says it has, or else in the one that is found.
///
/// Bytes that are no UTF-8 are taken for Windows-1252, which every text of one byte a character can be read as, only if `guesses`
/// says so of the document: JSON, YAML, TOML and HCL are Unicode by definition.
pub(crate) fn decode(
    document: Cow<'_, [u8]>,
    asked: Option<Encoding>,
    guesses: impl FnOnce(&[u8]) -> bool,
) -> Result<Decoded, Error> {
    if asked.is_none() && (document.starts_with(b"\xff\xfe\0\0") || document.starts_with(b"\0\0\xfe\xff")) {
        return Err(Error::UnreadEncoding { declared: shown("UTF-32"), at: Place { line: 1, column: 1 } });
    }
    let encoding = asked.unwrap_or_else(|| Encoding::told(&document));
    if encoding != Encoding::Utf8 || asked.is_some() {
        return Ok(Decoded { text: encoding.decode(document)?, encoding, is_guess: false });
    }
    let error = match String::from_utf8(document.into_owned()) {
        Ok(text) => return Ok(Decoded { text: unmarked(text), encoding, is_guess: false }),
        Err(error) => error,
    };
    let at = invalid_at(&error);
    let document = error.into_bytes();
    if let Some(label) = declared(&document[..document.len().min(HEAD)]) {
        return Err(Error::UnreadEncoding { declared: shown(&label), at });
    }
    if !guesses(&document) || !is_text(&document) {
        return Err(Error::InvalidUtf8 { at });
    }
    let windows = document.iter().any(|byte| (0x80..=0x9f).contains(byte));
    let encoding = if windows { Encoding::Windows1252 } else { Encoding::Latin1 };
    Ok(Decoded { text: encoding.decode(document.into())?, encoding, is_guess: true })
}

/// The place of the first byte that is no UTF-8.
fn invalid_at(error: &FromUtf8Error) -> Place {
    let valid = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
    LineIndex::new(&valid).place(valid.len())
}

/// Removes a byte order mark.
fn unmarked(mut text: String) -> String {
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    text
}

/// Returns true if bytes look like text: without a zero, and with few control characters.
fn is_text(document: &[u8]) -> bool {
    let beginning = &document[..document.len().min(8 << 10)];
    let controls = beginning.iter().filter(|byte| matches!(byte, 0..=8 | 0x0e..=0x1f)).count();
    memchr::memchr(0, document).is_none() && controls <= beginning.len() / 20 + 8
}

/// The encoding that an XML declaration names, if it is not UTF-8.
fn declared(beginning: &[u8]) -> Option<String> {
    let head = beginning.strip_prefix(b"<?xml")?;
    let head = &head[..memchr::memmem::find(head, b"?>")?];
    let head = String::from_utf8_lossy(head);
    let label = head.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = label.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let label = label[1..].split(quote).next()?;
    (!label.eq_ignore_ascii_case("utf-8")).then(|| label.to_owned())
}

/// Returns true for a format whose documents may be in any encoding.
pub(crate) fn is_any_encoding(format: Format) -> bool {
    !matches!(format, Format::Json | Format::Jsonc | Format::Yaml | Format::Toml | Format::Hcl | Format::Xml)
}

impl FromStr for Encoding {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let lower = name.to_ascii_lowercase().replace('_', "-");
        match lower.as_str() {
            "utf8" | "us-ascii" | "ascii" => Ok(Encoding::Utf8),
            "utf16le" | "utf-16" | "utf16" => Ok(Encoding::Utf16Le),
            "utf16be" => Ok(Encoding::Utf16Be),
            "latin1" | "latin-1" | "iso8859-1" => Ok(Encoding::Latin1),
            "cp1252" | "windows1252" => Ok(Encoding::Windows1252),
            _ => Encoding::ALL
                .into_iter()
                .find(|encoding| encoding.as_str() == lower)
                .ok_or(Error::UnknownEncoding),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::parse::{Reading, parse};
    use crate::{Encoding, Format, Limits};

    fn read(document: &[u8], reading: Reading<'_>) -> Result<(String, Encoding, usize), &'static str> {
        let doc = reading.read(document, &Limits::default()).map_err(|error| error.code())?;
        Ok((doc.normalised, doc.encoding, doc.notes.len()))
    }

    fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn the_encoding_is_found() {
        let named = |name| Reading { name: Some(name), ..Reading::default() };
        let text = "mötd = 1\r\n";
        let (le, be) = (utf16(text, u16::to_le_bytes), utf16(text, u16::to_be_bytes));
        let wanted = "mötd = 1\n".to_owned();
        for (bytes, encoding, notes) in [
            (text.as_bytes().to_vec(), Encoding::Utf8, 0),
            ([b"\xef\xbb\xbf", text.as_bytes()].concat(), Encoding::Utf8, 0),
            (le.clone(), Encoding::Utf16Le, 0),
            (be.clone(), Encoding::Utf16Be, 0),
            ([b"\xff\xfe".to_vec(), le].concat(), Encoding::Utf16Le, 0),
            ([b"\xfe\xff".to_vec(), be].concat(), Encoding::Utf16Be, 0),
            (b"m\xf6td = 1\r\n".to_vec(), Encoding::Latin1, 1),
        ] {
            for name in ["a.ini", "a.conf", "a.properties"] {
                assert_eq!(
                    read(&bytes, named(name)),
                    Ok((wanted.clone(), encoding, notes)),
                    "{name} {bytes:?}"
                );
            }
        }
        assert_eq!(
            read(b"a=\x80 \x93x\x94\n", named("a.cfg")),
            Ok(("a=€ “x”\n".to_owned(), Encoding::Windows1252, 1))
        );
        // Known by its mark in every format, and guessed in none that is Unicode by definition.
        let json = [b"\xff\xfe".to_vec(), utf16("{\"a\": \"ä\"}", u16::to_le_bytes)].concat();
        assert_eq!(read(&json, named("a.json")), Ok(("{\"a\": \"ä\"}".to_owned(), Encoding::Utf16Le, 0)));
        for name in ["a.json", "a.yaml", "a.toml", "a.tf"] {
            assert_eq!(read(b"a: \xe4\n", named(name)), Err("invalid-utf8"), "{name}");
        }
        assert_eq!(read(b"\xff\xfe\0\0a\0\0\0", named("a.conf")), Err("unread-encoding"));
        // Bytes that are no text at all.
        for bytes in [b"\x1f\x8b\x08\x00\xff".to_vec(), (0..=255).collect()] {
            assert_eq!(read(&bytes, named("a.conf")), Err("invalid-utf8"));
        }
    }

    #[test]
    fn an_xml_declaration_is_believed() {
        let xml = |label: &str, body: &[u8]| {
            let head = format!("<?xml version=\"1.0\" encoding='{label}'?><a>");
            let document = [head.as_bytes(), body, b"</a>"].concat();
            let doc = parse(document, Format::Xml, &Limits::default()).map_err(|error| error.to_string())?;
            Ok::<_, String>((doc.config["a"].to_string(), doc.encoding))
        };
        assert_eq!(xml("ISO-8859-1", b"caf\xe9"), Ok(("\"café\"".into(), Encoding::Latin1)));
        assert_eq!(xml("windows-1252", b"\x80"), Ok(("\"€\"".into(), Encoding::Windows1252)));
        assert_eq!(xml("UTF-8", "é".as_bytes()), Ok(("\"é\"".into(), Encoding::Utf8)));
        assert_eq!(xml("UTF-16", "é".as_bytes()), Ok(("\"é\"".into(), Encoding::Utf8)));
        assert_eq!(xml("Shift_JIS", b"ok"), Ok(("\"ok\"".into(), Encoding::Utf8)));
        assert!(xml("Shift_JIS", b"\x83\x65").unwrap_err().contains("Shift_JIS"));
    }

    #[test]
    fn what_somebody_says_is_done() {
        let asked = |encoding| Reading { encoding: Some(encoding), ..Reading::text() };
        assert_eq!(read(b"\xe4", asked(Encoding::Latin1)), Ok(("ä".into(), Encoding::Latin1, 0)));
        assert_eq!(read("ä".as_bytes(), asked(Encoding::Latin1)), Ok(("Ã¤".into(), Encoding::Latin1, 0)));
        assert_eq!(read(b"\xe4", asked(Encoding::Utf8)), Err("invalid-utf8"));
        assert_eq!(read(b"a\0b", asked(Encoding::Utf16Le)), Err("not-in-encoding"));
        assert_eq!(read(b"\0\xd8a\0", asked(Encoding::Utf16Le)), Err("not-in-encoding"));
        assert_eq!("Latin-1".parse::<Encoding>(), Ok(Encoding::Latin1));
        assert_eq!("hunter2".parse::<Encoding>().unwrap_err().code(), "unread-encoding");
        for encoding in Encoding::ALL {
            assert_eq!(encoding.to_string().parse::<Encoding>(), Ok(encoding));
            assert_eq!(serde_json::to_value(encoding).unwrap(), encoding.as_str());
            assert!(Encoding::NAMES.contains(encoding.as_str()));
        }
    }
}
