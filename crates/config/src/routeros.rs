//! Exports of RouterOS devices: how they are told from other texts, and which menu a line belongs to.

use std::borrow::Cow;

use crate::lines::inclusive;

/// The section of a RouterOS export's lines before any section opens.
pub const FIRST_SECTION: &str = "system/general";

/// Returns true if the text is a RouterOS export: it has the export's header, or a menu line with a command
/// right below.
pub fn is_routeros(text: &str) -> bool {
    let mut after_menu = false;
    inclusive(text).any(|line| {
        let command = line.starts_with("add ") || line.starts_with("set ");
        let menu = menu(line);
        let found = is_routeros_header(line) || (after_menu && command) || is_terse(line, menu.as_ref());
        after_menu = matches!(menu, Some((_, Reach::Following)));
        found
    })
}

/// The lines of a text, line ends included, each with the section it stands in.
pub fn sectioned(text: &str) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
    let mut open = Cow::Borrowed(FIRST_SECTION);
    inclusive(text).map(move |line| match menu(line) {
        Some((section, Reach::Following)) => {
            open = Cow::Owned(section);
            (open.clone(), line)
        }
        Some((section, Reach::ThisLine)) => (Cow::Owned(section), line),
        None => (open.clone(), line),
    })
}

/// The lines that a line's menu covers.
pub(crate) enum Reach {
    /// `/ip address`: to the next such line.
    Following,
    /// `/ip address add …`: a whole command on one line, which leaves the open section open.
    ThisLine,
}

/// Returns the section of the menu that a line names, and the lines it covers.
pub(crate) fn menu(line: &str) -> Option<(String, Reach)> {
    const COMMANDS: [&str; 15] = [
        "add", "set", "remove", "enable", "disable", "print", "find", "move", "comment", "edit", "export",
        "import", "unset", "reset", "get",
    ];
    let words = line.strip_prefix('/')?.trim_end();
    let is_menu_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !COMMANDS.contains(&word)
    };
    let count = words.split(' ').take_while(|word| is_menu_word(word)).count();
    let section = words.split(' ').take(count).collect::<Vec<_>>().join("/");
    let reach = if words.split(' ').count() == count { Reach::Following } else { Reach::ThisLine };
    (count > 0).then_some((section, reach))
}

/// Returns true for a line of `/export terse`: a menu and a command, `/ip address add address=…`.
fn is_terse(line: &str, menu: Option<&(String, Reach)>) -> bool {
    let Some((section, Reach::ThisLine)) = menu else { return false };
    let known =
        ["interface", "ip", "ipv6", "system", "routing", "tool", "user", "queue", "ppp", "snmp", "caps-man"];
    let command = || line[1..].split(' ').nth(section.split('/').count());
    known.contains(&section.split('/').next().unwrap_or_default())
        && command().is_some_and(|command| matches!(command, "add" | "set"))
        && line.contains('=')
}

/// Returns true for the header `# 2026-01-15 10:30:00 by RouterOS 7.20`, with the date in any spelling that
/// RouterOS has had.
pub(crate) fn is_routeros_header(line: &str) -> bool {
    // Almost no line is one, and every text is asked for them.
    if !line.trim_start().starts_with('#') {
        return false;
    }
    let mut words = line.split_whitespace();
    let mut word = || words.next().unwrap_or_default();
    let hash = word() == "#";
    let date = word();
    let time = word();
    let dated = date.bytes().filter(|b| matches!(b, b'/' | b'-')).count() == 2;
    hash && dated && time.contains(':') && word() == "by" && word() == "RouterOS"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_in_the_section_it_stands_in() {
        let text = "# c\n/ip firewall filter\nadd a\n/ip address add address=1\nadd b\n/system identity\nset name=x\n";
        let sections: Vec<_> = sectioned(text).map(|(section, _)| section.into_owned()).collect();
        let filter = "ip/firewall/filter";
        let identity = "system/identity";
        assert_eq!(sections, [FIRST_SECTION, filter, filter, "ip/address", filter, identity, identity]);
    }

    #[test]
    fn paths_of_files_are_no_menus() {
        assert!(!is_routeros("/etc/nginx/conf.d\nset x\n"));
        assert!(!is_routeros("server {\n  listen 80;\n}\n"));
        assert!(is_routeros("/ip dns\nset servers=1.1.1.1\n"));
        assert!(is_routeros("/ip address add address=10.0.0.1/24 interface=ether1\n"));
        assert!(is_routeros("/interface bridge port add bridge=b interface=ether2\n"));
        for path in ["/etc/init.d/ip add x=1\n", "/ip address\n", "/user add\n", "/tool set\nx=1\n"] {
            assert!(!is_routeros(path), "{path}");
        }
    }
}
