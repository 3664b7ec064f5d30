//! A value that is a secret by its type.

use std::fmt;

use rig_config::snapshot_file::REDACTED;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A secret: it reads like what it holds, and neither `Debug` nor serde ever write it out. In its place stands
/// `***redacted***`, which is also how a snapshot knows the field.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Makes a value a secret.
    pub fn new(value: T) -> Self {
        Secret(value)
    }

    /// The value, for the one place that needs it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T> Serialize for Secret<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(REDACTED)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        T::deserialize(d).map(Secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_and_never_written() {
        let secret: Secret<Vec<String>> = serde_json::from_str("[\"hunter2\"]").unwrap();
        assert_eq!(secret.expose(), &["hunter2"]);
        assert_eq!(format!("{secret:?} {secret:#?}"), "***redacted*** ***redacted***");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"***redacted***\"");
    }
}
