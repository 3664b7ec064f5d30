//! Time stamps: RFC 3339 in UTC with microseconds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Error;

/// A moment, in microseconds since 1970-01-01T00:00:00Z.
///
/// It is written as `2026-11-20T10:30:05.412803Z`; any RFC 3339 offset and up to nanoseconds are read, and what is
/// finer than a microsecond is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `micros` microseconds after the Unix epoch; outside the years -9999 to 9999 it is clamped.
    pub fn from_micros(micros: i64) -> Self {
        Timestamp(micros.clamp(jiff::Timestamp::MIN.as_microsecond(), jiff::Timestamp::MAX.as_microsecond()))
    }

    /// Microseconds since the Unix epoch.
    pub fn as_micros(self) -> i64 {
        self.0
    }

    fn civil(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}", self.civil())
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        let civil: jiff::Timestamp =
            s.parse().map_err(|e| Error::Malformed { why: format!("{s:?} is not an RFC 3339 time: {e}") })?;
        Ok(Timestamp(civil.as_microsecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_and_utc() {
        let t: Timestamp = "2026-02-23T11:00:00.4128039+01:00".parse().unwrap();
        assert_eq!(t.to_string(), "2026-02-23T10:00:00.412803Z");
        assert_eq!(
            "2026-02-23T10:00:00Z".parse::<Timestamp>().unwrap().to_string(),
            "2026-02-23T10:00:00.000000Z"
        );
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
