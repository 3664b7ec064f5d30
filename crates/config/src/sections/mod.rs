//! Texts with sections: which section a line is in, and below which lines it stands.
//!
//! Sections are tracked over the whole text, so a line far below its section's beginning still belongs to it. `shape` finds
//! the syntax of a text, and `outline` its blocks.

mod braces;
mod heads;
mod outline;
mod shape;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use self::braces::Braces;
use crate::Pattern;
use crate::lines::inclusive;

pub(crate) use self::outline::Outline;
pub use crate::routeros::{FIRST_SECTION, is_routeros, sectioned};

/// The syntax of a text's sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// A RouterOS export: a line `/ip firewall filter` opens `ip/firewall/filter`.
    Routeros,
    /// Blocks in braces, as nginx, Junos, dovecot, keepalived and F5 have them: `http > server example.org > location /`.
    Blocks,
    /// Blocks in tags, as Apache has them: `VirtualHost *:443 example.org > Directory /srv`.
    Tags,
    /// FortiOS: `config firewall policy` and `edit 12` are `firewall policy > 12`.
    Fortios,
    /// Commands such as those of Junos, VyOS and PAN-OS: `set interfaces ge-0/0/0 …` is in `interfaces > ge-0/0/0`.
    Set,
    /// `[section]` on a line of its own, with settings below.
    Ini,
    /// Sections that a word at the beginning of a line opens, as HAProxy and ssh have them: `backend web`.
    Keywords,
    /// Lines that stand below one that is indented less, as in Open vSwitch and many other texts: `Bridge br0 > Port eth0`.
    Indented,
    /// The same in a device's configuration such as IOS and FRR: `router bgp 65000 > address-family ipv4`. Lines that stand alone are
    /// grouped by their first word: `snmp-server`.
    Device,
}

impl Syntax {
    /// Returns the syntax of the text's sections, if it has any.
    pub fn of(text: &str) -> Option<Syntax> {
        if is_routeros(text) {
            return Some(Syntax::Routeros);
        }
        shape::syntax(&inclusive(text).collect::<Vec<_>>())
    }

    /// Returns what stands in a name between a section and one in it.
    fn below(self) -> Option<&'static str> {
        match self {
            Syntax::Routeros => Some("/"),
            Syntax::Ini => None,
            _ => Some(" > "),
        }
    }

    /// Returns the noun for a line of such a text.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Syntax::Routeros => "rule",
            Syntax::Blocks | Syntax::Tags | Syntax::Keywords => "directive",
            Syntax::Ini => "setting",
            Syntax::Fortios | Syntax::Set | Syntax::Indented | Syntax::Device => "line",
        }
    }

    /// A section in the words of a summary.
    pub(crate) fn label(self, section: &str) -> String {
        match self {
            Syntax::Routeros => {
                let words: Vec<&str> = section.split('/').collect();
                words[words.len().saturating_sub(2)..].join(" ")
            }
            Syntax::Fortios | Syntax::Set => section.replace(" > ", " "),
            Syntax::Blocks | Syntax::Tags | Syntax::Indented | Syntax::Device => {
                section.rsplit(" > ").next().unwrap_or(section).to_owned()
            }
            Syntax::Ini | Syntax::Keywords => section.to_owned(),
        }
    }

    /// The lines of a text, line ends included, each with the section it stands in.
    pub fn sections(self, text: &str) -> Vec<(Cow<'_, str>, &str)> {
        let outline = Outline::new(self, inclusive(text).collect());
        let section = |(at, line)| (Cow::Owned(outline.section(at).to_owned()), line);
        inclusive(text).enumerate().map(section).collect()
    }
}

