//! The dialects of INI: what a repeated key, a key without a value, a quote or a backslash mean to the program that reads the file.
//!
//! docs/formats.md has the table for people. A dialect is known by the file's name or, of a name that says only INI, by its sections.

/// The rules of one reader.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// The reader, as notes name it.
    pub reader: &'static str,
    /// The characters between a key and its value.
    pub separators: &'static [char],
    /// The characters that begin a comment at the beginning of a line.
    pub comments: &'static [char],
    /// The characters that begin a comment behind a value, outside quotes.
    pub inline: Inline,
    /// The sign that a value goes on in the next line.
    pub goes_on: GoesOn,
    /// The meaning of quotes around a value.
    pub quotes: Quotes,
    /// The meaning of a key that stands several times in a section.
    pub repeated: Repeated,
    /// Beginnings of keys whose values are a list where others are taken once.
    pub accumulated: &'static [&'static str],
    /// The meaning of a key without a value.
    pub bare: Bare,
    /// The sections that are a list where they stand several times; others are one.
    pub lists: &'static [&'static str],
    /// Words at the beginning of a line that is an instruction to the reader, such as to include a file.
    pub instructions: &'static [&'static str],
    /// The kind of a section's lines.
    pub shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inline {
    None,
    Anywhere(&'static [char]),
    AfterBlank(&'static [char]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GoesOn {
    /// Never.
    No,
    /// In lines that are indented deeper than the key.
    Deeper,
    /// As [`GoesOn::Deeper`], also behind blank lines, and whatever these lines look like.
    DeeperThroughout,
    /// Behind a backslash at the end, which goes.
    Backslash,
    /// Behind a backslash at the end, which is a blank; comments in between are left out.
    BackslashBlank,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quotes {
    Kept,
    /// A pair around the value goes.
    Around,
    /// Quoted and bare pieces, with escapes.
    Pieces,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeated {
    List,
    /// A list, which an empty value begins anew.
    ListFromEmpty,
    Last,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bare {
    Null,
    True,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Fields,
    /// As git: `[section "subsection"]`, names of sections and keys in any case.
    Git,
    /// As Kerberos: `{` and `}` around more fields.
    Braces,
    /// As Ansible: hosts with variables, in sections that are groups.
    Hosts,
}

/// Sections of systemd-networkd that are one object each time, and those of WireGuard.
const OBJECTS: &[&str] = &[
    "Address",
    "BridgeFDB",
    "BridgeMDB",
    "BridgeVLAN",
    "DHCPServerStaticLease",
    "IPv6AddressLabel",
    "IPv6PREF64Prefix",
    "IPv6Prefix",
    "IPv6RoutePrefix",
    "L2TPSession",
    "MACsecReceiveAssociation",
    "MACsecReceiveChannel",
    "MACsecTransmitAssociation",
    "Neighbor",
    "NextHop",
    "Peer",
    "Route",
    "RoutingPolicyRule",
    "WireGuardPeer",
];

/// A document of which nothing more is known.
const ANY: Dialect = Dialect {
    reader: "systemd, git and most others",
    separators: &['=', ':'],
    comments: &[';', '#'],
    inline: Inline::None,
    goes_on: GoesOn::Deeper,
    quotes: Quotes::Around,
    repeated: Repeated::List,
    accumulated: &[],
    bare: Bare::Null,
    lists: OBJECTS,
    instructions: &["!include", "!includedir", "%include", "%unset", ".include"],
    shape: Shape::Fields,
};

const PYTHON: Dialect = Dialect {
    reader: "Python's configparser",
    goes_on: GoesOn::DeeperThroughout,
    quotes: Quotes::Kept,
    repeated: Repeated::Refused,
    instructions: &[],
    ..ANY
};

const ANSIBLE: Dialect = Dialect { reader: "Ansible", inline: Inline::AfterBlank(&[';']), ..PYTHON };

const SUPERVISOR: Dialect = Dialect {
    reader: "supervisord",
    inline: Inline::AfterBlank(&[';', '#']),
    repeated: Repeated::Last,
    ..PYTHON
};

const MERCURIAL: Dialect =
    Dialect { reader: "Mercurial", separators: &['='], repeated: Repeated::Last, ..ANY };

const SYSTEMD: Dialect = Dialect {
    reader: "systemd",
    separators: &['='],
    goes_on: GoesOn::BackslashBlank,
    quotes: Quotes::Kept,
    repeated: Repeated::ListFromEmpty,
    ..ANY
};

const GIT: Dialect = Dialect {
    reader: "git",
    separators: &['='],
    inline: Inline::Anywhere(&[';', '#']),
    goes_on: GoesOn::Backslash,
    quotes: Quotes::Pieces,
    bare: Bare::True,
    lists: &[],
    instructions: &[],
    shape: Shape::Git,
    ..ANY
};

const MYSQL: Dialect = Dialect {
    reader: "MySQL",
    separators: &['='],
    inline: Inline::Anywhere(&['#']),
    goes_on: GoesOn::No,
    repeated: Repeated::Last,
    accumulated: &[
        "replicate",
        "binlog-do",
        "binlog_do",
        "binlog-ignore",
        "binlog_ignore",
        "plugin-load-add",
        "plugin_load_add",
        "early-plugin-load",
        "early_plugin_load",
    ],
    ..ANY
};

const OPENSSL: Dialect = Dialect { reader: "OpenSSL", goes_on: GoesOn::Backslash, accumulated: &[], ..MYSQL };

const SAMBA: Dialect = Dialect {
    reader: "Samba",
    separators: &['='],
    goes_on: GoesOn::Backslash,
    quotes: Quotes::Kept,
    repeated: Repeated::Last,
    ..ANY
};

const PHP: Dialect = Dialect {
    reader: "PHP",
    separators: &['='],
    inline: Inline::Anywhere(&[';']),
    goes_on: GoesOn::No,
    repeated: Repeated::Last,
    accumulated: &["extension", "zend_extension"],
    ..ANY
};

const NPM: Dialect = Dialect {
    reader: "npm",
    separators: &['='],
    goes_on: GoesOn::No,
    repeated: Repeated::Last,
    bare: Bare::True,
    ..ANY
};

const WIREGUARD: Dialect = Dialect {
    reader: "WireGuard",
    separators: &['='],
    inline: Inline::Anywhere(&['#']),
    goes_on: GoesOn::No,
    quotes: Quotes::Kept,
    ..ANY
};

const EDITORCONFIG: Dialect = Dialect {
    reader: "EditorConfig",
    goes_on: GoesOn::No,
    repeated: Repeated::Last,
    quotes: Quotes::Kept,
    ..ANY
};

const PACMAN: Dialect =
    Dialect { reader: "pacman", separators: &['='], goes_on: GoesOn::No, quotes: Quotes::Kept, ..ANY };

const DESKTOP: Dialect =
    Dialect { reader: "desktops", separators: &['='], goes_on: GoesOn::No, quotes: Quotes::Kept, ..ANY };

const KERBEROS: Dialect = Dialect {
    reader: "Kerberos",
    separators: &['='],
    goes_on: GoesOn::No,
    instructions: &["include", "includedir", "module"],
    shape: Shape::Braces,
    ..ANY
};

const INVENTORY: Dialect = Dialect {
    reader: "Ansible",
    separators: &['='],
    comments: &['#', ';'],
    goes_on: GoesOn::No,
    repeated: Repeated::Last,
    shape: Shape::Hosts,
    ..ANY
};

impl Dialect {
    /// Returns the dialect of a document: by its name, or else by its sections.
    pub fn of(name: Option<&str>, text: &str) -> &'static Dialect {
        let path = name.unwrap_or_default().to_ascii_lowercase().replace('\\', "/");
        let path = crate::detect::plain(&path);
        let name = path.rsplit('/').next().unwrap_or_default();
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        match name {
            ".gitconfig" | "gitconfig" | ".gitmodules" | ".lfsconfig" => &GIT,
            "config" if path.contains(".git/") || path.contains("git/config") => &GIT,
            "setup.cfg" | "tox.ini" | "pytest.ini" | "mypy.ini" | ".mypy.ini" | ".coveragerc" | ".flake8"
            | ".pylintrc" | "pylintrc" | ".pypirc" | "pip.conf" | "pip.ini" | "alembic.ini"
            | ".isort.cfg" | ".bumpversion.cfg" => &PYTHON,
            "ansible.cfg" | ".ansible.cfg" => &ANSIBLE,
            "supervisord.conf" | "supervisord.ini" => &SUPERVISOR,
            ".hgrc" | "hgrc" | "mercurial.ini" => &MERCURIAL,
            "my.ini" | "my.cnf" | ".my.cnf" | ".mylogin.cnf" => &MYSQL,
            "smb.conf" => &SAMBA,
            "php.ini" | ".user.ini" => &PHP,
            "krb5.conf" | "kdc.conf" => &KERBEROS,
            ".npmrc" | "npmrc" => &NPM,
            ".editorconfig" => &EDITORCONFIG,
            "pacman.conf" => &PACMAN,
            _ if name.starts_with("openssl") => &OPENSSL,
            _ if crate::detect::is_unit(ending) || crate::detect::is_drop_in(path) => &SYSTEMD,
            _ if ending == "desktop" => &DESKTOP,
            _ => Dialect::of_sections(name, ending, text),
        }
    }

    fn of_sections(name: &str, ending: &str, text: &str) -> &'static Dialect {
        const MOST: usize = 64 << 10;
        let mut end = text.len().min(MOST);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let lines = || text[..end].lines().map(str::trim);
        let has = |sections: &[&str]| {
            lines().any(|line| {
                let section = line.strip_prefix('[').and_then(|rest| rest.split(']').next());
                section.is_some_and(|section| sections.contains(&section.trim()))
            })
        };
        let begins = |words: &[&str]| lines().any(|line| words.iter().any(|word| line.starts_with(word)));
        let is_host = |line: &str| line.split_whitespace().skip(1).any(|word| word.starts_with("ansible_"));
        let groups = |line: &str| {
            line.starts_with('[') && [":children]", ":vars]"].iter().any(|end| line.contains(end))
        };
        if has(&["libdefaults", "realms", "kdcdefaults"]) {
            &KERBEROS
        } else if has(&["Interface"]) && (has(&["Peer"]) || begins(&["PrivateKey", "ListenPort"])) {
            &WIREGUARD
        } else if has(&["Unit", "NetDev"])
            || (has(&["Service"]) && (has(&["Install"]) || begins(&["ExecStart"])))
            || (has(&["Match"]) && has(&["Network", "Link"]))
        {
            &SYSTEMD
        } else if lines().any(|line| line.starts_with('[') && line.contains(" \"") && line.contains("\"]")) {
            &GIT
        } else if has(&["mysqld", "mysqldump", "client-server", "mariadb"]) {
            &MYSQL
        } else if has(&["PHP"]) {
            &PHP
        } else if has(&["global"])
            && begins(&[
                "idmap config",
                "workgroup",
                "server string",
                "netbios name",
                "passdb backend",
                "map to guest",
            ])
        {
            &SAMBA
        } else if name.starts_with("inventory")
            || (name.starts_with("hosts") && !name.contains("allow"))
            || lines().any(|line| groups(line) || (!line.starts_with(['#', ';']) && is_host(line)))
        {
            &INVENTORY
        } else if ending == "cnf" {
            match has(&["req", "ca", "CA_default", "v3_ca", "v3_req", "req_distinguished_name"])
                || begins(&["[ "])
            {
                true => &OPENSSL,
                false => &MYSQL,
            }
        } else {
            &ANY
        }
    }
}
