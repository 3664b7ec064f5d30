//! RouterOS exports: what to drop so that two exports of one configuration are equal, and which section a line is in.

use std::borrow::Cow;

/// The section of lines before any section opens.
pub const FIRST_SECTION: &str = "system/general";

/// Whether a text is a RouterOS export: it has the export's header, or a menu line with a command right below.
pub fn is_routeros(text: &str) -> bool {
    let mut after_menu = false;
    text.lines().any(|line| {
        let command = line.starts_with("add ") || line.starts_with("set ");
        let found = is_header(line) || (after_menu && command);
        after_menu = matches!(menu(line), Some((_, Reach::Following)));
        found
    })
}

/// Drops what differs between exports of one configuration: every header line with the blank line after it, blanks
/// at line ends, runs of blank lines. A text that is not empty ends in exactly one line feed.
pub fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut after_header = false;
    let mut after_blank = false;
    for line in text.lines().map(str::trim_end) {
        if is_header(line) {
            after_header = true;
            continue;
        }
        let blank = line.is_empty();
        if !(blank && (after_header || after_blank)) {
            out.push_str(line);
            out.push('\n');
        }
        after_blank = blank && !after_header;
        after_header = false;
    }
    let end = out.trim_end_matches('\n').len();
    out.truncate(end);
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// `# 2026-01-15 10:30:00 by RouterOS 7.20`, with the date in any of the spellings RouterOS has had.
fn is_header(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let mut word = || words.next().unwrap_or_default();
    let hash = word() == "#";
    let date = word();
    let time = word();
    let dated = date.bytes().filter(|b| matches!(b, b'/' | b'-')).count() == 2;
    hash && dated && time.contains(':') && word() == "by" && word() == "RouterOS"
}

/// The lines of a text, line ends included, each with the section it stands in.
pub fn sectioned(text: &str) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
    let mut open = Cow::Borrowed(FIRST_SECTION);
    text.split_inclusive('\n').map(move |line| match menu(line) {
        Some((section, Reach::Following)) => {
            open = Cow::Owned(section);
            (open.clone(), line)
        }
        Some((section, Reach::ThisLine)) => (Cow::Owned(section), line),
        None => (open.clone(), line),
    })
}

/// How far a line's menu reaches.
enum Reach {
    /// `/ip address`: to the next such line.
    Following,
    /// `/ip address add …`: a whole command on one line, which leaves the open section open.
    ThisLine,
}

fn menu(line: &str) -> Option<(String, Reach)> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_the_header_goes() {
        for header in ["2024/01/15", "2026-03-07", "jan/15/2024"] {
            let text =
                format!("# {header} 10:30:00 by RouterOS 7.14\n\n# model = RB\n/ip dns\nset a=1  \n\n\n");
            assert_eq!(normalise(&text), "# model = RB\n/ip dns\nset a=1\n");
        }
        assert_eq!(normalise("a\n# 2024/01/15 10:30:00 by RouterOS 7\nb\n\n\n\nc"), "a\nb\n\nc\n");
        assert_eq!(normalise("\n \n"), "");
        assert_eq!(normalise("# written by RouterOS fans\n"), "# written by RouterOS fans\n");
    }

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
    }
}
