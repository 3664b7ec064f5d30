//! Names and numbers: streams, services, epochs and sequence numbers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Error;

/// A position in a stream. The first event has 1; 0 is the position before it.
pub type Seq = u64;

/// Longest stream or service name, in bytes.
pub const MAX_NAME: usize = 128;

/// The name of a stream: 1 to 128 bytes of `a-z A-Z 0-9 . _ -`, not beginning with a dot or a dash.
///
/// It is safe as a folder name and as a URL segment as it stands. Names that begin with `_` belong to the hub.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamName(Arc<str>);

impl StreamName {
    /// The default stream, `main`.
    pub fn main() -> Self {
        StreamName(Arc::from("main"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hub's own stream, `_hub`: what concerns the hub and no stream of its clients.
    pub fn hub() -> StreamName {
        StreamName("_hub".into())
    }

    /// Whether the stream belongs to the hub itself (`_hub`), so that clients may read it but not append.
    pub fn is_internal(&self) -> bool {
        self.0.starts_with('_')
    }
}

impl FromStr for StreamName {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        let bad = |why| Err(Error::Name { what: "stream", name: shown(s), why });
        if s.is_empty() || s.len() > MAX_NAME {
            return bad("it must have 1 to 128 bytes");
        }
        if s.starts_with(['.', '-']) {
            return bad("it must not begin with a dot or a dash");
        }
        if !s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
            return bad("only letters, digits, `.`, `_` and `-` are allowed");
        }
        Ok(StreamName(Arc::from(s)))
    }
}

/// The name of a service: 1 to 128 bytes of UTF-8 without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(Arc<str>);

impl ServiceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        let bad = |why| Err(Error::Name { what: "service", name: shown(s), why });
        if s.is_empty() || s.len() > MAX_NAME {
            return bad("it must have 1 to 128 bytes");
        }
        if s.chars().any(char::is_control) {
            return bad("control characters are not allowed");
        }
        Ok(ServiceName(Arc::from(s)))
    }
}

impl std::borrow::Borrow<str> for ServiceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// What tells one life of a stream from another of the same name: 1 to 32 bytes of `a-z 0-9`, fixed when
/// the stream is made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Epoch(Arc<str>);

impl Epoch {
    /// The epoch that 40 random bits spell, in eight characters of Crockford's base 32.
    pub fn from_random(bits: [u8; 5]) -> Self {
        const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let mut n = bits.iter().fold(0u64, |n, &b| n << 8 | u64::from(b));
        let mut text = [0u8; 8];
        for digit in text.iter_mut().rev() {
            *digit = DIGITS[(n & 31) as usize];
            n >>= 5;
        }
        Epoch(text.iter().map(|&b| char::from(b)).collect::<String>().into())
    }

    /// The epoch as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Epoch {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        let fine =
            (1..=32).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !fine {
            let why = "it must have 1 to 32 characters of a-z and 0-9";
            return Err(Error::Name { what: "epoch", name: shown(s), why });
        }
        Ok(Epoch(Arc::from(s)))
    }
}

macro_rules! text_conversions {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(s: String) -> Result<Self, Error> {
                s.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    )*};
}
text_conversions!(StreamName, ServiceName, Epoch);

/// A hostile name as it may stand in an error: escaped and short.
fn shown(s: &str) -> String {
    let mut text: String = s.chars().take(64).flat_map(char::escape_debug).collect();
    if s.chars().nth(64).is_some() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_names_that_could_leave_their_folder_are_refused() {
        for bad in
            ["", ".", "..", "../x", "a/b", "a\\b", "-x", ".hidden", "a b", "a\n", "ü", &"x".repeat(129)]
        {
            assert!(bad.parse::<StreamName>().is_err(), "{bad:?}");
        }
        for good in ["main", "_hub", "ci-1234.5", &"x".repeat(128)] {
            assert!(good.parse::<StreamName>().is_ok(), "{good:?}");
        }
    }

    #[test]
    fn service_names_take_what_rigd_writes() {
        assert!("api~proxy~~test".parse::<ServiceName>().is_ok());
        assert!("a\u{7}".parse::<ServiceName>().is_err());
        assert!("".parse::<ServiceName>().is_err());
    }

    #[test]
    fn an_epoch_has_eight_characters() {
        assert_eq!(Epoch::from_random([0; 5]).as_str(), "00000000");
        assert_eq!(Epoch::from_random([255; 5]).as_str(), "zzzzzzzz");
        assert!("ABC".parse::<Epoch>().is_err());
    }
}
