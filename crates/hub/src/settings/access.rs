//! `[access]` of `hub.toml`.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// The protection of a hub, beyond its tokens. Unknown keys are errors.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessSettings {
    /// Require tokens even before there are any. The first one is then made with `rig token new --data`.
    pub require_tokens: bool,
    /// Serve `/metrics` to clients without a token.
    pub open_metrics: bool,
    /// Names by which clients reach the hub, without a port, beside `localhost` and IP addresses.
    #[serde(deserialize_with = "names")]
    pub hosts: Vec<String>,
    /// Origins (`https://dash.example`) whose scripts may read responses and send requests.
    #[serde(deserialize_with = "origins")]
    pub cors_origins: Vec<String>,
    /// Maximum requests a second with one token, or from one address without a token; 0: no limit. Default: 0 if only this
    /// machine can reach the hub, else 2,000.
    pub requests_per_second: Option<u32>,
    /// The number of requests that may come at once before that counts; unless it is said, twice as many.
    pub burst: Option<u32>,
}

fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(from)?;
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    match names.iter().all(|name| !name.is_empty() && name.bytes().all(fine)) {
        true => Ok(names),
        false => Err(D::Error::custom("a host is a name without scheme and port: \"rig.example\"")),
    }
}

fn origins<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let origins = Vec::<String>::deserialize(from)?;
    let fine = |origin: &String| {
        let host =
            origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or_default();
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
    };
    match origins.iter().all(fine) {
        true => Ok(origins),
        false => {
            Err(D::Error::custom("an origin is a scheme and a host, all of it: \"https://dash.example\""))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_never_match_is_an_error() {
        let read = |text: &str| toml::from_str::<AccessSettings>(text);
        read("hosts = [\"rig.example\"]\ncors_origins = [\"https://a.example:8443\", \"http://[::1]:1\"]")
            .unwrap();
        for bad in [
            "hosts = [\"https://rig.example\"]",
            "hosts = [\"rig.example:7070\"]",
            "cors_origins = [\"*\"]",
            "cors_origins = [\"https://*.example\"]",
            "cors_origins = [\"https://dash.example/\"]",
            "cors_origins = [\"dash.example\"]",
            "cors_origin = []",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
