//! `[[notify]]` of `hub.toml`: endpoints, and the events that each receives.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use globset::{Glob, GlobSet, GlobSetBuilder};
use rig_config::policy::span_of_time;
use rig_event::Severity;
use rig_outbound::Secret;
use serde::Deserialize;
use zeroize::Zeroizing;

/// Minimum length of a key, in bytes.
const MIN_KEY: usize = 16;

/// The events that are sent by default.
const EVENTS: [&str; 4] = ["drift.detected", "drift.changed", "drift.resolved", "drift.expired"];

/// A `[[notify]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// The name of the endpoint in events, metrics and messages: 1 to 64 of `a-z`, `0-9`, `-` and `_`. An endpoint with another
    /// name is another endpoint, which begins anew.
    pub name: String,
    /// Its URL.
    pub url: Option<String>,
    /// The environment variable that holds the URL, if the URL is a secret.
    pub url_env: Option<String>,
    /// The file that holds the URL.
    pub url_file: Option<PathBuf>,
    /// The format that it understands.
    #[serde(default)]
    pub kind: Kind,
    /// The minimum severity of events that have one; default: `low`. If the drift of a service was notified, its fall below this
    /// severity and its end are notified too.
    #[serde(default = "low")]
    pub severity: Severity,
    /// Names of streams, `*` for any part; default: all. The hub's own streams match only if they are named.
    #[serde(default = "all")]
    pub streams: Names,
    /// Names of services; default: all, and events without a service.
    pub services: Option<Names>,
    /// Types of events.
    #[serde(default = "drift")]
    pub events: Names,
    /// The environment variable that holds the key that messages are signed with.
    pub key_env: Option<String>,
    /// The file that holds the key. A newline at its end is ignored.
    pub key_file: Option<PathBuf>,
    /// The time that it may take to answer: 10 s.
    #[serde(default, deserialize_with = "span_of_time")]
    pub timeout: Option<Duration>,
    /// Maximum time that an event is retried before it is given up: a day.
    #[serde(default, deserialize_with = "span_of_time")]
    pub give_up: Option<Duration>,
}

/// A format that endpoints understand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The event, and a sentence.
    #[default]
    Json,
    /// `{"text": …}`, as Slack, Mattermost and others accept it.
    Slack,
}

/// Patterns for names.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Names {
    set: GlobSet,
    written: Vec<String>,
}

impl Names {
    /// Returns true if one of the patterns matches.
    pub(crate) fn hold(&self, name: &str) -> bool {
        self.set.is_match(name)
    }

    /// Returns true if the name itself is one of the patterns.
    pub(crate) fn name(&self, name: &str) -> bool {
        self.written.iter().any(|written| written == name)
    }
}

impl TryFrom<Vec<String>> for Names {
    type Error = String;

    fn try_from(written: Vec<String>) -> Result<Names, String> {
        let mut set = GlobSetBuilder::new();
        for pattern in &written {
            let shown = || pattern.escape_debug().to_string();
            set.add(Glob::new(pattern).map_err(|e| format!("`{}` is no pattern: {}", shown(), e.kind()))?);
        }
        let set = set.build().map_err(|e| e.kind().to_string())?;
        Ok(Names { set, written })
    }
}

/// Checks each entry as a whole, and that names are unique. Returns the index of the first wrong entry, and the reason.
///
/// # Errors
/// An entry is not sensible, or has the name of an earlier one.
pub fn check(endpoints: &[Notify]) -> Result<(), (usize, String)> {
    let mut names = BTreeSet::new();
    for (at, endpoint) in endpoints.iter().enumerate() {
        endpoint
            .check()
            .map_err(|why| (at, format!("[[notify]] `{}`: {why}", endpoint.name.escape_debug())))?;
        if !names.insert(&endpoint.name) {
            return Err((at, format!("two [[notify]] are called `{}`", endpoint.name)));
        }
    }
    Ok(())
}

impl Notify {
    fn check(&self) -> Result<(), String> {
        self.key_source()?;
        let count = |said: &[bool]| said.iter().filter(|said| **said).count();
        let is_name = (1..=64).contains(&self.name.len())
            && self.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b));
        let wrong = match () {
            () if !is_name => "`name` has 1 to 64 of a-z, 0-9, - and _",
            () if count(&[self.url.is_some(), self.url_env.is_some(), self.url_file.is_some()]) != 1 => {
                "say one of `url`, `url_env` and `url_file`"
            }
            () if self.timeout() < Duration::from_secs(1) || self.timeout() > Duration::from_secs(60) => {
                "`timeout` is 1s to 60s"
            }
            () => return Ok(()),
        };
        Err(wrong.to_owned())
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(10))
    }

    pub(crate) fn give_up(&self) -> Duration {
        self.give_up.unwrap_or(Duration::from_secs(24 * 60 * 60))
    }

    /// Reads its URL.
    pub(crate) fn url(&self) -> Result<Zeroizing<String>, String> {
        match Secret::of("url", self.url_env.as_ref(), self.url_file.as_ref())? {
            Some(secret) => secret.read_now(),
            None => Ok(Zeroizing::new(self.url.clone().unwrap_or_default())),
        }
    }

    fn key_source(&self) -> Result<Option<Secret>, String> {
        Secret::of("key", self.key_env.as_ref(), self.key_file.as_ref())
    }

    /// Reads the key that its messages are signed with.
    pub(crate) fn key(&self) -> Result<Option<Zeroizing<String>>, String> {
        match self.key_source()?.map(|secret| secret.read_now()).transpose()? {
            Some(key) if key.len() < MIN_KEY => Err(format!("the key has less than {MIN_KEY} bytes")),
            key => Ok(key),
        }
    }
}

fn low() -> Severity {
    Severity::Low
}

fn all() -> Names {
    names(&["*"])
}

fn drift() -> Names {
    names(&EVENTS)
}

/// Compiles patterns that are known to be valid.
fn names(written: &[&str]) -> Names {
    let written: Vec<String> = written.iter().map(|&name| name.to_owned()).collect();
    Names::try_from(written).unwrap_or(Names { set: GlobSet::empty(), written: Vec::new() })
}
