//! Changes as they are told to a person: what differs in two values is always visible, whatever their length.
//!
//! Text, Markdown, the player, `rig drift`, `rig blame` and `rig why` draw what is decided here, each in its way. Short values
//! stand as they are. Of a long line, excerpts around each difference; of several lines, a diff with context; of JSON or
//! YAML inside a string, a diff of its fields. In reading order: `excerpt` (what differs in one line), `lines` (in
//! several), `embedded` (documents in strings), [`mod@group`] (elements that came or went as a whole).

mod embedded;
mod excerpt;
pub mod group;
mod lines;

use rig_event::{Change, Op};
use serde_json::Value;

pub use self::excerpt::{Piece, Pieces, inline};
pub use self::group::{fields_of, grouped};
pub use self::lines::Line;

/// Maximum number of characters of a value that is shown as it is.
const SHORT: usize = 72;

/// Documents within documents within documents: the deepest that is taken apart.
const MAX_DEPTH: usize = 3;

/// The description of a change for a person.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// The values, or excerpts of them, each on one line; of what was added or removed there is only one.
    Values(Option<Pieces>, Option<Pieces>),
    /// Lines of a text.
    Lines(Vec<Line>),
    /// The fields of a document in the value, with paths of their own; what they are told as, and what it is written in.
    Fields(&'static str, Vec<(Change, Told)>),
    /// The fields of an element that came or went as a whole.
    Element(Vec<(String, Told)>),
}

/// Decides how a change is told.
pub fn tell(change: &Change) -> Told {
    tell_at(change, 0)
}

fn tell_at(change: &Change, depth: usize) -> Told {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) if change.op != Op::Moved => both(before, after, depth),
        (Some(before), Some(after)) => {
            Told::Values(Some(excerpt::whole(before)), Some(excerpt::whole(after)))
        }
        (Some(before), None) => one(before, '-'),
        (None, Some(after)) => one(after, '+'),
        (None, None) => Told::Values(None, None),
    }
}

fn both(before: &Value, after: &Value, depth: usize) -> Told {
    if let (Value::String(old), Value::String(new)) = (before, after) {
        let long = old.chars().nth(SHORT).is_some() || new.chars().nth(SHORT).is_some();
        if long || old.contains('\n') || new.contains('\n') {
            if depth < MAX_DEPTH
                && let Some((format, changes)) = embedded::changes(old, new)
            {
                let told = |change: Change| {
                    let told = tell_at(&change, depth + 1);
                    (change, told)
                };
                return Told::Fields(format, changes.into_iter().map(told).collect());
            }
            if old.trim_end().contains('\n') || new.trim_end().contains('\n') {
                return Told::Lines(lines::differing(old, new));
            }
        }
    }
    let (before, after) = excerpt::values(before, after);
    Told::Values(Some(before), Some(after))
}

