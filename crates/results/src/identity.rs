//! The identity of a test: one for text and result file, for two runs, two machines, two versions of a runner.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use crate::case::Case;
use crate::text::patterns;

patterns! {
    ADDRESS = r"0x[0-9a-fA-F]{6,}";
    ESCAPE = r"\\x([0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})";
    PASSING = r"^\[gw\d+\] | \(retry #\d+\)| \(retry x\d+\)|#\d+$|/tmp/[^\s/]+|pytest-\d+";
}

/// Returns suite and name as words, equal however a runner separates them.
pub fn canonical(suite: &[String], name: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for part in suite {
        let part = part.strip_suffix(".py").unwrap_or(part);
        // `shop::shop` and `shop` are one, and so are a package and its library.
        let mut parts = split(part);
        if part.contains("::") {
            parts.dedup();
        }
        if parts.first() == words.last() && parts.len() == 1 {
            continue;
        }
        words.extend(parts);
    }
    words.extend(split(name));
    words.join(" ")
}

fn split(text: &str) -> Vec<String> {
    let text = ESCAPE.replace_all(text, |found: &regex::Captures<'_>| {
        let code = [1, 2, 3].into_iter().find_map(|group| found.get(group)).map_or("", |hex| hex.as_str());
        let c = u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
        c.map_or_else(|| found[0].to_owned(), String::from)
    });
    let text = ADDRESS.replace_all(&text, "0x");
    let text = text.replace(".py::", "::");
    let between = |c: char| c.is_whitespace() || matches!(c, '/' | '\\' | '.' | ':' | '$' | '›' | '>');
    text.split(between).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Takes out of a name what differs from try to try. Go's `#01` is not such: it is a second test.
pub(crate) fn steady(case: &Case) -> String {
    let name = &case.test.name;
    if case.test.runner.starts_with("go") || case.test.params.is_some() {
        return name.clone();
    }
    PASSING.replace_all(name, "").into_owned()
}

/// Sets the identity of each case; a second test of the same name and without a key is numbered.
pub fn assign(cases: &mut [Case], folder: &str) {
    let mut seen: HashMap<(String, Option<u64>), u64> = HashMap::new();
    for case in cases.iter_mut().filter(|case| case.test.count.is_none()) {
        let mut words = canonical(&case.test.suite, &steady(case));
        // Where the name has not its parameters they are a part of it all the same.
        if let Some(params) =
            case.test.params.as_ref().filter(|params| !case.test.name.contains(params.as_str()))
        {
            words.push_str(params);
        }
        let number = seen.entry((words.clone(), case.test.attempt)).or_default();
        *number += 1;
        let key = if *number > 1 { format!("{words} #{number}") } else { words };
        case.test.id = hash(folder, &key);
    }
}

/// Returns the identity of a test of that name.
pub fn id(folder: &str, suite: &[String], name: &str) -> String {
    hash(folder, &canonical(suite, name))
}

fn hash(folder: &str, words: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(folder.as_bytes());
    hash.update([0]);
    hash.update(words.as_bytes());
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: (&[&str], &str), two: (&[&str], &str)) -> bool {
        let words = |(suite, name): (&[&str], &str)| {
            canonical(&suite.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>(), name)
        };
        words(one) == words(two)
    }

    #[test]
    fn the_spellings_of_one_test_are_one() {
        assert!(same((&["tests/a.py", "TestX"], "test_y"), (&["tests.a.TestX"], "test_y")));
        assert!(same((&["shop"], "tests::x"), (&["shop::shop"], "tests::x")));
        assert!(same((&[], "token › x"), (&["token"], "x")));
        assert!(same((&[], "a[gr\\xf6\\xdfe]"), (&[], "a[größe]")));
        assert!(same((&[], "a[<X object at 0x7f2c92b54610>]"), (&[], "a[<X object at 0x7f2c92b00000>]")));
        assert!(!same((&["a"], "x"), (&["b"], "x")));
    }

    #[test]
    fn twins_are_numbered_and_go_keeps_its_own_numbers() {
        let mut cases = [Case::new(&["a"], "x"), Case::new(&["a"], "x")];
        assign(&mut cases, "");
        assert_ne!(cases[0].test.id, cases[1].test.id);
        let mut cases = [Case::new(&["a"], "T#01"), Case::new(&["a"], "T")];
        cases.iter_mut().for_each(|case| case.test.runner = "go-test".into());
        assign(&mut cases, "");
        assert_ne!(cases[0].test.id, cases[1].test.id);
    }
}
