//! The formats a document can be written in.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The format of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JSON, RFC 8259.
    Json,
    /// JSON with comments and trailing commas.
    Jsonc,
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
    /// HCL 2: Terraform, Nomad, Packer.
    Hcl,
    /// XML 1.0.
    Xml,
    /// An export of a RouterOS device: text with a section for each menu.
    Routeros,
    /// The configuration of nginx and what is written like it: text with a section for each block.
    Nginx,
    /// Anything else, compared line by line.
    Text,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 12] = [
        Format::Json,
        Format::Jsonc,
        Format::Yaml,
        Format::Toml,
        Format::Ini,
        Format::Env,
        Format::Properties,
        Format::Hcl,
        Format::Xml,
        Format::Routeros,
        Format::Nginx,
        Format::Text,
    ];

    /// The names of all formats, for messages.
    pub const NAMES: &str =
        "json, jsonc, yaml, toml, ini, env, properties, hcl, xml, routeros, nginx or text";

    /// The word used in JSON and options.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Jsonc => "jsonc",
            Format::Yaml => "yaml",
            Format::Toml => "toml",
            Format::Ini => "ini",
            Format::Env => "env",
            Format::Properties => "properties",
            Format::Hcl => "hcl",
            Format::Xml => "xml",
            Format::Routeros => "routeros",
            Format::Nginx => "nginx",
            Format::Text => "text",
        }
    }

    /// Returns true if a document of this format is one field, `text`, which is compared line by line.
    pub fn is_text(self) -> bool {
        matches!(self, Format::Routeros | Format::Nginx | Format::Text)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
