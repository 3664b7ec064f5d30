//! `[[volatile]]` rules of a policy: lines of a text that change by themselves, and that rig does not know.

use std::ops::Range;

use serde::Deserialize;

use crate::ValuePattern;
use crate::grammar::{families, recognised};
use crate::lines::inclusive;

/// Stands where something was left out of a line.
const GONE: &str = "*";

/// `[[volatile]]`: what changes by itself in the lines of a text, and is no change of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Form")]
pub struct VolatileRule {
    /// A regular expression over each line. Its groups are left out; if it has none, the whole line is.
    pub line: ValuePattern,
    /// Only in texts of this family, as `rig snapshot --explain` names it: `cisco-ios`.
    pub kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    line: ValuePattern,
    kind: Option<String>,
}

impl TryFrom<Form> for VolatileRule {
    type Error = String;

    fn try_from(Form { line, kind }: Form) -> Result<Self, String> {
        if let Some(kind) = kind.as_deref().filter(|kind| !families().any(|known| known == *kind)) {
            let known: Vec<&str> = families().collect();
            return Err(format!("no family of texts is named `{kind}`; there are {}", known.join(", ")));
        }
        Ok(VolatileRule { line, kind })
    }
}

/// Returns the text without what the rules leave out, if they leave out anything.
pub(super) fn without(text: &str, file: Option<&str>, rules: &[VolatileRule]) -> Option<String> {
    if rules.is_empty() {
        return None;
    }
    let families =
        if rules.iter().any(|rule| rule.kind.is_some()) { recognised(text, file) } else { Vec::new() };
    let holds = |rule: &&VolatileRule| rule.kind.as_deref().is_none_or(|kind| families.contains(&kind));
    let rules: Vec<&VolatileRule> = rules.iter().filter(holds).collect();
    let mut out = String::with_capacity(text.len());
    for line in inclusive(text) {
        let content = line.trim_end_matches('\n');
        let mut left = content.to_owned();
        let goes = rules.iter().any(|rule| {
            let ranges = rule.line.groups(&left);
            let is_whole = !rule.line.has_groups();
            if !is_whole {
                cut(&mut left, ranges);
                return false;
            }
            !ranges.is_empty()
        });
        if !goes {
            out.push_str(&left);
            out.push_str(&line[content.len()..]);
        }
    }
    (out != text).then_some(out)
}

/// Replaces ranges of bytes in a line, which may stand in each other, by a mark.
pub(super) fn cut(line: &mut String, mut ranges: Vec<Range<usize>>) {
    ranges.sort_by_key(|range| std::cmp::Reverse((range.start, range.end)));
    let mut end = line.len();
    for range in ranges {
        if range.end <= end {
            line.replace_range(range.clone(), GONE);
            end = range.start;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Result<Vec<VolatileRule>, String> {
        #[derive(Deserialize)]
        struct File {
            volatile: Vec<VolatileRule>,
        }
        toml::from_str::<File>(text).map(|file| file.volatile).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn a_rule_leaves_lines_out_or_what_its_groups_match() {
        let of = |text: &str| rules(text).unwrap();
        let text = "! lamp is 12 %\nhostname a\ncounter 5 of 7\n";
        let left = |rules: &str| without(text, None, &of(rules));
        assert_eq!(left("[[volatile]]\nline = '^! lamp is'").unwrap(), "hostname a\ncounter 5 of 7\n");
        assert_eq!(
            left("[[volatile]]\nline = '^counter (\\d+) of (\\d+)$'").unwrap(),
            "! lamp is 12 %\nhostname a\ncounter * of *\n"
        );
        assert_eq!(left("[[volatile]]\nline = '^nothing'"), None);
        assert_eq!(left("[[volatile]]\nline = '^!'\nkind = 'cisco-ios'"), None);
        let ios = format!("version 15.2\nservice timestamps log datetime\n{text}");
        let rules = of("[[volatile]]\nline = '^! lamp'\nkind = 'cisco-ios'");
        assert!(!without(&ios, None, &rules).unwrap().contains("lamp"));
    }

    #[test]
    fn a_rule_that_cannot_hold_is_refused() {
        assert!(rules("[[volatile]]\nline = 'a'\nkind = 'toaster'").unwrap_err().contains("toaster"));
        assert!(rules("[[volatile]]\nkind = 'cisco-ios'").unwrap_err().contains("line"));
        assert!(rules("[[volatile]]\nline = '('").is_err());
        assert!(rules("[[volatile]]\npath = 'a'\nline = 'b'").is_err());
    }
}