/// A text less its sections that a pattern covers, ignoring case, with those below them; and the names of those. `None` where
/// the text has no sections.
pub fn without<'a>(text: &'a str, patterns: &[Pattern]) -> Option<(String, BTreeSet<Cow<'a, str>>)> {
    let syntax = Syntax::of(text)?;
    let covered = |name: &str| {
        let above = syntax.below().into_iter().flat_map(|below| name.match_indices(below)).map(|(at, _)| at);
        above
            .chain([name.len()])
            .any(|end| patterns.iter().any(|pattern| pattern.covers_section(&name[..end], true)))
    };
    let mut known = BTreeMap::new();
    let mut kept = String::with_capacity(text.len());
    for (section, line) in syntax.sections(text) {
        let is_left_out = match known.get(&section) {
            Some(is_left_out) => *is_left_out,
            None => *known.entry(section.clone()).or_insert(covered(&section)),
        };
        if !is_left_out {
            kept.push_str(line);
        }
    }
    let gone =
        known.into_iter().filter_map(|(section, is_left_out)| is_left_out.then_some(section)).collect();
    Some((kept, gone))
}

impl<'a> Outline<'a> {
    /// Reads the blocks of a text by a syntax.
    pub(crate) fn new(syntax: Syntax, lines: Vec<&'a str>) -> Outline<'a> {
        let of_line = Vec::with_capacity(lines.len());
        let mut outline = Outline { syntax, lines, blocks: Vec::new(), of_line };
        match syntax {
            Syntax::Routeros => outline.menus(),
            Syntax::Blocks => drop(Braces::read(&mut outline)),
            Syntax::Tags => outline.tags(),
            Syntax::Fortios => outline.fortios(),
            Syntax::Set => outline.commands(),
            Syntax::Ini => outline.headers(|line| heads::header(line).map(Cow::Borrowed)),
            Syntax::Keywords => outline.headers(heads::keyword),
            Syntax::Indented => outline.indented(false),
            Syntax::Device => outline.indented(true),
        }
        outline.name();
        outline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_brackets_are_sections_too() {
        let nginx = "user www;\nhttp {\n  server {\n    listen 80;\n    server_name a.org www.a.org;\n    location / {\n      return 200;\n    }\n  }\n}\n";
        assert_eq!(Syntax::of(nginx), Some(Syntax::Blocks));
        let sections: Vec<_> =
            Syntax::Blocks.sections(nginx).into_iter().map(|(section, _)| section).collect();
        let (server, location) = ("http > server a.org", "http > server a.org > location /");
        assert_eq!(
            sections,
            ["main", "http", server, server, server, location, location, location, server, "http"]
        );
        let ini = "a=1\n[db]\nhost=x\n[ web ]\nport=1\n";
        assert_eq!(Syntax::of(ini), Some(Syntax::Ini));
        let sections: Vec<_> = Syntax::Ini.sections(ini).into_iter().map(|(section, _)| section).collect();
        assert_eq!(sections, ["global", "db", "db", "web", "web"]);
        for text in ["a\nb\n", "{\n  \"a\": 1\n}\n", "if (x) {\n", "[1, 2]\na=1\n"] {
            assert_eq!(Syntax::of(text), None, "{text}");
        }
        // More is closed than was opened: still a section for each line.
        assert_eq!(Syntax::Blocks.sections("}\n}\na {\n").len(), 3);
    }

    #[test]
    fn sections_are_left_out_with_what_is_below_them() {
        let left = |text: &str, pattern: &str| {
            let (kept, gone) = without(text, &[pattern.parse().unwrap()]).unwrap();
            (kept, gone.into_iter().map(Cow::into_owned).collect::<Vec<_>>())
        };
        let export = "/ip dns\nset a=1\n/ip firewall filter\nadd b\n/user\nadd c\n";
        let dns = "/ip dns\nset a=1\n/user\nadd c\n".to_owned();
        assert_eq!(left(export, "IP/firewall"), (dns.clone(), vec!["ip/firewall/filter".to_owned()]));
        assert_eq!(left(export, "*/filter").0, dns);
        assert_eq!(left(export, "dns"), (export.to_owned(), vec![]));
        let blocks = "user www;\nhttp {\n  server {\n    server_name a.org;\n    location / {\n      return 200;\n    }\n  }\n}\n";
        assert_eq!(left(blocks, "http > server a.org").0, "user www;\nhttp {\n}\n");
        assert_eq!(left("[a]\nx=1\n[b]\ny=2\n", "b").0, "[a]\nx=1\n");
        assert_eq!(without("no sections\n", &["**".parse().unwrap()]), None);
    }

    /// The text as its sections have it, a line for each change of section; and the heading of a line far below its parents.
    fn named(text: &str) -> Vec<String> {
        let syntax = Syntax::of(text).unwrap_or_else(|| panic!("no sections: {text}"));
        let mut names: Vec<String> =
            syntax.sections(text).into_iter().map(|(section, _)| section.into_owned()).collect();
        names.dedup();
        names
    }

    #[test]
    fn every_family_has_sections() {
        for (text, syntax, names) in [
            (
                "version 15.2\nhostname sw1\n!\nip route 0.0.0.0 0.0.0.0 10.0.0.1\ninterface Gi0/1\n description a\n no cdp enable\n!\n\
                 router bgp 65000\n address-family ipv4\n  network 10.0.0.0\n exit-address-family\n!\nno ip http server\nend\n",
                Syntax::Device,
                &[
                    "version",
                    "hostname",
                    "ip > route",
                    "interface Gi0/1",
                    "router bgp 65000",
                    "router bgp 65000 > address-family ipv4",
                    "router bgp 65000",
                    "ip > http",
                ][..],
            ),
            (
                "hostname a\n!\nbanner motd ^CC\n!!! out !!!\n   deep\nYour words ^ here\n^C\n!\nbanner login # one line #\nline vty 0 4\n login\n",
                Syntax::Device,
                &["hostname", "banner motd", "banner login", "line vty 0 4"],
            ),
            (
                "!! IOS XR Configuration 7.3.2\nrouter static\n address-family ipv4 unicast\n  0.0.0.0/0 10.0.0.1\n !\n!\nroute-policy A\n  pass\nend-policy\n!\n",
                Syntax::Device,
                &[
                    "main",
                    "router static",
                    "router static > address-family ipv4 unicast",
                    "router static",
                    "route-policy A",
                ],
            ),
            (
                "frr version 8.4\n!\nrouter ospf\n ospf router-id 1.1.1.1\nexit\n!\nline vty\n exec-timeout 5\nexit\n!\n",
                Syntax::Device,
                &["frr", "router ospf", "line vty"],
            ),
            (
                "b1a2\n    Bridge br0\n        Port eth0\n            Interface eth0\n    ovs_version: \"2.17\"\n",
                Syntax::Indented,
                &["b1a2", "b1a2 > Bridge br0", "b1a2 > Bridge br0 > Port eth0", "b1a2"],
            ),
            (
                "system {\n    host-name r1;\n}\ninterfaces {\n    inactive: ge-0/0/0 {\n        unit 0 {\n            family inet {\n                address 10.0.0.1/24;\n            }\n        }\n    }\n}\n",
                Syntax::Blocks,
                &[
                    "system",
                    "interfaces",
                    "interfaces > ge-0/0/0",
                    "interfaces > ge-0/0/0 > unit 0",
                    "interfaces > ge-0/0/0 > unit 0 > family inet",
                    "interfaces > ge-0/0/0 > unit 0",
                    "interfaces > ge-0/0/0",
                    "interfaces",
                ],
            ),
            (
                "set system host-name r1\nset interfaces ge-0/0/0 unit 0 family inet\nset interfaces ethernet eth0 address 1.2.3.4/24\ndeactivate interfaces ge-0/0/0 unit 1\n",
                Syntax::Set,
                &[
                    "system > host-name",
                    "interfaces > ge-0/0/0",
                    "interfaces > ethernet > eth0",
                    "interfaces > ge-0/0/0",
                ],
            ),
            (
                "config system global\n    set hostname \"fw\"\nend\nconfig firewall policy\n    edit 12\n        set comments \"a\nend\n\"\n        set nat enable\n    next\nend\n",
                Syntax::Fortios,
                &["system global", "firewall policy", "firewall policy > 12", "firewall policy"],
            ),
            (
                "user www;\nlog_format json escape=json '{'\n  '\"a\":\"$b\"'\n'}';\nhttp\n{\n  server { # one\n    server_name a.org;\n    location ~ ^/x{2}$ { return 200; }\n  }\n}\n",
                Syntax::Blocks,
                &["main", "http", "http > server a.org", "http"],
            ),
            (
                "global\n  daemon\n\ndefaults\n  mode http\nfrontend web\n  bind :80\nbackend app\n  server a 10.0.0.1:80 check\n",
                Syntax::Keywords,
                &["global", "defaults", "frontend web", "backend app"],
            ),
            ("global\ndaemon\nlisten stats\nbind :9000\n", Syntax::Keywords, &["global", "listen stats"]),
            (
                "mail_location = maildir:~/Maildir\nprotocol imap {\n  mail_plugins = quota\n}\nservice auth {\n  unix_listener auth {\n    mode = 0666\n  }\n}\n",
                Syntax::Blocks,
                &[
                    "main",
                    "protocol imap",
                    "service auth",
                    "service auth > unix_listener auth",
                    "service auth",
                ],
            ),
            (
                "vrrp_instance VI_1 {\n    state MASTER\n    virtual_ipaddress {\n        10.0.0.1\n    }\n}\n",
                Syntax::Blocks,
                &["vrrp_instance VI_1", "vrrp_instance VI_1 > virtual_ipaddress", "vrrp_instance VI_1"],
            ),
            (
                "ServerRoot /etc/httpd\n<VirtualHost *:443>\n  ServerName a.org\n  <Directory /srv>\n    Require all granted\n  </Directory>\n</VirtualHost>\nTimeout 60\n",
                Syntax::Tags,
                &[
                    "main",
                    "VirtualHost *:443 a.org",
                    "VirtualHost *:443 a.org > Directory /srv",
                    "VirtualHost *:443 a.org",
                    "main",
                ],
            ),
            (
                "[Unit]\nDescription=a\n[Service]\nExecStart=/bin/a\nEnvironment=A=1\n",
                Syntax::Ini,
                &["Unit", "Service"],
            ),
            (
                "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = x\n",
                Syntax::Ini,
                &["core", "remote \"origin\""],
            ),
            ("[web]\nhost1\nhost2 a=1\n", Syntax::Ini, &["web"]),
            (
                "PermitRootLogin no\nMatch User git\nAllowTcpForwarding no\n",
                Syntax::Keywords,
                &["global", "Match User git"],
            ),
            (
                "auto lo\niface eth0 inet static\n    address 10.0.0.1\n    gateway 10.0.0.254\n# c\niface eth1 inet dhcp\n",
                Syntax::Indented,
                &["main", "iface eth0 inet static", "main"],
            ),
            ("a:\n  b:\n    c: 1\nd: 2\n", Syntax::Indented, &["a", "a > b", "main"]),
        ] {
            assert_eq!(Syntax::of(text), Some(syntax), "{text}");
            assert_eq!(named(text), names, "{text}");
        }
        for text in
            ["", "one line", "a 1\nb 2\n", "para one\npara two\n\npara three\n", "{\n}\n", "set -e\necho a\n"]
        {
            assert_eq!(Syntax::of(text), None, "{text}");
        }
    }

    #[test]
    fn a_section_with_a_dot_in_its_name_is_left_out_by_a_star() {
        let text = "interface Gi0/1.100\n encapsulation dot1q 100\ninterface Gi0/2\n shutdown\nhostname a\n";
        let left = |pattern: &str| without(text, &[pattern.parse().unwrap()]).unwrap().0;
        assert_eq!(left("interface *"), "hostname a\n");
        assert_eq!(left("interface gi0/1.100"), "interface Gi0/2\n shutdown\nhostname a\n");
    }
}