/// Tells a value that only one side has.
fn one(value: &Value, sign: char) -> Told {
    let told = match value {
        Value::String(text) if text.trim_end().contains('\n') => {
            return Told::Lines(lines::all(text, sign));
        }
        value if group::is_element(value) && value.to_string().chars().nth(SHORT * 2).is_some() => {
            let fields = fields_of(value).into_iter();
            return Told::Element(fields.map(|(path, value)| (path, one(&value, sign))).collect());
        }
        value => Some(excerpt::whole(value)),
    };
    if sign == '-' { Told::Values(told, None) } else { Told::Values(None, told) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::Severity;

    fn change(before: Value, after: Value) -> Change {
        Change {
            op: Op::Changed,
            path: "a".into(),
            before: Some(before),
            after: Some(after),
            severity: Severity::Low,
        }
    }

    /// Returns what is told, in one text.
    fn text(told: &Told) -> String {
        let pieces = |side: &Option<Pieces>| side.as_ref().map(Pieces::to_string).unwrap_or_default();
        match told {
            Told::Values(before, after) => format!("{} -> {}", pieces(before), pieces(after)),
            Told::Lines(lines) => {
                lines.iter().map(|line| format!("{}{}\n", line.sign, line.pieces)).collect::<String>()
            }
            Told::Fields(format, fields) => {
                let field = |(change, told): &(Change, Told)| {
                    format!("{} {}: {}\n", change.op.as_str(), change.path, text(told))
                };
                format!("{format}\n{}", fields.iter().map(field).collect::<String>())
            }
            Told::Element(fields) => {
                fields.iter().map(|(path, told)| format!("{path} = {}\n", text(told))).collect::<String>()
            }
        }
    }

    fn told(before: Value, after: Value) -> String {
        text(&tell(&change(before, after)))
    }

    #[test]
    fn a_change_inside_a_long_value_is_visible() {
        let options =
            |heap: &str| json!(format!("-Xms512m {}-Xmx{heap} -Dlast", "-Dflag.number=on ".repeat(20)));
        let shown = told(options("1g"), options("4g"));
        assert!(shown.contains("-Xmx1g") && shown.contains("-Xmx4g") && shown.len() < 200, "{shown}");

        let file = |value: u8| -> Value {
            (0..60)
                .map(|n| format!("setting_{n} = {}\n", if n == 37 { value } else { 0 }))
                .collect::<String>()
                .into()
        };
        let shown = told(file(1), file(2));
        assert_eq!(
            shown,
            " setting_34 = 0\n setting_35 = 0\n setting_36 = 0\n-setting_37 = 1\n+setting_37 = 2\n setting_38 = 0\n \
             setting_39 = 0\n setting_40 = 0\n"
        );

        let policy = |action: &str| {
            json!(format!(
                "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Sid\":\"A\",\"Action\":[\"s3:Get\",\"{action}\"]}}]}}"
            ))
        };
        assert_eq!(
            told(policy("s3:Put"), policy("s3:List")),
            "JSON\nchanged Statement[0].Action[1]: \"s3:Put\" -> \"s3:List\"\n"
        );
        let values = |cpu: &str| json!(format!("replicas: 2\nresources:\n  limits:\n    cpu: {cpu}\n"));
        assert_eq!(told(values("1"), values("2")), "YAML\nchanged resources.limits.cpu: 1 -> 2\n");
    }

    #[test]
    fn what_is_nothing_like_it_is_cut_and_says_how_long_it_is() {
        let blob = |seed: u64| -> Value {
            (0..1_500u64).map(|n| char::from(b'a' + (n * n * seed % 23) as u8)).collect::<String>().into()
        };
        let shown = told(blob(3), blob(7));
        assert!(shown.chars().count() < 400, "{shown}");
        assert!(shown.contains("1,4") || shown.contains("1,3"), "{shown}");
    }

    #[test]
    fn a_line_that_is_very_long_is_cut_around_its_difference() {
        let script =
            |word: &str| json!(format!("a\n{}{word}{}\nb\n", "x = 1; ".repeat(900), "y = 2; ".repeat(900)));
        let shown = told(script("OLD"), script("NEW"));
        assert!(shown.contains("OLD") && shown.contains("NEW") && shown.len() < 600, "{shown}");
        let context = |end: char| json!(format!("{}\n{end}\n", "z".repeat(5_000)));
        assert!(told(context('1'), context('2')).len() < 2_000);
    }

    #[test]
    fn a_marker_is_never_cut() {
        let marker = |digit: char| format!("<redacted:hmac:k1:{}>", digit.to_string().repeat(16));
        let with = |digit: char| {
            json!(format!(
                "{} postgres://u:{}@host/db?x=1 {}",
                "a b ".repeat(40),
                marker(digit),
                "c d ".repeat(40)
            ))
        };
        let shown = told(with('1'), with('2'));
        assert!(shown.contains(&marker('1')) && shown.contains(&marker('2')), "{shown}");
        let with = |end: &str| json!(format!("{}***redacted***{}{end}", "ab".repeat(60), "cd ".repeat(30)));
        let shown = told(with("1"), with("2"));
        assert_eq!(shown.matches("redacted").count(), shown.matches("***redacted***").count(), "{shown}");
        for at in 0..60 {
            let with =
                |end: &str| json!(format!("{}{}{}{end}", "x ".repeat(at), marker('7'), "y ".repeat(60 - at)));
            let shown = told(with("1"), with("2"));
            assert_eq!(
                shown.matches("<redacted").count(),
                shown.matches("7777777777777777>").count(),
                "{shown}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_told_has_every_changed_word(
            words in prop::collection::vec("[a-z]{1,9}", 1..60), at in any::<prop::sample::Index>(),
            more in any::<prop::sample::Index>(), between in prop::sample::select(vec![" ", "\n", "/", ", "]),
        ) {
            let mut other = words.clone();
            other[at.index(words.len())] = "OLD-1".to_owned();
            let old = other.join(between);
            other[at.index(words.len())] = "NEW-2".to_owned();
            let last = more.index(words.len());
            if last != at.index(words.len()) {
                other[last] = "MORE".to_owned();
            }
            let shown = told(old.into(), other.join(between).into());
            prop_assert!(shown.contains("OLD-1") && shown.contains("NEW-2"), "{}", shown);
            prop_assert_eq!(shown.contains("MORE"), last != at.index(words.len()), "{}", shown);
        }

        #[test]
        fn any_two_values_are_told(old in any::<String>(), new in any::<String>()) {
            prop_assume!(old != new);
            if let Told::Values(Some(old), Some(new)) = tell(&change(old.into(), new.into())) {
                prop_assert_ne!(old.to_string(), new.to_string());
            }
        }
    }
}
