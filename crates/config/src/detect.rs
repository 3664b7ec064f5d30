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
        let path = plain(&path);
        let name = path.rsplit('/').next()?;
        if let Some(format) = of_whole_name(name, path, content) {
            return Some(format);
        }
        let ending = name.rsplit_once('.')?.1;
        let begins = content.trim_ascii_start();
        match ending {
            "json" | "jsonc" | "hujson" | "code-workspace" | "code-snippets" => {
                let is_commented = ending != "json" || is_commented_json(name, path);
                // A comment in front is no mistake either.
                let comment = begins.starts_with(b"//") || begins.starts_with(b"/*");
                Some(if is_commented || comment { Format::Jsonc } else { Format::Json })
            }
            "sublime-settings" | "sublime-project" | "sublime-keymap" | "sublime-build" => {
                Some(Format::Jsonc)
            }
            "tfstate" | "webmanifest" | "geojson" | "avsc" | "ipynb" | "har" | "jsonld" => Some(Format::Json),
            "yaml" | "yml" | "cff" => Some(Format::Yaml),
            "toml" => Some(Format::Toml),
            "ini" | "cnf" | "desktop" | "gitconfig" => Some(Format::Ini),
            "repo" if begins.starts_with(b"[") || begins.starts_with(b"#") => Some(Format::Ini),
            "env" => Some(Format::Env),
            "properties" => Some(Format::Properties),
            "hcl" | "tf" | "tfvars" | "nomad" | "tofu" | "tfbackend" => Some(Format::Hcl),
            "xml" | "csproj" | "vbproj" | "fsproj" | "plist" | "xsd" | "xsl" | "xslt" | "wsdl" | "resx"
            | "nuspec" | "xaml" | "props" | "targets" | "svg" | "iml" | "mobileconfig" => {
                // Properties of MSBuild, and others of that name.
                let is_xml = begins.starts_with(b"<") || !matches!(ending, "props" | "targets");
                Some(if is_xml { Format::Xml } else { Format::Text })
            }
            "config" if is_xml(begins) => Some(Format::Xml),
            "rsc" => Some(Format::Routeros),
            "nginx" => Some(Format::Nginx),
            "conf" if name == "nginx.conf" || path.contains("nginx/") => Some(Format::Nginx),
            "conf" if is_drop_in(path) && is_sectioned(content) => Some(Format::Ini),
            _ if is_unit(ending) && is_sectioned(content) => Some(Format::Ini),
            "txt" | "text" | "conf" | "cfg" => {
                Some(Format::of_text(content).filter(|format| format.is_text()).unwrap_or(Format::Text))
            }
            // Text by its name: scripts, templates, lists and what is for people.
            "sh" | "bash" | "zsh" | "j2" | "tpl" | "tmpl" | "gotmpl" | "erb" | "mustache" | "template"
            | "md" | "csv" | "tsv" | "sql" | "rules" | "list" | "ovpn" | "vcl" | "zone" | "acl" | "lua"
            | "py" | "js" | "ts" | "rb" | "pl" | "go" | "rs" | "java" | "log" | "pem" | "crt" | "pub"
            | "lock" => Some(Format::Text),
            _ => None,
        }
    }

    /// Returns true if a name only suggests the format: of a program's own file without an ending that says it.
    pub(crate) fn is_suggested(file_name: Option<&str>, format: Format) -> bool {
        let path = file_name.unwrap_or_default().to_ascii_lowercase();
        format == Format::Ini && !plain(&path).ends_with(".ini")
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

/// Returns the name of a file with up to two folders above it: some files are known by theirs, as `.vscode/settings.json` and
/// `.kube/config`.
pub fn name_of(file: &std::path::Path) -> Option<String> {
    file.file_name()?;
    let steps: Vec<_> = file
        .components()
        .filter_map(|step| match step {
            std::path::Component::Normal(step) => Some(step.to_string_lossy()),
            _ => None,
        })
        .collect();
    Some(steps.get(steps.len().saturating_sub(3)..)?.join("/"))
}

/// Returns a file's name without what says that it is a copy, an example or a default: `app.yaml.bak`, `.env.example`.
pub(crate) fn plain(path: &str) -> &str {
    const COPIES: [&str; 18] = [
        ".bak",
        ".backup",
        ".orig",
        ".old",
        ".new",
        ".save",
        ".dist",
        ".sample",
        ".example",
        ".default",
        ".disabled",
        ".rpmnew",
        ".rpmsave",
        ".rpmorig",
        ".dpkg-dist",
        ".dpkg-old",
        ".dpkg-new",
        "~",
    ];
    let mut path = path;
    while let Some(shorter) = COPIES.iter().find_map(|copy| path.strip_suffix(copy)) {
        if shorter.is_empty() || shorter.ends_with('/') {
            break;
        }
        path = shorter;
    }
    path.strip_suffix("-production").or_else(|| path.strip_suffix("-development")).unwrap_or(path)
}

/// Returns true for the endings of systemd's units, networks and containers.
pub(crate) fn is_unit(ending: &str) -> bool {
    matches!(
        ending,
        "service"
            | "socket"
            | "device"
            | "mount"
            | "automount"
            | "swap"
            | "target"
            | "path"
            | "timer"
            | "slice"
            | "scope"
            | "network"
            | "netdev"
            | "link"
            | "nspawn"
            | "container"
            | "pod"
            | "kube"
            | "volume"
            | "image"
            | "build"
            | "dnssd"
    )
}

/// Returns true for settings of systemd, and for a part of a unit: `app.service.d/override.conf`.
pub(crate) fn is_drop_in(path: &str) -> bool {
    let folder = path.rsplit('/').nth(1).unwrap_or_default();
    let unit = folder.strip_suffix(".d").and_then(|unit| unit.rsplit_once('.'));
    folder == "systemd" || unit.is_some_and(|(_, ending)| is_unit(ending) || ending == "conf")
}

/// Names that say the format as a whole.
fn of_whole_name(name: &str, path: &str, content: &[u8]) -> Option<Format> {
    let json_or_yaml = || match content.trim_ascii_start().first() {
        Some(b'{' | b'/') => Format::Jsonc,
        _ => Format::Yaml,
    };
    Some(match name {
        ".env" | ".flaskenv" | "environment" | "os-release" => Format::Env,
        _ if name.starts_with(".env.") || name.contains(".env.") => Format::Env,
        ".gitconfig" | "gitconfig" | ".gitmodules" | ".lfsconfig" | ".hgrc" | "hgrc" | ".npmrc" | "npmrc"
        | ".pypirc" | ".editorconfig" | ".flake8" | ".coveragerc" | ".pylintrc" | "pylintrc" | ".my.cnf"
        | ".s3cfg" | ".boto" | "setup.cfg" | "ansible.cfg" | ".ansible.cfg" | ".isort.cfg"
        | ".bumpversion.cfg" | "pip.conf" | "smb.conf" | "supervisord.conf" | "krb5.conf" | "kdc.conf"
        | "pacman.conf" | "inventory" => Format::Ini,
        "config" if path.contains(".git/") || path.contains("git/config") => Format::Ini,
        "config" | "credentials" if path.contains(".aws/") => Format::Ini,
        "config" if path.contains(".kube/") => Format::Yaml,
        "kubeconfig" | ".clang-format" | ".clang-tidy" | ".yamllint" | ".gemrc" | ".condarc"
        | "chart.lock" | "pubspec.lock" | "podfile.lock" => Format::Yaml,
        ".prettierrc" | ".eslintrc" | ".stylelintrc" | ".markdownlintrc" => json_or_yaml(),
        ".jshintrc" | ".jscsrc" | ".swcrc" | ".babelrc" | ".hintrc" => Format::Jsonc,
        "pipfile" | "cargo.lock" | "poetry.lock" | "uv.lock" | "pdm.lock" => Format::Toml,
        "config" if path.contains(".cargo/") => Format::Toml,
        "pipfile.lock" | "composer.lock" | "flake.lock" | "bun.lock" | ".arcconfig" | ".watchmanconfig" => {
            Format::Json
        }
        // Settings of a line each, which only their own programs read by fields.
        "sshd_config" | "ssh_config" | ".netrc" | "_netrc" | "netrc" | ".pgpass" | "pgpass" | ".htpasswd"
        | "htpasswd" | "fstab" | "crontab" | "sudoers" | "passwd" | "shadow" | "group" | "exports"
        | "services" | "protocols" | "ethers" | "hostname" | "motd" | "issue" | "profile" | ".profile"
        | ".bashrc" | ".bash_profile" | ".zshrc" | ".vimrc" | ".inputrc" | ".envrc" | ".wgetrc"
        | ".curlrc" | ".gitignore" | ".gitattributes" | ".dockerignore" | ".htaccess" | "htaccess"
        | "caddyfile" | "dockerfile" | "containerfile" | "makefile" | "jenkinsfile" | "vagrantfile"
        | "gemfile" | "procfile" | "brewfile" | "authorized_keys" | "known_hosts" | "chap-secrets"
        | "pap-secrets" | "sasl_passwd" | "aliases" | "iptables" | "interfaces" | "zshrc" | "bashrc"
        | "screenrc" | "tmux.conf" | "readme" | "license" => {
            Format::of_text(content).filter(|format| format.is_text()).unwrap_or(Format::Text)
        }
        "config" if path.contains(".ssh/") => Format::Text,
        "hosts" if is_sectioned(content) => Format::Ini,
        "hosts" => Format::Text,
        _ => return None,
    })
}

/// JSON that is read with comments by the program it is for.
fn is_commented_json(name: &str, path: &str) -> bool {
    const TOOLS: [&str; 15] = [
        "tsconfig",
        "jsconfig",
        "devcontainer",
        "appsettings",
        "tslint",
        "api-extractor",
        "pyrightconfig",
        "biome",
        "deno",
        "turbo",
        "nx",
        ".eslintrc",
        "babel.config",
        "wrangler",
        "typedoc",
    ];
    const NAMES: [&str; 17] = [
        "settings.json",
        "keybindings.json",
        "launch.json",
        "tasks.json",
        "extensions.json",
        "argv.json",
        "mcp.json",
        "language-configuration.json",
        "global.json",
        "host.json",
        "local.settings.json",
        "rush.json",
        ".luarc.json",
        ".markdownlint.json",
        ".babelrc.json",
        ".swcrc.json",
        "cspell.json",
    ];
    TOOLS.iter().any(|tool| name.starts_with(tool))
        || NAMES.contains(&name)
        || [".vscode/", ".devcontainer/", "code/user/"].iter().any(|folder| path.contains(folder))
}

/// Returns true if the first line that is no comment is a section.
fn is_sectioned(content: &[u8]) -> bool {
    let mut lines = content.split(|byte| *byte == b'\n').take(1_000).map(<[u8]>::trim_ascii);
    lines.find(|line| !line.is_empty() && !matches!(line[0], b'#' | b';')).is_some_and(|line| line[0] == b'[')
}

/// Returns true for what begins as an XML document does.
fn is_xml(begins: &[u8]) -> bool {
    begins.starts_with(b"<?xml")
        || begins.starts_with(b"<!--")
        || (begins.first() == Some(&b'<') && begins.get(1).is_some_and(u8::is_ascii_lowercase))
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
