//! Errors in a document, a path or a policy, worded for the person who wrote it.

use crate::Format;
use crate::encoding::Encoding;
use crate::lines::Place;

/// Why something was refused.
///
/// Messages name keys and places and never a value: a value may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text does not follow the grammar of its format.
    #[error("malformed {format} at {at}: {why}")]
    Malformed {
        /// The format it was read as.
        format: Format,
        /// Where the parser stopped.
        at: Place,
        /// The mistake.
        why: String,
    },
    /// A format's name is none that rig knows.
    #[error("{name} is not a format; use {}", Format::NAMES)]
    UnknownFormat {
        /// The name in quotes, or words for one that is too odd to be repeated.
        name: String,
    },
    /// Neither name nor content tell the format.
    #[error("neither name nor content tell the format; name it: {}", Format::NAMES)]
    NoFormat,
    /// The document is over the size limit.
    #[error("the document has {bytes} bytes; the limit is {limit}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The fields of the document, aliases expanded and paths spelled out, need too much room.
    #[error("the document's fields need more than {limit} bytes once they are expanded")]
    ExpandsTooFar {
        /// The limit in bytes.
        limit: u64,
    },
    /// Lists and maps are nested too deep.
    #[error("nested deeper than {limit} levels at {at}")]
    TooDeep {
        /// The limit.
        limit: usize,
        /// Where the limit was passed.
        at: Place,
    },
    /// The document has too many fields.
    #[error("more than {limit} fields{}", near(*.line))]
    TooManyFields {
        /// The limit.
        limit: usize,
        /// The line of the first field too many.
        line: Option<u64>,
    },
    /// A map has a key twice.
    #[error("duplicate key {key} at {at}")]
    DuplicateKey {
        /// The key, escaped and cut.
        key: String,
        /// Where it stands the second time.
        at: Place,
    },
    /// A key looks like a secret. Keys are never redacted, so the document cannot be kept. The message omits
    /// the key.
    #[error(
        "a key at {at} is a secret or the rest of one that is spread over lines; only values can be redacted"
    )]
    SecretInKey {
        /// Where the key stands, or the map that has it.
        at: Place,
    },
    /// The document is not UTF-8.
    #[error("not valid UTF-8 at {at}; if it is text in another encoding, name it: {}", Encoding::NAMES)]
    InvalidUtf8 {
        /// The first invalid byte.
        at: Place,
    },
    /// The document is not in the encoding that it says or that somebody said.
    #[error("not valid {encoding} at {at}")]
    NotInEncoding {
        /// That encoding.
        encoding: Encoding,
        /// The first fault.
        at: Place,
    },
    /// The document names an encoding that rig does not read.
    #[error(
        "the document says that it is in {declared}, which rig does not read (first at {at}); use {}",
        Encoding::NAMES
    )]
    UnreadEncoding {
        /// The encoding's name, escaped and cut.
        declared: String,
        /// The first byte that is not ASCII.
        at: Place,
    },
    /// An encoding's name is none that rig knows.
    #[error("this is not an encoding that rig reads; use {}", Encoding::NAMES)]
    UnknownEncoding,
    /// A declaration without a field.
    #[error("the document declares nothing: {why}")]
    NothingDeclared {
        /// The thing it is instead.
        why: &'static str,
    },
    /// A declaration without named fields.
    #[error("a declaration is a map of fields, and this is {what}")]
    NotAMap {
        /// The thing it is instead.
        what: &'static str,
    },
    /// One value is too long to stand in an event.
    #[error("the value of {path} has {bytes} bytes as JSON{}; the limit is {limit}", near(*.line))]
    ValueTooLarge {
        /// The field, escaped and cut.
        path: String,
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
        /// Its line, where known.
        line: Option<u64>,
    },
    /// A field's path is too long to stand in an event.
    #[error("the path {path} is longer than {limit} bytes")]
    PathTooLong {
        /// The path, escaped and cut.
        path: String,
        /// The limit.
        limit: usize,
    },
    /// A path or a pattern does not follow the grammar.
    #[error("bad path at column {column}: {why}")]
    BadPath {
        /// Where, in characters from 1.
        column: u64,
        /// The mistake.
        why: &'static str,
    },
    /// A policy file is wrong.
    #[error("bad policy{}: {why}", placed(.at))]
    BadPolicy {
        /// Where, if known.
        at: Option<Place>,
        /// The mistake.
        why: String,
    },
    /// A baseline file is wrong.
    #[error("this is no baseline file{}: {why}", placed(.at))]
    BadBaseline {
        /// Where, if known.
        at: Option<Place>,
        /// The mistake.
        why: String,
    },
    /// There is no key to sign a baseline with.
    #[error("there is no key to sign with: the key file needs a line `ID hmac-sha256 HEX`")]
    NoSigningKey,
    /// Layers that cannot be merged.
    #[error("{what}: {why}")]
    BadLayer {
        /// The file, field or variable, escaped and cut.
        what: String,
        /// The mistake.
        why: &'static str,
    },
    /// A snapshot file that this version cannot read.
    #[error("not a snapshot file that rig reads: {why}")]
    BadSnapshotFile {
        /// The mistake.
        why: String,
    },
    /// The id of a redaction key has characters that would not survive in a marker.
    #[error("bad redaction key id: use 1 to 32 of a-z, 0-9, `-` and `_`")]
    BadKeyId,
    /// A change does not fit what it is applied to.
    #[error("the change of {what} does not fit: {why}")]
    Conflict {
        /// The field, or the line of a hunk.
        what: String,
        /// The reason.
        why: &'static str,
    },
}

