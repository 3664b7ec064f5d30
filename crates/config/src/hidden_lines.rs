//! The difference between two texts in which secrets are hidden: a line in which nothing else may differ is not compared.

use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::lines::inclusive;
use crate::redact::{Comparison, compare_texts, without_fingerprints};
use crate::text::{TextDiff, of_ops, text_diff};

/// Compares two redacted texts line by line. Returns the difference, and the lines of the new text, from 1, that cannot be
/// compared: what is hidden in them is all that may differ, and nobody can tell. Such a line is shown, where it stands beside a
/// change, as the old text has it.
pub fn text_diff_of_hidden(old: &str, new: &str) -> (TextDiff, Vec<u64>) {
    let old_lines: Vec<&str> = inclusive(old).collect();
    let new_lines: Vec<&str> = inclusive(new).collect();
    let blank = |lines: &[&str]| -> Vec<_> {
        lines.iter().map(|line| without_fingerprints(line).into_owned()).collect()
    };
    let blanked = capture_diff_slices(Algorithm::Myers, &blank(&old_lines), &blank(&new_lines));
    if !holds_unknown(&blanked, &old_lines, &new_lines) {
        // Every fingerprint can be compared as it is written, and then the shortest difference is the best.
        return (text_diff(old, new), Vec::new());
    }
    let mut ops = Vec::new();
    let mut not_compared = Vec::new();
    for op in blanked {
        if !matches!(op, DiffOp::Equal { .. }) {
            ops.push(op);
            continue;
        }
        for (at, to) in op.old_range().zip(op.new_range()) {
            let compared = compare_texts(old_lines[at], new_lines[to]);
            if compared == Comparison::NotComparable {
                not_compared.push(to as u64 + 1);
            }
            push(&mut ops, at, to, compared == Comparison::Different);
        }
    }
    (of_ops(ops, (old, &old_lines), (new, &new_lines)), not_compared)
}

/// Returns true if a pair of lines cannot be compared.
fn holds_unknown(ops: &[DiffOp], old: &[&str], new: &[&str]) -> bool {
    let equal = ops.iter().filter(|op| matches!(op, DiffOp::Equal { .. }));
    let mut pairs = equal.flat_map(|op| op.old_range().zip(op.new_range()));
    pairs.any(|(at, to)| compare_texts(old[at], new[to]) == Comparison::NotComparable)
}

/// Adds a pair of lines to the operations: to the last one where that is of its kind.
fn push(ops: &mut Vec<DiffOp>, at: usize, to: usize, differs: bool) {
    match (ops.last_mut(), differs) {
        (Some(DiffOp::Equal { old_index, new_index, len }), false)
            if *old_index + *len == at && *new_index + *len == to =>
        {
            *len += 1;
        }
        (Some(DiffOp::Replace { old_index, old_len, new_index, new_len }), true)
            if *old_index + *old_len == at && *new_index + *new_len == to =>
        {
            (*old_len, *new_len) = (*old_len + 1, *new_len + 1);
        }
        (_, false) => ops.push(DiffOp::Equal { old_index: at, new_index: to, len: 1 }),
        (_, true) => ops.push(DiffOp::Replace { old_index: at, old_len: 1, new_index: to, new_len: 1 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(key: &str, first: &str, second: &str, host: &str) -> String {
        format!(
            "user a password <redacted:hmac:{key}:{first}>\nhost {host}\nuser b password <redacted:hmac:{key}:{second}>\n",
            first = first.repeat(16),
            second = second.repeat(16)
        )
    }

    fn compared(old: &str, new: &str) -> (u64, u64, Vec<u64>) {
        let (diff, not_compared) = text_diff_of_hidden(old, new);
        (diff.lines_removed, diff.lines_added, not_compared)
    }

    #[test]
    fn lines_under_another_key_are_counted_and_not_changed() {
        assert_eq!(compared(&lines("k", "a", "b", "x"), &lines("k", "a", "b", "x")), (0, 0, vec![]));
        assert_eq!(compared(&lines("k", "a", "b", "x"), &lines("k", "a", "c", "x")), (1, 1, vec![]));
        assert_eq!(compared(&lines("k", "a", "b", "x"), &lines("j", "a", "b", "x")), (0, 0, vec![1, 3]));
        assert_eq!(compared(&lines("k", "a", "b", "x"), &lines("j", "a", "b", "y")), (1, 1, vec![1, 3]));
        let foreign = "user a password ***redacted***\n";
        assert_eq!(compared(foreign, foreign), (0, 0, vec![1]));
        let mixed = format!("{foreign}{}", lines("k", "a", "b", "x"));
        let other = format!("{foreign}{}", lines("k", "a", "c", "x"));
        assert_eq!(compared(&mixed, &other), (1, 1, vec![1]));
    }
}
