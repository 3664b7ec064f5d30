//! Payloads too large for one event: cut into parts that the fold puts together again.

use std::collections::BTreeMap;

use rig_event::{Change, FlatConfig, Hunk};
use serde::Serialize;
use serde_json::Value;

/// The encoded length at which a payload is cut. A part may pass it by one item; a single item is far below the length of a line.
pub const PART_BYTES: usize = 256 << 10;

/// Cuts a config. A string longer than a part goes on in the next part, under the same path.
pub fn config(config: FlatConfig) -> Vec<FlatConfig> {
    let mut parts = Parts::new();
    for (path, value) in config {
        match value {
            Value::String(text) if encoded(&text) > PART_BYTES => {
                for piece in pieces(&text) {
                    parts.next(PART_BYTES, |part: &mut FlatConfig| {
                        part.insert(path.clone(), piece.into());
                    });
                }
            }
            value => parts.next(encoded(&path) + encoded(&value) + 2, |part: &mut FlatConfig| {
                part.insert(path, value);
            }),
        }
    }
    parts.done
}

/// Cuts what is said about the sources of fields; nothing said makes no part.
pub fn provenance(provenance: BTreeMap<String, String>) -> Vec<BTreeMap<String, String>> {
    let mut parts = Parts::new();
    for (path, source) in provenance {
        let len = encoded(&path) + encoded(&source) + 2;
        parts.next(len, |part: &mut BTreeMap<String, String>| {
            part.insert(path, source);
        });
    }
    parts.done.retain(|part| !part.is_empty());
    parts.done
}

/// Whether two payloads fit in one part.
pub fn fit_together(one: &impl Serialize, other: &impl Serialize) -> bool {
    encoded(one) + encoded(other) <= PART_BYTES
}

/// Cuts a list of changes.
pub fn changes(changes: Vec<Change>) -> Vec<Vec<Change>> {
    let mut parts = Parts::new();
    for change in changes {
        parts.next(encoded(&change) + 1, |part: &mut Vec<Change>| part.push(change));
    }
    parts.done
}

/// Cuts a list of hunks; a hunk longer than a part becomes several that follow each other.
pub fn hunks(hunks: Vec<Hunk>) -> Vec<Vec<Hunk>> {
    let mut parts = Parts::new();
    for hunk in hunks.into_iter().flat_map(short_hunks) {
        parts.next(encoded(&hunk) + 1, |part: &mut Vec<Hunk>| part.push(hunk));
    }
    parts.done
}

/// Parts as they fill up. There is always one, though it may be empty.
struct Parts<T> {
    done: Vec<T>,
    len: usize,
}

impl<T: Default> Parts<T> {
    fn new() -> Self {
        Parts { done: vec![T::default()], len: 0 }
    }

    fn next(&mut self, len: usize, add: impl FnOnce(&mut T)) {
        if self.len > 0 && self.len + len > PART_BYTES {
            self.done.push(T::default());
            self.len = 0;
        }
        self.len += len;
        if let Some(part) = self.done.last_mut() {
            add(part);
        }
    }
}

/// Pieces of a text that each encode to no more than a part.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut len) = (0, 0);
    for (at, c) in text.char_indices() {
        let width = match c {
            '"' | '\\' | '\n' | '\r' | '\t' => 2,
            c if c < ' ' => 6,
            c => c.len_utf8(),
        };
        if len + width > PART_BYTES {
            pieces.push(&text[start..at]);
            (start, len) = (at, 0);
        }
        len += width;
    }
    pieces.push(&text[start..]);
    pieces
}

/// A long hunk as several, each starting where the one before ended.
fn short_hunks(hunk: Hunk) -> Vec<Hunk> {
    if encoded(&hunk) <= PART_BYTES {
        return vec![hunk];
    }
    // The line that a hunk without lines on one side comes after is one before the line it would begin with.
    let first = |start: u64, lines: u64| if lines == 0 { start + 1 } else { start };
    let (mut old, mut new) = (first(hunk.old_start, hunk.old_lines), first(hunk.new_start, hunk.new_lines));
    let mut done = Vec::new();
    let heading = hunk.heading;
    let mut cut = |lines: Vec<String>| {
        let count = |sides: [char; 2]| lines.iter().filter(|l| l.starts_with(sides)).count() as u64;
        let (old_lines, new_lines) = (count([' ', '-']), count([' ', '+']));
        let start = |first: u64, lines: u64| if lines == 0 { first - 1 } else { first };
        let (old_start, new_start) = (start(old, old_lines), start(new, new_lines));
        let heading = heading.clone();
        done.push(Hunk { old_start, old_lines, new_start, new_lines, heading, lines });
        (old, new) = (old + old_lines, new + new_lines);
    };
    let (mut lines, mut len) = (Vec::new(), 0);
    for line in hunk.lines {
        let width = encoded(&line) + 1;
        // "\\ No newline at end of file" belongs to the line before it.
        if len > 0 && len + width > PART_BYTES && !line.starts_with('\\') {
            cut(std::mem::take(&mut lines));
            len = 0;
        }
        len += width;
        lines.push(line);
    }
    cut(lines);
    done
}

fn encoded(value: &(impl Serialize + ?Sized)) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Neither the counter nor these types can fail to be written.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_payload_is_one_part() {
        assert_eq!(config(FlatConfig::new()), [FlatConfig::new()]);
        assert_eq!(changes(vec![]), [vec![]]);
    }

    #[test]
    fn pieces_of_a_long_text_join_to_it() {
        let text = "ü\"\n\u{1}x".repeat(100_000);
        let pieces = pieces(&text);
        assert!(pieces.len() > 2);
        assert_eq!(pieces.concat(), text);
        assert!(pieces.iter().all(|p| encoded(*p) <= PART_BYTES + 2));
    }

    #[test]
    fn a_long_hunk_still_applies_when_it_is_cut() {
        let old: String = (0..30_000).map(|n| format!("old line {n} of many\n")).collect();
        let new: String = (0..30_000).map(|n| format!("new line {n} of many\n")).collect();
        let diff = rig_config::text_diff(&old, &new);
        let parts = hunks(diff.hunks);
        assert!(parts.len() > 2);
        assert_eq!(rig_config::apply_hunks(&old, &parts.concat()).unwrap(), new);
        // Wherever the cut falls, the mark of a missing newline stays with its line.
        let old = old.trim_end();
        for more in [0, 3, 7, 20] {
            let new = format!("{}last{}", new, "x".repeat(more * 300));
            let parts = hunks(rig_config::text_diff(old, &new).hunks);
            assert_eq!(rig_config::apply_hunks(old, &parts.concat()).unwrap(), new);
        }
    }
}
