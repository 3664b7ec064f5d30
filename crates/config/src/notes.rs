//! Notes on how a document was read, worded for the person whose document it is.

use std::fmt;

use crate::Format;
use crate::encoding::Encoding;

/// Something about a document that is no error: how an ambiguous spelling was taken, or what may be missing.
///
/// Notes name lines and keep silent on keys and values, which may be secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Neither name nor content say what format it is in.
    ReadAsText,
    /// It is not in the format that its name suggests.
    NotAsNamed {
        /// That format.
        format: Format,
        /// The line that is not.
        line: u64,
    },
    /// It is in an encoding that nothing but its bytes tells.
    Guessed(Encoding),
    /// A key stands more than once where its reader allows that.
    Repeated {
        /// The reader whose rules hold.
        reader: &'static str,
        /// The fate of the values.
        taken: Taken,
        /// The line of the first repeated key.
        line: u64,
    },
    /// A map has several `<<`.
    MergedTwice {
        /// The line of the second.
        line: u64,
    },
    /// Its last line goes on in a line that is not there.
    Truncated {
        /// That line.
        line: u64,
    },
}

/// The fate of the values of a key that stands more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// They are a list.
    List,
    /// The last one holds.
    Last,
}

impl Note {
    /// Returns a stable name for the kind of note, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Note::ReadAsText | Note::NotAsNamed { .. } => "read-as-text",
            Note::Guessed(_) => "encoding-guessed",
            Note::Repeated { .. } => "repeated-key",
            Note::MergedTwice { .. } => "merged-twice",
            Note::Truncated { .. } => "truncated",
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::ReadAsText => {
                f.write_str("neither name nor content tell the format: it is read as text, line by line")
            }
            Note::NotAsNamed { format, line } => {
                write!(
                    f,
                    "it is not the {format} that its name suggests (line {line}): it is read as text, line by line"
                )
            }
            Note::Guessed(encoding) => write!(f, "it is not UTF-8 and was read as {encoding}"),
            Note::Repeated { reader, taken: Taken::List, line } => {
                write!(f, "a key is repeated (first at line {line}): its values are a list, as in {reader}")
            }
            Note::Repeated { reader, taken: Taken::Last, line } => {
                write!(f, "a key is repeated (first at line {line}): the last value holds, as in {reader}")
            }
            Note::MergedTwice { line } => {
                write!(
                    f,
                    "a map has several `<<` (first at line {line}): the later one wins, as in PyYAML and Ruby"
                )
            }
            Note::Truncated { line } => {
                write!(f, "line {line} is the last and says that it goes on: the document may be cut off")
            }
        }
    }
}
