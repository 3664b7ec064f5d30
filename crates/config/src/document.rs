//! A parsed document, and the limits it was parsed under.

use std::collections::BTreeMap;

use rig_event::FlatConfig;
use serde_json::Value;

use crate::encoding::Encoding;
use crate::notes::Note;
use crate::{Error, Format};

/// Limits on the size of a document. The defaults suit a hub that takes documents from any client it lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The size of the document in bytes: 100 MiB.
    pub bytes: u64,
    /// Maximum nesting of lists and maps: 128. More than 512 counts as 512, so that no stack overflows.
    pub depth: usize,
    /// Maximum number of fields: a million.
    pub fields: usize,
    /// The length of one value as JSON, or of one line of a text: 400,000 bytes, so that an event of 1 MiB holds
    /// a value before and after.
    pub value_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bytes: 100 << 20, depth: 128, fields: 1_000_000, value_bytes: 400_000 }
    }
}

impl Limits {
    /// Returns the limits of a file of at most so many bytes whose values no event has to carry: each may be as long as the file.
    pub fn of_file(bytes: u64) -> Limits {
        let value_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        Limits { bytes, value_bytes, ..Limits::default() }
    }
}

/// A document as fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The format it was written in.
    pub format: Format,
    /// Its fields; for text the one field `text` with the whole normalised text.
    pub config: FlatConfig,
    /// The text without byte order mark and carriage returns before line feeds; for RouterOS exports also without
    /// what differs from export to export. It still holds every secret and is there to be digested and dropped.
    pub normalised: String,
    /// The line on which each field's value begins.
    pub lines: BTreeMap<String, u32>,
    /// The name of its file, or of the family of texts it belongs to, if it is known. A few names say what the words of a line
    /// are: `chap-secrets`, `.pgpass`.
    pub file: Option<String>,
    /// The encoding it was in.
    pub encoding: Encoding,
    /// Notes on how it was read.
    pub notes: Vec<Note>,
}

impl Document {
    /// Returns a document of which nothing but its fields is known.
    pub(crate) fn of_fields(format: Format, config: FlatConfig) -> Document {
        Document {
            format,
            config,
            normalised: String::new(),
            lines: BTreeMap::new(),
            file: None,
            encoding: Encoding::Utf8,
            notes: Vec::new(),
        }
    }

    /// Checks that the document can stand for what somebody declares: that it names fields. What is found in the place of one that was
    /// not fetched (a pointer of Git LFS, the target of a link, a page to sign in) does not.
    ///
    /// # Errors
    /// If it has no field, or is not a map. `asked` is true if somebody said in which format it is.
    pub fn check_declares(&self, asked: bool) -> Result<(), Error> {
        let only = |path: &str| self.config.get(path).filter(|_| self.config.len() == 1);
        let text =
            only("text").filter(|_| self.format.is_text()).or_else(|| only("")).and_then(Value::as_str);
        let begins = text.unwrap_or_default().trim_start().get(..40).unwrap_or(text.unwrap_or_default());
        let begins = begins.to_ascii_lowercase();
        if begins.starts_with("version https://git-lfs") {
            return Err(Error::NothingDeclared {
                why: "it is a pointer of Git LFS; fetch the file with `git lfs pull`",
            });
        }
        if begins.starts_with("<!doctype html") || begins.starts_with("<html") || self.is_page() {
            return Err(Error::NotAMap { what: "a web page, perhaps one to sign in" });
        }
        match &self.config {
            config if config.is_empty() => Err(Error::NothingDeclared { why: "it has no field" }),
            _ if text.is_some_and(|text| text.trim().is_empty()) => {
                Err(Error::NothingDeclared { why: "it is empty" })
            }
            _ if self.format.is_text() && (asked || !self.notes.contains(&Note::ReadAsText)) => Ok(()),
            _ if self.format.is_text() => {
                Err(Error::NotAMap { what: "read as text; if that is meant, say so as the format" })
            }
            config => match config.first_key_value() {
                Some((path, Value::Null | Value::Object(_))) if path.is_empty() => {
                    Err(Error::NothingDeclared { why: "it has no field" })
                }
                Some((path, _)) if path.is_empty() => Err(Error::NotAMap { what: "a single value" }),
                // A list of maps may be a stream of documents.
                Some((path, value))
                    if path.starts_with("[") && !path.contains("].") && !value.is_object() =>
                {
                    Err(Error::NotAMap { what: "a list" })
                }
                _ => Ok(()),
            },
        }
    }

    /// Returns true for an HTML document that is well-formed XML.
    fn is_page(&self) -> bool {
        self.format == Format::Xml
            && self.config.keys().next().is_some_and(|path| path == "html" || path.starts_with("html."))
    }
}
