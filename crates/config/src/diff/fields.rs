//! Stretches of the fields of a configuration that is sorted by path: a map, a list, an element of one.

use std::ops::Range;

use serde_json::Value;

/// A field: its path and its value.
pub(super) type Entry<'a> = (&'a str, &'a Value);

/// Fields that have the first `skip` bytes of their paths in common.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub entries: &'a [Entry<'a>],
    pub skip: usize,
}

impl<'a> Fields<'a> {
    /// The rest of a field's path, with its value.
    pub fn get(&self, index: usize) -> Option<Entry<'a>> {
        self.entries.get(index).map(|(path, value)| (&path[self.skip..], *value))
    }

    /// The rests of all paths, with their values.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Entry<'a>> {
        self.entries.iter().map(|(path, value)| (&path[self.skip..], *value))
    }

    /// The value of the field with this rest of a path.
    pub fn value(&self, rest: &str) -> Option<&'a Value> {
        let at = self.entries.binary_search_by(|(path, _)| path[self.skip..].cmp(rest)).ok()?;
        Some(self.entries[at].1)
    }

    /// The fields whose rests begin with this prefix.
    pub fn below(&self, prefix: &str) -> &'a [Entry<'a>] {
        let from = self.entries.partition_point(|(path, _)| &path[self.skip..] < prefix);
        &self.entries[from..from + self.run(from, prefix)]
    }

    pub fn slice(&self, range: Range<usize>, more: usize) -> Fields<'a> {
        Fields { entries: &self.entries[range], skip: self.skip + more }
    }

    /// Returns true if both have the same fields with the same values.
    pub fn same(&self, other: &Fields<'_>) -> bool {
        self.entries.len() == other.entries.len() && self.iter().eq(other.iter())
    }

    /// Counts the fields, from `from` on, that begin with this prefix.
    pub fn run(&self, from: usize, prefix: &str) -> usize {
        self.entries[from..].partition_point(|(path, _)| {
            let rest = path.as_bytes().get(self.skip..).unwrap_or_default();
            &rest[..rest.len().min(prefix.len())] <= prefix.as_bytes()
        })
    }
}

/// A field of a configuration.
pub(super) fn entry<'a>((path, value): (&'a String, &'a Value)) -> Entry<'a> {
    (path, value)
}

/// Where the first list of a path opens, outside quotes.
pub(super) fn bracket(path: &str) -> Option<usize> {
    let bytes = path.as_bytes();
    let first = memchr::memchr(b'[', bytes)?;
    if memchr::memchr(b'"', &bytes[..first]).is_none() {
        return Some(first);
    }
    let (mut quoted, mut escaped) = (false, false);
    bytes.iter().position(|b| {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ => return *b == b'[' && !quoted,
        }
        false
    })
}
/// The elements of a list by index; `None` where its fields are not `[0]` to the last without a gap.
pub(super) fn elements<'a>(list: Fields<'a>) -> Option<Vec<Fields<'a>>> {
    let mut found: Vec<(usize, Fields<'a>)> = Vec::new();
    let mut from = 0;
    while let Some((rest, _)) = list.get(from) {
        let close = rest.find(']')?;
        let digits = rest.get(1..close)?;
        let canonical =
            digits.bytes().all(|b| b.is_ascii_digit()) && (digits.len() == 1 || !digits.starts_with('0'));
        let index: usize = canonical.then(|| digits.parse().ok()).flatten()?;
        let step = &rest[..=close];
        let run =
            list.entries[from..].iter().take_while(|(path, _)| path[list.skip..].starts_with(step)).count();
        found.push((index, list.slice(from..from + run, step.len())));
        from += run;
    }
    found.sort_unstable_by_key(|(index, _)| *index);
    let gapless = found.iter().enumerate().all(|(n, (index, _))| n == *index);
    gapless.then(|| found.into_iter().map(|(_, element)| element).collect())
}
