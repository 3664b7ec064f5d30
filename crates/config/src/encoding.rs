//! The encodings a document can be in.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The encoding of a document's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-16, the lower byte first.
    #[serde(rename = "utf-16le")]
    Utf16Le,
    /// UTF-16, the higher byte first.
    #[serde(rename = "utf-16be")]
    Utf16Be,
    /// ISO 8859-1: each byte is the character of that number.
    #[serde(rename = "iso-8859-1")]
    Latin1,
    /// Windows-1252: ISO 8859-1 with printable characters at 0x80 to 0x9f.
    #[serde(rename = "windows-1252")]
    Windows1252,
}

impl Encoding {
    /// Every encoding.
    pub const ALL: [Encoding; 5] =
        [Encoding::Utf8, Encoding::Utf16Le, Encoding::Utf16Be, Encoding::Latin1, Encoding::Windows1252];

    /// The names of all encodings, for messages.
    pub const NAMES: &str = "utf-8, utf-16le, utf-16be, iso-8859-1 or windows-1252";

    /// The word used in JSON and options.
    pub fn as_str(self) -> &'static str {
        match self {
            Encoding::Utf8 => "utf-8",
            Encoding::Utf16Le => "utf-16le",
            Encoding::Utf16Be => "utf-16be",
            Encoding::Latin1 => "iso-8859-1",
            Encoding::Windows1252 => "windows-1252",
        }
    }

    /// Returns the encoding if it is not UTF-8, which needs no mention.
    pub fn unusual(self) -> Option<Encoding> {
        Some(self).filter(|encoding| *encoding != Encoding::Utf8)
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
