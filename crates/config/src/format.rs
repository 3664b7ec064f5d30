//! The formats a document can be written in, and telling them apart.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// What a document is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JSON, RFC 8259.
    Json,
    /// YAML 1.2 with merge keys.
    Yaml,
    /// TOML 1.0 and 1.1.
    Toml,
    /// INI: sections in brackets, `key = value`.
    Ini,
    /// `.env`: `NAME=value` as shells and Docker read it, without substitution.
    Env,
    /// Java properties.
    Properties,
    /// Anything else, compared line by line.
    Text,
}

impl Format {
    /// The word used in JSON and options.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Yaml => "yaml",
            Format::Toml => "toml",
            Format::Ini => "ini",
            Format::Env => "env",
            Format::Properties => "properties",
            Format::Text => "text",
        }
    }

    /// The format that a file's name tells or, without a telling name, that its first characters tell.
    ///
    /// Content alone says no more than JSON: too much text reads as YAML or INI without being meant as such.
    pub fn detect(file_name: Option<&str>, content: &[u8]) -> Option<Format> {
        file_name.and_then(Format::of_name).or_else(|| Format::of_content(content))
    }

    fn of_name(file_name: &str) -> Option<Format> {
        let name = file_name.rsplit(['/', '\\']).next()?.to_ascii_lowercase();
        if name == ".env" || name.starts_with(".env.") {
            return Some(Format::Env);
        }
        match name.rsplit_once('.')?.1 {
            "json" => Some(Format::Json),
            "yaml" | "yml" => Some(Format::Yaml),
            "toml" => Some(Format::Toml),
            "ini" => Some(Format::Ini),
            "env" => Some(Format::Env),
            "properties" => Some(Format::Properties),
            "txt" | "text" | "rsc" | "conf" | "cfg" => Some(Format::Text),
            _ => None,
        }
    }

    fn of_content(content: &[u8]) -> Option<Format> {
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content).trim_ascii_start();
        let opens = |bracket: u8, next: &[u8]| {
            let rest = content.strip_prefix(&[bracket]).map(<[u8]>::trim_ascii_start);
            rest.and_then(<[u8]>::first).is_some_and(|first| next.contains(first))
        };
        if opens(b'{', b"\"}") || opens(b'[', b"[{\"]-0123456789") {
            return Some(Format::Json);
        }
        (content.starts_with(b"---\n") || content.starts_with(b"---\r\n") || content.starts_with(b"%YAML"))
            .then_some(Format::Yaml)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let all = [
            Format::Json,
            Format::Yaml,
            Format::Toml,
            Format::Ini,
            Format::Env,
            Format::Properties,
            Format::Text,
        ];
        match name {
            "yml" => Ok(Format::Yaml),
            _ => all
                .into_iter()
                .find(|format| format.as_str() == name)
                .ok_or_else(|| Error::UnknownFormat { name: repeatable(name) }),
        }
    }
}

/// What was asked for, if it looks like the name of a format: errors are kept, and it may be anything.
fn repeatable(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let fine = (1..=16).contains(&name.len()) && name.bytes().all(plain);
    if fine { format!("{name:?}") } else { "what was asked for".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_more_than_content() {
        for (name, content, format) in [
            (Some("values.yaml"), "{}", Some(Format::Yaml)),
            (Some("deploy/.env.production"), "", Some(Format::Env)),
            (Some("C:\\conf\\APP.INI"), "", Some(Format::Ini)),
            (Some("router.rsc"), "", Some(Format::Text)),
            (Some("noextension"), " {\"a\": 1}", Some(Format::Json)),
            (None, "[1, 2]", Some(Format::Json)),
            (None, "[section]\na = 1", None),
            (None, "---\na: 1", Some(Format::Yaml)),
            (None, "hello", None),
        ] {
            assert_eq!(Format::detect(name, content.as_bytes()), format, "{name:?} {content:?}");
        }
    }

    #[test]
    fn names_round_trip() {
        assert_eq!("properties".parse::<Format>().unwrap().to_string(), "properties");
        assert_eq!("xml".parse::<Format>().unwrap_err().code(), "unknown-format");
        let message = |name: &str| name.parse::<Format>().unwrap_err().to_string();
        assert!(message("hocon-2").starts_with("\"hocon-2\" is not a format"));
        for name in ["hunter2 ", "Hunter2", "hunter2-hunter2-x", "p=hunter2"] {
            assert!(message(name).starts_with("what was asked for is not a format"), "{name}");
        }
    }
}
