//! The beginning of a snapshot file that rig wrote, which says whose it is: enough to tell without reading it whole.

use std::collections::BTreeMap;
use std::fmt;

use rig_event::Timestamp;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::VERSION;

/// The members before the fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// When the snapshot was taken.
    pub timestamp: Timestamp,
    /// Its origin.
    pub audit: BTreeMap<String, String>,
}

impl Head {
    /// A number of bytes that is enough for any head that rig writes.
    pub const BYTES: u64 = 64 << 10;

    /// Reads the beginning of a file; nothing where it is not that of a snapshot file that says its time and origin before its
    /// fields.
    pub fn read(beginning: &[u8]) -> Option<Head> {
        let mut members = Members::default();
        // It ends in the middle: what was found before counts.
        let _ = (&mut members).deserialize(&mut serde_json::Deserializer::from_slice(beginning));
        let Members { version, timestamp, audit, is_whole } = members;
        let head = Head { timestamp: timestamp?, audit: audit? };
        (is_whole && version.as_deref() == Some(VERSION)).then_some(head)
    }
}

#[derive(Default)]
struct Members {
    version: Option<String>,
    timestamp: Option<Timestamp>,
    audit: Option<BTreeMap<String, String>>,
    /// True once the fields begin.
    is_whole: bool,
}

impl<'de> DeserializeSeed<'de> for &mut Members {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Members {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Name {
            Version,
            Timestamp,
            Audit,
            Config,
            #[serde(other)]
            Other,
        }
        while let Some(name) = map.next_key::<Name>()? {
            match name {
                Name::Version => self.version = Some(map.next_value()?),
                Name::Timestamp => self.timestamp = Some(map.next_value()?),
                Name::Audit => self.audit = Some(map.next_value()?),
                Name::Config => {
                    self.is_whole = true;
                    return Ok(());
                }
                Name::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_from_the_beginning_and_from_nothing_less() {
        let text =
            r#"{"version":"1.0","timestamp":"2026-01-01T00:00:00Z","audit":{"tool":"rig 1"},"config":{"a": "#;
        let head = Head::read(text.as_bytes()).unwrap();
        assert_eq!((head.audit["tool"].as_str(), head.timestamp.as_micros() > 0), ("rig 1", true));
        assert_eq!(Head::read(&text.as_bytes()[..80]), None);
        assert_eq!(Head::read(text.replace("1.0", "2.0").as_bytes()), None);
        assert_eq!(Head::read(text.replace("audit", "mine").as_bytes()), None);
        assert_eq!(Head::read(b"[]"), None);
    }
}
