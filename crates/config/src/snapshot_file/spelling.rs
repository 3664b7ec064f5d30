//! The spelling of a snapshot file, and what it has beyond its fields: kept, so that what did not change is written as it was.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rig_event::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The spelling of a file that was read. A snapshot that no file holds yet has none.
#[derive(Clone, Debug, Default)]
pub struct Spelling {
    /// The file's time, and how it is written; empty where the file has none.
    pub(super) time: Option<(Timestamp, String)>,
    /// Values that would be written otherwise: lists, maps, and texts with other escapes.
    pub(super) values: BTreeMap<String, Spelled>,
    /// The sources of fields as the file lists them, where rig would list them otherwise.
    pub(super) sources: Vec<Listed>,
    /// Members that rig does not know.
    pub(super) unknown: Vec<(String, String)>,
    /// True if the file does not end with a line end.
    pub(super) is_unended: bool,
    /// True if the file escapes what Go's encoder escapes.
    pub(super) is_by_go: bool,
    /// True if there is a file.
    pub(super) is_read: bool,
}

/// A value as a file spells it.
#[derive(Clone, Debug)]
pub(super) struct Spelled {
    /// The path of its field; of a list or map, of what is below it.
    pub path: String,
    pub value: Value,
    pub raw: String,
}

/// A source as a file lists it.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub entry: Entry,
    /// The path of its field.
    pub path: String,
    /// True if there was a field of this source.
    pub had_fields: bool,
}

/// Where one field came from, in Rigging's spelling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    #[serde(default)]
    pub field_path: String,
    pub key_path: String,
    pub source_name: String,
    /// rig's own: Rigging knows no lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    #[serde(default)]
    pub secret: bool,
}

impl Spelling {
    /// The members of the file that rig does not know, by name.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        self.unknown.iter().map(|(name, _)| name.as_str())
    }

    /// Returns true if the snapshot was read from a file.
    pub fn is_read(&self) -> bool {
        self.is_read
    }

    /// Returns true if the file was read and says no time.
    pub fn is_timeless(&self) -> bool {
        self.time.as_ref().is_some_and(|(_, text)| text.is_empty())
    }
}

/// The signs that Go's encoder escapes in a text beyond what JSON asks for.
const GO: [(char, &str); 5] =
    [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")];

/// Returns true if a file has an escape that only Go's encoder makes.
pub(super) fn is_by_go(text: &str) -> bool {
    let mut escapes = memchr::memmem::find_iter(text.as_bytes(), "\\u");
    escapes.any(|at| GO.iter().any(|(_, escape)| text[at..].starts_with(escape)))
}

/// JSON as Go's encoder would write it. What is escaped can stand nowhere but in texts.
pub(super) fn by_go(json: &str) -> Cow<'_, str> {
    if !json.contains(GO.map(|(sign, _)| sign)) {
        return json.into();
    }
    GO.iter().fold(json.to_owned(), |json, (sign, escape)| json.replace(*sign, escape)).into()
}