impl Error {
    /// A stable name for the kind of error, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Malformed { .. } => "malformed-document",
            Error::UnknownFormat { .. } | Error::NoFormat => "unknown-format",
            Error::TooLarge { .. } | Error::ExpandsTooFar { .. } => "too-large",
            Error::TooDeep { .. } => "too-deep",
            Error::TooManyFields { .. } => "too-many-fields",
            Error::DuplicateKey { .. } => "duplicate-key",
            Error::SecretInKey { .. } => "secret-in-key",
            Error::InvalidUtf8 { .. } => "invalid-utf8",
            Error::NotInEncoding { .. } => "not-in-encoding",
            Error::UnreadEncoding { .. } | Error::UnknownEncoding => "unread-encoding",
            Error::NothingDeclared { .. } => "nothing-declared",
            Error::NotAMap { .. } => "not-a-map",
            Error::ValueTooLarge { .. } => "value-too-large",
            Error::PathTooLong { .. } => "path-too-long",
            Error::BadPath { .. } => "bad-path",
            Error::BadPolicy { .. } => "bad-policy",
            Error::BadBaseline { .. } => "bad-baseline",
            Error::NoSigningKey => "no-signing-key",
            Error::BadLayer { .. } => "bad-layer",
            Error::BadSnapshotFile { .. } => "bad-snapshot-file",
            Error::BadKeyId => "bad-key-id",
            Error::Conflict { .. } => "conflict",
        }
    }

    /// The line the error is about, from 1.
    pub fn line(&self) -> Option<u64> {
        match self {
            Error::TooManyFields { line, .. } | Error::ValueTooLarge { line, .. } => *line,
            _ => self.place().map(|at| at.line),
        }
    }

    /// The column the error is about, in characters from 1.
    pub fn column(&self) -> Option<u64> {
        match self {
            Error::BadPath { column, .. } => Some(*column),
            _ => self.place().map(|at| at.column),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Error::Malformed { at, .. }
            | Error::TooDeep { at, .. }
            | Error::DuplicateKey { at, .. }
            | Error::SecretInKey { at }
            | Error::NotInEncoding { at, .. }
            | Error::UnreadEncoding { at, .. }
            | Error::InvalidUtf8 { at } => Some(*at),
            Error::BadPolicy { at, .. } | Error::BadBaseline { at, .. } => *at,
            _ => None,
        }
    }
}

fn near(line: Option<u64>) -> String {
    line.map(|line| format!(" at line {line}")).unwrap_or_default()
}

fn placed(place: &Option<Place>) -> String {
    place.map(|place| format!(" at {place}")).unwrap_or_default()
}
