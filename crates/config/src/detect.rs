//! Which format a document is in, by what it is called, by its content, or by what somebody says.

use std::str::FromStr;

use crate::{Error, Format, routeros};

impl Format {
    /// Detects the format by the file's name or, if the name says nothing, by the content.
    ///
    /// Content alone says little: too much text reads as YAML or INI without being meant as such.
    pub fn detect(file_name: Option<&str>, content: &[u8]) -> Option<Format> {
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        file_name.and_then(|name| Format::of_name(name, content)).or_else(|| Format::of_content(content))
    }

    fn of_name(file_name: &str, content: &[u8]) -> Option<Format> {
        let path = file_name.to_ascii_lowercase().replace('\\', "/");
        let name = path.rsplit('/').next()?;
        if name == ".env" || name.starts_with(".env.") {
            return Some(Format::Env);
        }
        match name.rsplit_once('.')?.1 {
            "json" => {
                // These are read with comments by whoever reads them, and a comment in front is no mistake either.
                let commented =
                    ["tsconfig", "jsconfig", "devcontainer"].iter().any(|tool| name.starts_with(tool))
                        || path.contains(".vscode/");
                let begins = content.trim_ascii_start();
                let comment = begins.starts_with(b"//") || begins.starts_with(b"/*");
                Some(if commented || comment { Format::Jsonc } else { Format::Json })
            }
            "jsonc" | "hujson" | "code-workspace" => Some(Format::Jsonc),
            "yaml" | "yml" => Some(Format::Yaml),
            "toml" => Some(Format::Toml),
            "ini" => Some(Format::Ini),
            "env" => Some(Format::Env),
            "properties" => Some(Format::Properties),
            "hcl" | "tf" | "tfvars" | "nomad" => Some(Format::Hcl),
            "xml" | "csproj" | "plist" => Some(Format::Xml),
            "rsc" => Some(Format::Routeros),
            "nginx" => Some(Format::Nginx),
            "conf" if name == "nginx.conf" || path.contains("nginx/") => Some(Format::Nginx),
            "txt" | "text" | "conf" | "cfg" => {
                Some(Format::of_text(content).filter(|format| format.is_text()).unwrap_or(Format::Text))
            }
            _ => None,
        }
    }

    fn of_content(content: &[u8]) -> Option<Format> {
        let trimmed = content.trim_ascii_start();
        let opens = |bracket: u8, next: &[u8]| {
            let rest = trimmed.strip_prefix(&[bracket]).map(<[u8]>::trim_ascii_start);
            rest.and_then(<[u8]>::first).is_some_and(|first| next.contains(first))
        };
        if opens(b'{', b"\"}") || opens(b'[', b"[{\"]-0123456789") {
            return Some(Format::Json);
        }
        if opens(b'{', b"/") || opens(b'[', b"/") {
            return Some(Format::Jsonc);
        }
        let yaml = ["---\n", "---\r\n", "%YAML"].iter().any(|begin| trimmed.starts_with(begin.as_bytes()));
        if yaml {
            return Some(Format::Yaml);
        }
        if trimmed.starts_with(b"<?xml") {
            return Some(Format::Xml);
        }
        Format::of_text(content)
    }

    /// Recognises a text by its lines. It reads only the beginning.
    fn of_text(content: &[u8]) -> Option<Format> {
        const BEGINNING: usize = 64 << 10;
        let text = String::from_utf8_lossy(&content[..content.len().min(BEGINNING)]);
        if routeros::is_routeros(&text) {
            return Some(Format::Routeros);
        }
        let mut blocks = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let is_nginx = blocks
            .any(|words| matches!(words[..], ["server" | "http" | "events" | "stream", "{"]))
            && text.lines().any(|line| line.trim_end().ends_with(';'));
        is_nginx.then_some(Format::Nginx)
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "yml" => Ok(Format::Yaml),
            _ => Format::ALL
                .into_iter()
                .find(|format| format.as_str() == name)
                .ok_or_else(|| Error::UnknownFormat { name: repeatable(name) }),
        }
    }
}

/// Returns the name in quotes if it looks like the name of a format. Errors are logged, and the name may be
/// anything, even a secret.
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
            (Some("router.rsc"), "", Some(Format::Routeros)),
            (Some("router.txt"), "/ip dns\nset servers=1.1.1.1\n", Some(Format::Routeros)),
            (Some("switch.cfg"), "hostname a\n", Some(Format::Text)),
            (Some("a.conf"), "{\"a\": 1}", Some(Format::Text)),
            (Some("etc/nginx/mime.conf"), "", Some(Format::Nginx)),
            (Some("site.conf"), "server {\n  listen 80;\n}\n", Some(Format::Nginx)),
            (Some("tsconfig.json"), "{}", Some(Format::Jsonc)),
            (Some("a.json"), "// c\n{}", Some(Format::Jsonc)),
            (Some("main.tf"), "", Some(Format::Hcl)),
            (Some("main.tf.json"), "", Some(Format::Json)),
            (Some("pom.xml"), "", Some(Format::Xml)),
            (None, "<?xml version='1.0'?><a/>", Some(Format::Xml)),
            (None, "{ // c\n}", Some(Format::Jsonc)),
            (None, "# 2024-01-15 10:30:00 by RouterOS 7\n", Some(Format::Routeros)),
            (None, "# c\nhttp {\n a b;\n}\n", Some(Format::Nginx)),
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
        for format in Format::ALL {
            assert_eq!(format.to_string().parse::<Format>(), Ok(format));
            assert_eq!(serde_json::to_value(format).unwrap(), format.as_str());
            assert!(Format::NAMES.contains(format.as_str()));
        }
        assert_eq!("properties".parse::<Format>().unwrap().to_string(), "properties");
        assert_eq!("hocon".parse::<Format>().unwrap_err().code(), "unknown-format");
        let message = |name: &str| name.parse::<Format>().unwrap_err().to_string();
        assert!(message("hocon-2").starts_with("\"hocon-2\" is not a format"));
        for name in ["hunter2 ", "Hunter2", "hunter2-hunter2-x", "p=hunter2"] {
            assert!(message(name).starts_with("what was asked for is not a format"), "{name}");
        }
    }
}
